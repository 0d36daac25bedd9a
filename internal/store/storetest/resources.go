package storetest

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/store"
)

// A resource comes back as it was stored; revisions guard every change.
func resources(t *testing.T, h Harness) {
	db, _ := h.Fresh(t)
	d := newDevice("t", "s1", "gw")
	d.Labels = map[string]string{"floor": "2", "ünï": "✓"}
	d.Magnitudes = []slice.Magnitude{{Name: "temp", Unit: "Cel"}}
	d.Identity = &slice.DeviceIdentity{Serial: "0815"}
	before := time.Now().Add(-time.Second)
	insert(t, db, d)
	if d.ID == "" || d.Revision != 1 || d.CreatedAt.Before(before) || !d.CreatedAt.Equal(d.UpdatedAt) {
		t.Fatalf("after Insert: %+v", d.Meta)
	}
	got := get[*slice.Device](t, db, slice.KindIoTDevice, d.ID)
	if !reflect.DeepEqual(got, d) {
		t.Fatalf("read %+v\nwant %+v", got, d)
	}
	see(t, db, func(ctx context.Context, tx operation.Tx) error {
		_, err := tx.Get(ctx, slice.KindIoTSlice, d.ID)
		want(t, err, fault.NotFound) // the id of another kind
		_, err = tx.Get(ctx, slice.KindIoTDevice, "no such id")
		want(t, err, fault.NotFound)
		r, err := tx.ByName(ctx, slice.KindIoTDevice, "t", "s1", d.Name)
		if err != nil || r.Head().ID != d.ID {
			t.Fatalf("by name: %v, %v", r, err)
		}
		for _, w := range [][3]string{{"other", "s1", d.Name}, {"t", "s2", d.Name}, {"t", "s1", "nobody"}} {
			_, err := tx.ByName(ctx, slice.KindIoTDevice, w[0], w[1], w[2])
			want(t, err, fault.NotFound)
		}
		return nil
	})
	stale := *d
	d.State, d.Gateway, d.Name = slice.Active, "gw2", d.Name+"x"
	in(t, db, func(ctx context.Context, tx operation.Tx) error { return tx.Update(ctx, d) })
	if got = get[*slice.Device](t, db, slice.KindIoTDevice, d.ID); !reflect.DeepEqual(got, d) || d.Revision != 2 {
		t.Fatalf("read %+v\nwant %+v", got, d)
	}
	want(t, db.Update(t.Context(), func(ctx context.Context, tx operation.Tx) error { return tx.Update(ctx, &stale) }), fault.PreconditionFailed)
	want(t, db.Update(t.Context(), func(ctx context.Context, tx operation.Tx) error { return tx.Delete(ctx, &stale) }), fault.PreconditionFailed)
	moved := *d
	moved.Tenant = "other"
	want(t, db.Update(t.Context(), func(ctx context.Context, tx operation.Tx) error { return tx.Update(ctx, &moved) }), fault.Invalid)
	in(t, db, func(ctx context.Context, tx operation.Tx) error { return tx.Delete(ctx, d) })
	see(t, db, func(ctx context.Context, tx operation.Tx) error {
		_, err := tx.Get(ctx, slice.KindIoTDevice, d.ID)
		want(t, err, fault.NotFound)
		want(t, tx.Insert(ctx, newSlice("t")), fault.Internal) // a snapshot is not written to
		return nil
	})
	want(t, db.Update(t.Context(), func(ctx context.Context, tx operation.Tx) error { return tx.Update(ctx, d) }), fault.NotFound)
}

