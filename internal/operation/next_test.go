package operation

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/slice"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// drawSteps draws a DAG: a step comes only after earlier ones.
func drawSteps(t *rapid.T, label string) []Step {
	n := rapid.IntRange(0, 6).Draw(t, label+" steps")
	steps := make([]Step, n)
	for k := range steps {
		s := &steps[k]
		s.ID, s.Action = fmt.Sprintf("%s%d", label, k), "apply"
		s.Target = fmt.Sprintf("element-%d", rapid.IntRange(0, 3).Draw(t, "target"))
		if rapid.Bool().Draw(t, "undo") {
			s.Undo = "delete"
			s.Leaves = &Leftover{Target: s.Target, Release: s.ID}
		}
		s.Optional = rapid.IntRange(0, 5).Draw(t, "optional") == 0
		s.GiveUp = s.Undo == "" && rapid.IntRange(0, 3).Draw(t, "give up") == 0
		for j := range k {
			if rapid.IntRange(0, 2).Draw(t, "after") == 0 {
				s.After = append(s.After, steps[j].ID)
			}
		}
		if rapid.IntRange(0, 4).Draw(t, "timeout") == 0 {
			s.Timeout = 3 * time.Second
		}
	}
	return steps
}

func drawOperation(t *rapid.T) Operation {
	op := Operation{
		ID: "op", Slice: "slice", Type: rapid.SampledFrom([]Type{Instantiate, Update, Terminate}).Draw(t, "type"),
		OnFailure: rapid.SampledFrom([]slice.OnFailure{slice.Rollback, slice.Hold}).Draw(t, "on failure"),
		Limits:    Limits{Attempts: rapid.IntRange(1, 3).Draw(t, "attempts"), BackoffBase: time.Second, BackoffMax: 4 * time.Second},
	}
	return Start(op, epoch)
}

func drawCause(t *rapid.T) Cause {
	return Cause{Kind: "unavailable", Detail: "no", Retry: rapid.SampledFrom([]string{"now", "backoff", "never"}).Draw(t, "retry")}
}

// drawEvent draws anything that may happen, outcomes of calls that are out among
// them, and outcomes that come too late.
func drawEvent(t *rapid.T, op *Operation) Event {
	var out []Step
	for _, s := range op.Steps {
		if s.Call != 0 {
			out = append(out, s)
		}
	}
	switch kind := rapid.IntRange(0, 11).Draw(t, "event"); {
	case kind <= 5 && len(out) > 0:
		s := out[rapid.IntRange(0, len(out)-1).Draw(t, "which")]
		ev := Event{Step: s.ID, Call: s.Call, Kind: rapid.SampledFrom([]EventKind{StepSucceeded, StepSucceeded, StepErred, StepProgressed}).Draw(t, "outcome")}
		ev.Cause, ev.Partial = drawCause(t), rapid.IntRange(0, 9).Draw(t, "partial") == 0
		return ev
	case kind <= 6 && op.planning:
		if rapid.IntRange(0, 3).Draw(t, "plan fails") == 0 {
			return Event{Kind: PlanFailed, Cause: drawCause(t)}
		}
		return Event{Kind: Planned, Steps: drawSteps(t, "s")}
	case kind == 7:
		return Event{Kind: Claimed}
	case kind == 8 && len(op.Steps) > 0:
		s := op.Steps[rapid.IntRange(0, len(op.Steps)-1).Draw(t, "late")]
		return Event{Kind: StepSucceeded, Step: s.ID, Call: rapid.Int64Range(0, op.Calls+1).Draw(t, "call")}
	case kind == 9:
		return Event{Kind: Signalled, Verb: rapid.SampledFrom([]string{VerbCancel, VerbRetry, VerbRollback, VerbFail, VerbContinue, "dance"}).Draw(t, "verb"),
			Mode: rapid.SampledFrom([]string{Graceful, Forceful}).Draw(t, "mode")}
	}
	return Event{Kind: Tick}
}

