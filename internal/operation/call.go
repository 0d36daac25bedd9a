package operation

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
)

const (
	firstLook = 20 * time.Millisecond
	lastLook  = time.Second
	// slowAfter looks, about a minute, it is looked at every slowLook only:
	// whoever can be watched says so sooner.
	slowAfter = 60
	slowLook  = 5 * time.Second
	// settleTime is how long an outcome waits for those of calls beside it, so
	// that they share a save.
	settleTime = 2 * time.Millisecond
)

// call is one call for a step: queued at its site, running, or accepted and
// waiting to be looked at. Guarded by the runner's mutex.
type call struct {
	f       *flight
	op      Operation
	step    Step
	number  int64
	undo    bool
	again   bool
	ctx     context.Context
	cancel  context.CancelFunc
	site    string
	tenant  string
	queued  bool
	running bool
	poked   bool // while it ran: what it saw may be out of date
	stopped bool
	looks   int
	told    string // the progress last passed on
	started time.Time
	timer   *time.Timer
	then    *call // for the same step, when this one has returned
}

// command carries out a saved command.
func (r *Runner) command(f *flight, c Command, s Step, op Operation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := f.calls[s.ID]
	if c.Kind == StopStep {
		if old != nil && old.number <= c.Call {
			r.stopLocked(old)
		}
		return
	}
	if f.dropped || r.draining {
		return // the intent is saved: whoever claims next makes the call
	}
	n := &call{f: f, op: op, step: s, number: c.Call, undo: c.Undo, site: s.Infrastructure, tenant: op.Tenant}
	n.ctx, n.cancel = context.WithCancel(f.ctx)
	f.calls[s.ID] = n
	if old != nil {
		r.stopLocked(old)
		if old.running {
			old.then = n
			return
		}
	}
	r.submitLocked(n)
}

// submitLocked queues a call at its site.
func (r *Runner) submitLocked(c *call) {
	s := r.sites[c.site]
	if s == nil {
		limit := 0
		if r.c.SiteLimit != nil {
			limit = r.c.SiteLimit(c.site)
		}
		if limit <= 0 {
			limit = 8
		}
		s = newSite(limit)
		r.sites[c.site] = s
	}
	c.queued = true
	s.push(c)
	r.pumpLocked(c.site, s)
}

// pumpLocked starts as many calls of a site as may run.
func (r *Runner) pumpLocked(name string, s *site) {
	for c := s.pop(); c != nil; c = s.pop() {
		c.queued, c.running, c.started = false, true, time.Now()
		if !c.again && c.f.calls[c.step.ID] == c {
			c.f.inbox = append(c.f.inbox, message{ev: Event{Kind: StepQueued, Step: c.step.ID, Call: c.number}})
		}
		r.out++
		c.poked = false
		if r.underWay[c.step.Target] == nil {
			r.underWay[c.step.Target] = map[*call]bool{}
		}
		r.underWay[c.step.Target][c] = true
		r.calls.Go(func() { r.run(c) })
	}
	if s.empty() {
		delete(r.sites, name)
	}
}

// stopLocked ends a call; one that runs is told and returns when it does.
func (r *Runner) stopLocked(c *call) {
	c.stopped = true
	c.cancel()
	if c.timer != nil {
		c.timer.Stop()
	}
	r.unpollLocked(c)
}

