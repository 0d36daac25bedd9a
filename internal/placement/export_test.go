package placement

// ByDepth decides as the exact strategy does, with every node of every unit tried
// depth first instead of along the trees of their links.
func ByDepth(st State, demands []Demand, o Options) Decision {
	o = o.withDefaults()
	s := new(search)
	s.reset(st, o, o.objective())
	outcomes := s.build(demands)
	heuristic(s)
	t := s.terms()
	b := &brancher{search: s, best: t.Total(), at: make([]int32, len(s.elems)), mayWait: true}
	b.save()
	for k := range s.elems {
		if s.elems[k].at >= 0 {
			s.drop(int32(k))
		}
	}
	for _, dem := range s.byRank() {
		b.add(s.demands[dem].first, s.demands[dem].last, nil)
	}
	b.run(0)
	b.restore()
	if !b.stop {
		s.bounds.proven, s.closed = b.best, true
	}
	return s.decision(outcomes)
}
