package placement

import (
	"cmp"
	"math"
	"slices"
)

// maxOptions is how many nodes in all the default strategy branches over.
const (
	maxOptions = 2000   // by depth
	maxListed  = 16_000 // as trees
	// In a continuous step whose units have more than fewSites sites together, of as
	// many that are looked at: the bound is within some per mille without a proof,
	// and more take a hundred times as long to search as the step to decide.
	maxListedHeld = 250
	fewSites      = 1000
)

// mostListed is how many nodes in all may be listed for a search as trees.
func (b *brancher) mostListed() int {
	switch {
	case b.opts.Strategy == "exact":
		return math.MaxInt
	case b.anyHeld() && !b.opts.Replace && b.candidateCount() > fewSites:
		return maxListedHeld
	}
	return maxListed
}

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
	own := make([]float64, len(b.elems)) // per unit: what its links cost at least
	links := b.linksFloor(need, own)
	if need == nil {
		b.bounds.root = min(b.best, cost+links)
	}
	if best-cost-links <= 1e-9*math.Abs(b.best) {
		return false
	}
	for k, list := range b.lists {
		// What a unit pays above its least may be part of what its own links cost.
		most := b.least[k] + best - cost - (links - own[k])
		b.lists[k] = slices.DeleteFunc(list, func(c candidate) bool { return c.cost > most })
	}
	return true
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
	count, most, until := 0, b.mostListed(), int64(math.MaxInt64)
	if most == maxListedHeld {
		until = b.steps + maxListedHeld
	}
	for k := range b.elems {
		if need != nil && !need[int32(k)] {
			continue
		}
		b.below(int32(k), b.least[k]+spare, until, func(c candidate) bool {
			b.lists[k] = append(b.lists[k], c)
			count++
			return count < most
		})
	}
	b.unlisted = count >= most || b.steps >= until
	b.stop = b.unlisted
	return !b.stop
}

// linksFloor is what the flows between the units branched over cost at least
// beyond what those cost at least: two units pay for them, or for sharing a
// node. What a unit pays above its least is spread over its links. It adds to
// own what the links of each unit come to.
func (b *brancher) linksFloor(need map[int32]bool, own []float64) (sum float64) {
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
			x, y := d.first+l.a, d.first+l.b
			pay := b.linkFloor(x, y, degree[l.a], degree[l.b], b.obj.Traffic*l.flows)
			sum += pay
			own[x] += pay
			own[y] += pay
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

// below visits the nodes that fit a unit and cost no more than a limit, until it
// has taken so many steps.
func (s *search) below(k int32, limit float64, until int64, visit func(candidate) bool) {
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
			static := e.pref[kind.kind] + e.cores*kind.least
			for _, r := range s.snap.Rooms(kind.kind) {
				if s.steps >= until || static+away+s.lowest(e.req, e.req, inverse(r.CPU)) > limit {
					break
				}
				if e.sites.has(r.Node) && r.Node != e.home && !s.belowAt(k, r.Node, limit, visit) {
					return
				}
			}
			continue
		}
		for j, n := range e.sites.byKind[kind.kind] {
			if s.steps >= until || e.pref[kind.kind]+e.cores*e.sites.unit[kind.kind][j]+away > limit {
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
