package placement

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// relaxTries is how many single relaxations are tried per waiting demand.
const relaxTries = 16

// proposal is one change of a demand that may make it fit.
type proposal struct {
	Relaxation
	misses []miss
	size   float64
}

// addRelaxations finds, for every element of a waiting demand that has no node,
// the smallest single change that was verified, by deciding again, to place it.
func (s *search) addRelaxations(st State, demands []Demand, o Options, d *Decision, out []Explanation) {
	for k := range s.demands {
		ds := &s.demands[k]
		if !ds.waiting {
			continue
		}
		best := s.relaxation(st, demands, o, ds)
		for i := range out {
			if best != nil && out[i].Demand == ds.c.source.ID && out[i].Element == best.Element {
				out[i].Relaxation = best
			}
		}
		for i := range d.Waiting {
			if best != nil && d.Waiting[i].Demand == ds.c.source.ID {
				d.Waiting[i].Relaxation = best
			}
		}
	}
}

// relaxation tries single changes from the smallest on until one is verified.
func (s *search) relaxation(st State, demands []Demand, o Options, ds *demandState) *Relaxation {
	placed := s.placePart(ds)
	var all []proposal
	for u := ds.first; u < ds.last; u++ {
		was := s.elems[u].at
		if was >= 0 {
			s.drop(u)
		}
		all = s.proposals(ds, u, all)
		if was >= 0 {
			s.force(u, was)
		}
	}
	for _, u := range placed {
		s.drop(u)
	}
	slices.SortStableFunc(all, func(a, b proposal) int { return cmp.Compare(a.size, b.size) })
	o.Explain = false
	tried := 0
	for i := range all {
		if tried++; tried > relaxTries {
			break
		}
		changed := slices.Clone(demands)
		changed[ds.input] = relaxed(ds.c.source, all[i].misses)
		after := Decide(st, changed, o)
		if after.Outcomes[ds.input].Status == Placed {
			r := all[i].Relaxation
			r.Verified = true
			return &r
		}
	}
	return nil
}

// proposals adds, for one unit, the changes that would let it onto a node that
// it misses by a single constraint. Both directions between the same two ends
// count as one.
func (s *search) proposals(ds *demandState, u int32, all []proposal) []proposal {
	e := &s.elems[u]
	best := map[string]proposal{}
	for n := range int32(s.snap.Size()) {
		if s.snap.Node(n) == nil {
			continue
		}
		m := s.misses(u, n)
		if len(m) == 0 || !single(m) {
			continue
		}
		p := proposal{misses: m}
		for _, x := range m {
			p.size = max(p.size, x.Relative)
		}
		x, member := m[0], e.unit.members[0]
		if x.relax.flow < 0 {
			member = x.relax.member
		}
		name := ds.c.source.Elements[member].ID
		p.Relaxation = Relaxation{Element: name, Node: x.Node, Constraint: x.Constraint, Value: x.relax.limit, Change: sentence(name, x)}
		for _, y := range m {
			if y.relax.flow >= 0 {
				p.Flows = append(p.Flows, int(y.relax.flow))
				if x.Constraint == "bandwidth" {
					p.Value = min(p.Value, y.relax.limit)
				} else {
					p.Value = max(p.Value, y.relax.limit)
				}
			}
		}
		for i := range m {
			m[i].relax.limit = p.Value
		}
		if old, ok := best[x.Constraint]; !ok || p.size < old.size {
			best[x.Constraint] = p
		}
	}
	for _, c := range sortedNames(best) {
		all = append(all, best[c])
	}
	return all
}

func sortedNames(m map[string]proposal) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// single reports whether misses amount to one change.
func single(m []miss) bool {
	for _, x := range m {
		if !x.relax.ok || x.Constraint != m[0].Constraint || x.Peer != m[0].Peer || x.relax.member != m[0].relax.member {
			return false
		}
	}
	return len(m) == 1 || m[0].relax.flow >= 0 && len(m) <= 2
}

func sentence(element string, m miss) string {
	switch m.Constraint {
	case "cpu", "memory", "storage":
		return fmt.Sprintf("let %s need no more than %s (now %s), or free that much more on %s", element, m.Available, m.Required, m.Node)
	case "latency":
		return fmt.Sprintf("allow %s between %s on %s and %s (now %s)", m.Available, element, m.Node, m.Peer, m.Required)
	case "loss":
		return fmt.Sprintf("allow a loss of %s between %s on %s and %s (now %s)", m.Available, element, m.Node, m.Peer, m.Required)
	case "bandwidth":
		return fmt.Sprintf("let %s on %s need no more than %s to %s (now %s)", element, m.Node, m.Available, m.Peer, m.Required)
	case "securityLevel":
		return fmt.Sprintf("accept security level %s for %s (now %s)", m.Available, element, m.Required)
	case "image":
		return fmt.Sprintf("have %s as %s wants it on %s (it is %s), or another node", m.Required, element, m.Node, m.Available)
	case "kind", "infrastructure", "node", "arch", "area":
		return fmt.Sprintf("allow %s on %s: its %s is %q (now %s)", element, m.Node, m.Constraint, m.Available, m.Required)
	}
	return fmt.Sprintf("let %s do without %s, or add it to %s", element, m.Required, m.Node)
}

// relaxed is a copy of a demand with the misses lifted.
func relaxed(d *Demand, list []miss) Demand {
	out := *d
	out.compiled = nil
	out.Elements, out.Flows = slices.Clone(d.Elements), slices.Clone(d.Flows)
	for _, m := range list {
		if m.relax.flow >= 0 {
			f := &out.Flows[m.relax.flow]
			switch m.Constraint {
			case "latency":
				f.MaxLatencyMS = m.relax.limit
			case "loss":
				f.MaxLoss = m.relax.limit
			case "bandwidth":
				f.BandwidthKbit = int64(m.relax.limit)
			}
			continue
		}
		relaxElement(&out.Elements[m.relax.member], m)
	}
	return out
}

func relaxElement(e *Element, m miss) {
	r := &e.Requirements
	without := func(list []string) []string {
		gone := strings.Split(m.Required, ", ")
		return slices.DeleteFunc(slices.Clone(list), func(w string) bool { return slices.Contains(gone, w) })
	}
	switch m.Constraint {
	case "cpu":
		r.CPU = int64(m.relax.limit)
	case "memory":
		r.Memory = int64(m.relax.limit)
	case "storage":
		r.Storage = int64(m.relax.limit)
	case "software":
		r.Software = without(r.Software)
	case "things":
		r.Things = without(r.Things)
	case "accessTechnologies":
		r.AccessTechnologies = without(r.AccessTechnologies)
	case "securityLevel":
		r.SecurityLevel = int(m.relax.limit)
	case "kind":
		e.AllowedKinds = nil
	case "infrastructure":
		e.AllowedInfrastructures = nil
	case "node":
		e.AllowedNodes = nil
	case "arch":
		r.Arch = nil
	case "image":
		r.Images = slices.DeleteFunc(slices.Clone(r.Images), func(i Image) bool { return strings.HasPrefix(m.Required, i.Name+" for ") })
	case "area":
		e.Area = ""
	case "labels":
		key, _, _ := strings.Cut(m.Required, "=")
		kept := map[string]string{}
		for k, v := range r.Labels {
			if k != key {
				kept[k] = v
			}
		}
		r.Labels = kept
	}
}
