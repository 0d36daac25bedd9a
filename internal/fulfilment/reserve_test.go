package fulfilment_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/domains/simulated"
	"github.com/osmoslice/osmoslice/internal/actor"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/fulfilment"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/store/pgtest"
)

// onBoth runs a check on a world of each database.
func onBoth(t *testing.T, check func(t *testing.T, w *world)) {
	t.Run("SQLite", func(t *testing.T) { check(t, newWorld(t)) })
	t.Run("Postgres", func(t *testing.T) {
		check(t, openWorldOn(t, pgtest.Start(t).DSN(t), t.TempDir(), quick()))
	})
}

// small is an infrastructure of one node that has room for one order.
func (w *world) small(name string) *slice.Infrastructure {
	w.t.Helper()
	v := &slice.Infrastructure{Meta: slice.Meta{Name: name}, SharedWith: []string{"*"}, Tier: "DEVICE_EDGE", Plugin: "simulated",
		Connection: json.RawMessage(`{"nodes":[{"name":"` + name + `-n","cpuMilli":200,"memoryMiB":150,"storageMiB":2000}]}`)}
	res, err := w.svc.Create(w.ctx, v, fulfilment.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	return res.Resource.(*slice.Infrastructure)
}

func (w *world) node(name string) *slice.Node {
	w.t.Helper()
	page, err := w.svc.List(w.ctx, operation.Query{Kind: slice.KindNode, Filter: []operation.Condition{{Op: "eq", Attr: "name", Values: []string{name}}}})
	if err != nil || len(page.Resources) != 1 {
		w.t.Fatal(page, err)
	}
	return page.Resources[0].(*slice.Node)
}

func (w *world) asked(c fulfilment.FeasibilityCheck) *slice.Placement {
	w.t.Helper()
	x, _, err := w.svc.CheckFeasibility(w.ctx, c, fulfilment.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	return x
}

func (w *world) kept(id string) *slice.Placement {
	w.t.Helper()
	r, err := w.svc.Get(w.ctx, slice.KindPlacement, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return r.(*slice.Placement)
}

func reserve(o fulfilment.SliceOrder, until *time.Time) fulfilment.FeasibilityCheck {
	return fulfilment.FeasibilityCheck{Order: &o, Reserve: true, Until: until}
}

func conflict(t *testing.T, err error, words ...string) {
	t.Helper()
	if !fault.Is(err, fault.Conflict) {
		t.Errorf("error %v, want a conflict", err)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
}

// What is reserved is seen by every decision, goes over to the order that names
// it, and comes back with the slice.
func TestAReservationIsHeldForItsOrder(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.tenancy()
		w.small("site")
		w.run()
		x := w.asked(reserve(w.order("mine"), nil))
		if x.Reservation != slice.Reserved || !x.Held || x.Expires == nil || len(x.Assignments) != 2 || x.Assignments[0].NodeName != "site-n" {
			t.Fatalf("%+v", x)
		}
		w.agree()
		other := w.asked(reserve(w.order("other"), nil))
		if other.Feasibility != slice.Infeasible || other.Held || other.Reservation != slice.Unreserved || other.Reason == "" {
			t.Errorf("the node has room for one: %+v", other)
		}
		if _, op := w.create(w.order("other")); op.State != operation.RolledBack {
			t.Errorf("an order got what is reserved for another: %s", op.State)
		}
		o := w.order("mine")
		o.Placement = x.ID
		sl := w.up(o)
		if got := w.kept(x.ID); got.Reservation != slice.Used || got.Held || got.Operation == "" {
			t.Errorf("%+v", got)
		}
		w.agree()
		o.Slice.Name = "twice"
		_, err := w.svc.CreateSlice(w.ctx, o, fulfilment.Options{})
		conflict(t, err, "was used by operation")
		doc, err := w.svc.Decision(w.ctx, w.slice(sl.ID).LastOperation)
		if e := w.member(slice.KindIoTGateway, sl, "edge"); err != nil || !strings.Contains(string(doc), e.ID) || !strings.Contains(string(doc), "explanations") {
			t.Errorf("the kept decision does not speak of the slice: %v %s", err, doc)
		}
		w.done(w.svc.Order(w.ctx, sl.ID, fulfilment.Request{Type: operation.Terminate}, fulfilment.Options{}))
		w.agree()
		if again := w.asked(reserve(w.order("next"), nil)); again.Reservation != slice.Reserved {
			t.Errorf("%+v", again)
		}
	})
}

// inTime does what must be done before a time that is near, with more time when
// the machine was too slow for it, and answers that time.
func inTime(t *testing.T, do func(soon time.Time) bool) time.Time {
	t.Helper()
	for _, span := range []time.Duration{700 * time.Millisecond, 5 * time.Second, 40 * time.Second} {
		if soon := time.Now().Add(span); do(soon) {
			return soon
		}
	}
	t.Fatal("too slow, even within 40 s")
	return time.Time{}
}

// reserved holds an order's place until a time, or tells that it has passed.
func (w *world) reserved(name string, until time.Time) (x *slice.Placement, inTime bool) {
	w.t.Helper()
	if _, err := w.svc.Expire(w.ctx); err != nil {
		w.t.Fatal(err)
	}
	x, _, err := w.svc.CheckFeasibility(w.ctx, reserve(w.order(name), &until), fulfilment.Options{})
	if err != nil && time.Now().After(until) {
		return nil, false
	}
	if err != nil || x.Reservation != slice.Reserved {
		w.t.Fatalf("%+v, %v", x, err)
	}
	return x, true
}

// A reservation ends by the database's clock, whoever looks first, also after a
// restart; it does not end under an order that uses it.
func TestReservationsExpire(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.tenancy()
		w.small("site")
		var x *slice.Placement
		soon := inTime(t, func(soon time.Time) (ok bool) {
			if x, ok = w.reserved("mine", soon); !ok {
				return false
			}
			n, err := w.svc.Expire(w.ctx)
			held := w.kept(x.ID).Held
			if time.Now().After(soon) {
				return false
			}
			if err != nil || n != 0 || !held {
				t.Fatalf("%d %v %v: it is not due", n, err, held)
			}
			return true
		})
		replicas := []*fulfilment.Service{w.service(), w.service()} // started anew
		deadline := time.Now().Add(2 * time.Minute)
		for w.kept(x.ID).Held {
			if time.Now().After(deadline) {
				t.Fatal("it does not expire")
			}
			var both sync.WaitGroup
			for _, s := range replicas {
				both.Go(func() {
					if _, err := s.Expire(context.Background()); err != nil && !fault.Is(err, fault.PreconditionFailed) {
						t.Error(err)
					}
				})
			}
			both.Wait()
			time.Sleep(5 * time.Millisecond)
		}
		if time.Now().Before(soon) {
			t.Error("it ended before its time")
		}
		if got := w.kept(x.ID); got.Reservation != slice.Unreserved || got.KeptUntil.Before(soon) {
			t.Errorf("%+v", got)
		}
		w.agree()
		o := w.order("mine")
		o.Placement = x.ID
		_, err := w.svc.CreateSlice(w.ctx, o, fulfilment.Options{})
		conflict(t, err, "expired at")

		// Ordered in time, and planned late: it is still there.
		var res fulfilment.Result
		soon = inTime(t, func(soon time.Time) (ok bool) {
			if x, ok = w.reserved("late", soon); !ok {
				return false
			}
			o = w.order("late")
			o.Placement = x.ID
			if res, err = w.svc.CreateSlice(w.ctx, o, fulfilment.Options{}); err != nil && time.Now().Before(soon) {
				t.Fatal(err)
			}
			return err == nil
		})
		for time.Now().Before(soon.Add(50 * time.Millisecond)) {
			if _, err := w.svc.Expire(w.ctx); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if !w.kept(x.ID).Held {
			t.Error("it expired although it was ordered in time")
		}
		w.run()
		if op := w.ended(res.Operation.ID); op.State != operation.Completed {
			t.Errorf("%s %+v", op.State, op.RootCause)
		}
		w.agree()
	})
}

// An order that is cancelled before it was planned gives its reservation back.
func TestAReservationIsNotLostWithItsOrder(t *testing.T) {
	w := newWorld(t)
	w.tenancy()
	w.small("site")
	x := w.asked(reserve(w.order("mine"), nil))
	o := w.order("mine")
	o.Placement = x.ID
	res, err := w.svc.CreateSlice(w.ctx, o, fulfilment.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.svc.Delete(w.ctx, slice.KindPlacement, x.ID, fulfilment.Options{})
	conflict(t, err, "is being used by operation")
	if _, err := w.svc.Signal(w.ctx, res.Operation.ID, "cancel", operation.Forceful); err != nil {
		t.Fatal(err)
	}
	w.run()
	op := w.ended(res.Operation.ID)
	if got := w.kept(x.ID); got.Held || op.State == operation.Completed && got.Reservation != slice.Used {
		t.Errorf("%s: %+v", op.State, got)
	}
	w.agree()
}

// Deleting gives back; what is asked for is bounded; nothing is anyone else's.
func TestReservationsAreBoundedAndTheTenants(t *testing.T) {
	w := newWorld(t)
	w.tenancy()
	w.small("site")
	x := w.asked(reserve(w.order("mine"), nil))
	if _, err := w.svc.Delete(w.ctx, slice.KindPlacement, x.ID, fulfilment.Options{}); err != nil {
		t.Fatal(err)
	}
	w.agree()
	for _, until := range []time.Duration{-time.Minute, 25 * time.Hour} {
		at := time.Now().Add(until)
		_, _, err := w.svc.CheckFeasibility(w.ctx, reserve(w.order("mine"), &at), fulfilment.Options{})
		refused(t, until.String(), err, "requestedReservationExpiration")
	}
	_, _, err := w.svc.CheckFeasibility(w.ctx, fulfilment.FeasibilityCheck{}, fulfilment.Options{})
	refused(t, "nothing", err, "order")
	if dry, _, err := w.svc.CheckFeasibility(w.ctx, reserve(w.order("mine"), nil), fulfilment.Options{DryRun: true}); err != nil || dry.ID != "" {
		t.Errorf("%+v %v", dry, err)
	}
	w.agree()

	x = w.asked(reserve(w.order("mine"), nil))
	other := w.put(&slice.Tenant{Meta: slice.Meta{Name: "other"}}).Head().ID
	theirs := actor.With(context.Background(), actor.Actor{Key: "k", Role: slice.TenantAdmin, Tenants: []string{other}})
	if _, err := w.svc.Get(theirs, slice.KindPlacement, x.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
	if page, err := w.svc.List(theirs, operation.Query{Kind: slice.KindPlacement}); err != nil || len(page.Resources) != 0 {
		t.Errorf("%+v %v", page, err)
	}
	if _, err := w.svc.Delete(theirs, slice.KindPlacement, x.ID, fulfilment.Options{}); !fault.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
	o := w.order("theft")
	o.Slice.Tenant, o.Placement = other, x.ID
	_, err = w.svc.CreateSlice(theirs, o, fulfilment.Options{})
	refused(t, "theft", err, "placementId")
}

// A kept plan is run exactly, or refused with what changed: what it was, what it
// is.
func TestAPreviewIsRunExactlyOrRefused(t *testing.T) {
	w := newWorld(t)
	w.tenancy()
	for _, name := range []string{"one", "two"} {
		w.small(name)
	}
	w.run()
	keep := func(name string, at string) (*slice.Placement, fulfilment.SliceOrder) {
		o := w.order(name)
		o.Slice.Placement = &slice.PlacementPolicy{Infrastructures: []string{at}}
		x := w.asked(fulfilment.FeasibilityCheck{Order: &o, Keep: true, Name: name})
		if x.Feasibility != slice.Feasible || x.Held {
			t.Fatalf("%+v", x)
		}
		o.Placement = x.ID
		return x, o
	}
	// The order is free to go anywhere; the plan says one.
	x, o := keep("exact", "one")
	o.Slice.Placement = nil
	sl := w.up(o)
	if e := w.member(slice.KindIoTServer, sl, "cloud"); e.Run.Node != w.node("one-n").ID {
		t.Errorf("%+v, the plan was %+v", e.Run, x.Assignments)
	}

	_, stale := keep("stale", "two")
	two := w.node("two-n")
	patch := func(change func(*slice.Node)) {
		t.Helper()
		_, err := w.svc.Patch(w.ctx, slice.KindNode, two.ID, func(r slice.Resource) error { change(r.(*slice.Node)); return nil }, fulfilment.Options{})
		if err != nil {
			t.Fatal(err)
		}
	}
	patch(func(n *slice.Node) { n.CPU = 180 })
	_, err := w.svc.CreateSlice(w.ctx, stale, fulfilment.Options{})
	conflict(t, err, `node two-n: cpuMilli was 200, is 180`)
	_, err = w.svc.Converge(w.ctx, stale, fulfilment.Options{DryRun: true})
	conflict(t, err, `node two-n: cpuMilli was 200, is 180`)
	patch(func(n *slice.Node) { n.CPU = 200 })

	// Another's use of the row counts, also when it all would still fit.
	_, stale = keep("ledger", "two")
	little := w.order("little")
	little.Gateways, little.Devices = nil, nil
	little.Servers[0].Requirements = &slice.Requirements{CPU: 1, Memory: 1, Storage: 1}
	little.Slice.Placement = &slice.PlacementPolicy{Infrastructures: []string{"two"}}
	w.up(little)
	_, err = w.svc.CreateSlice(w.ctx, stale, fulfilment.Options{})
	conflict(t, err, "ledger two-n: cpuMilliUsed was 0, is 1, memoryMiBUsed was 0, is 1")

	// An infrastructure that has been cordoned; an order that is another.
	_, stale = keep("cordoned", "two")
	_, err = w.svc.Patch(w.ctx, slice.KindInfrastructure, two.Infrastructure, func(r slice.Resource) error { r.(*slice.Infrastructure).Cordoned = true; return nil }, fulfilment.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.svc.CreateSlice(w.ctx, stale, fulfilment.Options{})
	conflict(t, err, "infrastructure two: cordoned was not set, is true")
	_, err = w.svc.Patch(w.ctx, slice.KindInfrastructure, two.Infrastructure, func(r slice.Resource) error { r.(*slice.Infrastructure).Cordoned = false; return nil }, fulfilment.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, stale = keep("another", "two")
	stale.Servers[0].Requirements = &slice.Requirements{CPU: 101}
	_, err = w.svc.CreateSlice(w.ctx, stale, fulfilment.Options{})
	conflict(t, err, `is of another order: server "cloud" needs something else now: cpuMilli was 100, is 101`)
	w.agree()
}

// An order that is not the one its plan was made for is refused when it is posted:
// nothing of it is stored, and the plan can still be had.
func TestAPlanOfAnotherOrderIsRefusedAtOnce(t *testing.T) {
	w := newWorld(t)
	w.tenancy()
	w.small("one")
	w.small("two")
	o := w.order("mine")
	o.Slice.Placement = &slice.PlacementPolicy{Infrastructures: []string{"one"}}
	x := w.asked(reserve(o, nil))
	if x.Reservation != slice.Reserved {
		t.Fatalf("%+v", x)
	}
	for _, c := range []struct {
		name   string
		change func(*fulfilment.SliceOrder)
		says   string
	}{
		{"other needs", func(o *fulfilment.SliceOrder) { o.Servers[0].Requirements = &slice.Requirements{Memory: 65} }, `server "cloud" needs something else now: memoryMiB was 64, is 65`},
		{"another name", func(o *fulfilment.SliceOrder) { o.Servers[0].Name = "core" }, `it has no server "core"`},
		{"one less", func(o *fulfilment.SliceOrder) { o.Gateways, o.Devices = nil, nil }, `the slice has no gateway "edge"`},
		{"elsewhere", func(o *fulfilment.SliceOrder) {
			o.Slice.Placement = &slice.PlacementPolicy{Infrastructures: []string{"two"}}
		}, `the plan of placement "` + x.Name + `" does not hold for this order`},
	} {
		other := w.order("mine")
		other.Slice.Placement = &slice.PlacementPolicy{Infrastructures: []string{"one"}}
		other.Placement = x.ID
		c.change(&other)
		for _, call := range []func() error{
			func() error { _, err := w.svc.CreateSlice(w.ctx, other, fulfilment.Options{}); return err },
			func() error { _, err := w.svc.Converge(w.ctx, other, fulfilment.Options{}); return err },
		} {
			conflict(t, call(), c.says)
		}
	}
	if n := w.count(slice.KindIoTSlice, ""); n != 0 {
		t.Errorf("%d slices were stored", n)
	}
	if got := w.kept(x.ID); got.Reservation != slice.Reserved || !got.Held || got.Operation != "" {
		t.Errorf("%+v", got)
	}
	w.agree()
	w.run()
	o.Placement = x.ID
	w.up(o)
	w.agree()
}

// Slices that race for one link never get more than it has, on two replicas;
// what they held comes back.
func TestSlicesNeverOvercommitALink(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.tenancy()
		from, to := w.site("hall"), w.site("region")
		link := &slice.Link{Meta: slice.Meta{Name: "uplink"}, Infrastructure: from.ID, From: from.ID, To: to.ID, Level: "INFRASTRUCTURE", LatencyMS: 5, BandwidthKbit: 100}
		if _, err := w.svc.Create(w.ctx, link, fulfilment.Options{}); err != nil {
			t.Fatal(err)
		}
		w.run()
		first := w.svc
		w.svc = w.service()
		w.run()
		services := []*fulfilment.Service{first, w.svc}
		const n, each = 6, 40
		var ops [n]string
		var all sync.WaitGroup
		for i := range n {
			o := w.order(fmt.Sprint("racer-", i))
			o.Devices = nil
			o.Gateways[0].Requirements = &slice.Requirements{BandwidthKbit: each}
			o.Gateways[0].Placement = &slice.PlacementPolicy{Infrastructures: []string{"hall"}}
			o.Servers[0].Placement = &slice.PlacementPolicy{Infrastructures: []string{"region"}}
			all.Go(func() {
				res, err := services[i%2].CreateSlice(w.ctx, o, fulfilment.Options{})
				if err != nil {
					t.Error(err)
					return
				}
				ops[i] = res.Operation.ID
			})
		}
		all.Wait()
		var up []string
		for _, id := range ops {
			switch op := w.ended(id); op.State {
			case operation.Completed:
				up = append(up, op.Slice)
			case operation.RolledBack:
				if !strings.Contains(op.RootCause.Detail, "bandwidth") {
					t.Errorf("%+v", op.RootCause)
				}
			default:
				t.Errorf("%s", op.State)
			}
		}
		if len(up) != 2 {
			t.Errorf("%d slices of %d kbit/s run over a link of 100", len(up), each)
		}
		if kbit := w.linkUse(); !slices.Equal(kbit, []int64{80}) {
			t.Errorf("the ledger has %v", kbit)
		}
		w.agree()
		for _, id := range up {
			w.done(w.svc.Order(w.ctx, id, fulfilment.Request{Type: operation.Terminate}, fulfilment.Options{}))
		}
		if kbit := w.linkUse(); !slices.Equal(kbit, []int64{0}) {
			t.Errorf("the ledger has %v", kbit)
		}
		w.agree()
	})
}

// A plan that was begun is its operation's: held, mended and retried, it goes on,
// and its own uses are no change of what it relied on.
func TestAKeptPlanIsRetried(t *testing.T) {
	w := newWorld(t)
	w.tenancy()
	site := w.site("site")
	w.run()
	for _, held := range []bool{false, true} {
		name := fmt.Sprint("held-", held)
		o := w.order(name)
		x := w.asked(fulfilment.FeasibilityCheck{Order: &o, Keep: true, Reserve: held})
		o.Placement, o.Slice.OnFailure = x.ID, slice.Hold
		w.script(site, &simulated.Script{Failures: []simulated.Failure{{Call: "apply", Detail: "no such image"}}})
		res, err := w.svc.CreateSlice(w.ctx, o, fulfilment.Options{})
		if err != nil {
			t.Fatal(err)
		}
		op := w.until(res.Operation.ID, func(op *operation.Operation) bool { return op.State == operation.FailedTemp || op.State.Final() })
		w.script(site, &simulated.Script{})
		if op.State != operation.FailedTemp {
			t.Fatalf("%s %+v", op.State, op.RootCause)
		}
		if _, err := w.svc.Signal(w.ctx, op.ID, "retry", ""); err != nil {
			t.Fatal(err)
		}
		if op = w.ended(op.ID); op.State != operation.Completed {
			t.Errorf("%s %+v", op.State, op.RootCause)
		}
		w.agree()
		w.done(w.svc.Order(w.ctx, op.Slice, fulfilment.Request{Type: operation.Terminate}, fulfilment.Options{}))
		w.agree()
	}
}

// linkUse is the bandwidth in the ledger's link rows.
func (w *world) linkUse() (out []int64) {
	w.t.Helper()
	err := w.db.Read(w.ctx, func(ctx context.Context, tx operation.Tx) error {
		rows, _, err := tx.Ledger(ctx, 0)
		out = nil
		for _, r := range rows {
			if r.To != "" {
				out = append(out, r.Kbit)
			}
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}
