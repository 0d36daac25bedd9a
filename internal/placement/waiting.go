package placement

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/osmoslice/osmoslice/internal/topology"
)

// reportWaiting says of every waiting demand why, with what binds.
func (s *search) reportWaiting(d *Decision) {
	for k := range s.demands {
		ds := &s.demands[k]
		if !ds.waiting {
			continue
		}
		w := Wait{Demand: d.Outcomes[ds.input].Demand, Proven: ds.proven}
		w.Bottleneck = s.bottleneck(ds)
		if w.Bottleneck.Constraint != "combination" && w.Bottleneck.alone {
			w.Proven = true
		}
		w.Detail = w.Bottleneck.Detail
		if s.budgetHit && !w.Proven {
			w.Detail += "; the search ended at its budget"
		}
		d.Waiting = append(d.Waiting, w)
	}
}

// bottleneck finds what keeps a demand from being placed beside the others: an
// element that no node could take even alone, the total of a resource, or else
// the element that is left when the others have been placed.
func (s *search) bottleneck(ds *demandState) *Bottleneck {
	if b := s.short(ds); b != nil {
		return b
	}
	placed := s.placePart(ds)
	defer func() {
		for _, u := range placed {
			s.drop(u)
		}
	}()
	for u := ds.first; u < ds.last; u++ {
		if s.elems[u].at >= 0 {
			continue
		}
		all, nodes := map[string]*Rejection{}, 0
		for n := range int32(s.snap.Size()) {
			if s.snap.Node(n) == nil {
				continue
			}
			nodes++
			if m := s.misses(u, n); len(m) > 0 {
				reject(all, m[0].Miss)
			}
		}
		name := ds.c.source.Elements[s.elems[u].unit.members[0]].ID
		list := rejections(all)
		if len(list) == 0 {
			continue
		}
		closest := slices.MinFunc(list, func(a, b Rejection) int {
			return cmp.Or(cmp.Compare(hardness(a.Nearest), hardness(b.Nearest)), cmp.Compare(b.Count, a.Count))
		})
		var causes []string
		for _, r := range list {
			causes = append(causes, fmt.Sprintf("%s on %d", r.Constraint, r.Count))
		}
		m := closest.Nearest
		return &Bottleneck{Element: name, Constraint: m.Constraint, Required: m.Required, Available: m.Available, alone: len(placed) == 0 && s.impossible(u),
			Detail: fmt.Sprintf("element %s: none of %d nodes fits (%s); nearest is %s: %s needed, %s there", name, nodes, strings.Join(causes, ", "), m.Node, m.Required, m.Available)}
	}
	return &Bottleneck{Constraint: "combination", Detail: "each element has a node, but not all of them together"}
}

// hardness orders misses by how far they are from fitting.
func hardness(m Miss) float64 {
	if m.By == 0 {
		return 2 // a missing link or node cannot be relaxed
	}
	return m.Relative
}

// short reports a resource of which all usable nodes together have too little
// for the demand beside what is placed.
func (s *search) short(ds *demandState) *Bottleneck {
	var free [3]float64
	for n := range int32(s.snap.Size()) {
		if st := s.node(n); st.up {
			for d := range 3 {
				free[d] += float64(max(part(st.free, d), 0))
			}
		}
	}
	var need topology.Capacity
	for u := ds.first; u < ds.last; u++ {
		need = plus(need, s.elems[u].req)
	}
	for d := range 3 {
		if v := part(need, d); float64(v) > free[d] {
			return &Bottleneck{Constraint: dimName(d), Required: fmt.Sprint(v, " ", dimUnits[d]), Available: fmt.Sprintf("%.0f %s", free[d], dimUnits[d]),
				Detail: fmt.Sprintf("%s: the slice needs %d %s and all nodes together have %.0f left", dimName(d), v, dimUnits[d], free[d])}
		}
	}
	return nil
}

// impossible reports whether no node could take a unit even if none of the
// given demands had anything.
func (s *search) impossible(k int32) bool {
	e := &s.elems[k]
	for kind := range e.sites.byKind {
		for _, n := range e.sites.byKind[kind] {
			st := s.node(n)
			free := st.free
			for u := st.head; u >= 0; u = s.elems[u].next {
				free = plus(free, s.elems[u].req)
			}
			if st.up && within(e.req, free) && s.fixedOK(k, n) {
				return false
			}
		}
	}
	return true
}

// fixedOK checks only the flows of a unit to fixed nodes, each by itself.
func (s *search) fixedOK(k, n int32) bool {
	e := &s.elems[k]
	for _, x := range s.adj(e) {
		f := &s.flows[x]
		from, to, ok := s.ends(f, k, n)
		if (f.a >= 0 && f.b >= 0) || !ok {
			continue
		}
		if from == unknownNode || to == unknownNode {
			return false
		}
		if p := s.pair(from, to); !p.allows(f) || p.cap-p.others-s.opts.Headroom.BandwidthKbit < f.kbit {
			return false
		}
	}
	return true
}
