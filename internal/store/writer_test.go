package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/store/pgtest"

	"pgregory.net/rapid"
)

func device(name string) *slice.Device {
	return &slice.Device{Meta: slice.Meta{Tenant: "t", Name: name}, Slice: "s", Gateway: "g", Protocol: "MQTT", State: slice.Active}
}

// Transactions that succeed, fail, panic, end their goroutine, come with a dead
// context or do nothing share commits; each gets its own outcome, events keep
// their positions, and the count of open operations stays right.
func TestGroupCommit(t *testing.T) {
	dir := t.TempDir()
	var stores atomic.Int64
	rapid.Check(t, func(rt *rapid.T) {
		db, err := Open(context.Background(), filepath.Join(dir, fmt.Sprint(stores.Add(1))), Options{Synchronous: "NORMAL", MaxBatch: rapid.IntRange(1, 5).Draw(rt, "batch")})
		if err != nil {
			rt.Fatal(err)
		}
		defer db.Close()
		deeds := rapid.SliceOfN(rapid.IntRange(0, 6), 1, 24).Draw(rt, "deeds")
		var good, ops atomic.Int64
		var wg sync.WaitGroup
		for i, deed := range deeds {
			wg.Go(func() {
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				defer func() { _ = recover() }()
				if deed == 5 {
					cancel()
				}
				err := db.Update(ctx, func(ctx context.Context, tx operation.Tx) error {
					if deed == 6 {
						return nil
					}
					if err := tx.Insert(ctx, device(fmt.Sprint("d", i))); err != nil {
						return err
					}
					if err := tx.InsertOperation(ctx, &operation.Operation{Slice: fmt.Sprint(i), State: operation.Starting}); err != nil {
						return err
					}
					switch deed {
					case 2:
						return errors.New("no")
					case 3:
						panic("no")
					case 4:
						runtime.Goexit()
					}
					return nil
				})
				if deed <= 1 {
					if err != nil {
						t.Error(err)
					}
					good.Add(1)
					ops.Add(1)
				} else if err == nil && deed != 6 {
					t.Errorf("deed %d was committed", deed)
				}
			})
		}
		wg.Wait()
		events, err := db.Events(context.Background(), 0, 1000)
		if err != nil || int64(len(events)) != 2*good.Load() {
			rt.Fatalf("%d events of %d commits, %v", len(events), good.Load(), err)
		}
		for i, e := range events {
			if e.Position != int64(i)+1 {
				rt.Fatalf("event %d has position %d", i, e.Position)
			}
		}
		var open, counted int
		err = db.update(context.Background(), func(ctx context.Context, t *Tx) error {
			open, err = t.Open(ctx)
			_, err2 := t.row(ctx, "SELECT count(*) FROM operations WHERE open = 1", nil, &counted)
			return errors.Join(err, err2)
		})
		if err != nil || open != counted || int64(open) != ops.Load() {
			rt.Fatalf("%d open by tally, %d by count, %d inserted, %v", open, counted, ops.Load(), err)
		}
	})
}

// Whoever leaves the queue because his context ends does not take the turn with
// him.
func TestLeavingTheQueue(t *testing.T) {
	db := openTest(t, filepath.Join(t.TempDir(), "q.db"))
	inside, leave := make(chan struct{}), make(chan struct{})
	first := make(chan error)
	go func() {
		first <- db.Update(context.Background(), func(ctx context.Context, tx operation.Tx) error {
			close(inside)
			<-leave
			return tx.Insert(ctx, device("first"))
		})
	}()
	<-inside
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	err := db.Update(ctx, func(context.Context, operation.Tx) error { t.Error("it ran"); return nil })
	if !fault.Is(err, fault.Timeout) {
		t.Fatalf("%v", err)
	}
	close(leave)
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	if err := db.Update(t.Context(), func(ctx context.Context, tx operation.Tx) error { return tx.Insert(ctx, device("next")) }); err != nil {
		t.Fatal(err)
	}
	// Closing waits for who is inside, and then refuses.
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Update(t.Context(), func(context.Context, operation.Tx) error { return nil }); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("after Close: %v", err)
	}
}

