package storetest

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/store"
)

func newNode(infrastructure string, cpu int64) *slice.Node {
	return &slice.Node{Meta: slice.Meta{Tenant: slice.System, Name: name("node")}, Infrastructure: infrastructure, CPU: cpu, Memory: 10 * cpu, Storage: 100 * cpu, State: slice.Active}
}

func ledger(t testing.TB, db *store.DB) (rows map[string]operation.LedgerRow) {
	t.Helper()
	see(t, db, func(ctx context.Context, tx operation.Tx) error {
		rows = map[string]operation.LedgerRow{}
		l, _, err := tx.Ledger(ctx, 0)
		for _, r := range l {
			rows[r.Node] = r
		}
		return err
	})
	return rows
}

// Whatever many do at once, a node never gives more than it has, and what was
// given and not given back is what the row says.
func ledgerIsNeverExceeded(t *testing.T, h Harness) {
	db, second := h.Fresh(t)
	var nodes []*slice.Node
	for range 3 {
		n := newNode("i1", 1000)
		insert(t, db, n)
		nodes = append(nodes, n)
	}
	var balance [3]atomic.Int64
	var full atomic.Int64
	side(8, func(i int) {
		r := rand.New(rand.NewPCG(uint64(i), 7))
		db := [...]*store.DB{db, second}[i%2]
		held := [3]int64{}
		for range 25 {
			x, y := r.IntN(3), r.IntN(3)
			take := int64(50 + r.IntN(300))
			change := []operation.LedgerChange{{Node: nodes[x].ID, CPU: take, Memory: 10 * take, Expect: -1}, {Node: nodes[y].ID, CPU: take, Memory: 10 * take, Expect: -1}}
			giving := held[x] >= take && (x != y && held[y] >= take || x == y && held[x] >= 2*take)
			if giving {
				for k := range change {
					change[k].CPU, change[k].Memory = -take, -10*take
				}
				take = -take
			}
			var err error
			for {
				err = db.Update(t.Context(), func(ctx context.Context, tx operation.Tx) error { return tx.Deduct(ctx, change) })
				if !giving || err == nil {
					break
				}
			}
			if fault.Is(err, fault.Conflict) && fault.Of(err).Retry == fault.Now {
				full.Add(1)
				continue
			}
			if err != nil {
				t.Error(err)
				return
			}
			held[x] += take
			held[y] += take
			balance[x].Add(take)
			balance[y].Add(take)
			rows := ledger(t, db)
			for _, l := range rows {
				if l.CPU > 1000 || l.Memory > 10000 || l.CPU < 0 {
					t.Errorf("node %s gives %d mCPU of 1000", l.Node, l.CPU)
				}
			}
		}
	})
	if full.Load() == 0 {
		t.Error("the nodes were never full: the check is too weak")
	}
	rows := ledger(t, db)
	for i, n := range nodes {
		if got := rows[n.ID].CPU; got != balance[i].Load() {
			t.Errorf("node %d: the row says %d, given is %d", i, got, balance[i].Load())
		}
	}
}

