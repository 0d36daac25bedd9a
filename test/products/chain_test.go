package products_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/actor"
	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fulfilment"
	"github.com/osmoslice/osmoslice/internal/mqtt"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/platform"
	"github.com/osmoslice/osmoslice/internal/platform/edgex"
	"github.com/osmoslice/osmoslice/internal/platform/mainflux"
	"github.com/osmoslice/osmoslice/internal/platform/platformtest"
	"github.com/osmoslice/osmoslice/internal/secret"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/store"
)

// house is a service on a store, with one infrastructure where fakes run.
type house struct {
	t        *testing.T
	ctx      context.Context
	svc      *fulfilment.Service
	driver   *driver
	gateways platformtest.Gate // before every EdgeX
	servers  platformtest.Gate // before every Mainflux
	tenant   string
}

func newHouse(t *testing.T) *house {
	t.Helper()
	dir, ctx := t.TempDir(), actor.With(context.Background(), actor.Service("test"))
	db, err := store.Open(ctx, filepath.Join(dir, "osmoslice.db"), store.Options{Synchronous: "NORMAL"})
	must(t, err)
	keys, err := secret.CreateKeys(filepath.Join(dir, "secret.key"))
	must(t, err)
	h := &house{t: t, ctx: ctx}
	h.driver = &driver{running: map[string]*instance{}, gate: map[string]func(http.Handler) http.Handler{
		"edgex": h.gateways.Wrap, "mainflux": h.servers.Wrap,
	}}
	h.svc, err = fulfilment.New(fulfilment.Config{
		Store: db, Secrets: secret.New(keys, db), Marker: store.Marker,
		Plugins: map[string]domain.Plugin{"kubernetes": {Name: "kubernetes", Driver: h.driver}},
		Platforms: map[string]fulfilment.Platform{
			"edgex": {Gateway: edgex.NewGateway(nil)}, "mainflux": {Server: mainflux.NewServer(nil)},
		},
		ProveWithin: 10 * time.Second,
		Limits: operation.Limits{
			Attempts: 2, BackoffBase: 5 * time.Millisecond, BackoffMax: 20 * time.Millisecond,
			StepTimeout: time.Minute, Total: 10 * time.Minute, Rollback: time.Minute, Hold: time.Hour,
		},
	})
	must(t, err)
	_, err = h.svc.Bootstrap(ctx, "", func(string) error { return nil })
	must(t, err)
	runner, err := operation.NewRunner(operation.RunnerConfig{Store: db, Executor: h.svc, Drain: 5 * time.Second})
	must(t, err)
	run, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); _ = runner.Run(run) }()
	t.Cleanup(func() {
		stop()
		<-done
		h.driver.closeAll()
		_ = db.Close()
	})
	res, err := h.svc.Create(ctx, &slice.Tenant{Meta: slice.Meta{Name: "acme"}}, fulfilment.Options{})
	must(t, err)
	h.tenant = res.Resource.Head().ID
	_, err = h.svc.Create(ctx, &slice.Infrastructure{
		Meta: slice.Meta{Name: "cluster"}, SharedWith: []string{"*"}, Tier: "CLOUD", Plugin: "kubernetes",
	}, fulfilment.Options{})
	must(t, err)
	return h
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (h *house) order() fulfilment.SliceOrder {
	measures := []slice.Magnitude{{Name: "temperature", Unit: "Cel"}, {Name: "humidity", Unit: "%RH"}}
	return fulfilment.SliceOrder{
		Slice: slice.IoTSlice{Meta: slice.Meta{Name: "one", Tenant: h.tenant}}, Instantiate: true,
		Gateways: []slice.Element{{Meta: slice.Meta{Name: "edge"}, Product: "edgex"}},
		Servers:  []slice.Element{{Meta: slice.Meta{Name: "cloud"}, Product: "mainflux"}},
		Devices: []slice.Device{
			{Meta: slice.Meta{Name: "m-1"}, Gateway: "edge", Protocol: "MQTT", Magnitudes: measures},
			{Meta: slice.Meta{Name: "h-1"}, Gateway: "edge", Protocol: "HTTP", Magnitudes: measures},
		},
	}
}

