package operation

import (
	"fmt"
	"slices"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
)

const (
	keepCauses  = 20
	keepHistory = 32
)

// legal is which state may follow which (ETSI NFV-SOL003 figure 5.6.2.2-1).
var legal = map[State][]State{
	Starting:    {Processing, RolledBack},
	Processing:  {Completed, PartiallyCompleted, FailedTemp},
	FailedTemp:  {Processing, RollingBack, Failed},
	RollingBack: {RolledBack, FailedTemp},
}

// Next is the whole state machine: what an operation becomes when something
// happens at a time, and what is to be done about it. It is pure; op is not
// changed. A final operation stays as it is.
func Next(op Operation, ev Event, now time.Time) (Operation, []Command) {
	if op.State.Final() {
		return op, nil
	}
	op.Steps = slices.Clone(op.Steps)
	op.Causes = slices.Clip(op.Causes)
	op.History = slices.Clip(op.History)
	op.Leftovers = slices.Clip(op.Leftovers)
	m := machine{op: &op, now: now, limits: op.Limits.Or(DefaultLimits())}
	m.take(ev)
	for m.settle() {
	}
	return op, m.out
}

// machine is one transition under way.
type machine struct {
	op     *Operation
	now    time.Time
	limits Limits
	out    []Command
}

// enter changes the state; what the table does not allow is left out.
func (m *machine) enter(s State) {
	op := m.op
	if !slices.Contains(legal[op.State], s) {
		return
	}
	op.State, op.StateEnteredAt = s, m.now
	op.History = append(op.History, Entered{s, m.now})
	if n := len(op.History); n > keepHistory {
		op.History = slices.Clone(op.History[n-keepHistory:])
	}
	if s.Final() {
		at := m.now
		op.FinishedAt = &at
		op.CancelPending, op.planning = false, false
	}
}

// take applies what the event itself says.
func (m *machine) take(ev Event) {
	switch ev.Kind {
	case Claimed:
		m.claimed()
	case Planned:
		m.planned(ev.Steps)
	case PlanFailed:
		m.planFailed(ev.Cause)
	case StepSucceeded, StepProgressed, StepQueued, StepErred:
		if s := m.out1(ev.Step, ev.Call); s != nil {
			m.outcome(s, ev)
		}
	case Signalled:
		if m.op.Accepts(ev.Verb) == nil {
			m.signal(ev)
		}
	}
}

// out1 is the step whose call with this number is out, or nil.
func (m *machine) out1(id string, call int64) *Step {
	s := m.step(id)
	if s == nil || call == 0 || s.Call != call {
		return nil
	}
	return s
}

func (m *machine) step(id string) *Step {
	for k := range m.op.Steps {
		if m.op.Steps[k].ID == id {
			return &m.op.Steps[k]
		}
	}
	return nil
}

// claimed makes lost calls again, under new numbers. It is no new attempt: the
// step did not fail.
func (m *machine) claimed() {
	m.op.planning = false
	for k := range m.op.Steps {
		s := &m.op.Steps[k]
		if s.Call != 0 {
			m.call(s)
		}
	}
}

// call makes a call for a step in the direction it is in.
func (m *machine) call(s *Step) {
	m.op.Calls++
	s.Call, s.StartedAt, s.NotBefore = m.op.Calls, m.now, time.Time{}
	m.out = append(m.out, Command{Kind: RunStep, Step: s.ID, Call: s.Call, Undo: s.State == StepUndoing})
}

// stop ends the call that is out, if any.
func (m *machine) stop(s *Step) {
	if s.Call != 0 {
		m.out = append(m.out, Command{Kind: StopStep, Step: s.ID, Call: s.Call})
		s.Call = 0
	}
}

// note records a failure; the first since the last retry is the root cause.
func (m *machine) note(c Cause) {
	c.At = m.now
	if m.op.RootCause == nil {
		m.op.RootCause = &c
	}
	if len(m.op.Causes) < keepCauses {
		m.op.Causes = append(m.op.Causes, c)
	}
}

// settle draws one conclusion from state and time; false when there is none.
func (m *machine) settle() bool {
	before := m.op.State
	switch before {
	case Starting:
		m.starting()
	case Processing:
		m.processing()
	case FailedTemp:
		m.failedTemp()
	case RollingBack:
		m.rollingBack()
	}
	return m.op.State != before && !m.op.State.Final()
}

