package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/store"
)

func hold(from, to string, kbit, most int64) operation.LinkHolding {
	return operation.LinkHolding{From: from, To: to, Kbit: kbit, Most: most, Expect: -1}
}

func holdLinks(t testing.TB, db *store.DB, holder string, links ...operation.LinkHolding) error {
	t.Helper()
	return db.Update(t.Context(), func(ctx context.Context, tx operation.Tx) error { return tx.HoldLinks(ctx, holder, links) })
}

func holdings(t testing.TB, db *store.DB, holder string) (out []operation.LinkHolding) {
	t.Helper()
	see(t, db, func(ctx context.Context, tx operation.Tx) (err error) {
		out, err = tx.Holdings(ctx, holder)
		return err
	})
	return out
}

// linkRows are the ledger's link rows by "from>to".
func linkRows(t testing.TB, db *store.DB) map[string]operation.LedgerRow {
	t.Helper()
	out := map[string]operation.LedgerRow{}
	see(t, db, func(ctx context.Context, tx operation.Tx) error {
		rows, _, err := tx.Ledger(ctx, 0)
		for _, r := range rows {
			if r.To != "" {
				out[r.Node+">"+r.To] = r
			}
		}
		return err
	})
	return out
}

// Whatever many holders do at once on two handles, no link gives more than it
// has, and a row is the sum of what its holders hold.
func linksAreNeverExceeded(t *testing.T, h Harness) {
	db, second := h.Fresh(t)
	const most = 1000
	ends := [][2]string{{"a", "b"}, {"b", "a"}, {"b", "c"}}
	var full atomic.Int64
	side(8, func(i int) {
		r := rand.New(rand.NewPCG(uint64(i), 11))
		db := [...]*store.DB{db, second}[i%2]
		for range 25 {
			var want []operation.LinkHolding
			for _, e := range ends {
				if k := int64(r.IntN(400)); k > 100 {
					want = append(want, hold(e[0], e[1], k, most))
				}
			}
			err := holdLinks(t, db, fmt.Sprint("holder-", i), want...)
			if fault.Is(err, fault.Conflict) && fault.Of(err).Retry == fault.Now {
				full.Add(1)
				continue
			}
			if err != nil {
				t.Error(err)
				return
			}
			for pair, l := range linkRows(t, db) {
				if l.Kbit > most || l.Kbit < 0 {
					t.Errorf("link %s gives %d kbit/s of %d", pair, l.Kbit, most)
				}
			}
		}
	})
	if full.Load() == 0 {
		t.Error("the links were never full: the check is too weak")
	}
	sum := map[string]int64{}
	for i := range 8 {
		for _, l := range holdings(t, db, fmt.Sprint("holder-", i)) {
			sum[l.From+">"+l.To] += l.Kbit
		}
	}
	for pair, l := range linkRows(t, second) {
		if l.Kbit != sum[pair] {
			t.Errorf("link %s: the row says %d, its holders have %d", pair, l.Kbit, sum[pair])
		}
		delete(sum, pair)
	}
	if len(sum) > 0 {
		t.Errorf("no rows for %v", sum)
	}
}

// A holder's holdings are replaced as a whole; what is newly taken is bounded
// and checked against the version it was decided on, what is given back is not.
func linkHoldings(t *testing.T, h Harness) {
	db, _ := h.Fresh(t)
	if err := holdLinks(t, db, "s1", hold("b", "c", 30, 100), hold("a", "b", 70, 100)); err != nil {
		t.Fatal(err)
	}
	refused := func(err error) {
		t.Helper()
		want(t, err, fault.Conflict)
		if fault.Of(err).Retry != fault.Now {
			t.Errorf("%v is not to be tried again", err)
		}
	}
	refused(holdLinks(t, db, "s2", hold("a", "b", 31, 100)))
	stale := hold("a", "b", 10, 100)
	stale.Expect = 0
	refused(holdLinks(t, db, "s2", stale))
	stale.Expect = 1
	if err := holdLinks(t, db, "s2", stale); err != nil {
		t.Fatal(err)
	}
	// Less than before passes, also where there is less to give than is held.
	less := hold("a", "b", 60, 5)
	less.Expect = 0
	if err := holdLinks(t, db, "s1", less); err != nil {
		t.Fatal(err)
	}
	if got := holdings(t, db, "s1"); len(got) != 1 || got[0].From != "a" || got[0].Kbit != 60 {
		t.Errorf("%+v", got)
	}
	rows := linkRows(t, db)
	if rows["a>b"].Kbit != 70 || rows["b>c"].Kbit != 0 || rows["a>b"].Version != 3 {
		t.Errorf("%+v", rows)
	}
	// Nothing of a holding that fails in the middle.
	refused(holdLinks(t, db, "s1", hold("a", "b", 65, 100), hold("b", "c", 101, 100)))
	if got := linkRows(t, db); got["a>b"].Kbit != 70 || got["b>c"].Kbit != 0 {
		t.Errorf("%+v", got)
	}
	if err := holdLinks(t, db, "s1"); err != nil {
		t.Fatal(err)
	}
	if got := linkRows(t, db); got["a>b"].Kbit != 10 || len(holdings(t, db, "s1")) != 0 {
		t.Errorf("%+v", got)
	}
	want(t, holdLinks(t, db, "s1", hold("a", "b", 1, -1), hold("a", "b", 2, -1)), fault.Internal)
}

// Deadlines come by the database's clock, the longest due first, whoever looks.
func deadlines(t *testing.T, h Harness) {
	db, second := h.Fresh(t)
	set := func(id string, in time.Duration) {
		t.Helper()
		update := func(ctx context.Context, tx operation.Tx) error {
			now, err := tx.Now(ctx)
			if err != nil {
				return err
			}
			return tx.SetDeadline(ctx, id, now.Add(in))
		}
		if err := db.Update(t.Context(), update); err != nil {
			t.Fatal(err)
		}
	}
	due := func(limit int) (out []string) {
		see(t, second, func(ctx context.Context, tx operation.Tx) (err error) {
			out, err = tx.Due(ctx, limit)
			return err
		})
		return out
	}
	set("later", time.Hour)
	set("long ago", -time.Hour)
	set("just now", -time.Minute)
	set("moved", -time.Second)
	set("moved", time.Hour)
	set("never", -time.Second)
	in(t, db, func(ctx context.Context, tx operation.Tx) error { return tx.SetDeadline(ctx, "never", time.Time{}) })
	if got := due(10); !slices.Equal(got, []string{"long ago", "just now"}) {
		t.Errorf("%q", got)
	}
	if got := due(1); !slices.Equal(got, []string{"long ago"}) {
		t.Errorf("%q", got)
	}
	set("soon", 50*time.Millisecond)
	until(t, "the deadline comes by itself", func() bool { return slices.Contains(due(10), "soon") })
}
