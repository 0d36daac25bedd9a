package placement

import (
	"math"
	"slices"

	"github.com/osmoslice/osmoslice/internal/topology"
)

// boundParts are sums for the lower bound, all without moves.
type boundParts struct {
	sure   float64 // exact cost of the units that stay in every plan of fewest moves
	unsure float64 // least cost of units on nodes where someone must go
	single float64 // what a plan of fewest moves costs at least, by search; 0: not known
	root   float64 // what any plan costs at least, from where a proof begins; 0: not known
	proven float64 // an optimum proven by search; valid when search.closed
}

// keptBound sums what the kept units cost. In a plan with no more than
// movesBound moves every unit outside choice stays, so its cost is exact.
func (s *search) keptBound() {
	b := &s.bounds
	for _, list := range [2][]int32{s.choice, s.scattered} {
		for _, k := range list {
			e := &s.elems[k]
			if e.unsure {
				continue
			}
			e.unsure = true
			at := e.floor
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
		st := s.node(n)
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
			st.base, st.phiBase = st.used, st.phiNow
			static += st.phiNow - st.basePhi
		}
		b.sure += static
	}
}

// baseMarginal is the balance cost of a unit on a node beside the units that
// stay in every plan of fewest moves: never more than in such a plan.
func (s *search) baseMarginal(st *nodeState, req topology.Capacity) float64 {
	return s.squares(plus(st.base, req), &st.inverse) - st.phiBase
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
	if s.anyWaiting() {
		if n := s.mustWait(); n > 0 {
			return wait * float64(n)
		}
	}
	fewest := s.obj.Move*float64(s.movesBound) + b.sure + b.unsure
	more := s.obj.Move * float64(s.movesBound+1)
	for k := range s.elems {
		e := &s.elems[k]
		least := e.floor
		more += least
		if e.moved && !e.unsure {
			fewest += max(least, e.least)
		}
	}
	for k := range s.demands {
		d := &s.demands[k]
		more += d.crossing
		fewest += s.pairBound(d)
	}
	fewest = max(fewest, b.single)
	if !s.anyHeld() {
		more = math.Inf(1)
	}
	return max(b.root, min(fewest, more, wait))
}

// movesBy is how many moves a bound on the cost of a few units proves: what all else
// can cost at most leaves the rest to moves.
func (s *search) movesBy(bound float64) int {
	if len(s.elems) > exactUnits || s.obj.Move <= 0 || s.anyWaiting() {
		return 0
	}
	rest := s.obj.Traffic*float64(len(s.flows)) + s.phiMost()*float64(len(s.elems))
	for k := range s.elems {
		e, most := &s.elems[k], 0.0
		for i := range e.sites.kinds {
			x := &e.sites.kinds[i]
			most = max(most, e.pref[x.kind]+e.cores*x.most)
		}
		rest += most
	}
	return max(0, int(math.Ceil((bound-rest)/s.obj.Move-1e-9)))
}

// phiMost is more than a node that is within its capacity costs for balance.
func (s *search) phiMost() float64 { return 3 * s.obj.Balance }

func (s *search) anyWaiting() bool {
	for k := range s.demands {
		if s.demands[k].waiting {
			return true
		}
	}
	return false
}

// mustWait proves how many demands cannot be served: those of which a unit has
// no node even alone, or else the largest that have to go until the rest fits
// into what all nodes have together. Requirements come in multiples of their
// greatest common divisor; what a node has beyond such a multiple is of no use.
func (s *search) mustWait() (count int) {
	for k := range s.demands {
		d := &s.demands[k]
		for u := d.first; u < d.last; u++ {
			if s.impossible(u) {
				d.proven = true
				count++
				break
			}
		}
	}
	if len(s.snap.Order()) > maxSumNodes {
		return count
	}
	for dim := range 3 {
		count = max(count, s.mustWaitFor(dim))
	}
	return count
}

// maxSumNodes is up to how many nodes capacities are added up.
const maxSumNodes = 4096

func (s *search) mustWaitFor(dim int) (count int) {
	sizes := make([]int64, len(s.demands))
	for k := range s.elems {
		sizes[s.elems[k].dem] += part(s.elems[k].req, dim)
	}
	short := s.shortOf(dim)
	slices.Sort(sizes)
	for i := len(sizes) - 1; i >= 0 && short > 0; i-- {
		short -= sizes[i]
		count++
	}
	return count
}

