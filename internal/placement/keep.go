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

// clash is a set of units that cannot all stay.
type clash struct {
	elems []int32
	why   displacement
}

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

// clashes collects what the forced placement broke: flows whose link is
// missing, slow or lossy, pairs given out beyond their bandwidth, and groups
// that should be apart. Flows to fixed nodes were dealt with by dropFixed.
func (s *search) clashes() []clash {
	out := s.found[:0]
	for _, x := range s.broken {
		f := &s.flows[x]
		if from, to := s.end(f.a), s.end(f.b); f.a >= 0 && f.b >= 0 && from >= 0 && to >= 0 && from != to {
			out = append(out, clash{s.both(f.a, f.b), s.whyFlow(f, from, to)})
		}
	}
	for k := range s.pairs.list {
		if p := &s.pairs.list[k]; p.free < 0 && p.flows > 0 {
			if users := s.usersOf(p.from, p.to); len(users) > 0 {
				out = append(out, clash{users, displacement{why: whyBandwidth, peer: p.to, value: float64(p.cap), bound: float64(p.cap - p.free)}})
			}
		}
	}
	for k := range s.demands {
		out = s.apartClashes(&s.demands[k], out)
	}
	s.found = out
	return out
}

// both lists two units.
func (s *search) both(a, b int32) []int32 {
	s.arena = append(s.arena, a, b)
	n := len(s.arena)
	return s.arena[n-2 : n : n]
}

// whyFlow says what is wrong with a flow between two nodes.
func (s *search) whyFlow(f *flow, from, to int32) displacement {
	p := s.pair(from, to)
	switch {
	case !p.ok:
		return displacement{why: whyNoLink, peer: to}
	case p.latency > f.maxLatency:
		return displacement{why: whyLatency, peer: to, value: p.latency, bound: f.maxLatency}
	case p.loss > f.maxLoss:
		return displacement{why: whyLoss, peer: to, value: p.loss, bound: f.maxLoss}
	}
	return displacement{why: whyBandwidth, peer: to, value: float64(p.cap), bound: float64(p.cap - p.free)}
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

// usersOf lists the units whose flows use an ordered pair, without doubles.
func (s *search) usersOf(from, to int32) []int32 {
	var out []int32
	for _, n := range [2]int32{from, to} {
		for k := s.node(n).head; k >= 0; k = s.elems[k].next {
			e := &s.elems[k]
			for _, x := range s.adj(e) {
				f := &s.flows[x]
				if s.end(f.a) == from && s.end(f.b) == to && !slices.Contains(out, k) {
					out = append(out, k)
				}
			}
		}
	}
	return out
}

func (s *search) apartClashes(d *demandState, out []clash) []clash {
	for g := range d.c.apart {
		group := &d.c.apart[g]
		for i, u := range group.units {
			for _, v := range group.units[i+1:] {
				a, b := d.first+u, d.first+v
				if na, nb := s.elems[a].at, s.elems[b].at; na >= 0 && nb >= 0 && s.together(group, na, nb) {
					out = append(out, clash{s.both(a, b), displacement{why: whyApart, peer: nb}})
				}
			}
		}
	}
	return out
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

// clashBound proves how many more units must move: for each overloaded node
// the fewest that relieve it, and one for each of a set of clashes that share
// no unit and stand on no overloaded node.
func (s *search) clashBound(clashes []clash, over []int32) int {
	bound := 0
	used := s.ids2[:0]
	for _, n := range over {
		fewest, _ := s.fewest(n)
		bound += fewest
		for k := s.node(n).head; k >= 0; k = s.elems[k].next {
			s.choice = append(s.choice, k)
			used = append(used, k)
		}
	}
	for _, c := range clashes {
		s.choice = append(s.choice, c.elems...)
		if !slices.ContainsFunc(c.elems, func(k int32) bool { return slices.Contains(used, k) }) {
			used = append(used, c.elems...)
			bound++
		}
	}
	s.ids2 = used
	return bound
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

// solveClashes takes away units until no clash is left, always the one that
// settles most of them; among equals one on an overloaded node, then a small.
func (s *search) solveClashes(clashes []clash) {
	for {
		live := clashes[:0]
		for i := range clashes {
			if s.stillClashes(&clashes[i]) {
				live = append(live, clashes[i])
				for _, k := range clashes[i].elems {
					s.elems[k].clashing = 0
				}
			}
		}
		clashes = live
		if len(clashes) == 0 {
			return
		}
		for i := range clashes {
			for _, k := range clashes[i].elems {
				s.elems[k].clashing++
			}
		}
		best, bestScore := int32(-1), -1.0
		var why displacement
		for i := range clashes {
			for _, k := range clashes[i].elems {
				if score := s.clashScore(k); score > bestScore {
					best, bestScore, why = k, score, clashes[i].why
				}
			}
		}
		if best < 0 {
			return
		}
		why.elem = best
		s.displace(best, why)
	}
}

func (s *search) stillClashes(c *clash) bool {
	if c.why.why == whyBandwidth {
		return s.pairOver(c)
	}
	return !slices.ContainsFunc(c.elems, func(k int32) bool { return s.elems[k].at < 0 })
}

// pairOver reports whether the pair that a bandwidth clash is about is still
// given out beyond its bandwidth.
func (s *search) pairOver(c *clash) bool {
	for _, k := range c.elems {
		e := &s.elems[k]
		if e.at < 0 {
			continue
		}
		for _, x := range s.adj(e) {
			f := &s.flows[x]
			if from, to := s.end(f.a), s.end(f.b); to == c.why.peer && from >= 0 && from != to {
				if p := s.pair(from, to); p.free < 0 && p.flows > 0 {
					return true
				}
			}
		}
	}
	return false
}

// clashScore prefers, as the one to leave, a unit that settles many clashes.
func (s *search) clashScore(k int32) float64 {
	e := &s.elems[k]
	if e.at < 0 {
		return -1
	}
	score := float64(e.clashing)
	st := s.node(e.at)
	if !within(noCapacity, st.free) {
		score += 0.5
	}
	size := max(float64(e.req.CPU)*st.inverse[0], float64(e.req.Memory)*st.inverse[1], float64(e.req.Storage)*st.inverse[2])
	return score + 0.25*(1-min(size, 1))
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
