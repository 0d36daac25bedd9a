package placement

import (
	"fmt"
	"slices"
	"strings"

	"github.com/osmoslice/osmoslice/internal/topology"
)

// relax is how a miss could be lifted by changing the demand alone.
type relax struct {
	member int32 // element index, for requirements
	flow   int32 // flow index in the demand, -1: not about a flow
	limit  float64
	ok     bool
}

// miss is a Miss with what would lift it.
type miss struct {
	Miss
	relax relax
}

// misses lists every constraint that unit k does not satisfy on node n, beside
// everything placed now.
func (s *search) misses(k, n int32) []miss {
	e, node := &s.elems[k], s.snap.Node(n)
	if node == nil {
		return []miss{{Miss: Miss{Node: s.snap.ID(n), Constraint: "available", Required: "present", Available: "absent"}}}
	}
	var out []miss
	add := func(m miss) {
		m.Node = node.ID
		out = append(out, m)
	}
	if !s.node(n).up {
		reason := node.Reason
		if reason == "" {
			reason = "unavailable"
		}
		add(miss{Miss: Miss{Constraint: "available", Required: "available", Available: reason}})
	}
	for _, m := range e.unit.members {
		s.factMisses(e, m, node, add)
	}
	s.roomMisses(e, n, add)
	s.flowMisses(k, n, add)
	s.apartMisses(k, n, add)
	return out
}

