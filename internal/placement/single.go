package placement

import (
	"math"
	"slices"
)

// noteSingle notes the units of which exactly one has to move, when that is all
// there is to decide: clashes that each of them settles, or one node that a single
// unit's leaving relieves.
func (s *search) noteSingle(clashes []clash, over []int32) {
	s.single = s.single[:0]
	switch {
	case len(clashes) > 0 && len(over) == 0:
		for _, k := range clashes[0].elems {
			if !slices.ContainsFunc(clashes[1:], func(c clash) bool { return !slices.Contains(c.elems, k) }) {
				s.single = append(s.single, k)
			}
		}
	case len(clashes) == 0 && len(over) == 1:
		if fewest, _ := s.fewest(over[0]); fewest != 1 {
			return
		}
		missing := minus(noCapacity, s.node(over[0]).free)
		for k := s.node(over[0]).head; k >= 0; k = s.elems[k].next {
			if within(missing, s.elems[k].req) {
				s.single = append(s.single, k)
			}
		}
	}
	if len(s.single) > maxSingle {
		s.single = s.single[:0]
	}
}

const maxSingle = 8

// decideSingle tries every unit that could be the one to move, each at its best
// node with all others where they are, and keeps the cheapest. No plan of as
// few moves costs less. It reports whether it has decided.
func (s *search) decideSingle() bool {
	if len(s.single) == 0 || len(s.todo) != 1 || len(s.displaced) != 1 || s.displaced[0].elem != s.todo[0] {
		return false
	}
	first := s.todo[0]
	if s.elems[first].homes != nil {
		return false
	}
	winner, at, least, open := int32(-1), int32(-1), math.Inf(1), false
	for _, k := range s.single {
		e := &s.elems[k]
		if e.homes != nil {
			return false
		}
		if k != first {
			s.force(first, s.elems[first].home)
			s.drop(k)
		}
		if s.holds(e.home) && s.holds(s.elems[first].home) {
			e.least = -1
			s.barred = e.home // its flows may not fit there together, though each by itself does
			n := s.best(k)
			s.barred = -1
			switch {
			case n < 0:
			case s.try(k, n):
				s.drop(k)
				if extra := s.unitCost(k, n) - s.unitCost(k, e.home); extra < least {
					winner, at, least = k, n, extra
				}
			default:
				open = true // perhaps another node takes all of its flows
			}
		}
		if k != first {
			s.force(k, e.home)
			s.drop(first)
		}
	}
	if winner < 0 || open {
		for _, k := range s.single {
			s.elems[k].least = -1
		}
		return false
	}
	if winner != first {
		s.force(first, s.elems[first].home)
		s.drop(winner)
		s.elems[first].moved, s.elems[winner].moved = false, true
		s.displaced[0].elem = winner
		s.todo[0] = winner
	}
	if !s.try(winner, at) {
		return false
	}
	t := s.terms()
	s.bounds.single = t.Total()
	return true
}

// holds reports whether a node, and every pair that has been looked at, is
// within what it can give.
func (s *search) holds(n int32) bool {
	if !within(noCapacity, s.node(n).free) {
		return false
	}
	for k := range s.pairs.list {
		if p := &s.pairs.list[k]; p.flows > 0 && p.free < 0 {
			return false
		}
	}
	return true
}
