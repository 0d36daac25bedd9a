package placement

import (
	"cmp"
	"slices"

	"github.com/osmoslice/osmoslice/internal/topology"
)

// displacement is a unit that cannot stay, and what says so.
type displacement struct {
	elem  int32
	why   why
	peer  int32 // the other node of a link, or -1
	value float64
	bound float64
	text  string // once it has been described
}

type why uint8

const (
	whyGone       why = iota // node absent or unavailable
	whyUnsuitable            // the node no longer satisfies the element
	whyNode                  // node overloaded
	whyNoLink
	whyLatency
	whyLoss
	whyBandwidth
	whyApart
)

// keepAll puts every unit back where it was, then takes the fewest away until
// all constraints hold. It also proves a lower bound on the moves of any plan
// that serves all: units that no plan can leave (forced), plus per overloaded
// node the fewest that must go, plus a matching of clashes that touch neither.
func (s *search) keepAll() {
	for k := range s.elems {
		s.keepOne(int32(k))
	}
	s.findRows()
	if s.fixed {
		s.giveOut(true)
	}
	s.giveOut(false)
	s.dropFixed()
	clashes := s.clashes()
	over := s.overloaded()
	s.movesBound += s.clashBound(clashes, over)
	s.noteSingle(clashes, over)
	s.solveClashes(clashes)
	for _, n := range over {
		s.relieve(n)
	}
	for k := range s.displaced {
		s.elems[s.displaced[k].elem].moved = true
	}
	s.keptBound()
}

func (s *search) keepOne(k int32) {
	e := &s.elems[k]
	if e.home < 0 || s.opts.Replace {
		e.moved = true
		return
	}
	switch st := s.node(e.home); {
	case !st.up:
		s.displace(k, displacement{elem: k, why: whyGone, peer: -1})
	case !e.sites.has(e.home):
		s.displace(k, displacement{elem: k, why: whyUnsuitable, peer: -1})
	default:
		s.put(k, e.home)
		if e.homes != nil {
			s.movesBound += e.leastMoves()
		}
		return
	}
	s.movesBound += e.leastMoves()
}

// findRows looks up the ledger's rows of all flows in place. Side by side like
// this, one look-up does not wait for the memory that another needs.
func (s *search) findRows() {
	if !s.resident {
		return
	}
	for k := range s.flows {
		f := &s.flows[k]
		if from, to := s.end(f.a), s.end(f.b); from >= 0 && to >= 0 && from != to {
			f.row = s.ledger.links.find(pairKey(from, to))
		}
	}
}

// giveOut gives the flows between placed units what they need, or those of units
// to fixed nodes, and notes which do not hold.
func (s *search) giveOut(fixed bool) {
	for k := range s.flows {
		f := &s.flows[k]
		if (f.a|f.b < 0) != fixed {
			continue
		}
		if from, to := s.end(f.a), s.end(f.b); from != to && from != -1 && to != -1 {
			s.forceFlow(int32(k), from, to)
		}
	}
}

// displace records that a unit cannot stay, and takes it off its node.
func (s *search) displace(k int32, d displacement) {
	if s.elems[k].at >= 0 {
		s.drop(k)
	}
	s.displaced = append(s.displaced, d)
}

// dropFixed displaces units that break a flow to a fixed node: whatever else
// happens, they cannot stay.
func (s *search) dropFixed() {
	for _, x := range s.broken {
		f := &s.flows[x]
		k := max(f.a, f.b)
		if (f.a >= 0 && f.b >= 0) || s.elems[k].at < 0 {
			continue
		}
		d := displacement{elem: k, why: whyNoLink, peer: -1}
		if from, to := s.end(f.a), s.end(f.b); from != unknownNode && to != unknownNode {
			d = s.whyFlow(f, from, to)
			d.elem = k
		}
		if s.elems[k].homes == nil {
			s.movesBound++ // a unit of several homes has been counted
		}
		s.displace(k, d)
	}
}

// leastMoves is how many members of a unit move when its home is lost, at
// least: members with different homes may meet on one of those.
func (e *elem) leastMoves() int {
	if e.homes == nil {
		return 1
	}
	return e.movesTo(e.home)
}

// overloaded lists the nodes given out beyond their capacity.
func (s *search) overloaded() []int32 {
	out := s.over[:0]
	for _, n := range s.touched {
		if st := s.node(n); st.count > 0 && !within(noCapacity, st.free) {
			out = append(out, n)
		}
	}
	s.over = out
	return out
}

// fewest is how many units at least must leave an overloaded node: in each
// dimension the largest that together cover what is missing.
func (s *search) fewest(n int32) (count int, dim int) {
	st := s.node(n)
	for d := range 3 {
		missing := -part(st.free, d)
		if missing <= 0 {
			continue
		}
		sizes := s.sizes[:0]
		for k := st.head; k >= 0; k = s.elems[k].next {
			sizes = append(sizes, part(s.elems[k].req, d))
		}
		s.sizes = sizes
		slices.SortFunc(sizes, func(a, b int64) int { return cmp.Compare(b, a) })
		c := 0
		for _, v := range sizes {
			if missing <= 0 {
				break
			}
			missing -= v
			c++
		}
		if c > count {
			count, dim = c, d
		}
	}
	return count, dim
}

func part(c topology.Capacity, dim int) int64 {
	switch dim {
	case 0:
		return c.CPU
	case 1:
		return c.Memory
	}
	return c.Storage
}

// relieve takes the fewest units off an overloaded node; among equally many,
// small ones, as they are easier to place again.
func (s *search) relieve(n int32) {
	st := s.node(n)
	for st.count > 0 && !within(noCapacity, st.free) {
		left, dim := s.fewest(n)
		k := s.pickOut(n, left, dim)
		v, have := part(s.snap.Capacity(n), dim), part(st.used, dim)
		s.displace(k, displacement{elem: k, why: whyNode, peer: int32(dim), value: float64(v), bound: float64(have)})
	}
}

// pickOut chooses the unit to go when `left` must: the smallest that still
// lets left−1 others cover the rest.
func (s *search) pickOut(n int32, left, dim int) int32 {
	st := s.node(n)
	list := s.ids[:0]
	for k := st.head; k >= 0; k = s.elems[k].next {
		list = append(list, k)
	}
	slices.SortFunc(list, func(a, b int32) int {
		return cmp.Or(cmp.Compare(part(s.elems[a].req, dim), part(s.elems[b].req, dim)), cmp.Compare(a, b))
	})
	s.ids = list
	missing := -part(st.free, dim)
	for i, k := range list {
		sum, others := part(s.elems[k].req, dim), 0
		for j := len(list) - 1; j >= 0 && others < left-1; j-- {
			if j != i {
				sum += part(s.elems[list[j]].req, dim)
				others++
			}
		}
		if sum >= missing {
			return k
		}
	}
	return list[len(list)-1]
}