// shortOf is how much more all given demands need of a resource than there is;
// negative when there is more.
func (s *search) shortOf(dim int) int64 {
	var unit, need, have int64
	for k := range s.elems {
		v := part(s.elems[k].req, dim)
		unit = gcd(unit, v)
		need += v
	}
	if unit == 0 {
		return 0
	}
	for _, n := range s.snap.Order() {
		st := s.node(n)
		if !st.up {
			continue
		}
		free := part(st.free, dim)
		for k := st.head; k >= 0; k = s.elems[k].next {
			free += part(s.elems[k].req, dim)
		}
		have += max(free, 0) / unit * unit
	}
	return need - have
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// pairBound is what the flows of a demand's new units cost at least, on top of
// each unit's own least cost.
func (s *search) pairBound(d *demandState) float64 {
	if s.tight {
		return d.pairs
	}
	if !s.allNew(d) {
		return 0
	}
	floors, least := 0.0, 0.0
	for k := d.first; k < d.last; k++ {
		floors += s.elems[k].floor
		least += max(s.elems[k].floor, s.elems[k].least)
	}
	return max(0, floors+d.crossing-least)
}

// tighten proves what the flows between new units cost: they pay for it, or
// share a node that costs them more than their least. A unit's extra cost is
// spread over its links, so that the sum never counts it twice.
func (s *search) tighten() {
	s.tight = true
	for k := range s.demands {
		d := &s.demands[k]
		d.pairs = 0
		links := d.c.links()
		degree := make([]float64, len(d.c.units))
		for _, l := range links {
			degree[l.a]++
			degree[l.b]++
		}
		for _, l := range links {
			a, b := d.first+l.a, d.first+l.b
			if x, y := &s.elems[a], &s.elems[b]; x.moved && y.moved && !x.unsure && !y.unsure && x.least >= 0 && y.least >= 0 {
				d.pairs += s.sharing(a, b, degree[l.a], degree[l.b], s.obj.Traffic*l.flows)
			}
		}
	}
}

// sharing is the least that two units pay above their least costs when they
// share a node, each divided by its number of links; at most a given amount.
func (s *search) sharing(a, b int32, da, db, most float64) float64 {
	if s.elems[a].sites.count > s.elems[b].sites.count {
		a, b, da, db = b, a, db, da
	}
	x, y := &s.elems[a], &s.elems[b]
	nearA, _, sureA := s.neighbours(a)
	s.nearA = append(s.nearA[:0], nearA...)
	nearB, _, sureB := s.neighbours(b)
	both := plus(x.req, y.req)
	pay := func(st *nodeState, n int32) float64 {
		ca := s.static(x, n) + s.baseMarginal(st, x.req) + s.sureTraffic(s.nearA, sureA, n) - x.least
		cb := s.static(y, n) + s.baseMarginal(st, y.req) + s.sureTraffic(nearB, sureB, n) - y.least
		return max(ca, 0)/da + max(cb, 0)/db + s.pairing(st, x.req, y.req)
	}
	for i := range x.sites.kinds {
		kind, least := x.sites.kinds[i].kind, x.sites.kinds[i].least
		if x.sites.kinds[i].alike && !s.opts.FactsAreFree {
			sx, sy := x.pref[kind]+x.cores*least-x.least, y.pref[kind]+y.cores*least-y.least
			for _, r := range s.snap.Rooms(kind) {
				v := inverse(r.CPU)
				if max(sx+s.lowest(x.req, x.req, v), 0)/da+max(sy+s.lowest(y.req, y.req, v), 0)/db+2*s.lowest(x.req, y.req, v) >= most-tiny {
					most = max(0, most-tiny) // those that differ by rounding are not looked at
					break
				}
				if x.sites.has(r.Node) && y.sites.has(r.Node) {
					most = s.shared(r.Node, both, most, pay)
				}
			}
			continue
		}
		for _, n := range x.sites.byKind[kind] {
			if y.sites.has(n) {
				most = s.shared(n, both, most, pay)
			}
		}
	}
	return most
}

// pairing is what two units on one node pay for balance beyond what each pays
// alone: utilisations are squared, so every pair of units on a node adds its
// own, whoever else is there.
func (s *search) pairing(st *nodeState, a, b topology.Capacity) float64 {
	v := &st.inverse
	sum := float64(a.CPU) * v[0] * float64(b.CPU) * v[0]
	sum += float64(a.Memory) * v[1] * float64(b.Memory) * v[1]
	sum += float64(a.Storage) * v[2] * float64(b.Storage) * v[2]
	return 2 * s.obj.Balance * sum
}

// shared lowers most to what two units pay on a node that has room for both.
func (s *search) shared(n int32, both topology.Capacity, most float64, pay func(*nodeState, int32) float64) float64 {
	s.steps++
	if st := s.node(n); st.up && within(both, s.room(st)) {
		most = min(most, pay(st, n))
	}
	return most
}

// room is what a node has beside others and the units that surely stay.
func (s *search) room(st *nodeState) topology.Capacity {
	return plus(st.free, minus(st.used, st.base))
}

// allNew reports whether no unit of a demand was kept, so that none of its
// traffic is part of what surely stays.
func (s *search) allNew(d *demandState) bool {
	for k := d.first; k < d.last; k++ {
		if e := &s.elems[k]; !e.moved || e.unsure {
			return false
		}
	}
	return true
}

func (s *search) anyHeld() bool {
	for k := range s.elems {
		if s.elems[k].home >= 0 {
			return true
		}
	}
	return false
}
