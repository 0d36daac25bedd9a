package operation_test

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/store"
)

// script is an Executor of two steps whose second comes after the first; do, when
// set, carries out the calls.
type script struct {
	mu    sync.Mutex
	calls map[string]int   // by operation and step
	gens  map[string]int64 // the highest generation by operation
	do    func(ctx context.Context, c operation.Call) (operation.Outcome, error)
	site  func(op *operation.Operation) string
	done  atomic.Int64
}

func newScript() *script { return &script{calls: map[string]int{}, gens: map[string]int64{}} }

func (s *script) Plan(_ context.Context, _ operation.Tx, op *operation.Operation) ([]operation.Step, error) {
	site := "site"
	if s.site != nil {
		site = s.site(op)
	}
	return []operation.Step{
		{ID: "a", Action: "apply", Undo: "delete", Target: "a-" + op.ID, TargetName: "a", Infrastructure: site},
		{ID: "b", Action: "apply", Undo: "delete", Target: "b-" + op.ID, TargetName: "b", Infrastructure: site, After: []string{"a"}},
	}, nil
}

func (s *script) Do(ctx context.Context, c operation.Call) (operation.Outcome, error) {
	s.mu.Lock()
	key := c.Operation.ID + c.Step.ID
	if c.Undo {
		key += "-undo"
	}
	if !c.Again {
		s.calls[key]++
		if c.Generation <= s.gens[c.Operation.ID] {
			s.calls["generation went back"]++
		}
		s.gens[c.Operation.ID] = c.Generation
	}
	s.mu.Unlock()
	if s.do != nil {
		return s.do(ctx, c)
	}
	return operation.Outcome{Done: true}, nil
}

func (s *script) Record(_ context.Context, _ operation.Tx, before, op *operation.Operation) error {
	return nil
}

func (s *script) Ended(context.Context, *operation.Operation) { s.done.Add(1) }

func (s *script) count(key string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[key]
}