// factMisses compares one element with the unmeasured facts of a node.
func (s *search) factMisses(e *elem, member int32, n *topology.Node, add func(miss)) {
	el := &s.demands[e.dem].c.source.Elements[member]
	r := &el.Requirements
	fact := func(constraint, required, available string) {
		add(miss{Miss: Miss{Constraint: constraint, Required: required, Available: available, By: 1, Relative: 1}, relax: relax{member: member, flow: -1, ok: true}})
	}
	oneOf := func(constraint, have string, allowed []string) {
		if len(allowed) > 0 && !slices.Contains(allowed, have) {
			fact(constraint, "one of "+strings.Join(allowed, ", "), have)
		}
	}
	all := func(constraint string, want, have []string) {
		if !containsAll(have, want) {
			lacking := slices.DeleteFunc(slices.Clone(want), func(w string) bool { return slices.Contains(have, w) })
			fact(constraint, strings.Join(lacking, ", "), "not on the node")
		}
	}
	kinds := make([]string, len(el.AllowedKinds))
	for i, k := range el.AllowedKinds {
		kinds[i] = string(k)
	}
	oneOf("kind", string(n.Kind), kinds)
	oneOf("infrastructure", n.Infrastructure, el.AllowedInfrastructures)
	oneOf("node", n.ID, el.AllowedNodes)
	oneOf("arch", n.Arch, r.Arch)
	for k := range r.Images {
		if i := &r.Images[k]; !i.runsOn(n) {
			fact("image", i.Name+" for "+n.Arch, i.offer())
		}
	}
	all("software", r.Software, n.Software)
	all("things", r.Things, n.Things)
	all("accessTechnologies", r.AccessTechnologies, n.AccessTechnologies)
	for _, k := range sortedKeys(r.Labels) {
		if got, ok := n.Labels[k]; !ok || got != r.Labels[k] {
			fact("labels", k+"="+r.Labels[k], k+"="+got)
		}
	}
	if r.SecurityLevel > n.SecurityLevel {
		add(miss{Miss: Miss{Constraint: "securityLevel", Required: fmt.Sprint(r.SecurityLevel), Available: fmt.Sprint(n.SecurityLevel),
			By: float64(r.SecurityLevel - n.SecurityLevel), Relative: float64(r.SecurityLevel-n.SecurityLevel) / float64(r.SecurityLevel)},
			relax: relax{member: member, flow: -1, limit: float64(n.SecurityLevel), ok: true}})
	}
	if !inArea(n.Area, el.Area) {
		fact("area", "within "+el.Area, n.Area)
	}
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

var dimUnits = [...]string{"milli-cores", "MiB", "MiB"}

// roomMisses compares what a unit needs with what is left on a node.
func (s *search) roomMisses(e *elem, n int32, add func(miss)) {
	st := s.node(n)
	if !st.up {
		return
	}
	for d := range 3 {
		need, free := part(e.req, d), part(st.free, d)
		if need <= free {
			continue
		}
		m := miss{Miss: Miss{Constraint: dimName(d), Required: fmt.Sprint(need, " ", dimUnits[d]), Available: fmt.Sprint(max(free, 0), " ", dimUnits[d]),
			By: float64(need - free), Relative: float64(need-free) / float64(max(need, 1))}}
		if len(e.unit.members) == 1 && free >= 0 {
			m.relax = relax{member: e.unit.members[0], flow: -1, limit: float64(free), ok: true}
		}
		add(m)
	}
}

// flowMisses compares the flows between a unit on n and the placed others.
func (s *search) flowMisses(k, n int32, add func(miss)) {
	e := &s.elems[k]
	need := map[uint64]int64{} // several flows of the unit may share a pair
	for _, x := range s.adj(e) {
		f := &s.flows[x]
		from, to, ok := s.ends(f, k, n)
		if !ok {
			continue
		}
		m := miss{relax: relax{flow: s.demands[e.dem].c.flows[x-s.demands[e.dem].flows].index, ok: true}}
		other := from
		if from == n {
			other = to
		}
		if other == unknownNode {
			m.Miss = Miss{Constraint: "link", Required: "a link to the device's node", Available: "the node is absent"}
			m.relax.ok = false
			add(m)
			continue
		}
		m.Peer = s.snap.ID(other)
		p := s.pair(from, to)
		key := pairKey(from, to)
		need[key] += f.kbit
		switch {
		case !p.ok:
			m.Constraint, m.Required, m.Available, m.relax.ok = "link", "a link", "none", false
		case p.latency > f.maxLatency:
			m.Constraint, m.Required, m.Available = "latency", fmt.Sprint("at most ", f.maxLatency, " ms"), fmt.Sprint(p.latency, " ms")
			m.By, m.Relative, m.relax.limit = p.latency-f.maxLatency, (p.latency-f.maxLatency)/f.maxLatency, p.latency
		case p.loss > f.maxLoss:
			m.Constraint, m.Required, m.Available = "loss", fmt.Sprint("at most ", f.maxLoss), fmt.Sprint(p.loss)
			m.By, m.Relative, m.relax.limit = p.loss-f.maxLoss, (p.loss-f.maxLoss)/f.maxLoss, p.loss
		case p.free < need[key]:
			left := max(p.free-(need[key]-f.kbit), 0)
			m.Constraint, m.Required, m.Available = "bandwidth", fmt.Sprint(f.kbit, " kbit/s"), fmt.Sprint(left, " kbit/s")
			m.By, m.Relative, m.relax.limit = float64(f.kbit-left), float64(f.kbit-left)/float64(max(f.kbit, 1)), float64(left)
			m.relax.ok = p.free >= 0
		default:
			continue
		}
		add(m)
	}
}

func (s *search) apartMisses(k, n int32, add func(miss)) {
	e := &s.elems[k]
	d := &s.demands[e.dem]
	for _, g := range e.unit.apart {
		group := &d.c.apart[g]
		name := "antiAffinity"
		if group.infra {
			name = "redundancy"
		}
		for _, u := range group.units {
			o := d.first + u
			if o != k && s.elems[o].at >= 0 && s.together(group, s.elems[o].at, n) {
				add(miss{Miss: Miss{Constraint: name, Required: "apart from group " + group.name, Available: "beside " + d.c.source.Elements[s.elems[o].unit.members[0]].ID, By: 1, Relative: 1}})
			}
		}
	}
}
