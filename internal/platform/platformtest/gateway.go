package platformtest

import (
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/platform"
)

// GatewayFixture is a fresh, running gateway product.
type GatewayFixture struct {
	Gateway platform.Gateway
	Access  platform.Access
	// Reading publishes one number as device d; an error means that the
	// gateway did not take it.
	Reading func(t *testing.T, d platform.Device, resource string, value float64) error
	// Uplink is a server that takes what the gateway delivers.
	Uplink platform.Uplink
	// Delivered answers how many readings arrived at Uplink.
	Delivered func(t *testing.T) int
	// Open: the product asks for no credential, so that none can be wrong.
	Open bool
	// Other starts a second instance, for platform.Mover.
	Other func(t *testing.T) platform.Access
}

// secret is a credential that must not show up anywhere.
const secret = "tell-nobody-4711"

func sensor(name string) platform.Device {
	return platform.Device{
		Name: name, Protocol: platform.MQTT, Secret: secret,
		Resources: []platform.Resource{{Name: "temperature", Unit: "Cel", Type: "number"}, {Name: "led", Type: "boolean", Writable: true}},
		Labels:    map[string]string{"floor": "2"},
	}
}

// ExerciseGateway runs the contract of platform.Gateway, and those of Commander
// and Mover where the adapter has them.
func ExerciseGateway(t *testing.T, start func(t *testing.T) GatewayFixture) {
	t.Run("Health", func(t *testing.T) { f := start(t); must(t, f.Gateway.Health(bounded(t), f.Access)) })
	t.Run("ProvisionIsIdempotent", func(t *testing.T) { gatewayProvision(t, start(t)) })
	t.Run("OneBadDevice", func(t *testing.T) { gatewayBadDevice(t, start(t)) })
	t.Run("DeprovisionRevokes", func(t *testing.T) { gatewayDeprovision(t, start(t)) })
	t.Run("AttachDelivers", func(t *testing.T) { gatewayAttach(t, start(t)) })
	t.Run("WrongToken", func(t *testing.T) { gatewayWrongToken(t, start(t)) })
	t.Run("Unreachable", func(t *testing.T) { gatewayUnreachable(t, start(t)) })
	t.Run("Commands", func(t *testing.T) { gatewayCommands(t, start(t)) })
	t.Run("Move", func(t *testing.T) { gatewayMove(t, start(t)) })
}

// provision provisions devices and wants every one to succeed.
func provision(t *testing.T, f GatewayFixture, devices ...platform.Device) {
	t.Helper()
	results, err := f.Gateway.Provision(bounded(t), f.Access, devices)
	must(t, err)
	if len(results) != len(devices) {
		t.Fatalf("%d results for %d devices", len(results), len(devices))
	}
	for i, r := range results {
		if r.Name != devices[i].Name || r.Err != nil {
			t.Errorf("result %d: %q, %v; want %q without error", i, r.Name, r.Err, devices[i].Name)
		}
	}
}

func gatewayProvision(t *testing.T, f GatewayFixture) {
	one, two := sensor("sensor-1"), sensor("sensor-2")
	provision(t, f, one, two)
	provision(t, f, one, two)
	one.Resources = append(one.Resources, platform.Resource{Name: "humidity", Unit: "%RH", Type: "number"})
	provision(t, f, one)
	provision(t, f)
	need(t, f.Reading != nil, "device")
	must(t, f.Reading(t, one, "humidity", 40))
	must(t, f.Reading(t, two, "temperature", 21))
}

func gatewayBadDevice(t *testing.T, f GatewayFixture) {
	bad := sensor("no name like this")
	devices := []platform.Device{sensor("sensor-1"), bad, sensor("sensor-2")}
	results, err := f.Gateway.Provision(bounded(t), f.Access, devices)
	must(t, err)
	if len(results) != 3 || results[0].Err != nil || results[2].Err != nil {
		t.Fatalf("results %+v: the good devices must succeed", results)
	}
	wantFault(t, results[1].Err, fault.Never, fault.Invalid, fault.Malformed, fault.Conflict)
	wantSilent(t, results[1].Err, secret)
}

func gatewayDeprovision(t *testing.T, f GatewayFixture) {
	d := sensor("sensor-1")
	provision(t, f, d, sensor("sensor-2"))
	for range 2 {
		results, err := f.Gateway.Deprovision(bounded(t), f.Access, []string{"sensor-1", "never-there"})
		must(t, err)
		for _, r := range results {
			if r.Err != nil {
				t.Errorf("%s: %v", r.Name, r.Err)
			}
		}
	}
	need(t, f.Reading != nil, "device")
	if err := f.Reading(t, d, "temperature", 21); err == nil {
		t.Error("a device that was removed is still served")
	}
	must(t, f.Reading(t, sensor("sensor-2"), "temperature", 21))
}

