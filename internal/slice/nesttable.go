package slice

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// The GST's names (GSMA NG.116) of what a ServiceProfile can hold.
const (
	gstMaxUEs         = "Maximum number of UEs"
	gstDensity        = "UE density"
	gstVelocity       = "Supported device velocity"
	gstQoS            = "Slice quality of service parameters"
	gstDelayBudget    = gstQoS + ": Packet Delay Budget"
	gstErrorRate      = gstQoS + ": Packet Error Rate"
	gstAvailability   = "Availability"
	gstDownlinkSlice  = "Downlink throughput per network slice"
	gstUplinkSlice    = "Uplink throughput per network slice"
	gstDownlinkUE     = "Downlink maximum throughput per UE"
	gstUplinkUE       = "Uplink maximum throughput per UE"
	gstPDUSessions    = "Maximum number of PDU sessions"
	gstPacketSize     = "Maximum supported packet size"
	gstNBIoT          = "NB-IoT support"
	gstAccess         = "Supported access technologies"
	gstNonIP          = "Support for non-IP traffic"
	gstDelayTolerance = "Delay tolerance"
	gstArea           = "Area of Service"
	gstIsolation      = "Isolation level"
	gstEnergy         = "Energy efficiency: Network slice energy efficiency"
	gstSimultaneous   = "Simultaneous use of the network slice"
	gstMonitoring     = "Performance monitoring"
	gstGuaranteedDL   = ": Guaranteed downlink throughput quota"
	gstMaximumDL      = ": Maximum downlink throughput"
	gstGuaranteedUL   = ": Guaranteed uplink throughput quota"
	gstMaximumUL      = ": Maximum uplink throughput"
)

// nestRule reads one attribute; object rules take an object as a whole.
type nestRule struct {
	object bool
	read   func(r *nestReader, v json.RawMessage)
}

// gst maps lower-case GST names to their rules.
var gst = gstRules()

func gstRules() map[string]nestRule {
	rules := map[string]nestRule{}
	rule := func(name string, read func(*nestReader, json.RawMessage)) {
		rules[strings.ToLower(name)] = nestRule{read: read}
	}
	rateRules(rule)
	supportRules(rule)
	rule(gstMaxUEs, func(r *nestReader, v json.RawMessage) { r.number(v, plain, &r.profile.MaxNumberofUEs) })
	rule(gstDensity, func(r *nestReader, v json.RawMessage) {
		var d *float64
		if r.number(v, perArea, &d); d != nil {
			r.profile.TermDensity = &TermDensity{Density: *d}
		}
	})
	rule(gstVelocity, (*nestReader).velocity)
	rule(gstDelayBudget, func(r *nestReader, v json.RawMessage) {
		r.number(v, seconds, &r.profile.DLLatency)
		r.profile.ULLatency = copied(r.profile.DLLatency)
	})
	rule(gstErrorRate, (*nestReader).errorRate)
	rule(gstAvailability, func(r *nestReader, v json.RawMessage) { r.number(v, percent, &r.profile.Availability) })
	rule(gstPDUSessions, func(r *nestReader, v json.RawMessage) {
		if n, ok := r.whole(v, plain); ok {
			r.profile.MaxNumberofPDUSess = &MaxNumberofPDUSess{NOofPDUSessions: n}
		}
	})
	rule(gstPacketSize, func(r *nestReader, v json.RawMessage) {
		if n, ok := r.whole(v, octets); ok {
			r.profile.DLMaxPktSize, r.profile.ULMaxPktSize = &MaxPktSize{n}, &MaxPktSize{n}
		}
	})
	rule(gstAccess, (*nestReader).access)
	rule(gstArea, (*nestReader).area)
	rule(gstIsolation, (*nestReader).isolation)
	rules[strings.ToLower(gstEnergy)] = nestRule{object: true, read: (*nestReader).energy}
	rule(gstSimultaneous, func(r *nestReader, v json.RawMessage) {
		if n, ok := r.whole(v, plain); ok {
			r.profile.SliceSimultaneousUse = &n
		}
	})
	rule(gstMonitoring, (*nestReader).monitoring)
	return rules
}

type addRule func(name string, read func(*nestReader, json.RawMessage))

