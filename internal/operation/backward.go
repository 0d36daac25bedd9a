package operation

import (
	"slices"
	"time"

	"github.com/osmoslice/osmoslice/internal/slice"
)

// failedTemp waits for a person when the operation holds, else goes on at once.
func (m *machine) failedTemp() {
	op := m.op
	hold := op.OnFailure == slice.Hold || op.CancelMode == held
	if hold && m.now.Before(op.HoldUntil) {
		return
	}
	if op.GaveUp || !op.reversible() {
		m.surrender()
		return
	}
	m.enterRollback()
}

// held marks, in CancelMode, that a person stopped a compensation or a
// terminate: nothing goes on by itself before the hold time is over.
const held = "HELD"

// surrender enters FAILED: no (more) compensation; what was done, or may have
// been, is listed.
func (m *machine) surrender() {
	op := m.op
	for k := range op.Steps {
		s := &op.Steps[k]
		m.stop(s)
		switch s.State {
		case StepDone, StepFailed, StepRunning, StepUndoing, StepReplanned:
			if s.Undo != "" || s.GiveUp && s.State != StepDone {
				m.leave(s)
			}
		case StepWaiting:
			if s.GiveUp || s.Attempt > 0 && s.Undo != "" {
				m.leave(s)
			}
		}
		if !s.State.settled() {
			s.State = StepSkipped
		}
	}
	if slices.ContainsFunc(op.Leftovers, func(l Leftover) bool { return l.Release != "" }) {
		op.Outcome = OutcomeOrphaned
	}
	m.enter(Failed)
}

func (s StepState) settled() bool {
	return s == StepDone || s == StepFailed || s == StepUndone || s == StepAbandoned || s == StepSkipped || s == StepReplanned
}

// enterRollback starts compensation. What never started is skipped; what was
// tried may have had its effect and is undone like what was done.
func (m *machine) enterRollback() {
	op := m.op
	for k := range op.Steps {
		s := &op.Steps[k]
		m.stop(s)
		switch {
		case s.State == StepWaiting && s.Attempt == 0:
			s.State = StepSkipped
		case s.State == StepWaiting || s.State == StepRunning:
			s.State = StepFailed
		case s.State == StepAbandoned && s.Undo != "":
			s.State = StepFailed // a person asked to try again
		}
	}
	m.relist()
	op.GaveUp, op.CancelMode, op.CancelPending = false, "", false
	op.RollbackDeadline = m.now.Add(m.limits.Rollback)
	m.enter(RollingBack)
	for k := range op.Steps {
		s := &op.Steps[k]
		if s.undoable() {
			s.State, s.Attempt, s.NotBefore = StepUndoing, 0, time.Time{}
		}
	}
}

// relist lists anew what given-up steps leave, after some are tried again.
func (m *machine) relist() {
	m.op.Leftovers = nil
	for k := range m.op.Steps {
		if s := &m.op.Steps[k]; s.State == StepAbandoned {
			m.leave(s)
		}
	}
}

// undoable: it was done, or may have been, and there is a way back.
func (s *Step) undoable() bool {
	return s.Undo != "" && (s.State == StepDone || s.State == StepFailed || s.State == StepUndoing || s.State == StepReplanned)
}

func (m *machine) rollingBack() {
	op := m.op
	switch {
	case op.CancelPending && m.quiet(op.CancelMode):
		m.note(m.cancelled())
		m.fail()
		op.CancelMode = held
		return
	case !m.now.Before(op.RollbackDeadline):
		m.note(m.late("compensation"))
		for k := range op.Steps {
			s := &op.Steps[k]
			m.stop(s)
			if s.State == StepUndoing {
				m.abandon(s)
			}
		}
	}
	m.timeouts()
	if !op.CancelPending {
		m.retreat()
	}
	m.compensated()
}

// retreat starts the undoing of every step that nothing still standing depends
// on.
func (m *machine) retreat() {
	needed := map[string]bool{} // steps that others, not yet undone, came after
	for k := range m.op.Steps {
		s := &m.op.Steps[k]
		if s.State == StepUndoing {
			m.need(s, needed)
		}
	}
	for k := range m.op.Steps {
		s := &m.op.Steps[k]
		if s.State == StepUndoing && s.Call == 0 && !needed[s.ID] && !m.now.Before(s.NotBefore) {
			s.Attempt++
			m.call(s)
		}
	}
}

// need marks everything s came after, directly or through others.
func (m *machine) need(s *Step, needed map[string]bool) {
	for _, id := range s.After {
		if needed[id] {
			continue
		}
		needed[id] = true
		if p := m.step(id); p != nil {
			m.need(p, needed)
		}
	}
}

// compensated ends ROLLING_BACK when every undoing is over.
func (m *machine) compensated() {
	op, gaveUp := m.op, false
	for k := range op.Steps {
		switch s := &op.Steps[k]; {
		case s.State == StepUndoing:
			return
		case s.State == StepAbandoned && s.Undo != "":
			gaveUp = true
		}
	}
	op.CancelPending = false
	if !gaveUp {
		m.enter(RolledBack)
		return
	}
	op.GaveUp = true
	op.HoldUntil = m.now.Add(m.limits.Hold)
	m.enter(FailedTemp)
}
