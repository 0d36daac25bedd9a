package httpcall

import (
	"context"
	"sync"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// Names lets one caller at a time work on a name: a product that gives names no
// meaning would otherwise get two of one. The zero Names is ready.
type Names struct {
	mu   sync.Mutex
	held map[string]*lock
}

type lock struct {
	turn    chan struct{}
	waiting int
}

// Take waits for the name, or answers an error when ctx ends first.
func (l *Names) Take(ctx context.Context, name string) (release func(), err error) {
	l.mu.Lock()
	if l.held == nil {
		l.held = map[string]*lock{}
	}
	k := l.held[name]
	if k == nil {
		k = &lock{turn: make(chan struct{}, 1)}
		l.held[name] = k
	}
	k.waiting++
	l.mu.Unlock()
	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if k.waiting--; k.waiting == 0 {
			delete(l.held, name)
		}
	}
	select {
	case k.turn <- struct{}{}:
		return func() { <-k.turn; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, fault.Of(ctx.Err())
	}
}
