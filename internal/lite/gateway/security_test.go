package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"github.com/osmoslice/osmoslice/internal/lite/gateway"
	"github.com/osmoslice/osmoslice/test/devices"
)

// connect5 is an MQTT 5 client of its own implementation.
func connect5(t *testing.T, address, user, password string) *paho.Client {
	t.Helper()
	nc, err := net.Dial("tcp", strings.TrimPrefix(address, "tcp://"))
	if err != nil {
		t.Fatal(err)
	}
	c := paho.NewClient(paho.ClientConfig{Conn: nc})
	ack, err := c.Connect(t.Context(), &paho.Connect{
		ClientID: "five-" + user, CleanStart: true, KeepAlive: 30, UsernameFlag: true, Username: user, PasswordFlag: true, Password: []byte(password),
	})
	if err != nil || ack.ReasonCode != 0 {
		t.Fatalf("connect: %v %+v", err, ack)
	}
	t.Cleanup(func() { _ = c.Disconnect(&paho.Disconnect{}) })
	return c
}

// One device cannot publish, read or subscribe as another, over any protocol.
func TestDevicesAreKeptApart(t *testing.T) {
	g := start(t, nil)
	for _, protocol := range []string{"MQTT", "HTTP", "COAP"} {
		for _, who := range []string{"mallory", "victim"} {
			name := who + "-" + strings.ToLower(protocol)
			g.must(201, "PUT", "/devices/"+name, gateway.Device{Name: name, Protocol: protocol, Secret: "secret-of-" + name}, nil)
		}
	}
	t.Run("MQTT", func(t *testing.T) {
		c := connect5(t, g.address("MQTT"), "mallory-mqtt", "secret-of-mallory-mqtt")
		for _, topic := range []string{"devices/victim-mqtt/t", "devices/victim-mqtt/senml", "devices/mallory-mqtt/commands/t", "devices/mallory-mqtt/a/b", "devices/mallory-mqttx/t", "other", "$SYS/broker"} {
			ack, err := c.Publish(t.Context(), &paho.Publish{Topic: topic, QoS: 0, Payload: []byte("1")})
			if err != nil && ack != nil {
				t.Fatal(err)
			}
		}
		ack, err := c.Publish(t.Context(), &paho.Publish{Topic: "devices/victim-mqtt/t", QoS: 1, Payload: []byte("1")})
		if ack == nil || ack.ReasonCode != 0x87 {
			t.Fatalf("publish as the victim: %v %+v, want reason 0x87", err, ack)
		}
		for _, filter := range []string{"devices/victim-mqtt/commands/#", "devices/+/commands/#", "#", "$share/x/devices/victim-mqtt/commands/#", "devices/mallory-mqtt/#", "devices/mallory-mqtt/../victim-mqtt/commands/#"} {
			ack, err := c.Subscribe(t.Context(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: filter, QoS: 1}}})
			if err == nil && ack.Reasons[0] < 0x80 {
				t.Errorf("subscribed to %s", filter)
			}
		}
	})
	t.Run("HTTP", func(t *testing.T) {
		as := devices.Options{Address: g.address("HTTP"), Name: "victim-http", Secret: "secret-of-mallory-http"}
		d, _ := devices.Dial(t.Context(), as)
		if err := d.Send(t.Context(), number(1)); !errors.Is(err, devices.ErrRefused) || !strings.Contains(err.Error(), "401") {
			t.Errorf("send as the victim: %v", err)
		}
		if err := d.Commands(t.Context(), func(devices.Command) {}); !errors.Is(err, devices.ErrRefused) {
			t.Errorf("read the victim's commands: %v", err)
		}
	})
	t.Run("CoAP", func(t *testing.T) {
		as := devices.Options{Address: g.address("COAP"), Name: "victim-coap", Secret: "secret-of-mallory-coap"}
		d, err := devices.Dial(t.Context(), as)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if err := d.Send(t.Context(), number(1)); !errors.Is(err, devices.ErrRefused) {
			t.Errorf("send as the victim: %v", err)
		}
	})
	t.Run("another protocol", func(t *testing.T) {
		d, _ := devices.Dial(t.Context(), devices.Options{Address: g.address("HTTP"), Name: "victim-mqtt", Secret: "secret-of-victim-mqtt"})
		if err := d.Send(t.Context(), number(1)); !errors.Is(err, devices.ErrRefused) {
			t.Errorf("an MQTT device over HTTP: %v", err)
		}
	})
	for key, n := range g.Totals() {
		if n != 0 {
			t.Errorf("%s is %d: something was taken", key, n)
		}
	}
}