// after answers every step that comes, directly or not, after id.
func after(op *Operation, id string) []*Step {
	var out []*Step
	for k := range op.Steps {
		s := &op.Steps[k]
		if slices.Contains(s.After, id) {
			out = append(append(out, s), after(op, s.ID)...)
		}
	}
	return out
}

// checkStep checks one transition.
func checkStep(t *rapid.T, was, op *Operation, commands []Command) {
	if len(op.History) > 0 && len(op.History) < keepHistory {
		for k := 1; k < len(op.History); k++ {
			if !slices.Contains(legal[op.History[k-1].State], op.History[k].State) {
				t.Fatalf("illegal transition %s to %s", op.History[k-1].State, op.History[k].State)
			}
		}
		if last := op.History[len(op.History)-1].State; last != op.State {
			t.Fatalf("state %s is not the last one entered, %s", op.State, last)
		}
	}
	for _, c := range commands {
		s := stepOf(op, c.Step)
		if c.Kind != RunStep || s == nil || s.Call != c.Call {
			continue
		}
		checkRun(t, op, s, c)
	}
	if op.State == RolledBack {
		for _, s := range op.Steps {
			if s.Undo != "" && s.State != StepUndone && s.State != StepSkipped {
				t.Fatalf("ROLLED_BACK with step %s %s", s.ID, s.State)
			}
		}
	}
	if op.State.Final() {
		for _, s := range op.Steps {
			if s.Call != 0 {
				t.Fatalf("%s with call %d of step %s out", op.State, s.Call, s.ID)
			}
		}
	}
	if was.Calls > op.Calls {
		t.Fatalf("calls went back from %d to %d", was.Calls, op.Calls)
	}
}

func checkRun(t *rapid.T, op *Operation, s *Step, c Command) {
	if !c.Undo {
		if op.State != Processing {
			t.Fatalf("step %s starts while %s", s.ID, op.State)
		}
		for _, id := range s.After {
			if p := stepOf(op, id); p != nil && p.State != StepDone && p.State != StepAbandoned && p.State != StepReplanned {
				t.Fatalf("step %s starts before %s, which is %s", s.ID, id, p.State)
			}
		}
		return
	}
	if op.State != RollingBack {
		t.Fatalf("step %s is undone while %s", s.ID, op.State)
	}
	for _, d := range after(op, s.ID) {
		if d.Undo != "" && d.State != StepUndone && d.State != StepSkipped && d.State != StepAbandoned {
			t.Fatalf("step %s is undone before %s, which is %s", s.ID, d.ID, d.State)
		}
	}
}

func TestNextHoldsItsInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		op, now := drawOperation(t), epoch
		op, commands := Next(op, Event{Kind: Claimed}, now)
		checkStep(t, &op, &op, commands)
		for range rapid.IntRange(0, 60).Draw(t, "events") {
			now = now.Add(time.Duration(rapid.IntRange(0, 4000).Draw(t, "ms")) * time.Millisecond)
			if rapid.IntRange(0, 40).Draw(t, "long") == 0 {
				now = now.Add(rapid.SampledFrom([]time.Duration{time.Minute, time.Hour, 30 * time.Hour}).Draw(t, "pause"))
			}
			ev, was := drawEvent(t, &op), op
			frozen, err := json.Marshal(op)
			if err != nil {
				t.Fatal(err)
			}
			next, out := Next(op, ev, now)
			again, outAgain := Next(op, ev, now)
			if !reflect.DeepEqual(next, again) || !reflect.DeepEqual(out, outAgain) {
				t.Fatal("the same input gave two answers")
			}
			if still, _ := json.Marshal(op); string(still) != string(frozen) {
				t.Fatal("Next changed its input")
			}
			checkStep(t, &was, &next, out)
			if was.State.Final() && next.State != was.State {
				t.Fatalf("final %s became %s", was.State, next.State)
			}
			op = next
		}
		endsByTime(t, op, now)
	})
}

