package rest

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// rates bounds the requests of each key by a token bucket.
type rates struct {
	limit rate.Limit
	burst int
	clock func() time.Time

	mu   sync.Mutex
	keys map[string]*bucket
	next time.Time // when to forget idle keys
}

type bucket struct {
	*rate.Limiter
	used time.Time
}

func newRates(perSecond float64, burst int, clock func() time.Time) *rates {
	return &rates{limit: rate.Limit(perSecond), burst: max(burst, 1), clock: clock, keys: map[string]*bucket{}}
}

// allow takes one request of a key, or answers fault.TooMany with the time after
// which the next will pass.
func (r *rates) allow(key string) error {
	if r.limit <= 0 {
		return nil
	}
	now := r.clock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(now)
	b := r.keys[key]
	if b == nil {
		b = &bucket{Limiter: rate.NewLimiter(r.limit, r.burst)}
		r.keys[key] = b
	}
	b.used = now
	if b.AllowN(now, 1) {
		return nil
	}
	reservation := b.ReserveN(now, 1)
	wait := reservation.DelayFrom(now)
	reservation.CancelAt(now)
	f := fault.New(fault.TooMany, "more than %g requests per second with this key", float64(r.limit)).Retrying(fault.Backoff)
	f.RetryAfter = wait
	return f
}

// forget drops, once a minute, the buckets that are full again.
func (r *rates) forget(now time.Time) {
	if now.Before(r.next) {
		return
	}
	r.next = now.Add(time.Minute)
	idle := time.Duration(float64(r.burst)/float64(r.limit)*float64(time.Second)) + time.Minute
	for key, b := range r.keys {
		if now.Sub(b.used) > idle {
			delete(r.keys, key)
		}
	}
}
