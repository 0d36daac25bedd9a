package placement

import "slices"

// clash is a set of units that cannot all stay.
type clash struct {
	elems []int32
	why   displacement
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
