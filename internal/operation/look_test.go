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

// preparing is a script that asks the world before it plans.
type preparing struct {
	*script
	prepare func(ctx context.Context, op *operation.Operation)
}

func (p *preparing) Prepare(ctx context.Context, op *operation.Operation) { p.prepare(ctx, op) }

// TestPreparingHoldsUpNobody: each plan is prepared before it is made; one that
// takes long holds up neither other operations nor a cancel for ever.
func TestPreparingHoldsUpNobody(t *testing.T) {
	db := openStore(t)
	release := make(chan struct{})
	var slow atomic.Pointer[string]
	var asked atomic.Int64
	ex := &preparing{newScript(), func(ctx context.Context, op *operation.Operation) {
		asked.Add(1)
		if id := slow.Load(); id != nil && *id == op.ID {
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
	}}
	ids := submit(t, db, 20, nil)
	slow.Store(&ids[0])
	start(t, operation.RunnerConfig{Store: db, Executor: ex, Workers: 1})
	for _, id := range ids[1:] {
		inState(t, db, id, operation.Completed)
	}
	if op := load(t, db, ids[0]); op.State.Final() || op.Planned {
		t.Errorf("planned although it was not prepared: %s", op.State)
	}
	close(release)
	inState(t, db, ids[0], operation.Completed)
	if n := asked.Load(); n != 20 {
		t.Errorf("asked %d times for 20 plans", n)
	}
}

// TestAPokeDuringALookIsNotLost: what changes while a site is asked is seen soon,
// although the next look would be far away.
func TestAPokeDuringALookIsNotLost(t *testing.T) {
	db, ex := openStore(t), newScript()
	var ready atomic.Bool
	var poke atomic.Pointer[func()]
	ex.do = func(_ context.Context, c operation.Call) (operation.Outcome, error) {
		if c.Step.ID != "a" || ready.Load() {
			return operation.Outcome{Done: true}, nil
		}
		ready.Store(true) // just after the site was read
		(*poke.Load())()
		return operation.Outcome{After: time.Hour}, nil
	}
	r, err := operation.NewRunner(operation.RunnerConfig{Store: db, Executor: ex})
	if err != nil {
		t.Fatal(err)
	}
	id := submit(t, db, 1, func(op *operation.Operation) { op.Limits.StepTimeout = 2 * time.Hour })[0]
	tell := func() { r.Poke("a-" + id) }
	poke.Store(&tell)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = r.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	inState(t, db, id, operation.Completed)
}