// Waiting transactions share one commit.
func TestCommitsAreShared(t *testing.T) {
	var commits atomic.Int64
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "s.db"), Options{Record: func(text string, _ []any) {
		if text == "COMMIT" {
			commits.Add(1)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	before := commits.Load()
	inside, leave := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			err := db.Update(t.Context(), func(ctx context.Context, tx operation.Tx) error {
				if i == 0 {
					close(inside)
					<-leave
				}
				return tx.Insert(ctx, device(fmt.Sprint(i)))
			})
			if err != nil {
				t.Error(err)
			}
		})
		if i == 0 {
			<-inside
		}
	}
	for waiting := 0; waiting < 49; time.Sleep(time.Millisecond) {
		db.writer.mu.Lock()
		waiting = len(db.writer.queue)
		db.writer.mu.Unlock()
	}
	close(leave)
	wg.Wait()
	if n := commits.Load() - before; n != 1 {
		t.Fatalf("50 waiting transactions took %d commits, want 1", n)
	}
}

// TestOnBoth runs what looks inside a store on both databases.
func TestOnBoth(t *testing.T) {
	server := pgtest.Start(t)
	for name, check := range map[string]func(t *testing.T, name, dsn string){
		"AuditIsAppendOnly": auditIsAppendOnly, "PreparingNeedsNoTurn": preparingNeedsNoTurn,
	} {
		t.Run(name+"/sqlite", func(t *testing.T) { check(t, "sqlite", filepath.Join(t.TempDir(), "a.db")) })
		t.Run(name+"/postgres", func(t *testing.T) { check(t, "postgres", server.DSN(t)) })
	}
	t.Run("ReplicasMigrateTogether", func(t *testing.T) { replicasMigrateTogether(t, server.DSN(t)) })
}

// The trail can only be added to, also by who speaks SQL to the database.
func auditIsAppendOnly(t *testing.T, name, dsn string) {

	db := openTest(t, dsn)
	err := db.Update(t.Context(), func(ctx context.Context, tx operation.Tx) error { return tx.Insert(ctx, device("d")) })
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{"UPDATE audit SET actor = 'somebody else'", "DELETE FROM audit"}
	if name == "postgres" {
		texts = append(texts, "TRUNCATE audit")
	}
	for _, text := range texts {
		err := db.update(t.Context(), func(ctx context.Context, t *Tx) error { _, err := t.exec(ctx, text); return err })
		if err == nil || !strings.Contains(err.Error(), "audit records are") {
			t.Errorf("%s: %v", text, err)
		}
	}
	audits, err := db.Audits(t.Context(), operation.Query{})
	if err != nil || len(audits) != 1 || audits[0].Actor != slice.System {
		t.Fatalf("%+v, %v", audits, err)
	}
}

// The clock goes on when the wall clock jumps back, and follows when it jumps
// forward.
func TestClockNeverGoesBack(t *testing.T) {
	start := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	var wall, steady time.Duration // since start
	c := clock{wall: func() time.Time { return start.Add(wall) }, steady: func() time.Duration { return steady }}
	for _, step := range []struct {
		name                  string
		passes, jumps, showed time.Duration
	}{
		{"start", 0, 0, 0},
		{"a second", time.Second, 0, time.Second},
		{"two seconds, and an hour back", 2 * time.Second, -time.Hour, 3 * time.Second},
		{"a minute", time.Minute, 0, 63 * time.Second},
		{"set right", time.Second, time.Hour, 64 * time.Second},
		{"a day forward", 0, 24 * time.Hour, 24*time.Hour + 64*time.Second},
		{"a second", time.Second, 0, 24*time.Hour + 65*time.Second},
	} {
		steady += step.passes
		wall += step.passes + step.jumps
		if got := c.now().Sub(start); got != step.showed {
			t.Errorf("%s: %s, want %s", step.name, got, step.showed)
		}
	}
}

