package operation

import (
	"context"
	"errors"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// givenBack is how long an operation with nothing to do is kept.
const givenBack = 250 * time.Millisecond

// flight is an operation in a runner's hands. op belongs to the worker that has
// it; the rest is guarded by the runner's mutex.
type flight struct {
	id     string
	op     Operation
	ctx    context.Context
	cancel context.CancelFunc
	leased time.Time // local clock, when the lease was last known to hold
	heard  int64     // position of the last signal delivered

	inbox   []message
	queued  bool // in ready or in a worker's hands
	dropped bool
	final   bool
	calls   map[string]*call // by step: queued, running, or waiting to be looked at
	due     *time.Timer
	linger  *time.Timer
	failed  int // saves failed in a row

	saved time.Time // local clock; the worker's, like op
	stale bool      // op holds progress that the store does not

	preparing bool // the executor asks for what a plan needs: nobody looks at it
	prepared  bool // it has asked; the worker's
}

// showEvery is how often progress alone is worth a save: people watch it.
const showEvery = time.Second

// message is an event on its way to a flight.
type message struct {
	ev     Event
	record func(context.Context, Tx) error
	action string
	signal int64
}

// progressedLocked delivers progress; an older one not taken yet is out of date.
func (f *flight) progressedLocked(ev Event) {
	for k := range f.inbox {
		if old := &f.inbox[k].ev; old.Kind == StepProgressed && old.Step == ev.Step && old.Call == ev.Call {
			*old = ev
			return
		}
	}
	f.inbox = append(f.inbox, message{ev: ev})
}

// tellLocked delivers a message and has the flight looked at.
func (r *Runner) tellLocked(f *flight, m message) {
	f.inbox = append(f.inbox, m)
	r.enqueueLocked(f)
}

func (r *Runner) enqueueLocked(f *flight) {
	if f.queued || f.dropped || f.preparing {
		return
	}
	f.queued = true
	r.ready = append(r.ready, f)
	r.wake.Signal()
}

// dropLocked lets go of a flight: its calls are cancelled, its timers stopped.
func (r *Runner) dropLocked(f *flight) {
	f.dropped = true
	f.cancel()
	for _, c := range f.calls {
		r.stopLocked(c)
	}
	if f.due != nil {
		f.due.Stop()
	}
	if r.flights[f.id] == f {
		delete(r.flights, f.id)
	}
}

func (r *Runner) worker() {
	for {
		r.mu.Lock()
		for len(r.ready) == 0 && !r.closed {
			r.wake.Wait()
		}
		if r.closed {
			r.mu.Unlock()
			return
		}
		f := r.ready[0]
		r.ready[0] = nil
		r.ready = r.ready[1:]
		inbox := append(f.inbox, r.queuedLocked(f)...)
		f.inbox = nil
		dropped := f.dropped
		r.busy++
		r.mu.Unlock()

		var after time.Duration
		if !dropped {
			after = r.turn(f, inbox)
		}
		r.mu.Lock()
		r.busy--
		f.queued = false
		switch {
		case f.dropped, f.preparing:
		case f.prepared: // meanwhile
			r.enqueueLocked(f)
		case after > 0: // the store did not take it
			time.AfterFunc(after, func() { r.lookAt(f) })
		case len(f.inbox) > 0:
			r.enqueueLocked(f)
		default:
			r.restLocked(f)
		}
		r.mu.Unlock()
	}
}

// queuedLocked tells of calls that wait for their turn: no time of theirs passes.
func (r *Runner) queuedLocked(f *flight) []message {
	var out []message
	for id, c := range f.calls {
		if c.queued && !c.again && !c.stopped {
			out = append(out, message{ev: Event{Kind: StepQueued, Step: id, Call: c.number}})
		}
	}
	return out
}

func (r *Runner) lookAt(f *flight) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.enqueueLocked(f)
}

// restLocked has the flight looked at when time changes it next.
func (r *Runner) restLocked(f *flight) {
	if f.final {
		r.dropLocked(f)
		return
	}
	if r.draining {
		return
	}
	wait := max(Due(&f.op).Sub(r.c.Clock()), 10*time.Millisecond)
	if f.stale {
		wait = min(wait, max(showEvery-time.Since(f.saved), 10*time.Millisecond))
	}
	if wait > r.c.Idle && f.op.Idle() {
		wait = givenBack // to give it back, unless something comes
	}
	if f.due == nil {
		f.due = time.AfterFunc(wait, func() { r.lookAt(f) })
		return
	}
	f.due.Reset(wait)
}

