package placement

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

const (
	namedNodes = 3 // nodes named per rejection
	runners    = 3
)

// Explain answers, for every element of the given demands, why it is where the
// decision put it. The state must be the one the decision was made on.
func Explain(st State, demands []Demand, o Options, d *Decision) []Explanation {
	s, done := recall(st, demands, o, d)
	if s == nil {
		return nil
	}
	defer done()
	out := s.explainAll()
	s.addRelaxations(st, demands, o, d, out)
	return out
}

// WhyNot lists every constraint that an element misses on one node, beside the
// rest of the decision; none means that it would fit there and cost more, or as
// much. ok is false when the decision knows no such element.
func WhyNot(st State, demands []Demand, o Options, d *Decision, demand, element, node string) (why []Miss, ok bool) {
	s, done := recall(st, demands, o, d)
	if s == nil {
		return nil, false
	}
	defer done()
	k := s.unitNamed(demand, element)
	if k < 0 {
		return nil, false
	}
	n, known := s.snap.Index(node)
	if !known {
		return []Miss{{Node: node, Constraint: "available", Required: "present", Available: "absent"}}, true
	}
	if s.elems[k].at >= 0 {
		s.drop(k)
	}
	for _, m := range s.misses(k, n) {
		why = append(why, m.Miss)
	}
	return why, true
}

func (s *search) unitNamed(demand, element string) int32 {
	for k := range s.demands {
		if ds := &s.demands[k]; ds.c.source.ID == demand {
			if i := ds.c.elementIndex(element); i >= 0 {
				return ds.first + ds.c.unitOf[i]
			}
		}
	}
	return -1
}

// recall loads a search with the state that a decision has decided.
func recall(st State, demands []Demand, o Options, d *Decision) (*search, func()) {
	o = o.withDefaults()
	if o.Validate() != nil || st.validate() != nil || len(d.Outcomes) != len(demands) {
		return nil, nil
	}
	s := claim()
	s.reset(st, o, o.objective())
	s.build(demands)
	for k := range s.demands {
		ds := &s.demands[k]
		out := &d.Outcomes[ds.input]
		ds.waiting = out.Status != Placed
		for _, a := range out.Placement {
			i := ds.c.elementIndex(a.Element)
			n, ok := s.snap.Index(a.Node)
			if i < 0 || !ok {
				s.release()
				return nil, nil
			}
			if u := ds.first + ds.c.unitOf[i]; s.elems[u].at < 0 {
				s.force(u, n)
			}
		}
	}
	return s, s.release
}

// explainAll explains every element of the present state.
func (s *search) explainAll() []Explanation {
	var out []Explanation
	for k := range s.demands {
		ds := &s.demands[k]
		placed := s.placePart(ds)
		for u := ds.first; u < ds.last; u++ {
			out = append(out, s.explainUnit(ds, u)...)
		}
		for _, u := range placed {
			s.drop(u)
		}
	}
	return out
}

// placePart places what can be placed of a waiting demand, so that the rest is
// explained beside it.
func (s *search) placePart(ds *demandState) (placed []int32) {
	if !ds.waiting {
		return nil
	}
	for u := ds.first; u < ds.last; u++ {
		if s.insert(u) {
			placed = append(placed, u)
		}
	}
	return placed
}

func (s *search) explainUnit(ds *demandState, k int32) []Explanation {
	e := &s.elems[k]
	at := e.at
	if at >= 0 {
		s.drop(k)
	}
	x := Explanation{Demand: ds.c.source.ID}
	var better []Runner
	rejected := map[string]*Rejection{}
	for n := range int32(s.snap.Size()) {
		if s.snap.Node(n) == nil {
			continue
		}
		x.Candidates++
		if m := s.misses(k, n); len(m) > 0 {
			reject(rejected, m[0].Miss)
			continue
		}
		x.Fitting++
		if n != at {
			t := s.unitTerms(k, n)
			better = append(better, Runner{Node: s.snap.ID(n), Terms: t, More: t.Total()})
		}
	}
	x.Rejected = rejections(rejected)
	if at >= 0 {
		x.Node, x.Terms = s.snap.ID(at), s.unitTerms(k, at)
		s.force(k, at)
	}
	for i := range better {
		better[i].More -= x.Terms.Total()
	}
	slices.SortStableFunc(better, func(a, b Runner) int { return cmp.Compare(a.More, b.More) })
	x.Runners = better[:min(runners, len(better))]
	return s.perMember(ds, k, x)
}

