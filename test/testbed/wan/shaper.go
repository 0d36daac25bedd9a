package wan

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"
)

// Quality is what a link does to packets; the zero value is a perfect link. Both
// directions have it, each for itself: a round trip takes twice the latency.
type Quality struct {
	Latency time.Duration // one way
	Jitter  time.Duration // the latency varies by up to this, either way, in order
	Loss    float64       // share of packets lost, 0 to 1
	Rate    int64         // bits per second; 0: unlimited
}

// Validate says which value is out of bounds.
func (q Quality) Validate() error {
	switch {
	case q.Latency < 0 || q.Latency > time.Minute:
		return fmt.Errorf("latency %s: 0 to 1m is possible", q.Latency)
	case q.Jitter < 0 || q.Jitter > q.Latency:
		return fmt.Errorf("jitter %s: 0 to the latency, %s, is possible", q.Jitter, q.Latency)
	case q.Loss < 0 || q.Loss > 1:
		return fmt.Errorf("loss %g: a share from 0 to 1 is possible", q.Loss)
	case q.Rate < 0 || q.Rate > 0 && q.Rate < 8000:
		return fmt.Errorf("rate %d bit/s: 8000 or more is possible, or 0 for no limit", q.Rate)
	}
	return nil
}

// maxQueue is how long a packet waits for its turn on a slow link before it is
// dropped instead: a router's buffer.
const maxQueue = 200 * time.Millisecond

// A shaper decides when a packet leaves one direction of a link. Time and chance
// are given to it.
type shaper struct {
	quality Quality
	chance  *rand.Rand
	busy    time.Time // until when the line is taken
	last    time.Time // when the last packet arrives; later ones not before
}

// admit answers when a packet of that many bytes, sent now, arrives, or false if
// it is lost.
func (s *shaper) admit(now time.Time, bytes int) (arrives time.Time, ok bool) {
	q := s.quality
	if q.Loss > 0 && s.chance.Float64() < q.Loss {
		return time.Time{}, false
	}
	sent := now
	if q.Rate > 0 {
		if s.busy.After(now.Add(maxQueue)) {
			return time.Time{}, false
		}
		if s.busy.After(now) {
			sent = s.busy
		}
		sent = sent.Add(time.Duration(int64(bytes) * 8 * int64(time.Second) / q.Rate))
		s.busy = sent
	}
	arrives = sent.Add(q.Latency)
	if q.Jitter > 0 {
		arrives = arrives.Add(time.Duration((s.chance.Float64()*2 - 1) * float64(q.Jitter)))
	}
	if arrives.Before(s.last) {
		arrives = s.last
	}
	s.last = arrives
	return arrives, true
}

// A packet waits for its arrival.
type packet struct {
	content []byte
	arrives time.Time
}

// maxWaiting bounds the packets of one direction in flight.
const maxWaiting = 8192

// deliver writes packets when they arrive, until ctx ends. They come in order.
func deliver(ctx context.Context, from <-chan packet, write func([]byte) (int, error)) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var p packet
		select {
		case p = <-from:
		case <-ctx.Done():
			return ctx.Err()
		}
		if wait := time.Until(p.arrives); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		// A device that cannot take a packet loses it, as any does.
		if _, err := write(p.content); err != nil && errors.Is(err, os.ErrClosed) {
			return err
		}
	}
}