// turn applies messages and time to the operation, saves it and does what
// follows. On a store's failure it keeps the messages and answers when to try
// again.
func (r *Runner) turn(f *flight, inbox []message) time.Duration {
	base := f.op
	t := &turn{r: r, f: f, base: base, op: base, now: r.c.Clock()}
	for _, m := range inbox {
		t.take(m)
	}
	t.next(Event{Kind: Tick})
	if r.stopping() {
		t.plan = false
	}
	if t.plan && r.prepare(f, t.op, inbox) {
		return 0
	}
	if !t.plan && !t.changed() {
		f.op = t.op
		f.stale = f.stale || t.progressed()
		if !f.stale || time.Since(f.saved) < showEvery {
			return r.giveBack(f)
		}
	}
	err := t.save()
	switch {
	case err == nil:
		r.saved(f, t)
		return 0
	case fault.Is(err, fault.Conflict) && fault.Of(err).Retry != fault.Now, fault.Is(err, fault.NotFound):
		r.c.Log.Warn("operation taken over, stopping", "operation", f.op.ID, "error", err)
		r.mu.Lock()
		r.dropLocked(f)
		r.mu.Unlock()
		return 0
	}
	r.mu.Lock()
	f.inbox = append(inbox, f.inbox...)
	f.failed++
	r.mu.Unlock()
	if !r.stopping() {
		r.c.Log.Error("operation cannot be saved, trying again", "operation", f.op.ID, "error", err)
	}
	return DefaultLimits().backoff(f.op.ID, f.failed) / 10
}

// prepare lets the executor ask for what a plan needs, beside the workers, and
// reports whether it does: the turn is taken again afterwards, with the same
// messages.
func (r *Runner) prepare(f *flight, op Operation, inbox []message) bool {
	p, able := r.c.Executor.(Preparer)
	if !able || f.prepared {
		f.prepared = false // once for each plan
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.dropped || r.draining {
		return false
	}
	f.inbox = append(inbox, f.inbox...)
	f.preparing = true
	r.calls.Go(func() {
		p.Prepare(f.ctx, &op)
		r.mu.Lock()
		defer r.mu.Unlock()
		f.preparing, f.prepared = false, true
		r.enqueueLocked(f)
	})
	return true
}

func (r *Runner) stopping() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.draining
}

// turn is one transition of a flight.
type turn struct {
	r        *Runner
	f        *flight
	base, op Operation
	now      time.Time
	commands []Command
	plan     bool
	records  []message // outcomes accepted, with what they learned
}

func (t *turn) next(ev Event) {
	op, out := Next(t.op, ev, t.now)
	t.op = op
	for _, c := range out {
		if c.Kind == MakePlan {
			t.plan = true
		} else {
			t.commands = append(t.commands, c)
		}
	}
}

// take applies one message; an outcome that comes too late is left out with all
// it learned.
func (t *turn) take(m message) {
	if m.signal > 0 {
		if m.signal <= t.op.SignalsSeen {
			return
		}
		t.next(m.ev)
		t.op.SignalsSeen = m.signal
		return
	}
	awaited := false
	for k := range t.op.Steps {
		s := &t.op.Steps[k]
		awaited = awaited || s.ID == m.ev.Step && s.Call != 0 && s.Call == m.ev.Call
	}
	t.next(m.ev)
	if awaited && m.ev.Kind == StepSucceeded {
		t.records = append(t.records, m)
	}
}

// changed reports whether there is anything worth saving.
func (t *turn) changed() bool {
	a, b := &t.base, &t.op
	if len(t.commands) > 0 || len(t.records) > 0 || a.State != b.State || a.SignalsSeen != b.SignalsSeen ||
		a.PlanAttempt != b.PlanAttempt || a.Planned != b.Planned || a.CancelPending != b.CancelPending || len(a.Steps) != len(b.Steps) {
		return true
	}
	for k := range a.Steps {
		p, q := &a.Steps[k], &b.Steps[k]
		if p.State != q.State || p.Call != q.Call || p.Attempt != q.Attempt {
			return true
		}
	}
	return false
}

// progressed reports whether a step tells something new.
func (t *turn) progressed() bool {
	for k := range t.base.Steps {
		if t.base.Steps[k].Progress != t.op.Steps[k].Progress {
			return true
		}
	}
	return false
}

// recordError is an outcome's Record that failed: the step's failure, not the
// save's.
type recordError struct {
	m   message
	err error
}

func (e *recordError) Error() string { return e.err.Error() }
func (e *recordError) Unwrap() error { return e.err }

// planError is a planning that failed.
type planError struct{ err error }

func (e *planError) Error() string { return e.err.Error() }
func (e *planError) Unwrap() error { return e.err }

