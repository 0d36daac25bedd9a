package rest

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// Whatever a key asks for, over any time it gets at most burst + rate × time,
// and Retry-After is when the next request passes.
func TestRates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		perSecond := rapid.Float64Range(0.5, 100).Draw(t, "rate")
		burst := rapid.IntRange(1, 20).Draw(t, "burst")
		start := time.Unix(1e9, 0)
		now := start
		r := newRates(perSecond, burst, func() time.Time { return now })
		passed := 0
		for range rapid.IntRange(1, 200).Draw(t, "requests") {
			now = now.Add(time.Duration(rapid.Int64Range(0, 5e8).Draw(t, "pause")))
			err := r.allow("key")
			if err == nil {
				if passed++; float64(passed) > float64(burst)+perSecond*now.Sub(start).Seconds()+1e-6 {
					t.Fatalf("%d passed in %v", passed, now.Sub(start))
				}
				continue
			}
			f := fault.Of(err)
			if f.Kind != fault.TooMany || f.RetryAfter <= 0 {
				t.Fatalf("%v, after %v", err, f.RetryAfter)
			}
			if rapid.Bool().Draw(t, "wait") {
				now = now.Add(f.RetryAfter + time.Microsecond)
				if err := r.allow("key"); err != nil {
					t.Fatalf("refused after the %v it named: %v", f.RetryAfter, err)
				}
				passed++
			}
		}
	})
}

func TestRatesAreApartAndForgotten(t *testing.T) {
	now := time.Unix(1e9, 0)
	r := newRates(1, 1, func() time.Time { return now })
	for _, key := range []string{"a", "b"} {
		if err := r.allow(key); err != nil {
			t.Errorf("the first request of %s: %v", key, err)
		}
	}
	if err := r.allow("a"); err == nil {
		t.Error("a second request at once passed")
	}
	now = now.Add(time.Hour)
	if err := r.allow("c"); err != nil || len(r.keys) != 1 {
		t.Errorf("%v; %d buckets kept, want 1", err, len(r.keys))
	}
	free := newRates(0, 0, time.Now)
	for range 1000 {
		if err := free.allow("a"); err != nil {
			t.Fatal(err)
		}
	}
}