// run makes the call.
func (r *Runner) run(c *call) {
	ctx, cancel := context.WithTimeout(c.ctx, r.c.CallTimeout)
	start := time.Now()
	out, err := r.do(ctx, c)
	cancel()
	if err == nil && out.Done && c.ctx.Err() == nil {
		r.c.Failpoints.pass("after-effect", actionOf(&c.step, c.undo))
	}
	if m := r.c.Metrics; m != nil {
		result := "done"
		switch {
		case err != nil:
			result = fault.Of(err).Kind.String()
		case !out.Done:
			result = "waiting"
		}
		m.Called(actionOf(&c.step, c.undo), c.site, result, time.Since(start))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out--
	c.running = false
	if delete(r.underWay[c.step.Target], c); len(r.underWay[c.step.Target]) == 0 {
		delete(r.underWay, c.step.Target)
	}
	if s := r.sites[c.site]; s != nil {
		s.running--
		r.pumpLocked(c.site, s)
	}
	r.returnedLocked(c, out, err)
}

// do asks the executor; its panic is the step's failure, not the service's end.
func (r *Runner) do(ctx context.Context, c *call) (out Outcome, err error) {
	defer func() {
		if p := recover(); p != nil {
			r.c.Log.Error("a call panicked", "action", c.step.Action, "panic", p, "stack", string(debug.Stack()))
			err = fault.New(fault.Internal, "unexpected failure in %s of %s", c.step.Action, c.step.TargetName)
		}
	}()
	return r.c.Executor.Do(ctx, Call{
		Operation: c.op, Step: c.step, Undo: c.undo, Again: c.again,
		Generation: generation(c.op.Fence, c.number),
	})
}

// returnedLocked passes a call's outcome on.
func (r *Runner) returnedLocked(c *call, out Outcome, err error) {
	if c.then != nil && !c.then.stopped {
		r.submitLocked(c.then)
	}
	if c.stopped {
		if c.f.calls[c.step.ID] == c {
			delete(c.f.calls, c.step.ID)
		}
		return
	}
	ev := Event{Step: c.step.ID, Call: c.number}
	switch {
	case err == nil && out.Done:
		ev.Kind, ev.Result, ev.Partial = StepSucceeded, out.Result, out.Partial
	case err == nil:
		c.again = true
		r.lookLaterLocked(c, out.After, out.Progress)
		return
	case c.again && !out.Verdict && fault.Of(err).Retry != fault.Never:
		r.lookLaterLocked(c, lastLook, fmt.Sprintf("cannot be asked: %v", err))
		return
	default:
		ev.Kind, ev.Cause = StepErred, CauseOf(err, r.c.Clock())
	}
	delete(c.f.calls, c.step.ID)
	c.cancel()
	c.f.inbox = append(c.f.inbox, message{ev: ev, record: out.Record, action: actionOf(&c.step, c.undo)})
	r.settleLocked(c.f)
}

// settleLocked has the flight looked at: at once when no call beside is about
// to return, else a moment later.
func (r *Runner) settleLocked(f *flight) {
	if f.linger != nil {
		f.linger.Stop()
		f.linger = nil
	}
	for _, c := range f.calls {
		if c.queued || c.running && time.Since(c.started) < settleTime {
			f.linger = time.AfterFunc(settleTime, func() { r.lookAt(f) })
			return
		}
	}
	r.enqueueLocked(f)
}

// lookLaterLocked waits, without holding anything, to look at an accepted call
// again.
func (r *Runner) lookLaterLocked(c *call, after time.Duration, progress string) {
	if after <= 0 {
		after = min(firstLook<<min(c.looks, 10), lastLook)
		if c.looks > slowAfter {
			after = slowLook
		}
	}
	if c.poked {
		after = firstLook
	}
	c.looks++
	if progress != "" && progress != c.told {
		c.told = progress
		c.f.progressedLocked(Event{Kind: StepProgressed, Step: c.step.ID, Call: c.number, Progress: progress})
		r.settleLocked(c.f)
	}
	if r.polling[c.step.Target] == nil {
		r.polling[c.step.Target] = map[*call]bool{}
	}
	r.polling[c.step.Target][c] = true
	c.timer = time.AfterFunc(after, func() { r.look(c) })
}

func (r *Runner) look(c *call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.polling[c.step.Target][c] {
		return // looked at already, or stopped
	}
	r.unpollLocked(c)
	c.timer.Stop()
	if !c.stopped && !r.draining {
		r.submitLocked(c)
	}
}

func (r *Runner) unpollLocked(c *call) {
	delete(r.polling[c.step.Target], c)
	if len(r.polling[c.step.Target]) == 0 {
		delete(r.polling, c.step.Target)
	}
}

// Poke says that something changed about a target (an element's id): accepted
// calls for it are looked at now, or again as soon as they have been.
func (r *Runner) Poke(target string) {
	r.mu.Lock()
	for c := range r.underWay[target] {
		c.poked = true
	}
	waiting := make([]*call, 0, len(r.polling[target]))
	for c := range r.polling[target] {
		waiting = append(waiting, c)
	}
	r.mu.Unlock()
	for _, c := range waiting {
		r.look(c)
	}
}
