package gateway

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/udp"

	"github.com/osmoslice/osmoslice/internal/lite/queue"
	"github.com/osmoslice/osmoslice/internal/mqtt"
)

// fuzzed is a gateway with one device per protocol.
func fuzzed(f *testing.F, coap string) *Gateway {
	f.Helper()
	g, err := New(Config{
		Name: "edge", Data: f.TempDir(), Token: "token-of-the-admin", ListenAPI: "127.0.0.1:0", ListenCoAP: coap,
		Queue: queue.Options{Sync: queue.SyncNone, MaxBytes: 64 << 20, DropOldest: true},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = g.Close(context.Background()) })
	for name, protocol := range map[string]string{"m": protocolMQTT, "h": protocolHTTP, "c": protocolCoAP, "victim": protocolMQTT} {
		if _, err := g.putAll([]Device{{Name: name, Protocol: protocol, Secret: "secret-of-" + name}}); err != nil {
			f.Fatal(err)
		}
	}
	return g
}

// Whatever the topic: a device writes below its own name and reads its own
// commands, nothing else.
func FuzzMQTTTopic(f *testing.F) {
	g := fuzzed(f, "")
	s := &southMQTT{g}
	for _, seed := range []string{"devices/m", "devices/m/t", "devices/m/senml", "devices/m/commands/#", "devices/victim/t", "devices/m/../victim/t", "devices/+/t", "#", "$share/g/devices/victim/commands/#", "devices/mm/t", "devices/m//t", "devices/m/t\x00"} {
		f.Add(seed, []byte("1"))
	}
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		if s.Authorize("m", mqtt.Read, topic) && !strings.HasPrefix(topic, "devices/m/commands") {
			t.Fatalf("may read %q", topic)
		}
		if !s.Authorize("m", mqtt.Write, topic) {
			return
		}
		if topic != "devices/m" && !strings.HasPrefix(topic, "devices/m/") || strings.ContainsAny(topic, "+#\x00") || strings.Contains(topic, "commands") && strings.HasPrefix(topic, "devices/m/commands/") {
			t.Fatalf("may write %q", topic)
		}
		done := make(chan mqtt.Outcome, 1)
		s.Publish(mqtt.Message{Principal: "m", Topic: topic, Payload: payload, QoS: 1}, func(o mqtt.Outcome) { done <- o })
		if o := <-done; o != mqtt.Accept && o != mqtt.Refuse {
			t.Fatalf("outcome %v of %q %q", o, topic, payload)
		}
	})
}

// Whatever comes over HTTP is answered with a documented status.
func FuzzHTTPIngest(f *testing.F) {
	g := fuzzed(f, "")
	handler := g.ingestHandler()
	f.Add("POST", "h", "t", "text/plain", "secret-of-h", []byte("1"))
	f.Add("POST", "h", "", "application/senml+json", "secret-of-h", []byte(`[{"n":"t","v":1}]`))
	f.Add("POST", "h", "", "application/senml+cbor", "secret-of-h", []byte("\x81\xa2\x00at\x02\x01"))
	f.Add("GET", "h", "commands?wait=0s", "", "secret-of-h", []byte(nil))
	f.Add("POST", "victim", "t", "", "secret-of-h", []byte("1"))
	f.Add("POST", "h", "%2e%2e", "a/b;c", "", []byte("\xff"))
	f.Fuzz(func(t *testing.T, method, name, resource, mediaType, secret string, body []byte) {
		req, err := http.NewRequest(method, "http://gateway/ingest/"+name+"/"+resource, bytes.NewReader(body))
		if err != nil || len(req.URL.Query().Get("wait")) > 0 && req.URL.Query().Get("wait") != "0s" {
			return
		}
		if req.Method == http.MethodGet && !strings.Contains(resource, "wait=0s") {
			return // would wait for a command
		}
		req.Header.Set("Content-Type", mediaType)
		req.Header.Set("Authorization", "Bearer "+secret)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		switch w.Code {
		case 202, 204, 400, 401, 404, 405, 413, 415, 422, 301, 307:
		default:
			t.Fatalf("%s %s: status %d: %s", method, req.URL, w.Code, w.Body)
		}
		if w.Code == 202 && secret != "secret-of-h" {
			t.Fatalf("taken with the secret %q", secret)
		}
	})
}

// Whatever datagram comes, the server goes on serving.
func FuzzCoAPIngest(f *testing.F) {
	g := fuzzed(f, "127.0.0.1:0")
	good, err := udp.Dial(g.Ports()["coap"])
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = good.Close() })
	f.Add([]byte("\x40\x02\x00\x01\xb6ingest\x01c\x01t\x4fauth=secret-of-c\xff1"))
	f.Add([]byte("\x48\x02\xc9\x85\x0b\x00\x00\x00\x00\x00\x00\x03\xb6ingest\x01c\xd1\x03\xff\xff1"))
	f.Add([]byte{})
	f.Add([]byte("\x40\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, datagram []byte) {
		conn, err := net.Dial("udp", g.Ports()["coap"])
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if len(datagram) > 60_000 {
			return
		}
		_, _ = conn.Write(datagram)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		answer, err := good.Post(ctx, "/ingest/c/t", message.TextPlain, strings.NewReader("1"), message.Option{ID: message.URIQuery, Value: []byte("auth=secret-of-c")})
		if err != nil || answer.Code() != codes.Changed {
			t.Fatalf("after % x: %v %v", datagram, answer, err)
		}
	})
}

// Whatever a server publishes as a command is a command or an error.
func FuzzDown(f *testing.F) {
	f.Add([]byte(`{"id":"c1","device":"m","resource":"led","value":true,"ttl":"10s"}`))
	f.Add([]byte(`[{"bn":"m:","n":"led","vb":true}]`))
	f.Add([]byte(`{"id":{}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		commands, err := parseDown("p-", payload, base)
		if err != nil {
			return
		}
		for _, c := range commands {
			if c.validate() == nil && c.fits(newDevice(Device{Name: c.Device})) == nil {
				_ = c.text()
			}
		}
	})
}

// Whatever is in the registry's file, what is read of it is whole changes, and
// the next change is read again.
func FuzzJournal(f *testing.F) {
	line, err := appendChange(nil, change{Device: &Device{Name: "d", Protocol: protocolHTTP, Secret: "secret-of-d"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Add(append(line, line[:len(line)/2]...))
	f.Add([]byte("00000000 {}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), registryName)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		n := 0
		j, err := openJournal(path, func(change) { n++ })
		if err != nil {
			t.Fatal(err)
		}
		if err := j.write(change{DeleteDevice: "d"}); err != nil {
			t.Fatal(err)
		}
		_ = j.close()
		again := 0
		if j, err = openJournal(path, func(change) { again++ }); err != nil || again != n+1 {
			t.Fatalf("%d changes, then %d (%v)", n, again, err)
		}
		_ = j.close()
	})
}
