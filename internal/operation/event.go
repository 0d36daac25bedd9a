package operation

import "encoding/json"

// EventKind is what happened to an operation.
type EventKind uint8

// The events.
const (
	// Tick: time passed.
	Tick EventKind = iota
	// Claimed: a runner took the operation; calls that were out are lost.
	Claimed
	// Planned: Steps are the plan.
	Planned
	// PlanFailed: Cause says why there is none.
	PlanFailed
	// StepSucceeded: the call did what it should; Result and Partial say more.
	StepSucceeded
	// StepProgressed: the call is accepted and waits; Progress is the evidence.
	StepProgressed
	// StepQueued: the call waits for its turn at its site, or has just got it;
	// the time of its attempt counts from now.
	StepQueued
	// StepErred: Cause says why the call failed; its effect is unknown.
	StepErred
	// Signalled: a person's word, Verb and Mode.
	Signalled
)

// Event is one thing that happened. Call must be the number of the call that is
// out, or the event is too late and changes nothing.
type Event struct {
	Kind     EventKind
	Step     string
	Call     int64
	Steps    []Step
	Result   json.RawMessage
	Partial  bool
	Progress string
	Cause    Cause
	Verb     string
	Mode     string
}

// The verbs of signals and the modes of cancel.
const (
	VerbCancel   = "cancel"
	VerbRetry    = "retry"
	VerbRollback = "rollback"
	VerbFail     = "fail"
	VerbContinue = "continue"

	Graceful = "GRACEFUL"
	Forceful = "FORCEFUL"
)

// CommandKind is what a runner shall do.
type CommandKind uint8

// The commands. They are carried out after the operation is saved.
const (
	// MakePlan asks for a plan; Planned or PlanFailed answers.
	MakePlan CommandKind = iota
	// RunStep makes a call for Step: its Action, or with Undo its Undo.
	RunStep
	// StopStep ends a call that is out; nobody waits for its outcome, but
	// another call for the same step starts only after it has returned.
	StopStep
)

// Command is one thing to do.
type Command struct {
	Kind CommandKind
	Step string
	Call int64
	Undo bool
}
