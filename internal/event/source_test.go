package event

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// log is an event log in memory; the real one is tested in the store.
type log struct {
	operation.Tx // what is not called
	mu           sync.Mutex
	first        int64 // events before it were removed
	events       []slice.Event
	bell         chan struct{}
	subs         map[string]slice.Subscription
	fail         int // reads that fail
}

func newLog() *log {
	return &log{first: 1, bell: make(chan struct{}), subs: map[string]slice.Subscription{}}
}

func (l *log) emit(e slice.Event) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.emitLocked(e)
}

func (l *log) emitLocked(e slice.Event) int64 {
	e.Position = int64(len(l.events)) + 1
	l.events = append(l.events, e)
	close(l.bell)
	l.bell = make(chan struct{})
	return e.Position
}

func (l *log) remove(before int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.first = before
}

func (l *log) Events(_ context.Context, after int64, limit int) ([]slice.Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail > 0 {
		l.fail--
		return nil, fault.New(fault.Unavailable, "the database does not answer")
	}
	from := min(max(after, l.first-1), int64(len(l.events)))
	return slices.Clone(l.events[from:min(from+int64(limit), int64(len(l.events)))]), nil
}

func (l *log) EventBounds(context.Context) (int64, int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first, int64(len(l.events)), nil
}

func (l *log) WaitEvents(ctx context.Context, max time.Duration) {
	l.mu.Lock()
	bell := l.bell
	l.mu.Unlock()
	timer := time.NewTimer(max)
	defer timer.Stop()
	select {
	case <-bell:
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (l *log) Write(ctx context.Context, fn func(context.Context, operation.Tx) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fn(ctx, l)
}

func (l *log) Read(ctx context.Context, fn func(context.Context, operation.Tx) error) error {
	return l.Write(ctx, fn)
}

func (l *log) Get(_ context.Context, _ slice.Kind, id string) (slice.Resource, error) {
	if s, ok := l.subs[id]; ok {
		return &s, nil
	}
	return nil, fault.Absent("Subscription", id)
}

func (l *log) List(_ context.Context, q operation.Query) ([]slice.Resource, error) {
	var out []slice.Resource
	for _, s := range l.subs {
		if string(s.State) == q.Filter[0].Values[0] && s.ID > q.Filter[1].Values[0] {
			out = append(out, &s)
		}
	}
	return out, nil
}

func (l *log) Update(_ context.Context, r slice.Resource) error {
	s := r.(*slice.Subscription)
	s.Revision++
	l.subs[s.ID] = *s
	l.emitLocked(slice.Event{Kind: slice.KindSubscription, Resource: s.ID, Tenant: "meta"})
	return nil
}

func (l *log) Delivered(_ context.Context, id string, position int64, cause string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.subs[id]
	if !ok {
		return fault.Absent("Subscription", id)
	}
	s.Position, s.Cause = max(s.Position, position), cause
	l.subs[id] = s
	return nil
}

func (l *log) put(s slice.Subscription) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.Revision++
	l.subs[s.ID] = s
	l.emitLocked(slice.Event{Kind: slice.KindSubscription, Resource: s.ID, Tenant: "meta"})
}

func (l *log) get(id string) slice.Subscription {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.subs[id]
}

// until waits for a condition, with a deadline.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// live runs a hub for a test.
func live(t testing.TB, l *log, o HubOptions) *Hub {
	h := NewHub(l, o)
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() { defer close(over); h.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-over })
	return h
}

func event(tenant string, n int) slice.Event {
	return slice.Event{Tenant: tenant, Kind: slice.KindIoTSlice, Resource: fmt.Sprint("r", n), Type: "IoTSliceAttributeValueChangeNotification", State: "ACTIVE"}
}