func (h *house) ended(id string) *operation.Operation {
	h.t.Helper()
	for end := time.Now().Add(5 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		op, err := h.svc.Operation(h.ctx, id)
		must(h.t, err)
		if op.State.Final() {
			return op
		}
		if time.Now().After(end) {
			h.t.Fatalf("the operation is still %s: %+v", op.State, op.Steps)
		}
	}
}

func (h *house) create() (string, *operation.Operation) {
	h.t.Helper()
	res, err := h.svc.CreateSlice(h.ctx, h.order(), fulfilment.Options{})
	must(h.t, err)
	return res.Resource.Head().ID, h.ended(res.Operation.ID)
}

func (h *house) running() (gateways, servers int) {
	gateways, _ = h.driver.count("edgex")
	servers, _ = h.driver.count("mainflux")
	return gateways, servers
}

// TestTheWholeChain: order, install, connect, attach, provision, prove, readings
// of both kinds of devices end to end, and all of it away again.
func TestTheWholeChain(t *testing.T) {
	h := newHouse(t)
	id, op := h.create()
	if op.State != operation.Completed {
		t.Fatalf("%s: %+v", op.State, op.RootCause)
	}
	var actions []string
	for _, s := range op.Steps {
		actions = append(actions, s.Action)
		if s.Action == "prove" && !bytes.Contains(s.Result, []byte(platform.ProbeName)) {
			t.Errorf("the proof says %s", s.Result)
		}
	}
	if got := strings.Join(actions, " "); got != "apply connect apply attach provision prove" {
		t.Errorf("steps: %s", got)
	}
	_, gw := h.driver.count("edgex")
	_, server := h.driver.count("mainflux")
	if d, p, _ := gw.edgex.Counts(); d != 2 || p != 2 {
		t.Errorf("%d devices, %d profiles: the probe must be gone", d, p)
	}
	say(t, gw.access, 21.5)
	for _, name := range []string{"m-1:temperature", "h-1:temperature"} {
		arrives(t, server, name, 21.5)
	}
	term, err := h.svc.Order(h.ctx, id, fulfilment.Request{Type: operation.Terminate}, fulfilment.Options{})
	must(t, err)
	if op := h.ended(term.Operation.ID); op.State != operation.Completed {
		t.Fatalf("%s: %+v", op.State, op.RootCause)
	}
	if g, s := h.running(); g+s != 0 {
		t.Errorf("%d gateways and %d servers still run", g, s)
	}
}

// say has both devices send a temperature.
func say(t *testing.T, at map[string]string, value float64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := mqtt.Dial(ctx, mqtt.ClientOptions{Address: at["mqtt"], ClientID: "m-1"})
	must(t, err)
	defer c.Close()
	must(t, c.Publish(ctx, "incoming/data/m-1/temperature", 1, fmt.Append(nil, value)))
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, at["rest"]+"/api/v3/resource/h-1/temperature", strings.NewReader(fmt.Sprint(value)))
	must(t, err)
	response, err := http.DefaultClient.Do(request)
	must(t, err)
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("device-rest answered %d", response.StatusCode)
	}
}

// arrives waits until the server has a reading.
func arrives(t *testing.T, server *instance, name string, value float64) {
	t.Helper()
	_, password, _ := strings.Cut(string(server.d.Files["admin"]), ":")
	a := platform.Access{Endpoints: server.access, Token: password}
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		got, err := mainflux.NewServer(nil).Read(t.Context(), a, "edge", name, 1)
		must(t, err)
		if len(got) == 1 && got[0].Value == value && got[0].Unit == "Cel" {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s did not arrive: %+v", name, got)
		}
	}
}

