package slice

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
)

var (
	deviceProtocols = []string{"MQTT", "HTTP", "COAP"}
	deviceFormats   = []string{"SENML_JSON", "SENML_CBOR", "PLAIN", "JSON"}
	valueTypes      = []string{"number", "string", "boolean", "data"}
	aggregates      = []string{"mean", "min", "max", "sum", "count"}
)

var (
	// supiRE is an IMSI or NAI SUPI (3GPP TS 29.571 §5.3.2).
	supiRE  = regexp.MustCompile(`^(imsi-[0-9]{5,15}|nai-[^\s@]{1,253}@[^\s@]{1,253})$`)
	iccidRE = regexp.MustCompile(`^[0-9]{18,22}$`)
	// senmlName is RFC 8428 §4.5.1 without the topic separator.
	senmlName = matcher{first: alnum, rest: alnum + "._:-", most: 63}
)

const senmlNameAllowed = "1 to 63 letters, digits or any of ._:-, beginning with a letter or digit (RFC 8428 §4.5.1)"

// Validate lists every wrong field of the device.
func (d *Device) Validate() error {
	c := checking(KindIoTDevice)
	d.check(c, KindIoTDevice)
	c.name("iotGateway", d.Gateway, false)
	c.oneOf("protocol", d.Protocol, false, deviceProtocols...)
	c.must(d.Address == "" || reachable(d.Address), "address", d.Address,
		"host:port or an absolute URL without user or password")
	c.oneOf("format", d.Format, true, deviceFormats...)
	types := d.checkMagnitudes(c)
	d.checkActions(c, types)
	c.ref("credentialsRef", d.CredentialsRef, true)
	present(d.Identity, func(i DeviceIdentity) { i.check(c, "identity") })
	c.state(d.State)
	return c.err()
}

func reachable(address string) bool {
	if host, port, err := net.SplitHostPort(address); err == nil {
		n, err := strconv.Atoi(port)
		return host != "" && len(address) <= 261 && err == nil && n > 0 && n < 1<<16
	}
	u, err := url.Parse(address)
	return err == nil && len(address) <= 2048 && u.Scheme != "" && u.Hostname() != "" && u.User == nil
}

// checkMagnitudes answers the value type of each name.
func (d *Device) checkMagnitudes(c *checks) map[string]string {
	types := map[string]string{}
	if len(d.Magnitudes) > maxList {
		c.wrong("magnitudes", len(d.Magnitudes), fmt.Sprintf("at most %d entries", maxList))
		return types
	}
	for i := range d.Magnitudes {
		m, at := &d.Magnitudes[i], fmt.Sprintf("magnitudes/%d", i)
		_, taken := types[m.Name]
		c.must(!taken, at+"/name", m.Name, "a name used once")
		types[m.Name] = orNumber(m.Type)
		m.check(c, at)
	}
	return types
}

func (m *Magnitude) check(c *checks, at string) {
	c.pattern(at+"/name", m.Name, senmlName, false, senmlNameAllowed)
	c.unit(at+"/unit", m.Unit)
	c.oneOf(at+"/type", m.Type, true, valueTypes...)
	const far = 1e300
	present(m.Min, func(v float64) { c.number(at+"/min", v, -far, far, "") })
	present(m.Max, func(v float64) { c.number(at+"/max", v, -far, far, "") })
	if m.Min != nil && m.Max != nil {
		c.must(*m.Min < *m.Max, at+"/max", *m.Max, "more than min, "+show(*m.Min))
	}
	c.number(at+"/deadband", m.Deadband, 0, far, "")
	c.oneOf(at+"/aggregate", m.Aggregate, true, aggregates...)
	c.number(at+"/aggregateWindowSeconds", m.AggregateWindow, 0, 86400, "s")
	c.must((m.Aggregate == "") == (m.AggregateWindow == 0), at+"/aggregateWindowSeconds", m.AggregateWindow,
		"a window above 0 s with an aggregate, and none without")
	if orNumber(m.Type) != "number" {
		c.must(m.Min == nil && m.Max == nil && m.Deadband == 0, at+"/type", m.Type,
			"number, when min, max or deadband is given")
		c.must(m.Aggregate == "" || m.Aggregate == "count", at+"/aggregate", m.Aggregate, "count, unless the type is number")
	}
}

// checkActions lets an action share a magnitude's name (it is then one
// resource, read and written) if both speak of one type.
func (d *Device) checkActions(c *checks, types map[string]string) {
	if len(d.Actions) > maxList {
		c.wrong("actions", len(d.Actions), fmt.Sprintf("at most %d entries", maxList))
		return
	}
	seen := map[string]bool{}
	for i, a := range d.Actions {
		at := fmt.Sprintf("actions/%d", i)
		c.pattern(at+"/name", a.Name, senmlName, false, senmlNameAllowed)
		c.must(!seen[a.Name], at+"/name", a.Name, "a name used once")
		seen[a.Name] = true
		c.oneOf(at+"/type", a.Type, true, valueTypes...)
		if t, ok := types[a.Name]; ok {
			c.must(t == orNumber(a.Type), at+"/type", a.Type, t+", the type of the magnitude with this name")
		}
		c.unit(at+"/unit", a.Unit)
	}
}

func orNumber(t string) string {
	if t == "" {
		return "number"
	}
	return t
}

func (i DeviceIdentity) check(c *checks, at string) {
	c.text(at+"/serial", i.Serial, 128)
	c.mac(at+"/mac", i.MAC)
	c.pattern(at+"/supi", i.SUPI, supiRE, true, "imsi-<5 to 15 digits> or nai-<user@realm>")
	c.pattern(at+"/iccid", i.ICCID, iccidRE, true, "18 to 22 digits")
}
