package store

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/store/pgtest"
)

func openTest(t testing.TB, dsn string) *DB {
	t.Helper()
	db, err := Open(t.Context(), dsn, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func eq(attr string, values ...string) operation.Condition {
	return operation.Condition{Op: "in", Attr: attr, Values: values}
}

// listed are the lists that must stay flat, and the index that serves each.
var listed = []struct {
	name  string
	q     operation.Query
	index string
}{
	{"all", operation.Query{}, "resources_kind"},
	{"tenant", operation.Query{Tenants: []string{"t"}}, "resources_tenant"},
	{"slice", operation.Query{Parent: "s"}, "resources_parent"},
	{"slice of tenant", operation.Query{Parent: "s", Tenants: []string{"t"}}, "resources_parent"},
	{"state", operation.Query{Filter: []operation.Condition{eq("state", "FAILED")}}, "resources_state"},
	{"state of tenant", operation.Query{Tenants: []string{"t"}, Filter: []operation.Condition{eq("state", "FAILED")}}, "resources_tenant_state"},
	{"state in slice", operation.Query{Parent: "s", Filter: []operation.Condition{eq("state", "FAILED")}}, "resources_parent_state"},
	{"gateway in slice", operation.Query{Filter: []operation.Condition{eq("iotSliceId", "s"), eq("iotGateway", "g")}}, "resources_parent_ref"},
	{"gateway", operation.Query{Filter: []operation.Condition{eq("iotGateway", "g")}}, "resources_ref"},
	{"protocol", operation.Query{Filter: []operation.Condition{eq("protocol", "COAP")}}, "resources_class"},
	{"serial", operation.Query{Filter: []operation.Condition{eq("identity/serial", "x")}}, "resources_place"},
	{"name", operation.Query{Tenants: []string{"t"}, Filter: []operation.Condition{eq("name", "n")}}, "resources_name"},
	{"name in slice", operation.Query{Parent: "s", Filter: []operation.Condition{eq("name", "n")}}, "resources_name"},
	{"states", operation.Query{Filter: []operation.Condition{eq("state", "FAILED", "ACTIVE")}}, "resources_state"},
	{"range", operation.Query{Tenants: []string{"t"}, Filter: []operation.Condition{{Op: "gt", Attr: "name", Values: []string{"n"}}}}, "resources_tenant"},
}

// Every list is served by its index, in the order of the index: nothing is
// scanned whole, nothing sorted (but the few of one name).
func TestQueryPlans(t *testing.T) {
	db := openTest(t, filepath.Join(t.TempDir(), "p.db"))
	explain := func(text string, args []any) string {
		t.Helper()
		rows, err := db.readers.Query("EXPLAIN QUERY PLAN "+text, args...)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		defer rows.Close()
		var plan []string
		for rows.Next() {
			var a, b, c int
			var s string
			if err := rows.Scan(&a, &b, &c, &s); err != nil {
				t.Fatal(err)
			}
			plan = append(plan, s)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return strings.Join(plan, "; ")
	}
	for _, page := range []string{"", Marker(slice.KindIoTDevice, "01")} {
		for _, c := range listed {
			c.q.Kind, c.q.After = slice.KindIoTDevice, page
			l, err := compile(c.q, codecs[c.q.Kind].attrs, "parent")
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range l.branches(db.dialect, "SELECT id, doc FROM resources WHERE kind = $1", []any{string(c.q.Kind)}, resourceDrivers) {
				plan := explain(b.text.String(), b.args)
				if !strings.Contains(plan, "SEARCH resources USING INDEX "+c.index+" (") || c.name == "name in slice" && !strings.Contains(plan, "parent=?") || strings.Contains(plan, "SCAN") || !strings.HasPrefix(c.name, "name") && strings.Contains(plan, "TEMP B-TREE") {
					t.Errorf("%s: %s\n%s", c.name, plan, b.text.String())
				}
			}
		}
	}
	for text, index := range map[string]string{
		"SELECT id, doc FROM operations WHERE open = 1 AND wake_at <= $1 AND lease_until <= $1 AND schema <= $2 ORDER BY wake_at, id LIMIT $3": "operations_due",
		"SELECT doc, fence FROM operations WHERE slice = $1 AND open = 1 AND slice <> ''":                                                      "operations_one_open",
		"SELECT id FROM operations WHERE open = 0 AND finished_at < $1 ORDER BY finished_at LIMIT $2":                                          "operations_finished",
		"SELECT node FROM ledger WHERE position > $1 ORDER BY position, node":                                                                  "ledger_position",
		"SELECT from_node FROM link_ledger WHERE position > $1 ORDER BY position":                                                              "link_ledger_position",
		"SELECT kbit FROM link_holdings WHERE holder = $1 ORDER BY from_node, to_node":                                                         "link_holdings",
		"SELECT id FROM deadlines WHERE at <= $1 ORDER BY at, id LIMIT $2":                                                                     "deadlines_at",
		"SELECT doc FROM tombstones WHERE next_at <= $1 ORDER BY next_at, id LIMIT $2":                                                         "tombstones_due",
	} {
		args := []any{1, 1, 1}[:strings.Count(text, "$")-strings.Count(text, "lease_until <= $1")]
		if plan := explain(text, args); !strings.Contains(plan, index) || strings.Contains(plan, "SCAN") {
			t.Errorf("%s: %s", text, plan)
		}
	}
}

// fill inserts n devices of two tenants in 10 slices, bulk by bulk.
func fill(t testing.TB, db *DB, n int) {
	t.Helper()
	states := []slice.State{slice.Active, slice.Active, slice.Active, slice.Designed, slice.Failed}
	for from := 0; from < n; from += 1000 {
		rs := make([]slice.Resource, 0, 1000)
		for i := from; i < min(n, from+1000); i++ {
			rs = append(rs, &slice.Device{
				Meta:  slice.Meta{Tenant: fmt.Sprint("t", i%2), Name: fmt.Sprint("dev-", i)},
				Slice: fmt.Sprint("s", i%10), Gateway: fmt.Sprint("gw", i%4), Protocol: [...]string{"MQTT", "HTTP", "COAP"}[i%3],
				Magnitudes: []slice.Magnitude{{Name: "temperature", Unit: "Cel"}}, State: states[i/10%5],
			})
		}
		err := db.update(context.Background(), func(ctx context.Context, t *Tx) error { return t.InsertMany(ctx, rs) })
		if err != nil {
			t.Fatal(err)
		}
	}
}

// BenchmarkList measures one page of 20 from the middle of 1,000 and of 100,000
// devices, without and with filters. The two take turns, and the fastest of each
// is told too: what else the machine does blurs both alike.
func BenchmarkList(b *testing.B) {
	dir := b.TempDir()
	benchLists(b, openTest(b, filepath.Join(dir, "few.db")), openTest(b, filepath.Join(dir, "many.db")))
}

// BenchmarkListPostgres is BenchmarkList on PostgreSQL.
func BenchmarkListPostgres(b *testing.B) {
	server := pgtest.Start(b)
	benchLists(b, openTest(b, server.DSN(b)), openTest(b, server.DSN(b)))
}

func benchLists(b *testing.B, few, many *DB) {
	fill(b, few, 1000)
	fill(b, many, 100000)
	for _, c := range []struct {
		name string
		q    operation.Query
	}{
		{"all", operation.Query{}},
		{"tenant", operation.Query{Tenants: []string{"t1"}}},
		{"slice", operation.Query{Parent: "s3"}},
		{"state", operation.Query{Tenants: []string{"t1"}, Filter: []operation.Condition{eq("state", "FAILED")}}},
		{"states", operation.Query{Filter: []operation.Condition{eq("state", "FAILED", "DESIGNED")}}},
		{"gateway", operation.Query{Parent: "s3", Filter: []operation.Condition{eq("iotGateway", "gw1", "gw3")}}},
		{"protocol", operation.Query{Filter: []operation.Condition{eq("protocol", "COAP")}}},
	} {
		c.q.Kind, c.q.Limit = slice.KindIoTDevice, 20
		b.Run(c.name, func(b *testing.B) {
			var took [2][]time.Duration
			queries := [2]operation.Query{middle(b, few, c.q, 500), middle(b, many, c.q, 50000)}
			for b.Loop() {
				for i, db := range []*DB{few, many} {
					start := time.Now()
					if n := onePage(b, db, queries[i]); n == 0 {
						b.Fatal("an empty page")
					}
					took[i] = append(took[i], time.Since(start))
				}
			}
			slices.Sort(took[0])
			slices.Sort(took[1])
			median := func(d []time.Duration) float64 { return float64(d[len(d)/2]) }
			b.ReportMetric(median(took[0]), "ns-of-1000")
			b.ReportMetric(median(took[1]), "ns-of-100000")
			b.ReportMetric(median(took[1])/median(took[0]), "ratio")
			b.ReportMetric(float64(took[1][0])/float64(took[0][0]), "ratio-of-fastest")
		})
	}
}

// middle answers q for the page after the device at offset.
func middle(b *testing.B, db *DB, q operation.Query, offset int) operation.Query {
	err := db.view(b.Context(), func(ctx context.Context, t *Tx) error {
		var id string
		_, err := t.row(ctx, "SELECT id FROM resources WHERE kind = $1 ORDER BY id LIMIT 1 OFFSET $2", []any{string(q.Kind), offset}, &id)
		q.After = Marker(q.Kind, id)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return q
}

func onePage(b *testing.B, db *DB, q operation.Query) (n int) {
	err := db.view(b.Context(), func(ctx context.Context, t *Tx) error {
		l, err := t.List(ctx, q)
		n = len(l)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return n
}
