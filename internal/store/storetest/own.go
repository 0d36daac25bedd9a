package storetest

import (
	"context"
	"testing"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/store"
)

// ownWrites: a transaction sees what it wrote itself, whichever way it reads, and
// is held to the revision it wrote.
func ownWrites(t *testing.T, h Harness) {
	db, _ := h.Fresh(t)
	s := newSlice("t")
	insert(t, db, s)
	in(t, db, func(ctx context.Context, tx operation.Tx) error {
		count := func(want int) {
			t.Helper()
			if n, err := tx.(*store.Tx).Count(ctx, slice.KindIoTSlice, "t"); err != nil || n != want {
				t.Errorf("counted %d, want %d; %v", n, want, err)
			}
		}
		look := func(want string, revision int64) {
			t.Helper()
			got, err := tx.Get(ctx, slice.KindIoTSlice, s.ID)
			if err != nil || got.Head().Description != want || got.Head().Revision != revision {
				t.Errorf("got %+v, %v; want %q at %d", got, err, want, revision)
			}
			list, err := tx.List(ctx, operation.Query{Kind: slice.KindIoTSlice, Tenants: []string{"t"}})
			if err != nil || len(list) != 1 || list[0].Head().Description != want || list[0].Head().Revision != revision {
				t.Errorf("listed %+v, %v; want %q at %d", list, err, want, revision)
			}
			got, err = tx.ByName(ctx, slice.KindIoTSlice, "t", "", s.Name)
			if err != nil || got.Head().Description != want {
				t.Errorf("by name %+v, %v; want %q", got, err, want)
			}
		}
		look("", 1)
		r, err := tx.Get(ctx, slice.KindIoTSlice, s.ID)
		if err != nil {
			return err
		}
		stale, err := tx.Get(ctx, slice.KindIoTSlice, s.ID)
		if err != nil {
			return err
		}
		for i, text := range []string{"one", "two"} {
			r.Head().Description = text
			if err := tx.Update(ctx, r); err != nil {
				return err
			}
			look(text, int64(i)+2)
		}
		want(t, tx.Update(ctx, stale), fault.PreconditionFailed)
		want(t, tx.Delete(ctx, stale), fault.PreconditionFailed)
		if _, err := tx.Get(ctx, slice.KindIoTDevice, s.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("as another kind: %v", err)
		}
		count(1)
		if err := tx.Delete(ctx, r); err != nil {
			return err
		}
		count(0)
		_, err = tx.Get(ctx, slice.KindIoTSlice, s.ID)
		want(t, err, fault.NotFound)
		want(t, tx.Update(ctx, r), fault.NotFound)
		again := newSlice("t")
		again.Name = s.Name // free again
		return tx.Insert(ctx, again)
	})
	s.Name += "-more"
	_, err := db.One(t.Context(), slice.KindIoTSlice, s.ID)
	want(t, err, fault.NotFound)
	insert(t, db, s)
	if got, err := db.One(t.Context(), slice.KindIoTSlice, s.ID); err != nil || got.Head().Name != s.Name {
		t.Errorf("alone: %+v, %v", got, err)
	}
	_, err = db.One(t.Context(), slice.KindIoTDevice, s.ID)
	want(t, err, fault.NotFound)
	records, err := db.Audits(t.Context(), operation.Query{Kind: store.KindAudit, Parent: s.ID, Limit: 10})
	if err != nil || len(records) != 5 {
		t.Fatalf("%d audit records of the slice, want 5; %v", len(records), err)
	}
	for i, action := range []string{"CREATE", "DELETE", "UPDATE", "UPDATE", "CREATE"} { // the newest first
		if records[i].Action != action {
			t.Errorf("record %d is %s, want %s", i, records[i].Action, action)
		}
	}
}
