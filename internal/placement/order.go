package placement

import "github.com/osmoslice/osmoslice/internal/topology"

// change is one entry of a plan by index, for ordering.
type change struct {
	from, to int32 // -1: none
	req      topology.Capacity
	spoken   bool // what it frees is for a certain other change
}

// order finds which changes must wait for others to free their room, and where
// a ring of migrations has to be broken.
func (s *search) order() (out []Before) {
	removed, moved, added := len(s.planned[0]), len(s.planned[1]), len(s.planned[2])
	if moved+removed == 0 || moved+added == 0 {
		return nil
	}
	list := append(append(append(s.list[:0], s.planned[0]...), s.planned[1]...), s.planned[2]...)
	s.list = list
	for then := range list {
		c := &list[then]
		if c.to < 0 {
			continue
		}
		st := s.node(c.to)
		if !st.roomed {
			st.roomed, st.room = true, plus(st.free, st.delta)
		}
		left := minus(st.room, c.req)
		for first := range list[:removed+moved] {
			if within(noCapacity, left) {
				break
			}
			if f := &list[first]; f.from == c.to && f.from != f.to && f.req != noCapacity && !f.spoken {
				left = plus(left, f.req)
				f.spoken = true
				out = append(out, Before{First: first, Then: then, Row: s.snap.ID(c.to)})
			}
		}
		st.room = left
	}
	if len(out) > 0 {
		waits := make([][]int, len(list))
		for _, b := range out {
			waits[b.Then] = append(waits[b.Then], b.First)
		}
		breakRings(out, waits)
	}
	return out
}

// breakRings marks, in every ring of changes that wait for each other, one that
// must give way: its element stops before its new place is free.
func breakRings(out []Before, waits [][]int) {
	state := make([]uint8, len(waits)) // 1: on the path, 2: done
	var visit func(k int)
	visit = func(k int) {
		state[k] = 1
		for _, first := range waits[k] {
			switch state[first] {
			case 0:
				visit(first)
			case 1:
				for i := range out {
					if out[i].First == first && out[i].Then == k {
						out[i].Break = true
					}
				}
			}
		}
		state[k] = 2
	}
	for k := range waits {
		if state[k] == 0 {
			visit(k)
		}
	}
}
