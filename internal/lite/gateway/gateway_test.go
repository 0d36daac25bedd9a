package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/lite/gateway"
	"github.com/osmoslice/osmoslice/internal/lite/queue"
	"github.com/osmoslice/osmoslice/internal/mqtt"
	"github.com/osmoslice/osmoslice/internal/senml"
	"github.com/osmoslice/osmoslice/test/devices"
)

// Every protocol in every format reaches the server as the same SenML.
func TestReadingsReachTheServer(t *testing.T) {
	s := startServer(t)
	g := start(t, nil)
	g.attach(s)
	at := time.Now().Truncate(time.Second)
	for _, protocol := range []string{"MQTT", "HTTP", "COAP", "COAPS"} {
		for _, format := range []devices.Format{devices.JSON, devices.CBOR, devices.Plain} {
			name := strings.ToLower(protocol) + "-" + string(format)
			t.Run(name, func(t *testing.T) {
				d := g.device(name, protocol, format, gateway.Resource{Name: "t", Unit: "Cel"}, gateway.Resource{Name: "door", Type: "string"})
				if err := d.Send(t.Context(), devices.Reading{Resource: "t", Value: 21.5, Time: at}, devices.Reading{Resource: "door", Value: "open", Time: at}); err != nil {
					t.Fatal(err)
				}
				eventually(t, "readings at the server", func() bool {
					return slices.Equal(s.values(name+":t"), []any{21.5}) && slices.Equal(s.values(name+":door"), []any{"open"})
				})
				for _, r := range s.got() {
					if r.Name == name+":t" && (r.Unit != "Cel" || format != devices.Plain && r.Time != senml.Seconds(at)) {
						t.Fatalf("%+v", r)
					}
				}
			})
		}
	}
}

