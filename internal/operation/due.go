package operation

import "time"

// Due is when time alone changes the operation next: a backoff ends, an attempt
// or the operation takes too long, a hold is over. Zero for a final one.
func Due(op *Operation) time.Time {
	if op.State.Final() {
		return time.Time{}
	}
	limits := op.Limits.Or(DefaultLimits())
	due := op.Deadline
	sooner := func(t time.Time) {
		if !t.IsZero() && t.Before(due) {
			due = t
		}
	}
	switch op.State {
	case FailedTemp:
		return op.HoldUntil
	case RollingBack:
		due = op.RollbackDeadline
	default:
		if !op.Planned && !op.planning && !op.CancelPending {
			sooner(op.PlanNotBefore)
		}
	}
	for k := range op.Steps {
		s := &op.Steps[k]
		switch {
		case s.Call != 0 && s.Timeout > 0:
			sooner(s.StartedAt.Add(s.Timeout))
		case s.Call != 0:
			sooner(s.StartedAt.Add(limits.StepTimeout))
		case op.CancelPending:
		case s.State == StepWaiting || s.State == StepUndoing:
			sooner(s.NotBefore)
		}
	}
	return due
}

// Idle reports whether no call and no planning is out, so that nothing but time
// or a person's word can go on with the operation.
func (op *Operation) Idle() bool {
	for k := range op.Steps {
		if op.Steps[k].Call != 0 {
			return false
		}
	}
	return !op.planning
}

// Supersede is what becomes of an operation in FAILED_TEMP when another one
// takes over: FAILED, with what it leaves listed for its successor. It is nil
// in any other state.
func Supersede(op Operation, by string, now time.Time) *Operation {
	if op.State != FailedTemp {
		return nil
	}
	next, _ := Next(op, Event{Kind: Signalled, Verb: VerbFail}, now)
	next.Outcome = OutcomeSuperseded
	next.Causes = append(next.Causes, Cause{Kind: "conflict", Retry: "never", Detail: "superseded by operation " + by, At: now})
	return &next
}
