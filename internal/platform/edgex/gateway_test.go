package edgex_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/mqtt"
	"github.com/osmoslice/osmoslice/internal/platform"
	"github.com/osmoslice/osmoslice/internal/platform/edgex"
	"github.com/osmoslice/osmoslice/internal/platform/edgex/edgextest"
	"github.com/osmoslice/osmoslice/internal/platform/mainflux"
	"github.com/osmoslice/osmoslice/internal/platform/mainflux/mainfluxtest"
	"github.com/osmoslice/osmoslice/internal/platform/platformtest"
)

func start(t *testing.T, o edgextest.Options) *edgextest.Fake {
	t.Helper()
	f, err := edgextest.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func startServer(t *testing.T) *mainfluxtest.Fake {
	t.Helper()
	f, err := mainfluxtest.New(mainfluxtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

const password = "password-of-the-tests"

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// publish says something as an MQTT device.
func publish(t *testing.T, f *edgextest.Fake, topic, payload string) {
	t.Helper()
	c, err := mqtt.Dial(bounded(t), mqtt.ClientOptions{Address: f.Access().Endpoints["mqtt"], ClientID: "device"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Publish(bounded(t), topic, 1, []byte(payload)); err != nil {
		t.Fatal(err)
	}
}

// TestGateway runs the contract; what is delivered arrives at a Mainflux.
func TestGateway(t *testing.T) {
	platformtest.ExerciseGateway(t, func(t *testing.T) platformtest.GatewayFixture {
		f, server := start(t, edgextest.Options{}), startServer(t)
		u, err := mainflux.NewServer(nil).Connect(bounded(t), server.Access(password), "gw")
		if err != nil {
			t.Fatal(err)
		}
		return platformtest.GatewayFixture{
			Gateway: edgex.NewGateway(nil), Access: f.Access(), Uplink: u, Open: true,
			Reading: func(t *testing.T, d platform.Device, resource string, value float64) error {
				_, _, before := f.Counts()
				publish(t, f, "incoming/data/"+d.Name+"/"+resource, fmt.Sprint(value))
				if _, _, after := f.Counts(); after == before {
					return errors.New("no event was made of it")
				}
				return nil
			},
			Delivered: func(*testing.T) int { return server.Stored(strings.Split(u.Topic, "/")[1]) },
		}
	})
}

// TestRecordings proves that the fake answers as the product did.
func TestRecordings(t *testing.T) {
	replay := func(t *testing.T, f *edgextest.Fake, file string) {
		r := platformtest.Replayer{
			Endpoints: f.Access().Endpoints,
			Publish: func(t *testing.T, _, topic, payload string) int {
				publish(t, f, topic, payload)
				return 0
			},
			Volatile: []string{"id", "created", "modified", "origin", "baseAddress", "url", "timestamp", "host", "port"},
		}
		r.Replay(t, file)
	}
	mqttOnly := edgextest.Options{Services: []string{"device-mqtt"}}
	t.Run("provision", func(t *testing.T) {
		f := start(t, mqttOnly)
		thermo(t, f, false)
		replay(t, f, "testdata/provision.txt")
	})
	t.Run("http-device", func(t *testing.T) {
		f := start(t, edgextest.Options{})
		thermo(t, f, true)
		replay(t, f, "testdata/http-device.txt")
	})
	t.Run("deprovision", func(t *testing.T) {
		f := start(t, mqttOnly)
		thermo(t, f, true)
		replay(t, f, "testdata/deprovision.txt")
	})
}

// thermo makes the profile, and perhaps the device, that the recordings find.
func thermo(t *testing.T, f *edgextest.Fake, device bool) {
	t.Helper()
	post := func(path, body string) {
		request, err := http.NewRequestWithContext(bounded(t), http.MethodPost, f.Access().Endpoints["metadata"]+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil || response.StatusCode != http.StatusMultiStatus {
			t.Fatal(err)
		}
		_ = response.Body.Close()
	}
	post("/api/v3/deviceprofile", `[{"profile":{"name":"slice1-thermo","deviceResources":[
		{"name":"temperature","properties":{"valueType":"Float64","readWrite":"R","units":"Cel"}},
		{"name":"humidity","properties":{"valueType":"Float64","readWrite":"R","units":"%RH"}}],
		"deviceCommands":[{"name":"all","readWrite":"R","resourceOperations":[{"deviceResource":"temperature"},{"deviceResource":"humidity"}]}]}}]`)
	if device {
		post("/api/v3/device", `[{"device":{"name":"dev1","labels":["slice1"],"serviceName":"device-mqtt","profileName":"slice1-thermo","protocols":{"mqtt":{}}}}]`)
	}
}

func thermometer(name string, p platform.Protocol) platform.Device {
	low := -40.0
	return platform.Device{Name: name, Protocol: p, Resources: []platform.Resource{
		{Name: "temperature", Unit: "Cel", Type: "number", Min: &low, Deadband: 0.1}, {Name: "humidity", Unit: "%RH", Type: "number"},
	}, Labels: map[string]string{"floor": "2"}}
}

// TestStarting: a device service that metadata does not know yet, and one that
// does not answer, are waited for.
func TestStarting(t *testing.T) {
	f := start(t, edgextest.Options{Services: []string{"device-rest"}})
	g, ctx := edgex.NewGateway(nil), bounded(t)
	if err := g.Health(ctx, f.Access()); !fault.Is(err, fault.Unavailable) || fault.Of(err).Retry != fault.Backoff {
		t.Errorf("healthy without device-mqtt: %v", err)
	}
	f.Silence("device-rest", true)
	time.AfterFunc(300*time.Millisecond, func() { f.Register("device-mqtt") })
	time.AfterFunc(600*time.Millisecond, func() { f.Silence("device-rest", false) })
	results, err := g.Provision(ctx, f.Access(), []platform.Device{thermometer("a", platform.MQTT), thermometer("b", platform.HTTP)})
	if err != nil || results[0].Err != nil || results[1].Err != nil {
		t.Fatalf("%+v, %v", results, err)
	}
	if d, p, _ := f.Counts(); d != 2 || p != 2 {
		t.Errorf("%d devices, %d profiles", d, p)
	}
	if err := g.Health(ctx, f.Access()); err != nil {
		t.Error(err)
	}
}

// TestWhatEdgeXCannotTake names the field and what it would take.
func TestWhatEdgeXCannotTake(t *testing.T) {
	f := start(t, edgextest.Options{})
	g, ctx := edgex.NewGateway(nil), bounded(t)
	coap := thermometer("c", platform.CoAP)
	empty := platform.Device{Name: "e", Protocol: platform.MQTT}
	address := thermometer("a", platform.HTTP)
	address.Address = "https://10.0.0.7/api"
	odd := thermometer("o", platform.MQTT)
	odd.Resources[0].Type = "picture"
	results, err := g.Provision(ctx, f.Access(), []platform.Device{coap, empty, address, odd, thermometer("good", platform.MQTT)})
	if err != nil {
		t.Fatal(err)
	}
	for i, field := range []string{"protocol", "resources", "address", "resources/type"} {
		e := fault.Of(results[i].Err)
		if e == nil || e.Kind != fault.Invalid || e.Retry != fault.Never || len(e.Params) != 1 || e.Params[0].Field != field {
			t.Errorf("%s: %v, want an error about %s", results[i].Name, results[i].Err, field)
		}
	}
	if d, p, _ := f.Counts(); results[4].Err != nil || d != 1 || p != 1 {
		t.Errorf("%v: %d devices, %d profiles; the good one must be there alone", results[4].Err, d, p)
	}
	err = g.Attach(ctx, f.Access(), platform.Uplink{Protocol: platform.HTTP, Address: "http://x/y", Password: "hush"})
	if !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "hush") {
		t.Errorf("%v", err)
	}
}

// TestChange: a device that differs, in what it measures or in its protocol, is
// made anew, and nothing of the former one stays.
func TestChange(t *testing.T) {
	f := start(t, edgextest.Options{})
	g, ctx := edgex.NewGateway(nil), bounded(t)
	for _, p := range []platform.Protocol{platform.MQTT, platform.HTTP, platform.HTTP} {
		results, err := g.Provision(ctx, f.Access(), []platform.Device{thermometer("a", p)})
		if err != nil || results[0].Err != nil {
			t.Fatalf("%+v, %v", results, err)
		}
		if d, n, _ := f.Counts(); d != 1 || n != 1 {
			t.Errorf("%d devices, %d profiles", d, n)
		}
	}
	if err := g.Probe(ctx, f.Access(), 42); err != nil {
		t.Error(err)
	}
}

// TestBrokenAtEveryCall breaks each request of a whole life in turn, before its
// effect and after it. A repetition completes; the undoing, broken as well at
// that place, leaves nothing behind.
func TestBrokenAtEveryCall(t *testing.T) {
	u := platform.Uplink{Protocol: platform.MQTT, Address: "tcp://127.0.0.1:1", Topic: "channels/c/messages", ClientID: "g", Username: "u", Password: "hush"}
	for _, after := range []bool{false, true} {
		done := false
		for n := 1; !done; n++ {
			gate := &platformtest.Gate{}
			f := start(t, edgextest.Options{Wrap: gate.Wrap})
			g, ctx, a := edgex.NewGateway(nil), bounded(t), f.Access()
			devices := []platform.Device{thermometer("a", platform.MQTT), thermometer("b", platform.HTTP)}
			do := func() error {
				if err := g.Attach(ctx, a, u); err != nil {
					return err
				}
				return items(g.Provision(ctx, a, devices))
			}
			undo := func() error {
				if err := items(g.Deprovision(ctx, a, []string{"b", "a"})); err != nil {
					return err
				}
				return g.Detach(ctx, a)
			}
			gate.Break(n, after, true)
			broken := do()
			gate.Heal()
			if broken != nil && (fault.Of(broken).Retry != fault.Backoff || strings.Contains(broken.Error(), "hush")) {
				t.Errorf("call %d: %v", n, broken)
			}
			if n%2 == 1 { // else it was given up where it broke
				if err := do(); err != nil {
					t.Fatalf("call %d: %v", n, err)
				}
				if d, p, _ := f.Counts(); d != 2 || p != 2 || !f.Attached() {
					t.Errorf("call %d: %d devices, %d profiles, attached: %v", n, d, p, f.Attached())
				}
			}
			gate.Break(n, after, true)
			undone := undo()
			gate.Heal()
			if err := undo(); err != nil {
				t.Fatalf("call %d: %v", n, err)
			}
			if d, p, _ := f.Counts(); d+p != 0 || f.Attached() {
				t.Errorf("call %d: %d devices, %d profiles are left, attached: %v", n, d, p, f.Attached())
			}
			done = broken == nil && undone == nil
		}
	}
}

// items is the first error of a batch.
func items(results []platform.Result, err error) error {
	for _, r := range results {
		if err == nil {
			err = r.Err
		}
	}
	return err
}

// TestCommands reach the device service once.
func TestCommands(t *testing.T) {
	f := start(t, edgextest.Options{})
	g, ctx := edgex.NewGateway(nil), bounded(t)
	d := thermometer("a", platform.MQTT)
	d.Resources = append(d.Resources, platform.Resource{Name: "led", Type: "boolean", Writable: true})
	if err := items(g.Provision(ctx, f.Access(), []platform.Device{d})); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		state, err := g.Send(ctx, f.Access(), platform.Command{ID: "c-1", Device: "a", Resource: "led", Value: true})
		if err != nil || state != platform.CommandDelivered {
			t.Fatal(state, err)
		}
	}
	if got := f.Written(); len(got) != 1 || got[0] != (edgextest.Written{Device: "a", Resource: "led", Value: "true"}) {
		t.Errorf("the device got %+v", got)
	}
	if _, err := g.Send(ctx, f.Access(), platform.Command{ID: "c-2", Device: "a", Resource: "temperature", Value: 1.0}); !fault.Is(err, fault.Invalid) {
		t.Errorf("%v: temperature cannot be written", err)
	}
	if state, err := g.CommandState(ctx, f.Access(), "c-2"); err != nil || state != platform.CommandFailed {
		t.Error(state, err)
	}
}

// TestQueueWhileTheServerIsAway: what comes in between arrives in the end.
func TestQueueWhileTheServerIsAway(t *testing.T) {
	f, server := start(t, edgextest.Options{}), startServer(t)
	g, s, ctx := edgex.NewGateway(nil), mainflux.NewServer(nil), bounded(t)
	u, err := s.Connect(ctx, server.Access(password), "gw")
	if err != nil {
		t.Fatal(err)
	}
	if err := items(g.Provision(ctx, f.Access(), []platform.Device{thermometer("a", platform.MQTT)})); err != nil {
		t.Fatal(err)
	}
	publish(t, f, "incoming/data/a/all", `{"temperature":22.25,"humidity":41}`)
	away := u
	away.Address = "tcp://127.0.0.1:1"
	for _, to := range []platform.Uplink{away, u} {
		if err := g.Attach(ctx, f.Access(), to); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "both readings arrive", func() bool { return server.Stored(strings.Split(u.Topic, "/")[1]) == 2 })
	got, err := s.Read(ctx, server.Access(password), "gw", "a:humidity", 1)
	if err != nil || len(got) != 1 || got[0].Value != 41.0 || got[0].Unit != "%RH" {
		t.Errorf("%+v, %v", got, err)
	}
}
