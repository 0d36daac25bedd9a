package simulated

import (
	"context"
	"reflect"
	"slices"
	"testing"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/platform"
)

func access(ref domain.Ref) platform.Access {
	return platform.Access{Endpoints: map[string]string{"api": endpoint(ref.Site.ID, ref.Release, "api")}}
}

func devices(names ...string) []platform.Device {
	var list []platform.Device
	for _, n := range names {
		list = append(list, platform.Device{Name: n, Protocol: platform.MQTT, Secret: "hunter2"})
	}
	return list
}

// exercisePlatform runs a gateway and server through the port's contract.
func exercisePlatform(t *testing.T, w *world, ref domain.Ref) {
	t.Helper()
	ctx, p, a := context.Background(), w.d.Platform(), access(ref)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(p.Health(ctx, a))
	u, err := p.Connect(ctx, a, "gw1")
	must(err)
	again, err := p.Connect(ctx, a, "gw1")
	must(err)
	if !reflect.DeepEqual(u, again) || u.Password == "" {
		t.Errorf("connecting again: %+v, then %+v", u, again)
	}
	u.Password = "hunter2"
	must(p.Attach(ctx, a, u))
	must(p.Attach(ctx, a, u))
	for range 2 {
		results, err := p.Provision(ctx, a, devices("d1", "d2"))
		must(err)
		if len(results) != 2 || results[0].Err != nil || results[1].Name != "d2" {
			t.Errorf("%+v", results)
		}
	}
	st, err := p.Send(ctx, a, platform.Command{ID: "c1", Device: "d1", Resource: "led", Value: true})
	if err != nil || st != platform.CommandDelivered {
		t.Errorf("command: %s, %v", st, err)
	}
	if st, err := p.CommandState(ctx, a, "c1"); err != nil || st != platform.CommandDelivered {
		t.Errorf("command's state: %s, %v", st, err)
	}
	if _, err := p.Send(ctx, a, platform.Command{ID: "c2", Device: "nobody"}); !fault.Is(err, fault.NotFound) {
		t.Errorf("command to nobody: %v", err)
	}
	for range 2 {
		if _, err := p.Deprovision(ctx, a, []string{"d1", "unknown"}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPlatform(t *testing.T) {
	w := newWorld(t, "", `{}`)
	if err := w.apply("gw", 1); err != nil {
		t.Fatal(err)
	}
	ref := w.wish("gw", 1).Ref
	exercisePlatform(t, w, ref)
	h := holdings(t, w)[0]
	if !slices.Equal(h.Devices, []string{"d2"}) || h.Uplink == "" || !slices.Equal(h.Gateways, []string{"gw1"}) {
		t.Errorf("%+v", h)
	}
	ctx, p := context.Background(), w.d.Platform()
	before, err := p.Connect(ctx, access(ref), "gw1")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Disconnect(ctx, access(ref), "gw1"); err != nil {
		t.Fatal(err)
	}
	after, err := p.Connect(ctx, access(ref), "gw1")
	if err != nil || after.Password == before.Password || after.Topic != before.Topic {
		t.Errorf("a revoked key comes back: %+v, %v", after, err)
	}
}

func TestAGatewayMovesWithItsDevices(t *testing.T) {
	w := newWorld(t, "", `{}`)
	ctx, p := context.Background(), w.d.Platform()
	for _, r := range []string{"old", "new"} {
		if err := w.apply(r, 1); err != nil {
			t.Fatal(err)
		}
	}
	old, next := access(w.wish("old", 1).Ref), access(w.wish("new", 1).Ref)
	if _, err := p.Provision(ctx, old, devices("d1", "d2")); err != nil {
		t.Fatal(err)
	}
	state, err := p.Export(ctx, old)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := p.Import(ctx, next, state); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range holdings(t, w) {
		if !slices.Equal(h.Devices, []string{"d1", "d2"}) {
			t.Errorf("%s has %q", h.Release, h.Devices)
		}
	}
}

func TestPlatformFailsAsItsSiteDoes(t *testing.T) {
	w := newWorld(t, "", `{"latencyMs": {"ready": 1000}, "failures": [
		{"call": "provision", "device": "bad*", "kind": "conflict", "detail": "taken"},
		{"call": "attach", "times": 1}]}`)
	ctx, p := context.Background(), w.d.Platform()
	if err := w.apply("gw", 1); err != nil {
		t.Fatal(err)
	}
	a := access(w.wish("gw", 1).Ref)
	if err := p.Health(ctx, a); !fault.Is(err, fault.Unavailable) {
		t.Errorf("before it is ready: %v", err)
	}
	w.c.add(2e9)
	results, err := p.Provision(ctx, a, devices("good", "bad1"))
	if err != nil || results[0].Err != nil || !fault.Is(results[1].Err, fault.Conflict) {
		t.Errorf("%+v, %v", results, err)
	}
	if err := p.Attach(ctx, a, platform.Uplink{}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("first attach: %v", err)
	}
	if err := p.Attach(ctx, a, platform.Uplink{}); err != nil {
		t.Errorf("second attach: %v", err)
	}
	if err := w.d.Script(ctx, w.site.ID, &Script{Loss: Partitioned}); err != nil {
		t.Fatal(err)
	}
	if err := p.Health(ctx, a); !fault.Is(err, fault.Unavailable) {
		t.Errorf("while partitioned: %v", err)
	}
	if err := p.Health(ctx, platform.Access{Endpoints: map[string]string{"api": "http://x/"}}); !fault.Is(err, fault.Invalid) {
		t.Errorf("elsewhere: %v", err)
	}
}