func rateRules(rule addRule) {
	for _, t := range []struct {
		name, guaranteed, maximum string
		at                        func(p *ServiceProfile) **Throughput
	}{
		{gstDownlinkSlice, gstGuaranteedDL, gstMaximumDL, func(p *ServiceProfile) **Throughput { return &p.DLThptPerSlice }},
		{gstUplinkSlice, gstGuaranteedUL, gstMaximumUL, func(p *ServiceProfile) **Throughput { return &p.ULThptPerSlice }},
		{gstDownlinkUE, "", "", func(p *ServiceProfile) **Throughput { return &p.DLThptPerUE }},
		{gstUplinkUE, "", "", func(p *ServiceProfile) **Throughput { return &p.ULThptPerUE }},
	} {
		maximum := func(r *nestReader, v json.RawMessage) { r.number(v, kbits, &throughput(t.at(r.profile)).MaxThpt) }
		rule(t.name, maximum)
		if t.guaranteed == "" {
			continue
		}
		rule(t.name+t.maximum, maximum)
		rule(t.name+t.guaranteed, func(r *nestReader, v json.RawMessage) {
			r.number(v, kbits, &throughput(t.at(r.profile)).GuaThpt)
		})
	}
}

func supportRules(rule addRule) {
	rule(gstNBIoT, func(r *nestReader, v json.RawMessage) { r.support(v, &r.profile.NBIoT) })
	rule(gstNonIP, func(r *nestReader, v json.RawMessage) { r.support(v, &r.profile.NonIPSupport) })
	rule(gstDelayTolerance, func(r *nestReader, v json.RawMessage) { r.support(v, &r.profile.DelayTolerance) })
}

func throughput(at **Throughput) *Throughput {
	if *at == nil {
		*at = &Throughput{}
	}
	return *at
}

func copied(v *float64) *float64 {
	if v == nil {
		return nil
	}
	w := *v
	return &w
}

// units maps accepted unit spellings to the factor onto the profile's unit;
// the empty spelling is the GST's own unit.
type units map[string]float64

var (
	plain   = units{"": 1, "1": 1}
	perArea = units{"": 1, "UEs/km2": 1, "UE/km2": 1, "1/km2": 1}
	seconds = units{"": 1000, "s": 1000, "seconds": 1000, "ms": 1}
	percent = units{"": 1, "%": 1}
	ratio   = units{"": 1, "1": 1, "%": 0.01}
	kbits   = units{"": 1, "kbps": 1, "kbit/s": 1, "Mbps": 1e3, "Mbit/s": 1e3, "Gbps": 1e6, "Gbit/s": 1e6, "bps": 1e-3, "bit/s": 1e-3}
	octets  = units{"": 1, "bytes": 1, "byte": 1, "B": 1, "octets": 1}
)

// digits rounds to 12 significant digits, so that 0.1 s is 100 ms and 1 - 1e-5
// comes back as 1e-5.
func digits(v float64) float64 {
	w, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 12, 64), 64)
	if err != nil {
		return v
	}
	return w
}

// read answers a number in the profile's unit.
func (r *nestReader) read(raw json.RawMessage, u units) (float64, bool) {
	factor, ok := u[r.unit]
	if !ok {
		r.c.wrong(strings.TrimSuffix(r.at, "/value")+"/unit", r.unit, "one of "+strings.Join(sortedKeys(u)[1:], ", ")+", or none")
		return 0, false
	}
	var v float64
	if !decodes(raw, &v) || math.Abs(v) > 1e15 {
		r.c.wrong(r.at, string(raw), "a number ("+r.name+")")
		return 0, false
	}
	if factor == 1 {
		return v, true
	}
	return digits(v * factor), true
}

// decodes reads raw into v; null is no value.
func decodes(raw json.RawMessage, v any) bool {
	return string(raw) != "null" && json.Unmarshal(raw, v) == nil
}

func (r *nestReader) number(raw json.RawMessage, u units, to **float64) {
	if v, ok := r.read(raw, u); ok {
		*to = &v
	}
}

func (r *nestReader) whole(raw json.RawMessage, u units) (int64, bool) {
	v, ok := r.read(raw, u)
	if ok && v != math.Trunc(v) {
		r.c.wrong(r.at, string(raw), "a whole number ("+r.name+")")
		return 0, false
	}
	return int64(v), ok
}

// velocities are the GST's classes: stationary, pedestrian, vehicular, high
// speed vehicular, by their upper bounds in km/h.
var velocities = []int64{0, 10, 120, 500}