// endsByTime lets nothing happen but time: no call returns, nobody speaks.
func endsByTime(t *rapid.T, op Operation, now time.Time) {
	for range 500 {
		if op.State.Final() {
			if op.FinishedAt == nil {
				t.Fatal("final without a finish time")
			}
			return
		}
		due := Due(&op)
		if due.IsZero() {
			t.Fatalf("%s has no time to wait for", op.State)
		}
		if due.After(now) {
			now = due
		} else {
			now = now.Add(time.Second)
		}
		next, out := Next(op, Event{Kind: Tick}, now)
		checkStep(t, &op, &next, out)
		op = next
	}
	t.Fatalf("still %s after 500 ticks: %+v", op.State, op.Steps)
}

// play answers every call with success, except those the script names.
func play(t *testing.T, op Operation, steps []Step, fail map[string]Cause) (Operation, []string) {
	t.Helper()
	var order []string
	now := epoch
	var pending []Command
	op, pending = Next(op, Event{Kind: Claimed}, now)
	for n := 0; !op.State.Final() && n < 1000; n++ {
		if len(pending) == 0 {
			if op.State == FailedTemp {
				return op, order
			}
			now = Due(&op)
			op, pending = Next(op, Event{Kind: Tick}, now)
			continue
		}
		c := pending[0]
		pending = pending[1:]
		ev := Event{Kind: StepSucceeded, Step: c.Step, Call: c.Call}
		name := c.Step
		switch {
		case c.Kind == MakePlan:
			ev = Event{Kind: Planned, Steps: steps}
		case c.Kind == StopStep:
			continue
		case c.Undo:
			name = "undo " + c.Step
		}
		if cause, bad := fail[name]; bad {
			ev.Kind, ev.Cause = StepErred, cause
		}
		if c.Kind == RunStep {
			order = append(order, name)
		}
		var more []Command
		op, more = Next(op, ev, now)
		pending = append(pending, more...)
	}
	return op, order
}

func chain() []Step {
	return []Step{
		{ID: "server", Action: "apply", Undo: "delete", Target: "s", Leaves: &Leftover{Target: "s", Release: "rs"}},
		{ID: "gateway", Action: "apply", Undo: "delete", Target: "g", Leaves: &Leftover{Target: "g", Release: "rg"}},
		{ID: "attach", Action: "attach", Undo: "detach", Target: "g", After: []string{"server", "gateway"}},
		{ID: "devices", Action: "provision", Target: "g", After: []string{"attach"}},
	}
}

func never() Cause {
	return Cause{Kind: "forbidden", Retry: fault.Never.String(), Detail: "wrong key"}
}

func TestAFailureUndoesInReverse(t *testing.T) {
	op := Start(Operation{ID: "op", Type: Instantiate, OnFailure: slice.Rollback}, epoch)
	op, order := play(t, op, chain(), map[string]Cause{"devices": never()})
	if op.State != RolledBack {
		t.Fatalf("%s %+v", op.State, op.Steps)
	}
	want := []string{"server", "gateway", "attach", "devices", "undo attach", "undo server", "undo gateway"}
	if !slices.Equal(order, want) {
		t.Fatalf("calls %v, want %v", order, want)
	}
	if op.RootCause == nil || op.RootCause.Step != "devices" {
		t.Fatalf("root cause %+v", op.RootCause)
	}
}

func TestCompensationGivenUpIsNotCalledRolledBack(t *testing.T) {
	op := Start(Operation{ID: "op", Type: Instantiate, OnFailure: slice.Rollback}, epoch)
	op, _ = play(t, op, chain(), map[string]Cause{"devices": never(), "undo gateway": never()})
	if op.State != Failed || op.Outcome != OutcomeOrphaned || len(op.Leftovers) != 1 || op.Leftovers[0].Release != "rg" {
		t.Fatalf("%s %s %+v", op.State, op.Outcome, op.Leftovers)
	}
}

func TestBackoffIsBounded(t *testing.T) {
	op := Start(Operation{ID: "op", Type: Instantiate, OnFailure: slice.Rollback, Limits: Limits{Attempts: 3}}, epoch)
	down := Cause{Kind: "unavailable", Retry: fault.Backoff.String(), Detail: "no route"}
	op, order := play(t, op, chain()[:1], map[string]Cause{"server": down})
	if op.State != RolledBack || !slices.Equal(order, []string{"server", "server", "server", "undo server"}) {
		t.Fatalf("%s after %v", op.State, order)
	}
}

