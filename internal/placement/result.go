package placement

import (
	"slices"

	"github.com/osmoslice/osmoslice/internal/topology"
)

// decision writes down the state that a strategy has left.
func (s *search) decision(outcomes []Outcome) Decision {
	d := Decision{Revision: s.snap.Revision(), Model: s.opts.Model, Strategy: s.opts.Strategy, ledger: s.ledger,
		Outcomes: outcomes, MovesBound: s.movesBound, Steps: s.steps, BudgetHit: s.budgetHit, Backstop: s.backstop}
	if s.opts.Replace {
		d.MovesBound = 0
	}
	d.Terms = s.terms()
	d.Cost = d.Terms.Total()
	d.Bound = min(s.bound(), d.Cost)
	d.gap()
	if !s.opts.Replace {
		d.MovesBound = max(d.MovesBound, s.movesBy(d.Bound))
	}
	s.plan = Plan{Remove: s.plan.Remove[:0], Migrate: s.plan.Migrate[:0], Add: s.plan.Add[:0]}
	differ := s.ids[:0]
	for k := range s.demands {
		ds := &s.demands[k]
		out := &d.Outcomes[ds.input]
		switch {
		case ds.waiting:
			out.Status = Waiting
			s.releases(&d, ds)
		case s.unchanged(ds):
			out.Status, out.Placement = Placed, ds.held.outcome
		default:
			out.Status = Placed
			differ = append(differ, int32(k))
		}
	}
	s.ids = differ
	if len(differ) > 0 {
		d.holdings = make([]holding, 0, len(differ))
	}
	for _, k := range differ {
		s.changes(&d, &s.demands[k])
	}
	d.Plan = Plan{Remove: exactly(s.plan.Remove), Migrate: exactly(s.plan.Migrate), Add: exactly(s.plan.Add)}
	if len(s.displaced) > 0 {
		d.Displaced = make([]Move, 0, len(s.displaced))
	}
	for i := range s.displaced {
		s.reportDisplaced(&d, &s.displaced[i])
	}
	s.rows(&d)
	s.reportWaiting(&d)
	d.Plan.Order = s.order()
	return d
}

// piece answers an empty list with room for n, cut from one that several
// demands share: one allocation for many of them, few enough that a demand which
// keeps its piece does not keep much of others'.
func piece[T any](from *[]T, n, all int) []T {
	if cap(*from) < n {
		*from = make([]T, 0, max(n, min(all, pieces)))
	}
	p := (*from)[:0:n]
	*from = (*from)[n:cap(*from)][:0]
	return p
}

// pieces is how many entries are allocated together.
const pieces = 64

// exactly copies a list to one of its length.
func exactly(list []Move) []Move {
	if len(list) == 0 {
		return nil
	}
	return append(make([]Move, 0, len(list)), list...)
}

func (s *search) assignments(ds *demandState) []Assignment {
	all := piece(&s.outcome, len(ds.c.ids), len(s.elems))
	if ds.order != nil {
		for _, k := range ds.order {
			all = append(all, Assignment{ds.c.ids[k], s.snap.ID(s.nodeOf(ds, k))})
		}
		return all
	}
	for k, id := range ds.c.ids {
		all = append(all, Assignment{id, s.snap.ID(s.nodeOf(ds, int32(k)))})
	}
	return all
}

// nodeOf is the node of an element of a demand now.
func (s *search) nodeOf(ds *demandState, element int32) int32 {
	return s.elems[ds.first+ds.c.unitOf[element]].at
}

// changes adds the moves of a placed demand to the plan and notes what it will
// hold.
func (s *search) changes(d *Decision, ds *demandState) {
	out := &d.Outcomes[ds.input]
	out.Placement = s.assignments(ds)
	next := s.holdingOf(ds)
	if ds.held != nil && sameHolding(ds.held, &next) {
		return
	}
	id, ids, was := out.Demand, ds.c.ids, s.wasAt(d, ds)
	for k := range ids {
		n := s.nodeOf(ds, int32(k))
		if was[k] != n {
			s.delta(n, ds.c.takes[k], 1)
		}
		switch {
		case was[k] < 0:
			s.plan.Add = append(s.plan.Add, Move{Demand: id, Element: ids[k], To: s.snap.ID(n)})
			s.planned[2] = append(s.planned[2], change{from: -1, to: n, req: ds.c.takes[k]})
		case was[k] != n:
			s.plan.Migrate = append(s.plan.Migrate, Move{Demand: id, Element: ids[k], From: s.snap.ID(was[k]), To: s.snap.ID(n), Reason: s.moveReason(ds.first + ds.c.unitOf[k])})
			s.planned[1] = append(s.planned[1], change{from: was[k], to: n, req: ds.c.takes[k]})
		}
	}
	s.flowsDiffer(ds)
	next.demand, next.outcome = id, out.Placement
	d.holdings = append(d.holdings, next)
}