func (r *nestReader) velocity(raw json.RawMessage) {
	n, ok := r.whole(raw, plain)
	if !ok {
		return
	}
	if n < 1 || n > 4 {
		r.c.wrong(r.at, string(raw), "a class from 1 to 4 ("+r.name+")")
		return
	}
	top := velocities[n-1]
	r.profile.UESpeed = &top
	r.lost(r.name, fmt.Sprintf("lossy: class %d is taken as its upper bound, %d km/h", n, top))
}

func (r *nestReader) errorRate(raw json.RawMessage) {
	v, ok := r.read(raw, ratio)
	if !ok {
		return
	}
	if !(v >= 0 && v < 1) {
		r.c.wrong(r.at, string(raw), "a rate from 0 to below 1 ("+r.name+")")
		return
	}
	reliability := digits(100 * (1 - v))
	r.profile.DLReliability, r.profile.ULReliability = &reliability, copied(&reliability)
	if digits(1-reliability/100) != v {
		r.lost(r.name, "lossy: kept to 12 digits of 1 - rate")
	}
}

func (r *nestReader) support(raw json.RawMessage, to **Support) {
	for text, s := range map[string]string{
		"0": "NOT_SUPPORTED", "false": "NOT_SUPPORTED", `"NOT_SUPPORTED"`: "NOT_SUPPORTED", `"0"`: "NOT_SUPPORTED",
		"1": "SUPPORTED", "true": "SUPPORTED", `"SUPPORTED"`: "SUPPORTED", `"1"`: "SUPPORTED",
	} {
		if string(raw) == text {
			*to = &Support{Support: s}
			return
		}
	}
	r.c.wrong(r.at, string(raw), `0 (NOT_SUPPORTED) or 1 (SUPPORTED) (`+r.name+")")
}

func (r *nestReader) texts(raw json.RawMessage) ([]string, bool) {
	var list []string
	if !decodes(raw, &list) {
		var one string
		if !decodes(raw, &one) {
			r.c.wrong(r.at, string(raw), "a text or a list of texts ("+r.name+")")
			return nil, false
		}
		list = []string{one}
	}
	return list, true
}

func (r *nestReader) access(raw json.RawMessage) {
	list, ok := r.texts(raw)
	if !ok {
		return
	}
	for i, t := range list {
		// The GST leaves the spelling open: NB-IoT, LTE-M, Wi-Fi.
		t = strings.NewReplacer("-", "_", " ", "_").Replace(strings.ToUpper(t))
		if t == "WI_FI" {
			t = "WIFI"
		}
		list[i] = t
		r.c.accessTechnology(fmt.Sprintf("%s/%d", r.at, i), t)
	}
	r.profile.AccessTechnologies = list
}

func (r *nestReader) monitoring(raw json.RawMessage) {
	if list, ok := r.texts(raw); ok {
		r.profile.KPIMonitoring = &KPIMonitoring{KPIList: list}
	}
}

// area takes polygons; the GST's lists of countries and regions stay unmapped.
func (r *nestReader) area(raw json.RawMessage) {
	var areas []GeoArea
	if !decodes(raw, &areas) || len(areas) == 0 || len(areas[0].ConvexGeoPolygon) == 0 {
		r.lost(r.name, "only polygons have a place in coverageArea")
		return
	}
	r.profile.CoverageArea = areas
}

func (r *nestReader) isolation(raw json.RawMessage) {
	n, ok := r.whole(raw, plain)
	switch {
	case !ok:
	case n == 0:
		r.profile.NetworkSliceSharing = "SHARED"
	case n == 1 || n == 2:
		r.profile.NetworkSliceSharing = "NON_SHARED"
		r.lost(r.name, "lossy: physical and logical isolation are both NON_SHARED")
	default:
		r.c.wrong(r.at, string(raw), "0 (none), 1 (physical) or 2 (logical)")
	}
}

func (r *nestReader) energy(raw json.RawMessage) {
	var p EEPerfReq
	if !isObject(raw) {
		r.lost(r.name, "a bare number does not say which kpiType it is")
		return
	}
	if !decodes(raw, &p) {
		r.c.wrong(r.at, string(raw), `an object {"kpiType", "req"}`)
		return
	}
	r.profile.EnergyEfficiency = &EnergyEfficiency{Performance: &p}
}
