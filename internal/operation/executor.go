package operation

import (
	"context"
	"encoding/json"
	"time"
)

// Executor knows what operations and steps mean. The Runner knows when.
type Executor interface {
	// Plan answers the steps of an operation, and writes with tx what must be
	// saved together with them. It may be run again from the start. Its error
	// is a failed planning: the fault says whether another try helps.
	Plan(ctx context.Context, tx Tx, op *Operation) ([]Step, error)
	// Do makes one call for a step, or looks how far an accepted one came. It
	// must be idempotent and end with ctx.
	Do(ctx context.Context, c Call) (Outcome, error)
	// Record writes with tx what follows from the operation's going from
	// before to op. It is run in every save, after the outcomes' own Records.
	Record(ctx context.Context, tx Tx, before, op *Operation) error
}

// Forgetter is the optional ability of an Executor to drop what Plan learned in a
// transaction that was not committed.
type Forgetter interface{ Forget() }

// Preparer is the optional ability of an Executor to ask the world, before a plan
// is made and outside of any transaction, for what Plan will decide by. It bounds
// its time itself; what it cannot learn, Plan does without.
type Preparer interface {
	Prepare(ctx context.Context, op *Operation)
}

// Follower is the optional ability of an Executor to go on with something when
// an operation has ended and is saved.
type Follower interface {
	Ended(ctx context.Context, op *Operation)
}

// Call is one call for a step.
type Call struct {
	Operation Operation // as saved; not to be changed
	Step      Step
	Undo      bool // carry out Step.Undo
	Again     bool // the call was accepted before: only look how far it is
	// Generation grows with every call for a slice, over operations and
	// runners: the fence, then the number of the call within the claim.
	Generation int64
}

// Outcome is what became of a call.
type Outcome struct {
	// Done: the step did what it should. Else it is accepted, and looked at
	// again after After (0: 20 ms, growing to a second).
	Done  bool
	After time.Duration
	// Verdict, beside an error: the error is what became of the accepted call.
	// Without it an error of looking again says only that nothing was heard,
	// and it is looked at again until the step's time is over.
	Verdict  bool
	Progress string // evidence while waiting, for people
	Result   json.RawMessage
	Partial  bool
	// Record, when Done, writes what the call learned, in the transaction that
	// saves the outcome. It may be run again from the start.
	Record func(ctx context.Context, tx Tx) error
}

// generation makes the fence token of a call: 2²⁰ calls per claim stay ordered.
func generation(fence, call int64) int64 { return fence<<20 | call&(1<<20-1) }

// Metrics hears what a Runner does. Calls come from many goroutines.
type Metrics interface {
	// Called: a call ended; result is "done", "waiting" or the fault's kind.
	Called(action, site, result string, took time.Duration)
	// Saved: a save ended.
	Saved(took time.Duration, err error)
	// Ended: an operation reached a final state.
	Ended(op *Operation)
	// Holding: how many operations the runner holds now.
	Holding(operations int)
}
