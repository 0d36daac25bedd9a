package slice

import (
	"fmt"
	"strings"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// Limits of one slice's members.
const (
	MaxElements  = 1_000
	MaxDevices   = 200_000
	MaxMicroData = 10_000
)

// ValidateMembers checks what the members of a slice say of each other: names
// once per kind, every reference naming a member, a server named where there
// are several, limits. Each member is also validated by itself. Paths begin
// with "iotGateways/0/", counting within the kind. The slice's own fields
// are not checked here. It answers one Invalid fault, or nil.
func ValidateMembers(s *IoTSlice, elements []*Element, devices []*Device, microData []*MicroData) error {
	c := checking(KindIoTSlice)
	c.whole("members", int64(len(elements)), 0, MaxElements)
	c.whole("iotDevices", int64(len(devices)), 0, MaxDevices)
	c.whole("microData", int64(len(microData)), 0, MaxMicroData)
	if c.e != nil {
		return c.err()
	}
	m := membersOf(elements, devices)
	m.elements(c, elements)
	m.devices(c, devices)
	m.flows(c, microData)
	if s != nil {
		c.peers("placementPolicy", s.Placement, "", m)
	}
	return c.err()
}

// members indexes names: which kinds bear them.
type members struct {
	servers, gateways []string
	isServer          map[string]bool
	isGateway         map[string]bool
	bearers           map[string]int // elements and devices with this name
	isElement         map[string]bool
}

func membersOf(elements []*Element, devices []*Device) members {
	m := members{
		bearers: map[string]int{}, isElement: map[string]bool{},
		isServer: map[string]bool{}, isGateway: map[string]bool{},
	}
	for _, e := range elements {
		m.bearers[e.Name]++
		m.isElement[e.Name] = true
		switch e.Element {
		case Server:
			m.servers = append(m.servers, e.Name)
			m.isServer[e.Name] = true
		case Gateway:
			m.gateways = append(m.gateways, e.Name)
			m.isGateway[e.Name] = true
		}
	}
	for _, d := range devices {
		m.bearers[d.Name]++
	}
	return m
}

var collections = map[ElementKind]string{Gateway: "iotGateways", Server: "iotServers", MicroElement: "microElements"}

func (m members) elements(c *checks, elements []*Element) {
	count := map[ElementKind]int{}
	seen := map[string]bool{}
	for _, e := range elements {
		list := collections[e.Element]
		if list == "" {
			list = "elements"
		}
		at := fmt.Sprintf("%s/%d", list, count[e.Element])
		count[e.Element]++
		c.merge(at, e.Validate())
		c.once(at, list, e.Name, seen)
		c.peers(at+"/placementPolicy", e.Placement, e.Name, m)
		if e.Element != Server {
			m.server(c, at+"/iotServer", e)
		}
	}
}

// server resolves the default: the only server needs no name.
func (m members) server(c *checks, field string, e *Element) {
	switch {
	case e.Server != "":
		c.must(m.isServer[e.Server], field, e.Server, "a server of the slice: "+listed(m.servers))
	case e.Element == Gateway && len(m.servers) > 1:
		c.wrong(field, "", "one of the slice's servers, as there are several: "+listed(m.servers))
	}
}

func (m members) devices(c *checks, devices []*Device) {
	seen := make(map[string]bool, len(devices))
	for i, d := range devices {
		if c.full() {
			return
		}
		at := fmt.Sprintf("iotDevices/%d", i)
		c.merge(at, d.Validate())
		c.once(at, "devices", d.Name, seen)
		if d.Gateway != "" {
			c.must(m.isGateway[d.Gateway], at+"/iotGateway", d.Gateway,
				"a gateway of the slice: "+listed(m.gateways))
		}
	}
}

func (m members) flows(c *checks, flows []*MicroData) {
	seen := make(map[string]bool, len(flows))
	for i, f := range flows {
		at := fmt.Sprintf("microData/%d", i)
		c.merge(at, f.Validate())
		c.once(at, "microData", f.Name, seen)
		m.end(c, at+"/from", f.From)
		m.end(c, at+"/to", f.To)
	}
}

// end requires a flow's end to name exactly one member.
func (m members) end(c *checks, field, name string) {
	if name == "" {
		return // the flow's own Validate has said it
	}
	c.must(m.bearers[name] > 0, field, name, "the name of a gateway, server, microElement or device of the slice")
	c.must(m.bearers[name] < 2, field, name, "a name that only one member of the slice bears")
}

// peers requires affinities to name other elements of the slice.
func (c *checks) peers(at string, p *PlacementPolicy, self string, m members) {
	if p == nil {
		return
	}
	for _, l := range []struct {
		field string
		names []string
	}{{"affinity", p.Affinity}, {"antiAffinity", p.AntiAffinity}} {
		for i, n := range l.names {
			c.must(m.isElement[n] && n != self, fmt.Sprintf("%s/%s/%d", at, l.field, i), n,
				"the name of another gateway, server or microElement of the slice")
		}
	}
}

func (c *checks) once(at, list, name string, seen map[string]bool) {
	key := list + "/" + name
	c.must(!seen[key] || name == "", at+"/name", name, "a name used once among the slice's "+list)
	seen[key] = true
}

// merge takes over the wrong fields of a member.
func (c *checks) merge(at string, err error) {
	if err == nil {
		return
	}
	for _, p := range fault.Of(err).Params {
		c.wrong(at+"/"+p.Field, p.Given, p.Allowed)
	}
}

func (c *checks) full() bool { return c.e != nil && len(c.e.Params) >= maxParams }

func listed(names []string) string {
	switch {
	case len(names) == 0:
		return "there is none"
	case len(names) > 10:
		return strings.Join(names[:10], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}
