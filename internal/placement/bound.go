package placement

import (
	"math"

	"github.com/osmoslice/osmoslice/internal/topology"
)

// boundParts are sums for the lower bound, all without moves.
type boundParts struct {
	sure   float64 // exact cost of the units that stay in every plan of fewest moves
	unsure float64 // least cost of units on nodes where someone must go
	all    float64 // least cost of all units, wherever they are
	proven float64 // an optimum proven by search; valid when search.closed
	waits  int     // demands that no plan can serve beside the others, at least
}

// keptBound sums what the kept units cost. In a plan with no more than
// movesBound moves every unit outside choice stays, so its cost is exact.
func (s *search) keptBound() {
	b := &s.bounds
	for _, k := range s.choice {
		s.elems[k].unsure = true
	}
	for k := range s.elems {
		e := &s.elems[k]
		e.least = -1
		e.unsure = e.unsure || e.homes != nil
		if e.unsure {
			at := s.leastStatic(e)
			if e.at >= 0 {
				at = min(at, s.static(e, e.at))
			}
			b.unsure += at
		}
	}
	for k := range s.flows {
		f := &s.flows[k]
		if from, to := s.end(f.a), s.end(f.b); from != to && from != -1 && to != -1 && (f.a < 0 || !s.elems[f.a].unsure) && (f.b < 0 || !s.elems[f.b].unsure) {
			b.sure += s.obj.Traffic
		}
	}
	for _, n := range s.touched {
		st := &s.nodes[n]
		if st.count == 0 {
			continue
		}
		sure, static := true, 0.0
		for k := st.head; k >= 0; k = s.elems[k].next {
			e := &s.elems[k]
			sure = sure && !e.unsure
			if !e.unsure {
				static += s.static(e, n)
			}
		}
		if sure {
			st.base = st.used
			static += s.phi(st, noCapacity) - st.basePhi
		}
		b.sure += static
	}
}

// leastStatic is the least preference, energy and price of a unit on any site.
func (s *search) leastStatic(e *elem) float64 {
	least := math.Inf(1)
	for k := range e.sites.byKind {
		if len(e.sites.byKind[k]) > 0 {
			least = min(least, e.pref[k]+e.unit.cores*e.sites.unit[k][0])
		}
	}
	if math.IsInf(least, 1) {
		return 0
	}
	return least
}

// baseMarginal is the balance cost of a unit on a node beside the units that
// stay in every plan of fewest moves: never more than in such a plan.
func (s *search) baseMarginal(st *nodeState, req topology.Capacity) float64 {
	if st.base == st.used {
		return s.phi(st, req) - s.phi(st, noCapacity)
	}
	at := nodeState{used: st.base, inverse: st.inverse}
	return s.phi(&at, req) - s.phi(&at, noCapacity)
}

// bound is a proven lower bound on the cost of any decision: the least of
// plans that serve all with the fewest moves, of those with one move more, and
// of those in which a demand waits.
func (s *search) bound() float64 {
	if s.closed {
		return s.bounds.proven
	}
	b := s.bounds
	wait := math.Inf(1)
	for k := range s.demands {
		wait = min(wait, s.waitPrice(&s.demands[k]))
	}
	if b.waits > 0 {
		return wait * float64(b.waits)
	}
	fewest := s.obj.Move*float64(s.movesBound) + b.sure + b.unsure
	more := s.obj.Move * float64(s.movesBound+1)
	for k := range s.elems {
		e := &s.elems[k]
		least := s.leastStatic(e)
		more += least
		if e.moved && !e.unsure {
			fewest += max(least, e.least)
		}
	}
	if !s.anyHeld() {
		more = math.Inf(1)
	}
	return max(0, min(fewest, more, wait))
}

func (s *search) anyHeld() bool {
	for k := range s.elems {
		if s.elems[k].home >= 0 {
			return true
		}
	}
	return false
}
