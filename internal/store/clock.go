package store

import (
	"sync"
	"time"
)

// clock is this process's wall clock that never goes back: after a backward
// jump it goes on from where it was, so that leases and wake-ups are not put
// off by the size of the jump. It follows a forward jump.
type clock struct {
	mu     sync.Mutex
	anchor time.Time     // what it showed
	at     time.Duration // when, by the steady clock
	// For tests; nil: time.Now, and the time since the program began.
	wall   func() time.Time
	steady func() time.Duration
}

var began = time.Now()

func (c *clock) now() time.Time {
	wall, at := time.Now().Round(0), time.Since(began)
	if c.wall != nil {
		wall, at = c.wall(), c.steady()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if on := c.anchor.Add(at - c.at); !c.anchor.IsZero() && on.After(wall) {
		wall = on
	}
	c.anchor, c.at = wall, at
	return wall.UTC().Truncate(time.Microsecond)
}
