package operation

import (
	"fmt"
	"slices"
	"time"
)

// planned takes a plan. What earlier plans have done stays on record, so that it
// can be undone; what they tried in vain is the new plan's to cover.
func (m *machine) planned(steps []Step) {
	op := m.op
	if !op.planning || op.Planned {
		return
	}
	op.planning, op.Planned, op.PlanAttempt = false, true, 0
	op.Plans++
	steps = slices.Clone(steps)
	if op.Plans > 1 {
		steps = m.append(steps)
	}
	for k := range steps {
		steps[k].State = StepWaiting
	}
	op.Steps = append(m.keep(), steps...)
	if op.State == Starting {
		m.enter(Processing)
	}
}

// keep answers the steps of earlier plans: done ones as they are, what may have
// had an effect as such, others skipped.
func (m *machine) keep() []Step {
	old := slices.Clone(m.op.Steps)
	for k := range old {
		switch s := &old[k]; {
		case s.State == StepDone || s.State == StepUndone:
		case s.tried():
			s.State = StepReplanned
		default:
			s.State = StepSkipped
		}
	}
	return old
}

// tried: the step may have had an effect that a later plan covers.
func (s *Step) tried() bool {
	return s.Undo != "" && (s.State == StepFailed || s.State == StepUndoing || s.State == StepAbandoned || s.State == StepReplanned)
}

// append renames a later plan's steps and lets each follow what was done to its
// target before, so that undoing goes the other way round.
func (m *machine) append(steps []Step) []Step {
	name := func(id string) string { return fmt.Sprintf("%d/%s", m.op.Plans, id) }
	done := map[string][]string{}
	for _, s := range m.op.Steps {
		// What was never begun is skipped now: nothing may wait for it.
		if s.State == StepDone || s.tried() {
			done[s.Target] = append(done[s.Target], s.ID)
		}
	}
	for k := range steps {
		s := &steps[k]
		s.ID = name(s.ID)
		after := make([]string, 0, len(s.After))
		for _, a := range s.After {
			after = append(after, name(a))
		}
		s.After = append(after, done[s.Target]...)
	}
	return steps
}

// outcome applies what became of a call, in either direction.
func (m *machine) outcome(s *Step, ev Event) {
	switch {
	case ev.Kind == StepQueued:
		s.StartedAt = m.now
	case ev.Kind == StepProgressed:
		s.Progress = ev.Progress
	case ev.Kind == StepSucceeded && s.State == StepUndoing:
		s.State, s.Call, s.FinishedAt, s.Progress = StepUndone, 0, m.now, ""
	case ev.Kind == StepSucceeded:
		s.State, s.Call, s.FinishedAt, s.Progress = StepDone, 0, m.now, ""
		s.Result, s.Partial, s.Cause = ev.Result, ev.Partial, nil
	default:
		m.erred(s, ev.Cause)
	}
}

// erred repeats the step as its fault says, or concludes that it is exhausted.
func (m *machine) erred(s *Step, c Cause) {
	c.Step, c.Target, c.Site, c.At = s.ID, s.TargetName, s.Infrastructure, m.now
	s.Call, s.Cause = 0, &c
	wait, again := m.again(c, s.ID, s.Attempt)
	switch {
	case again:
		s.NotBefore = m.now.Add(wait)
		if s.State == StepRunning {
			s.State = StepWaiting
		}
	case s.State == StepUndoing:
		m.note(c)
		m.abandon(s)
	case s.GiveUp:
		m.note(c)
		m.abandon(s)
	default:
		m.note(c)
		s.State, s.FinishedAt = StepFailed, m.now
	}
}

// abandon gives a step up and lists what it leaves.
func (m *machine) abandon(s *Step) {
	s.State, s.FinishedAt = StepAbandoned, m.now
	m.leave(s)
}

func (m *machine) leave(s *Step) {
	if s.Leaves == nil {
		return
	}
	l := *s.Leaves
	if s.Cause != nil {
		l.Detail = s.Cause.Detail
	}
	same := func(o Leftover) bool {
		return o.Release == l.Release && o.Target == l.Target && o.Infrastructure == l.Infrastructure
	}
	if !slices.ContainsFunc(m.op.Leftovers, same) {
		m.op.Leftovers = append(m.op.Leftovers, l)
	}
}

func (m *machine) processing() {
	op := m.op
	if op.Planned {
		m.timeouts()
		if m.exhausted() {
			m.fail()
			return
		}
		if m.complete() { // before a cancel or the deadline: then they are too late
			return
		}
	}
	switch {
	case op.CancelPending && m.quiet(op.CancelMode):
		m.note(m.cancelled())
		m.fail()
		op.Outcome = OutcomeCancelled
		if !op.reversible() {
			op.CancelMode = held
		}
	case !m.now.Before(op.Deadline):
		m.note(m.late("the operation"))
		m.deadline()
	case op.CancelPending:
	case !op.Planned:
		m.wantPlan()
	default:
		m.advance()
		m.complete()
	}
}

