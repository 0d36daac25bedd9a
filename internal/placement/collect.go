package placement

import (
	"cmp"
	"slices"
)

// collect makes room for a unit that fits nowhere although enough is left in
// pieces too small for anything: it exchanges units of a node for smaller ones
// of others that have a little to spare, until the pieces together are on one
// node. On failure nothing has changed.
func (s *search) collect(k int32) bool {
	e := &s.elems[k]
	if !s.enoughPieces(e.req) {
		return false
	}
	targets := s.targets(e)
	for _, t := range targets[:min(len(targets), maxTargets)] {
		if s.spent(1) {
			return false
		}
		mark := len(s.trail)
		if s.gather(k, t.node) {
			return true
		}
		s.rewind(mark)
	}
	return false
}

// enoughPieces reports whether all that is left on the nodes looked at is as
// much as a unit needs.
func (s *search) enoughPieces(req capacity) bool {
	s.steps++
	for _, n := range s.touched {
		if st := s.node(n); st.up {
			req = minus(req, capacity{CPU: max(st.free.CPU, 0), Memory: max(st.free.Memory, 0), Storage: max(st.free.Storage, 0)})
			if within(req, noCapacity) {
				return true
			}
		}
	}
	return false
}

// maxTargets is on how many nodes room is collected before giving up.
const maxTargets = 12

// targets lists the sites of a unit by how little they lack.
func (s *search) targets(e *elem) []candidate {
	var out []candidate
	for i := range e.sites.kinds {
		for _, n := range e.sites.byKind[e.sites.kinds[i].kind] {
			if st := s.node(n); st.up {
				out = append(out, candidate{n, s.lack(e.req, st)})
			}
		}
	}
	slices.SortFunc(out, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.cost, b.cost), cmp.Compare(a.node, b.node))
	})
	return out
}

// lack is what a node lacks for a requirement, as a part of its capacity.
func (s *search) lack(req capacity, st *nodeState) (sum float64) {
	for d := range 3 {
		sum += float64(max(part(req, d)-part(st.free, d), 0)) * st.inverse[d]
	}
	return sum
}

// gather collects room for unit k on node n and places it there.
func (s *search) gather(k, n int32) bool {
	e := &s.elems[k]
	st := s.node(n)
	for !within(e.req, st.free) {
		if s.spent(1) || !s.exchangeBest(k, n) {
			return false
		}
	}
	if s.try(k, n) {
		s.trail = append(s.trail, step{k, -1})
		return true
	}
	return false
}

// exchange is a unit of the node that is to gain room, the node it goes to, and
// the unit that comes in its place, or -1.
type exchange struct {
	out, to, in int32
	gain, price float64
}

// exchangeBest carries out the exchange that brings node n furthest towards room
// for unit k: one that is enough, with the least to spare, else the largest.
func (s *search) exchangeBest(k, n int32) bool {
	e, st := &s.elems[k], s.node(n)
	lack := s.lack(e.req, st)
	list := s.swaps[:0]
	for _, to := range s.touched {
		other := s.node(to)
		if to == n || !other.up || !spares(e.req, st.free, other.free) {
			continue
		}
		s.steps++
		if x := s.exchangeWith(e, n, to, lack); x.out >= 0 {
			list = append(list, x)
		}
	}
	s.swaps = list
	slices.SortFunc(list, func(a, b exchange) int {
		ga, gb := min(a.gain, lack), min(b.gain, lack)
		return cmp.Or(cmp.Compare(gb, ga), cmp.Compare(a.price, b.price), cmp.Compare(a.gain, b.gain), cmp.Compare(a.to, b.to))
	})
	for _, x := range list[:min(len(list), 8)] {
		if s.carryOut(n, x) {
			return true
		}
	}
	return false
}

// spares reports whether a node has some of what another one lacks.
func spares(req, free, other capacity) bool {
	return req.CPU > free.CPU && other.CPU > 0 || req.Memory > free.Memory && other.Memory > 0 || req.Storage > free.Storage && other.Storage > 0
}

// exchangeWith finds the best exchange between node n and another one.
func (s *search) exchangeWith(e *elem, n, to int32, lack float64) exchange {
	best := exchange{out: -1}
	st, other := s.node(n), s.node(to)
	for b := st.head; b >= 0; b = s.elems[b].next {
		out := &s.elems[b]
		if out.locked || !out.sites.has(to) {
			continue
		}
		for a := other.head; a >= -1; {
			in, next := capacity{}, int32(-2)
			if a >= 0 {
				in, next = s.elems[a].req, s.elems[a].next
			}
			grow := minus(out.req, in)
			if (a < 0 || !s.elems[a].locked && s.elems[a].sites.has(n)) && within(grow, other.free) {
				after := *st
				after.free = plus(st.free, grow)
				x := exchange{out: b, to: to, in: a, gain: lack - s.lack(e.req, &after), price: s.leaving(b) + s.leaving(a)}
				if x.gain > tiny && (best.out < 0 || betterExchange(&x, &best, lack)) && notShort(st, &after) {
					best = x
				}
			}
			a = next
		}
	}
	return best
}

// notShort reports whether an exchange leaves no resource of the node overdrawn.
func notShort(before, after *nodeState) bool {
	for d := range 3 {
		if f := part(after.free, d); f < 0 && f < part(before.free, d) {
			return false
		}
	}
	return true
}

func betterExchange(a, b *exchange, lack float64) bool {
	ga, gb := min(a.gain, lack), min(b.gain, lack)
	if ga != gb {
		return ga > gb
	}
	if a.price != b.price {
		return a.price < b.price
	}
	return a.gain < b.gain
}

// leaving is 1 for a unit that is at home and would have to move.
func (s *search) leaving(k int32) float64 {
	if k >= 0 && s.elems[k].home >= 0 && s.elems[k].at == s.elems[k].home {
		return 1
	}
	return 0
}

// carryOut makes an exchange, or nothing if links or groups are against it.
func (s *search) carryOut(n int32, x exchange) bool {
	mark := len(s.trail)
	s.lift(x.out)
	if x.in >= 0 {
		s.lift(x.in)
	}
	if s.try(x.out, x.to) {
		s.trail = append(s.trail, step{x.out, -1})
		if x.in < 0 {
			return true
		}
		if s.try(x.in, n) {
			s.trail = append(s.trail, step{x.in, -1})
			return true
		}
	}
	s.rewind(mark)
	return false
}
