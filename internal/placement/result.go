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
	for k := range s.demands {
		ds := &s.demands[k]
		out := &d.Outcomes[ds.input]
		switch {
		case ds.waiting:
			out.Status = Waiting
		case s.unchanged(ds):
			out.Status, out.Placement = Placed, ds.held.outcome
			continue
		default:
			out.Status, out.Placement = Placed, s.assignments(ds)
		}
		s.changes(&d, ds)
	}
	for i := range s.displaced {
		s.reportDisplaced(&d, &s.displaced[i])
	}
	s.rows(&d)
	s.reportWaiting(&d)
	d.Plan.Order = s.order(&d.Plan)
	return d
}

func (s *search) assignments(ds *demandState) []Assignment {
	elements := ds.c.source.Elements
	all := make([]Assignment, 0, len(elements))
	if ds.order != nil {
		for _, k := range ds.order {
			all = append(all, Assignment{elements[k].ID, s.snap.ID(s.nodeOf(ds, k))})
		}
		return all
	}
	for k := range elements {
		all = append(all, Assignment{elements[k].ID, s.snap.ID(s.nodeOf(ds, int32(k)))})
	}
	return all
}

// nodeOf is the node of an element of a demand now.
func (s *search) nodeOf(ds *demandState, element int32) int32 {
	return s.elems[ds.first+ds.c.unitOf[element]].at
}

// changes adds a demand's moves to the plan and notes what it will hold.
func (s *search) changes(d *Decision, ds *demandState) {
	next := s.holdingOf(ds)
	if ds.held != nil && !ds.waiting && sameHolding(ds.held, next) {
		return
	}
	elements := ds.c.source.Elements
	id := d.Outcomes[ds.input].Demand
	was := make([]int32, len(elements))
	for k := range was {
		was[k] = -1
	}
	if ds.held != nil {
		for _, h := range ds.held.elements {
			k := h.index
			if !ds.same {
				k = ds.c.elementIndex(h.id)
			}
			if k >= 0 && !ds.waiting {
				was[k] = h.node
				continue
			}
			d.Plan.Remove = append(d.Plan.Remove, Move{Demand: id, Element: h.id, From: s.snap.ID(h.node), Reason: removeReason(ds, k)})
		}
	}
	if ds.waiting {
		if ds.held != nil {
			d.released = append(d.released, id)
			s.delta(ds.held, -1)
		}
		return
	}
	for k := range elements {
		n := s.nodeOf(ds, int32(k))
		switch {
		case was[k] < 0:
			d.Plan.Add = append(d.Plan.Add, Move{Demand: id, Element: elements[k].ID, To: s.snap.ID(n)})
		case was[k] != n:
			d.Plan.Migrate = append(d.Plan.Migrate, Move{Demand: id, Element: elements[k].ID, From: s.snap.ID(was[k]), To: s.snap.ID(n), Reason: s.moveReason(ds.first + ds.c.unitOf[k])})
		}
	}
	next.demand, next.outcome = id, d.Outcomes[ds.input].Placement
	if ds.held != nil {
		s.delta(ds.held, -1)
	}
	s.delta(next, 1)
	d.holdings = append(d.holdings, *next)
}

func removeReason(ds *demandState, k int32) string {
	if ds.waiting && k >= 0 {
		return "its slice must wait"
	}
	return "no longer part of the slice"
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
func (s *search) holdingOf(ds *demandState) *holding {
	h := &holding{spec: ds.c}
	if ds.waiting {
		return h
	}
	elements := ds.c.source.Elements
	h.elements = make([]heldElement, 0, len(elements))
	add := func(k int32) {
		h.elements = append(h.elements, heldElement{elements[k].ID, k, s.nodeOf(ds, k), elements[k].Requirements.Hardware()})
	}
	if ds.order != nil {
		for _, k := range ds.order {
			add(k)
		}
	} else {
		for k := range elements {
			add(int32(k))
		}
	}
	fbase := int32(0)
	if ds.last > ds.first {
		fbase = s.elems[ds.first].fbase
	}
	h.flows = make([]heldFlow, 0, len(ds.c.flows))
	for k := range ds.c.flows {
		f := &s.flows[fbase+int32(k)]
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
		x, y := &a.elements[k], &b.elements[k]
		if x.id != y.id || x.node != y.node || x.take != y.take {
			return false
		}
	}
	return a.spec == b.spec || a.spec == nil
}

// delta notes what a holding changes in the ledger's rows.
func (s *search) delta(h *holding, sign int64) {
	for k := range h.elements {
		e := &h.elements[k]
		st := s.node(e.node)
		if !st.changed {
			st.changed = true
			s.rowsChanged = append(s.rowsChanged, e.node)
		}
		st.delta.CPU += sign * e.take.CPU
		st.delta.Memory += sign * e.take.Memory
		st.delta.Storage += sign * e.take.Storage
	}
	for _, f := range h.flows {
		s.pair(f.pair.From, f.pair.To).delta += sign * f.kbit
	}
}

// rows lists the ledger rows that the plan changes, with their versions.
func (s *search) rows(d *Decision) {
	for _, n := range s.rowsChanged {
		if st := s.node(n); st.delta != noCapacity {
			d.Rows = append(d.Rows, RowUse{From: s.snap.ID(n), Version: s.nodeVersion(n), Take: st.delta})
		}
	}
	for k := range s.pairs.list {
		if p := &s.pairs.list[k]; p.delta != 0 {
			d.Rows = append(d.Rows, RowUse{From: s.snap.ID(p.from), To: s.snap.ID(p.to), Version: s.linkVersion(p.from, p.to), Kbit: p.delta})
		}
	}
}

func (s *search) nodeVersion(n int32) uint64 {
	if r := s.ledger.nodeRow(n); r != nil {
		return r.version
	}
	return 0
}

func (s *search) linkVersion(from, to int32) uint64 {
	if r := s.ledger.linkRowOf(pairKey(from, to)); r != nil {
		return r.version
	}
	return 0
}

func (s *search) reportDisplaced(d *Decision, x *displacement) {
	e := &s.elems[x.elem]
	c := s.demands[e.dem].c
	for i, m := range e.unit.members {
		home := e.home
		if e.homes != nil {
			home = e.homes[i]
		}
		if home >= 0 {
			d.Displaced = append(d.Displaced, Move{Demand: d.Outcomes[s.demands[e.dem].input].Demand,
				Element: c.source.Elements[m].ID, From: s.snap.ID(home), Reason: s.cause(x)})
		}
	}
}