// wasAt answers the node that each element of a placed demand has held, -1: none.
// It removes what the demand no longer has, and notes what that and elements
// that have left their node give back.
func (s *search) wasAt(d *Decision, ds *demandState) []int32 {
	was := s.was[:0]
	for range ds.c.ids {
		was = append(was, -1)
	}
	s.was = was
	if ds.held == nil {
		return was
	}
	for i, h := range ds.held.elements {
		k, take := s.indexHeld(ds, i), ds.held.takeOf(h)
		switch {
		case k < 0:
			s.remove(d, ds, h, "no longer part of the slice")
			s.delta(h.node, take, -1)
			continue
		case s.nodeOf(ds, k) != h.node:
			s.delta(h.node, take, -1)
		case take != ds.c.takes[k]:
			s.delta(h.node, minus(ds.c.takes[k], take), 1)
		}
		was[k] = h.node
	}
	return was
}

// flowsDiffer notes what a placed demand's flows give back and take.
func (s *search) flowsDiffer(ds *demandState) {
	if ds.held != nil {
		s.flowsGiven(ds.held)
	}
	for k := range ds.c.flows {
		if f := &s.flows[ds.flows+int32(k)]; f.pair >= 0 {
			s.pairs.list[f.pair].delta += f.kbit
		}
	}
}

// releases ends what a demand that must wait holds.
func (s *search) releases(d *Decision, ds *demandState) {
	if ds.held == nil {
		return
	}
	for i := range ds.held.elements {
		reason := "its slice must wait"
		if s.indexHeld(ds, i) < 0 {
			reason = "no longer part of the slice"
		}
		s.remove(d, ds, ds.held.elements[i], reason)
	}
	d.released = append(d.released, d.Outcomes[ds.input].Demand)
	for _, h := range ds.held.elements {
		s.delta(h.node, ds.held.takeOf(h), -1)
	}
	s.flowsGiven(ds.held)
}

func (s *search) remove(d *Decision, ds *demandState, h heldElement, reason string) {
	s.plan.Remove = append(s.plan.Remove, Move{Demand: d.Outcomes[ds.input].Demand, Element: ds.held.idOf(h), From: s.snap.ID(h.node), Reason: reason})
	s.planned[0] = append(s.planned[0], change{from: h.node, to: -1, req: ds.held.takeOf(h)})
}

// indexHeld is the position of a held element in the demand as it is now.
func (s *search) indexHeld(ds *demandState, at int) int32 {
	if ds.same {
		return ds.held.elements[at].index
	}
	return s.nowAt[ds.now+int32(at)]
}

// moveReason says why a unit moved.
func (s *search) moveReason(k int32) string {
	for i := range s.displaced {
		if s.displaced[i].elem == k {
			return s.cause(&s.displaced[i])
		}
	}
	switch {
	case s.opts.Replace:
		return "everything was placed again"
	case s.elems[k].returned:
		return "a better suited node has room again"
	}
	return "moved to make room: no plan was found without moving it"
}

// cause is describe, written once.
func (s *search) cause(d *displacement) string {
	if d.text == "" {
		d.text = s.describe(d)
	}
	return d.text
}

// unchanged reports, without writing anything down, that a demand decided from
// the same compiled form stays exactly as it is.
func (s *search) unchanged(ds *demandState) bool {
	if !ds.same || ds.waiting || ds.held.outcome == nil || ds.order != nil && !s.sameOrder(ds) {
		return false
	}
	for k := ds.first; k < ds.last; k++ {
		if e := &s.elems[k]; e.at != e.home || e.homes != nil {
			return false
		}
	}
	return len(ds.held.elements) == len(ds.c.source.Elements)
}

