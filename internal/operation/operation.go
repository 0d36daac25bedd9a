package operation

import (
	"encoding/json"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// Type is what an operation does to its slice; the API's lcmOperationType.
type Type string

// The types of lifecycle operations.
const (
	Instantiate Type = "INSTANTIATE"
	Update      Type = "UPDATE"
	Scale       Type = "SCALE"
	Heal        Type = "HEAL"
	Migrate     Type = "MIGRATE"
	Terminate   Type = "TERMINATE"
)

// State is the state of an operation (ETSI NFV-SOL003 §5.6.2.2 and SOL005).
type State string

// The states. Completed, PartiallyCompleted, RolledBack and Failed are final.
const (
	Starting           State = "STARTING"
	Processing         State = "PROCESSING"
	Completed          State = "COMPLETED"
	PartiallyCompleted State = "PARTIALLY_COMPLETED"
	FailedTemp         State = "FAILED_TEMP"
	RollingBack        State = "ROLLING_BACK"
	RolledBack         State = "ROLLED_BACK"
	Failed             State = "FAILED"
)

// Final reports whether nothing can follow s.
func (s State) Final() bool {
	return s == Completed || s == PartiallyCompleted || s == RolledBack || s == Failed
}

// SchemaVersion is the version of the step data this program writes; a runner
// claims nothing newer.
const SchemaVersion = 1

// Operation is one lifecycle operation occurrence: data only, so that it
// survives a restart and another replica can go on with it.
type Operation struct {
	ID     string `json:"id"`
	Tenant string `json:"tenantId"`
	Slice  string `json:"iotSliceId"`
	Type   Type   `json:"lcmOperationType"`
	// Cause is "request", "assurance" or "tombstone".
	Cause     string          `json:"cause"`
	Actor     string          `json:"actor,omitempty"` // key or component that asked
	RequestID string          `json:"requestId,omitempty"`
	Params    json.RawMessage `json:"operationParams,omitempty"` // for the planner
	Schema    int             `json:"schema"`

	State          State           `json:"operationState"`
	StateEnteredAt time.Time       `json:"stateEnteredTime"`
	StartedAt      time.Time       `json:"startTime"` // acceptance
	FinishedAt     *time.Time      `json:"finishTime,omitempty"`
	OnFailure      slice.OnFailure `json:"onFailure"`
	// HoldUntil ends FAILED_TEMP by rollback when OnFailure is hold.
	HoldUntil time.Time `json:"holdUntil,omitzero"`
	// Deadline ends PROCESSING; RollbackDeadline ends ROLLING_BACK.
	Deadline         time.Time `json:"deadline"`
	RollbackDeadline time.Time `json:"rollbackDeadline,omitzero"`
	CancelPending    bool      `json:"isCancelPending,omitempty"`
	CancelMode       string    `json:"cancelMode,omitempty"` // GRACEFUL or FORCEFUL
	Limits           Limits    `json:"limits,omitzero"`
	History          []Entered `json:"stateHistory,omitempty"` // the last states entered, oldest first
	// Planned tells whether Steps are the plan in force; PlanAttempt counts the
	// tries since it was last needed, PlanNotBefore is when to try again, Plans
	// counts the plans made.
	Planned       bool      `json:"planned"`
	PlanAttempt   int       `json:"planAttempt,omitempty"`
	PlanNotBefore time.Time `json:"planNotBefore,omitzero"`
	Plans         int       `json:"plans,omitempty"`
	// GaveUp: compensation was tried and given up; only FAILED can follow by
	// itself.
	GaveUp bool `json:"compensationGivenUp,omitempty"`
	// Calls counts the calls made for steps, both directions.
	Calls int64 `json:"calls,omitempty"`

	Steps     []Step     `json:"steps,omitempty"`
	RootCause *Cause     `json:"firstRootCause,omitempty"`
	Causes    []Cause    `json:"causes,omitempty"` // every failure since the last retry, bounded
	Leftovers []Leftover `json:"leftovers,omitempty"`
	// Outcome adds to a final state: "orphaned" when a site was not reached.
	Outcome    string `json:"outcome,omitempty"`
	Supersedes string `json:"supersedes,omitempty"`

	// Revision counts saves. Fence grows with every claim: it is the generation
	// handed to drivers and checked in every save.
	Revision int64 `json:"revision"`
	Fence    int64 `json:"-"`
	// SignalsSeen is the position of the last signal taken.
	SignalsSeen int64 `json:"signalsSeen,omitempty"`
	// Wake, when set, lets a save end the lease until then.
	Wake time.Time `json:"-"`
	// planning: a Plan command is out.
	planning bool
}

// Entered is a state and when it was entered.
type Entered struct {
	State State     `json:"operationState"`
	At    time.Time `json:"stateEnteredTime"`
}

// Start makes op STARTING at now, with the deadline its limits give.
func Start(op Operation, now time.Time) Operation {
	op.State, op.StateEnteredAt, op.StartedAt = Starting, now, now
	op.Schema = SchemaVersion
	op.History = []Entered{{Starting, now}}
	op.Deadline = now.Add(op.Limits.Or(DefaultLimits()).Total)
	return op
}

// Outcomes that add to a final state.
const (
	OutcomeOrphaned   = "orphaned"   // a site was not reached: leftovers have tombstones
	OutcomeCancelled  = "cancelled"  // a person cancelled it
	OutcomeSuperseded = "superseded" // another operation took over
)

// StepState is how far a step is.
type StepState string

// The states of a step. StepWaiting: predecessors or backoff; StepRunning:
// intent stored, effect may have happened.
const (
	StepWaiting   StepState = "WAITING"
	StepRunning   StepState = "RUNNING"
	StepDone      StepState = "DONE"
	StepFailed    StepState = "FAILED"
	StepUndoing   StepState = "UNDOING"
	StepUndone    StepState = "UNDONE"
	StepAbandoned StepState = "ABANDONED" // compensation given up: a leftover
	StepSkipped   StepState = "SKIPPED"
	StepReplanned StepState = "REPLANNED" // tried by an earlier plan, effect unknown; the plan in force covers it
)

// Step is one action on one target, as data. What an Action means is the
// Executor's; the engine orders, repeats, records and undoes.
type Step struct {
	ID     string `json:"id"`
	Action string `json:"action"`         // "apply", "delete", "attach", "provision", …
	Undo   string `json:"undo,omitempty"` // action that compensates; "" needs none
	// Target is the element (or batch owner) acted upon; TargetName for people.
	Target     string `json:"targetId"`
	TargetName string `json:"targetName"`
	// Infrastructure bounds concurrency and names the site in causes.
	Infrastructure string          `json:"infrastructureId,omitempty"`
	Args           json.RawMessage `json:"args,omitempty"`
	UndoArgs       json.RawMessage `json:"undoArgs,omitempty"`
	After          []string        `json:"after,omitempty"` // ids of steps to be DONE first
	// Optional: its failure lets the operation end PARTIALLY_COMPLETED;
	// GiveUp: its exhaustion (a site not reached on terminate) becomes a
	// leftover with a tombstone instead of a failure.
	Optional bool `json:"optional,omitempty"`
	GiveUp   bool `json:"giveUp,omitempty"`
	// Leaves is what stays in the world when the step is given up, or was done
	// and is not undone; nil: nothing that must be removed.
	Leaves *Leftover `json:"leaves,omitempty"`

	State      StepState       `json:"state"`
	Attempt    int             `json:"attempt"` // of the current direction, from 1
	NotBefore  time.Time       `json:"notBefore,omitzero"`
	Timeout    time.Duration   `json:"timeoutNanos,omitempty"` // of one attempt
	StartedAt  time.Time       `json:"startTime,omitzero"`
	FinishedAt time.Time       `json:"finishTime,omitzero"`
	Cause      *Cause          `json:"error,omitempty"`
	Result     json.RawMessage `json:"result,omitempty"`
	Progress   string          `json:"progress,omitempty"` // last evidence while waiting
	// Partial: done, but not for every item; the result says which.
	Partial bool `json:"partial,omitempty"`
	// Call numbers the call that is out; 0: none.
	Call int64 `json:"call,omitempty"`
}

// Cause is a classified failure as it is stored.
type Cause struct {
	Kind   string    `json:"kind"`
	Retry  string    `json:"retry"`
	Detail string    `json:"detail"`
	Step   string    `json:"stepId,omitempty"`
	Target string    `json:"target,omitempty"`
	Site   string    `json:"infrastructureId,omitempty"`
	At     time.Time `json:"time"`
}

// CauseOf translates an error for storage.
func CauseOf(err error, now time.Time) Cause {
	f := fault.Of(err)
	return Cause{Kind: f.Kind.String(), Retry: f.Retry.String(), Detail: f.Error(), At: now}
}

// Leftover is what an ended operation could not remove or restore; each has a
// tombstone that keeps trying.
type Leftover struct {
	Target         string `json:"targetId"`
	TargetName     string `json:"targetName"`
	Infrastructure string `json:"infrastructureId"`
	Release        string `json:"releaseName,omitempty"`
	Detail         string `json:"detail"`
}
