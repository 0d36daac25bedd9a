package storetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/actor"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/store"
)

// Harness opens the stores under test; they are closed with the test.
type Harness struct {
	// Fresh opens an empty store, and, where replicas can share it, a second
	// handle on the same database; else twice the same.
	Fresh func(t testing.TB) (*store.DB, *store.DB)
	// Target answers the DSN of an empty database, for restoring.
	Target func(t testing.TB) string
	// Open opens a DSN of Target.
	Open func(t testing.TB, dsn string) *store.DB
}

// Run runs every check.
func Run(t *testing.T, h Harness) {
	for _, c := range []struct {
		name  string
		check func(*testing.T, Harness)
	}{
		{"Resources", resources},
		{"Names", names},
		{"Products", products},
		{"Keys", keys},
		{"InsertMany", insertMany},
		{"NothingOfAFailure", nothingOfAFailure},
		{"NoLostUpdates", noLostUpdates},
		{"NoWriteSkew", noWriteSkew},
		{"OrdersSideBySide", ordersSideBySide},
		{"OwnWrites", ownWrites},
		{"Filters", filters},
		{"BadQueries", badQueries},
		{"PagingIsStable", pagingIsStable},
		{"OneOpenOperation", oneOpenOperation},
		{"ClaimsAreExclusive", claimsAreExclusive},
		{"Fences", fences},
		{"Wakes", wakes},
		{"Signals", signals},
		{"EndOperation", endOperation},
		{"OperationLists", operationLists},
		{"WaitIsShort", waitIsShort},
		{"LedgerIsNeverExceeded", ledgerIsNeverExceeded},
		{"LedgerVersions", ledgerVersions},
		{"LinksAreNeverExceeded", linksAreNeverExceeded},
		{"LinkHoldings", linkHoldings},
		{"Deadlines", deadlines},
		{"FeedsMissNothing", feedsMissNothing},
		{"Tombstones", tombstones},
		{"EventsMissNothing", eventsMissNothing},
		{"EventContents", eventContents},
		{"Audit", audit},
		{"Idempotency", idempotency},
		{"Leads", leads},
		{"Retention", retention},
		{"SealedValues", sealedValues},
		{"BackupAndRestore", backupAndRestore},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.check(t, h)
		})
	}
}

// in runs fn in a writing transaction that must commit.
func in(t testing.TB, db *store.DB, fn func(ctx context.Context, tx operation.Tx) error) {
	t.Helper()
	if err := db.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// see runs fn on a snapshot.
func see(t testing.TB, db *store.DB, fn func(ctx context.Context, tx operation.Tx) error) {
	t.Helper()
	if err := db.View(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func insert(t testing.TB, db *store.DB, rs ...slice.Resource) {
	t.Helper()
	in(t, db, func(ctx context.Context, tx operation.Tx) error {
		for _, r := range rs {
			if err := tx.Insert(ctx, r); err != nil {
				return err
			}
		}
		return nil
	})
}

func get[R slice.Resource](t testing.TB, db *store.DB, kind slice.Kind, id string) R {
	t.Helper()
	var out R
	see(t, db, func(ctx context.Context, tx operation.Tx) error {
		r, err := tx.Get(ctx, kind, id)
		if err == nil {
			out = r.(R)
		}
		return err
	})
	return out
}

// want fails unless err is of the kind.
func want(t testing.TB, err error, kind fault.Kind) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Fatalf("error %v (%s), want %s", err, fault.Of(err).Kind, kind)
	}
}

// until waits for a condition, with a deadline.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("not in time: %s", what)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// side runs fn n times side by side.
func side(n int, fn func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { fn(i) })
	}
	wg.Wait()
}

var numbers atomic.Int64

func name(prefix string) string { return fmt.Sprint(prefix, numbers.Add(1)) }

func newSlice(tenant string) *slice.IoTSlice {
	return &slice.IoTSlice{Meta: slice.Meta{Tenant: tenant, Name: name("slice")}, State: slice.Designed}
}

func newDevice(tenant, parent, gateway string) *slice.Device {
	return &slice.Device{
		Meta: slice.Meta{Tenant: tenant, Name: name("device")}, Slice: parent, Gateway: gateway, Protocol: "MQTT", State: slice.Designed,
	}
}

func newOperation(sliceID string) *operation.Operation {
	op := operation.Start(operation.Operation{Tenant: "t", Slice: sliceID, Type: operation.Instantiate, Cause: "request"}, time.Now())
	return &op
}

// operator is a context with who acts.
func operator(ctx context.Context) context.Context {
	return actor.With(ctx, actor.Actor{Key: "key-1", Role: slice.TenantAdmin, Tenants: []string{"t"}, RequestID: "req-1"})
}
