package stream

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/osmoslice/osmoslice/internal/senml"
)

// Windows computes tumbling windows. It is not safe for concurrent use.
type Windows struct {
	length   float64 // seconds
	grace    float64 // seconds after its end that a window stays open
	suffix   string
	maxNames int

	open   map[windowKey]*numbers
	closed float64 // windows that end at or before this are closed
	Late   int64   // readings for closed windows
	Excess int64   // readings beyond maxNames
}

type windowKey struct {
	name, unit string
	begin      float64
}

// numbers is what is known of one window.
type numbers struct {
	count         int64
	sum, min, max float64
}

// NewWindows answers empty windows of a length and grace in seconds.
func NewWindows(length, grace float64, suffix string, maxNames int) *Windows {
	return &Windows{length: length, grace: grace, suffix: suffix, maxNames: maxNames, open: map[windowKey]*numbers{}, closed: math.Inf(-1)}
}

// Add takes a resolved record and reports whether it fell into a window; those
// without a number, and the windows' own output, are passed over.
func (w *Windows) Add(r senml.Record) bool {
	if r.Value.Kind() != senml.Number || strings.Contains(r.Name, w.suffix) {
		return false
	}
	begin := math.Floor(r.Time/w.length) * w.length
	if begin+w.length <= w.closed {
		w.Late++
		return false
	}
	v := r.Value.Float()
	key := windowKey{r.Name, r.Unit, begin}
	n, ok := w.open[key]
	if !ok {
		if len(w.open) >= w.maxNames {
			w.Excess++
			return false
		}
		key.name, key.unit = strings.Clone(key.name), strings.Clone(key.unit)
		w.open[key] = &numbers{1, v, v, v}
		return true
	}
	n.count++
	n.sum += v
	n.min, n.max = min(n.min, v), max(n.max, v)
	return true
}

// Close closes the windows that ended at least the grace before now (seconds
// since 1970) and answers their records in the order of time and name: for each
// name <name><suffix>mean, …min and …max with the time of the window's end.
func (w *Windows) Close(now float64) senml.Pack {
	return w.closeUntil(now - w.grace)
}

// CloseAll closes every window, complete or not.
func (w *Windows) CloseAll() senml.Pack { return w.closeUntil(math.Inf(1)) }

func (w *Windows) closeUntil(end float64) senml.Pack {
	w.closed = max(w.closed, end)
	var due []windowKey
	for key := range w.open {
		if key.begin+w.length <= end {
			due = append(due, key)
		}
	}
	slices.SortFunc(due, func(a, b windowKey) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), strings.Compare(a.name, b.name), strings.Compare(a.unit, b.unit))
	})
	pack := make(senml.Pack, 0, 3*len(due))
	for _, key := range due {
		n := w.open[key]
		delete(w.open, key)
		for _, out := range [...]struct {
			name  string
			value float64
		}{{"mean", n.sum / float64(n.count)}, {"min", n.min}, {"max", n.max}} {
			pack = append(pack, senml.Record{
				Name: key.name + w.suffix + out.name, Unit: key.unit, Time: key.begin + w.length, Value: senml.Float(out.value),
			})
		}
	}
	return pack
}

// Open is the number of open windows.
func (w *Windows) Open() int { return len(w.open) }
