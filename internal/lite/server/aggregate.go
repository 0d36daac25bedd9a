package server

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strconv"
	"strings"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/senml"
)

// maxWindows bounds the windows one query may compute (Options.maxWindows).
const maxWindows = 100_000

// windowKey names one window of the points of one name and unit.
type windowKey struct {
	name, unit string
	number     int64
}

// window holds what every aggregate needs of the numbers in it.
type window struct {
	count         int64
	sum, min, max float64
}

// add takes over the numbers of o: windows of several series add up.
func (w window) add(o window) window {
	if w.count == 0 {
		return o
	}
	return window{w.count + o.count, w.sum + o.sum, min(w.min, o.min), max(w.max, o.max)}
}

// value is the aggregate of that name.
func (w window) value(aggregate string) float64 {
	switch aggregate {
	case "mean":
		return w.sum / float64(w.count)
	case "min":
		return w.min
	case "max":
		return w.max
	case "sum":
		return w.sum
	}
	return float64(w.count)
}

// aggregated is one window in an answer.
type aggregated struct {
	Name  string  `json:"name"`
	Unit  string  `json:"unit,omitempty"`
	Time  float64 `json:"time"` // where the window begins, seconds
	Value float64 `json:"value"`
	Count int64   `json:"count"`
}

type aggregatedPage struct {
	Offset    int          `json:"offset"`
	Limit     int          `json:"limit"`
	Name      string       `json:"name,omitempty"`
	Aggregate string       `json:"aggregate"`
	Interval  string       `json:"interval,omitempty"`
	Total     int          `json:"total"`
	Messages  []aggregated `json:"messages"`
}

// aggregate answers one value per name, unit and window, newest window first,
// over points that are numbers. Windows begin at multiples of the interval
// since 1970.
func (s *Server) aggregate(ctx context.Context, q query) (*aggregatedPage, error) {
	q.maxWindows = s.options.maxWindows
	snap, err := s.snapshot(ctx, q)
	if err != nil {
		return nil, err
	}
	defer snap.close()
	windows := map[windowKey]window{}
	for id, k := range snap.series {
		if err := addWindows(ctx, snap.tx, id, k, q, windows); err != nil {
			return nil, err
		}
	}
	if err := snap.addRecent(q, windows); err != nil {
		return nil, err
	}
	keys := make([]windowKey, 0, len(windows))
	for k := range windows {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b windowKey) int {
		return cmp.Or(cmp.Compare(b.number, a.number), strings.Compare(a.name, b.name), strings.Compare(a.unit, b.unit))
	})
	page := &aggregatedPage{Offset: q.offset, Limit: q.limit, Name: q.name, Aggregate: q.aggregate, Total: len(keys), Messages: []aggregated{}}
	if q.interval > 0 {
		page.Interval = strconv.FormatFloat(float64(q.interval)/1e6, 'f', -1, 64) + "s"
	}
	for _, k := range keys[min(q.offset, len(keys)):min(q.offset+q.limit, len(keys))] {
		w := windows[k]
		begin := k.number * q.interval
		if q.interval == 0 {
			begin = q.from
		}
		page.Messages = append(page.Messages, aggregated{k.name, k.unit, float64(begin) / 1e6, w.value(q.aggregate), w.count})
	}
	return page, nil
}

// addWindows adds the windows of one series.
func addWindows(ctx context.Context, tx *sql.Tx, id int64, k seriesKey, q query, into map[windowKey]window) error {
	rows, err := tx.QueryContext(ctx, `SELECT time / ?1 AS number, count(*), sum(v), min(v), max(v) FROM points
		WHERE series = ?2 AND time >= ?3 AND time < ?4 AND typeof(v) = 'real' GROUP BY number LIMIT ?5`,
		q.divisor(), id, q.from, q.to, q.maxWindows+1)
	if err != nil {
		return storeFault(err)
	}
	defer rows.Close()
	for rows.Next() {
		var w window
		key := windowKey{name: k.name, unit: k.unit}
		if err := rows.Scan(&key.number, &w.count, &w.sum, &w.min, &w.max); err != nil {
			return storeFault(err)
		}
		into[key] = into[key].add(w)
		if len(into) > q.maxWindows {
			return tooManyWindows(q)
		}
	}
	if err := rows.Err(); err != nil {
		return storeFault(err)
	}
	return nil
}

// divisor is the length of windows, µs; without an interval, longer than time.
func (q *query) divisor() int64 {
	if q.interval == 0 {
		return 1 << 62
	}
	return q.interval
}

// addRecent adds the windows of the recent points.
func (s *snapshot) addRecent(q query, into map[windowKey]window) error {
	for i := range s.recent {
		p := &s.recent[i]
		if p.value.Kind() != senml.Number {
			continue
		}
		k := s.series[p.series]
		key, v := windowKey{k.name, k.unit, p.at.time / q.divisor()}, p.value.Float()
		into[key] = into[key].add(window{1, v, v, v})
		if len(into) > q.maxWindows {
			return tooManyWindows(q)
		}
	}
	return nil
}

func tooManyWindows(q query) error {
	return fault.New(fault.Malformed, "the query has too many windows").
		With("interval", strconv.FormatInt(q.interval, 10)+" µs", "a longer interval, or a shorter range: at most "+strconv.Itoa(q.maxWindows)+" windows")
}
