package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/osmoslice/osmoslice/internal/lite/queue"
	"github.com/osmoslice/osmoslice/internal/senml"
)

var (
	errFull    = errors.New("the queue is full")
	errFrozen  = errors.New("the gateway is frozen for a migration")
	errStorage = errors.New("the disk refuses writes")
	errGone    = errors.New("the device was removed or changed")
)

// unavailable reports whether a device should keep its reading and try again.
func unavailable(err error) bool {
	return errors.Is(err, errFull) || errors.Is(err, errFrozen) || errors.Is(err, errStorage)
}

// receipt says what became of the readings of one message.
type receipt struct {
	Accepted   int            `json:"accepted"`
	Filtered   int            `json:"filtered"`
	Aggregated int            `json:"aggregated"`
	Dropped    map[string]int `json:"dropped,omitempty"`
}

func (t *tally) receipt() receipt {
	r := receipt{
		Accepted: int(t[passed]), Filtered: int(t[filteredRange] + t[filteredDeadband]), Aggregated: int(t[aggregated]),
	}
	for c, n := range t {
		if n > 0 && counterNames[c][0] == "dropped" && !slices.Contains(lostAfterQueue, counter(c)) {
			if r.Dropped == nil {
				r.Dropped = map[string]int{}
			}
			r.Dropped[counterNames[c][1]] = int(n)
		}
	}
	return r
}

// engine owns the queue and the state that travels with it.
type engine struct {
	options queue.Options
	prefix  string
	log     *slog.Logger
	now     func() time.Time

	mu     sync.Mutex
	queue  *queue.Queue
	state  *state
	frozen bool
	epoch  int // grows when the queue is opened anew
	buf    senml.Pack
	meta   []byte
}

func openEngine(o queue.Options, prefix string, log *slog.Logger) (*engine, error) {
	e := &engine{options: o, prefix: prefix, log: log, now: time.Now, state: newState()}
	q, err := queue.Open(o, e.state)
	if err != nil {
		return nil, err
	}
	e.queue = q
	return e, nil
}

// accept decides about the readings of one message and makes the outcome
// durable; done is called once that is so, unless accept answers an error.
// before counts what normalise left out.
func (e *engine) accept(d *device, protocol string, recs []senml.Record, before *tally, done func(receipt, error)) error {
	size := 64
	for i := range recs {
		size += 160 + len(e.prefix) + len(d.Name) + len(recs[i].Name) + len(recs[i].Unit) + 2*len(recs[i].Value.Text())
	}
	now := e.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if d.gone.Load() {
		return errGone
	}
	t, err := e.roomFor(size)
	if err != nil {
		return err
	}
	t.add(before)
	out, meta := e.buf[:0], e.meta[:0]
	for i := range recs {
		rec := &recs[i]
		v := verdict{counter: passed}
		if r := d.resources[rec.Name]; r != nil {
			var edge edgeState
			key := edgeKey{d.Name, rec.Name}
			s := &edge
			if r.hasEdge() {
				s = e.state.edge(key)
			}
			v = r.apply(s, rec, now)
			if v.closed != nil {
				out = append(out, v.closed.record(r, e.fullName(d.Name, rec.Name)))
				t[emitted]++
			}
			if r.hasEdge() && (v.counter == passed || v.counter == aggregated || v.closed != nil) {
				meta = appendEdge(meta, key, s)
				e.state.opened(&s.window)
			}
		}
		t[v.counter]++
		if v.counter == passed {
			out = append(out, *rec) // a copy: after a failure the caller may try again
			out[len(out)-1].Name = e.fullName(d.Name, rec.Name)
		}
	}
	t[receivedBy(protocol)] += sumReceived(&t, before)
	e.buf, e.meta = out, meta
	r := t.receipt()
	return e.append(out, &t, meta, func(err error) { done(r, err) })
}

// sumReceived is how many readings the message had.
func sumReceived(t, before *tally) uint64 {
	n := t[passed] + t[filteredRange] + t[filteredDeadband] + t[aggregated] + t[droppedOverflow]
	return n + before[droppedType] + before[droppedUnknown] + before[droppedTime]
}

// roomFor makes sure that an entry of about size bytes can be appended, and
// begins its tally with what had to go for it. The lock is held.
func (e *engine) roomFor(size int) (tally, error) {
	var t tally
	if e.frozen {
		return t, errFrozen
	}
	dropped, err := e.queue.Room(size)
	if dropped > 0 {
		t[droppedQueueFull] = uint64(dropped)
	}
	switch {
	case err == nil:
		return t, nil
	case errors.Is(err, queue.ErrFull):
		if dropped > 0 {
			// Nothing follows that could carry the count.
			if err := e.append(nil, &t, nil, func(error) {}); err != nil {
				return t, err
			}
		}
		return t, errFull
	default:
		return t, fmt.Errorf("%w: %w", errStorage, err)
	}
}

