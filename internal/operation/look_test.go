package operation_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
)

// TestAVerdictEndsTheWait: what a site says of an accepted call is its outcome;
// not being told anything is none.
func TestAVerdictEndsTheWait(t *testing.T) {
	db, ex := openStore(t), newScript()
	var looks atomic.Int64
	ex.do = func(_ context.Context, c operation.Call) (operation.Outcome, error) {
		switch {
		case c.Undo:
			return operation.Outcome{Done: true}, nil
		case !c.Again:
			return operation.Outcome{Progress: "accepted", After: time.Millisecond}, nil
		case looks.Add(1) <= 3:
			return operation.Outcome{}, fault.New(fault.Unavailable, "cannot be reached").Retrying(fault.Backoff)
		}
		return operation.Outcome{Verdict: true}, fault.New(fault.Unavailable, "it crashed").Retrying(fault.Backoff)
	}
	start(t, operation.RunnerConfig{Store: db, Executor: ex})
	id := submit(t, db, 1, func(op *operation.Operation) {
		op.Limits.Attempts, op.Limits.StepTimeout, op.OnFailure = 1, time.Hour, "rollback"
	})[0]
	op := inState(t, db, id, operation.RolledBack)
	if op.RootCause == nil || !strings.Contains(op.RootCause.Detail, "it crashed") {
		t.Errorf("root cause %+v, want the verdict", op.RootCause)
	}
}

// TestProgressIsShown: people see in the store how far a step is, and a step
// that runs out of time tells the last that was seen of it.
func TestProgressIsShown(t *testing.T) {
	db, ex := openStore(t), newScript()
	var half, silent atomic.Bool
	ex.do = func(_ context.Context, c operation.Call) (operation.Outcome, error) {
		switch {
		case c.Undo:
			return operation.Outcome{Done: true}, nil
		case silent.Load():
			return operation.Outcome{}, fault.New(fault.Unavailable, "the line is dead").Retrying(fault.Backoff)
		case half.Load():
			return operation.Outcome{Progress: "half way", After: time.Millisecond}, nil
		}
		return operation.Outcome{Progress: "begun", After: time.Millisecond}, nil
	}
	start(t, operation.RunnerConfig{Store: db, Executor: ex})
	id := submit(t, db, 1, func(op *operation.Operation) {
		op.Limits.Attempts, op.Limits.StepTimeout, op.OnFailure = 1, 8*time.Second, "rollback"
	})[0]
	shown := func(text string) {
		t.Helper()
		eventually(t, "progress "+text, func() bool {
			op := load(t, db, id)
			return len(op.Steps) > 0 && op.Steps[0].Progress == text
		})
	}
	shown("begun")
	half.Store(true)
	shown("half way")
	silent.Store(true)
	op := inState(t, db, id, operation.RolledBack)
	if op.RootCause == nil || !strings.Contains(op.RootCause.Detail, "the line is dead") {
		t.Errorf("root cause %+v, want the last that was seen", op.RootCause)
	}
}
