package storetest

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/store"
)

// follow reads events by position until it has n, sequencing as it goes.
func follow(t testing.TB, db *store.DB, after int64, n int) []slice.Event {
	t.Helper()
	var out []slice.Event
	until(t, strconv.Itoa(n)+" events", func() bool {
		if _, err := db.Sequence(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(out) > 0 {
			after = out[len(out)-1].Position
		}
		l, err := db.Events(t.Context(), after, 7)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, l...)
		return len(out) >= n
	})
	return out
}

// scribble commits or fails a transaction of random length, and answers the ids
// it committed.
func scribble(ctx context.Context, db *store.DB, r *rand.Rand) ([]string, error) {
	fail := r.IntN(4) == 0
	var ids []string
	err := db.Update(ctx, func(ctx context.Context, tx operation.Tx) error {
		ids = nil
		for range 1 + r.IntN(3) {
			d := newDevice("t", "s", "gw")
			if err := tx.Insert(ctx, d); err != nil {
				return err
			}
			ids = append(ids, d.ID)
			if r.IntN(4) == 0 { // stay open while others commit
				<-time.After(time.Duration(r.IntN(4)) * time.Millisecond)
			}
		}
		if fail {
			return fault.New(fault.Conflict, "not this one")
		}
		return nil
	})
	if fail {
		return nil, nil
	}
	return ids, err
}

// sequencing runs a sequencer on each store until the test calls its end.
func sequencing(t *testing.T, dbs ...*store.DB) (end func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	for _, db := range dbs {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, err := db.Sequence(t.Context()); err != nil {
					t.Error(err)
					return
				}
				db.WaitEvents(t.Context(), 5*time.Millisecond)
			}
		})
	}
	return func() { close(done); wg.Wait() }
}

// listener reads events by position and keeps what it heard.
type listener struct {
	db       *store.DB
	heard    map[string]int64
	position int64
}

// take reads some more and answers how many; positions have no gap, and nothing
// comes twice.
func (l *listener) take(t *testing.T) int {
	t.Helper()
	events, err := l.db.Events(t.Context(), l.position, 5)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e.Position != l.position+1 {
			t.Fatalf("position %d after %d", e.Position, l.position)
		}
		l.position = e.Position
		if l.heard[e.Resource] != 0 {
			t.Fatalf("%s was heard of at %d and %d", e.Resource, l.heard[e.Resource], e.Position)
		}
		l.heard[e.Resource] = e.Position
	}
	return len(events)
}

// Transactions of random length commit in another order than they began, with
// several sequencers at work; a reader that resumes by position from the first
// event on hears each committed change once, in positions without gaps, and
// nothing of what failed.
func eventsMissNothing(t *testing.T, h Harness) {
	db, second := h.Fresh(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var committed []string
	for i := range 6 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 3))
			for range 15 {
				ids, err := scribble(t.Context(), [...]*store.DB{db, second}[i%2], r)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				committed = append(committed, ids...)
				mu.Unlock()
			}
		})
	}
	end := sequencing(t, db, second)
	l := &listener{db: second, heard: map[string]int64{}}
	over := make(chan struct{})
	go func() { wg.Wait(); close(over) }()
	for running := true; running; {
		select {
		case <-over:
			running = false
		default:
			l.take(t)
		}
	}
	end()
	if _, err := db.Sequence(t.Context()); err != nil {
		t.Fatal(err)
	}
	for l.take(t) > 0 {
	}
	if len(l.heard) != len(committed) {
		t.Fatalf("heard of %d, committed %d", len(l.heard), len(committed))
	}
	for _, id := range committed {
		if l.heard[id] == 0 {
			t.Errorf("%s was missed", id)
		}
	}
	oldest, newest, err := db.EventBounds(t.Context())
	if err != nil || oldest != 1 || newest != int64(len(committed)) {
		t.Fatalf("bounds %d to %d, %v", oldest, newest, err)
	}
}