// A DTLS session of one device is of no use for another's path.
func TestDTLSIdentityDecides(t *testing.T) {
	g := start(t, nil)
	for _, name := range []string{"mallory", "victim"} {
		g.must(201, "PUT", "/devices/"+name, gateway.Device{Name: name, Protocol: "COAP", Secret: "secret-of-" + name}, nil)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	d, err := devices.Dial(ctx, devices.Options{Address: g.address("COAPS"), Name: "mallory", Secret: "secret-of-mallory"})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Send(ctx, number(1)); err != nil {
		t.Fatal(err)
	}
	victim := devices.As(d, "victim")
	if err := victim.Send(ctx, number(1)); !errors.Is(err, devices.ErrRefused) {
		t.Fatalf("the victim's path in mallory's session: %v", err)
	}
}

// From the answer of a removal or a changed secret on, nothing of the old
// device is taken, in an open session or a new one.
func TestRevocationIsAtOnce(t *testing.T) {
	for _, how := range []string{"removed", "new secret", "removed in bulk"} {
		for _, protocol := range []string{"MQTT", "HTTP", "COAP", "COAPS"} {
			t.Run(how+" "+protocol, func(t *testing.T) {
				g := start(t, nil)
				d := g.device("d", protocol, devices.JSON)
				if err := d.Send(t.Context(), number(1)); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					_ = d.Commands(ctx, func(devices.Command) {})
				}()
				switch how {
				case "removed":
					g.must(204, "DELETE", "/devices/d", nil, nil)
				case "removed in bulk":
					g.must(200, "POST", "/devices/delete", []string{"d", "unknown"}, nil)
				default:
					kind := strings.TrimSuffix(protocol, "S")
					g.must(200, "PUT", "/devices/d", gateway.Device{Protocol: kind, Secret: "another secret"}, nil)
				}
				before := g.Totals()["passed"]
				sendCtx, stop := context.WithTimeout(t.Context(), 500*time.Millisecond)
				defer stop()
				if err := d.Send(sendCtx, number(2)); err == nil {
					t.Fatal("taken after the revocation")
				}
				if got := g.Totals()["passed"]; got != before {
					t.Fatalf("passed %d, then %d", before, got)
				}
				if protocol == "MQTT" {
					select {
					case <-ended:
					case <-time.After(time.Minute):
						t.Fatal("the session goes on")
					}
					if _, err := devices.Dial(t.Context(), devices.Options{Address: g.address("MQTT"), Name: "d", Secret: "secret-of-d"}); !errors.Is(err, devices.ErrRefused) {
						t.Fatalf("connects again: %v", err)
					}
				}
			})
		}
	}
}

// An update that leaves the credentials alone disturbs no session.
func TestUpdateKeepsSessions(t *testing.T) {
	g := start(t, nil)
	d := g.device("d", "MQTT", devices.JSON, gateway.Resource{Name: "t"})
	high := 10.0
	g.must(200, "PUT", "/devices/d", gateway.Device{Protocol: "MQTT", Resources: []gateway.Resource{{Name: "t", Max: &high}}}, nil)
	for _, v := range []float64{1, 100} {
		if err := d.Send(t.Context(), number(v)); err != nil {
			t.Fatal(err)
		}
	}
	if got := g.Totals(); got["passed"] != 1 || got["filtered/range"] != 1 {
		t.Fatalf("the new range is not in force: %v", got)
	}
}

