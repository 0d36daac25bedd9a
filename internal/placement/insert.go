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
	q := query{k: k, e: e, found: candidate{-1, math.Inf(1)}, least: math.Inf(1)}
	q.near, q.far, q.sure = s.neighbours(k)
	if e.home >= 0 {
		q.away = s.obj.Move * float64(e.leastMoves())
		if e.sites.has(e.home) {
			s.consider(&q, e.home, s.static(e, e.home))
		}
	}
	for i := range q.near {
		if n := q.near[i].node; n >= 0 && e.sites.has(n) {
			s.consider(&q, n, s.static(e, n))
		}
	}
	sure := s.obj.Traffic * float64(q.sure)
	for _, k := range s.kindsByCost(e) {
		s.bestOf(&q, &e.sites.kinds[k], sure)
	}
	if e.least < 0 && !math.IsInf(q.least, 1) {
		e.least = q.least
	}
	return q.found.node
}

// bestOf considers the sites of one kind, as far as they may be better.
func (s *search) bestOf(q *query, k *siteKind, sure float64) {
	e := q.e
	if k.many && k.alike && !s.opts.FactsAreFree {
		static := e.pref[k.kind] + e.cores*k.least
		if list := s.briefs[k.kind]; len(list) > 0 {
			s.bestBrief(q, list, static, sure)
			return
		}
		s.roomiestOf(q, k.kind, static, sure)
		return
	}
	low := s.phi(&s.roomiest, e.req) // no node is less loaded by it
	prices := e.sites.unit[k.kind]
	for j, n := range e.sites.byKind[k.kind] {
		static := e.pref[k.kind] + e.cores*prices[j]
		if static+low+sure >= q.least && static+low+q.away+q.far >= q.found.cost {
			return // sorted: no later node of this kind is better
		}
		s.consider(q, n, static)
	}
}

// roomiestOf is bestOf for sites that all have the same price: those with most
// room come first, and the search ends where room alone costs too much.
func (s *search) roomiestOf(q *query, kind int, static, sure float64) {
	e := q.e
	for _, r := range s.snap.Rooms(kind) {
		v := inverse(r.CPU)
		low := static + s.lowest(e.req, e.req, v)
		if low+sure >= q.least && low+q.away+q.far >= q.found.cost {
			return
		}
		if e.sites.has(r.Node) {
			s.consider(q, r.Node, static)
		}
	}
}

// lowest is the balance cost, at least, of the product of two requirements on a
// node of which only the CPU capacity is known, as its inverse.
func (s *search) lowest(a, b capacity, v float64) float64 {
	sum := float64(a.CPU) * v * float64(b.CPU) * v
	if a.Memory != 0 || a.Storage != 0 {
		w := &s.roomiest.inverse
		sum += float64(a.Memory)*w[1]*float64(b.Memory)*w[1] + float64(a.Storage)*w[2]*float64(b.Storage)*w[2]
	}
	return s.obj.Balance * sum
}

// query is one search for the best node of a unit.
type query struct {
	k     int32
	e     *elem
	near  []neighbour // nodes with flows to or from it
	far   float64     // the traffic if it is on none of them
	sure  int
	away  float64 // what leaving its home costs, at least
	found candidate
	least float64
}

// consider looks at one node for a unit.
func (s *search) consider(q *query, n int32, static float64) {
	s.steps++
	e, st := q.e, s.node(n)
	if !st.up || n == s.barred {
		return
	}
	marginal := s.phi(st, e.req) - st.phiNow
	base := marginal
	if st.base != st.used {
		base = s.baseMarginal(st, e.req)
	}
	if least := static + base + s.sureTraffic(q.near, q.sure, n); least < q.least && (q.sure == 0 || s.reaches(q.k, n)) {
		q.least = least
	}
	if !within(e.req, st.free) {
		return
	}
	cost := static + marginal + q.far - s.saved(q.near, n)
	if e.home >= 0 {
		cost += s.moveCost(e, n)
	}
	if s.pressed {
		cost += s.leftover(st, e.req)
	}
	if cost < q.found.cost && s.apartOK(q.k, n) && s.flowsOK(q.k, n) {
		q.found = candidate{n, cost}
	}
}

// leftover is a penalty for leaving much of a node free: where room is scarce,
// what is left should be in few large pieces.
func (s *search) leftover(st *nodeState, req capacity) float64 {
	left := minus(st.free, req)
	return pressedWeight * max(float64(left.CPU)*st.inverse[0], float64(left.Memory)*st.inverse[1], float64(left.Storage)*st.inverse[2])
}

const pressedWeight = 4

// reaches reports whether a unit on n has the links it needs to what surely
// stays, each if it were the only one of the given demands to use it.
func (s *search) reaches(k, n int32) bool {
	e := &s.elems[k]
	for _, x := range s.adj(e) {
		f := &s.flows[x]
		other := f.a
		if other == k {
			other = f.b
		}
		if other >= 0 && (s.elems[other].moved || s.elems[other].unsure) {
			continue
		}
		from, to, ok := s.ends(f, k, n)
		if !ok {
			continue
		}
		if from == unknownNode || to == unknownNode || !s.couldCarry(from, to, f) {
			return false
		}
	}
	return true
}

func (s *search) marginal(n int32, e *elem) float64 {
	st := s.node(n)
	return s.phi(st, e.req) - st.phiNow
}

// neighbour is a node with flows to or from a unit.
type neighbour struct {
	node  int32
	flows int
	sure  int // those whose other end stays in every plan of fewest moves
}

// neighbours are the nodes that hold the other ends of a unit's flows, and what
// those flows cost if the unit is on none of them.
func (s *search) neighbours(k int32) (list []neighbour, all float64, sure int) {
	list = s.near[:0]
	e := &s.elems[k]
	for _, x := range s.adj(e) {
		f := &s.flows[x]
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
			list = append(list, neighbour{node: n})
		}
		list[i].flows++
		if other < 0 || !s.elems[other].moved && !s.elems[other].unsure {
			list[i].sure++
			sure++
		}
	}
	s.near = list
	return list, all, sure
}

// sureTraffic is the least traffic of a unit on n with what surely stays.
func (s *search) sureTraffic(near []neighbour, sure int, n int32) float64 {
	for i := range near {
		if near[i].node == n {
			sure -= near[i].sure
		}
	}
	return s.obj.Traffic * float64(sure)
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

// kindsByCost lists the kinds that have sites by their position in the sites'
// list, the cheapest first.
func (s *search) kindsByCost(e *elem) []int {
	var cost [kindCount]float64
	order := s.kinds[:0]
	for k := range e.sites.kinds {
		x := &e.sites.kinds[k]
		c := e.pref[x.kind] + e.cores*x.least
		i := len(order)
		order = append(order, k)
		for ; i > 0 && cost[i-1] > c; i-- {
			order[i], cost[i] = order[i-1], cost[i-1]
		}
		order[i], cost[i] = k, c
	}
	s.kinds = order
	return order
}

// candidates lists every node that fits a unit now, the cheapest first.
func (s *search) candidates(k int32) []candidate {
	var out []candidate
	e := &s.elems[k]
	for i := range e.sites.kinds {
		kind := e.sites.kinds[i].kind
		for j, n := range e.sites.byKind[kind] {
			s.steps++
			if st := s.node(n); st.up && within(e.req, st.free) && s.apartOK(k, n) && s.flowsOK(k, n) {
				out = append(out, candidate{n, e.pref[kind] + e.cores*e.sites.unit[kind][j] + s.marginal(n, e) + s.moveCost(e, n) + s.traffic(k, n)})
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
	for _, c := range s.candidates(k) {
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
