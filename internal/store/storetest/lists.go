package storetest

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/store"

	"pgregory.net/rapid"
)

var (
	tenantsDrawn  = []string{"t1", "t2", "t3"}
	parentsDrawn  = []string{"s1", "s2"}
	gatewaysDrawn = []string{"gwa", "gwb", "gwB", "é"}
	statesDrawn   = []string{"DESIGNED", "ACTIVE", "FAILED", ""}
	protosDrawn   = []string{"MQTT", "HTTP", "COAP"}
)

// attributesDrawn is the model of what a device's attributes are.
var attributesDrawn = map[string]func(d *slice.Device) string{
	"tenantId":        func(d *slice.Device) string { return d.Tenant },
	"iotSliceId":      func(d *slice.Device) string { return d.Slice },
	"iotGateway":      func(d *slice.Device) string { return d.Gateway },
	"state":           func(d *slice.Device) string { return string(d.State) },
	"protocol":        func(d *slice.Device) string { return d.Protocol },
	"name":            func(d *slice.Device) string { return d.Name },
	"id":              func(d *slice.Device) string { return d.ID },
	"identity/serial": func(d *slice.Device) string { return d.Identity.Serial },
}

// holds is the model of a condition: texts are compared byte by byte.
func holds(c operation.Condition, got string) bool {
	first := c.Values[0]
	switch c.Op {
	case "eq":
		return got == first
	case "neq":
		return got != first
	case "gt":
		return got > first
	case "gte":
		return got >= first
	case "lt":
		return got < first
	case "lte":
		return got <= first
	case "in":
		return slices.Contains(c.Values, got)
	case "nin":
		return !slices.Contains(c.Values, got)
	}
	has := slices.ContainsFunc(c.Values, func(v string) bool { return strings.Contains(got, v) })
	return has == (c.Op == "cont")
}

// Every filter answers what a plain look at every device would, page by page, in
// the order of ids.
func filters(t *testing.T, h Harness) {
	db, _ := h.Fresh(t)
	var all []*slice.Device
	in(t, db, func(ctx context.Context, tx operation.Tx) error {
		all = nil
		for i := range 240 {
			d := newDevice(tenantsDrawn[i%3], parentsDrawn[i/3%2], gatewaysDrawn[i/7%4])
			d.State, d.Protocol = slice.State(statesDrawn[i/5%4]), protosDrawn[i/11%3]
			d.Identity = &slice.DeviceIdentity{Serial: "sn" + strconv.Itoa(i%17)}
			if err := tx.Insert(ctx, d); err != nil {
				return err
			}
			all = append(all, d)
		}
		return nil
	})
	values := map[string][]string{
		"tenantId": tenantsDrawn, "iotSliceId": parentsDrawn, "iotGateway": gatewaysDrawn, "state": statesDrawn, "protocol": protosDrawn,
		"name": {all[3].Name, all[100].Name, "device", "1"}, "id": {all[9].ID, all[200].ID}, "identity/serial": {"sn3", "sn16", "sn"},
	}
	names := slices.Sorted(func(yield func(string) bool) {
		for k := range values {
			if !yield(k) {
				return
			}
		}
	})
	condition := rapid.Custom(func(t *rapid.T) operation.Condition {
		attr := rapid.SampledFrom(names).Draw(t, "attr")
		c := operation.Condition{Attr: attr, Op: rapid.SampledFrom([]string{"eq", "eq", "in", "neq", "gt", "gte", "lt", "lte", "nin", "cont", "ncont"}).Draw(t, "op")}
		n := 1
		if c.Op == "in" || c.Op == "nin" || c.Op == "cont" || c.Op == "ncont" {
			n = rapid.IntRange(1, 3).Draw(t, "values")
		}
		c.Values = rapid.SliceOfN(rapid.SampledFrom(append(slices.Clone(values[attr]), "nothing")), n, n).Draw(t, "value")
		return c
	})
	rapid.Check(t, func(rt *rapid.T) {
		q := operation.Query{Kind: slice.KindIoTDevice, Filter: rapid.SliceOfN(condition, 0, 3).Draw(rt, "filter")}
		if rapid.Bool().Draw(rt, "scoped") {
			q.Tenants = rapid.SliceOfN(rapid.SampledFrom(append(slices.Clone(tenantsDrawn), "nobody")), 1, 3).Draw(rt, "tenants")
		}
		q.Parent = rapid.SampledFrom([]string{"", "s1", "s2"}).Draw(rt, "parent")
		q.Limit = rapid.IntRange(1, 90).Draw(rt, "limit")
		var wanted []string
		for _, d := range all {
			ok := (q.Tenants == nil || slices.Contains(q.Tenants, d.Tenant)) && (q.Parent == "" || q.Parent == d.Slice)
			for _, c := range q.Filter {
				ok = ok && holds(c, attributesDrawn[c.Attr](d))
			}
			if ok {
				wanted = append(wanted, d.ID)
			}
		}
		if got := walk(rt, db, q); !slices.Equal(got, wanted) {
			rt.Fatalf("%+v\n got %d: %v\nwant %d: %v", q, len(got), got, len(wanted), wanted)
		}
	})
	if got := walk(t, db, operation.Query{Kind: slice.KindIoTDevice, Tenants: []string{}}); len(got) != 0 {
		t.Fatalf("no tenant at all sees %d devices", len(got))
	}
}