// append writes records, counters and state as one entry. The lock is held.
func (e *engine) append(recs senml.Pack, t *tally, meta []byte, done func(error)) error {
	var payload []byte
	if len(recs) > 0 {
		var err error
		if payload, err = senml.AppendJSON(nil, recs); err != nil {
			return fmt.Errorf("encode: %w", err)
		}
		payload = payload[1 : len(payload)-1] // without its brackets: batches join payloads
	}
	e.state.totals.add(t)
	meta = appendTally(meta, t)
	if err := e.queue.Append(queue.Entry{Records: len(recs), Meta: meta, Payload: payload}, done); err != nil {
		return fmt.Errorf("%w: %w", errStorage, err)
	}
	return nil
}

// fullName is the SenML name of a device's resource.
func (e *engine) fullName(device, resource string) string {
	return e.prefix + device + ":" + resource
}

// count makes a change of counters durable; it needs no room.
func (e *engine) count(t tally) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.append(nil, &t, nil, func(error) {}); err != nil {
		e.log.Warn("count", "error", err)
	}
}

// emit queues records of the gateway's own.
func (e *engine) emit(recs senml.Pack) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	t, err := e.roomFor(256 * len(recs))
	if err != nil {
		return err
	}
	t[emitted] += uint64(len(recs))
	return e.append(recs, &t, nil, func(error) {})
}

// closeWindows emits the windows that are due. lookup answers the device's
// present description, nil when there is none.
func (e *engine) closeWindows(lookup func(string) *device) {
	now := e.now().UnixMilli()
	e.mu.Lock()
	defer e.mu.Unlock()
	if now < e.state.due {
		return
	}
	e.state.due = math.MaxInt64
	for name, resources := range e.state.edges {
		d := lookup(name)
		for resource, s := range resources {
			if s.window.count == 0 {
				continue
			}
			if d == nil || d.resources[resource] == nil || now < s.window.dueAt() {
				e.state.opened(&s.window) // not yet, or being removed: retire emits it
				continue
			}
			if err := e.closeWindow(edgeKey{name, resource}, s, d.resources[resource]); err != nil {
				e.state.due = 0 // again at the next tick
				if !unavailable(err) {
					e.log.Error("close window", "error", err)
				}
				return
			}
		}
	}
}

// closeWindow emits one open window. The lock is held.
func (e *engine) closeWindow(key edgeKey, s *edgeState, r *Resource) error {
	t, err := e.roomFor(512)
	if err != nil {
		return err
	}
	rec := s.window.record(r, e.fullName(key.device, key.resource))
	t[emitted]++
	s.window = window{}
	return e.append(senml.Pack{rec}, &t, appendEdge(nil, key, s), func(error) {})
}

// retire ends the edge state of a device that is replaced or removed: open
// windows of resources that change are emitted, so that their readings count.
// From its return on, accept refuses old.
func (e *engine) retire(old, replacement *device) {
	e.mu.Lock()
	defer e.mu.Unlock()
	old.gone.Store(true)
	if len(e.state.edges[old.Name]) == 0 {
		return
	}
	for i := range old.Resources {
		r := &old.Resources[i]
		key := edgeKey{old.Name, r.Name}
		s := e.state.edges[old.Name][r.Name]
		if s == nil || s.window.count == 0 {
			continue
		}
		if replacement != nil {
			if n := replacement.resources[r.Name]; n != nil && n.Aggregate == r.Aggregate && n.Window == r.Window && n.Unit == r.Unit {
				continue
			}
		}
		if err := e.closeWindow(key, s, r); err != nil {
			// No room for the aggregate: its readings are given up, and counted.
			s.window = window{}
			t := tally{droppedRemoved: 1}
			if err := e.append(nil, &t, appendEdge(nil, key, s), func(error) {}); err != nil {
				e.log.Error("retire device", "error", err)
			}
		}
	}
	if replacement == nil {
		e.state.forget(old.Name)
		if err := e.append(nil, &tally{}, appendText([]byte{opForget}, old.Name), func(error) {}); err != nil {
			e.log.Error("retire device", "error", err)
		}
	}
}

// current is the queue with its epoch, for readers.
func (e *engine) current() (*queue.Queue, int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.queue, e.epoch
}

// reopen restores queue and state from disk after change, which runs while
// nothing is open.
func (e *engine) reopen(change func() error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.queue.Close(); err != nil {
		e.log.Warn("close queue", "error", err)
	}
	changeErr := change()
	s := newState()
	q, err := queue.Open(e.options, s)
	if err != nil {
		return errors.Join(changeErr, err) // e.queue stays closed: everything is refused until it works
	}
	e.queue, e.state = q, s
	e.epoch++
	return changeErr
}

// heal opens the queue anew while its disk refuses writes.
func (e *engine) heal() {
	q, _ := e.current()
	if err := q.Stats().Err; err == nil {
		return
	} else if err := e.reopen(func() error { return nil }); err != nil {
		e.log.Error("the queue stays closed", "error", err)
		return
	}
	e.log.Info("the queue works again")
}

// waitRoom waits until the queue changed, for a device that was refused.
func (e *engine) waitRoom(ctx context.Context) {
	q, _ := e.current()
	select {
	case <-q.Changed():
	case <-ctx.Done():
	case <-time.After(50 * time.Millisecond):
	}
}

// totals answers the counters.
func (e *engine) totals() tally {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state.totals
}

func (e *engine) setFrozen(frozen bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.frozen = frozen
}

func (e *engine) isFrozen() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.frozen
}