func TestEdgeFunctionsEndToEnd(t *testing.T) {
	s := startServer(t)
	g := start(t, nil)
	g.attach(s)
	high := 100.0
	d := g.device("d", "MQTT", devices.JSON,
		gateway.Resource{Name: "t", Unit: "Cel", Max: &high, Aggregate: "mean", Window: gateway.Duration(200 * time.Millisecond)},
		gateway.Resource{Name: "level", Deadband: 5})
	at := time.Now().Truncate(time.Second)
	for i, v := range []float64{10, 20, 30, 1000} {
		if err := d.Send(t.Context(), devices.Reading{Resource: "t", Value: v, Time: at.Add(time.Duration(i) * time.Millisecond)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range []float64{1, 2, 7, 3} {
		if err := d.Send(t.Context(), devices.Reading{Resource: "level", Value: v}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the mean of the window", func() bool { return slices.Equal(s.values("d:t"), []any{20.0}) })
	eventually(t, "the changes of level", func() bool { return slices.Equal(s.values("d:level"), []any{1.0, 7.0}) })
	want := map[string]uint64{"received/mqtt": 8, "passed": 2, "filtered/range": 1, "filtered/deadband": 2, "aggregated": 3, "emitted": 1}
	for key, n := range want {
		if got := g.Totals()[key]; got != n {
			t.Errorf("%s: %d, want %d", key, got, n)
		}
	}
}

// Registry, queue, windows and counters survive an end without Close.
func TestStateSurvivesAKill(t *testing.T) {
	s := startServer(t)
	data := t.TempDir()
	g := start(t, func(c *gateway.Config) { c.Data = data })
	d := g.device("d", "HTTP", devices.JSON, gateway.Resource{Name: "t"}, gateway.Resource{Name: "sum", Aggregate: "sum", Window: gateway.Duration(time.Hour)})
	for i := range 10 {
		if err := d.Send(t.Context(), number(float64(i)), devices.Reading{Resource: "sum", Value: 1.0}); err != nil {
			t.Fatal(err)
		}
	}
	before := g.Totals()
	after := t.TempDir()
	if err := os.CopyFS(after, os.DirFS(data)); err != nil { // what a kill leaves
		t.Fatal(err)
	}
	g = start(t, func(c *gateway.Config) { c.Data = after })
	if got := g.Totals(); fmt.Sprint(got) != fmt.Sprint(before) {
		t.Fatalf("counters %v, want %v", got, before)
	}
	g.attach(s)
	eventually(t, "ten readings", func() bool { return len(s.values("d:t")) == 10 })
	// Removing the device closes its window, so its readings are not lost.
	g.must(204, "DELETE", "/devices/d", nil, nil)
	eventually(t, "the sum over the kill", func() bool { return slices.Equal(s.values("d:sum"), []any{10.0}) })
}

func TestServerAwayThenBack(t *testing.T) {
	s := startServer(t)
	g := start(t, nil)
	d := g.device("d", "MQTT", devices.JSON)
	var down atomic.Bool
	s.refuse = func(string) mqtt.Outcome {
		if down.Load() {
			return mqtt.Abort
		}
		return mqtt.Accept
	}
	g.attach(s)
	for i := range 60 {
		if i%20 == 10 {
			down.Store(true)
		}
		if i%20 == 15 {
			down.Store(false)
		}
		if err := d.Send(t.Context(), number(float64(i))); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all readings once", func() bool { return len(s.values("d:t")) >= 60 })
	for i, v := range s.values("d:t") {
		if v != float64(i) {
			t.Fatalf("reading %d is %v", i, v)
		}
	}
}

// The uplink changes to another server without a restart.
func TestAttachElsewhere(t *testing.T) {
	one, two := startServer(t), startServer(t)
	g := start(t, nil)
	d := g.device("d", "HTTP", devices.JSON)
	g.attach(one)
	if err := d.Send(t.Context(), number(1)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "first reading at the first server", func() bool { return len(one.got()) == 1 })
	g.must(204, "DELETE", "/uplink", nil, nil)
	if err := d.Send(t.Context(), number(2)); err != nil {
		t.Fatal(err)
	}
	g.attach(two)
	eventually(t, "second reading at the second server", func() bool { return slices.Equal(two.values("d:t"), []any{2.0}) })
	if len(one.got()) != 1 {
		t.Fatal("the first server got more after it was detached")
	}
}

func TestHTTPUplinkWithDropsAndRetries(t *testing.T) {
	var mu sync.Mutex
	var values []float64
	fails := 2
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Header.Get("Authorization") != "thing-key" || r.Header.Get("X-Gateway-Sequence") == "" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if fails--; fails >= 0 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		body := make([]byte, 1<<20)
		n := 0
		for {
			k, err := r.Body.Read(body[n:])
			n += k
			if err != nil {
				break
			}
		}
		pack, err := senml.DecodeJSON(body[:n], senml.Limits{})
		if err != nil {
			t.Error(err)
		}
		for _, rec := range pack {
			if rec.Value.Float() == 13 { // a server that refuses one record, and so its batch
				w.WriteHeader(http.StatusBadRequest)
				return
			}
		}
		for _, rec := range pack {
			values = append(values, rec.Value.Float())
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	defer server.Close()
	g := start(t, nil)
	d := g.device("d", "HTTP", devices.JSON)
	for i := range 20 {
		if err := d.Send(t.Context(), number(float64(i))); err != nil {
			t.Fatal(err)
		}
	}
	g.must(200, "PUT", "/uplink", gateway.Uplink{Protocol: "HTTP", Address: server.URL + "/channels/1/messages", Password: "thing-key"}, nil)
	eventually(t, "19 of 20 readings", func() bool { mu.Lock(); defer mu.Unlock(); return len(values) == 19 })
	eventually(t, "the other one counted", func() bool { return g.Totals()["dropped/refused-by-server"] == 1 })
	if !slices.IsSorted(values) {
		t.Fatalf("out of order: %v", values)
	}
}

func TestFullQueueHoldsDevicesBack(t *testing.T) {
	s := startServer(t)
	g := start(t, func(c *gateway.Config) { c.Queue = queue.Options{MaxBytes: 256 << 10} })
	web, coap, mq := g.device("h", "HTTP", devices.Plain), g.device("c", "COAP", devices.Plain), g.device("m", "MQTT", devices.Plain)
	text := devices.Reading{Resource: "t", Value: strings.Repeat("x", 8000)}
	taken := 0
	for {
		err := web.Send(t.Context(), text)
		if errors.Is(err, devices.ErrBusy) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if taken++; taken > 100 {
			t.Fatal("100 readings of 8 kB fit into 256 KiB")
		}
	}
	if err := coap.Send(t.Context(), text); !errors.Is(err, devices.ErrBusy) {
		t.Fatalf("CoAP: %v, want 5.03", err)
	}
	held := make(chan error, 1)
	go func() { held <- mq.Send(t.Context(), text) }()
	select {
	case err := <-held:
		t.Fatalf("MQTT: answered %v although the queue is full", err)
	case <-time.After(200 * time.Millisecond):
	}
	g.attach(s)
	if err := <-held; err != nil {
		t.Fatalf("MQTT after there is room: %v", err)
	}
	eventually(t, "everything that was taken", func() bool { return len(s.got()) == taken+1 })
}

func TestDropOldestIsCounted(t *testing.T) {
	s := startServer(t)
	g := start(t, func(c *gateway.Config) { c.Queue = queue.Options{MaxBytes: 256 << 10, DropOldest: true} })
	d := g.device("h", "HTTP", devices.Plain)
	for range 100 {
		if err := d.Send(t.Context(), devices.Reading{Resource: "t", Value: strings.Repeat("x", 8000)}); err != nil {
			t.Fatal(err)
		}
	}
	g.attach(s)
	eventually(t, "100 readings, stored or counted as dropped", func() bool {
		return uint64(len(s.got()))+g.Totals()["dropped/queue-full"] == 100
	})
	if g.Totals()["received/http"] != 100 {
		t.Fatalf("received %d", g.Totals()["received/http"])
	}
	if g.Totals()["dropped/queue-full"] == 0 {
		t.Fatal("nothing was dropped")
	}
}

func TestMoveStateToAnotherGateway(t *testing.T) {
	s := startServer(t)
	one, two := start(t, nil), start(t, nil)
	d := one.device("d", "HTTP", devices.JSON, gateway.Resource{Name: "t"}, gateway.Resource{Name: "n", Aggregate: "count", Window: gateway.Duration(time.Hour)})
	for i := range 20 {
		if err := d.Send(t.Context(), number(float64(i)), devices.Reading{Resource: "n", Value: 1.0}); err != nil {
			t.Fatal(err)
		}
	}
	one.must(204, "PUT", "/freeze", nil, nil)
	if err := d.Send(t.Context(), number(99)); !errors.Is(err, devices.ErrBusy) {
		t.Fatalf("a frozen gateway answers %v", err)
	}
	var state []byte
	one.must(200, "GET", "/state", nil, &state)
	if got := two.call("PUT", "/state", state[:len(state)/2], nil); got != 400 {
		t.Fatalf("half an archive: status %d", got)
	}
	two.must(204, "PUT", "/state", state, nil)
	if got := two.call("PUT", "/state", state, nil); got != 409 {
		t.Fatalf("overwriting without replace: status %d", got)
	}
	two.must(204, "PUT", "/state?replace=true", state, nil)
	moved := two.dial("d", "HTTP", devices.JSON)
	if err := moved.Send(t.Context(), number(20)); err != nil {
		t.Fatalf("the device with its old secret at the new gateway: %v", err)
	}
	two.attach(s)
	eventually(t, "queue and new reading", func() bool { return len(s.values("d:t")) == 21 })
	two.must(204, "DELETE", "/devices/d", nil, nil)
	eventually(t, "the window that moved", func() bool { return slices.Equal(s.values("d:n"), []any{20.0}) })
}

func TestCommandsReachDevices(t *testing.T) {
	s := startServer(t)
	g := start(t, nil)
	g.attach(s)
	for _, protocol := range []string{"MQTT", "HTTP", "COAP", "COAPS"} {
		t.Run(protocol, func(t *testing.T) {
			name := "lamp-" + strings.ToLower(protocol)
			d := g.device(name, protocol, devices.JSON, gateway.Resource{Name: "led", Type: "boolean", Writable: true}, gateway.Resource{Name: "t"})
			send := func(id, value string) {
				g.must(202, "POST", "/commands", fmt.Sprintf(`{"id":%q,"device":%q,"resource":"led","value":%s}`, id, name, value), nil)
			}
			send(name+"-early", "true") // before the device listens
			got := make(chan devices.Command, 10)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() {
				if err := d.Commands(ctx, func(c devices.Command) { got <- c }); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}()
			state := func(id string) string {
				var c gateway.Command
				g.must(200, "GET", "/commands/"+id, nil, &c)
				return c.State
			}
			for _, step := range []struct{ id, value string }{{name + "-early", "true"}, {name + "-late", "false"}} {
				if strings.HasSuffix(step.id, "late") {
					send(step.id, step.value)
				}
				select {
				case c := <-got:
					if c.Resource != "led" || c.Value != step.value {
						t.Fatalf("got %+v, want %s", c, step.value)
					}
				case <-time.After(time.Minute):
					t.Fatalf("%s: nothing arrived", step.id)
				}
				eventually(t, step.id+" delivered", func() bool { return state(step.id) == "DELIVERED" })
				eventually(t, "the server told", func() bool { return slices.Equal(s.values("edge-1:command:"+step.id), []any{"DELIVERED"}) })
			}
		})
	}
}

func TestCommandFromTheServer(t *testing.T) {
	s := startServer(t)
	g := start(t, nil)
	g.attach(s)
	d := g.device("lamp", "MQTT", devices.JSON, gateway.Resource{Name: "level", Writable: true})
	got := make(chan devices.Command, 4)
	go func() { _ = d.Commands(t.Context(), func(c devices.Command) { got <- c }) }()
	eventually(t, "uplink connected", func() bool {
		var u gateway.Uplink
		g.must(200, "GET", "/uplink", nil, &u)
		return u.State == "connected" && u.Password == ""
	})
	for _, payload := range []string{
		`{"id":"c1","device":"lamp","resource":"level","value":0.5}`,
		`[{"bn":"lamp:","n":"level","v":0.5}]`,
	} {
		if err := s.Broker.Publish("channels/1/commands", []byte(payload), 1, ""); err != nil {
			t.Fatal(err)
		}
		select {
		case c := <-got:
			if c.Resource != "level" || c.Value != "0.5" {
				t.Fatalf("%+v", c)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s did not reach the device", payload)
		}
	}
	eventually(t, "delivery told by id", func() bool { return slices.Equal(s.values("edge-1:command:c1"), []any{"DELIVERED"}) })
}

func TestCommandStates(t *testing.T) {
	g := start(t, nil)
	g.device("d", "MQTT", devices.JSON, gateway.Resource{Name: "led", Type: "boolean", Writable: true}, gateway.Resource{Name: "t"})
	for body, status := range map[string]int{
		`{"id":"a","device":"d","resource":"led","value":true,"ttl":"1s"}`:     202,
		`{"id":"b","device":"d","resource":"led","value":1}`:                   400, // not a boolean
		`{"id":"b","device":"d","resource":"t","value":1}`:                     400, // not writable
		`{"id":"b","device":"nobody","resource":"led","value":true}`:           400,
		`{"id":"b","device":"d","resource":"led","value":{"x":1}}`:             400,
		`{"id":"b","device":"d","resource":"led"}`:                             400,
		`{"id":"b/c","device":"d","resource":"led","value":true}`:              400,
		`{"id":"b","device":"d","resource":"led","value":true,"ttl":"1ms"}`:    400,
		`{"id":"b","device":"d","resource":"led","value":true,"colour":"red"}`: 400,
	} {
		if got := g.call("POST", "/commands", body, nil); got != status {
			t.Errorf("%s: %d, want %d", body, got, status)
		}
	}
	g.must(200, "POST", "/commands", `{"id":"a","device":"d","resource":"led","value":true,"ttl":"1s"}`, nil)
	g.must(409, "POST", "/commands", `{"id":"a","device":"d","resource":"led","value":false,"ttl":"1s"}`, nil)
	g.must(404, "GET", "/commands/unknown", nil, nil)
	eventually(t, "expiry", func() bool {
		var c gateway.Command
		g.must(200, "GET", "/commands/a", nil, &c)
		return c.State == "EXPIRED"
	})
	g.must(202, "POST", "/commands", `{"id":"c","device":"d","resource":"led","value":true}`, nil)
	g.must(204, "DELETE", "/devices/d", nil, nil)
	var c gateway.Command
	g.must(200, "GET", "/commands/c", nil, &c)
	if c.State != "FAILED" {
		t.Fatalf("command of a removed device: %s", c.State)
	}
}

// A device that listens at an address is sent commands there.
func TestCommandsToAnAddress(t *testing.T) {
	got := make(chan string, 4)
	listens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, 100)
		n, _ := r.Body.Read(body)
		got <- r.Method + " " + r.URL.Path + " " + string(body[:n])
	}))
	defer listens.Close()
	g := start(t, nil)
	g.must(201, "PUT", "/devices/d", gateway.Device{Protocol: "HTTP", Secret: "secret-of-d", Address: listens.URL + "/act", Resources: []gateway.Resource{{Name: "level", Writable: true}}}, nil)
	g.must(202, "POST", "/commands", `{"id":"a","device":"d","resource":"level","value":7}`, nil)
	if s := <-got; s != "PUT /act/level 7" {
		t.Fatal(s)
	}
	eventually(t, "delivery", func() bool {
		var c gateway.Command
		g.must(200, "GET", "/commands/a", nil, &c)
		return c.State == "DELIVERED"
	})
}

// While the disk refuses writes, devices are refused and health says so; when
// it works again, so does the gateway, with everything it had confirmed.
func TestDiskFailsAndRecovers(t *testing.T) {
	s := startServer(t)
	data := t.TempDir()
	g := start(t, func(c *gateway.Config) {
		c.Data = data
		c.Queue = queue.Options{SegmentBytes: 64 << 10}
	})
	obstacle := filepath.Join(data, "queue", "000000000002.seg")
	if err := os.Mkdir(obstacle, 0o700); err != nil { // the next segment cannot be created
		t.Fatal(err)
	}
	d := g.device("h", "HTTP", devices.JSON)
	taken := 0
	for {
		err := d.Send(t.Context(), devices.Reading{Resource: "n", Value: float64(taken)}, devices.Reading{Resource: "t", Value: strings.Repeat("x", 4000)})
		if errors.Is(err, devices.ErrBusy) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if taken++; taken > 100 {
			t.Fatal("400 kB were taken into a segment of 64 KiB")
		}
	}
	eventually(t, "health to fail", func() bool { return g.call("GET", "/healthz", nil, nil) == 503 })
	mq := g.device("m", "MQTT", devices.JSON, gateway.Resource{Name: "t"})
	held := make(chan error, 1)
	go func() { held <- mq.Send(t.Context(), number(5)) }()
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	eventually(t, "health", func() bool { return g.call("GET", "/healthz", nil, nil) == 200 })
	if err := d.Send(t.Context(), devices.Reading{Resource: "n", Value: 1e6}); err != nil {
		t.Fatal(err)
	}
	if err := <-held; err != nil {
		t.Fatalf("MQTT, sent while the disk failed: %v", err)
	}
	g.attach(s)
	eventually(t, "the reading that was held", func() bool { return slices.Equal(s.values("m:t"), []any{5.0}) })
	eventually(t, "the last reading", func() bool { return slices.Contains(s.values("h:n"), any(1e6)) })
	got := s.values("h:n")
	for i := range taken {
		if !slices.Contains(got, any(float64(i))) {
			t.Fatalf("reading %d of %d was taken and is not delivered", i, taken)
		}
	}
}