type fataler interface {
	Fatalf(format string, args ...any)
	Context() context.Context
}

// walk pages to the end and answers the ids.
func walk(t fataler, db *store.DB, q operation.Query) []string {
	var ids []string
	for {
		var page []slice.Resource
		err := db.View(t.Context(), func(ctx context.Context, tx operation.Tx) (err error) {
			page, err = tx.List(ctx, q)
			return err
		})
		if err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
		for _, r := range page {
			ids = append(ids, r.Head().ID)
		}
		limit := q.Limit
		if limit == 0 {
			limit = 100
		}
		if len(page) < limit {
			return ids
		}
		q.After = store.Marker(q.Kind, ids[len(ids)-1])
	}
}

// What cannot be asked is refused in words.
func badQueries(t *testing.T, h Harness) {
	db, _ := h.Fresh(t)
	for name, c := range map[string]struct {
		q    operation.Query
		says string
	}{
		"attribute": {operation.Query{Filter: []operation.Condition{{Op: "eq", Attr: "credentialsRef", Values: []string{"x"}}}}, "iotGateway"},
		"injection": {operation.Query{Filter: []operation.Condition{{Op: "eq", Attr: "state' OR 1=1 --", Values: []string{"x"}}}}, "iotGateway"},
		"operator":  {operation.Query{Filter: []operation.Condition{{Op: "like", Attr: "state", Values: []string{"x"}}}}, "ncont"},
		"values":    {operation.Query{Filter: []operation.Condition{{Op: "eq", Attr: "state", Values: []string{"x", "y"}}}}, "one value"},
		"no value":  {operation.Query{Filter: []operation.Condition{{Op: "in", Attr: "state"}}}, "1 to 100"},
		"many":      {operation.Query{Filter: []operation.Condition{{Op: "in", Attr: "state", Values: make([]string, 101)}}}, "1 to 100"},
		"limit":     {operation.Query{Limit: 1001}, "1 to 1000"},
		"negative":  {operation.Query{Limit: -1}, "1 to 1000"},
		"marker":    {operation.Query{After: "xx!"}, "marker"},
		"other's":   {operation.Query{After: store.Marker(slice.KindIoTSlice, "id")}, "marker"},
		"depth":     {operation.Query{Filter: slices.Repeat([]operation.Condition{{Op: "eq", Attr: "state", Values: []string{"x"}}}, 33)}, "at most 32"},
	} {
		c.q.Kind = slice.KindIoTDevice
		err := db.View(t.Context(), func(ctx context.Context, tx operation.Tx) error {
			_, err := tx.List(ctx, c.q)
			return err
		})
		if !fault.Is(err, fault.Malformed) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want Malformed that says %q", name, err, c.says)
		}
	}
	// Hostile values are only values.
	for _, v := range []string{"' OR 1=1 --", "%", "_", "\\", "\"; DROP TABLE resources", "$1", "?1", strings.Repeat("x", 1<<16)} {
		for _, op := range []string{"eq", "cont", "gt", "nin"} {
			see(t, db, func(ctx context.Context, tx operation.Tx) error {
				_, err := tx.List(ctx, operation.Query{Kind: slice.KindIoTDevice, Filter: []operation.Condition{{Op: op, Attr: "name", Values: []string{v}}}})
				return err
			})
		}
	}
}

// Who pages while others insert, change and delete sees every resource that was
// there all the time exactly once, and none twice.
func pagingIsStable(t *testing.T, h Harness) {
	db, second := h.Fresh(t)
	stay := map[string]bool{}
	var go1 []slice.Resource
	in(t, db, func(ctx context.Context, tx operation.Tx) error {
		clear(stay)
		go1 = nil
		for i := range 200 {
			d := newDevice("t", "s", "gw")
			d.State = slice.Active
			if err := tx.Insert(ctx, d); err != nil {
				return err
			}
			if i%4 == 0 {
				go1 = append(go1, d)
			} else {
				stay[d.ID] = true
			}
		}
		return nil
	})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			err := second.Update(t.Context(), func(ctx context.Context, tx operation.Tx) error {
				if i < len(go1) {
					return tx.Delete(ctx, go1[i])
				}
				d := newDevice("t", "s", "gw")
				d.State = slice.Active
				return tx.Insert(ctx, d)
			})
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 5 {
		seen := map[string]bool{}
		for _, id := range walk(t, db, operation.Query{
			Kind: slice.KindIoTDevice, Limit: 7, Tenants: []string{"t", "t9"},
			Filter: []operation.Condition{{Op: "in", Attr: "state", Values: []string{"ACTIVE", "FAILED"}}},
		}) {
			if seen[id] {
				t.Errorf("%s came twice", id)
			}
			seen[id] = true
		}
		for id := range stay {
			if !seen[id] {
				t.Errorf("%s was missed", id)
			}
		}
	}
	close(stop)
	wg.Wait()
}
