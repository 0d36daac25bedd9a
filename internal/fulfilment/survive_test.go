package fulfilment_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/fulfilment"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

func (w *world) cordon(v *slice.Infrastructure, cordoned bool) {
	w.t.Helper()
	_, err := w.svc.Patch(w.ctx, slice.KindInfrastructure, v.ID, func(r slice.Resource) error { r.(*slice.Infrastructure).Cordoned = cordoned; return nil }, fulfilment.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
}

// Every node and infrastructure a slice stands on is named, with where its
// members would go now, and that is where a heal would really have room.
func TestSurvivability(t *testing.T) {
	w := newWorld(t)
	w.tenancy()
	one := w.small("one")
	w.run()
	o := w.order("plant")
	sl := w.up(o)
	look := func() *fulfilment.Survivability {
		t.Helper()
		x, err := w.svc.Survivability(w.ctx, sl.ID)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	x := look()
	if x.Survives || len(x.Losses) != 2 || x.Losses[0].Kind != "infrastructure" || x.Losses[0].Name != "one" || x.Losses[1].Name != "one-n" {
		t.Fatalf("%+v", x)
	}
	if l := x.Losses[1]; l.Replaceable || l.Detail == "" || !slices.Equal(l.Elements, []string{"cloud", "edge"}) && !slices.Equal(l.Elements, []string{"edge", "cloud"}) {
		t.Errorf("%+v", l)
	}
	two := w.small("two")
	x = look()
	if l := x.Losses[1]; !x.Survives || len(l.Moves) != 2 || l.Moves[0].To != "two-n" || l.Moves[0].Infrastructure != "two" || l.Moves[0].From != "one-n" {
		t.Errorf("%+v", x)
	}
	// A place that takes nothing new is no replacement, although it may keep
	// what it has.
	w.cordon(two, true)
	if x = look(); x.Survives {
		t.Errorf("%+v", x)
	}
	w.cordon(two, false)
	w.cordon(one, true)
	if x = look(); !x.Survives {
		t.Errorf("%+v", x)
	}
	// What others hold is no replacement either.
	w.asked(reserve(w.order("other"), nil))
	if x = look(); x.Survives {
		t.Errorf("%+v", x)
	}
	w.agree()
	w.done(w.svc.Order(w.ctx, sl.ID, fulfilment.Request{Type: operation.Terminate}, fulfilment.Options{}))
	if _, err := w.svc.Survivability(w.ctx, sl.ID); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "nothing of it runs") {
		t.Errorf("%v", err)
	}
}

// Why not there: the order's rules and the node's, for a slice that runs and for
// one that does not.
func TestWhyNotANode(t *testing.T) {
	w := newWorld(t)
	w.tenancy()
	w.small("one")
	w.small("two")
	w.run()
	o := w.order("plant")
	o.Gateways[0].Placement = &slice.PlacementPolicy{Infrastructures: []string{"one"}}
	o.Servers[0].Requirements = &slice.Requirements{Memory: 100}
	sl := w.up(o)
	why := func(node, member string) string {
		t.Helper()
		x, err := w.svc.WhyNot(w.ctx, sl.ID, node, member)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, m := range x.Members {
			if m.Fits != (len(m.Reasons) == 0) {
				t.Errorf("%+v", m)
			}
			for _, r := range m.Reasons {
				out = append(out, m.Element+": "+r.Constraint+" "+r.Required+" "+r.Available+" "+r.Detail)
			}
		}
		return strings.Join(out, "\n")
	}
	if got := why("two-n", ""); !strings.Contains(got, "edge: infrastructure") || !strings.Contains(got, "placementPolicy/infrastructures allows [one]") || strings.Contains(got, "cloud:") {
		t.Errorf("%s", got)
	}
	other := "two-n"
	if w.member(slice.KindIoTServer, sl, "cloud").Run.Node == w.node(other).ID {
		other = "one-n"
	}
	if _, err := w.svc.Patch(w.ctx, slice.KindNode, w.node(other).ID, func(r slice.Resource) error { r.(*slice.Node).Cordoned = true; return nil }, fulfilment.Options{}); err != nil {
		t.Fatal(err)
	}
	if got := why(other, "cloud"); !strings.Contains(got, "takes nothing new") || strings.Contains(got, "~") {
		t.Errorf("%s", got)
	}
	w.asked(reserve(w.order("none"), nil)) // infeasible: takes nothing
	_, err := w.svc.WhyNot(w.ctx, sl.ID, "ghost", "")
	if !fault.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
	_, err = w.svc.WhyNot(w.ctx, sl.ID, "two-n", "ghost")
	refused(t, "ghost", err, "element")
}

// The bandwidth and latency of microData bind a placement, also those of a
// device, which go by its gateway; and they are in the ledger.
func TestMicroDataBindsPlacesAndLinks(t *testing.T) {
	w := newWorld(t)
	w.tenancy()
	from, to := w.site("hall"), w.site("region")
	link := func(name string, a, b *slice.Infrastructure, ms float64, kbit int64) {
		t.Helper()
		l := &slice.Link{Meta: slice.Meta{Name: name}, Infrastructure: a.ID, From: a.ID, To: b.ID, Level: "INFRASTRUCTURE", LatencyMS: ms, BandwidthKbit: kbit}
		if _, err := w.svc.Create(w.ctx, l, fulfilment.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	link("up", from, to, 5, 100)
	w.run()
	order := func(name string, flows ...slice.MicroData) fulfilment.SliceOrder {
		o := w.order(name)
		o.Gateways[0].Placement = &slice.PlacementPolicy{Infrastructures: []string{"hall"}}
		o.Servers[0].Placement = &slice.PlacementPolicy{Infrastructures: []string{"region"}}
		o.MicroData = flows
		return o
	}
	flow := func(name, a, b string, ms float64, kbit int64) slice.MicroData {
		return slice.MicroData{Meta: slice.Meta{Name: name}, From: a, To: b, DataClass: "MUD", Mode: "ACTIVE", MaxLatencyMS: ms, BandwidthKbit: kbit}
	}
	for word, f := range map[string]slice.MicroData{
		"latency": flow("f", "edge", "cloud", 4, 0), "bandwidth": flow("f", "sensor", "cloud", 0, 101), "link": flow("f", "cloud", "edge", 0, 1),
	} {
		if _, op := w.create(order("refused-"+word, f)); op.State != operation.RolledBack || !strings.Contains(op.RootCause.Detail, word) {
			t.Errorf("%s: %s %+v", word, op.State, op.RootCause)
		}
	}
	sl := w.up(order("plant", flow("f", "edge", "cloud", 5, 30), flow("g", "sensor", "cloud", 0, 20)))
	if kbit := w.linkUse(); !slices.Equal(kbit, []int64{50}) {
		t.Errorf("%v", kbit)
	}
	// Converged to less: an update brings the ledger there.
	if _, err := w.svc.Converge(w.ctx, order("plant", flow("f", "edge", "cloud", 5, 35)), fulfilment.Options{}); err != nil {
		t.Fatal(err)
	}
	w.done(w.svc.Order(w.ctx, sl.ID, fulfilment.Request{Type: operation.Update}, fulfilment.Options{}))
	if kbit := w.linkUse(); !slices.Equal(kbit, []int64{35}) {
		t.Errorf("%v", kbit)
	}
	w.agree()
	// Moved together, the two need no link.
	w.done(w.svc.Order(w.ctx, sl.ID, fulfilment.Request{Type: operation.Terminate}, fulfilment.Options{}))
	if kbit := w.linkUse(); !slices.Equal(kbit, []int64{0}) {
		t.Errorf("%v", kbit)
	}
	w.agree()
}
