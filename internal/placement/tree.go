package placement

import (
	"cmp"
	"math"
	"slices"
)

// grove is what is to be branched over, as trees: the units and, for as many of
// the links between them as make no ring, what both ends cost together. From the
// leaves to the roots it finds, for every node that a unit may be on, the least
// that the unit and all beneath it cost: exactly, but for rings, for units of one
// node that have no link, and for pairs that several units' flows share. Those
// only add to the cost, so what a root costs at least is a bound, and what the
// rest of a tree costs at least is known while it is searched from the roots down.
type grove struct {
	*brancher
	list  []branch
	at    []int32 // by node: position in the list of the unit being passed up, -1: none
	alone bool    // nothing else is given out on any pair

	bound   float64 // of all
	glances int64   // links looked at
}

// branch is a unit of a grove; its parent comes before it.
type branch struct {
	unit   int32
	parent int32 // in grove.list, -1: a root
	link   joint
	nodes  []candidate // where it may be, with its own cost
	value  []float64   // per node: its cost and that of all beneath it, at least
	order  []int32     // the nodes by value
	up     []float64   // per node of its parent: the least of it and all beneath, link included
	rings  []ring      // links that are not part of the tree, to units before it
	floor  float64     // its least own cost and that of all beneath it

	// During the search: positions of the node it is on, and of those that go with
	// the node its parent is on, by value.
	on    int32
	fits  []int32
	fitOf int32 // which node of its parent that is, -1: none yet
}

// ring is a link between two units that trees leave out.
type ring struct {
	other int32 // in grove.list
	link  joint
	least float64 // what it adds to the cost, wherever the two are
}

// joint is the flows between a unit and its parent.
type joint struct {
	traffic  float64 // what they cost when the two are on different nodes
	up, down direction
}

// direction is what the flows of one direction need together.
type direction struct {
	any     bool
	latency float64
	loss    float64
	kbit    int64
}

// plant makes trees of the units that lists has been made for. One link may be left
// to the rings even if it could be part of a tree.
func (b *brancher) plant(need map[int32]bool, but [2]int32) *grove {
	g := &grove{brancher: b, alone: !b.others && need == nil && !b.opts.FactsAreFree}
	for k := range b.demands {
		d := &b.demands[k]
		links := slices.DeleteFunc(d.c.links(), func(l unitLink) bool {
			return need != nil && (!need[d.first+l.a] || !need[d.first+l.b])
		})
		degree := make([]int, len(d.c.units))
		for _, l := range links {
			degree[l.a]++
			degree[l.b]++
		}
		var roots []int32
		for u := range d.c.units {
			if need == nil || need[d.first+int32(u)] {
				roots = append(roots, int32(u))
			}
		}
		slices.SortStableFunc(roots, func(x, y int32) int { return cmp.Compare(degree[y], degree[x]) })
		seen := make([]bool, len(d.c.units))
		for _, r := range roots {
			if !seen[r] {
				seen[r] = true
				g.addTree(d, r, links, seen, but)
			}
		}
	}
	g.ringsFirst()
	return g
}

// ringsFirst brings units that close rings, and those above them, before all
// others: the rest of a tree does not depend on them.
func (g *grove) ringsFirst() {
	core := make([]bool, len(g.list))
	for i := len(g.list) - 1; i >= 0; i-- {
		x := &g.list[i]
		core[i] = core[i] || len(x.rings) > 0
		for _, r := range x.rings {
			core[r.other] = true
		}
		if core[i] && x.parent >= 0 {
			core[x.parent] = true
		}
	}
	to := make([]int32, len(g.list))
	list := make([]branch, 0, len(g.list))
	for _, first := range [2]bool{true, false} {
		for i := range g.list {
			if core[i] == first {
				to[i] = int32(len(list))
				list = append(list, g.list[i])
			}
		}
	}
	for i := range list {
		x := &list[i]
		if x.parent >= 0 {
			x.parent = to[x.parent]
		}
		for k := range x.rings {
			x.rings[k].other = to[x.rings[k].other]
		}
	}
	g.list = list
}

// addTree adds a root and all that links lead to, breadth first.
func (g *grove) addTree(d *demandState, root int32, links []unitLink, seen []bool, but [2]int32) {
	from := len(g.list)
	g.list = append(g.list, branch{unit: d.first + root, parent: -1, fitOf: -1})
	for i := from; i < len(g.list); i++ {
		u := g.list[i].unit - d.first
		for _, l := range links {
			if l.a != u && l.b != u {
				continue
			}
			v := d.first + l.a + l.b - u
			spare := but == [2]int32{d.first + l.a, d.first + l.b}
			if !seen[v-d.first] && !spare {
				seen[v-d.first] = true
				g.list = append(g.list, branch{unit: v, parent: int32(i), link: g.jointOf(v, d.first+u), fitOf: -1})
				continue
			}
			k := int32(slices.IndexFunc(g.list[:i], func(x branch) bool { return x.unit == v }))
			if k >= 0 && (g.list[i].parent != k || spare) {
				g.list[i].rings = append(g.list[i].rings, ring{other: k, link: g.jointOf(d.first+u, v)})
			}
		}
	}
}

