package placement

import (
	"cmp"
	"slices"
)

// repack tries to serve more demands where room is scarce, at the price of
// moves: it leaves out the largest of the lowest rank, one fewer than wait now,
// and fits all others again, the largest units first, each at home if it still
// fits there, else where it leaves the least. On failure nothing has changed.
func (s *search) repack() {
	if !s.pressed {
		return
	}
	s.limit = max(s.limit, s.steps+s.opts.Budget/2) // its own part of the budget
	for {
		wait := s.waitingNow()
		if len(wait) == 0 || len(wait) <= s.mustWait() || s.spent(int64(len(s.elems))) {
			return
		}
		if !s.packAllBut(s.largest(wait, len(wait)-1)) {
			return
		}
	}
}

func (s *search) waitingNow() (out []int32) {
	for k := range s.demands {
		if s.demands[k].waiting {
			out = append(out, int32(k))
		}
	}
	return out
}

// largest lists n demands to leave out: of no higher rank than those that wait
// now, the largest first. It lists none that would pass over a demand's rank.
func (s *search) largest(wait []int32, n int) []int32 {
	best := s.demands[wait[0]].rank
	for _, w := range wait {
		best = min(best, s.demands[w].rank)
	}
	var out []int32
	for k := range s.demands {
		if s.demands[k].rank >= best && s.demands[k].last > s.demands[k].first {
			out = append(out, int32(k))
		}
	}
	slices.SortStableFunc(out, func(a, b int32) int {
		return cmp.Or(cmp.Compare(s.demands[b].rank, s.demands[a].rank), cmp.Compare(s.sizeOf(b), s.sizeOf(a)))
	})
	return out[:min(n, len(out))]
}

// packAllBut places all units but those of some demands anew.
func (s *search) packAllBut(out []int32) bool {
	before := make([]int32, len(s.elems))
	waited := make([]bool, len(s.demands))
	for k := range s.demands {
		waited[k] = s.demands[k].waiting
		s.demands[k].waiting = slices.Contains(out, int32(k))
	}
	order := make([]int32, 0, len(s.elems))
	for k := range s.elems {
		if before[k] = s.elems[k].at; before[k] >= 0 {
			s.drop(int32(k))
		}
		if !s.demands[s.elems[k].dem].waiting {
			order = append(order, int32(k))
		}
	}
	slices.SortStableFunc(order, func(a, b int32) int {
		x, y := &s.elems[a], &s.elems[b]
		return cmp.Or(cmp.Compare(y.req.CPU+y.req.Memory, x.req.CPU+x.req.Memory), cmp.Compare(homeFirst(y), homeFirst(x)))
	})
	s.trail = s.trail[:0]
	for _, k := range order {
		if h := s.elems[k].home; h >= 0 && s.elems[k].sites.has(h) && s.node(h).up && s.try(k, h) {
			continue
		}
		if !s.insert(k) && !s.eject(k, 2, true) {
			s.undo(before, waited)
			return false
		}
	}
	return true
}

// homeFirst is 1 for a unit that has a home.
func homeFirst(e *elem) int {
	if e.home >= 0 {
		return 1
	}
	return 0
}

func (s *search) undo(before []int32, waited []bool) {
	for k := range s.elems {
		if s.elems[k].at >= 0 {
			s.drop(int32(k))
		}
	}
	for k, n := range before {
		if n >= 0 {
			s.force(int32(k), n)
		}
	}
	for k := range s.demands {
		s.demands[k].waiting = waited[k]
	}
}