func gatewayAttach(t *testing.T, f GatewayFixture) {
	ctx := bounded(t)
	d := sensor("sensor-1")
	provision(t, f, d)
	must(t, f.Gateway.Detach(ctx, f.Access))
	need(t, f.Reading != nil && f.Delivered != nil, "device and server")
	must(t, f.Reading(t, d, "temperature", 1))
	must(t, f.Gateway.Attach(ctx, f.Access, f.Uplink))
	must(t, f.Gateway.Attach(ctx, f.Access, f.Uplink))
	must(t, f.Reading(t, d, "temperature", 2))
	eventually(t, "both readings arrive", func() bool { return f.Delivered(t) == 2 })
	must(t, f.Gateway.Detach(ctx, f.Access))
	must(t, f.Gateway.Detach(ctx, f.Access))
}

func gatewayWrongToken(t *testing.T, f GatewayFixture) {
	if f.Open {
		t.Log("the product asks for no credential")
		return
	}
	a := f.Access
	a.Token = "wrong-" + a.Token
	_, err := f.Gateway.Provision(bounded(t), a, []platform.Device{sensor("sensor-1")})
	wantFault(t, err, fault.Never, fault.Unauthenticated, fault.Forbidden)
	wantSilent(t, err, a.Token, secret)
	wantFault(t, f.Gateway.Attach(bounded(t), a, f.Uplink), fault.Never, fault.Unauthenticated, fault.Forbidden)
}

func gatewayUnreachable(t *testing.T, f GatewayFixture) {
	a := elsewhere(t, f.Access)
	wantFault(t, f.Gateway.Health(bounded(t), a), fault.Backoff, fault.Unavailable, fault.Timeout)
	_, err := f.Gateway.Provision(bounded(t), a, []platform.Device{sensor("sensor-1")})
	wantFault(t, err, fault.Backoff, fault.Unavailable, fault.Timeout)
	wantSilent(t, err, a.Token, secret)
	_, err = f.Gateway.Deprovision(bounded(t), a, []string{"sensor-1"})
	wantFault(t, err, fault.Backoff, fault.Unavailable, fault.Timeout)
	wantFault(t, f.Gateway.Detach(bounded(t), a), fault.Backoff, fault.Unavailable, fault.Timeout)
}

func gatewayCommands(t *testing.T, f GatewayFixture) {
	commander, ok := f.Gateway.(platform.Commander)
	if !ok {
		t.Log("the product takes no commands")
		return
	}
	ctx := bounded(t)
	provision(t, f, sensor("sensor-1"))
	c := platform.Command{ID: "c-1", Device: "sensor-1", Resource: "led", Value: true}
	for range 2 {
		state, err := commander.Send(ctx, f.Access, c)
		must(t, err)
		if state != platform.CommandPending && state != platform.CommandDelivered {
			t.Errorf("state %q after Send", state)
		}
	}
	state, err := commander.CommandState(ctx, f.Access, "c-1")
	must(t, err)
	if state == "" {
		t.Error("no state")
	}
	c.Value = false
	_, err = commander.Send(ctx, f.Access, c)
	wantFault(t, err, fault.Never, fault.Conflict)
	_, err = commander.CommandState(ctx, f.Access, "never-sent")
	wantFault(t, err, fault.Never, fault.NotFound)
	_, err = commander.Send(ctx, f.Access, platform.Command{ID: "c-2", Device: "never-there", Resource: "led", Value: 1.0})
	wantFault(t, err, fault.Never, fault.Invalid, fault.NotFound)
	_, err = commander.Send(ctx, f.Access, platform.Command{ID: "c-3", Device: "sensor-1", Resource: "led", Value: time.Second})
	wantFault(t, err, fault.Never, fault.Invalid)
}

func gatewayMove(t *testing.T, f GatewayFixture) {
	mover, ok := f.Gateway.(platform.Mover)
	if !ok {
		t.Log("the product's state cannot be moved")
		return
	}
	need(t, f.Other != nil && f.Reading != nil && f.Delivered != nil, "second instance")
	ctx := bounded(t)
	d := sensor("sensor-1")
	provision(t, f, d)
	must(t, f.Reading(t, d, "temperature", 1))
	state, err := mover.Export(ctx, f.Access)
	must(t, err)
	if err := f.Reading(t, d, "temperature", 2); err == nil {
		t.Error("the exported instance still takes readings, which cannot follow")
	}
	other := f.Other(t)
	for range 2 {
		must(t, mover.Import(ctx, other, state))
	}
	must(t, f.Gateway.Attach(ctx, other, f.Uplink))
	eventually(t, "the queued reading arrives from the new instance", func() bool { return f.Delivered(t) == 1 })
	must(t, mover.Import(ctx, other, state))
	if n := f.Delivered(t); n != 1 {
		t.Errorf("%d readings after another Import, want 1", n)
	}
	results, err := f.Gateway.Provision(ctx, other, []platform.Device{d})
	must(t, err)
	must(t, results[0].Err)
	wantFault(t, mover.Import(ctx, other, []byte("not a state")), fault.Never, fault.Invalid, fault.Malformed)
}
