package placement

import (
	"cmp"
	"slices"
)

// giveUp makes room for a unit that fits nowhere by leaving a demand out: one
// of lower rank if that helps, else the largest of its own rank, else its own.
func (s *search) giveUp(k int32) {
	own := s.elems[k].dem
	for _, dem := range s.victims(own) {
		mark := len(s.trail)
		for u := s.demands[dem].first; u < s.demands[dem].last; u++ {
			if s.elems[u].at >= 0 {
				s.lift(u)
			}
		}
		s.demands[dem].waiting = true
		if dem == own {
			return
		}
		if s.insert(k) || s.eject(k, s.depth(), false) {
			return
		}
		s.demands[dem].waiting = false
		s.rewind(mark)
	}
	s.leaveOut(own)
}

// victims lists the demands that may be left out for the sake of one: all of
// lower rank, the lowest first, then of its own rank the larger ones that hold
// more of what is scarce, then itself.
func (s *search) victims(own int32) []int32 {
	var out []int32
	size := make([]float64, len(s.demands))
	for dem := range s.demands {
		size[dem] = s.sizeOf(int32(dem))
	}
	for dem := range s.demands {
		d, rank := &s.demands[dem], s.demands[own].rank
		if int32(dem) != own && !d.waiting && d.last > d.first && (d.rank > rank || d.rank == rank && size[dem] > size[own]) {
			out = append(out, int32(dem))
		}
	}
	slices.SortFunc(out, func(a, b int32) int {
		return cmp.Or(cmp.Compare(s.demands[b].rank, s.demands[a].rank), cmp.Compare(size[b], size[a]), cmp.Compare(a, b))
	})
	if len(out) > 8 {
		out = out[:8]
	}
	return append(out, own)
}

// readmit tries the demands left out once more, by rank and then the smallest
// first, now that others have made room.
func (s *search) readmit() {
	var left []int32
	for dem := range s.demands {
		if s.demands[dem].waiting {
			left = append(left, int32(dem))
		}
	}
	if len(left) == 0 || len(left) <= s.mustWait() {
		return
	}
	slices.SortStableFunc(left, func(a, b int32) int {
		return cmp.Or(cmp.Compare(s.demands[a].rank, s.demands[b].rank), cmp.Compare(s.sizeOf(a), s.sizeOf(b)))
	})
	for _, dem := range left {
		d := &s.demands[dem]
		d.waiting = false
		s.trail = s.trail[:0]
		if !s.placeDemand(dem, false) && !s.placeDemand(dem, true) {
			d.waiting = true
		}
	}
}

func (s *search) sizeOf(dem int32) (sum float64) {
	for k := s.demands[dem].first; k < s.demands[dem].last; k++ {
		r := s.elems[k].req
		sum += float64(r.CPU) + float64(r.Memory) + float64(r.Storage)
	}
	return sum
}

// placeDemand places all units of a demand that have no node, or none.
func (s *search) placeDemand(dem int32, kept bool) bool {
	mark := len(s.trail)
	d := &s.demands[dem]
	units := make([]int32, 0, d.last-d.first)
	for k := d.first; k < d.last; k++ {
		if s.elems[k].at < 0 {
			units = append(units, k)
		}
	}
	slices.SortFunc(units, func(a, b int32) int {
		x, y := s.elems[a].req, s.elems[b].req
		return cmp.Or(cmp.Compare(y.CPU, x.CPU), cmp.Compare(y.Memory, x.Memory), cmp.Compare(a, b))
	})
	for _, k := range units {
		if s.elems[k].at < 0 && !s.insert(k) && (!kept || !s.collect(k)) && !s.eject(k, s.depth(), kept) {
			s.rewind(mark)
			return false
		}
	}
	return true
}

// maxTraded is how many served demands are tried as the one to wait instead.
const maxTraded = 16

// trade lets one demand wait instead of two or more of its rank, the largest
// first, while more wait than is proven to be necessary.
func (s *search) trade() {
	for {
		wait := s.waitingNow()
		if len(wait) < 2 || len(wait) <= s.mustWait() || s.rankApart(wait) || !s.tradeFor(wait) {
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

// rankApart reports whether demands are not all of one rank.
func (s *search) rankApart(list []int32) bool {
	return slices.ContainsFunc(list, func(k int32) bool { return s.demands[k].rank != s.demands[list[0]].rank })
}

// frees reports whether a demand takes at least so much of every resource.
func (s *search) frees(d *demandState, short [3]int64) bool {
	for k := d.first; k < d.last; k++ {
		for dim := range short {
			short[dim] -= part(s.elems[k].req, dim)
		}
	}
	return max(short[0], short[1], short[2]) <= 0
}

// tradeFor serves all the waiting demands at the price of one. On failure
// nothing has changed.
func (s *search) tradeFor(wait []int32) bool {
	var served []int32
	short := [3]int64{s.shortOf(0), s.shortOf(1), s.shortOf(2)}
	for k := range s.demands {
		if d := &s.demands[k]; !d.waiting && d.last > d.first && d.rank == s.demands[wait[0]].rank && s.frees(d, short) {
			served = append(served, int32(k))
		}
	}
	slices.SortStableFunc(served, func(a, b int32) int { return cmp.Compare(s.sizeOf(b), s.sizeOf(a)) })
	for _, out := range served[:min(len(served), maxTraded)] {
		if s.spent(1) {
			return false
		}
		s.trail = s.trail[:0]
		for k := s.demands[out].first; k < s.demands[out].last; k++ {
			if s.elems[k].at >= 0 {
				s.lift(k)
			}
		}
		s.demands[out].waiting = true
		done := 0
		for _, w := range wait {
			s.demands[w].waiting = false
			if !s.placeDemand(w, true) {
				break
			}
			done++
		}
		if done == len(wait) {
			return true
		}
		s.rewind(0)
		s.demands[out].waiting = false
		for _, w := range wait {
			s.demands[w].waiting = true
		}
	}
	return false
}
