package server

import (
	"container/heap"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/senml"
)

// query selects points of a channel.
type query struct {
	channel                             string
	name, subtopic, publisher, protocol string
	hasSubtopic                         bool
	from, to                            int64 // µs since 1970: from ≤ time < to
	limit, offset                       int
	after                               *position
	count                               bool // answer how many there are in all

	aggregate string
	interval  int64 // µs; 0: one window over everything
}

// position is the place of a point in the order of answers.
type position struct{ time, id int64 }

// before reports whether p comes after q in answers, which are newest first.
func (p position) before(q position) bool { return p.time < q.time || p.time == q.time && p.id < q.id }

func (p position) String() string { return fmt.Sprintf("%d-%d", p.time, p.id) }

// parseQuery reads a query string.
func parseQuery(channel string, v url.Values) (query, error) {
	q := query{
		channel: channel, name: v.Get("name"), subtopic: v.Get("subtopic"), hasSubtopic: v.Has("subtopic"),
		publisher: v.Get("publisher"), protocol: v.Get("protocol"), aggregate: v.Get("aggregate"), to: math.MaxInt64,
	}
	bad := func(name, allowed string) (query, error) {
		return q, fault.New(fault.Malformed, "the query is not valid").With(name, v.Get(name), allowed)
	}
	var err error
	if q.limit, err = intParam(v, "limit", defaultPage, 1, maxPage); err != nil {
		return q, err
	}
	if q.offset, err = intParam(v, "offset", 0, 0, maxOffset); err != nil {
		return q, err
	}
	const times = "seconds since 1970 or RFC 3339"
	if v.Has("from") && !parseTime(v.Get("from"), &q.from) {
		return bad("from", times)
	}
	if v.Has("to") && !parseTime(v.Get("to"), &q.to) {
		return bad("to", times)
	}
	if v.Has("after") {
		if q.after = parsePosition(v.Get("after")); q.after == nil {
			return bad("after", "the value of next in an answer")
		}
	}
	q.count = v.Get("count") != "false" && q.after == nil
	if q.aggregate != "" && !slices.Contains([]string{"mean", "min", "max", "sum", "count"}, q.aggregate) {
		return bad("aggregate", "mean, min, max, sum or count")
	}
	if text := v.Get("interval"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d < time.Millisecond || d > 10*366*24*time.Hour || q.aggregate == "" {
			return bad("interval", "a duration of 1ms or more, with aggregate")
		}
		q.interval = d.Microseconds()
	}
	return q, nil
}

func parseTime(text string, into *int64) bool {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		*into = t.UnixMicro()
		return true
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f >= 0 && f <= senml.MaxTime+1) {
		return false
	}
	*into = int64(math.Round(f * 1e6))
	return true
}

func parsePosition(text string) *position {
	a, b, _ := strings.Cut(text, "-")
	time, errTime := strconv.ParseInt(a, 10, 64)
	id, errID := strconv.ParseInt(b, 10, 64)
	if errTime != nil || errID != nil {
		return nil
	}
	return &position{time, id}
}

// selects reports whether the query is about series k.
func (q *query) selects(k seriesKey) bool {
	return (q.name == "" || q.name == k.name) && (!q.hasSubtopic || q.subtopic == k.subtopic) &&
		(q.publisher == "" || q.publisher == k.publisher) && (q.protocol == "" || q.protocol == k.protocol)
}

// storedMessage is one point as Mainflux 0.12 answers it.
type storedMessage struct {
	ID          int64    `json:"id"` // arrival number, rising
	Channel     string   `json:"channel"`
	Subtopic    string   `json:"subtopic,omitempty"`
	Publisher   string   `json:"publisher"`
	Protocol    string   `json:"protocol"`
	Name        string   `json:"name"`
	Unit        string   `json:"unit,omitempty"`
	Time        float64  `json:"time"`
	UpdateTime  *float64 `json:"update_time,omitempty"`
	Value       *float64 `json:"value,omitempty"`
	StringValue *string  `json:"string_value,omitempty"`
	BoolValue   *bool    `json:"bool_value,omitempty"`
	DataValue   *string  `json:"data_value,omitempty"` // base64url without padding, as in SenML
	Sum         *float64 `json:"sum,omitempty"`
}

// messagesPage is the answer to a query.
type messagesPage struct {
	Offset   int             `json:"offset"`
	Limit    int             `json:"limit"`
	Name     string          `json:"name,omitempty"`
	Format   string          `json:"format"`
	Total    *int64          `json:"total,omitempty"`
	Next     string          `json:"next,omitempty"` // for after; empty at the end
	Messages []storedMessage `json:"messages"`
}

