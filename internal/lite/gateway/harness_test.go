package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/lite/gateway"
	"github.com/osmoslice/osmoslice/internal/mqtt"
	"github.com/osmoslice/osmoslice/internal/senml"
	"github.com/osmoslice/osmoslice/test/devices"
)

const token = "admin-token-of-this-test"

// bench is a gateway under test.
type bench struct {
	*gateway.Gateway
	t *testing.T
}

func start(t *testing.T, change func(*gateway.Config)) *bench {
	t.Helper()
	c := gateway.Config{
		Name: "edge-1", Data: t.TempDir(), Token: token,
		ListenAPI: "127.0.0.1:0", ListenMQTT: "127.0.0.1:0", ListenHTTP: "127.0.0.1:0", ListenCoAP: "127.0.0.1:0", ListenCoAPS: "127.0.0.1:0",
	}
	if os.Getenv("GATEWAY_TEST_LOG") != "" {
		c.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if change != nil {
		change(&c)
	}
	g, err := gateway.New(c)
	if err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	b := &bench{g, t}
	t.Cleanup(func() { once.Do(func() { b.stop() }) })
	return b
}

func (b *bench) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := b.Close(ctx); err != nil && !strings.Contains(err.Error(), "closed") {
		b.t.Error(err)
	}
}

// call is one request to the REST API; out may be nil.
func (b *bench) call(method, path string, body, out any) int {
	b.t.Helper()
	var in io.Reader
	switch v := body.(type) {
	case nil:
	case []byte:
		in = bytes.NewReader(v)
	case string:
		in = strings.NewReader(v)
	default:
		data, err := json.Marshal(v)
		if err != nil {
			b.t.Fatal(err)
		}
		in = bytes.NewReader(data)
	}
	req, err := http.NewRequest(method, "http://"+b.Ports()["api"]+path, in)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if raw, ok := out.(*[]byte); ok {
		*raw = data
	} else if out != nil {
		if err := json.Unmarshal(data, out); err != nil {
			b.t.Fatalf("%s %s: %d %s: %v", method, path, resp.StatusCode, data, err)
		}
	}
	return resp.StatusCode
}

func (b *bench) must(status int, method, path string, body, out any) {
	b.t.Helper()
	if got := b.call(method, path, body, out); got != status {
		b.t.Fatalf("%s %s: status %d, want %d", method, path, got, status)
	}
}

// address is the URL at which a device of a protocol finds the gateway.
func (b *bench) address(protocol string) string {
	switch protocol {
	case "MQTT":
		return "tcp://" + b.Ports()["mqtt"]
	case "HTTP":
		return "http://" + b.Ports()["http"]
	case "COAPS":
		return "coaps://" + b.Ports()["coaps"]
	default:
		return "coap://" + b.Ports()["coap"]
	}
}

// device provisions a device and connects it.
func (b *bench) device(name, protocol string, format devices.Format, resources ...gateway.Resource) devices.Device {
	b.t.Helper()
	kind := strings.TrimSuffix(protocol, "S")
	b.must(201, "PUT", "/devices/"+name, gateway.Device{Name: name, Protocol: kind, Secret: "secret-of-" + name, Resources: resources}, nil)
	return b.dial(name, protocol, format)
}

func (b *bench) dial(name, protocol string, format devices.Format) devices.Device {
	b.t.Helper()
	d, err := devices.Dial(b.t.Context(), devices.Options{Address: b.address(protocol), Name: name, Secret: "secret-of-" + name, Format: format})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(d.Close)
	return d
}

// server is an MQTT server that keeps what arrives, deduplicated as the
// gateway's documentation says.
type server struct {
	*mqtt.Broker
	mu      sync.Mutex
	highest map[string]uint64
	records []senml.Record
	batches int
	refuse  func(topic string) mqtt.Outcome
}

func startServer(t *testing.T) *server {
	t.Helper()
	s := &server{highest: map[string]uint64{}}
	var err error
	if s.Broker, err = mqtt.NewBroker(mqtt.Options{Address: "127.0.0.1:0", Handler: s, MaxPacket: 4 << 20}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func (s *server) Authenticate(c mqtt.Connect) (string, bool) {
	return c.Username, c.Username == "gw" && string(c.Password) == "key-of-gw"
}
func (s *server) Authorize(string, mqtt.Access, string) bool { return true }

func (s *server) Publish(m mqtt.Message, done func(mqtt.Outcome)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		if o := s.refuse(m.Topic); o != mqtt.Accept {
			done(o)
			return
		}
	}
	parts := strings.Split(m.Topic[strings.LastIndex(m.Topic, "/")+1:], ".")
	pack, err := senml.Decode(m.Payload, senml.Limits{})
	if err != nil || len(parts) < 4 {
		panic(fmt.Sprint(m.Topic, err))
	}
	var first, count uint64
	_, _ = fmt.Sscan(parts[len(parts)-2], &first)
	_, _ = fmt.Sscan(parts[len(parts)-1], &count)
	if int(count) != len(pack) {
		panic(fmt.Sprintf("%s holds %d records", m.Topic, len(pack)))
	}
	stream := strings.Join(parts[:len(parts)-2], ".")
	if skip := s.highest[stream] + 1; skip > first {
		pack = pack[min(skip-first, count):]
	}
	s.highest[stream] = max(s.highest[stream], first+count-1)
	s.records = append(s.records, pack...)
	s.batches++
	done(mqtt.Accept)
}

func (s *server) got() []senml.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.records)
}

// values are what arrived under a name.
func (s *server) values(name string) []any {
	var out []any
	for _, r := range s.got() {
		if r.Name == name {
			out = append(out, r.Value.Any())
		}
	}
	return out
}

func (b *bench) attach(s *server) {
	b.t.Helper()
	b.must(200, "PUT", "/uplink", gateway.Uplink{
		Protocol: "MQTT", Address: "tcp://" + s.Addr().String(), Topic: "channels/1/messages/{seq}", Username: "gw", Password: "key-of-gw", DownTopic: "channels/1/commands",
	}, nil)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 60 s: %s", what)
		}
		time.Sleep(3 * time.Millisecond)
	}
}

func number(v float64) devices.Reading { return devices.Reading{Resource: "t", Unit: "Cel", Value: v} }