// A decision made on another version of a row is refused, capacity or not.
func ledgerVersions(t *testing.T, h Harness) {
	db, _ := h.Fresh(t)
	n, unlimited := newNode("i1", 100), newNode("i1", 0)
	unlimited.Unlimited = true
	insert(t, db, n, unlimited)
	deduct := func(changes ...operation.LedgerChange) error {
		return db.Update(t.Context(), func(ctx context.Context, tx operation.Tx) error { return tx.Deduct(ctx, changes) })
	}
	retryNow := func(err error) {
		t.Helper()
		want(t, err, fault.Conflict)
		if fault.Of(err).Retry != fault.Now {
			t.Fatalf("retry %s: %v", fault.Of(err).Retry, err)
		}
	}
	if err := deduct(operation.LedgerChange{Node: n.ID, CPU: 60, Expect: 0}, operation.LedgerChange{Node: n.ID, CPU: 10, Expect: 0}); err != nil {
		t.Fatal(err)
	}
	rows := ledger(t, db)
	if l := rows[n.ID]; l.CPU != 70 || l.Version != 1 {
		t.Fatalf("%+v", l)
	}
	retryNow(deduct(operation.LedgerChange{Node: n.ID, CPU: 1, Expect: 0}))
	retryNow(deduct(operation.LedgerChange{Node: n.ID, CPU: 31, Expect: 1}))
	// One that does not fit undoes the other.
	retryNow(deduct(operation.LedgerChange{Node: unlimited.ID, CPU: 5, Expect: -1}, operation.LedgerChange{Node: n.ID, Storage: 10001, Expect: -1}))
	if rows = ledger(t, db); rows[unlimited.ID].CPU != 0 || rows[n.ID].Storage != 0 {
		t.Fatalf("%+v", rows)
	}
	if err := deduct(operation.LedgerChange{Node: unlimited.ID, CPU: 1 << 40, Expect: 0}); err != nil {
		t.Fatalf("a node without limit: %v", err)
	}
	retryNow(deduct(operation.LedgerChange{Node: "gone", CPU: 1, Expect: 0}))
	in(t, db, func(ctx context.Context, tx operation.Tx) error { return tx.Delete(ctx, n) })
	retryNow(deduct(operation.LedgerChange{Node: n.ID, CPU: 1, Expect: -1}))
	if err := deduct(operation.LedgerChange{Node: n.ID, CPU: -70, Expect: -1}); err != nil {
		t.Fatalf("giving back to a node that is gone: %v", err)
	}
	// A node that became smaller takes nothing more, but gets back.
	small := newNode("i1", 100)
	insert(t, db, small)
	if err := deduct(operation.LedgerChange{Node: small.ID, CPU: 90, Expect: 0}); err != nil {
		t.Fatal(err)
	}
	small.CPU = 50
	in(t, db, func(ctx context.Context, tx operation.Tx) error { return tx.Update(ctx, small) })
	retryNow(deduct(operation.LedgerChange{Node: small.ID, CPU: 1, Expect: -1}))
	if err := deduct(operation.LedgerChange{Node: small.ID, CPU: -20, Expect: -1}); err != nil {
		t.Fatal(err)
	}
}

// picture is what a reader of the feeds knows.
type picture struct {
	nodes, uses  map[string]int64 // revision, mCPU
	at, ledgerAt int64
}

// look reads what is new in both feeds.
func (p *picture) look(t testing.TB, db *store.DB) {
	t.Helper()
	see(t, db, func(ctx context.Context, tx operation.Tx) error {
		changed, removed, position, err := tx.Topology(ctx, p.at)
		if err != nil {
			return err
		}
		for _, id := range removed {
			delete(p.nodes, id)
		}
		for _, r := range changed {
			p.nodes[r.Head().ID] = r.Head().Revision
		}
		rows, reached, err := tx.Ledger(ctx, p.ledgerAt)
		for _, l := range rows {
			p.uses[l.Node] = l.CPU
		}
		p.at, p.ledgerAt = position, reached
		return err
	})
}

// grow adds a node with uses, and changes or removes some of them again.
func grow(ctx context.Context, db *store.DB, k int) error {
	n := newNode("i", 1000)
	err := db.Update(ctx, func(ctx context.Context, tx operation.Tx) error {
		if err := tx.Insert(ctx, n); err != nil {
			return err
		}
		if k%5 == 0 { // stay open while others commit
			<-time.After(3 * time.Millisecond)
		}
		return tx.Deduct(ctx, []operation.LedgerChange{{Node: n.ID, CPU: int64(k + 1), Expect: 0}})
	})
	switch {
	case err != nil:
		return err
	case k%3 == 0:
		return db.Update(ctx, func(ctx context.Context, tx operation.Tx) error { return tx.Delete(ctx, n) })
	case k%3 == 1:
		n.Cordoned = true
		return db.Update(ctx, func(ctx context.Context, tx operation.Tx) error { return tx.Update(ctx, n) })
	}
	return nil
}