// messages answers a page of points, newest first, from one snapshot.
func (s *Server) messages(ctx context.Context, q query) (*messagesPage, error) {
	tx, err := s.db.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, storeFault(err)
	}
	defer func() { _ = tx.Rollback() }()
	series := s.writer.series.match(q.channel, q.selects)
	page := &messagesPage{Offset: q.offset, Limit: q.limit, Name: q.name, Format: "messages", Messages: []storedMessage{}}
	if q.count {
		total, err := countPoints(ctx, tx, series, q)
		if err != nil {
			return nil, storeFault(err)
		}
		page.Total = &total
	}
	merge, err := newMerge(ctx, tx, series, q)
	if err != nil {
		return nil, storeFault(err)
	}
	var last position
	for skipped := 0; len(page.Messages) <= q.limit; {
		m, at, ok, err := merge.next(ctx)
		if err != nil {
			return nil, storeFault(err)
		}
		if !ok {
			return page, nil
		}
		if skipped < q.offset {
			skipped++
			continue
		}
		if len(page.Messages) == q.limit {
			page.Next = last.String()
			break
		}
		page.Messages, last = append(page.Messages, m), at
	}
	return page, nil
}

// idList is series ids as a JSON array, for json_each.
func idList(series map[int64]seriesKey) string {
	ids := slices.AppendSeq(make([]int64, 0, len(series)), maps.Keys(series))
	text, _ := json.Marshal(ids)
	return string(text)
}

func countPoints(ctx context.Context, tx *sql.Tx, series map[int64]seriesKey, q query) (int64, error) {
	var total int64
	err := tx.QueryRowContext(ctx, `SELECT coalesce(sum((SELECT count(*) FROM points WHERE series = j.value AND time >= ?1 AND time < ?2)), 0)
		FROM json_each(?3) AS j`, q.from, q.to, idList(series)).Scan(&total)
	return total, err
}

// merge walks the points of many series, newest first, opening a series only
// when its newest point is due: a page costs at most one range per point.
type merge struct {
	tx      *sql.Tx
	series  map[int64]seriesKey
	from    int64
	chunk   int
	cursors cursorHeap
}

// cursor is how far a series was read. An unread one stands at its newest time
// with the largest id.
type cursor struct {
	series int64
	at     position
	points []point
	end    bool // nothing is behind points
}

// point is a row of points.
type point struct {
	at    position
	value any
	sum   sql.NullFloat64
	ut    sql.NullFloat64
}

func newMerge(ctx context.Context, tx *sql.Tx, series map[int64]seriesKey, q query) (*merge, error) {
	bound := position{q.to, 0}
	if q.after != nil && q.after.before(bound) {
		bound = *q.after
	}
	m := &merge{tx: tx, series: series, from: q.from, chunk: min(q.limit+1, 256)}
	rows, err := tx.QueryContext(ctx, `SELECT j.value, (SELECT max(time) FROM points WHERE series = j.value AND (time, id) < (?1, ?2))
		FROM json_each(?3) AS j`, bound.time, bound.id, idList(series))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var newest sql.NullInt64
		if err := rows.Scan(&id, &newest); err != nil {
			return nil, err
		}
		if newest.Valid && newest.Int64 >= q.from {
			start := position{newest.Int64, math.MaxInt64}
			if bound.before(start) {
				start = bound
			}
			m.cursors = append(m.cursors, &cursor{series: id, at: start})
		}
	}
	heap.Init(&m.cursors)
	return m, rows.Err()
}

// next answers the next point.
func (m *merge) next(ctx context.Context) (storedMessage, position, bool, error) {
	for len(m.cursors) > 0 {
		c := m.cursors[0]
		if len(c.points) == 0 {
			if err := m.advance(ctx, c); err != nil {
				return storedMessage{}, position{}, false, err
			}
			continue
		}
		p := c.points[0]
		c.points = c.points[1:]
		if len(c.points) > 0 {
			c.at = c.points[0].at
		} else {
			c.at = p.at
		}
		heap.Fix(&m.cursors, 0)
		return p.message(m.series[c.series]), p.at, true, nil
	}
	return storedMessage{}, position{}, false, nil
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
	rows, err := m.tx.QueryContext(ctx, `SELECT time, id, v, sum, ut FROM points WHERE series = ?1 AND time >= ?2 AND (time, id) < (?3, ?4)
		ORDER BY time DESC, id DESC LIMIT ?5`, c.series, m.from, c.at.time, c.at.id, m.chunk)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var p point
		if err := rows.Scan(&p.at.time, &p.at.id, &p.value, &p.sum, &p.ut); err != nil {
			return err
		}
		c.points = append(c.points, p)
	}
	c.end = len(c.points) < m.chunk
	return rows.Err()
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

// message is p as it is answered.
func (p point) message(k seriesKey) storedMessage {
	m := storedMessage{
		ID: p.at.id, Channel: k.channel, Subtopic: k.subtopic, Publisher: k.publisher, Protocol: k.protocol, Name: k.name, Unit: k.unit,
		Time: float64(p.at.time) / 1e6,
	}
	switch v := p.value.(type) {
	case float64:
		m.Value = &v
	case string:
		m.StringValue = &v
	case int64:
		truth := v != 0
		m.BoolValue = &truth
	case []byte:
		text := base64.RawURLEncoding.EncodeToString(v)
		m.DataValue = &text
	}
	if p.sum.Valid {
		m.Sum = &p.sum.Float64
	}
	if p.ut.Valid {
		m.UpdateTime = &p.ut.Float64
	}
	return m
}
