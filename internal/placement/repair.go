package placement

import (
	"cmp"
	"slices"
)

// ejection is a node for a unit together with who would have to leave it.
type ejection struct {
	node     int32
	cost     float64
	blockers []int32
}

const ejectWidth = 6

// depth is how long a chain of ejections may be. Where room is scarce long ones
// seldom end well, and collecting room does.
func (s *search) depth() int {
	if s.pressed {
		return 1
	}
	return 2
}

// eject places a unit by making others leave and finding them new nodes, over
// chains of a given depth. Unless kept is set, only units that have to find a
// new node anyway are asked to leave. On failure nothing has changed.
func (s *search) eject(k int32, depth int, kept bool) bool {
	if s.spent(1) {
		return false
	}
	for _, x := range s.ejections(k, kept) {
		mark := len(s.trail)
		for _, b := range x.blockers {
			s.lift(b)
		}
		if s.try(k, x.node) {
			s.trail = append(s.trail, step{k, -1})
			s.elems[k].locked = true
			ok := s.rehome(x.blockers, depth, kept)
			s.elems[k].locked = false
			if ok {
				return true
			}
		}
		s.rewind(mark)
	}
	return false
}

// rehome finds new nodes for units that had to leave, the largest first.
func (s *search) rehome(units []int32, depth int, kept bool) bool {
	slices.SortFunc(units, func(a, b int32) int {
		x, y := s.elems[a].req, s.elems[b].req
		return cmp.Or(cmp.Compare(y.CPU, x.CPU), cmp.Compare(y.Memory, x.Memory), cmp.Compare(a, b))
	})
	for _, b := range units {
		if s.elems[b].at < 0 && !s.insert(b) && (depth <= 1 || !s.eject(b, depth-1, kept)) {
			return false
		}
	}
	return true
}

// ejections lists the cheapest ways to make room for a unit.
func (s *search) ejections(k int32, kept bool) []ejection {
	e := &s.elems[k]
	var out []ejection
	worst := 0.0
	for kind := range e.sites.byKind {
		for _, n := range e.sites.byKind[kind] {
			if s.spent(1) {
				break
			}
			if !s.node(n).up {
				continue
			}
			x := ejection{node: n, cost: e.pref[kind] + s.moveCost(e, n)}
			if len(out) == ejectWidth && x.cost >= worst {
				continue
			}
			if !s.blockers(k, &x, kept) || len(out) == ejectWidth && x.cost >= worst {
				continue
			}
			at, _ := slices.BinarySearchFunc(out, x, func(a, b ejection) int { return cmp.Compare(a.cost, b.cost) })
			if len(out) == ejectWidth {
				out = out[:ejectWidth-1]
			}
			out = slices.Insert(out, at, x)
			worst = out[len(out)-1].cost
		}
	}
	return out
}

// blockers finds who must leave so that unit k fits node x.node: neighbours
// whose link does not hold, members of its groups, and the fewest that free
// enough capacity. ok is false when someone who may not leave is in the way.
func (s *search) blockers(k int32, x *ejection, kept bool) bool {
	e, st := &s.elems[k], s.node(x.node)
	add := func(b int32) bool {
		if slices.Contains(x.blockers, b) {
			return true
		}
		o := &s.elems[b]
		if o.locked || o.at < 0 || !kept && o.at == o.home && o.home >= 0 && s.obj.Move > 0 || s.demands[o.dem].rank < s.demands[e.dem].rank && o.at == o.home {
			return false
		}
		x.blockers = append(x.blockers, b)
		x.cost += 1
		if o.at == o.home && o.home >= 0 {
			x.cost += s.obj.Move
		}
		return true
	}
	if !s.linkBlockers(k, x.node, add) || !s.groupBlockers(k, x.node, add) {
		return false
	}
	free := st.free
	for _, b := range x.blockers {
		if s.elems[b].at == x.node {
			free = plus(free, s.elems[b].req)
		}
	}
	if within(e.req, free) {
		return true
	}
	return s.roomBlockers(k, x, minus(e.req, free), kept, add)
}

func (s *search) linkBlockers(k, n int32, add func(int32) bool) bool {
	e := &s.elems[k]
	for _, a := range s.adj(e) {
		f := &s.flows[a]
		from, to, ok := s.ends(f, k, n)
		if !ok {
			continue
		}
		other := f.a
		if other == k {
			other = f.b
		}
		if from == unknownNode || to == unknownNode {
			return false
		}
		if p := s.pair(from, to); (!p.allows(f) || p.free < f.kbit) && (other < 0 || !add(other)) {
			return false
		}
	}
	return true
}

func (s *search) groupBlockers(k, n int32, add func(int32) bool) bool {
	e := &s.elems[k]
	d := &s.demands[e.dem]
	for _, g := range e.unit.apart {
		group := &d.c.apart[g]
		for _, u := range group.units {
			o := d.first + u
			if o != k && s.elems[o].at >= 0 && s.together(group, s.elems[o].at, n) && !add(o) {
				return false
			}
		}
	}
	return true
}

// roomBlockers adds the fewest units that free what is missing on a node: one
// if one is enough (the smallest such), else the largest ones.
func (s *search) roomBlockers(k int32, x *ejection, missing capacity, kept bool, add func(int32) bool) bool {
	list := s.ids2[:0]
	one := int32(-1)
	for b := s.node(x.node).head; b >= 0; b = s.elems[b].next {
		s.steps++
		o := &s.elems[b]
		if b == k || o.locked || slices.Contains(x.blockers, b) || !kept && o.at == o.home && s.obj.Move > 0 {
			continue
		}
		if within(missing, o.req) && (one < 0 || s.lighter(b, one)) {
			one = b
		}
		list = append(list, b)
	}
	s.ids2 = list
	if one >= 0 {
		return add(one)
	}
	slices.SortFunc(list, func(a, b int32) int {
		y, z := s.elems[a].req, s.elems[b].req
		return cmp.Or(cmp.Compare(z.CPU+z.Memory, y.CPU+y.Memory), cmp.Compare(a, b))
	})
	for _, b := range list {
		if within(missing, noCapacity) {
			break
		}
		if len(x.blockers) >= 4 || !add(b) {
			return false
		}
		missing = minus(missing, s.elems[b].req)
	}
	return within(missing, noCapacity)
}

// lighter prefers, as the one to leave, a unit that costs no move, then a small.
func (s *search) lighter(a, b int32) bool {
	x, y := &s.elems[a], &s.elems[b]
	if kx, ky := x.at == x.home, y.at == y.home; kx != ky {
		return ky
	}
	return x.req.CPU+x.req.Memory < y.req.CPU+y.req.Memory
}
