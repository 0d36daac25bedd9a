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
	if b.narrow(nil, 0) {
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
// moves is among those, so none costs less than what it proves.
func (s *search) proveFewest() {
	for k := range s.demands {
		if s.demands[k].waiting {
			return
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
			return // some other unit had to make room
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
	if b.narrow(need, t.Total()) {
		for k := range s.demands {
			b.add(s.demands[k].first, s.demands[k].last, need)
		}
		b.run(t.Total())
	}
	b.restore()
	if !b.stop {
		s.bounds.single = b.best
	}
}

// maxOptions is how many nodes in all the default strategy branches over.
const maxOptions = 2000

// narrow lists for every unit the nodes that it may be on in any state better
// than the best known, from what every unit costs at least beside those not
// branched over. It reports whether there is something to search for, in
// reasonable time. With need given, only states of fewest moves count: those
// pay the same for moves, which therefore say nothing about where units are.
func (b *brancher) narrow(need map[int32]bool, cost float64) bool {
	for k := range b.demands {
		if b.demands[k].waiting || b.waitPrice(&b.demands[k]) <= b.best {
			return b.mayListAll()
		}
	}
	best, obj := b.best, b.obj
	if need != nil {
		best -= obj.Move * float64(b.movesBound)
		b.objMove(0)
		defer func() { b.obj = obj }()
	}
	b.lists, b.least = make([][]candidate, len(b.elems)), make([]float64, len(b.elems))
	for k := range b.elems {
		if need != nil && !need[int32(k)] {
			continue
		}
		known := b.elems[k].least
		n := b.search.best(int32(k))
		b.elems[k].least = known
		if n < 0 {
			b.lists = nil
			return b.mayListAll()
		}
		b.least[k] = b.unitCost(int32(k), n)
		cost += b.least[k]
	}
	if cost >= best-1e-9*math.Abs(b.best) || !b.listAll(need, best-cost) {
		return false
	}
	spare := best - cost - b.linksFloor(need)
	for k, list := range b.lists {
		b.lists[k] = slices.DeleteFunc(list, func(c candidate) bool { return c.cost > b.least[k]+spare })
	}
	return spare > 1e-9*math.Abs(b.best)
}

// mayListAll reports whether a search over all nodes is affordable.
func (b *brancher) mayListAll() bool {
	if b.opts.Strategy != "exact" && b.candidateCount() > maxOptions {
		b.stop = true
	}
	return !b.stop
}

// listAll lists for every unit the nodes that cost at most so much more than the
// cheapest; false when those are too many.
func (b *brancher) listAll(need map[int32]bool, spare float64) bool {
	count := 0
	for k := range b.elems {
		if need != nil && !need[int32(k)] {
			continue
		}
		b.below(int32(k), b.least[k]+spare, func(c candidate) bool {
			b.lists[k] = append(b.lists[k], c)
			count++
			return count < maxOptions || b.opts.Strategy == "exact"
		})
	}
	b.stop = count >= maxOptions && b.opts.Strategy != "exact"
	return !b.stop
}

// linksFloor is what the flows between the units branched over cost at least
// beyond what those cost at least: two units pay for them, or for sharing a
// node. What a unit pays above its least is spread over its links.
func (b *brancher) linksFloor(need map[int32]bool) (sum float64) {
	for k := range b.demands {
		d := &b.demands[k]
		links := d.c.links()
		if need != nil {
			links = slices.DeleteFunc(links, func(l unitLink) bool { return !need[d.first+l.a] || !need[d.first+l.b] })
		}
		degree := make([]float64, len(d.c.units))
		for _, l := range links {
			degree[l.a]++
			degree[l.b]++
		}
		for _, l := range links {
			sum += b.linkFloor(d.first+l.a, d.first+l.b, degree[l.a], degree[l.b], b.obj.Traffic*l.flows)
		}
	}
	return sum
}

// linkFloor is the least that two units pay beyond their least for the flows
// between them, at most a given amount.
func (b *brancher) linkFloor(x, y int32, dx, dy, most float64) float64 {
	if len(b.lists[x]) > len(b.lists[y]) {
		x, y, dx, dy = y, x, dy, dx
	}
	ex, ey := &b.elems[x], &b.elems[y]
	for _, c := range b.lists[x] {
		if !ey.sites.has(c.node) {
			continue
		}
		pay := (c.cost-b.least[x])/dx + max(b.unitCost(y, c.node)-b.least[y], 0)/dy + b.pairing(b.node(c.node), ex.req, ey.req)
		most = min(most, pay)
	}
	return max(most, 0)
}

// options lists the nodes that a unit may be on in a better state, the cheapest
// first.
func (b *brancher) options(k int32) []candidate {
	if b.lists == nil {
		return b.candidates(k)
	}
	out := b.lists[k]
	for i := range out {
		out[i].cost = b.unitCost(k, out[i].node)
	}
	slices.SortFunc(out, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.cost, b.cost), cmp.Compare(a.node, b.node))
	})
	return out
}

// below visits the nodes that fit a unit and cost no more than a limit.
func (s *search) below(k int32, limit float64, visit func(candidate) bool) {
	e := &s.elems[k]
	away := 0.0
	if e.home >= 0 {
		away = s.obj.Move * float64(e.leastMoves())
		if e.sites.has(e.home) && !s.belowAt(k, e.home, limit, visit) {
			return
		}
	}
	for i := range e.sites.kinds {
		kind := &e.sites.kinds[i]
		if kind.alike && !s.opts.FactsAreFree {
			static := e.pref[kind.kind] + e.unit.cores*kind.least
			for _, r := range s.snap.Rooms(kind.kind) {
				u := float64(e.req.CPU) * inverse(r.CPU)
				if static+away+s.obj.Balance*u*u > limit {
					break
				}
				if e.sites.has(r.Node) && r.Node != e.home && !s.belowAt(k, r.Node, limit, visit) {
					return
				}
			}
			continue
		}
		for j, n := range e.sites.byKind[kind.kind] {
			if e.pref[kind.kind]+e.unit.cores*e.sites.unit[kind.kind][j]+away > limit {
				break
			}
			if n != e.home && !s.belowAt(k, n, limit, visit) {
				return
			}
		}
	}
}

func (s *search) belowAt(k, n int32, limit float64, visit func(candidate) bool) bool {
	s.steps++
	e, st := &s.elems[k], s.node(n)
	if !st.up || !within(e.req, st.free) {
		return true
	}
	c := candidate{n, s.unitCost(k, n)}
	if c.cost > limit || !s.apartOK(k, n) || !s.flowsOK(k, n) {
		return true
	}
	return visit(c)
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
		part := 0.0
		first := b.elems[b.order[i]].dem
		for ; i < len(b.order) && b.elems[b.order[i]].dem == first; i++ {
			part += b.cheapest(i)
		}
		if !begun && b.mayWait {
			part = min(part+d.crossing, b.waitPrice(d))
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
