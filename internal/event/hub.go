package event

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// Source is where events come from.
type Source interface {
	// Events answers at most limit events after a position, in order.
	Events(ctx context.Context, after int64, limit int) ([]slice.Event, error)
	// EventBounds answers the oldest position still kept (newest + 1 when none
	// is) and the newest.
	EventBounds(ctx context.Context) (oldest, newest int64, err error)
	// WaitEvents returns soon after events may be there, at the latest after max.
	WaitEvents(ctx context.Context, max time.Duration)
}

// Hub reads events once for all its readers and keeps the newest in memory.
type Hub struct {
	src Source
	o   HubOptions

	mu      sync.Mutex
	recent  []slice.Event // contiguous, ends at newest
	newest  int64
	started chan struct{} // closed when newest is known
	changed chan struct{} // closed and replaced when newest grows
}

// HubOptions tune a hub; zero values work.
type HubOptions struct {
	Keep     int           // events kept in memory; 0: 4096
	Buffer   int           // events waiting for one reader; 0: 128
	Patience time.Duration // how long a reader's buffer may stay full; 0: 30 s
	Poll     time.Duration // longest time between looks at the source; 0: 1 s
	Log      *slog.Logger  // nil: slog.Default
}

// NewHub makes a hub; Run makes it live.
func NewHub(src Source, o HubOptions) *Hub {
	if o.Keep <= 0 {
		o.Keep = 4096
	}
	if o.Buffer <= 0 {
		o.Buffer = 128
	}
	if o.Patience <= 0 {
		o.Patience = 30 * time.Second
	}
	if o.Poll <= 0 {
		o.Poll = time.Second
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Hub{src: src, o: o, started: make(chan struct{}), changed: make(chan struct{})}
}

// batch bounds the events of one read.
const batch = 512

// Run reads the source until ctx ends. A source that fails is tried again.
func (h *Hub) Run(ctx context.Context) {
	for ctx.Err() == nil {
		_, newest, err := h.src.EventBounds(ctx)
		if err == nil {
			h.mu.Lock()
			h.newest = newest
			h.mu.Unlock()
			close(h.started)
			break
		}
		h.rest(ctx, err)
	}
	for ctx.Err() == nil {
		h.mu.Lock()
		newest := h.newest
		h.mu.Unlock()
		events, err := h.src.Events(ctx, newest, batch)
		switch {
		case err != nil:
			h.rest(ctx, err)
		case len(events) == 0:
			h.src.WaitEvents(ctx, h.o.Poll)
		default:
			h.add(events)
		}
	}
}

func (h *Hub) rest(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	h.o.Log.Warn("events cannot be read", "error", err)
	sleep(ctx, h.o.Poll)
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (h *Hub) add(events []slice.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.recent = append(h.recent, events...)
	if len(h.recent) > 2*h.o.Keep { // seldom: it copies
		h.recent = append(make([]slice.Event, 0, 2*h.o.Keep+batch), h.recent[len(h.recent)-h.o.Keep:]...)
	}
	h.newest = events[len(events)-1].Position
	close(h.changed)
	h.changed = make(chan struct{})
}

// read answers events after a position, and, when there are none yet, a channel
// that is closed when there may be.
func (h *Hub) read(ctx context.Context, after int64) ([]slice.Event, <-chan struct{}, error) {
	h.mu.Lock()
	changed, newest := h.changed, h.newest
	if after >= newest {
		h.mu.Unlock()
		return nil, changed, nil
	}
	if n := len(h.recent); n > 0 && after >= h.recent[0].Position-1 {
		from := int(after - h.recent[0].Position + 1)
		out := h.recent[from:min(n, from+batch)] // rows are never written again
		h.mu.Unlock()
		return out, nil, nil
	}
	h.mu.Unlock()
	if err := h.kept(ctx, after); err != nil {
		return nil, nil, err
	}
	out, err := h.src.Events(ctx, after, batch)
	if err == nil && len(out) > 0 && out[0].Position != after+1 {
		err = gone(after, out[0].Position)
	}
	return out, nil, err
}

// kept answers fault.Gone when events after a position have been removed.
func (h *Hub) kept(ctx context.Context, after int64) error {
	oldest, newest, err := h.src.EventBounds(ctx)
	if err != nil {
		return err
	}
	if after > newest {
		return ahead(after, newest)
	}
	if after < oldest-1 {
		return gone(after, oldest)
	}
	return nil
}

func gone(after, oldest int64) error {
	return fault.New(fault.Gone, "events after position %d are no longer kept: read the resources again and resume at the newest", after).
		With("Last-Event-ID", strconv.FormatInt(after, 10), strconv.FormatInt(oldest-1, 10)+" or later")
}

// ahead tells a reader of another history: the store was restored from a backup,
// or is not the one it read from before.
func ahead(after, newest int64) error {
	return fault.New(fault.Gone, "event %d has not happened here, the newest is %d: read the resources again and resume at the newest", after, newest).
		With("Last-Event-ID", strconv.FormatInt(after, 10), strconv.FormatInt(newest, 10)+" or earlier")
}

// Stream is one reader's events. C is closed at its end.
type Stream struct {
	C <-chan slice.Event

	mu       sync.Mutex
	position int64
	err      error
}

// Err answers why C was closed: nil when the reader's context ended.
func (s *Stream) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Position is that of the last event sent into C, or passed over as out of
// scope: where to resume when all of C was read.
func (s *Stream) Position() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.position
}

func (s *Stream) at(position int64) {
	s.mu.Lock()
	s.position = position
	s.mu.Unlock()
}

// Subscribe answers the events of a scope after a position, live, until ctx
// ends. A negative position begins with what comes from now on; one that is no
// longer kept is fault.Gone.
func (h *Hub) Subscribe(ctx context.Context, after int64, scope Scope) (*Stream, error) {
	if err := CheckFilter(scope.Filter); err != nil {
		return nil, err
	}
	select {
	case <-h.started:
	case <-ctx.Done():
		return nil, fault.Of(ctx.Err())
	}
	if after < 0 {
		_, newest, err := h.src.EventBounds(ctx)
		if err != nil {
			return nil, err
		}
		after = newest
	} else if err := h.kept(ctx, after); err != nil {
		return nil, err
	}
	c := make(chan slice.Event, h.o.Buffer)
	s := &Stream{C: c, position: after}
	go func() {
		err := h.feed(ctx, s, c, scope)
		if ctx.Err() == nil {
			s.mu.Lock()
			s.err = err
			s.mu.Unlock()
		}
		close(c)
	}()
	return s, nil
}

func (h *Hub) feed(ctx context.Context, s *Stream, c chan<- slice.Event, scope Scope) error {
	for {
		events, changed, err := h.read(ctx, s.Position())
		if err != nil {
			return err
		}
		for i := range events {
			if scope.Match(&events[i]) {
				if err := h.send(ctx, c, events[i], s.Position()); err != nil {
					return err
				}
			}
			s.at(events[i].Position)
		}
		if changed == nil {
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// send waits for room in the reader's buffer, with patience.
func (h *Hub) send(ctx context.Context, c chan<- slice.Event, e slice.Event, position int64) error {
	select {
	case c <- e:
		return nil
	default:
	}
	timer := time.NewTimer(h.o.Patience)
	defer timer.Stop()
	select {
	case c <- e:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return fault.New(fault.Unavailable, "the reader is too slow: resume after position %d", position).Retrying(fault.Backoff)
	}
}