// quiet reports whether a cancel may take effect: a graceful one waits for the
// calls that are out.
func (m *machine) quiet(mode string) bool {
	return mode == Forceful || !slices.ContainsFunc(m.op.Steps, func(s Step) bool { return s.Call != 0 }) && !m.op.planning
}

// timeouts ends attempts that took too long.
func (m *machine) timeouts() {
	for k := range m.op.Steps {
		s := &m.op.Steps[k]
		if s.Call != 0 && !m.now.Before(s.StartedAt.Add(m.timeout(s))) {
			c := m.late(fmt.Sprintf("%s of %s", s.Action, s.TargetName))
			if s.Progress != "" {
				c.Detail += ": " + s.Progress
			}
			m.stop(s)
			m.erred(s, c)
		}
	}
}

func (m *machine) timeout(s *Step) time.Duration {
	if s.Timeout > 0 {
		return s.Timeout
	}
	return m.limits.StepTimeout
}

// exhausted reports whether a step failed that nothing excuses. A failed
// optional step takes those that need it along.
func (m *machine) exhausted() bool {
	failed := false
	for k := range m.op.Steps {
		s := &m.op.Steps[k]
		failed = failed || s.State == StepFailed && !s.Optional
	}
	return failed
}

// advance skips what can no longer run and starts what can.
func (m *machine) advance() {
	state := make(map[string]*Step, len(m.op.Steps))
	for k := range m.op.Steps {
		state[m.op.Steps[k].ID] = &m.op.Steps[k]
	}
	for changed := true; changed; {
		changed = false
		for k := range m.op.Steps {
			s := &m.op.Steps[k]
			if s.State != StepWaiting {
				continue
			}
			switch ready, never := follows(s, state); {
			case never:
				s.State, s.FinishedAt, changed = StepSkipped, m.now, true
			case ready && !m.now.Before(s.NotBefore):
				s.State = StepRunning
				s.Attempt++
				m.call(s)
			}
		}
	}
}

// follows reports whether all steps before s are over, and whether one of them
// went wrong so that s can never run.
func follows(s *Step, state map[string]*Step) (ready, never bool) {
	ready = true
	for _, id := range s.After {
		p := state[id]
		if p == nil {
			continue
		}
		switch p.State {
		case StepDone, StepAbandoned, StepReplanned:
		case StepFailed:
			never = true
		case StepSkipped:
			// Of this plan: its own predecessor failed. Of an earlier one: it
			// is not named by any step of this.
			never = true
		default:
			ready = false
		}
	}
	return ready && !never, never
}

// complete ends the operation when every step is over, and reports whether it
// did.
func (m *machine) complete() bool {
	partial, orphaned := false, false
	for k := range m.op.Steps {
		s := &m.op.Steps[k]
		switch s.State {
		case StepDone:
			partial = partial || s.Partial
		case StepAbandoned:
			orphaned = true
		case StepFailed:
			partial = true
		case StepSkipped, StepReplanned, StepUndone:
		default:
			return false
		}
	}
	if orphaned {
		m.op.Outcome = OutcomeOrphaned
	}
	if partial {
		m.enter(PartiallyCompleted)
		return true
	}
	m.enter(Completed)
	return true
}

// deadline ends PROCESSING by time: what may be given up is, the rest fails.
func (m *machine) deadline() {
	if m.op.reversible() || !m.op.Planned {
		m.fail()
		return
	}
	for k := range m.op.Steps {
		s := &m.op.Steps[k]
		m.stop(s)
		switch s.State {
		case StepDone, StepAbandoned, StepSkipped, StepReplanned, StepUndone:
		default:
			if s.GiveUp {
				m.abandon(s)
			} else {
				s.State, s.FinishedAt = StepSkipped, m.now
			}
		}
	}
	m.complete()
}

// fail enters FAILED_TEMP. Calls that are out are stopped; their effect is
// unknown, so their steps count as failed attempts, which compensation undoes.
func (m *machine) fail() {
	op := m.op
	op.planning = false
	for k := range op.Steps {
		s := &op.Steps[k]
		m.stop(s)
		if s.State == StepRunning || s.State == StepWaiting && s.Attempt > 0 {
			s.State = StepFailed
		}
	}
	op.CancelPending, op.CancelMode = false, ""
	op.HoldUntil = m.now.Add(m.limits.Hold)
	m.enter(FailedTemp)
}