// save plans, if that is due, and writes the operation with all that follows
// from it, in one transaction; what fails for good becomes an event and is saved
// instead.
func (t *turn) save() error {
	for try := 0; ; try++ {
		op, commands := t.op, t.commands
		start := time.Now()
		err := t.r.c.Store.Save(t.f.ctx, &op, func(ctx context.Context, tx Tx) error {
			op, commands = t.op, t.commands // from the start each time
			return t.effects(ctx, tx, &op, &commands)
		})
		if m := t.r.c.Metrics; m != nil {
			m.Saved(time.Since(start), err)
		}
		var p *planError
		var rec *recordError
		planned := errors.As(err, &p)
		if f, ok := t.r.c.Executor.(Forgetter); ok && err != nil && t.plan && (!planned || len(t.records) > 0) {
			f.Forget()
		}
		switch {
		case err == nil:
			t.op, t.commands = op, commands
			return nil
		case t.f.ctx.Err() != nil:
			return fault.New(fault.Conflict, "the lease is lost").Because(err)
		case planned:
			t.plan = false
			t.next(Event{Kind: PlanFailed, Cause: CauseOf(p.err, t.now)})
		case errors.As(err, &rec) && fault.Of(rec.err).Retry == fault.Never && !fault.Is(rec.err, fault.PreconditionFailed):
			t.unrecord(rec)
		case transient(err) && try < 10:
		default:
			return err
		}
	}
}

// transient: another writer was in the way; the same again may pass.
func transient(err error) bool {
	return fault.Of(err).Retry == fault.Now || fault.Is(err, fault.PreconditionFailed)
}

// effects runs inside the transaction of a save.
func (t *turn) effects(ctx context.Context, tx Tx, op *Operation, commands *[]Command) error {
	for _, m := range t.records {
		if m.record == nil {
			continue
		}
		if err := m.record(ctx, tx); err != nil {
			return &recordError{m, err}
		}
	}
	if t.plan {
		steps, err := t.r.c.Executor.Plan(ctx, tx, op)
		if err != nil {
			return &planError{err}
		}
		next, out := Next(*op, Event{Kind: Planned, Steps: steps}, t.now)
		*op = next
		*commands = append((*commands)[:len(*commands):len(*commands)], out...)
	}
	return t.r.c.Executor.Record(ctx, tx, &t.base, op)
}

// unrecord turns an outcome that cannot be recorded into a failure of its step,
// by applying everything again with the failure in its place.
func (t *turn) unrecord(rec *recordError) {
	records := t.records
	t.op, t.commands, t.records, t.plan = t.base, nil, nil, false
	for _, m := range records {
		if m.ev.Step == rec.m.ev.Step && m.ev.Call == rec.m.ev.Call {
			m = message{ev: Event{Kind: StepErred, Step: m.ev.Step, Call: m.ev.Call, Cause: CauseOf(rec.err, t.now)}}
		}
		t.take(m)
	}
	t.next(Event{Kind: Tick})
}

// saved does what a saved transition commands.
func (r *Runner) saved(f *flight, t *turn) {
	for _, m := range t.records {
		r.c.Failpoints.pass("after-outcome", m.action)
	}
	f.op, f.saved, f.stale = t.op, time.Now(), false
	r.mu.Lock()
	f.failed = 0
	f.final = t.op.State.Final()
	r.mu.Unlock()
	if f.final {
		r.c.Failpoints.pass("after-final", "")
		if e, ok := r.c.Executor.(Follower); ok {
			op := t.op
			r.calls.Go(func() {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(f.ctx), r.c.Drain)
				defer cancel()
				e.Ended(ctx, &op)
			})
		}
		if m := r.c.Metrics; m != nil {
			m.Ended(&t.op)
		}
	}
	saved := t.op
	for _, c := range t.commands {
		s := stepOf(&saved, c.Step)
		if s == nil {
			continue
		}
		if c.Kind == RunStep {
			r.c.Failpoints.pass("after-intent", actionOf(s, c.Undo))
		}
		r.command(f, c, *s, saved)
	}
}

func stepOf(op *Operation, id string) *Step {
	for k := range op.Steps {
		if op.Steps[k].ID == id {
			return &op.Steps[k]
		}
	}
	return nil
}

// actionOf names what a call carries out, for failpoints and metrics.
func actionOf(s *Step, undo bool) string {
	if undo {
		return "undo-" + s.Undo
	}
	return s.Action
}

// giveBack ends the lease of an operation that only time or a person can move,
// when that is far away.
func (r *Runner) giveBack(f *flight) time.Duration {
	due := Due(&f.op)
	if f.op.State.Final() || !f.op.Idle() || due.Sub(r.c.Clock()) < r.c.Idle || r.stopping() {
		return 0
	}
	r.signals.Lock() // no word is read for it between the look and the release
	defer r.signals.Unlock()
	r.mu.Lock()
	busy := len(f.inbox) > 0 || f.dropped
	r.mu.Unlock()
	if busy {
		return 0
	}
	if err := r.c.Store.Release(f.ctx, r.c.Owner, f.op.ID, due); err != nil {
		return 0 // kept; tried again at the next look
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dropLocked(f)
	return 0
}
