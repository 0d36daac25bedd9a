package placement

import (
	"cmp"
	"math"
	"slices"
)

// exact proves the optimum by branch and bound, starting from what the default
// strategy's heuristics find. Within its budget it closes problems of about
// twenty units, more where constraints are tight or costs differ clearly.
func exact(s *search) {
	heuristic(s)
	if len(s.elems) > 0 && s.gapOpen() {
		s.prove()
	}
}

// brancher is the state of one branch and bound. Demands are decided in order
// of service, within each its units from the most to the least constrained; a
// demand is either served whole or waits.
type brancher struct {
	*search
	order []int32       // units
	sites [][]candidate // per unit in order: nodes with their least cost, cheapest first
	opens []bool        // per unit in order: the first of its demand
	best  float64
	at    []int32 // best assignment by unit; -1: its demand waits
	stop  bool
}

// prove searches for a better state than the present one, or proves that there
// is none. It leaves the best found.
func (s *search) prove() {
	t := s.terms()
	b := &brancher{search: s, best: t.Total(), at: make([]int32, len(s.elems))}
	b.save()
	for k := range s.elems {
		if s.elems[k].at >= 0 {
			s.drop(int32(k))
		}
	}
	b.prepare()
	b.branch(0, 0)
	for k, n := range b.at {
		s.demands[s.elems[k].dem].waiting = n < 0
		if n >= 0 {
			s.force(int32(k), n)
		}
	}
	if !b.stop {
		s.bounds.proven, s.closed = b.best, true
		for k := range s.demands {
			s.demands[k].proven = s.demands[k].waiting
		}
	}
}

func (b *brancher) save() {
	for k := range b.elems {
		b.at[k] = b.elems[k].at
	}
}

// prepare orders the units and lists every node each could have by itself.
func (b *brancher) prepare() {
	for _, dem := range b.byRank() {
		d := &b.demands[dem]
		from := len(b.order)
		for k := d.first; k < d.last; k++ {
			b.order = append(b.order, k)
		}
		count := map[int32]int{}
		for _, k := range b.order[from:] {
			count[k] = len(b.alone(k))
		}
		slices.SortStableFunc(b.order[from:], func(x, y int32) int {
			return cmp.Or(cmp.Compare(count[x], count[y]), cmp.Compare(b.elems[y].req.CPU, b.elems[x].req.CPU))
		})
		for i := range b.order[from:] {
			b.opens = append(b.opens, i == 0)
		}
	}
	for _, k := range b.order {
		b.sites = append(b.sites, b.alone(k))
	}
}

// alone lists the nodes that fit a unit when no other is placed, by their cost
// without traffic, which depends on the others.
func (b *brancher) alone(k int32) []candidate {
	list := b.candidates(k, nil)
	for i := range list {
		list[i].cost -= b.traffic(k, list[i].node)
	}
	slices.SortStableFunc(list, func(x, y candidate) int { return cmp.Compare(x.cost, y.cost) })
	return list
}

// branch decides the units from i on; cost is that of those before.
func (b *brancher) branch(i int, cost float64) {
	if b.stop {
		return
	}
	if i == len(b.order) {
		if cost < b.best-1e-9*math.Abs(b.best) {
			b.best = cost
			b.save()
		}
		return
	}
	if cost+b.rest(i) >= b.best-1e-9*math.Abs(b.best) {
		return
	}
	k := b.order[i]
	for _, c := range b.sites[i] {
		if cost+c.cost >= b.best {
			break
		}
		if b.spent(1) {
			b.stop = true
			return
		}
		if !b.try(k, c.node) {
			continue
		}
		e, st := &b.elems[k], &b.nodes[c.node]
		now := b.traffic(k, c.node) + b.static(e, c.node) + b.moveCost(e, c.node) + b.phi(st, noCapacity) - b.phi(st, minus(noCapacity, e.req))
		b.branch(i+1, cost+now)
		b.drop(k)
		if b.stop {
			return
		}
	}
	if b.opens[i] {
		d := &b.demands[b.elems[k].dem]
		b.branch(i+int(d.last-d.first), cost+b.waitPrice(d))
	}
}

// rest is a lower bound on the cost of the units from i on: each at the
// cheapest node that still fits it, each demand not begun at no more than its
// waiting. Infinite when a demand that has begun cannot be finished.
func (b *brancher) rest(i int) float64 {
	sum := 0.0
	for i < len(b.order) {
		d := &b.demands[b.elems[b.order[i]].dem]
		begun := !b.opens[i]
		part := 0.0
		first := b.elems[b.order[i]].dem
		for ; i < len(b.order) && b.elems[b.order[i]].dem == first; i++ {
			part += b.cheapest(i)
		}
		if !begun {
			part = min(part, b.waitPrice(d))
		}
		sum += part
		if math.IsInf(sum, 1) {
			break
		}
	}
	return sum
}

// cheapest is the least a unit can still cost: preference, moves, balance and
// the traffic with what is placed.
func (b *brancher) cheapest(i int) float64 {
	k, best := b.order[i], math.Inf(1)
	for _, c := range b.sites[i] {
		if c.cost >= best {
			break
		}
		b.steps++
		if b.fits(k, c.node) {
			best = min(best, c.cost+b.traffic(k, c.node))
		}
	}
	return best
}
