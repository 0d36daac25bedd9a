package storetest

import (
	"bytes"
	"context"
	"encoding/json"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/store"
)

// Of many requests with one key, one is carried out; later ones get its answer.
func idempotency(t *testing.T, h Harness) {
	db, second := h.Fresh(t)
	var mine, busy atomic.Int64
	side(10, func(i int) {
		status, _, _, err := [...]*store.DB{db, second}[i%2].ClaimKey(t.Context(), "t", "k1", "hash", time.Minute)
		switch {
		case err == nil && status == 0:
			mine.Add(1)
		case fault.Is(err, fault.Conflict):
			busy.Add(1)
		default:
			t.Errorf("status %d, %v", status, err)
		}
	})
	if mine.Load() != 1 || busy.Load() != 9 {
		t.Fatalf("%d carry it out, %d wait", mine.Load(), busy.Load())
	}
	claimed := func(tenant, key, hash string, patience time.Duration, kind fault.Kind, status int) {
		t.Helper()
		got, header, body, err := db.ClaimKey(t.Context(), tenant, key, hash, patience)
		if kind != fault.Internal {
			want(t, err, kind)
		} else if err != nil || got != status || status != 0 && (header != `{"Location":"/x"}` || !bytes.Equal(body, []byte("\x00body"))) {
			t.Fatalf("%d %s %q, %v; want %d", got, header, body, err, status)
		}
	}
	const none = fault.Internal // no error
	claimed("t", "k1", "another", time.Minute, fault.Invalid, 0)
	claimed("other", "k1", "hash", time.Minute, none, 0)
	if err := db.FinishKey(t.Context(), "t", "k1", 201, `{"Location":"/x"}`, []byte("\x00body")); err != nil {
		t.Fatal(err)
	}
	claimed("t", "k1", "hash", time.Minute, none, 201)
	claimed("t", "k1", "another", time.Minute, fault.Invalid, 0)
	if err := db.DropKey(t.Context(), "t", "k1"); err != nil { // what is answered stays
		t.Fatal(err)
	}
	claimed("t", "k1", "hash", time.Minute, none, 201)
	if err := db.DropKey(t.Context(), "other", "k1"); err != nil {
		t.Fatal(err)
	}
	claimed("other", "k1", "another", time.Minute, none, 0)
	// Who claimed died: after its patience another may.
	claimed("t", "k2", "hash", 20*time.Millisecond, none, 0)
	until(t, "the dead one's key is free", func() bool {
		_, _, _, err := second.ClaimKey(t.Context(), "t", "k2", "hash", time.Minute)
		return err == nil
	})
	// The answer becomes durable with the request, or not at all.
	boom := fault.New(fault.Conflict, "boom")
	finish := func(ctx context.Context, tx operation.Tx) error {
		return tx.(*store.Tx).FinishKey(ctx, "t", "k2", 202, `{"Location":"/x"}`, []byte("\x00body"))
	}
	want(t, db.Update(t.Context(), func(ctx context.Context, tx operation.Tx) error {
		if err := finish(ctx, tx); err != nil {
			return err
		}
		return boom
	}), fault.Conflict)
	claimed("t", "k2", "hash", time.Minute, fault.Conflict, 0)
	in(t, db, finish)
	claimed("t", "k2", "hash", time.Minute, none, 202)
}

