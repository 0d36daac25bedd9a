package placement

import (
	"cmp"
	"slices"

	"github.com/osmoslice/osmoslice/internal/topology"
)

// proofSites is up to how many sites of all units together the default strategy
// searches for a proof: what a slice costs to place must not grow with all there is.
const proofSites = 16_000

// exactUnits is up to how many units the default strategy proves its optimum.
const exactUnits = 20

// osmotic is the default: keep the most that holds, insert the rest where the
// tiers attract it, most constrained and largest first; where that fails,
// displace others in chains, first those whose moving costs nothing; a small
// problem is then closed by the exact search.
func osmotic(s *search) {
	heuristic(s)
	s.close()
}

// close proves a small problem's optimum: first over the units that need a
// node, and only if that does not settle it over all.
func (s *search) close() {
	if len(s.elems) == 0 || len(s.elems) > exactUnits || s.candidateCount() > proofSites || !s.gapOpen() {
		return
	}
	if s.anyHeld() && !s.opts.Replace && (!s.proveFewest() || !s.gapOpen()) {
		return // too many nodes, or settled
	}
	s.prove()
}

// candidateCount adds up the sites of all units.
func (s *search) candidateCount() (n int) {
	for k := range s.elems {
		n += s.elems[k].sites.count
	}
	return n
}

// heuristic is osmotic without the proof.
func heuristic(s *search) {
	s.keepAll()
	s.pending()
	if len(s.todo) == 0 && s.opts.Returns == 0 || s.decideSingle() {
		return
	}
	s.pressed = s.scarce()
	if len(s.todo) >= manyQueries && len(s.snap.Order()) <= maxBriefs {
		s.takeDown()
	}
	s.serveByRank(s.todo)
	s.readmit()
	s.trade()
	s.giveBackRoom()
	if !s.pressed {
		s.polish()
	}
}

// scarcity is from what part in use on a node is counted as scarce.
const scarcity = 0.9

// scarce reports whether the given demands need most of what there is. With very
// many nodes nothing is counted.
func (s *search) scarce() bool {
	if len(s.snap.Order()) > maxSumNodes || len(s.elems) <= exactUnits {
		return false
	}
	var need [3]float64
	for k := range s.elems {
		for d := range 3 {
			need[d] += float64(part(s.elems[k].req, d))
		}
	}
	return !s.plenty(need)
}

// plenty reports whether the nodes together have clearly more than is needed. It
// looks at no more of them than it takes to say so.
func (s *search) plenty(need [3]float64) bool {
	var have [3]float64
	for _, n := range s.snap.Order() {
		if need[0] <= scarcity*have[0] && need[1] <= scarcity*have[1] && need[2] <= scarcity*have[2] {
			return true
		}
		if st := s.node(n); st.up {
			room := plus(st.free, minus(st.used, st.others))
			for d := range 3 {
				have[d] += float64(max(part(room, d), 0))
			}
		}
	}
	return need[0] <= scarcity*have[0] && need[1] <= scarcity*have[1] && need[2] <= scarcity*have[2]
}

// serveByRank serves units that are sorted by rank, one rank after the other.
func (s *search) serveByRank(units []int32) {
	for i := 0; i < len(units); {
		j := i + 1
		rank := s.rankOf(units[i])
		for j < len(units) && s.rankOf(units[j]) == rank {
			j++
		}
		s.serve(units[i:j])
		i = j
	}
}

func (s *search) rankOf(k int32) int { return s.demands[s.elems[k].dem].rank }

// pending lists the units without a node in their order of insertion: by rank,
// then those with few sites, then the largest share of what there is.
func (s *search) pending() {
	var total topology.Capacity
	for k := range s.elems {
		total = plus(total, s.elems[k].req)
		if s.elems[k].at < 0 {
			s.todo = append(s.todo, int32(k))
		}
	}
	for _, k := range s.todo {
		e := &s.elems[k]
		e.share = share(e.req, total)
	}
	slices.SortFunc(s.todo, func(a, b int32) int {
		x, y := &s.elems[a], &s.elems[b]
		if c := s.demands[x.dem].rank - s.demands[y.dem].rank; c != 0 {
			return c
		}
		if c := min(x.sites.count, 4) - min(y.sites.count, 4); c != 0 {
			return c
		}
		if x.share != y.share {
			return cmp.Compare(y.share, x.share)
		}
		return cmp.Compare(a, b)
	})
}

// share is a unit's part of the total in the dimension where it is largest.
func share(c, total topology.Capacity) float64 {
	return max(float64(c.CPU)*inverse(total.CPU), float64(c.Memory)*inverse(total.Memory), float64(c.Storage)*inverse(total.Storage))
}