func TestHoldWaitsForAPersonThenRollsBack(t *testing.T) {
	op := Start(Operation{ID: "op", Type: Instantiate, OnFailure: slice.Hold, Limits: Limits{Hold: time.Hour}}, epoch)
	op, _ = play(t, op, chain(), map[string]Cause{"devices": never()})
	if op.State != FailedTemp {
		t.Fatalf("%s", op.State)
	}
	over, _ := Next(op, Event{Kind: Tick}, epoch.Add(2*time.Hour))
	if over.State != RollingBack {
		t.Fatalf("after the hold it is %s", over.State)
	}
	again, out := Next(op, Event{Kind: Signalled, Verb: VerbRetry}, epoch.Add(time.Minute))
	if again.State != Processing || len(out) != 1 || out[0].Kind != MakePlan {
		t.Fatalf("retry made it %s with %v", again.State, out)
	}
	again, out = Next(again, Event{Kind: Planned, Steps: []Step{{ID: "devices", Action: "provision", Target: "g"}}}, epoch.Add(time.Minute))
	if len(out) != 1 || out[0].Step != "2/devices" || again.Steps[0].State != StepDone {
		t.Fatalf("after planning anew: %v %+v", out, again.Steps)
	}
	resumed, out := Next(op, Event{Kind: Signalled, Verb: VerbContinue}, epoch.Add(time.Minute))
	if resumed.State != Processing || len(out) != 1 || out[0].Step != "devices" {
		t.Fatalf("continue made it %s with %v", resumed.State, out)
	}
}

func TestATerminateGivesUpAnUnreachableSite(t *testing.T) {
	steps := []Step{
		{ID: "g", Action: "delete", Target: "g", GiveUp: true, Leaves: &Leftover{Target: "g", Release: "rg"}},
		{ID: "s", Action: "delete", Target: "s", GiveUp: true, After: []string{"g"}, Leaves: &Leftover{Target: "s", Release: "rs"}},
	}
	down := Cause{Kind: "unavailable", Retry: fault.Backoff.String(), Detail: "no route"}
	op, _ := play(t, Start(Operation{ID: "op", Type: Terminate}, epoch), steps, map[string]Cause{"g": down})
	if op.State != Completed || op.Outcome != OutcomeOrphaned || len(op.Leftovers) != 1 || op.Leftovers[0].Release != "rg" {
		t.Fatalf("%s %s %+v", op.State, op.Outcome, op.Leftovers)
	}
}

func TestGracefulCancelWaitsForCallsThatAreOut(t *testing.T) {
	op, _ := Next(Start(Operation{ID: "op", Type: Instantiate}, epoch), Event{Kind: Claimed}, epoch)
	op, out := Next(op, Event{Kind: Planned, Steps: chain()}, epoch)
	if len(out) != 2 {
		t.Fatalf("%v", out)
	}
	op, _ = Next(op, Event{Kind: Signalled, Verb: VerbCancel, Mode: Graceful}, epoch)
	if op.State != Processing || !op.CancelPending {
		t.Fatalf("%s", op.State)
	}
	op, _ = Next(op, Event{Kind: StepSucceeded, Step: "server", Call: out[0].Call}, epoch)
	op, out2 := Next(op, Event{Kind: StepSucceeded, Step: "gateway", Call: out[1].Call}, epoch)
	if op.State != RollingBack || len(out2) != 2 {
		t.Fatalf("%s %v", op.State, out2)
	}
	forced, _ := Next(op, Event{Kind: Signalled, Verb: VerbCancel, Mode: Forceful}, epoch)
	if forced.State != FailedTemp || forced.Outcome == "" {
		t.Fatalf("a forceful cancel of the compensation made it %s %q", forced.State, forced.Outcome)
	}
}
