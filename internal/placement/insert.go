package placement

import (
	"cmp"
	"math"
	"slices"
)

// candidate is a node that fits a unit, with the cost of putting it there.
type candidate struct {
	node int32
	cost float64
}

// moveCost is what having a unit on n costs in moves.
func (s *search) moveCost(e *elem, n int32) float64 {
	if e.home < 0 {
		return 0
	}
	return s.obj.Move * float64(e.movesTo(n))
}

// best finds the cheapest node that fits a unit beside everything placed now,
// -1 when there is none. On the way it proves the unit's least cost.
func (s *search) best(k int32) int32 {
	e := &s.elems[k]
	found := candidate{-1, math.Inf(1)}
	away := 0.0
	if e.home >= 0 {
		away = s.obj.Move * float64(e.leastMoves())
		if s.node(e.home).up && e.sites.has(e.home) && s.fits(k, e.home) {
			found = candidate{e.home, s.moveCost(e, e.home) + s.static(e, e.home) + s.marginal(e.home, e) + s.traffic(k, e.home)}
		}
	}
	least := math.Inf(1)
	near, far := s.neighbours(k)
	for _, kind := range s.kindsByCost(e) {
		nodes, prices := e.sites.byKind[kind], e.sites.unit[kind]
		for j, n := range nodes {
			static := e.pref[kind] + e.unit.cores*prices[j]
			if static >= least && static+away+far >= found.cost && len(near) == 0 {
				break // sorted: no later node of this kind is better
			}
			s.steps++
			st := s.node(n)
			if !st.up {
				continue
			}
			least = min(least, static+s.baseMarginal(st, e.req))
			if !within(e.req, st.free) {
				continue
			}
			cost := static + s.phi(st, e.req) - s.phi(st, noCapacity)
			if e.home >= 0 {
				cost += s.moveCost(e, n)
			}
			if cost+far-s.saved(near, n) >= found.cost {
				continue
			}
			cost += far - s.saved(near, n)
			if cost < found.cost && s.apartOK(k, n) && s.flowsOK(k, n) {
				found = candidate{n, cost}
			}
		}
	}
	if e.least < 0 && !math.IsInf(least, 1) {
		e.least = least
	}
	return found.node
}

// neighbour is a node with flows to or from a unit.
type neighbour struct {
	node  int32
	flows int
}

// neighbours are the nodes that hold the other ends of a unit's flows, and what
// those flows cost if the unit is on none of them.
func (s *search) neighbours(k int32) (list []neighbour, all float64) {
	list = s.near[:0]
	e := &s.elems[k]
	for _, x := range e.unit.adj {
		f := &s.flows[e.fbase+x]
		other := f.a
		if other == k {
			other = f.b
		}
		n := s.end(other)
		if n == -1 {
			continue
		}
		all += s.obj.Traffic
		i := 0
		for i < len(list) && list[i].node != n {
			i++
		}
		if i == len(list) {
			list = append(list, neighbour{n, 0})
		}
		list[i].flows++
	}
	s.near = list
	return list, all
}

// saved is the traffic that a unit on n spares.
func (s *search) saved(near []neighbour, n int32) float64 {
	for i := range near {
		if near[i].node == n {
			return s.obj.Traffic * float64(near[i].flows)
		}
	}
	return 0
}

func (s *search) marginal(n int32, e *elem) float64 {
	st := s.node(n)
	return s.phi(st, e.req) - s.phi(st, noCapacity)
}

// kindsByCost lists the kinds that have sites, the cheapest first.
func (s *search) kindsByCost(e *elem) []int {
	var order [kindCount]int
	var cost [kindCount]float64
	n := 0
	for k := range kindCount {
		if len(e.sites.byKind[k]) == 0 {
			continue
		}
		c := e.pref[k] + e.unit.cores*e.sites.unit[k][0]
		i := n
		for ; i > 0 && cost[i-1] > c; i-- {
			order[i], cost[i] = order[i-1], cost[i-1]
		}
		order[i], cost[i] = k, c
		n++
	}
	s.kinds = append(s.kinds[:0], order[:n]...)
	return s.kinds
}

// candidates lists every node that fits a unit now, the cheapest first.
func (s *search) candidates(k int32, out []candidate) []candidate {
	e := &s.elems[k]
	for kind := range e.sites.byKind {
		for j, n := range e.sites.byKind[kind] {
			s.steps++
			if st := s.node(n); st.up && within(e.req, st.free) && s.apartOK(k, n) && s.flowsOK(k, n) {
				out = append(out, candidate{n, e.pref[kind] + e.unit.cores*e.sites.unit[kind][j] + s.marginal(n, e) + s.moveCost(e, n) + s.traffic(k, n)})
			}
		}
	}
	slices.SortFunc(out, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.cost, b.cost), cmp.Compare(a.node, b.node))
	})
	return out
}

// insert places a unit on the cheapest node that takes it.
func (s *search) insert(k int32) bool {
	n := s.best(k)
	if n < 0 {
		return false
	}
	if s.try(k, n) {
		s.trail = append(s.trail, step{k, -1})
		return true
	}
	// Several of its flows share a pair that only holds some of them.
	for _, c := range s.candidates(k, nil) {
		if s.try(k, c.node) {
			s.trail = append(s.trail, step{k, -1})
			return true
		}
	}
	return false
}

// step is one entry of the trail: where a unit was before.
type step struct {
	elem, was int32
}

// lift takes a unit off its node, on the trail.
func (s *search) lift(k int32) {
	s.trail = append(s.trail, step{k, s.elems[k].at})
	s.drop(k)
}

// rewind takes back everything since a mark of the trail. The state before was
// within all constraints, so putting units back needs no check.
func (s *search) rewind(mark int) {
	for i := len(s.trail) - 1; i >= mark; i-- {
		t := s.trail[i]
		if s.elems[t.elem].at >= 0 {
			s.drop(t.elem)
		}
		if t.was >= 0 {
			s.force(t.elem, t.was)
		}
	}
	s.trail = s.trail[:mark]
}