func eventContents(t *testing.T, h Harness) {
	db, _ := h.Fresh(t)
	if oldest, newest, err := db.EventBounds(t.Context()); err != nil || oldest != 1 || newest != 0 {
		t.Fatalf("of nothing: %d to %d, %v", oldest, newest, err)
	}
	d := newDevice("t", "s1", "gw")
	op := newOperation("s1")
	insert(t, db, d)
	d.State, d.Gateway = slice.Active, "gw2"
	in(t, db, func(ctx context.Context, tx operation.Tx) error { return tx.Update(ctx, d) })
	in(t, db, func(ctx context.Context, tx operation.Tx) error { return tx.Delete(ctx, d) })
	insertOperation(t, db, op)
	cur := claim(t, db, "one")[0]
	if err := db.Save(t.Context(), &cur, nil); err != nil { // no new state: no event
		t.Fatal(err)
	}
	cur.State = operation.FailedTemp
	cur.RootCause = &operation.Cause{Detail: "node edge-3: latency 34 ms > 20 ms"}
	if err := db.Save(t.Context(), &cur, nil); err != nil {
		t.Fatal(err)
	}
	got := follow(t, db, 0, 5)
	types := []string{"IoTDeviceCreationNotification", "IoTDeviceAttributeValueChangeNotification", "IoTDeviceDeletionNotification", "LcmOpOccNotification", "LcmOpOccNotification"}
	for i, e := range got {
		if e.Type != types[i] || e.Position != int64(i)+1 || e.Tenant != "t" || e.Parent != "s1" || e.Time.IsZero() {
			t.Errorf("event %d: %+v", i, e)
		}
	}
	if e := got[1]; !slices.Equal(e.Changes, []string{"iotGateway", "state"}) || e.State != "ACTIVE" || e.Name != d.Name || e.Resource != d.ID || e.Revision != 2 {
		t.Errorf("change: %+v", e)
	}
	if e := got[4]; e.OperationState != "FAILED_TEMP" || e.OperationType != "INSTANTIATE" || e.Resource != op.ID || !strings.Contains(e.Cause, "34 ms") {
		t.Errorf("operation: %+v", e)
	}
	// A new subscription begins here, and its progress is no event.
	sub := &slice.Subscription{Meta: slice.Meta{Tenant: "t", Name: "hook"}, CallbackURI: "https://example.com/", State: slice.Active}
	insert(t, db, sub)
	if sub.Position != 5 {
		t.Fatalf("a new subscription begins at %d, want 5", sub.Position)
	}
	if err := db.Delivered(t.Context(), sub.ID, 6, "why not"); err != nil {
		t.Fatal(err)
	}
	read := get[*slice.Subscription](t, db, slice.KindSubscription, sub.ID)
	if read.Position != 6 || read.Cause != "why not" || read.Revision != 1 {
		t.Fatalf("%+v", read)
	}
	if more := follow(t, db, 5, 1); len(more) != 1 {
		t.Fatalf("progress made events: %+v", more)
	}
	want(t, db.Delivered(t.Context(), "nobody", 1, ""), fault.NotFound)
}

// Every change leaves a record of who, what, before and after.
func audit(t *testing.T, h Harness) {
	db, _ := h.Fresh(t)
	ctx := operator(t.Context())
	s := newSlice("t")
	if err := db.Update(ctx, func(ctx context.Context, tx operation.Tx) error {
		if err := tx.Insert(ctx, s); err != nil {
			return err
		}
		s.Priority = 5
		if err := tx.Update(ctx, s); err != nil {
			return err
		}
		return tx.Delete(ctx, s)
	}); err != nil {
		t.Fatal(err)
	}
	insert(t, db, newSlice("other")) // by nobody in particular
	list := func(q operation.Query) []slice.AuditRecord {
		t.Helper()
		l, err := db.Audits(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	all := list(operation.Query{})
	if len(all) != 4 || all[0].Tenant != "other" || all[0].Actor != slice.System {
		t.Fatalf("%+v", all)
	}
	for i, action := range []string{"DELETE", "UPDATE", "CREATE"} { // newest first
		r := all[i+1]
		if r.Action != action || r.Actor != "key-1" || r.Role != slice.TenantAdmin || r.Request != "req-1" || r.Resource != s.ID || r.Name != s.Name || r.Tenant != "t" || r.Kind != slice.KindIoTSlice {
			t.Errorf("%s: %+v", action, r)
		}
		if since := time.Since(r.Time); since < -time.Minute || since > time.Hour {
			t.Errorf("%s: at %s", action, r.Time)
		}
		if (len(r.Before) == 0) != (action == "CREATE") || (len(r.After) == 0) != (action == "DELETE") {
			t.Errorf("%s: before %s, after %s", action, r.Before, r.After)
		}
	}
	if u := all[2]; !strings.Contains(string(u.Before), `"priority":0`) || !strings.Contains(string(u.After), `"priority":5`) {
		t.Errorf("before %s, after %s", u.Before, u.After)
	}
	by := func(attr, v string) operation.Query {
		return operation.Query{Filter: []operation.Condition{{Op: "eq", Attr: attr, Values: []string{v}}}}
	}
	for name, c := range map[string]struct {
		q operation.Query
		n int
	}{
		"tenant":   {operation.Query{Tenants: []string{"t"}}, 3},
		"tenants":  {operation.Query{Tenants: []string{"t", "other", "x"}}, 4},
		"resource": {operation.Query{Parent: s.ID}, 3},
		"actor":    {by("actorId", "key-1"), 3},
		"action":   {by("action", "CREATE"), 2},
		"kind":     {by("resourceKind", "iotSlices"), 4},
		"page":     {operation.Query{Limit: 3, After: store.Marker(store.KindAudit, strconv.FormatInt(all[0].ID, 10))}, 3},
		"nobody":   {operation.Query{Tenants: []string{}}, 0},
	} {
		if got := list(c.q); len(got) != c.n {
			t.Errorf("%s: %d records, want %d", name, len(got), c.n)
		}
	}
	see(t, db, func(_ context.Context, tx operation.Tx) error {
		one, err := tx.(*store.Tx).AuditRecord(t.Context(), all[1].ID, []string{"t"})
		if err != nil || one.Action != "DELETE" {
			t.Fatalf("%+v, %v", one, err)
		}
		_, err = tx.(*store.Tx).AuditRecord(t.Context(), all[1].ID, []string{"other"})
		want(t, err, fault.NotFound)
		return nil
	})
	_, err := db.Audits(t.Context(), by("before", "x"))
	want(t, err, fault.Malformed)
	_, err = db.Audits(t.Context(), operation.Query{After: store.Marker(store.KindAudit, "x")})
	want(t, err, fault.Malformed)
}