// A duty has one holder at a time, and passes on when its lease is over or
// given back.
func leads(t *testing.T, h Harness) {
	db, second := h.Fresh(t)
	lead := func(db *store.DB, owner string, ttl time.Duration) bool {
		t.Helper()
		ok, err := db.Lead(t.Context(), "webhooks", owner, ttl)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	var holders atomic.Int64
	side(8, func(i int) {
		ok, err := [...]*store.DB{db, second}[i%2].Lead(t.Context(), "other duty", string(rune('a'+i)), time.Minute)
		if err != nil {
			t.Error(err)
		} else if ok {
			holders.Add(1)
		}
	})
	if holders.Load() != 1 {
		t.Fatalf("%d hold one duty", holders.Load())
	}
	if !lead(db, "one", time.Minute) || lead(second, "two", time.Minute) || !lead(db, "one", time.Millisecond) {
		t.Fatal("the first does not hold the duty alone")
	}
	until(t, "the lease is over", func() bool { return lead(second, "two", time.Minute) })
	if lead(db, "one", time.Minute) {
		t.Fatal("two hold the duty")
	}
	if err := db.Resign(t.Context(), "webhooks", "one"); err != nil { // not its
		t.Fatal(err)
	}
	if lead(db, "one", time.Minute) {
		t.Fatal("one could give back what two holds")
	}
	if err := second.Resign(t.Context(), "webhooks", "two"); err != nil {
		t.Fatal(err)
	}
	if !lead(db, "one", time.Minute) {
		t.Fatal("the duty was not given back")
	}
}

// Retention removes what is older, and only that.
func retention(t *testing.T, h Harness) {
	db, _ := h.Fresh(t)
	ended, open := newOperation(slice.NewID()), newOperation(slice.NewID())
	ended.State = operation.Completed
	now := time.Now()
	ended.FinishedAt = &now
	insertOperation(t, db, ended)
	insertOperation(t, db, open)
	in(t, db, func(ctx context.Context, tx operation.Tx) error {
		return tx.PutDecision(ctx, ended.ID, ended.Slice, json.RawMessage("{}"))
	})
	for range 3 {
		insert(t, db, newSlice("t"))
	}
	follow(t, db, 0, 5)
	if _, _, _, err := db.ClaimKey(t.Context(), "t", "k", "h", time.Minute); err != nil {
		t.Fatal(err)
	}
	if n, err := db.Retain(t.Context(), store.Retention{}); n != 0 || err != nil {
		t.Fatalf("zero keeps for ever: %d, %v", n, err)
	}
	// The sealed part of an answer goes with it, a secret's value does not.
	in(t, db, func(ctx context.Context, tx operation.Tx) error {
		for _, id := range []string{store.AnswerID("t", "k"), "a secret"} {
			if err := tx.(*store.Tx).PutSealed(ctx, slice.Sealed{Secret: id, Version: 1, Tenant: "t", KeyID: "k1", WrappedKey: []byte{1}, Ciphertext: []byte{2}}); err != nil {
				return err
			}
		}
		return nil
	})
	old := store.Retention{Operations: time.Hour, Events: time.Hour, Audit: time.Hour, Idempotency: time.Hour}
	if n, err := db.Retain(t.Context(), old); n != 0 || err != nil {
		t.Fatalf("nothing is that old: %d, %v", n, err)
	}
	old = store.Retention{Operations: time.Nanosecond, Events: time.Nanosecond, Audit: time.Nanosecond, Idempotency: time.Nanosecond}
	n := 0
	until(t, "everything is old", func() bool {
		more, err := db.Retain(t.Context(), old)
		if err != nil {
			t.Fatal(err)
		}
		n += more
		return n == 1+5+5+1
	})
	see(t, db, func(ctx context.Context, tx operation.Tx) error {
		for id, kept := range map[string]bool{store.AnswerID("t", "k"): false, "a secret": true} {
			if _, had, err := tx.(*store.Tx).Sealed(ctx, id); had != kept || err != nil {
				t.Errorf("%s: there is %v, want %v; %v", id, had, kept, err)
			}
		}
		_, err := tx.Operation(ctx, ended.ID)
		want(t, err, fault.NotFound)
		_, err = tx.Decision(ctx, ended.ID)
		want(t, err, fault.NotFound)
		_, err = tx.Operation(ctx, open.ID)
		return err
	})
	if oldest, newest, err := db.EventBounds(t.Context()); err != nil || oldest != 6 || newest != 5 {
		t.Fatalf("bounds %d to %d, %v; want 6 to 5", oldest, newest, err)
	}
	insert(t, db, newSlice("t"))
	if e := follow(t, db, 5, 1); e[0].Position != 6 {
		t.Fatalf("positions go on at %d", e[0].Position)
	}
}

func sealedValues(t *testing.T, h Harness) {
	db, _ := h.Fresh(t)
	row := func(secret string, version int64, key string) slice.Sealed {
		return slice.Sealed{Secret: secret, Version: version, Tenant: "t", KeyID: key, WrappedKey: []byte{0, 1, 0xff}, Ciphertext: []byte{0xfe, 0, byte(version)}}
	}
	with := func(fn func(ctx context.Context, tx *store.Tx) error) {
		t.Helper()
		in(t, db, func(ctx context.Context, tx operation.Tx) error { return fn(ctx, tx.(*store.Tx)) })
	}
	with(func(ctx context.Context, tx *store.Tx) error {
		for _, s := range []slice.Sealed{row("a", 1, "k1"), row("a", 2, "k2"), row("b", 1, "k1")} {
			if err := tx.PutSealed(ctx, s); err != nil {
				return err
			}
		}
		return nil
	})
	with(func(ctx context.Context, tx *store.Tx) error {
		got, had, err := tx.Sealed(ctx, "a")
		if err != nil || !had || !reflect.DeepEqual(got, row("a", 2, "k2")) {
			t.Fatalf("%+v, %v, %v", got, had, err)
		}
		if _, had, err = tx.Sealed(ctx, "c"); had || err != nil {
			t.Fatalf("of nothing: %v, %v", had, err)
		}
		if ids, err := tx.SealKeys(ctx); err != nil || len(ids) != 2 {
			t.Fatalf("%v, %v", ids, err)
		}
		under, err := tx.SealedUnder(ctx, "k2", 10)
		if err != nil || len(under) != 2 {
			t.Fatalf("%v, %v", under, err)
		}
		if err := tx.Rewrap(ctx, row("b", 1, "k1"), "k2", []byte("new")); err != nil {
			return err
		}
		if err := tx.Rewrap(ctx, row("a", 2, "k1"), "k3", []byte("stale")); err != nil { // it is under k2
			return err
		}
		return tx.DeleteSealed(ctx, "a", 2)
	})
	with(func(ctx context.Context, tx *store.Tx) error {
		b, _, err := tx.Sealed(ctx, "b")
		a, _, err2 := tx.Sealed(ctx, "a")
		if err != nil || err2 != nil || string(b.WrappedKey) != "new" || b.KeyID != "k2" || a.KeyID != "k2" {
			t.Fatalf("%+v, %+v, %v, %v", a, b, err, err2)
		}
		if under, err := tx.SealedUnder(ctx, "k2", 10); err != nil || len(under) != 0 {
			t.Fatalf("%v, %v", under, err)
		}
		return tx.DeleteSealed(ctx, "a", 0)
	})
}