// Names are unique within kind, tenant and parent, also when many come at once.
func names(t *testing.T, h Harness) {
	db, second := h.Fresh(t)
	a := newDevice("t", "s1", "gw")
	insert(t, db, a)
	same := newDevice("t", "s1", "gw")
	same.Name = a.Name
	err := db.Update(t.Context(), func(ctx context.Context, tx operation.Tx) error { return tx.Insert(ctx, same) })
	want(t, err, fault.Conflict)
	if f := fault.Of(err); !strings.HasSuffix(f.Instance, a.ID) || !strings.Contains(f.Error(), a.Name) {
		t.Fatalf("the conflict names %q: %v", f.Instance, err)
	}
	for _, free := range []*slice.Device{newDevice("t2", "s1", "gw"), newDevice("t", "s2", "gw")} {
		free.Name = a.Name
		insert(t, db, free)
	}
	b := newDevice("t", "s1", "gw")
	insert(t, db, b)
	b.Name = a.Name
	want(t, db.Update(t.Context(), func(ctx context.Context, tx operation.Tx) error { return tx.Update(ctx, b) }), fault.Conflict)

	var won, lost atomic.Int64
	racing := name("racing")
	side(16, func(i int) {
		s := newSlice("t")
		s.Name = racing
		err := [...]*store.DB{db, second}[i%2].Update(t.Context(), func(ctx context.Context, tx operation.Tx) error { return tx.Insert(ctx, s) })
		switch {
		case err == nil:
			won.Add(1)
		case fault.Is(err, fault.Conflict):
			lost.Add(1)
		default:
			t.Error(err)
		}
	})
	if won.Load() != 1 || lost.Load() != 15 {
		t.Fatalf("%d have the name, %d were refused; want 1 and 15", won.Load(), lost.Load())
	}
}

// Name and version of a product together are unique.
func products(t *testing.T, h Harness) {
	db, _ := h.Fresh(t)
	p := func(version string) *slice.Product {
		return &slice.Product{Meta: slice.Meta{Tenant: slice.System, Name: "edgex"}, Version: version, Element: slice.Gateway, Packaging: map[string]slice.Packaging{}}
	}
	insert(t, db, p("1.0"), p("2.0"))
	want(t, db.Update(t.Context(), func(ctx context.Context, tx operation.Tx) error { return tx.Insert(ctx, p("1.0")) }), fault.Conflict)
	see(t, db, func(ctx context.Context, tx operation.Tx) error {
		r, err := tx.ByName(ctx, slice.KindProduct, slice.System, "", "edgex")
		if err != nil || r.(*slice.Product).Version != "2.0" {
			t.Fatalf("by name: %v, %v; want the newest", r, err)
		}
		l, err := tx.List(ctx, operation.Query{Kind: slice.KindProduct, Filter: []operation.Condition{
			{Op: "eq", Attr: "name", Values: []string{"edgex"}}, {Op: "eq", Attr: "version", Values: []string{"1.0"}},
		}})
		if err != nil || len(l) != 1 || l[0].(*slice.Product).Version != "1.0" {
			t.Fatalf("list: %v, %v", l, err)
		}
		return nil
	})
}

// A key is found by the hash of its token, which no read of the key tells.
func keys(t *testing.T, h Harness) {
	db, _ := h.Fresh(t)
	k := &slice.APIKey{Meta: slice.Meta{Tenant: slice.System, Name: "root"}, Role: slice.SystemAdmin, Prefix: "osm_abc", Hash: strings.Repeat("ab", 32)}
	insert(t, db, k)
	if got := get[*slice.APIKey](t, db, slice.KindAPIKey, k.ID); got.Hash != "" {
		t.Fatal("reading the key tells its hash")
	}
	got, err := db.KeyByHash(t.Context(), k.Hash)
	if err != nil || got.ID != k.ID || got.Hash != k.Hash {
		t.Fatalf("by hash: %+v, %v", got, err)
	}
	_, err = db.KeyByHash(t.Context(), strings.Repeat("cd", 32))
	want(t, err, fault.NotFound)
	// A key that was read and written back keeps its hash.
	read := get[*slice.APIKey](t, db, slice.KindAPIKey, k.ID)
	now := time.Now().UTC().Truncate(time.Second)
	read.RevokedAt = &now
	in(t, db, func(ctx context.Context, tx operation.Tx) error { return tx.Update(ctx, read) })
	if got, err = db.KeyByHash(t.Context(), k.Hash); err != nil || got.RevokedAt == nil {
		t.Fatalf("by hash after an update: %+v, %v", got, err)
	}
	in(t, db, func(ctx context.Context, tx operation.Tx) error { return tx.Delete(ctx, got) })
	_, err = db.KeyByHash(t.Context(), k.Hash)
	want(t, err, fault.NotFound)
	audits, err := db.Audits(t.Context(), operation.Query{Parent: k.ID})
	if err != nil || len(audits) != 3 {
		t.Fatalf("%d audit records, %v; want 3", len(audits), err)
	}
	for _, a := range audits {
		if strings.Contains(string(a.Before)+string(a.After), k.Hash) {
			t.Fatal("the audit trail tells the hash")
		}
	}
}