// A reader that follows the topology and the ledger by position, while many
// write, ends with exactly what is there.
func feedsMissNothing(t *testing.T, h Harness) {
	db, second := h.Fresh(t)
	insert(t, db, newNode("start", 1000))
	done := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			for k := range 15 {
				if err := grow(t.Context(), [...]*store.DB{db, second}[i%2], k); err != nil {
					t.Error(err)
				}
			}
		})
	}
	go func() { wg.Wait(); close(done) }()
	p := picture{nodes: map[string]int64{}, uses: map[string]int64{}}
	for last := false; !last; {
		select {
		case <-done:
			last = true
		default:
		}
		p.look(t, second)
	}
	var real []slice.Resource
	see(t, db, func(ctx context.Context, tx operation.Tx) (err error) {
		real, err = tx.List(ctx, operation.Query{Kind: slice.KindNode, Limit: 1000})
		return err
	})
	if len(real) != len(p.nodes) {
		t.Fatalf("%d nodes were heard of, %d are there", len(p.nodes), len(real))
	}
	for _, r := range real {
		if p.nodes[r.Head().ID] != r.Head().Revision {
			t.Errorf("node %s is heard of at revision %d, is at %d", r.Head().ID, p.nodes[r.Head().ID], r.Head().Revision)
		}
	}
	rows := ledger(t, db)
	if len(rows) != 90 || len(p.uses) != 90 {
		t.Fatalf("%d rows, heard of %d, want 90", len(rows), len(p.uses))
	}
	for node, l := range rows {
		if p.uses[node] != l.CPU {
			t.Errorf("uses of %s: heard %d, is %d", node, p.uses[node], l.CPU)
		}
	}
}

func tombstones(t *testing.T, h Harness) {
	db, second := h.Fresh(t)
	now := time.Now()
	put := func(id, infrastructure string, due time.Time) {
		in(t, db, func(ctx context.Context, tx operation.Tx) error {
			return tx.PutTombstone(ctx, operation.Tombstone{
				ID: id, Tenant: "t", Infrastructure: infrastructure, Release: "r-" + id, NextAt: due, Generation: 7,
				Uses: []operation.LedgerChange{{Node: "n", CPU: -5, Expect: -1}},
			})
		})
	}
	put("a", "i1", now.Add(-time.Minute))
	put("b", "i2", now.Add(-time.Hour))
	put("c", "i1", now.Add(time.Hour))
	var mu sync.Mutex
	var taken []string
	side(6, func(i int) {
		db := [...]*store.DB{db, second}[i%2]
		var got []operation.Tombstone
		err := db.Update(t.Context(), func(ctx context.Context, tx operation.Tx) (err error) {
			got, err = tx.TakeTombstones(ctx, 10, time.Minute)
			return err
		})
		if err != nil {
			t.Error(err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for _, s := range got {
			if s.Generation != 7 || s.Uses[0].CPU != -5 || !s.NextAt.After(now) {
				t.Errorf("%+v", s)
			}
			taken = append(taken, s.ID)
		}
	})
	if slices.Sort(taken); !slices.Equal(taken, []string{"a", "b"}) {
		t.Fatalf("taken %v, want each once", taken)
	}
	put("a", "i1", now.Add(-time.Minute)) // it failed: again at once
	see(t, db, func(ctx context.Context, tx operation.Tx) error {
		l, err := tx.Tombstones(ctx, "i1", 10)
		if err != nil || len(l) != 2 || l[0].ID != "a" || l[1].ID != "c" {
			t.Fatalf("%+v, %v", l, err)
		}
		all, err := tx.Tombstones(ctx, "", 10)
		if err != nil || len(all) != 3 {
			t.Fatalf("%+v, %v", all, err)
		}
		return nil
	})
	in(t, db, func(ctx context.Context, tx operation.Tx) error {
		got, err := tx.TakeTombstones(ctx, 10, time.Minute)
		if err != nil || len(got) != 1 || got[0].ID != "a" {
			t.Fatalf("%+v, %v", got, err)
		}
		if err := tx.DropTombstone(ctx, "a"); err != nil {
			return err
		}
		return tx.DropTombstone(ctx, "a")
	})
}
