package placement

// put places a unit on a node without checking; take is its inverse.
func (s *search) put(k, n int32) {
	e, st := &s.elems[k], s.node(n)
	st.free = minus(st.free, e.req)
	st.used = plus(st.used, e.req)
	st.phiNow = s.phi(st, noCapacity)
	if st.brief != nil {
		st.brief.follow(st)
	}
	e.prev, e.next = -1, st.head
	if st.head >= 0 {
		s.elems[st.head].prev = k
	}
	st.head = k
	st.count++
	e.at = n
	s.count++
	e.since = s.count
}

func (s *search) take(k int32) {
	e := &s.elems[k]
	st := s.node(e.at)
	st.free = plus(st.free, e.req)
	st.used = minus(st.used, e.req)
	st.phiNow = s.phi(st, noCapacity)
	if st.brief != nil {
		st.brief.follow(st)
	}
	if e.prev >= 0 {
		s.elems[e.prev].next = e.next
	} else {
		st.head = e.next
	}
	if e.next >= 0 {
		s.elems[e.next].prev = e.prev
	}
	st.count--
	e.at = -1
}

// end is the node of a flow's end now, -1 when it is not placed.
func (s *search) end(x int32) int32 {
	switch {
	case x >= 0:
		return s.elems[x].at
	case x == unknownNode:
		return unknownNode
	}
	return ^x
}

// ends are the nodes of a flow if unit k were on node n; ok is false when the
// other end is not placed or on the same node: then nothing is to check.
func (s *search) ends(f *flow, k, n int32) (from, to int32, ok bool) {
	if f.a == k {
		from, to = n, s.end(f.b)
	} else {
		from, to = s.end(f.a), n
	}
	return from, to, from != to && from != -1 && to != -1
}

// fits checks a unit on a node against everything placed now, flow by flow.
func (s *search) fits(k, n int32) bool {
	e, st := &s.elems[k], s.node(n)
	return within(e.req, st.free) && s.apartOK(k, n) && s.flowsOK(k, n)
}

func (s *search) flowsOK(k, n int32) bool {
	e := &s.elems[k]
	for _, x := range s.adj(e) {
		f := &s.flows[x]
		from, to, ok := s.ends(f, k, n)
		if !ok {
			continue
		}
		if from == unknownNode || to == unknownNode {
			return false
		}
		if !s.carries(from, to, f) {
			return false
		}
	}
	return true
}

// apartOK checks anti-affinity and redundancy against the units placed now.
func (s *search) apartOK(k, n int32) bool {
	e := &s.elems[k]
	if !e.grouped {
		return true
	}
	d := &s.demands[e.dem]
	for _, g := range e.unit.apart {
		group := &d.c.apart[g]
		for _, u := range group.units {
			o := d.first + u
			if o != k && s.elems[o].at >= 0 && s.together(group, s.elems[o].at, n) {
				return false
			}
		}
	}
	return true
}

// together reports whether two nodes are the same place for a group.
func (s *search) together(g *apartGroup, a, b int32) bool {
	if a == b {
		return true
	}
	return g.infra && s.snap.Group(a) != 0 && s.snap.Group(a) == s.snap.Group(b)
}

// try places a unit on a node if it fits, all its flows together.
func (s *search) try(k, n int32) bool {
	e, st := &s.elems[k], s.node(n)
	if !within(e.req, st.free) || !s.apartOK(k, n) {
		return false
	}
	for j, x := range s.adj(e) {
		f := &s.flows[x]
		from, to, ok := s.ends(f, k, n)
		if !ok {
			continue
		}
		if from == unknownNode || to == unknownNode {
			s.giveBack(e, j)
			return false
		}
		i := s.pairAt(from, to)
		p := &s.pairs.list[i]
		if !p.allows(f) || p.free < f.kbit {
			s.giveBack(e, j)
			return false
		}
		p.free -= f.kbit
		p.flows++
		f.pair = i
	}
	s.put(k, n)
	return true
}

// giveBack returns what the first j flows of a unit have been given.
func (s *search) giveBack(e *elem, j int) {
	for _, x := range s.adj(e)[:j] {
		f := &s.flows[x]
		if f.pair >= 0 {
			p := &s.pairs.list[f.pair]
			p.free += f.kbit
			p.flows--
			f.pair = -1
		}
	}
}

// force places a unit on a node even where that overloads it, and notes the
// flows that do not hold there.
func (s *search) force(k, n int32) {
	e := &s.elems[k]
	for _, x := range s.adj(e) {
		f := &s.flows[x]
		from, to, ok := s.ends(f, k, n)
		if !ok {
			continue
		}
		f.row = noRow
		s.forceFlow(x, from, to)
	}
	s.put(k, n)
}

// forceFlow gives a flow what it needs from one node to another, and notes it if
// it does not hold there.
func (s *search) forceFlow(x, from, to int32) {
	f := &s.flows[x]
	if from == unknownNode || to == unknownNode {
		s.broken = append(s.broken, x)
		return
	}
	f.pair = s.pairAtRow(from, to, f.row)
	p := &s.pairs.list[f.pair]
	if !p.allows(f) || p.free < 0 && (f.a < 0 || f.b < 0) {
		s.broken = append(s.broken, x)
	}
	p.free -= f.kbit
	p.flows++
}

// drop takes a placed unit off its node and frees its flows.
func (s *search) drop(k int32) {
	e := &s.elems[k]
	s.giveBack(e, len(s.adj(e)))
	s.take(k)
}