// Many at once: all or nothing, each with its audit record and event.
func insertMany(t *testing.T, h Harness) {
	db, _ := h.Fresh(t)
	many := make([]slice.Resource, 300)
	for i := range many {
		many[i] = newDevice("t", "s", "gw")
	}
	bulk := func(rs []slice.Resource) error {
		return db.Update(t.Context(), func(ctx context.Context, tx operation.Tx) error {
			return tx.(interface {
				InsertMany(context.Context, []slice.Resource) error
			}).InsertMany(ctx, rs)
		})
	}
	if err := bulk(many); err != nil {
		t.Fatal(err)
	}
	n := count(t, db, operation.Query{Kind: slice.KindIoTDevice})
	if n != 300 {
		t.Fatalf("%d devices", n)
	}
	taken := newDevice("t", "s", "gw")
	taken.Name = many[7].Head().Name
	err := bulk([]slice.Resource{newDevice("t", "s", "gw"), taken})
	want(t, err, fault.Conflict)
	if !strings.Contains(err.Error(), taken.Name) {
		t.Fatalf("the conflict names no name: %v", err)
	}
	twin := newDevice("t", "s", "gw")
	other := *twin
	want(t, bulk([]slice.Resource{twin, &other}), fault.Conflict)
	if got := count(t, db, operation.Query{Kind: slice.KindIoTDevice}); got != 300 {
		t.Fatalf("%d devices after two failures", got)
	}
}

// count pages through a whole list.
func count(t testing.TB, db *store.DB, q operation.Query) int {
	t.Helper()
	n := 0
	q.Limit = 1000
	for {
		var page []slice.Resource
		see(t, db, func(ctx context.Context, tx operation.Tx) (err error) {
			page, err = tx.List(ctx, q)
			return err
		})
		n += len(page)
		if len(page) < q.Limit {
			return n
		}
		q.After = store.Marker(q.Kind, page[len(page)-1].Head().ID)
	}
}

// A transaction that fails, panics or is cancelled leaves nothing: no rows, and
// the caller's resources as they were.
func nothingOfAFailure(t *testing.T, h Harness) {
	db, _ := h.Fresh(t)
	s := newSlice("t")
	insert(t, db, s)
	boom := errors.New("boom")
	fail := func(end func(cancel context.CancelFunc) error) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		n := newSlice("t")
		was := s.Meta
		defer func() {
			_ = recover()
			if !reflect.DeepEqual(s.Meta, was) || n.ID != "" || n.Revision != 0 {
				t.Errorf("left behind: %+v, %+v", s.Meta, n.Meta)
			}
		}()
		err := db.Update(ctx, func(ctx context.Context, tx operation.Tx) error {
			if err := tx.Insert(ctx, n); err != nil {
				return err
			}
			if err := tx.Update(ctx, s); err != nil {
				return err
			}
			return end(cancel)
		})
		if err == nil {
			t.Error("it was committed")
		}
	}
	side(4, func(int) { // beside others, whose commits it must not touch
		for range 5 {
			if err := db.Update(t.Context(), func(ctx context.Context, tx operation.Tx) error { return tx.Insert(ctx, newSlice("good")) }); err != nil {
				t.Error(err)
			}
		}
	})
	fail(func(context.CancelFunc) error { return boom })
	fail(func(context.CancelFunc) error { panic("boom") })
	fail(func(cancel context.CancelFunc) error {
		cancel()
		_, err := h.openCount(db, t)
		return errors.Join(err, context.Canceled)
	})
	if n := count(t, db, operation.Query{Kind: slice.KindIoTSlice}); n != 21 {
		t.Fatalf("%d slices, want 21", n)
	}
	insert(t, db, newSlice("t")) // and the store goes on
}

func (Harness) openCount(db *store.DB, t testing.TB) (n int, err error) {
	err = db.View(t.Context(), func(ctx context.Context, tx operation.Tx) error {
		n, err = tx.Open(ctx)
		return err
	})
	return n, err
}

