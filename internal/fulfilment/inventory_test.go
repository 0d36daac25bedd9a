package fulfilment_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/osmoslice/osmoslice/internal/actor"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/fulfilment"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

func (w *world) count(kind slice.Kind, parent string) int {
	w.t.Helper()
	page, err := w.svc.List(w.ctx, operation.Query{Kind: kind, Parent: parent, Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	return len(page.Resources)
}

// report is n nodes and a ring of links between them, by name.
func report(n int) fulfilment.Inventory {
	in := fulfilment.Inventory{}
	for i := range n {
		in.Nodes = append(in.Nodes, slice.Node{Meta: slice.Meta{Name: fmt.Sprint("n", i)}, CPU: 1000, Memory: 100, Storage: 10})
		in.Links = append(in.Links, slice.Link{From: fmt.Sprint("n", i), To: fmt.Sprint("n", (i+1)%n), LatencyMS: 1, BandwidthKbit: 1000})
	}
	return in
}

// A report is taken as a whole or not at all; again, it changes nothing.
func TestAnInventoryIsImportedAsAWhole(t *testing.T) {
	w := newWorld(t)
	w.tenancy()
	v := w.site("hall")
	before := w.count(slice.KindNode, v.ID)
	take := func(in fulfilment.Inventory, want fulfilment.InventoryResult) {
		t.Helper()
		got, err := w.svc.Import(w.ctx, v.ID, in, fulfilment.Options{})
		if err != nil || got != want {
			t.Errorf("%+v %v, want %+v", got, err, want)
		}
	}
	for name, c := range map[string]struct {
		spoil func(in *fulfilment.Inventory)
		field string
		kind  fault.Kind
	}{
		"node":       {func(in *fulfilment.Inventory) { in.Nodes[7].CPU = -1 }, "nodes/7/cpuMilli", fault.Invalid},
		"link":       {func(in *fulfilment.Inventory) { in.Links[9].LatencyMS = -1 }, "links/9/latencyMs", fault.Invalid},
		"end":        {func(in *fulfilment.Inventory) { in.Links[3].To = "ghost" }, "links/3/to", fault.Invalid},
		"to itself":  {func(in *fulfilment.Inventory) { in.Links[3].To = "n3" }, "links/3/to", fault.Invalid},
		"name twice": {func(in *fulfilment.Inventory) { in.Nodes[2].Name = "n1" }, "nodes/2/name", fault.Invalid},
	} {
		in := report(10)
		c.spoil(&in)
		_, err := w.svc.Import(w.ctx, v.ID, in, fulfilment.Options{})
		if !fault.Is(err, c.kind) || len(fault.Of(err).Params) == 0 || fault.Of(err).Params[0].Field != c.field {
			t.Errorf("%s: %v, want %s", name, err, c.field)
		}
		if n, l := w.count(slice.KindNode, v.ID), w.count(slice.KindLink, v.ID); n != before || l != 0 {
			t.Errorf("%s: %d nodes and %d links of a report that was refused", name, n-before, l)
		}
	}
	if got, err := w.svc.Import(w.ctx, v.ID, report(10), fulfilment.Options{DryRun: true}); err != nil || got.Created != 20 || w.count(slice.KindNode, v.ID) != before {
		t.Errorf("%+v %v", got, err)
	}
	take(report(10), fulfilment.InventoryResult{Created: 20})
	take(report(10), fulfilment.InventoryResult{Unchanged: 20})
	in := report(10)
	in.Nodes[4].CPU, in.Links[5].BandwidthKbit = 2000, 7
	take(in, fulfilment.InventoryResult{Updated: 2, Unchanged: 18})
	// A list that is absent says nothing; one that is there is the whole.
	in = fulfilment.Inventory{Links: report(10).Links[:2], Prune: true}
	take(in, fulfilment.InventoryResult{Updated: 0, Unchanged: 2, Deleted: 8})
	if n := w.count(slice.KindNode, v.ID); n != before+10 {
		t.Errorf("%d nodes", n)
	}
	theirs := actor.With(context.Background(), actor.Actor{Key: "k", Role: slice.TenantAdmin, Tenants: []string{w.tenant.ID}})
	if _, err := w.svc.Import(theirs, v.ID, report(1), fulfilment.Options{}); !fault.Is(err, fault.Forbidden) {
		t.Errorf("%v", err)
	}
}

// Pruning takes nothing that is in use.
func TestPruningSparesWhatIsUsed(t *testing.T) {
	w := newWorld(t)
	w.tenancy()
	v := w.small("hall")
	w.run()
	w.up(w.order("plant"))
	_, err := w.svc.Import(w.ctx, v.ID, fulfilment.Inventory{Nodes: report(2).Nodes, Prune: true}, fulfilment.Options{})
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "hall-n") {
		t.Errorf("%v", err)
	}
	if n := w.count(slice.KindNode, v.ID); n != 1 {
		t.Errorf("%d nodes", n)
	}
}
