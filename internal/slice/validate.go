package slice

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// maxQuantity bounds capacities and rates: far above any machine, far below
// where sums overflow.
const maxQuantity = 1 << 52

// Validate lists every wrong field of the slice, its profile and policy.
func (s *IoTSlice) Validate() error {
	c := checking(KindIoTSlice)
	s.check(c, KindIoTSlice)
	s.ServiceProfile.check(c, "serviceProfile")
	if len(s.NEST) > 0 {
		_, _ = nestToProfile(s.NEST, c, "nest")
	}
	c.whole("priority", int64(s.Priority), 0, 9)
	c.oneOf("onFailure", string(s.OnFailure), true, string(Rollback), string(Hold))
	s.Placement.check(c, "placementPolicy")
	c.text("customerRef", s.CustomerRef, 253)
	c.ref("communicationServiceId", s.CommunicationService, true)
	c.ref("networkSliceId", s.NetworkSlice, true)
	c.state(s.State)
	return c.err()
}

// Validate lists every wrong field of the element.
func (e *Element) Validate() error {
	c := checking(e.Kind())
	e.check(c, e.Kind())
	c.oneOf("elementKind", string(e.Element), false, string(Gateway), string(Server), string(MicroElement))
	c.name("product", e.Product, false)
	c.pattern("productVersion", e.Version, versionTag, true, versionAllowed)
	c.name("iotServer", e.Server, true)
	c.must(e.Element != Server || e.Server == "", "iotServer", e.Server, "nothing: a server feeds no server")
	if e.Element == MicroElement {
		c.oneOf("melClass", e.MELClass, true, "MUS", "MOS")
	} else {
		c.must(e.MELClass == "", "melClass", e.MELClass, "nothing: only a microElement has a class")
	}
	c.configuration("configuration", e.Configuration)
	c.args("args", e.Args)
	c.secretRefs("secretRefs", e.SecretRefs)
	c.whole("replicas", int64(e.Replicas), 0, 1000)
	e.Requirements.check(c, "requirements")
	e.Placement.check(c, "placementPolicy")
	c.ref("credentialsRef", e.CredentialsRef, true)
	c.state(e.State)
	return c.err()
}

func (c *checks) args(field string, args []string) {
	if len(args) > maxList {
		c.wrong(field, len(args), fmt.Sprintf("at most %d entries", maxList))
		return
	}
	for i, a := range args {
		c.text(fmt.Sprintf("%s/%d", field, i), a, 4096)
	}
}

func (r *Requirements) check(c *checks, at string) {
	if r == nil {
		return
	}
	c.whole(at+"/cpuMilli", r.CPU, 0, maxQuantity)
	c.whole(at+"/memoryMiB", r.Memory, 0, maxQuantity)
	c.whole(at+"/storageMiB", r.Storage, 0, maxQuantity)
	c.words(at+"/software", r.Software)
	c.words(at+"/things", r.Things)
	c.set(at+"/architectures", r.Architectures, maxList, c.architecture)
	c.set(at+"/accessTechnologies", r.AccessTechnologies, maxList, c.accessTechnology)
	c.number(at+"/maxLatencyMs", r.MaxLatencyMS, 0, maxLatencyMS, "ms")
	c.whole(at+"/bandwidthKbit", r.BandwidthKbit, 0, maxQuantity)
}

func (p *PlacementPolicy) check(c *checks, at string) {
	if p == nil {
		return
	}
	c.refs(at+"/infrastructures", p.Infrastructures)
	c.refs(at+"/deniedInfrastructures", p.DeniedInfrastructures)
	c.disjoint(at+"/deniedInfrastructures", p.DeniedInfrastructures, p.Infrastructures, "infrastructures")
	c.refs(at+"/nodes", p.Nodes)
	c.set(at+"/kinds", p.Kinds, maxList, func(f, v string) { c.oneOf(f, v, false, tiers...) })
	c.labels(at+"/nodeLabels", p.NodeLabels)
	c.words(at+"/area", p.Area)
	c.set(at+"/providers", p.Providers, maxList, func(f, v string) { c.nonEmpty(f, v, 253) })
	present(p.MaxPricePerHour, func(v float64) { c.number(at+"/maxPricePerHour", v, 0, 1e12, "per hour") })
	c.whole(at+"/minSecurityLevel", int64(p.MinSecurity), 0, 100)
	c.names(at+"/affinity", p.Affinity)
	c.names(at+"/antiAffinity", p.AntiAffinity)
	c.disjoint(at+"/antiAffinity", p.AntiAffinity, p.Affinity, "affinity")
	c.oneOf(at+"/spread", p.Spread, true, "node", "infrastructure")
}

// disjoint refuses an entry that stands in another list too: nothing could
// satisfy both.
func (c *checks) disjoint(field string, list, other []string, otherName string) {
	in := make(map[string]bool, len(other))
	for _, v := range other {
		in[v] = true
	}
	for i, v := range list {
		c.must(!in[v], fmt.Sprintf("%s/%d", field, i), v, "an entry that is not in "+otherName+" too")
	}
}

func (c *checks) nonEmpty(field, v string, limit int) {
	if v == "" {
		c.wrong(field, v, "a non-empty text")
		return
	}
	c.text(field, v, limit)
}

// Validate lists every wrong field of the flow.
func (m *MicroData) Validate() error {
	c := checking(KindMicroData)
	m.check(c, KindMicroData)
	c.name("from", m.From, false)
	c.name("to", m.To, false)
	c.must(m.From != m.To || m.From == "", "to", m.To, "another member than from")
	c.oneOf("dataClass", m.DataClass, false, "MUD", "MOD")
	c.oneOf("mode", m.Mode, false, "ACTIVE", "PASSIVE")
	c.pattern("format", m.Format, wordName, true, wordAllowed)
	c.number("ratePerSecond", m.RatePerSecond, 0, 1e9, "per second")
	c.number("maxLatencyMs", m.MaxLatencyMS, 0, maxLatencyMS, "ms")
	c.whole("bandwidthKbit", m.BandwidthKbit, 0, maxQuantity)
	c.state(m.State)
	return c.err()
}

// object requires raw, when present, to be one JSON object of bounded size.
func (c *checks) object(field string, raw json.RawMessage) {
	if len(raw) == 0 {
		return
	}
	if len(raw) > maxDocument {
		c.wrong(field, len(raw), fmt.Sprintf("at most %d bytes", maxDocument))
		return
	}
	if t := bytes.TrimLeft(raw, " \t\r\n"); !json.Valid(raw) || t[0] != '{' {
		c.wrong(field, "", "a JSON object")
	}
}
