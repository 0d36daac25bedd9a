package storetest

import (
	"bytes"
	"context"
	"path/filepath"
	"reflect"
	"sync"
	"testing"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/store"
)

// A backup of a store that is being written to is one consistent moment, and a
// restored store goes on from there, fences, positions and numbers included.
func backupAndRestore(t *testing.T, h Harness) {
	db, _ := h.Fresh(t)
	node := newNode("i", 1000)
	insert(t, db, node)
	in(t, db, func(ctx context.Context, tx operation.Tx) error {
		if err := tx.(*store.Tx).PutSealed(ctx, slice.Sealed{Secret: "x", Version: 1, Tenant: "t", KeyID: "k", WrappedKey: []byte{1}, Ciphertext: []byte{0, 0xff}}); err != nil {
			return err
		}
		if err := tx.PutTombstone(ctx, operation.Tombstone{ID: "t1", Infrastructure: "i"}); err != nil {
			return err
		}
		return tx.Deduct(ctx, []operation.LedgerChange{{Node: node.ID, CPU: 123, Expect: 0}})
	})
	op := newOperation(slice.NewID())
	insertOperation(t, db, op)
	fence := claim(t, db, "one")[0].Fence
	end := pairs(t, db)
	until(t, "pairs are written", func() bool { return count(t, db, operation.Query{Kind: slice.KindIoTSlice}) > 10 })
	file := filepath.Join(t.TempDir(), "backup.db")
	if err := db.Backup(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	want(t, db.Backup(t.Context(), file), fault.Invalid) // never over another
	end()
	dsn := h.Target(t)
	if err := store.Restore(t.Context(), file, dsn, false, store.Options{}); err != nil {
		t.Fatal(err)
	}
	want(t, store.Restore(t.Context(), file, dsn, false, store.Options{}), fault.Conflict)
	if err := store.Restore(t.Context(), file, dsn, true, store.Options{}); err != nil {
		t.Fatal(err)
	}
	back := h.Open(t, dsn)
	halves := count(t, back, operation.Query{Kind: slice.KindIoTSlice})
	if halves < 10 || halves%2 != 0 {
		t.Fatalf("%d slices in a backup of pairs", halves)
	}
	if got := get[*slice.Node](t, back, slice.KindNode, node.ID); !reflect.DeepEqual(got, node) {
		t.Fatalf("%+v\nwant %+v", got, node)
	}
	_, before, err := back.EventBounds(t.Context())
	if err != nil || before < int64(halves) {
		t.Fatalf("newest event %d, %v", before, err)
	}
	see(t, back, func(ctx context.Context, tx operation.Tx) error {
		s, had, err := tx.(*store.Tx).Sealed(ctx, "x")
		if err != nil || !had || !bytes.Equal(s.Ciphertext, []byte{0, 0xff}) {
			t.Fatalf("sealed: %+v, %v, %v", s, had, err)
		}
		rows, position, err := tx.Ledger(ctx, 0)
		if err != nil || len(rows) != 1 || rows[0].CPU != 123 || rows[0].Version != 1 {
			t.Fatalf("ledger: %+v, %v", rows, err)
		}
		if again, _, err := tx.Ledger(ctx, position); err != nil || len(again) != 0 {
			t.Fatalf("old rows after the position reached: %+v, %v", again, err)
		}
		ts, err := tx.Tombstones(ctx, "i", 10)
		if err != nil || len(ts) != 1 {
			t.Fatalf("tombstones: %+v, %v", ts, err)
		}
		return nil
	})
	goesOn(t, back, op, fence, before)
	in(t, back, func(ctx context.Context, tx operation.Tx) error {
		node.Cordoned = true
		return tx.Update(ctx, node)
	})
	see(t, back, func(ctx context.Context, tx operation.Tx) error {
		rs, _, _, err := tx.Topology(ctx, 0)
		if err != nil || len(rs) != 1 || rs[0].Head().Revision != 2 {
			t.Fatalf("topology: %+v, %v", rs, err)
		}
		return nil
	})
}

// pairs inserts slices two at a time until its end is called: a backup holds
// both of a pair or neither.
func pairs(t *testing.T, db *store.DB) (end func()) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			a, b := newSlice("pair"), newSlice("pair")
			if err := db.Update(t.Context(), func(ctx context.Context, tx operation.Tx) error {
				if err := tx.Insert(ctx, a); err != nil {
					return err
				}
				return tx.Insert(ctx, b)
			}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	return func() { close(stop); wg.Wait() }
}

// goesOn sees that a restored store gives out fences, positions and numbers
// beyond those of the backup.
func goesOn(t *testing.T, back *store.DB, op *operation.Operation, fence, newest int64) {
	t.Helper()
	got := claim(t, back, "two") // nobody's lease came along
	if len(got) != 1 || got[0].ID != op.ID || got[0].Fence <= fence {
		t.Fatalf("claimed %+v, want a fence above %d", got, fence)
	}
	insert(t, back, newSlice("t"))
	if e := follow(t, back, newest, 1); e[0].Position != newest+1 {
		t.Fatalf("events go on at %d, want %d", e[0].Position, newest+1)
	}
	in(t, back, func(ctx context.Context, tx operation.Tx) error {
		return tx.AddSignal(ctx, operation.Signal{Operation: op.ID, Verb: "cancel"})
	})
}