// perMember writes the explanation of a unit for each of its elements.
func (s *search) perMember(ds *demandState, k int32, x Explanation) []Explanation {
	e := &s.elems[k]
	out := make([]Explanation, 0, len(e.unit.members))
	for i, m := range e.unit.members {
		y := x
		y.Element = ds.c.source.Elements[m].ID
		home := e.home
		if e.homes != nil {
			home = (*e.homes)[i]
		}
		if home >= 0 {
			y.From = s.snap.ID(home)
		}
		if ds.waiting {
			y.Node, y.Terms = "", Terms{}
		}
		y.Kept = y.Node != "" && y.Node == y.From
		y.Reason = s.reason(ds, e, &y)
		out = append(out, y)
	}
	return out
}

func (s *search) reason(ds *demandState, e *elem, x *Explanation) string {
	switch {
	case ds.waiting && x.Fitting > 0:
		return "the slice waits for another of its elements"
	case ds.waiting && len(x.Rejected) > 0:
		r := x.Rejected[0].Nearest
		return fmt.Sprintf("no node of %d fits; the most common cause is %s; nearest %s: %s needed, %s there", x.Candidates, r.Constraint, r.Node, r.Required, r.Available)
	case ds.waiting:
		return "there is no node"
	case x.Kept:
		return fmt.Sprintf("stays on %s: everything it needs still holds there", x.Node)
	}
	var why []string
	if x.From != "" {
		why = append(why, "had to leave "+x.From)
	}
	n, _ := s.snap.Index(x.Node)
	kind := s.snap.Node(n).Kind
	if e.unit.minLatency <= s.obj.LatencyBoundMS {
		why = append(why, fmt.Sprintf("bound by latency (%g ms), drawn to the edge", e.unit.minLatency))
	}
	among := fmt.Sprintf("cheapest of %d nodes that fit", x.Fitting)
	if x.Fitting == 1 {
		among = "the only node that fits"
	}
	why = append(why, fmt.Sprintf("%s: %s (%s), cost %.4g", among, x.Node, kind, x.Terms.Total()))
	return strings.Join(why, "; ")
}

// unitTerms is what a unit that has no node now would cost on n, by cause.
func (s *search) unitTerms(k, n int32) Terms {
	e, node := &s.elems[k], s.snap.Node(n)
	return Terms{Moves: s.moveCost(e, n), Preference: e.pref[s.snap.KindIndex(n)], Traffic: s.traffic(k, n), Balance: s.marginal(n, e),
		Energy: s.obj.Energy * e.unit.cores * node.EnergyPerCPU, Price: s.obj.Price * e.unit.cores * node.PricePerCPU}
}

func reject(all map[string]*Rejection, m Miss) {
	r := all[m.Constraint]
	if r == nil {
		r = &Rejection{Constraint: m.Constraint, Nearest: m}
		all[m.Constraint] = r
	}
	r.Count++
	if len(r.Nodes) < namedNodes {
		r.Nodes = append(r.Nodes, m.Node)
	}
	if m.Relative < r.Nearest.Relative {
		r.Nearest = m
	}
}

func rejections(all map[string]*Rejection) []Rejection {
	out := make([]Rejection, 0, len(all))
	for _, r := range all {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b Rejection) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Constraint, b.Constraint))
	})
	return out
}
