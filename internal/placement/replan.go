package placement

// replanFan is how many nodes per unit the depth-first search of one demand
// considers at first; a demand of few units gets them all.
const replanFan = 24

// replan searches one demand depth first, with everything outside it fixed:
// first (kept false) only its units that need a new node, then all of it. On
// failure nothing has changed.
func (s *search) replan(k int32, kept bool) bool {
	dem := s.elems[k].dem
	d := &s.demands[dem]
	mark := len(s.trail)
	units := make([]int32, 0, d.last-d.first)
	for u := d.first; u < d.last; u++ {
		e := &s.elems[u]
		if e.at >= 0 && (kept || e.at != e.home) {
			s.lift(u)
		}
		if e.at < 0 {
			units = append(units, u)
		}
	}
	fan := replanFan
	if len(units) <= 6 {
		fan = 1 << 30
	}
	if s.depthFirst(units, fan) {
		return true
	}
	s.rewind(mark)
	return false
}

// depthFirst places all the units, always the one with the fewest fitting
// nodes next, its cheapest node first.
func (s *search) depthFirst(units []int32, fan int) bool {
	if len(units) == 0 {
		return true
	}
	pick := -1
	var options []candidate
	for i, u := range units {
		c := s.candidates(u)
		if len(c) == 0 || s.spent(0) {
			return false
		}
		if pick < 0 || len(c) < len(options) {
			pick, options = i, c
		}
	}
	u := units[pick]
	rest := append(append(make([]int32, 0, len(units)-1), units[:pick]...), units[pick+1:]...)
	for i, c := range options {
		if i >= fan || s.spent(1) {
			return false
		}
		mark := len(s.trail)
		if !s.try(u, c.node) {
			continue
		}
		s.trail = append(s.trail, step{u, -1})
		if s.depthFirst(rest, fan) {
			return true
		}
		s.rewind(mark)
	}
	return false
}
