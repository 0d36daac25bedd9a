package fulfilment

import (
	"sync"
	"time"

	"github.com/osmoslice/osmoslice/internal/slice"
)

const (
	// recentFor is how old what is remembered may be: another replica's change
	// is seen this much later.
	recentFor  = time.Second
	recentMost = 8192
)

// recent remembers for a moment what is read for every step and changes rarely.
// What it answers is shared and must not be changed.
type recent[V any] struct {
	mu    sync.Mutex
	known map[string]remembered[V]
}

type remembered[V any] struct {
	v     V
	until time.Time
}

// get answers what is remembered under key, or reads it.
func (c *recent[V]) get(key string, read func() (V, error)) (V, error) {
	now := time.Now()
	c.mu.Lock()
	r, ok := c.known[key]
	c.mu.Unlock()
	if ok && now.Before(r.until) {
		return r.v, nil
	}
	v, err := read()
	if err != nil {
		return v, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= recentMost {
		c.known = map[string]remembered[V]{}
	}
	c.known[key] = remembered[V]{v, now.Add(recentFor)}
	return v, nil
}

func (c *recent[V]) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = nil
}

// memory is what a Service remembers.
type memory struct {
	products recent[*slice.Product]
	sites    recent[*slice.Infrastructure]

	mu    sync.Mutex
	kinds map[string]slice.Kind // of elements, for ever
}

func (m *memory) kind(id string) slice.Kind {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.kinds[id]
}

func (m *memory) setKind(id string, k slice.Kind) {
	const most = 100_000
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kinds == nil || len(m.kinds) >= most {
		m.kinds = map[string]slice.Kind{}
	}
	m.kinds[id] = k
}

// written forgets what a use case has changed.
func (m *memory) written(changes []Change) {
	for _, c := range changes {
		switch c.Kind {
		case slice.KindProduct:
			m.products.clear()
		case slice.KindInfrastructure:
			m.sites.clear()
		}
	}
}
