package placement

import (
	"math"
	"slices"
)

// closeRings answers what the links that are not part of a tree add to the cost:
// two units pay for them, or for sharing a node.
func (g *grove) closeRings() (sum float64) {
	for i := range g.list {
		x := &g.list[i]
		for k := range x.rings {
			r := &x.rings[k]
			o := &g.list[r.other]
			r.least = r.link.traffic
			for _, c := range o.nodes {
				g.at[c.node] = 1
			}
			for _, c := range x.nodes {
				if g.at[c.node] >= 0 {
					r.least = min(r.least, g.pairing(g.node(c.node), g.elems[x.unit].req, g.elems[o.unit].req))
				}
			}
			for _, c := range o.nodes {
				g.at[c.node] = -1
			}
			sum += r.least
		}
	}
	return sum
}

// closes reports whether a unit on a node has the links it needs to the units
// placed before it that are not its parent, and what those were counted with.
func (g *grove) closes(x *branch, n int32) (counted float64, ok bool) {
	for k := range x.rings {
		r := &x.rings[k]
		o := &g.list[r.other]
		at := o.nodes[o.on].node
		if at != n {
			g.glances++
			if !g.carriesAll(at, n, &r.link.down) || !g.carriesAll(n, at, &r.link.up) {
				return 0, false
			}
		}
		counted += r.least
	}
	return counted, true
}

// fit lists the nodes of a unit that go with the node its parent is on.
func (g *grove) fit(x *branch) []int32 {
	if x.parent < 0 {
		return x.order
	}
	p := &g.list[x.parent]
	if x.fitOf == p.on {
		return x.fits
	}
	x.fitOf, x.fits = p.on, x.fits[:0]
	most := x.up[p.on] + g.best - g.bound
	parent := p.nodes[p.on].node
	for _, j := range x.order {
		if x.value[j] > most {
			break
		}
		if n := x.nodes[j].node; n == parent || !math.IsInf(g.apart(x, n, parent), 1) {
			x.fits = append(x.fits, j)
		}
	}
	return x.fits
}

// linked is what a unit on a node and its parent on another, or on the same, cost
// beyond their own costs.
func (g *grove) linked(x *branch, n, parent int32) float64 {
	if n == parent {
		return g.pairing(g.node(n), g.elems[x.unit].req, g.elems[g.list[x.parent].unit].req)
	}
	return x.link.traffic
}

// climb searches the trees from the roots down for a better state; bound is what
// all costs at least with those before i where they are.
func (g *grove) climb(i int, bound float64) {
	if bound >= g.best-1e-9*math.Abs(g.best) || g.stop {
		return
	}
	if i == len(g.list) {
		g.best = bound
		g.save()
		return
	}
	x := &g.list[i]
	known, parent := x.floor, int32(-1)
	if x.parent >= 0 {
		p := &g.list[x.parent]
		known, parent = x.up[p.on], p.nodes[p.on].node
	}
	for _, j := range g.fit(x) {
		if bound+x.value[j]-known >= g.best {
			return // sorted: no later node costs less
		}
		n := x.nodes[j].node
		link := g.linked(x, n, parent)
		if bound+x.value[j]+link-known >= g.best {
			continue
		}
		counted, ok := g.closes(x, n)
		if g.spent(g.glances / glances) {
			g.stop = true
			return
		}
		g.glances %= glances
		if !ok {
			continue
		}
		g.steps++
		now := g.unitCost(x.unit, n)
		if !g.try(x.unit, n) {
			continue
		}
		x.on = j
		more := max(now-x.nodes[j].cost-link-counted, 0)
		g.climb(i+1, bound+x.value[j]+link-known+more)
		g.drop(x.unit)
		if g.stop {
			return
		}
	}
}

// searchTrees searches for a better state as trees, all that is not branched over
// costing so much, and answers what any state costs at least. Where there are
// rings it matters which of their links the trees leave out: the one that binds
// least should be.
func (b *brancher) searchTrees(need map[int32]bool, cost float64) float64 {
	g := b.plant(need, [2]int32{-1, -1})
	g.bound = g.grow(cost)
	for _, but := range g.otherRings() {
		if b.stop || g.bound >= g.best*(1-wideGap) {
			break
		}
		h := b.plant(need, but)
		if h.bound = h.grow(cost); h.bound > g.bound {
			g = h
		}
	}
	if b.stop {
		return min(b.best, g.bound)
	}
	g.climb(0, g.bound)
	if !b.stop {
		return b.best
	}
	return min(b.best, g.bound)
}

// wideGap is from what gap on other trees are tried; maxRings is how many.
const (
	wideGap  = 0.01
	maxRings = 4
)

// otherRings lists links of the trees that could be left to a ring instead.
func (g *grove) otherRings() (out [][2]int32) {
	add := func(x *branch) {
		if x.parent < 0 {
			return
		}
		p := g.list[x.parent].unit
		if l := [2]int32{min(x.unit, p), max(x.unit, p)}; len(out) < maxRings && !slices.Contains(out, l) {
			out = append(out, l)
		}
	}
	for i := range g.list {
		x := &g.list[i]
		for _, r := range x.rings {
			add(x)
			add(&g.list[r.other])
		}
	}
	return out
}
