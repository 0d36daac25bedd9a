package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/store"
)

func insertOperation(t testing.TB, db *store.DB, op *operation.Operation) {
	t.Helper()
	in(t, db, func(ctx context.Context, tx operation.Tx) error { return tx.InsertOperation(ctx, op) })
}

func claim(t testing.TB, db *store.DB, owner string) []operation.Operation {
	t.Helper()
	ops, err := db.Claim(t.Context(), owner, operation.SchemaVersion, 100, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return ops
}

// Of many who order at once on one slice, one gets an open operation; the others
// are told which.
func oneOpenOperation(t *testing.T, h Harness) {
	db, second := h.Fresh(t)
	for range 5 {
		id := slice.NewID()
		var won atomic.Int64
		var first atomic.Value
		var refused [12]error
		side(len(refused), func(i int) {
			op := newOperation(id)
			refused[i] = [...]*store.DB{db, second}[i%2].Update(t.Context(), func(ctx context.Context, tx operation.Tx) error { return tx.InsertOperation(ctx, op) })
			if refused[i] == nil {
				won.Add(1)
				first.Store(op.ID)
			}
		})
		if won.Load() != 1 {
			t.Fatalf("%d open operations on one slice", won.Load())
		}
		for _, err := range refused {
			if err == nil {
				continue
			}
			want(t, err, fault.Conflict)
			if f := fault.Of(err); !strings.HasSuffix(f.Instance, first.Load().(string)) {
				t.Fatalf("the conflict names %q, want %v", f.Instance, first.Load())
			}
		}
		see(t, db, func(ctx context.Context, tx operation.Tx) error {
			op, err := tx.OpenOperation(ctx, id)
			if err != nil || op == nil || op.ID != first.Load() {
				t.Fatalf("open: %+v, %v", op, err)
			}
			return nil
		})
	}
	until(t, "5 open operations are counted", func() bool {
		n, err := h.openCount(second, t)
		return err == nil && n == 5
	})
}

// No operation is ever leased to two, and every one is leased to somebody.
func claimsAreExclusive(t *testing.T, h Harness) {
	db, second := h.Fresh(t)
	const n = 60
	in(t, db, func(ctx context.Context, tx operation.Tx) error {
		for range n {
			if err := tx.InsertOperation(ctx, newOperation(slice.NewID())); err != nil {
				return err
			}
		}
		newer := newOperation(slice.NewID())
		newer.Schema = operation.SchemaVersion + 1
		return tx.InsertOperation(ctx, newer)
	})
	var mu sync.Mutex
	owners, fences := map[string]int{}, map[int64]bool{}
	side(8, func(i int) {
		db := [...]*store.DB{db, second}[i%2]
		for empty := 0; empty < 5; {
			ops, err := db.Claim(t.Context(), "runner"+string(rune('a'+i)), operation.SchemaVersion, 3, time.Minute)
			if err != nil {
				t.Error(err)
				return
			}
			if len(ops) == 0 {
				empty++
			}
			mu.Lock()
			for _, op := range ops {
				owners[op.ID]++
				if fences[op.Fence] || op.Fence < 1 {
					t.Errorf("fence %d was given twice", op.Fence)
				}
				fences[op.Fence] = true
			}
			mu.Unlock()
		}
	})
	if len(owners) != n {
		t.Fatalf("%d of %d operations were claimed", len(owners), n)
	}
	for id, times := range owners {
		if times != 1 {
			t.Fatalf("%s was claimed %d times", id, times)
		}
	}
}

// A lease that is over goes to another, who gets a higher fence; what the first
// still writes is refused, effects included.
func fences(t *testing.T, h Harness) {
	db, second := h.Fresh(t)
	op := newOperation(slice.NewID())
	insertOperation(t, db, op)
	mine := claim(t, db, "one")
	if len(mine) != 1 || mine[0].Fence < 1 {
		t.Fatalf("claimed %+v", mine)
	}
	old := mine[0]
	old.State = operation.Processing
	if err := db.Save(t.Context(), &old, nil); err != nil || old.Revision != 2 {
		t.Fatalf("save under the lease: revision %d, %v", old.Revision, err)
	}
	for _, lease := range []time.Duration{time.Minute, time.Millisecond} {
		if got := claim(t, second, "two"); len(got) != 0 {
			t.Fatalf("claimed under another's lease: %+v", got)
		}
		if ids, err := db.Renew(t.Context(), "one", []string{op.ID, "no such"}, lease); err != nil || !slices.Equal(ids, []string{op.ID}) {
			t.Fatalf("renewed %v, %v", ids, err)
		}
	}
	var next []operation.Operation
	until(t, "the lease is over", func() bool { next = claim(t, second, "two"); return len(next) == 1 })
	if next[0].Fence <= old.Fence || next[0].State != operation.Processing {
		t.Fatalf("fence %d after %d, state %s", next[0].Fence, old.Fence, next[0].State)
	}
	ghost := newSlice("t")
	old.Outcome = "late"
	err := db.Save(t.Context(), &old, func(ctx context.Context, tx operation.Tx) error { return tx.Insert(ctx, ghost) })
	want(t, err, fault.Conflict)
	if fault.Of(err).Retry != fault.Never || old.Revision != 2 || ghost.ID != "" {
		t.Fatalf("late save: retry %s, revision %d, effects %q", fault.Of(err).Retry, old.Revision, ghost.ID)
	}
	if n := count(t, db, operation.Query{Kind: slice.KindIoTSlice}); n != 0 {
		t.Fatal("the effects of a refused save are there")
	}
	if ids, err := db.Renew(t.Context(), "one", []string{op.ID}, time.Minute); err != nil || len(ids) != 0 {
		t.Fatalf("the first still renews %v, %v", ids, err)
	}
	if err := db.Release(t.Context(), "one", op.ID, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if got := claim(t, db, "three"); len(got) != 0 {
		t.Fatal("the first could release the second's lease")
	}
	// Effects may change the operation; their error undoes all.
	cur := next[0]
	boom := fault.New(fault.Conflict, "decide again").Retrying(fault.Now)
	err = second.Save(t.Context(), &cur, func(ctx context.Context, tx operation.Tx) error { return errors.Join(tx.Insert(ctx, ghost), boom) })
	if fault.Of(err).Retry != fault.Now || cur.Revision != 2 {
		t.Fatalf("%v, revision %d", err, cur.Revision)
	}
	err = second.Save(t.Context(), &cur, func(ctx context.Context, tx operation.Tx) error {
		cur.Outcome = "by effects"
		return tx.Insert(ctx, ghost)
	})
	if err != nil {
		t.Fatal(err)
	}
	see(t, db, func(ctx context.Context, tx operation.Tx) error {
		got, err := tx.Operation(ctx, op.ID)
		if err != nil || got.Outcome != "by effects" || got.Revision != 3 || got.Fence != cur.Fence {
			t.Fatalf("%+v, %v", got, err)
		}
		return nil
	})
	cur.State = operation.Completed
	now := time.Now()
	cur.FinishedAt = &now
	if err := second.Save(t.Context(), &cur, nil); err != nil {
		t.Fatal(err)
	}
	want(t, second.Save(t.Context(), &cur, nil), fault.Conflict) // it is over
	insertOperation(t, db, newOperation(op.Slice))               // and the slice is free
}

// A save with a Wake, and a release, end the lease until then; a signal comes
// first.
func wakes(t *testing.T, h Harness) {
	db, second := h.Fresh(t)
	op := newOperation(slice.NewID())
	insertOperation(t, db, op)
	cur := claim(t, db, "one")[0]
	cur.Wake = time.Now().Add(time.Hour)
	if err := db.Save(t.Context(), &cur, nil); err != nil {
		t.Fatal(err)
	}
	if got := claim(t, second, "two"); len(got) != 0 {
		t.Fatal("claimed before its time")
	}
	say := func(db *store.DB) {
		in(t, db, func(ctx context.Context, tx operation.Tx) error {
			return tx.AddSignal(ctx, operation.Signal{Operation: op.ID, Verb: "retry"})
		})
	}
	say(second)
	next := claim(t, second, "two")
	if len(next) != 1 {
		t.Fatal("a signal does not make it due")
	}
	cur = next[0]
	// A signal that comes while it is leased also comes before the next wake.
	say(db)
	cur.Wake = time.Now().Add(time.Hour)
	if err := second.Save(t.Context(), &cur, nil); err != nil {
		t.Fatal(err)
	}
	next = claim(t, db, "three")
	if len(next) != 1 {
		t.Fatal("a signal said during the lease is put off")
	}
	cur = next[0]
	sigs, err := db.Signals(t.Context(), "three", nil)
	if err != nil || len(sigs) != 2 {
		t.Fatalf("%v, %v", sigs, err)
	}
	cur.SignalsSeen = sigs[1].Position
	cur.Wake = time.Now().Add(time.Hour)
	if err := db.Save(t.Context(), &cur, nil); err != nil {
		t.Fatal(err)
	}
	if got := claim(t, db, "four"); len(got) != 0 {
		t.Fatal("claimed before its time although no signal is left")
	}
	cur.Wake = time.Now().Add(20 * time.Millisecond) // nobody has claimed it: the fence holds
	if err := db.Save(t.Context(), &cur, nil); err != nil {
		t.Fatal(err)
	}
	until(t, "its time comes", func() bool { return len(claim(t, second, "four")) == 1 })
	if err := second.Release(t.Context(), "four", op.ID, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := claim(t, db, "five"); len(got) != 0 {
		t.Fatal("claimed before the time of its release")
	}
}

// A person's word stays until a save has acted on it.
func signals(t *testing.T, h Harness) {
	db, second := h.Fresh(t)
	a, b := newOperation(slice.NewID()), newOperation(slice.NewID())
	insertOperation(t, db, a)
	insertOperation(t, db, b)
	cur := claim(t, db, "one")
	if len(cur) != 2 {
		t.Fatalf("claimed %d", len(cur))
	}
	ctx := operator(t.Context())
	for _, s := range []operation.Signal{{Operation: a.ID, Verb: "cancel", Mode: "GRACEFUL"}, {Operation: b.ID, Verb: "retry"}, {Operation: a.ID, Verb: "fail"}} {
		if err := second.Update(ctx, func(ctx context.Context, tx operation.Tx) error { return tx.AddSignal(ctx, s) }); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // reading takes none
		got, err := db.Signals(t.Context(), "one", nil)
		if err != nil || len(got) != 3 || got[0].Verb != "cancel" || got[0].Mode != "GRACEFUL" || got[0].Actor != "key-1" || got[2].Position <= got[0].Position {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	if got, err := db.Signals(t.Context(), "two", nil); err != nil || len(got) != 0 {
		t.Fatalf("another hears %v, %v", got, err)
	}
	if got, err := db.Signals(t.Context(), "one", []string{b.ID}); err != nil || len(got) != 1 || got[0].Verb != "retry" {
		t.Fatalf("%v, %v", got, err)
	}
	if got, err := db.Signals(t.Context(), "one", []string{}); err != nil || len(got) != 0 {
		t.Fatalf("of none: %v, %v", got, err)
	}
	one := cur[slices.IndexFunc(cur, func(o operation.Operation) bool { return o.ID == a.ID })]
	all, _ := db.Signals(t.Context(), "one", []string{a.ID})
	one.SignalsSeen = all[0].Position
	if err := db.Save(t.Context(), &one, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := db.Signals(t.Context(), "one", []string{a.ID}); err != nil || len(got) != 1 || got[0].Verb != "fail" {
		t.Fatalf("after the save: %v, %v", got, err)
	}
	one.State = operation.Failed
	if err := db.Save(t.Context(), &one, nil); err != nil {
		t.Fatal(err)
	}
	want(t, db.Update(ctx, func(ctx context.Context, tx operation.Tx) error {
		return tx.AddSignal(ctx, operation.Signal{Operation: a.ID, Verb: "retry"})
	}), fault.Conflict)
	want(t, db.Update(ctx, func(ctx context.Context, tx operation.Tx) error {
		return tx.AddSignal(ctx, operation.Signal{Operation: "nothing", Verb: "retry"})
	}), fault.NotFound)
}

// Whoever supersedes an operation takes its fence away, in one transaction with
// the new one.
func endOperation(t *testing.T, h Harness) {
	db, second := h.Fresh(t)
	op := newOperation(slice.NewID())
	insertOperation(t, db, op)
	runs := claim(t, db, "one")[0]
	next := newOperation(op.Slice)
	in(t, second, func(ctx context.Context, tx operation.Tx) error {
		old, err := tx.OpenOperation(ctx, op.Slice)
		if err != nil {
			return err
		}
		want(t, tx.EndOperation(ctx, old), fault.Internal) // not final
		old.State, old.Outcome = operation.Failed, operation.OutcomeSuperseded
		now := time.Now()
		old.FinishedAt = &now
		if err := tx.EndOperation(ctx, old); err != nil {
			return err
		}
		next.Supersedes = old.ID
		return tx.InsertOperation(ctx, next)
	})
	want(t, db.Save(t.Context(), &runs, nil), fault.Conflict)
	got := claim(t, db, "one")
	if len(got) != 1 || got[0].ID != next.ID || got[0].Fence <= runs.Fence+1 {
		t.Fatalf("claimed %+v, want the successor with a fence above %d", got, runs.Fence+1)
	}
	stale := runs
	stale.State = operation.Failed
	want(t, db.Update(t.Context(), func(ctx context.Context, tx operation.Tx) error { return tx.EndOperation(ctx, &stale) }), fault.PreconditionFailed)
}

func operationLists(t *testing.T, h Harness) {
	db, _ := h.Fresh(t)
	var ids []string
	sliceID := slice.NewID()
	for i := range 9 {
		op := newOperation(sliceID)
		op.State = operation.Completed
		if i%3 == 0 {
			op.Type, op.State = operation.Terminate, operation.Failed
		}
		insertOperation(t, db, op)
		ids = append(ids, op.ID)
	}
	foreign := newOperation(slice.NewID())
	foreign.Tenant = "other"
	insertOperation(t, db, foreign)
	list := func(q operation.Query) (out []string) {
		t.Helper()
		see(t, db, func(ctx context.Context, tx operation.Tx) error {
			out = nil
			l, err := tx.Operations(ctx, q)
			for _, op := range l {
				out = append(out, op.ID)
			}
			return err
		})
		return out
	}
	eq := func(attr, v string) []operation.Condition {
		return []operation.Condition{{Op: "eq", Attr: attr, Values: []string{v}}}
	}
	failed := []string{ids[0], ids[3], ids[6]}
	for name, c := range map[string]struct {
		q    operation.Query
		want []string
	}{
		"all":    {operation.Query{}, append(slices.Clone(ids), foreign.ID)},
		"slice":  {operation.Query{Parent: sliceID}, ids},
		"tenant": {operation.Query{Tenants: []string{"t", "nobody"}}, ids},
		"state":  {operation.Query{Tenants: []string{"t"}, Filter: eq("operationState", "FAILED")}, failed},
		"type":   {operation.Query{Filter: eq("lcmOperationType", "TERMINATE")}, failed},
		"page":   {operation.Query{Limit: 4, After: store.Marker(slice.KindOperation, ids[1])}, ids[2:6]},
		"next":   {operation.Query{Limit: 4, After: store.Marker("", ids[1])}, ids[2:6]},
	} {
		if got := list(c.q); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	err := db.View(t.Context(), func(ctx context.Context, tx operation.Tx) error {
		_, err := tx.Operations(ctx, operation.Query{Filter: eq("steps", "x")})
		return err
	})
	want(t, err, fault.Malformed)

	in(t, db, func(ctx context.Context, tx operation.Tx) error {
		if err := tx.PutDecision(ctx, ids[0], sliceID, json.RawMessage(`{"a":1}`)); err != nil {
			return err
		}
		return tx.PutDecision(ctx, ids[0], sliceID, json.RawMessage(`{"a":2}`))
	})
	see(t, db, func(ctx context.Context, tx operation.Tx) error {
		if d, err := tx.Decision(ctx, ids[0]); err != nil || string(d) != `{"a":2}` {
			t.Fatalf("%s, %v", d, err)
		}
		_, err := tx.Decision(ctx, ids[1])
		want(t, err, fault.NotFound)
		return nil
	})
}

// Who waits is woken by a commit, of another replica too.
func waitIsShort(t *testing.T, h Harness) {
	db, second := h.Fresh(t)
	for _, from := range []*store.DB{db, second} {
		woken := make(chan time.Duration)
		stop := make(chan struct{})
		go func() {
			start := time.Now()
			second.Wait(t.Context(), time.Minute)
			woken <- time.Since(start)
		}()
		go func() { // commits until it is noticed: Wait may begin late
			for {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
					insertOperation(t, from, newOperation(slice.NewID()))
				}
			}
		}()
		if d := <-woken; d > 20*time.Second {
			t.Fatalf("woken after %s", d)
		}
		close(stop)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	db.Wait(ctx, time.Minute) // ends with its context
}
