package fulfilment_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/domains/simulated"
	"github.com/osmoslice/osmoslice/internal/actor"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/fulfilment"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

func (w *world) create(o fulfilment.SliceOrder) (*slice.IoTSlice, *operation.Operation) {
	w.t.Helper()
	res, err := w.svc.CreateSlice(w.ctx, o, fulfilment.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	sl := res.Resource.(*slice.IoTSlice)
	if res.Operation == nil {
		return sl, nil
	}
	return sl, w.ended(res.Operation.ID)
}

func (w *world) up(o fulfilment.SliceOrder) *slice.IoTSlice {
	w.t.Helper()
	sl, op := w.create(o)
	if op.State != operation.Completed {
		w.t.Fatalf("%s: %+v", op.State, op.RootCause)
	}
	return sl
}

func (w *world) done(res fulfilment.Result, err error) *operation.Operation {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	if res.Operation == nil {
		w.t.Fatal("no operation was started")
	}
	op := w.ended(res.Operation.ID)
	if op.State != operation.Completed {
		w.t.Fatalf("%s: %+v", op.State, op.RootCause)
	}
	return op
}

func (w *world) member(kind slice.Kind, sl *slice.IoTSlice, name string) *slice.Element {
	w.t.Helper()
	page, err := w.svc.List(w.ctx, operation.Query{Kind: kind, Parent: sl.ID, Filter: []operation.Condition{{Op: "eq", Attr: "name", Values: []string{name}}}})
	if err != nil || len(page.Resources) != 1 {
		w.t.Fatal(page, err)
	}
	return page.Resources[0].(*slice.Element)
}

func (w *world) deviceStates(sl *slice.IoTSlice) map[string]slice.State {
	w.t.Helper()
	page, err := w.svc.List(w.ctx, operation.Query{Kind: slice.KindIoTDevice, Parent: sl.ID, Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[string]slice.State{}
	for _, r := range page.Resources {
		out[r.Head().Name] = r.(*slice.Device).State
	}
	return out
}

func (w *world) script(v *slice.Infrastructure, s *simulated.Script) {
	w.t.Helper()
	if err := w.sites.Script(w.ctx, v.ID, s); err != nil {
		w.t.Fatal(err)
	}
}

func device(name string) slice.Device {
	return slice.Device{Meta: slice.Meta{Name: name}, Gateway: "edge", Protocol: "MQTT", Magnitudes: []slice.Magnitude{{Name: "temperature", Unit: "Cel"}}}
}

func TestPinsAreHonouredOrRefusedWithTheReason(t *testing.T) {
	w := newWorld(t)
	w.tenancy("site-a", "site-b")
	w.run()
	o := w.order("pinned")
	o.Gateways[0].Placement = &slice.PlacementPolicy{Infrastructures: []string{"site-b"}}
	o.Servers[0].Placement = &slice.PlacementPolicy{DeniedInfrastructures: []string{"site-b"}}
	sl := w.up(o)
	for name, want := range map[string]string{"edge": "site-b", "cloud": "site-a"} {
		kind := slice.KindIoTGateway
		if name == "cloud" {
			kind = slice.KindIoTServer
		}
		r, err := w.svc.Get(w.ctx, slice.KindInfrastructure, w.member(kind, sl, name).Run.Infrastructure)
		if err != nil || r.Head().Name != want {
			t.Errorf("%s is at %v, want %s (%v)", name, r, want, err)
		}
	}
	for want, policy := range map[string]slice.PlacementPolicy{
		"placementPolicy/infrastructures allows [nowhere]": {Infrastructures: []string{"nowhere"}},
		"pinned to node \"ghost\"":                         {Nodes: []string{"ghost"}},
		"placementPolicy/providers allows [other]":         {Providers: []string{"other"}},
		"kind":  {Kinds: []string{"CLOUD"}},
		"label": {NodeLabels: map[string]string{"gpu": "yes"}},
	} {
		o := w.order(fmt.Sprint("refused-", len(want)))
		o.Gateways[0].Placement = &policy
		sl, op := w.create(o)
		if op.State != operation.RolledBack || op.RootCause == nil || !strings.Contains(op.RootCause.Detail, want) {
			t.Errorf("%s, cause %+v, want the words %q", op.State, op.RootCause, want)
		}
		if got := w.slice(sl.ID); got.State != slice.Designed || got.Cause == "" {
			t.Errorf("the slice is %s, cause %q", got.State, got.Cause)
		}
	}
	w.agree()
}

func TestADecisionIsKeptWhetherItPlacesOrNot(t *testing.T) {
	w := newWorld(t)
	w.tenancy("site-a")
	w.run()
	_, good := w.create(w.order("good"))
	o := w.order("bad")
	o.Gateways[0].Requirements = &slice.Requirements{Architectures: []string{"arm"}, Things: []string{"crane"}}
	_, bad := w.create(o)
	for _, op := range []*operation.Operation{good, bad} {
		doc, err := w.svc.Decision(w.ctx, op.ID)
		var d struct {
			Explanations []json.RawMessage `json:"explanations"`
		}
		if err != nil || json.Unmarshal(doc, &d) != nil || len(d.Explanations) == 0 {
			t.Errorf("decision of %s %s: %v: %.200s", op.ID, op.State, err, doc)
		}
	}
}

func TestADryRunTellsThePlanAndChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.tenancy("site-a")
	res, err := w.svc.CreateSlice(w.ctx, w.order("dry"), fulfilment.Options{DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	p := res.Preview
	if p == nil || !p.Feasible || len(p.Steps) != 5 || len(p.Changes) == 0 || len(p.Decision) == 0 || res.Operation != nil || len(res.Credentials) != 0 {
		t.Fatalf("%+v", res)
	}
	page, err := w.svc.List(w.ctx, operation.Query{Kind: slice.KindIoTSlice})
	if err != nil || len(page.Resources) != 0 {
		t.Fatal(page, err)
	}
	w.agree()
}

func TestTenantsCannotSeeEachOther(t *testing.T) {
	w := newWorld(t)
	w.tenancy("site-a")
	sl, _ := w.create(func() fulfilment.SliceOrder { o := w.order("one"); o.Instantiate = false; return o }())
	res, err := w.svc.Create(w.ctx, &slice.Tenant{Meta: slice.Meta{Name: "rival"}}, fulfilment.Options{})
	if err != nil {
		t.Fatal(err)
	}
	as := func(role slice.Role, tenant string) context.Context {
		return actor.With(context.Background(), actor.Actor{Key: "k", Role: role, Tenants: []string{tenant}})
	}
	rival := as(slice.TenantAdmin, res.Resource.Head().ID)
	_, foreign := w.svc.Get(rival, slice.KindIoTSlice, sl.ID)
	_, absent := w.svc.Get(rival, slice.KindIoTSlice, slice.NewID())
	if !fault.Is(foreign, fault.NotFound) || !fault.Is(absent, fault.NotFound) {
		t.Errorf("foreign: %v, absent: %v", foreign, absent)
	}
	if page, err := w.svc.List(rival, operation.Query{Kind: slice.KindIoTSlice}); err != nil || len(page.Resources) != 0 {
		t.Errorf("a rival lists %v, %v", page.Resources, err)
	}
	for what, do := range map[string]func() error{
		"patch": func() error {
			_, err := w.svc.Patch(rival, slice.KindIoTSlice, sl.ID, nil, fulfilment.Options{})
			return err
		},
		"delete": func() error {
			_, err := w.svc.Delete(rival, slice.KindIoTSlice, sl.ID, fulfilment.Options{})
			return err
		},
		"order": func() error {
			_, err := w.svc.Order(rival, sl.ID, fulfilment.Request{Type: operation.Instantiate}, fulfilment.Options{})
			return err
		},
		"devices": func() error {
			_, err := w.svc.AddDevices(rival, sl.ID, []slice.Device{device("x")}, fulfilment.Options{})
			return err
		},
	} {
		if err := do(); !fault.Is(err, fault.NotFound) {
			t.Errorf("a rival's %s answered %v", what, err)
		}
	}
	viewer := as(slice.TenantViewer, w.tenant.ID)
	if _, err := w.svc.Get(viewer, slice.KindIoTSlice, sl.ID); err != nil {
		t.Errorf("a viewer cannot read: %v", err)
	}
	if _, err := w.svc.Order(viewer, sl.ID, fulfilment.Request{Type: operation.Instantiate}, fulfilment.Options{}); !fault.Is(err, fault.Forbidden) {
		t.Errorf("a viewer's order answered %v", err)
	}
	if _, err := w.svc.Get(context.Background(), slice.KindIoTSlice, sl.ID); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("nobody's read answered %v", err)
	}
	page, err := w.svc.List(viewer, operation.Query{Kind: slice.KindInfrastructure})
	if err != nil || len(page.Resources) != 1 || page.Resources[0].(*slice.Infrastructure).SharedWith != nil {
		t.Errorf("a shared infrastructure is listed as %+v, %v", page.Resources, err)
	}
}

func TestMembersOfARunningSlice(t *testing.T) {
	w := newWorld(t)
	w.tenancy("site-a", "site-b")
	w.run()
	sl := w.up(w.order("one"))
	added, err := w.svc.Create(w.ctx, &slice.Element{Meta: slice.Meta{Name: "edge-2"}, Slice: sl.ID, Element: slice.Gateway, Product: "lite-gateway"}, fulfilment.Options{})
	op := w.done(added, err)
	if len(op.Steps) != 3 {
		t.Errorf("adding a gateway took %d steps: %+v", len(op.Steps), op.Steps)
	}
	edge := w.member(slice.KindIoTGateway, sl, "edge")
	patched, err := w.svc.Patch(w.ctx, slice.KindIoTGateway, edge.ID, func(r slice.Resource) error {
		r.(*slice.Element).Configuration = map[string]string{"LITE_GATEWAY_LOG_LEVEL": "debug"}
		return nil
	}, fulfilment.Options{})
	w.done(patched, err)
	now := w.member(slice.KindIoTGateway, sl, "edge")
	if now.Run.Release != edge.Run.Release || now.Run.Hash == edge.Run.Hash {
		t.Errorf("the patch made %+v of %+v", now.Run, edge.Run)
	}
	if st := w.deviceStates(sl)["sensor"]; st != slice.Active {
		t.Errorf("the device is %s", st)
	}
	if _, err := w.svc.Delete(w.ctx, slice.KindIoTGateway, edge.ID, fulfilment.Options{}); !fault.Is(err, fault.Conflict) {
		t.Errorf("removing a gateway with devices answered %v", err)
	}
	gone, err := w.svc.Delete(w.ctx, slice.KindIoTGateway, edge.ID, fulfilment.Options{Cascade: true})
	w.done(gone, err)
	if _, err := w.svc.Get(w.ctx, slice.KindIoTGateway, edge.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("the removed gateway: %v", err)
	}
	if n := len(w.deviceStates(sl)); n != 0 {
		t.Errorf("%d devices stayed", n)
	}
	w.agree()
}

func TestDeviceChangesQueueBehindAnOperation(t *testing.T) {
	w := newWorld(t)
	w.tenancy("site-a")
	stop := w.run()
	sl := w.up(w.order("one"))
	stop()
	heal, err := w.svc.Order(w.ctx, sl.ID, fulfilment.Request{Type: operation.Heal}, fulfilment.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n := 700
	if testing.Short() { // as under the race detector, where each look at all of them is dear
		n = 250
	}
	many := make([]slice.Device, n)
	for k := range many {
		many[k] = device(fmt.Sprintf("d-%d", k))
	}
	res, err := w.svc.AddDevices(w.ctx, sl.ID, many, fulfilment.Options{})
	if err != nil || !res.Queued || res.Operation.ID != heal.Operation.ID || len(res.Credentials) != len(many) {
		t.Fatalf("%v %+v", err, res.Operation)
	}
	if _, err := w.svc.RemoveDevices(w.ctx, sl.ID, []string{"sensor"}, fulfilment.Options{}); err != nil {
		t.Fatal(err)
	}
	_, err = w.svc.Create(w.ctx, &slice.Element{Meta: slice.Meta{Name: "edge-2"}, Slice: sl.ID, Element: slice.Gateway, Product: "lite-gateway"}, fulfilment.Options{})
	if !fault.Is(err, fault.Conflict) || !strings.Contains(fault.Of(err).Instance, heal.Operation.ID) {
		t.Errorf("a lifecycle clash answered %v", err)
	}
	w.run()
	// Operations follow one another: the test waits as long as they get on.
	least := len(many) + 2
	for deadline := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		states, left := w.deviceStates(sl), 0
		for _, st := range states {
			if st != slice.Active {
				left++
			}
		}
		if len(states) == len(many) && left == 0 {
			break
		}
		if left < least {
			least, deadline = left, time.Now().Add(2*time.Minute)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d devices, %d not active", len(states), left)
		}
	}
}

func TestARolledBackUpdateLeavesWhatWasThere(t *testing.T) {
	w := newWorld(t)
	w.tenancy("site-a")
	w.run()
	sl := w.up(w.order("one"))
	before := w.member(slice.KindIoTGateway, sl, "edge")
	res, err := w.svc.Patch(w.ctx, slice.KindIoTGateway, before.ID, func(r slice.Resource) error {
		e := r.(*slice.Element)
		e.Configuration = map[string]string{"X": "${uplink:MISSING}"}
		e.Requirements = &slice.Requirements{Memory: 999}
		return nil
	}, fulfilment.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if op := w.ended(res.Operation.ID); op.State != operation.RolledBack {
		t.Fatalf("%s %+v", op.State, op.RootCause)
	}
	now := w.member(slice.KindIoTGateway, sl, "edge")
	if now.State != slice.Active || now.Run.Hash != before.Run.Hash || len(now.Configuration) != 0 || now.Previous != nil {
		t.Errorf("%s %+v, configuration %v", now.State, now.Run, now.Configuration)
	}
	if got := w.slice(sl.ID); got.State != slice.Active || got.Cause == "" {
		t.Errorf("the slice is %s, cause %q", got.State, got.Cause)
	}
	w.agree()
}

func TestScaleMigrateAndHeal(t *testing.T) {
	w := newWorld(t)
	w.tenancy("site-a", "site-b")
	w.run()
	sl := w.up(w.order("one"))
	was := w.member(slice.KindIoTGateway, sl, "edge")
	op := w.done(w.svc.Order(w.ctx, sl.ID, fulfilment.Request{Type: operation.Migrate, Elements: []string{"edge"}}, fulfilment.Options{}))
	now := w.member(slice.KindIoTGateway, sl, "edge")
	if now.Run.Infrastructure == was.Run.Infrastructure || now.Run.Release == was.Run.Release {
		t.Errorf("migrate left it at %+v", now.Run)
	}
	var order []string
	for _, s := range op.Steps {
		order = append(order, s.Action)
	}
	if got := strings.Join(order, " "); got != "connect apply move attach provision delete" {
		t.Errorf("migrate took %s", got)
	}
	w.done(w.svc.Order(w.ctx, sl.ID, fulfilment.Request{Type: operation.Scale, Elements: []string{"cloud"}, Replicas: 3}, fulfilment.Options{}))
	if e := w.member(slice.KindIoTServer, sl, "cloud"); e.Replicas != 3 || e.Run.Requirements.Memory != 3*64 {
		t.Errorf("scaled to %d, takes %d MiB", e.Replicas, e.Run.Requirements.Memory)
	}
	w.done(w.svc.Order(w.ctx, sl.ID, fulfilment.Request{Type: operation.Heal, Elements: []string{"edge"}}, fulfilment.Options{}))
	w.agree()
}

func TestATerminateThatCannotReachASiteLeavesATombstone(t *testing.T) {
	w := newWorld(t)
	w.tenancy()
	a, b := w.site("site-a"), w.site("site-b")
	w.run()
	o := w.order("one")
	o.Gateways[0].Placement = &slice.PlacementPolicy{Infrastructures: []string{"site-b"}}
	o.Servers[0].Placement = &slice.PlacementPolicy{Infrastructures: []string{a.ID}}
	sl := w.up(o)
	w.script(b, &simulated.Script{Loss: simulated.Partitioned})
	op := w.done(w.svc.Order(w.ctx, sl.ID, fulfilment.Request{Type: operation.Terminate}, fulfilment.Options{}))
	if op.Outcome != operation.OutcomeOrphaned || len(op.Leftovers) != 1 {
		t.Fatalf("%s %+v", op.Outcome, op.Leftovers)
	}
	if e := w.member(slice.KindIoTGateway, sl, "edge"); e.State != slice.Orphaned || e.Run != nil {
		t.Errorf("the gateway is %s, %+v", e.State, e.Run)
	}
	w.script(b, &simulated.Script{})
	w.agree() // the capacity is still reserved, for the tombstone
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if _, err := w.svc.Bury(w.ctx); err != nil {
			t.Fatal(err)
		}
		if e := w.member(slice.KindIoTGateway, sl, "edge"); e.State == slice.Designed {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the tombstone did not run")
		}
	}
	w.agree()
}

func TestHealLeavesASiteThatDoesNotAnswer(t *testing.T) {
	w := newWorld(t)
	w.tenancy()
	a := w.site("site-a")
	w.run()
	sl := w.up(w.order("one"))
	b := w.site("site-b")
	w.script(a, &simulated.Script{Loss: simulated.Partitioned})
	if v, err := w.svc.Discover(w.ctx, a.ID); err != nil || v.State != slice.Inactive || v.Cause == "" {
		t.Fatalf("%+v %v", v, err)
	}
	op := w.done(w.svc.Order(w.ctx, sl.ID, fulfilment.Request{Type: operation.Heal}, fulfilment.Options{}))
	if op.Outcome != operation.OutcomeOrphaned || len(op.Leftovers) != 2 {
		t.Errorf("%s %+v", op.Outcome, op.Leftovers)
	}
	for _, e := range []*slice.Element{w.member(slice.KindIoTGateway, sl, "edge"), w.member(slice.KindIoTServer, sl, "cloud")} {
		if e.State != slice.Active || e.Run.Infrastructure != b.ID || e.Previous != nil {
			t.Errorf("%s is %s at %+v, before %+v", e.Name, e.State, e.Run, e.Previous)
		}
	}
	if st := w.deviceStates(sl)["sensor"]; st != slice.Active {
		t.Errorf("the device is %s", st)
	}
	w.script(a, &simulated.Script{})
	w.agree()
}

func TestTerminateSupersedesAHeldOperation(t *testing.T) {
	w := newWorld(t)
	w.tenancy()
	a := w.site("site-a")
	w.script(a, &simulated.Script{Failures: []simulated.Failure{{Call: "attach", Kind: "forbidden", Retry: "never", Detail: "wrong key"}}})
	w.run()
	o := w.order("one")
	o.Slice.OnFailure = slice.Hold
	res, err := w.svc.CreateSlice(w.ctx, o, fulfilment.Options{})
	if err != nil {
		t.Fatal(err)
	}
	held := w.until(res.Operation.ID, func(op *operation.Operation) bool { return op.State == operation.FailedTemp })
	if held.RootCause == nil || !strings.Contains(held.RootCause.Detail, "wrong key") {
		t.Errorf("root cause %+v", held.RootCause)
	}
	w.done(w.svc.Order(w.ctx, res.Resource.Head().ID, fulfilment.Request{Type: operation.Terminate}, fulfilment.Options{}))
	if old := w.ended(held.ID); old.State != operation.Failed || old.Outcome != operation.OutcomeSuperseded {
		t.Errorf("the held operation is %s %s", old.State, old.Outcome)
	}
	w.agree()
}

func TestRetryPlansAnewAndKeepsWhatIsDone(t *testing.T) {
	w := newWorld(t)
	w.tenancy()
	a := w.site("site-a")
	w.script(a, &simulated.Script{Failures: []simulated.Failure{{Call: "attach", Kind: "forbidden", Retry: "never"}}})
	w.run()
	o := w.order("one")
	o.Slice.OnFailure = slice.Hold
	res, err := w.svc.CreateSlice(w.ctx, o, fulfilment.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.until(res.Operation.ID, func(op *operation.Operation) bool { return op.State == operation.FailedTemp })
	w.script(a, &simulated.Script{})
	if _, err := w.svc.Signal(w.ctx, res.Operation.ID, operation.VerbRetry, ""); err != nil {
		t.Fatal(err)
	}
	op := w.ended(res.Operation.ID)
	if op.State != operation.Completed {
		t.Fatalf("%s %+v", op.State, op.RootCause)
	}
	if _, err := w.svc.Signal(w.ctx, op.ID, operation.VerbRetry, ""); !fault.Is(err, fault.Conflict) {
		t.Errorf("retrying what is over answered %v", err)
	}
	w.agree()
}

func TestConvergeIsTheShortestWay(t *testing.T) {
	w := newWorld(t)
	w.tenancy("site-a", "site-b")
	w.run()
	w.up(w.order("one"))
	same, err := w.svc.Converge(w.ctx, w.order("one"), fulfilment.Options{})
	if err != nil || same.Operation != nil || same.Created {
		t.Fatalf("converging on what is: %+v, %v", same.Operation, err)
	}
	o := w.order("one")
	o.Devices = []slice.Device{device("other")}
	res, err := w.svc.Converge(w.ctx, o, fulfilment.Options{})
	op := w.done(res, err)
	if len(op.Steps) != 2 {
		t.Errorf("one device for another took %d steps", len(op.Steps))
	}
	if st := w.deviceStates(res.Resource.(*slice.IoTSlice)); len(st) != 1 || st["other"] != slice.Active {
		t.Errorf("devices %v", st)
	}
	w.agree()
}

func TestASliceFollowsTheHealthOfItsMembers(t *testing.T) {
	w := newWorld(t)
	w.tenancy()
	a := w.site("site-a")
	w.run()
	sl := w.up(w.order("one"))
	ctx, cancel := context.WithCancel(w.ctx)
	done := make(chan struct{})
	go func() { defer close(done); _ = w.svc.Watch(ctx) }()
	defer func() { cancel(); <-done }()
	await := func(want slice.State) {
		t.Helper()
		for deadline := time.Now().Add(3 * time.Minute); w.slice(sl.ID).State != want; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the slice is %s, want %s", w.slice(sl.ID).State, want)
			}
		}
	}
	await(slice.Active)
	edge := w.member(slice.KindIoTGateway, sl, "edge")
	w.script(a, &simulated.Script{Latency: simulated.Latency{Ready: 3000}})
	for deadline := time.Now().Add(3 * time.Minute); w.slice(sl.ID).State != slice.Inactive; time.Sleep(200 * time.Millisecond) {
		if err := w.sites.Crash(ctx, a.ID, edge.Run.Release); err != nil { // until the watcher is on
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatal("the slice never became INACTIVE")
		}
	}
	if got := w.slice(sl.ID); !strings.Contains(got.Cause, "edge") {
		t.Errorf("cause %q", got.Cause)
	}
	await(slice.Active) // its site restarted it
}
