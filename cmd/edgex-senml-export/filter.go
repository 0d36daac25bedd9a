package main

import (
	"fmt"
	"math"
	"strconv"
	"sync"

	"github.com/edgexfoundry/go-mod-core-contracts/v4/dtos"
)

// maxStates bounds how many resources the filter remembers.
const maxStates = 50_000

// rules are what the tags of a resource ask for.
type rules struct {
	min, max  float64 // ±Inf: unbounded
	deadband  float64
	aggregate string  // "", mean, min, max, sum or count
	window    float64 // seconds
}

func rulesOf(tags dtos.Tags) rules {
	r := rules{min: math.Inf(-1), max: math.Inf(1)}
	number := func(name string, to *float64) {
		if v, ok := tags[name]; ok {
			if n, err := strconv.ParseFloat(fmt.Sprint(v), 64); err == nil && !math.IsNaN(n) {
				*to = n
			}
		}
	}
	number("min", &r.min)
	number("max", &r.max)
	number("deadband", &r.deadband)
	number("window", &r.window)
	if a, ok := tags["aggregate"].(string); ok && r.window > 0 {
		r.aggregate = a
	}
	return r
}

// filter bounds and thins out readings: out of range is dropped; a change
// smaller than the deadband since the last reading passed on is dropped; with an
// aggregate, a tumbling window's result is passed on, timed at its end, with the
// first reading after it.
type filter struct {
	mu     sync.Mutex
	states map[string]*state
}

type state struct {
	hasLast bool
	last    float64
	index   int64 // of the open window
	count   float64
	sum     float64
	min     float64
	max     float64
}

func newFilter() *filter { return &filter{states: map[string]*state{}} }

// pass answers what goes on of one reading, and at which time.
func (f *filter) pass(key string, r rules, at, value float64) (float64, float64, bool) {
	if value < r.min || value > r.max {
		return 0, 0, false
	}
	if r.deadband <= 0 && r.aggregate == "" {
		return at, value, true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.states[key]
	if s == nil {
		if len(f.states) >= maxStates {
			return at, value, true // rather too much than nothing
		}
		s = &state{}
		f.states[key] = s
	}
	if r.deadband > 0 {
		if s.hasLast && math.Abs(value-s.last) < r.deadband {
			return 0, 0, false
		}
		s.hasLast, s.last = true, value
	}
	if r.aggregate == "" {
		return at, value, true
	}
	return s.join(r, at, value)
}

// join adds a reading to its window; one of an earlier window joins the open
// one: it is late, not lost.
func (s *state) join(r rules, at, value float64) (end, result float64, closed bool) {
	index := int64(math.Floor(at / r.window))
	if s.count > 0 && index > s.index {
		end, result, closed = float64(s.index+1)*r.window, s.result(r.aggregate), true
		s.count = 0
	}
	if s.count == 0 {
		s.index, s.sum, s.min, s.max = index, 0, value, value
	}
	s.count++
	s.sum += value
	s.min, s.max = min(s.min, value), max(s.max, value)
	return end, result, closed
}

func (s *state) result(aggregate string) float64 {
	switch aggregate {
	case "min":
		return s.min
	case "max":
		return s.max
	case "sum":
		return s.sum
	case "count":
		return s.count
	}
	return s.sum / s.count
}