func openStore(t *testing.T) *store.DB {
	t.Helper()
	db, err := store.Open(context.Background(), filepath.Join(t.TempDir(), "db"), store.Options{Synchronous: "NORMAL"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func submit(t *testing.T, db *store.DB, n int, change func(*operation.Operation)) []string {
	t.Helper()
	ids := make([]string, n)
	err := db.Write(context.Background(), func(ctx context.Context, tx operation.Tx) error {
		for k := range ids {
			ids[k] = slice.NewID()
			op := operation.Operation{ID: ids[k], Tenant: fmt.Sprint("tenant-", k%3), Slice: slice.NewID(), Type: operation.Instantiate, Cause: "request"}
			op.Limits = operation.Limits{Attempts: 3, BackoffBase: 5 * time.Millisecond, BackoffMax: 20 * time.Millisecond}
			if change != nil {
				change(&op)
			}
			op = operation.Start(op, time.Now().UTC())
			if err := tx.InsertOperation(ctx, &op); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// start runs a runner; stop ends it and waits.
func start(t *testing.T, c operation.RunnerConfig) (stop func()) {
	t.Helper()
	r, err := operation.NewRunner(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = r.Run(ctx) }()
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); <-done }) }
	t.Cleanup(stop)
	return stop
}

func load(t *testing.T, db *store.DB, id string) *operation.Operation {
	t.Helper()
	var op *operation.Operation
	err := db.Read(context.Background(), func(ctx context.Context, tx operation.Tx) (err error) {
		op, err = tx.Operation(ctx, id)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return op
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !is(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func inState(t *testing.T, db *store.DB, id string, want operation.State) *operation.Operation {
	t.Helper()
	var op *operation.Operation
	eventually(t, "operation "+id+" "+string(want), func() bool { op = load(t, db, id); return op.State == want })
	return op
}

func TestTwoRunnersShareTheWork(t *testing.T) {
	db := openStore(t)
	one, two := newScript(), newScript()
	slow := func(ctx context.Context, _ operation.Call) (operation.Outcome, error) {
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
		return operation.Outcome{Done: true}, nil
	}
	one.do, two.do = slow, slow
	start(t, operation.RunnerConfig{Store: db, Executor: one, Hold: 10})
	start(t, operation.RunnerConfig{Store: db, Executor: two, Hold: 10})
	ids := submit(t, db, 120, nil)
	for _, id := range ids {
		inState(t, db, id, operation.Completed)
		for _, s := range []string{"a", "b"} {
			if n := one.count(id+s) + two.count(id+s); n != 1 {
				t.Fatalf("step %s of %s was carried out %d times", s, id, n)
			}
		}
	}
	eventually(t, "both runners to have done some", func() bool { return one.done.Load() > 0 && two.done.Load() > 0 })
}

// frozen is a store whose heartbeats do not come through: a paused replica's.
// It has claimed once and does not come to claiming again.
type frozen struct {
	operation.Store
	claimed *atomic.Bool
}

func (f frozen) Claim(ctx context.Context, owner string, schema, limit int, lease time.Duration) ([]operation.Operation, error) {
	if f.claimed.Load() {
		return nil, nil
	}
	ops, err := f.Store.Claim(ctx, owner, schema, limit, lease)
	f.claimed.Store(len(ops) > 0)
	return ops, err
}

func (frozen) Renew(context.Context, string, []string, time.Duration) ([]string, error) {
	return nil, fault.New(fault.Unavailable, "paused")
}

func (f frozen) Signals(context.Context, string, []string) ([]operation.Signal, error) {
	return nil, nil
}

func TestASuccessorTakesOverAndLateWritesAreRefused(t *testing.T) {
	db := openStore(t)
	id := submit(t, db, 1, nil)[0]
	paused, next := newScript(), newScript()
	release, held := make(chan struct{}), make(chan struct{})
	var once sync.Once
	paused.do = func(context.Context, operation.Call) (operation.Outcome, error) {
		once.Do(func() { close(held) })
		<-release // deaf to its context, as a paused process is
		return operation.Outcome{Done: true}, nil
	}
	open := sync.OnceFunc(func() { close(release) })
	t.Cleanup(open)
	const lease = 300 * time.Millisecond
	var tries atomic.Int64
	stop := start(t, operation.RunnerConfig{Store: saves{frozen{db, new(atomic.Bool)}, &tries}, Executor: paused, Lease: lease, Drain: time.Millisecond})
	<-held
	start(t, operation.RunnerConfig{Store: db, Executor: next, Lease: lease})
	op := inState(t, db, id, operation.Completed)
	before := tries.Load()
	open()
	stop()
	if got := load(t, db, id); got.Revision != op.Revision {
		t.Fatalf("a late write came through: revision %d after %d", got.Revision, op.Revision)
	}
	paused.mu.Lock()
	next.mu.Lock()
	defer paused.mu.Unlock()
	defer next.mu.Unlock()
	if paused.gens[id] == 0 || next.gens[id] <= paused.gens[id] {
		t.Fatalf("generations: paused %d, successor %d (saves tried %d)", paused.gens[id], next.gens[id], before)
	}
}

// saves counts.
type saves struct {
	operation.Store
	n *atomic.Int64
}

func (s saves) Save(ctx context.Context, op *operation.Operation, fn func(context.Context, operation.Tx) error) error {
	s.n.Add(1)
	return s.Store.Save(ctx, op, fn)
}

func TestALateSaveIsRefusedByItsFence(t *testing.T) {
	db, ctx := openStore(t), context.Background()
	submit(t, db, 1, nil)
	first, err := db.Claim(ctx, "one", operation.SchemaVersion, 1, time.Millisecond)
	if err != nil || len(first) != 1 {
		t.Fatal(first, err)
	}
	var second []operation.Operation
	eventually(t, "the lease to end", func() bool {
		second, err = db.Claim(ctx, "two", operation.SchemaVersion, 1, time.Minute)
		return err == nil && len(second) == 1
	})
	if second[0].Fence <= first[0].Fence {
		t.Fatalf("fences %d, %d", first[0].Fence, second[0].Fence)
	}
	if err := db.Save(ctx, &first[0], nil); !fault.Is(err, fault.Conflict) || fault.Of(err).Retry != fault.Never {
		t.Fatalf("a fenced save answered %v", err)
	}
	if err := db.Save(ctx, &second[0], nil); err != nil {
		t.Fatal(err)
	}
}

func TestADeadSiteHoldsUpNobody(t *testing.T) {
	db := openStore(t)
	s := newScript()
	s.site = func(op *operation.Operation) string { return op.Tenant }
	s.do = func(ctx context.Context, c operation.Call) (operation.Outcome, error) {
		if c.Step.Infrastructure == "dead" {
			<-ctx.Done()
			return operation.Outcome{}, ctx.Err()
		}
		return operation.Outcome{Done: true}, nil
	}
	dead := submit(t, db, 300, func(op *operation.Operation) { op.Tenant = "dead" })
	start(t, operation.RunnerConfig{Store: db, Executor: s, Workers: 2, CallTimeout: time.Hour, Drain: time.Millisecond})
	eventually(t, "the dead site's slots to fill", func() bool { return s.count(dead[0]+"a") == 1 })
	for _, id := range submit(t, db, 200, func(op *operation.Operation) { op.Tenant = "well" }) {
		inState(t, db, id, operation.Completed)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := 0
	for _, id := range dead {
		out += s.calls[id+"a"]
	}
	if out != 8 {
		t.Fatalf("%d calls went to the dead site side by side, its limit is 8", out)
	}
}

func TestWaitingStepsHoldNoGoroutines(t *testing.T) {
	db := openStore(t)
	s := newScript()
	var ready atomic.Bool
	s.do = func(context.Context, operation.Call) (operation.Outcome, error) {
		return operation.Outcome{Done: ready.Load(), Progress: "starting", After: 500 * time.Millisecond}, nil
	}
	const n = 300
	ids := submit(t, db, n, nil)
	base := runtime.NumGoroutine()
	start(t, operation.RunnerConfig{Store: db, Executor: s})
	eventually(t, "all to wait", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.calls) >= n
	})
	if g := runtime.NumGoroutine() - base; g > 100 {
		t.Fatalf("%d goroutines for %d waiting steps", g, n)
	}
	ready.Store(true)
	for _, id := range ids {
		inState(t, db, id, operation.Completed)
	}
}

func TestWaitingForATurnIsNoTimeout(t *testing.T) {
	db := openStore(t)
	s := newScript()
	s.do = func(ctx context.Context, _ operation.Call) (operation.Outcome, error) {
		select {
		case <-ctx.Done():
			return operation.Outcome{}, ctx.Err()
		case <-time.After(40 * time.Millisecond):
			return operation.Outcome{Done: true}, nil
		}
	}
	// Twenty calls, one at a time, take three times as long as one attempt may.
	ids := submit(t, db, 10, func(op *operation.Operation) { op.Limits.StepTimeout = 250 * time.Millisecond })
	start(t, operation.RunnerConfig{Store: db, Executor: s, SiteLimit: func(string) int { return 1 }})
	for _, id := range ids {
		inState(t, db, id, operation.Completed)
		if s.count(id+"a") != 1 || s.count(id+"b") != 1 {
			t.Errorf("a was carried out %d times, b %d", s.count(id+"a"), s.count(id+"b"))
		}
	}
}

func TestDrainSavesOutcomesAndGivesLeasesBack(t *testing.T) {
	db := openStore(t)
	s := newScript()
	out, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s.do = func(ctx context.Context, c operation.Call) (operation.Outcome, error) {
		once.Do(func() { close(out) })
		select {
		case <-release:
			return operation.Outcome{Done: true}, nil
		case <-ctx.Done():
			return operation.Outcome{}, ctx.Err()
		}
	}
	id := submit(t, db, 1, nil)[0]
	stop := start(t, operation.RunnerConfig{Store: db, Executor: s, Lease: time.Hour, Drain: 20 * time.Second})
	<-out
	stopped := make(chan struct{})
	go func() { defer close(stopped); stop() }()
	time.AfterFunc(20*time.Millisecond, func() { close(release) })
	<-stopped
	op := load(t, db, id)
	if op.Steps[0].State != operation.StepDone {
		t.Fatalf("the outcome was not saved: %+v", op.Steps[0])
	}
	next := newScript() // the lease was an hour: given back, or this waits in vain
	start(t, operation.RunnerConfig{Store: db, Executor: next})
	inState(t, db, id, operation.Completed)
	if next.count(id+"a") != 0 {
		t.Fatal("a step that was done was done again")
	}
}

func TestCancelStopsACallAndRollsBack(t *testing.T) {
	db := openStore(t)
	s := newScript()
	s.do = func(ctx context.Context, c operation.Call) (operation.Outcome, error) {
		if c.Step.ID == "b" && !c.Undo {
			<-ctx.Done()
			return operation.Outcome{}, ctx.Err()
		}
		return operation.Outcome{Done: true}, nil
	}
	id := submit(t, db, 1, nil)[0]
	start(t, operation.RunnerConfig{Store: db, Executor: s, CallTimeout: time.Hour})
	eventually(t, "step b to be out", func() bool { return s.count(id+"b") == 1 })
	err := db.Write(context.Background(), func(ctx context.Context, tx operation.Tx) error {
		return tx.AddSignal(ctx, operation.Signal{Operation: id, Verb: operation.VerbCancel, Mode: operation.Forceful})
	})
	if err != nil {
		t.Fatal(err)
	}
	op := inState(t, db, id, operation.RolledBack)
	if op.Outcome != operation.OutcomeCancelled || s.count(id+"a-undo") != 1 || s.count(id+"b-undo") != 1 || s.count("generation went back") != 0 {
		t.Fatalf("%s, undone a %d times, b %d times", op.Outcome, s.count(id+"a-undo"), s.count(id+"b-undo"))
	}
}

func TestAHeldOperationIsGivenBackAndWokenByAWord(t *testing.T) {
	db := openStore(t)
	s := newScript()
	var broken atomic.Bool
	broken.Store(true)
	s.do = func(_ context.Context, c operation.Call) (operation.Outcome, error) {
		if c.Step.ID == "b" && broken.Load() {
			return operation.Outcome{}, fault.New(fault.Forbidden, "wrong key")
		}
		return operation.Outcome{Done: true}, nil
	}
	id := submit(t, db, 1, func(op *operation.Operation) { op.OnFailure = slice.Hold })[0]
	held := make(chan int, 1000)
	start(t, operation.RunnerConfig{Store: db, Executor: s, Metrics: holding(held)})
	inState(t, db, id, operation.FailedTemp)
	eventually(t, "the operation to be given back", func() bool {
		select {
		case n := <-held:
			return n == 0
		default:
			return false
		}
	})
	broken.Store(false)
	err := db.Write(context.Background(), func(ctx context.Context, tx operation.Tx) error {
		return tx.AddSignal(ctx, operation.Signal{Operation: id, Verb: operation.VerbContinue})
	})
	if err != nil {
		t.Fatal(err)
	}
	inState(t, db, id, operation.Completed)
	if s.count(id+"a") != 1 || s.count(id+"b") != 2 {
		t.Fatalf("a was carried out %d times, b %d", s.count(id+"a"), s.count(id+"b"))
	}
}

type holding chan int

func (h holding) Called(string, string, string, time.Duration) {}
func (h holding) Saved(time.Duration, error)                   {}
func (h holding) Ended(*operation.Operation)                   {}
func (h holding) Holding(n int) {
	select {
	case h <- n:
	default:
	}
}
