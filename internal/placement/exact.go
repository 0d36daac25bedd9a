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
	mayWait  bool
	order    []int32       // units
	sites    [][]candidate // per unit in order: nodes with their least cost, cheapest first
	standing [][]float64   // per unit and site: the traffic in that cost
	after    []float64     // per unit in order: least cost of those from it on
	opens    []bool        // per unit in order: the first of its demand
	best     float64
	lists    [][]candidate // per unit: where it may be in a better state; nil: not known
	least    []float64     // per unit: what it costs at least
	at       []int32       // best assignment by unit; -1: its demand waits
	stop     bool
	unlisted bool // there were too many nodes
}

// prove searches for a better state than the present one, or proves that there
// is none. It leaves the best found.
func (s *search) prove() {
	t := s.terms()
	b := &brancher{search: s, best: t.Total(), at: make([]int32, len(s.elems)), mayWait: true}
	b.save()
	for k := range s.elems {
		if s.elems[k].at >= 0 {
			s.drop(int32(k))
		}
	}
	if b.narrow(nil, 0) && b.lists != nil {
		b.bounds.root = max(b.bounds.root, b.searchTrees(nil, 0))
	} else if b.lists == nil && !b.stop {
		for _, dem := range s.byRank() {
			b.add(s.demands[dem].first, s.demands[dem].last, nil)
		}
		b.run(0)
	}
	b.restore()
	if !b.stop {
		s.bounds.proven, s.closed = b.best, true
		for k := range s.demands {
			s.demands[k].proven = s.demands[k].waiting
		}
	}
}

// proveFewest searches only over the units that need a new node or may be the
// ones that must move, with all others where they are. Every plan of fewest
// moves is among those, so none costs less than what it proves. It answers false
// when there are more nodes than it can search.
func (s *search) proveFewest() bool {
	for k := range s.demands {
		if s.demands[k].waiting {
			return true
		}
	}
	need := map[int32]bool{}
	for _, k := range s.todo {
		need[k] = true
	}
	for _, k := range s.choice {
		need[k] = true
	}
	for k := range s.elems {
		if e := &s.elems[k]; !need[int32(k)] && (e.unsure || e.at != e.home) {
			return true // some other unit had to make room
		}
	}
	t := s.terms()
	b := &brancher{search: s, best: t.Total(), at: make([]int32, len(s.elems))}
	b.save()
	for k := range s.elems {
		if need[int32(k)] && s.elems[k].at >= 0 {
			s.drop(int32(k))
		}
	}
	t = s.terms()
	least := 0.0
	if b.narrow(need, t.Total()) && b.lists != nil {
		least = b.searchTrees(need, t.Total())
	} else if b.lists == nil && !b.stop {
		for k := range s.demands {
			b.add(s.demands[k].first, s.demands[k].last, need)
		}
		b.run(t.Total())
	}
	b.restore()
	if !b.stop {
		s.bounds.single = b.best
	} else {
		s.bounds.single = least
	}
	return !b.unlisted
}

func (b *brancher) save() {
	for k := range b.elems {
		b.at[k] = b.elems[k].at
	}
}

// restore puts all units where the best state has them.
func (b *brancher) restore() {
	for k := range b.elems {
		if b.elems[k].at >= 0 {
			b.drop(int32(k))
		}
	}
	for k, n := range b.at {
		if b.mayWait {
			b.demands[b.elems[k].dem].waiting = n < 0
		}
		if n >= 0 {
			b.force(int32(k), n)
		}
	}
}

// add orders the units of a demand, or those needed, by their number of nodes.
func (b *brancher) add(first, last int32, need map[int32]bool) {
	from := len(b.order)
	for k := first; k < last; k++ {
		if need == nil || need[k] {
			b.order = append(b.order, k)
		}
	}
	list := map[int32][]candidate{}
	for _, k := range b.order[from:] {
		list[k] = b.options(k)
	}
	slices.SortStableFunc(b.order[from:], func(x, y int32) int {
		return cmp.Or(cmp.Compare(len(list[x]), len(list[y])), cmp.Compare(b.elems[y].req.CPU, b.elems[x].req.CPU))
	})
	for i, k := range b.order[from:] {
		standing := make([]float64, len(list[k]))
		for j, c := range list[k] {
			standing[j] = b.traffic(k, c.node)
		}
		b.sites = append(b.sites, list[k])
		b.standing = append(b.standing, standing)
		b.opens = append(b.opens, i == 0)
	}
}

// run branches over all units added; cost is that of what is placed already.
func (b *brancher) run(cost float64) {
	b.after = make([]float64, len(b.order)+1)
	for i := len(b.order) - 1; i >= 0; i-- {
		b.after[i] = b.after[i+1]
		if len(b.sites[i]) > 0 {
			least := b.sites[i][0].cost
			if b.mayWait {
				least = min(least, b.waitPrice(&b.demands[b.elems[b.order[i]].dem])/float64(len(b.order)))
			}
			b.after[i] += least
		}
	}
	b.branch(0, cost)
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
	for j, c := range b.sites[i] {
		if cost+c.cost+b.after[i+1] >= b.best {
			break // sorted: no later node is cheaper
		}
		if cost+c.cost+b.traffic(k, c.node)-b.standing[i][j]+b.after[i+1] >= b.best {
			continue
		}
		if b.spent(1) {
			b.stop = true
			return
		}
		if !b.try(k, c.node) {
			continue
		}
		e, st := &b.elems[k], b.node(c.node)
		now := b.traffic(k, c.node) + b.static(e, c.node) + b.moveCost(e, c.node) + b.phi(st, noCapacity) - b.phi(st, minus(noCapacity, e.req))
		b.branch(i+1, cost+now)
		b.drop(k)
		if b.stop {
			return
		}
	}
	if b.opens[i] && b.mayWait {
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
		part, floors := 0.0, d.crossing
		first := b.elems[b.order[i]].dem
		for ; i < len(b.order) && b.elems[b.order[i]].dem == first; i++ {
			part += b.cheapest(i)
			floors += b.elems[b.order[i]].floor
		}
		if !begun && b.mayWait { // crossing is beyond the floors, not beyond what its units cost now
			part = min(max(part, floors), b.waitPrice(d))
		}
		sum += part
		if math.IsInf(sum, 1) {
			break
		}
	}
	return sum
}

// cheapest is the least a unit can still cost: preference, moves, balance and
// the traffic with what is placed. Away from all that it exchanges traffic with,
// its cheapest node that fits is the one; nodes of those are looked at apart.
func (b *brancher) cheapest(i int) float64 {
	k, best := b.order[i], math.Inf(1)
	near, _, _ := b.neighbours(k)
	for _, x := range near {
		b.steps++
		if x.node >= 0 && b.elems[k].sites.has(x.node) && b.fits(k, x.node) {
			best = min(best, b.unitCost(k, x.node))
		}
	}
	for j, c := range b.sites[i] {
		if c.cost >= best {
			break
		}
		b.steps++
		if !slices.ContainsFunc(near, func(x neighbour) bool { return x.node == c.node }) && b.fits(k, c.node) {
			return min(best, c.cost+b.traffic(k, c.node)-b.standing[i][j])
		}
	}
	return best
}