func (g *grove) jointOf(child, parent int32) (j joint) {
	for _, x := range g.adj(&g.elems[child]) {
		f := &g.flows[x]
		way := &j.up
		switch {
		case f.a == child && f.b == parent:
		case f.b == child && f.a == parent:
			way = &j.down
		default:
			continue
		}
		if !way.any {
			*way = direction{true, f.maxLatency, f.maxLoss, 0}
		}
		way.latency, way.loss = min(way.latency, f.maxLatency), min(way.loss, f.maxLoss)
		way.kbit += f.kbit
		j.traffic += g.obj.Traffic
	}
	return j
}

// glances is how many links are looked at in the time of one step.
const glances = 13

// carriesAll reports whether a pair takes what goes in one direction.
func (g *grove) carriesAll(from, to int32, way *direction) bool {
	if !way.any {
		return true
	}
	if g.alone {
		return g.snap.Carries(from, to, way.latency, way.loss, way.kbit+g.opts.Headroom.BandwidthKbit)
	}
	p := g.pairNow(from, to)
	return p.ok && p.latency <= way.latency && p.loss <= way.loss && p.free >= way.kbit
}

// sharing is what a unit and its parent cost on one node beyond their own costs;
// infinite where they may not or do not fit.
func (g *grove) sharing(child *branch, n int32) float64 {
	x, y := &g.elems[child.unit], &g.elems[g.list[child.parent].unit]
	st := g.node(n)
	if !within(plus(x.req, y.req), st.free) || x.grouped && y.grouped && g.sameGroup(x, y, n, n) {
		return math.Inf(1)
	}
	return g.pairing(st, x.req, y.req)
}

// sameGroup reports whether two units of a demand must not be on these two nodes.
func (g *grove) sameGroup(x, y *elem, a, b int32) bool {
	for _, i := range x.unit.apart {
		if slices.Contains(y.unit.apart, i) && g.together(&g.demands[x.dem].c.apart[i], a, b) {
			return true
		}
	}
	return false
}

// apart is what a unit and its parent cost on two nodes beyond their own costs;
// infinite where they may not be or the links do not carry what they need.
func (g *grove) apart(child *branch, n, parent int32) float64 {
	g.glances++
	x, y := &g.elems[child.unit], &g.elems[g.list[child.parent].unit]
	if !g.carriesAll(parent, n, &child.link.down) || !g.carriesAll(n, parent, &child.link.up) || x.grouped && y.grouped && g.sameGroup(x, y, n, parent) {
		return math.Inf(1)
	}
	return child.link.traffic
}

// grow finds what every tree costs at least, for each node of each of its units,
// as far as that is below what is known to be possible. cost is that of all that
// is not branched over. It answers the bound.
func (g *grove) grow(cost float64) float64 {
	total := cost
	for i := range g.list {
		x := &g.list[i]
		x.nodes = g.options(x.unit)
		if len(x.nodes) == 0 {
			return math.Inf(1)
		}
		x.floor = x.nodes[0].cost
		x.value = make([]float64, len(x.nodes))
		for j, c := range x.nodes {
			x.value[j] = c.cost
		}
		total += x.floor
	}
	g.at = slices.Repeat([]int32{-1}, g.snap.Size())
	for i := len(g.list) - 1; i >= 0; i-- {
		x := &g.list[i]
		x.order = make([]int32, len(x.nodes))
		for j := range x.order {
			x.order[j] = int32(j)
		}
		slices.SortFunc(x.order, func(a, b int32) int { return cmp.Or(cmp.Compare(x.value[a], x.value[b]), cmp.Compare(a, b)) })
		least := x.value[x.order[0]]
		if x.parent >= 0 {
			least = g.pass(x, g.best-total)
		}
		if g.stop {
			break // what has been found so far is a bound
		}
		total += least - x.floor
		if math.IsInf(least, 1) || total >= g.best {
			return total
		}
		if x.parent >= 0 {
			g.list[x.parent].floor += least
		}
		x.floor = least
	}
	return total + g.closeRings()
}

// pass adds to the nodes of a unit's parent what the unit and all beneath it cost
// with the parent there, up to so much more than the least; beyond, that node is
// out of the question. It answers the least over all of the parent's nodes.
func (g *grove) pass(x *branch, spare float64) float64 {
	p := &g.list[x.parent]
	for j := range x.nodes {
		g.at[x.nodes[j].node] = int32(j)
	}
	x.up = make([]float64, len(p.nodes))
	least := math.Inf(1)
	for j := range p.nodes {
		x.up[j] = math.Inf(1)
		most := x.floor + spare - (p.value[j] - p.floor) // what it may cost in a better state
		if most <= x.floor-tiny {
			p.value[j] = math.Inf(1)
			continue
		}
		x.up[j] = g.leastWith(x, p.nodes[j].node, most)
		p.value[j] += x.up[j]
		least = min(least, x.up[j])
		if g.spent(g.glances / glances) {
			g.stop = true
			break
		}
		g.glances %= glances
	}
	for j := range x.nodes {
		g.at[x.nodes[j].node] = -1
	}
	return least
}

// leastWith is the least that a unit and all beneath it cost with its parent on a
// node, infinite if that is more than most.
func (g *grove) leastWith(x *branch, parent int32, most float64) float64 {
	best := math.Inf(1)
	if j := g.at[parent]; j >= 0 {
		if v := x.value[j] + g.sharing(x, parent); v <= most {
			best = v
		}
	}
	for _, j := range x.order {
		v := x.value[j] + x.link.traffic
		if v >= best || v > most {
			break
		}
		if n := x.nodes[j].node; n != parent && !math.IsInf(g.apart(x, n, parent), 1) {
			return v
		}
	}
	return best
}
