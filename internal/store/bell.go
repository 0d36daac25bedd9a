package store

import (
	"context"
	"sync"
	"time"
)

// bell wakes those who wait for commits. Who looks, finds nothing and then
// waits may have missed a ring in between: a ring with nobody waiting is kept
// for the next who comes, and for a moment after a ring everybody who comes is
// sent to look again. What that still misses is found by polling, at the latest
// after the time given to wait.
type bell struct {
	mu      sync.Mutex
	ch      chan struct{}
	waiting int
	rung    bool
	last    time.Time
}

const (
	echo      = 20 * time.Millisecond // how long a ring sends back
	lookAgain = 2 * time.Millisecond
)

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = time.Now()
	if b.waiting == 0 {
		b.rung = true
		return
	}
	close(b.ch)
	b.ch, b.waiting = nil, 0
}

func (b *bell) wait(ctx context.Context, max time.Duration) {
	b.mu.Lock()
	if b.rung {
		b.rung = false
		b.mu.Unlock()
		return
	}
	if time.Since(b.last) < echo {
		max = min(max, lookAgain)
	}
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	b.waiting++
	ch := b.ch
	b.mu.Unlock()
	timer := time.NewTimer(max)
	defer timer.Stop()
	select {
	case <-ch:
		return
	case <-ctx.Done():
	case <-timer.C:
	}
	b.mu.Lock()
	if b.ch == ch { // nobody rang meanwhile
		b.waiting--
	}
	b.mu.Unlock()
}