func TestBell(t *testing.T) {
	var b bell
	b.ring() // nobody waits: kept for the next
	start := time.Now()
	b.wait(t.Context(), time.Minute)
	woken := make(chan struct{}, 8)
	b.last = time.Time{}
	for range 8 {
		go func() { b.wait(context.Background(), time.Minute); woken <- struct{}{} }()
	}
	for n := 0; n < 8; time.Sleep(time.Millisecond) {
		b.mu.Lock()
		n = b.waiting
		b.mu.Unlock()
	}
	b.ring()
	for range 8 {
		<-woken
	}
	b.last = time.Time{}
	b.wait(t.Context(), time.Millisecond) // nothing rings: polling
	if b.waiting != 0 || time.Since(start) > 30*time.Second {
		t.Fatalf("%d wait, %s", b.waiting, time.Since(start))
	}
}

// A schema of a newer release is refused, by name.
func TestNewerSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "n.db")
	db := openTest(t, path)
	err := db.update(t.Context(), func(ctx context.Context, t *Tx) error {
		_, err := t.exec(ctx, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path, Options{}); err == nil || !strings.Contains(err.Error(), "newer release") {
		t.Fatalf("%v", err)
	}
	if _, err := OpenReadOnly(t.Context(), path, Options{}); err == nil || !strings.Contains(err.Error(), "schema 99") {
		t.Fatalf("%v", err)
	}
}

// Replicas that start together on an empty database agree on its schema.
func replicasMigrateTogether(t *testing.T, dsn string) {
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			db, err := Open(t.Context(), dsn, Options{})
			if err != nil {
				t.Error(err)
				return
			}
			defer db.Close()
			if err := db.Update(t.Context(), func(ctx context.Context, tx operation.Tx) error { return tx.Insert(ctx, device(fmt.Sprint(i))) }); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestRecord(t *testing.T) {
	var mu sync.Mutex
	var said []string
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "r.db"), Options{Record: func(text string, args []any) {
		mu.Lock()
		defer mu.Unlock()
		if strings.HasPrefix(text, "INSERT INTO resources") && len(args) != resourceColumns {
			t.Errorf("%d arguments", len(args))
		}
		said = append(said, strings.Fields(text)[0])
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Update(t.Context(), func(ctx context.Context, tx operation.Tx) error { return tx.Insert(ctx, device("d")) }); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(said, " "); got != "BEGIN SAVEPOINT INSERT INSERT INSERT RELEASE UPDATE COMMIT" {
		t.Fatal(got)
	}
}

// FuzzMarker: whatever comes as a marker is refused or was made by Marker.
func FuzzMarker(f *testing.F) {
	f.Add(Marker(slice.KindIoTDevice, "0190"))
	f.Add("")
	f.Add("aW90RGV2aWNlcyA")
	f.Fuzz(func(t *testing.T, marker string) {
		id, err := after(slice.KindIoTDevice, marker)
		switch {
		case err != nil:
			if !fault.Is(err, fault.Malformed) {
				t.Fatal(err)
			}
		case marker != "" && id == "":
			t.Fatalf("%q means nothing", marker)
		}
	})
}

// Many transactions that all need statements nobody prepared yet do not wait
// for each other's connections.
func preparingNeedsNoTurn(t *testing.T, _, dsn string) {
	db, err := Open(t.Context(), dsn, Options{Readers: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			err := db.view(ctx, func(ctx context.Context, t *Tx) error {
				for k := range 20 {
					var n int
					if _, err := t.row(ctx, fmt.Sprintf("SELECT count(*) + %d FROM operations WHERE open = %d", i, k), nil, &n); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
