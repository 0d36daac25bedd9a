package gateway

import (
	"math"
	"time"

	"github.com/osmoslice/osmoslice/internal/senml"
)

// edgeState is what the edge functions of one resource remember.
type edgeState struct {
	hasLast bool
	last    float64 // last value passed on, for the deadband
	window  window
}

// window is a tumbling window over the readings of one resource; count 0 means
// that none is open.
type window struct {
	index    int64 // floor(time / length)
	length   time.Duration
	opened   int64 // gateway clock, Unix ms
	count    uint64
	sum      float64
	min, max float64
}

// verdict is what the edge functions decided about one reading.
type verdict struct {
	counter counter // passed, filtered…, aggregated or droppedOverflow
	closed  *window // a window this reading closed, to be emitted
}

// hasEdge reports whether the resource's readings depend on earlier ones.
func (r *Resource) hasEdge() bool { return r.Deadband > 0 || r.Aggregate != "" }

// apply runs the edge functions on one reading: range, deadband, aggregate. It
// changes s and nothing else; now is the gateway's clock.
func (r *Resource) apply(s *edgeState, rec *senml.Record, now time.Time) verdict {
	v := rec.Value.Float()
	if rec.Value.Kind() == senml.Number {
		if r.Min != nil && v < *r.Min || r.Max != nil && v > *r.Max {
			return verdict{counter: filteredRange}
		}
		if r.Deadband > 0 {
			if s.hasLast && math.Abs(v-s.last) < r.Deadband {
				return verdict{counter: filteredDeadband}
			}
			s.hasLast, s.last = true, v
		}
	}
	if r.Aggregate == "" {
		return verdict{counter: passed}
	}
	return s.window.join(v, rec.Time, time.Duration(r.Window), now)
}

// join adds a reading to the window it belongs to. An earlier reading than the
// open window joins the open one: it is late, not lost.
func (w *window) join(v, at float64, length time.Duration, now time.Time) verdict {
	index := int64(math.Floor(at / length.Seconds()))
	out := verdict{counter: aggregated}
	if w.count > 0 && (index > w.index || w.length != length) {
		closed := *w
		out.closed = &closed
		*w = window{}
	}
	if w.count == 0 {
		*w = window{index: index, length: length, opened: now.UnixMilli(), count: 1, sum: v, min: v, max: v}
		return out
	}
	if math.IsInf(w.sum+v, 0) {
		out.counter = droppedOverflow
		return out
	}
	w.count++
	w.sum += v
	w.min = min(w.min, v)
	w.max = max(w.max, v)
	return out
}

// dueAt is when the window has been open for its length and a little more, in
// which late readings may still join; Unix ms.
func (w *window) dueAt() int64 {
	return w.opened + (w.length + min(w.length, time.Second)).Milliseconds()
}

// record is the aggregate of a closed window, at the window's end.
func (w *window) record(r *Resource, name string) senml.Record {
	var v float64
	switch r.Aggregate {
	case "min":
		v = w.min
	case "max":
		v = w.max
	case "sum":
		v = w.sum
	case "count":
		v = float64(w.count)
	default:
		v = w.sum / float64(w.count)
	}
	out := senml.Record{Name: name, Unit: r.Unit, Value: senml.Float(v), Time: float64(w.index+1) * w.length.Seconds()}
	if r.Aggregate == "count" {
		out.Unit = ""
	}
	return out
}