// sameOrder reports whether a strategy that orders placements keeps this one's.
func (s *search) sameOrder(ds *demandState) bool {
	return slices.EqualFunc(ds.order, ds.held.elements, func(k int32, h heldElement) bool { return k == h.index })
}

// holdingOf is what a placed demand will hold.
func (s *search) holdingOf(ds *demandState) holding {
	c := ds.c
	h := holding{spec: c, elements: piece(&s.heldElems, len(c.ids), len(s.elems))}
	if ds.order != nil {
		for _, k := range ds.order {
			h.elements = append(h.elements, heldElement{k, s.nodeOf(ds, k)})
		}
	} else {
		for k := range c.ids {
			h.elements = append(h.elements, heldElement{int32(k), s.nodeOf(ds, int32(k))})
		}
	}
	h.flows = piece(&s.heldFlows, len(c.flows), len(s.flows))
	for k := range c.flows {
		f := &s.flows[ds.flows+int32(k)]
		if from, to := s.end(f.a), s.end(f.b); from != to && f.kbit > 0 && from >= 0 && to >= 0 {
			h.flows = append(h.flows, heldFlow{topology.Pair{From: from, To: to}, f.kbit})
		}
	}
	return h
}

func sameHolding(a, b *holding) bool {
	if len(a.elements) != len(b.elements) || !slices.Equal(a.flows, b.flows) {
		return false
	}
	for k := range a.elements {
		x, y := a.elements[k], b.elements[k]
		if x.node != y.node || a.idOf(x) != b.idOf(y) || a.takeOf(x) != b.takeOf(y) {
			return false
		}
	}
	return a.spec == b.spec || a.restored
}

// delta notes what the plan changes in a node's row.
func (s *search) delta(n int32, take capacity, sign int64) {
	st := s.node(n)
	if !st.changed {
		st.changed = true
		s.rowsChanged = append(s.rowsChanged, n)
	}
	st.delta.CPU += sign * take.CPU
	st.delta.Memory += sign * take.Memory
	st.delta.Storage += sign * take.Storage
}

// flowsGiven notes that a holding's flows give back what they have.
func (s *search) flowsGiven(h *holding) {
	for _, f := range h.flows {
		s.pair(f.pair.From, f.pair.To).delta -= f.kbit
	}
}

// rows lists the ledger rows that the plan changes, with their versions.
func (s *search) rows(d *Decision) {
	count := 0
	for _, n := range s.rowsChanged {
		if s.node(n).delta != noCapacity {
			count++
		}
	}
	for k := range s.pairs.list {
		if s.pairs.list[k].delta != 0 {
			count++
		}
	}
	if count == 0 {
		return
	}
	d.Rows = make([]RowUse, 0, count)
	for _, n := range s.rowsChanged {
		if st := s.node(n); st.delta != noCapacity {
			d.Rows = append(d.Rows, RowUse{From: s.snap.ID(n), Version: s.nodeVersion(n), Take: st.delta})
		}
	}
	for k := range s.pairs.list {
		if p := &s.pairs.list[k]; p.delta != 0 {
			d.Rows = append(d.Rows, RowUse{From: s.snap.ID(p.from), To: s.snap.ID(p.to), Version: s.linkVersion(p), Kbit: p.delta})
		}
	}
}

func (s *search) nodeVersion(n int32) uint64 {
	if r := s.ledger.nodeRow(n); r != nil {
		return r.version
	}
	return 0
}

func (s *search) linkVersion(p *pairState) uint64 {
	if p.row < 0 {
		return 0
	}
	return s.ledger.links.list[p.row].version
}

func (s *search) reportDisplaced(d *Decision, x *displacement) {
	e := &s.elems[x.elem]
	c := s.demands[e.dem].c
	for i, m := range e.unit.members {
		home := e.home
		if e.homes != nil {
			home = (*e.homes)[i]
		}
		if home >= 0 {
			d.Displaced = append(d.Displaced, Move{Demand: d.Outcomes[s.demands[e.dem].input].Demand,
				Element: c.ids[m], From: s.snap.ID(home), Reason: s.cause(x)})
		}
	}
}