// TestBrokenAtEveryCall breaks every call to the products in turn, for good. The
// order ends rolled back and nothing runs; or, where only the proof was broken,
// completed in part. What is broken once does not keep an order from completing.
func TestBrokenAtEveryCall(t *testing.T) {
	for _, product := range []string{"edgex", "mainflux"} {
		t.Run(product, func(t *testing.T) {
			t.Parallel()
			reached := false
			for n := 1; !reached; n++ {
				reached = broken(t, product, n)
				if n > 60 {
					t.Fatal("an order never completes")
				}
			}
		})
	}
}

func broken(t *testing.T, product string, n int) (reachedTheEnd bool) {
	t.Helper()
	h := newHouse(t)
	gate := map[string]*platformtest.Gate{"edgex": &h.gateways, "mainflux": &h.servers}[product]
	gate.Break(n, n%2 == 0, true)
	_, op := h.create()
	g, s := h.running()
	switch op.State {
	case operation.RolledBack:
		if g+s != 0 {
			t.Errorf("call %d: rolled back, and %d gateways and %d servers still run", n, g, s)
		}
	case operation.Completed, operation.PartiallyCompleted:
		if g != 1 || s != 1 {
			t.Errorf("call %d: %s, and %d gateways and %d servers run", n, op.State, g, s)
		}
		return op.State == operation.Completed
	default:
		t.Errorf("call %d: the order is %s: %+v", n, op.State, op.RootCause)
	}
	gate.Break(n, n%2 == 0, false) // once: a retry mends it
	res, err := h.svc.CreateSlice(h.ctx, second(h.order()), fulfilment.Options{})
	must(t, err)
	if op := h.ended(res.Operation.ID); op.State != operation.Completed {
		t.Errorf("call %d broken once: %s: %+v", n, op.State, op.RootCause)
	}
	return false
}

func second(o fulfilment.SliceOrder) fulfilment.SliceOrder {
	o.Slice.Name = "two"
	return o
}

// TestAGatewayThatFailsLeavesNothingAtItsServer: a second gateway cannot be told
// its devices; the first one and the server stay as they were.
func TestAGatewayThatFailsLeavesNothingAtItsServer(t *testing.T) {
	h := newHouse(t)
	_, op := h.create()
	if op.State != operation.Completed {
		t.Fatalf("%s: %+v", op.State, op.RootCause)
	}
	_, server := h.driver.count("mainflux")
	h.gateways.Break(2, true, true)
	o := h.order()
	o.Gateways = append(o.Gateways, slice.Element{Meta: slice.Meta{Name: "edge-2"}, Product: "edgex"})
	res, err := h.svc.Converge(h.ctx, o, fulfilment.Options{})
	must(t, err)
	if op := h.ended(res.Operation.ID); op.State != operation.RolledBack {
		t.Fatalf("%s: %+v", op.State, op.RootCause)
	}
	if th, ch, l := server.flux.Counts(); th != 1 || ch != 1 || l != 1 {
		t.Errorf("%d things, %d channels, %d links are at the server; want those of the first gateway", th, ch, l)
	}
	if g, s := h.running(); g != 1 || s != 1 {
		t.Errorf("%d gateways and %d servers run", g, s)
	}
	h.gateways.Heal()
	_, gw := h.driver.count("edgex")
	say(t, gw.access, 19)
	arrives(t, server, "m-1:temperature", 19)
}

// TestAPathThatIsNotProven leaves the slice running and says so.
func TestAPathThatIsNotProven(t *testing.T) {
	h := newHouse(t)
	h.gateways.Answer(100, http.MethodPost, "/api/v3/resource/", http.StatusBadRequest, "not today")
	_, op := h.create()
	if op.State != operation.PartiallyCompleted {
		t.Fatalf("%s: %+v", op.State, op.RootCause)
	}
	if op.RootCause == nil || !strings.Contains(op.RootCause.Detail, "not today") {
		t.Errorf("the cause is %+v", op.RootCause)
	}
	if g, s := h.running(); g != 1 || s != 1 {
		t.Errorf("%d gateways and %d servers run", g, s)
	}
}