// Hostile devices are refused or bounded; the gateway serves the others.
func TestHostileDevices(t *testing.T) {
	g := start(t, nil)
	g.device("web", "HTTP", devices.JSON)
	mq := g.device("mq", "MQTT", devices.JSON)
	coap := g.device("coap", "COAP", devices.Plain)
	good := g.device("good", "HTTP", devices.JSON)
	before := heap()

	post := func(body io.Reader, contentType string) int {
		req, err := http.NewRequest(http.MethodPost, g.address("HTTP")+"/ingest/web", body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer secret-of-web")
		req.Header.Set("Content-Type", contentType)
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			return 0 // cut off while still sending
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	const large = 100 << 20
	if got := post(io.LimitReader(zeros{}, large), "application/senml+json"); got != 413 && got != 0 {
		t.Errorf("100 MB over HTTP: %d", got)
	}
	if err := mq.Send(t.Context(), devices.Reading{Resource: "t", Value: strings.Repeat("x", 4<<20)}); err == nil {
		t.Error("4 MB over MQTT were taken")
	}
	mqttHeader(t, g)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := coap.Send(ctx, devices.Reading{Resource: "t", Value: strings.Repeat("x", 2<<20)}); err == nil {
		t.Error("2 MB over CoAP were taken")
	}
	for name, body := range map[string]string{
		"deep JSON":       strings.Repeat("[", 100_000),
		"deep object":     strings.Repeat(`{"a":`, 100_000),
		"wrong UTF-8":     "[{\"n\":\"t\",\"vs\":\"\xff\xfe\"}]",
		"unknown _ field": `[{"n":"t","v":1,"need_":1}]`,
		"huge number":     `[{"n":"t","v":1e99999}]`,
	} {
		if got := post(strings.NewReader(body), "application/senml+json"); got != 400 && got != 413 {
			t.Errorf("%s: status %d", name, got)
		}
	}
	for _, n := range []int{25_000, 100_000} { // what a body may hold, and more
		var many bytes.Buffer
		many.WriteString(`{"r0":1`)
		for i := 1; i < n; i++ {
			fmt.Fprintf(&many, `,"r%d":1`, i)
		}
		many.WriteString("}")
		if got := post(&many, "application/json"); got != 400 && got != 413 {
			t.Errorf("an object of %d resources: %d", n, got)
		}
	}
	for _, at := range []string{"1000000000", "1e10", "9e18", "-1e300"} {
		if got := post(strings.NewReader(`[{"n":"t","v":1,"t":`+at+`}]`), "application/senml+json"); got != 422 && got != 400 {
			t.Errorf("clock at %s: status %d", at, got)
		}
	}
	if err := good.Send(t.Context(), number(1)); err != nil {
		t.Fatalf("the gateway does not serve others: %v", err)
	}
	if grown := int64(heap()) - int64(before); grown > 24<<20 {
		t.Errorf("the heap grew by %d MB", grown>>20)
	}
}

// mqttHeader announces a packet of 256 MB and expects to be cut off.
func mqttHeader(t *testing.T, g *bench) {
	t.Helper()
	nc, err := net.Dial("tcp", g.Ports()["mqtt"])
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_, _ = nc.Write([]byte{0x10, 0xff, 0xff, 0xff, 0x7f})
	_ = nc.SetReadDeadline(time.Now().Add(time.Minute))
	var timeout net.Error
	if _, err := nc.Read(make([]byte, 1)); err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("a CONNECT of 256 MB is waited for (%v)", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

func TestAdminTokenIsRequired(t *testing.T) {
	g := start(t, nil)
	for _, path := range []string{"/devices", "/stats", "/uplink", "/state", "/commands/x"} {
		for _, authorization := range []string{"", "Bearer wrong-token-wrong-token", "Bearer ", token} {
			if authorization == token && path != "/devices" {
				continue
			}
			req, _ := http.NewRequest(http.MethodGet, "http://"+g.Ports()["api"]+path, nil)
			req.Header.Set("Authorization", authorization)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			want := 401
			if authorization == token {
				want = 200 // the bare token is understood too
			}
			if resp.StatusCode != want {
				t.Errorf("GET %s with %q: %d, want %d", path, authorization, resp.StatusCode, want)
			}
		}
	}
}

// Secrets are in no answer.
func TestSecretsAreNotAnswered(t *testing.T) {
	g := start(t, nil)
	g.device("d", "HTTP", devices.JSON)
	g.must(200, "PUT", "/uplink", gateway.Uplink{Protocol: "MQTT", Address: "tcp://127.0.0.1:1", Topic: "x", Username: "u", Password: "very-secret-password"}, nil)
	for _, path := range []string{"/devices", "/devices/d", "/uplink", "/stats", "/metrics"} {
		var body []byte
		g.must(200, "GET", path, nil, &body)
		if bytes.Contains(body, []byte("secret-of-d")) || bytes.Contains(body, []byte("very-secret")) {
			t.Errorf("GET %s answers a secret", path)
		}
	}
}

func TestBadRequestsNameTheField(t *testing.T) {
	g := start(t, nil)
	for _, c := range []struct {
		method, path, body, want string
	}{
		{"PUT", "/devices/d", `{"protocol":"MQTT"}`, "secret"},
		{"PUT", "/devices/d", `{"protocol":"MQTT","secret":"short"}`, "secret"},
		{"PUT", "/devices/d", `{"protocol":"AMQP","secret":"long enough"}`, "protocol"},
		{"PUT", "/devices/d", `{"name":"e","protocol":"MQTT","secret":"long enough"}`, "name"},
		{"PUT", "/devices/d", `{"protocol":"MQTT","secret":"long enough","resources":[{"name":"senml"}]}`, "resources[0].name"},
		{"PUT", "/devices/d", `{"protocol":"MQTT","secret":"long enough","resources":[{"name":"a"},{"name":"a"}]}`, "resources[1].name"},
		{"PUT", "/devices/d", `{"protocol":"MQTT","secret":"long enough","resources":[{"name":"a","aggregate":"mean"}]}`, "resources[0].window"},
		{"PUT", "/devices/d", `{"protocol":"MQTT","secret":"long enough","resources":[{"name":"a","min":2,"max":1}]}`, "resources[0].min"},
		{"PUT", "/devices/d", `{"protocol":"MQTT","secret":"long enough","colour":1}`, "colour"},
		{"PUT", "/devices/d", `{"protocol":`, "body"},
		{"PUT", "/uplink", `{"protocol":"MQTT","address":"tcp://h:1"}`, "topic"},
		{"PUT", "/uplink", `{"protocol":"MQTT","address":"http://h:1","topic":"t"}`, "address"},
		{"PUT", "/uplink", `{"protocol":"HTTP","address":"http://u:p@h:1"}`, "address"},
		{"PUT", "/uplink", `{"protocol":"MQTT","address":"tcp://h:1","topic":"a/#"}`, "topic"},
		{"GET", "/devices?limit=0", "", "limit"},
	} {
		var answer map[string]string
		if got := g.call(c.method, c.path, c.body, &answer); got != 400 || !strings.Contains(answer["error"], c.want) {
			t.Errorf("%s %s %s: %d %q, want 400 naming %s", c.method, c.path, c.body, got, answer["error"], c.want)
		}
	}
}

func TestDevicesArePaged(t *testing.T) {
	g := start(t, func(c *gateway.Config) { c.MaxDevices = 250 })
	var all []gateway.Device
	for i := range 251 {
		all = append(all, gateway.Device{Name: fmt.Sprintf("d%03d", i), Protocol: "HTTP", Secret: "secret of it"})
	}
	var results []struct {
		Name   string
		Status int
	}
	g.must(200, "PUT", "/devices", all, &results)
	if results[249].Status != 201 || results[250].Status != 507 {
		t.Fatalf("statuses %v, %v", results[249], results[250])
	}
	g.must(200, "PUT", "/devices", all[:10], &results)
	if results[0].Status != 200 {
		t.Fatalf("the same again: %v", results[0])
	}
	seen, after := 0, ""
	for {
		var page struct {
			Devices []gateway.Device
			Next    string
		}
		g.must(200, "GET", "/devices?limit=100&after="+url.QueryEscape(after), nil, &page)
		for _, d := range page.Devices {
			if d.Name != fmt.Sprintf("d%03d", seen) {
				t.Fatalf("%s at %d", d.Name, seen)
			}
			seen++
		}
		if after = page.Next; after == "" {
			break
		}
	}
	if seen != 250 {
		t.Fatalf("%d devices in all pages", seen)
	}
}