// serve inserts units of one rank; a demand that cannot be served is left out.
func (s *search) serve(units []int32) {
	failed := s.failed[:0]
	for _, k := range units {
		s.trail = s.trail[:0]
		if s.demands[s.elems[k].dem].waiting {
			continue
		}
		before := s.steps
		ok := s.insert(k)
		s.limit += s.steps - before // the budget is for searching, not for reading
		if !ok && !s.eject(k, s.depth(), false) && (!s.pressed || !s.collect(k)) {
			failed = append(failed, k)
		}
	}
	s.failed = failed
	for _, k := range failed {
		if s.elems[k].at >= 0 || s.demands[s.elems[k].dem].waiting {
			continue
		}
		s.trail = s.trail[:0]
		if !s.insert(k) && !s.eject(k, s.depth(), false) && !s.replan(k, false) && !s.collect(k) && (s.pressed || !s.eject(k, 3, true) && !s.replan(k, true)) {
			s.giveUp(k)
		}
	}
}

// giveBackRoom brings moved units of the given demands back home where that
// has become possible: every one saves a move.
func (s *search) giveBackRoom() {
	if s.obj.Move == 0 {
		return
	}
	for k := range s.elems {
		e := &s.elems[k]
		if e.home < 0 || e.at < 0 || e.at == e.home || !s.node(e.home).up || !e.sites.has(e.home) {
			continue
		}
		was := e.at
		s.drop(int32(k))
		if !s.try(int32(k), e.home) {
			s.force(int32(k), was)
		}
	}
}

// polish re-inserts what was placed anew at its cheapest node, given all the
// rest, once more where a unit of the same demand has found a better one; then
// lets elements return, if asked to.
func (s *search) polish() {
	worth := tiny
	if len(s.elems) > exactUnits {
		worth = 0.2 * max(s.obj.Traffic, s.obj.Balance)
	}
	for round := range 2 {
		better := false
		for _, k := range s.todo {
			e := &s.elems[k]
			d := &s.demands[e.dem]
			if e.at < 0 || d.waiting || s.spent(0) || round > 0 && !d.stirred || round == 0 && !s.overtaken(k) {
				continue
			}
			if s.improve(k, worth) {
				better, d.stirred = true, true
			}
		}
		if !better {
			break
		}
	}
	returns := s.opts.Returns
	for k := range s.elems {
		e := &s.elems[k]
		if returns > 0 && e.home >= 0 && e.at == e.home && !e.moved {
			move := s.obj.Move
			s.objMove(0)
			if s.improve(int32(k), s.obj.Hysteresis) {
				s.elems[k].returned = true
				returns--
			}
			s.objMove(move)
		}
	}
}

// overtaken reports whether a unit that another one exchanges traffic with was put
// on its node later than it. Otherwise it has the best that there was.
func (s *search) overtaken(k int32) bool {
	e := &s.elems[k]
	for _, x := range s.adj(e) {
		f := &s.flows[x]
		if f.a >= 0 && f.b >= 0 && s.elems[f.a+f.b-k].since > e.since {
			return true
		}
	}
	return false
}

// objMove sets the price of a move for this decision only.
func (s *search) objMove(v float64) {
	own := *s.obj
	own.Move = v
	s.obj = &own
}

// improve moves one unit to its cheapest node if that saves more than least.
func (s *search) improve(k int32, least float64) bool {
	e := &s.elems[k]
	was := e.at
	if s.atLeast(k, least) {
		return false
	}
	s.drop(k)
	now := s.unitCost(k, was)
	n := s.best(k)
	if n >= 0 && n != was && s.unitCost(k, n) < now-least && s.try(k, n) {
		return true
	}
	s.force(k, was)
	return false
}

// tiny is a saving that is worth a change of what is not yet running.
const tiny = 1e-9

// atLeast reports whether a placed unit costs no more than proven necessary,
// but for a given amount.
func (s *search) atLeast(k int32, but float64) bool {
	e := &s.elems[k]
	if e.least < 0 {
		return false
	}
	st := s.node(e.at)
	marginal := st.phiNow - s.phi(st, minus(noCapacity, e.req))
	now := s.static(e, e.at) + marginal + s.traffic(k, e.at) + s.moveCost(e, e.at)
	move := 0.0
	if e.home >= 0 {
		move = s.obj.Move * float64(e.leastMoves())
	}
	return now <= e.least+move+but
}

// unitCost is what a unit that has no node now would cost on n.
func (s *search) unitCost(k, n int32) float64 {
	e := &s.elems[k]
	return s.static(e, n) + s.marginal(n, e) + s.moveCost(e, n) + s.traffic(k, n)
}

// gapOpen reports whether the present state is not yet known to be optimal.
func (s *search) gapOpen() bool {
	t := s.terms()
	cost := t.Total()
	if cost-s.bound() <= 1e-9*cost {
		return false
	}
	s.tighten()
	return cost-s.bound() > 1e-9*cost
}
