package server

import (
	"cmp"
	"slices"
	"sync"

	"github.com/osmoslice/osmoslice/internal/senml"
)

// position is the place of a point in the order of answers, which are newest
// first: its time (µs since 1970) and its arrival number.
type position struct{ time, id int64 }

// before reports whether p comes after q in answers.
func (p position) before(q position) bool { return p.time < q.time || p.time == q.time && p.id < q.id }

// point is one point of a series.
type point struct {
	at      position
	value   senml.Value
	sum, ut float64
	hasSum  bool
}

// size is about what a point takes in memory.
func (p *point) size() int { return 96 + len(p.value.Text()) }

// recent holds the points that are in the journal, and so on disk, but not in
// the tree of points yet: in the order of arrival, they would touch a page of
// the tree each. Moved many at a time and in the order of the tree, they touch
// each page once.
//
// Queries read the tree and recent together. view keeps the two from being read
// while points move: who reads holds it while a snapshot of the database begins
// and recent is read.
type recent struct {
	view   sync.RWMutex
	series map[int64][]point // in the order of arrival; what is there is never changed
	count  int
	bytes  int
}

func newRecent() *recent { return &recent{series: map[int64][]point{}} }

// seriesPoint is a point and the series it belongs to.
type seriesPoint struct {
	series int64
	point
}

// add takes points whose journal entry is committed.
func (r *recent) add(points []seriesPoint) {
	r.view.Lock()
	defer r.view.Unlock()
	for i := range points {
		p := &points[i]
		r.series[p.series] = append(r.series[p.series], p.point)
		r.count++
		r.bytes += p.size()
	}
}

// batch answers the oldest points of a series, up to number last and at most
// most of them.
func (r *recent) batch(series, last int64, most int) []point {
	r.view.RLock()
	defer r.view.RUnlock()
	points := r.series[series]
	n := min(len(points), most)
	for n > 0 && points[n-1].at.id > last {
		n--
	}
	return points[:n]
}

// drop forgets the n oldest points of a series; the caller holds view.
func (r *recent) drop(series int64, n int) {
	points := r.series[series]
	for i := range n {
		r.count--
		r.bytes -= points[i].size()
	}
	if n == len(points) {
		delete(r.series, series)
		return
	}
	r.series[series] = points[n:]
}

// ids answers the series that have points here, in the order of the tree.
func (r *recent) ids() []int64 {
	r.view.RLock()
	defer r.view.RUnlock()
	ids := make([]int64, 0, len(r.series))
	for id := range r.series {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// size is the number of points and about their bytes.
func (r *recent) size() (count, bytes int) {
	r.view.RLock()
	defer r.view.RUnlock()
	return r.count, r.bytes
}

// selectFrom answers the points of series with from ≤ time and a position
// before bound; the caller holds view for reading.
func (r *recent) selectFrom(series map[int64]seriesKey, from int64, bound position) []seriesPoint {
	var found []seriesPoint
	take := func(id int64) {
		for _, p := range r.series[id] {
			if p.at.time >= from && p.at.before(bound) {
				found = append(found, seriesPoint{id, p})
			}
		}
	}
	if len(series) < len(r.series) {
		for id := range series {
			take(id)
		}
		return found
	}
	for id := range r.series {
		if _, ok := series[id]; ok {
			take(id)
		}
	}
	return found
}

// newestFirst sorts points in the order of answers.
func newestFirst(points []seriesPoint) {
	slices.SortFunc(points, func(a, b seriesPoint) int {
		return cmp.Or(cmp.Compare(b.at.time, a.at.time), cmp.Compare(b.at.id, a.at.id))
	})
}