func (m *machine) starting() {
	op := m.op
	switch {
	case op.CancelPending:
		op.Outcome = OutcomeCancelled
		m.note(m.cancelled())
		m.enter(RolledBack)
	case !m.now.Before(op.Deadline):
		m.note(m.late("the operation"))
		m.enter(RolledBack)
	default:
		m.wantPlan()
	}
}

// wantPlan asks for a plan unless one is being made or it is too early.
func (m *machine) wantPlan() {
	if !m.op.planning && !m.now.Before(m.op.PlanNotBefore) {
		m.op.planning = true
		m.out = append(m.out, Command{Kind: MakePlan})
	}
}

func (m *machine) planFailed(c Cause) {
	op := m.op
	if !op.planning || op.Planned {
		return
	}
	op.planning = false
	op.PlanAttempt++
	if wait, again := m.again(c, "plan", op.PlanAttempt); again {
		op.PlanNotBefore = m.now.Add(wait)
		return
	}
	m.note(c)
	if op.State == Starting {
		m.enter(RolledBack)
		return
	}
	m.fail()
}

// again decides whether a failed attempt is repeated, and after which pause.
func (m *machine) again(c Cause, key string, attempt int) (time.Duration, bool) {
	switch c.Retry {
	case fault.Now.String():
		if attempt < m.limits.Attempts {
			return 0, true
		}
		return m.limits.backoff(m.op.ID+key, attempt-m.limits.Attempts+1), attempt < 2*m.limits.Attempts
	case fault.Backoff.String():
		return m.limits.backoff(m.op.ID+key, attempt), attempt < m.limits.Attempts
	}
	return 0, false
}

// cancelled and late are causes the engine itself sees.
func (m *machine) cancelled() Cause {
	return Cause{Kind: fault.Conflict.String(), Retry: fault.Never.String(), Detail: "cancelled on request"}
}

func (m *machine) late(what string) Cause {
	return Cause{Kind: fault.Timeout.String(), Retry: fault.Backoff.String(), Detail: fmt.Sprintf("%s did not end in time", what)}
}

// Accepts answers nil when a person may say verb to the operation now, else a
// Conflict that names the state and the states in which it is possible.
func (op *Operation) Accepts(verb string) error {
	var in []State
	switch verb {
	case VerbCancel:
		in = []State{Starting, Processing, RollingBack}
	case VerbRetry, VerbContinue, VerbRollback, VerbFail:
		in = []State{FailedTemp}
	default:
		return fault.Field("verb", verb, "cancel, retry, rollback, fail, continue")
	}
	if !slices.Contains(in, op.State) {
		return fault.New(fault.Conflict, "operation %s is %s; %s is possible in %v", op.ID, op.State, verb, in)
	}
	if verb == VerbRollback && !op.reversible() {
		return fault.New(fault.Conflict, "operation %s removes what it acts upon and cannot be rolled back; retry, continue or fail", op.ID)
	}
	if verb == VerbContinue && (!op.Planned || slices.ContainsFunc(op.Steps, func(s Step) bool { return s.State.backward() })) {
		return fault.New(fault.Conflict, "operation %s has no plan that could go on; retry makes a new one", op.ID)
	}
	return nil
}

// reversible: a terminate has nothing to go back to.
func (op *Operation) reversible() bool { return op.Type != Terminate }

func (s StepState) backward() bool {
	return s == StepUndoing || s == StepUndone || s == StepAbandoned
}

func (m *machine) signal(ev Event) {
	op := m.op
	switch ev.Verb {
	case VerbCancel:
		op.CancelPending = true
		if op.CancelMode != Forceful {
			op.CancelMode = Graceful
		}
		if ev.Mode == Forceful {
			op.CancelMode = Forceful
		}
	case VerbRetry:
		op.Planned, op.PlanAttempt, op.PlanNotBefore = false, 0, time.Time{}
		m.resume()
	case VerbContinue:
		for k := range op.Steps {
			s := &op.Steps[k]
			if s.State == StepFailed || s.State == StepWaiting {
				s.State, s.Attempt, s.NotBefore, s.Cause = StepWaiting, 0, time.Time{}, nil
			}
		}
		m.resume()
	case VerbRollback:
		op.GaveUp = false
		m.enterRollback()
	case VerbFail:
		m.surrender()
	}
}

// resume goes back to PROCESSING with a new deadline and a clean slate of
// causes.
func (m *machine) resume() {
	op := m.op
	op.RootCause, op.Causes, op.GaveUp = nil, nil, false
	op.CancelPending, op.CancelMode, op.Outcome = false, "", ""
	op.Deadline, op.Leftovers = m.now.Add(m.limits.Total), nil
	m.enter(Processing)
}