// Concurrent read-modify-write never loses one.
func noLostUpdates(t *testing.T, h Harness) {
	db, second := h.Fresh(t)
	s := newSlice("t")
	insert(t, db, s)
	const writers, each = 8, 10
	side(writers, func(i int) {
		db := [...]*store.DB{db, second}[i%2]
		for range each {
			for {
				err := db.Update(t.Context(), func(ctx context.Context, tx operation.Tx) error {
					r, err := tx.Get(ctx, slice.KindIoTSlice, s.ID)
					if err != nil {
						return err
					}
					r.(*slice.IoTSlice).Priority++
					return tx.Update(ctx, r)
				})
				if err == nil {
					break
				}
				if fault.Of(err).Retry != fault.Now {
					t.Error(err)
					return
				}
			}
		}
	})
	got := get[*slice.IoTSlice](t, db, slice.KindIoTSlice, s.ID)
	if got.Priority != writers*each || got.Revision != writers*each+1 {
		t.Fatalf("priority %d, revision %d after %d increments", got.Priority, got.Revision, writers*each)
	}
}

// What a transaction has read holds when it commits: a member never appears
// below a slice that was found empty and deleted.
func noWriteSkew(t *testing.T, h Harness) {
	db, second := h.Fresh(t)
	for range 20 {
		s := newSlice("t")
		insert(t, db, s)
		var deleted, added error
		side(2, func(i int) {
			if i == 0 {
				deleted = db.Update(t.Context(), func(ctx context.Context, tx operation.Tx) error {
					l, err := tx.List(ctx, operation.Query{Kind: slice.KindIoTDevice, Parent: s.ID})
					if err != nil || len(l) > 0 {
						return errors.Join(err, fault.New(fault.Conflict, "not empty"))
					}
					r, err := tx.Get(ctx, slice.KindIoTSlice, s.ID)
					if err != nil {
						return err
					}
					return tx.Delete(ctx, r)
				})
				return
			}
			added = second.Update(t.Context(), func(ctx context.Context, tx operation.Tx) error {
				if _, err := tx.Get(ctx, slice.KindIoTSlice, s.ID); err != nil {
					return err
				}
				return tx.Insert(ctx, newDevice("t", s.ID, "gw"))
			})
		})
		if (deleted == nil) == (added == nil) {
			t.Fatalf("deleted: %v, added: %v; want exactly one", deleted, added)
		}
	}
}

// order does what an order does: it reads a slice and its members, adds one,
// opens an operation and changes the slice. It makes its own of every error it
// meets, as a use case may.
func order(ctx context.Context, db *store.DB, id string) error {
	return db.Update(ctx, func(ctx context.Context, tx operation.Tx) error {
		mine := func(err error) error { return fault.New(fault.Internal, "the order failed: %v", err) }
		r, err := tx.Get(ctx, slice.KindIoTSlice, id)
		if err != nil {
			return mine(err)
		}
		if _, err := tx.List(ctx, operation.Query{Kind: slice.KindIoTDevice, Parent: id}); err != nil {
			return mine(err)
		}
		if err := tx.Insert(ctx, newDevice("t", id, "gw")); err != nil {
			return mine(err)
		}
		if err := tx.InsertOperation(ctx, newOperation(id)); err != nil {
			return mine(err)
		}
		if err := tx.Update(ctx, r); err != nil {
			return mine(err)
		}
		return nil
	})
}

// Orders on different slices never fail because of each other.
func ordersSideBySide(t *testing.T, h Harness) {
	db, second := h.Fresh(t)
	side(8, func(i int) {
		db := [...]*store.DB{db, second}[i%2]
		for range 8 {
			s := newSlice("t")
			err := db.Update(t.Context(), func(ctx context.Context, tx operation.Tx) error { return tx.Insert(ctx, s) })
			if err == nil {
				err = order(t.Context(), db, s.ID)
			}
			if err != nil {
				t.Error(err)
			}
		}
	})
	if n := count(t, db, operation.Query{Kind: slice.KindIoTDevice}); n != 64 {
		t.Fatalf("%d of 64 orders are there", n)
	}
}
