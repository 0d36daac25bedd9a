package placement

import (
	"cmp"
	"slices"
)

// firstfit keeps what still holds and puts every other unit on the first node,
// in visit order, that fits. It does not search: a demand that meets no fitting
// node waits, unproven. The baseline that the other strategies are judged by.
func firstfit(s *search) {
	s.keepAll()
	for _, dem := range s.byRank() {
		d := &s.demands[dem]
		for k := d.first; k < d.last && !d.waiting; k++ {
			if s.elems[k].at < 0 && !s.placeFirst(k) {
				s.leaveOut(dem)
			}
		}
	}
}

func (s *search) placeFirst(k int32) bool {
	e := &s.elems[k]
	for _, n := range s.snap.Order() {
		s.steps++
		if e.sites.has(n) && s.try(k, n) {
			return true
		}
	}
	return false
}

// byRank lists the demands in their order of service.
func (s *search) byRank() []int32 {
	out := make([]int32, len(s.demands))
	for k := range out {
		out[k] = int32(k)
	}
	slices.SortStableFunc(out, func(a, b int32) int { return cmp.Compare(s.demands[a].rank, s.demands[b].rank) })
	return out
}

// leaveOut makes a demand wait: nothing of it stays placed.
func (s *search) leaveOut(dem int32) {
	d := &s.demands[dem]
	for k := d.first; k < d.last; k++ {
		if s.elems[k].at >= 0 {
			s.drop(k)
		}
	}
	d.waiting = true
}
