package server

import (
	"container/heap"
	"context"
	"database/sql"
	"encoding/json"
	"maps"
	"slices"

	"github.com/osmoslice/osmoslice/internal/senml"
)

// snapshot is the tree and the recent points as they were at one moment.
type snapshot struct {
	tx     *sql.Tx
	series map[int64]seriesKey // what the query selects
	recent []seriesPoint       // of those, within the query's range
}

// snapshot begins to read what q is about; close it.
func (s *Server) snapshot(ctx context.Context, q query) (*snapshot, error) {
	tx, err := s.db.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, storeFault(err)
	}
	snap := &snapshot{tx: tx, series: s.writer.series.match(q.channel, q.selects)}
	s.writer.recent.view.RLock()
	defer s.writer.recent.view.RUnlock()
	// The transaction's snapshot begins with its first read.
	var one int
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM meta`).Scan(&one); err != nil {
		_ = tx.Rollback()
		return nil, storeFault(err)
	}
	snap.recent = s.writer.recent.selectFrom(snap.series, q.from, q.bound())
	return snap, nil
}

func (s *snapshot) close() { _ = s.tx.Rollback() }

// bound is the position before which all answers are.
func (q *query) bound() position {
	bound := position{q.to, 0}
	if q.after != nil && q.after.before(bound) {
		return *q.after
	}
	return bound
}

// idList is series ids as a JSON array, for json_each.
func idList(series map[int64]seriesKey) string {
	ids := slices.AppendSeq(make([]int64, 0, len(series)), maps.Keys(series))
	text, _ := json.Marshal(ids)
	return string(text)
}

// count is the number of points of the query.
func (s *snapshot) count(ctx context.Context, q query) (int64, error) {
	var total int64
	err := s.tx.QueryRowContext(ctx, `SELECT coalesce(sum((SELECT count(*) FROM points WHERE series = j.value AND time >= ?1 AND time < ?2)), 0)
		FROM json_each(?3) AS j`, q.from, q.to, idList(s.series)).Scan(&total)
	return total + int64(len(s.recent)), err
}

// merge walks the points of many series, newest first: those of each series in
// the tree, read on only when they are due, and the recent ones.
type merge struct {
	snap    *snapshot
	from    int64
	cursors cursorHeap
}

// cursor is how far a series was read. Nothing behind it comes before at.
type cursor struct {
	at     position
	points []seriesPoint
	series int64 // in the tree; 0 for the recent points
	chunk  int   // points to read next time
	end    bool  // nothing is behind points
}

const (
	firstChunk = 8 // points of a series that are read at first
	lastChunk  = 256
)

func newMerge(ctx context.Context, snap *snapshot, q query) (*merge, error) {
	m := &merge{snap: snap, from: q.from}
	if len(snap.recent) > 0 {
		newestFirst(snap.recent)
		m.cursors = append(m.cursors, &cursor{at: snap.recent[0].at, points: snap.recent, end: true})
	}
	if err := m.openSeries(ctx, q.bound()); err != nil {
		return nil, err
	}
	heap.Init(&m.cursors)
	return m, nil
}

// openSeries adds a cursor, with its newest point, for each series.
func (m *merge) openSeries(ctx context.Context, bound position) error {
	rows, err := m.snap.tx.QueryContext(ctx, `SELECT p.series, p.time, p.id, p.v, p.sum, p.ut FROM json_each(?1) AS j CROSS JOIN points AS p
		WHERE p.series = j.value AND p.time = (SELECT max(time) FROM points WHERE series = j.value AND (time, id) < (?2, ?3))
		AND p.time >= ?4 AND (p.time, p.id) < (?2, ?3) ORDER BY p.series, p.time DESC, p.id DESC`,
		idList(m.snap.series), bound.time, bound.id, m.from)
	if err != nil {
		return err
	}
	defer rows.Close()
	var before int64
	for rows.Next() {
		p, err := scanPoint(rows)
		if err != nil {
			return err
		}
		if p.series == before {
			continue // of the same time, but not the last to arrive
		}
		before = p.series
		m.cursors = append(m.cursors, &cursor{series: p.series, at: p.at, points: []seriesPoint{p}, chunk: firstChunk})
	}
	return rows.Err()
}

// next answers the next point.
func (m *merge) next(ctx context.Context) (seriesPoint, bool, error) {
	for len(m.cursors) > 0 {
		c := m.cursors[0]
		if len(c.points) == 0 {
			if err := m.advance(ctx, c); err != nil {
				return seriesPoint{}, false, err
			}
			continue
		}
		p := c.points[0]
		c.points = c.points[1:]
		c.at = p.at
		if len(c.points) > 0 {
			c.at = c.points[0].at
		}
		heap.Fix(&m.cursors, 0)
		return p, true, nil
	}
	return seriesPoint{}, false, nil
}

// advance reads the next points of the cursor at the top, or drops it.
func (m *merge) advance(ctx context.Context, c *cursor) error {
	if !c.end {
		if err := m.fetch(ctx, c); err != nil {
			return err
		}
	}
	if len(c.points) == 0 {
		heap.Pop(&m.cursors)
		return nil
	}
	c.at = c.points[0].at
	heap.Fix(&m.cursors, 0)
	return nil
}

func (m *merge) fetch(ctx context.Context, c *cursor) error {
	rows, err := m.snap.tx.QueryContext(ctx, `SELECT series, time, id, v, sum, ut FROM points WHERE series = ?1 AND time >= ?2 AND (time, id) < (?3, ?4)
		ORDER BY time DESC, id DESC LIMIT ?5`, c.series, m.from, c.at.time, c.at.id, c.chunk)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		p, err := scanPoint(rows)
		if err != nil {
			return err
		}
		c.points = append(c.points, p)
	}
	c.end = len(c.points) < c.chunk
	c.chunk = min(4*c.chunk, lastChunk)
	return rows.Err()
}

// scanPoint reads a row of points.
func scanPoint(rows *sql.Rows) (seriesPoint, error) {
	var p seriesPoint
	var value any
	var sum, ut sql.NullFloat64
	if err := rows.Scan(&p.series, &p.at.time, &p.at.id, &value, &sum, &ut); err != nil {
		return p, err
	}
	switch v := value.(type) {
	case int64:
		p.value = senml.Bool(v != 0)
	default:
		p.value, _ = senml.ValueOf(v)
	}
	p.sum, p.hasSum, p.ut = sum.Float64, sum.Valid, ut.Float64
	return p, nil
}

// cursorHeap has the newest point at the top.
type cursorHeap []*cursor

func (h cursorHeap) Len() int           { return len(h) }
func (h cursorHeap) Less(i, j int) bool { return h[j].at.before(h[i].at) }
func (h cursorHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *cursorHeap) Push(x any)        { *h = append(*h, x.(*cursor)) }
func (h *cursorHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
