package placement

import "github.com/osmoslice/osmoslice/internal/topology"

// change is one entry of a plan by index, for ordering.
type change struct {
	from, to int32 // -1: none
	req      topology.Capacity
}

// order finds which changes must wait for others to free their room, and where
// a ring of migrations has to be broken.
func (s *search) order(p *Plan) []Before {
	if len(p.Migrate)+len(p.Remove) == 0 || len(p.Migrate)+len(p.Add) == 0 {
		return nil
	}
	list := s.changesOf(p)
	room := map[int32]topology.Capacity{} // free before anything changes
	for _, c := range list {
		if c.to >= 0 {
			room[c.to] = s.roomNow(c.to)
		}
	}
	var out []Before
	waits := make([][]int, len(list))
	for then := range list {
		c := &list[then]
		if c.to < 0 {
			continue
		}
		left := minus(room[c.to], c.req)
		for first := range list {
			if within(noCapacity, left) {
				break
			}
			if f := &list[first]; f.from == c.to && f.from != f.to && f.req != noCapacity {
				left = plus(left, f.req)
				list[first].req = noCapacity // what it frees is spoken for
				waits[then] = append(waits[then], first)
				out = append(out, Before{First: first, Then: then, Row: s.snap.ID(c.to)})
			}
		}
		room[c.to] = left
	}
	breakRings(out, waits)
	return out
}

// roomNow is what a node had free before the plan: others' and all holdings of
// the given demands deducted.
func (s *search) roomNow(n int32) topology.Capacity {
	st := s.node(n)
	free := plus(st.free, st.delta)
	if st.delta == noCapacity {
		return st.free
	}
	return free
}

func (s *search) changesOf(p *Plan) []change {
	var out []change
	for _, list := range [][]Move{p.Remove, p.Migrate, p.Add} {
		for _, m := range list {
			c := change{from: -1, to: -1}
			if m.From != "" {
				c.from, _ = s.snap.Known(m.From)
			}
			if m.To != "" {
				c.to, _ = s.snap.Known(m.To)
			}
			c.req = s.heldOrNeeded(m)
			out = append(out, c)
		}
	}
	return out
}

// heldOrNeeded is the hardware of a change: what an element needs where it
// goes, or what it held when it only leaves.
func (s *search) heldOrNeeded(m Move) topology.Capacity {
	for k := range s.demands {
		ds := &s.demands[k]
		if ds.c.source.ID != m.Demand {
			continue
		}
		if i := ds.c.elementIndex(m.Element); i >= 0 && m.To != "" {
			return ds.c.source.Elements[i].Requirements.Hardware()
		}
		if ds.held != nil {
			for _, h := range ds.held.elements {
				if h.id == m.Element {
					return h.take
				}
			}
		}
	}
	return noCapacity
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
