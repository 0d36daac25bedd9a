package stream_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/osmoslice/osmoslice/internal/lite/server"
	"github.com/osmoslice/osmoslice/internal/lite/stream"
	"github.com/osmoslice/osmoslice/internal/senml"
)

func reading(name string, at, value float64) senml.Record {
	return senml.Record{Name: name, Unit: "Cel", Time: at, Value: senml.Float(value)}
}

// TestWindowsAgreeWithAModel closes windows at random moments: every reading is
// in exactly one window or counted as late, and values are those of the list.
func TestWindowsAgreeWithAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const length = 10
		w := stream.NewWindows(length, 0, ":window:", 1000)
		type key struct {
			name string
			end  float64
		}
		want := map[key][]float64{}
		var late int64
		got := map[string]float64{}
		closed := -1.0
		take := func(p senml.Pack) {
			for _, r := range p {
				id := fmt.Sprintf("%s@%g", r.Name, r.Time)
				if _, twice := got[id]; twice {
					t.Fatalf("%s was closed twice", id)
				}
				got[id] = r.Value.Float()
			}
		}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			if rapid.IntRange(0, 5).Draw(t, "step") == 0 {
				now := float64(rapid.IntRange(0, 120).Draw(t, "now"))
				closed = max(closed, now)
				take(w.Close(now))
				continue
			}
			at, v := float64(rapid.IntRange(0, 119).Draw(t, "t")), float64(rapid.IntRange(-50, 50).Draw(t, "v"))
			name := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "n")
			w.Add(reading(name, at, v))
			w.Add(reading(name+":window:mean", at, v)) // its own output
			w.Add(senml.Record{Name: name, Time: at, Value: senml.String("x")})
			if end := float64(int(at)/length+1) * length; end <= closed {
				late++
			} else {
				want[key{name, end}] = append(want[key{name, end}], v)
			}
		}
		take(w.CloseAll())
		for k, values := range want {
			low, high := values[0], values[0]
			sum, n := 0.0, len(values)
			for _, v := range values {
				sum, low, high = sum+v, min(low, v), max(high, v)
			}
			for name, value := range map[string]float64{"mean": sum / float64(n), "min": low, "max": high} {
				id := fmt.Sprintf("%s:window:%s@%g", k.name, name, k.end)
				if v, ok := got[id]; !ok || v != value {
					t.Fatalf("%s: got %g (%v), want %g", id, v, ok, value)
				}
			}
		}
		if len(got) != 3*len(want) || w.Late != late {
			t.Fatalf("%d records, want %d; %d late, want %d", len(got), 3*len(want), w.Late, late)
		}
	})
}

func TestNamesAreBounded(t *testing.T) {
	w := stream.NewWindows(10, 0, ":window:", 3)
	for i := range 10 {
		w.Add(reading(fmt.Sprint("n", i), 1, 1))
	}
	if w.Open() != 3 || w.Excess != 7 {
		t.Errorf("%d windows, %d beyond; want 3, 7", w.Open(), w.Excess)
	}
}

// gate passes requests to the server, or fails them while shut.
type gate struct {
	mu     sync.Mutex
	shut   bool
	cancel []context.CancelFunc
}

func (g *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	g.mu.Lock()
	shut := g.shut
	g.cancel = append(g.cancel, cancel)
	g.mu.Unlock()
	if shut {
		cancel()
		return nil, context.Canceled
	}
	return http.DefaultTransport.RoundTrip(r.WithContext(ctx))
}

// set shuts or opens the gate; shutting breaks what is open.
func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = shut
	if shut {
		for _, cancel := range g.cancel {
			cancel()
		}
		g.cancel = nil
	}
}

// house is a light server with one channel.
type house struct {
	t            *testing.T
	server       *server.Server
	channel, key string
}

const token = "admin-token-of-the-tests"

func open(t *testing.T) *house {
	t.Helper()
	s, err := server.Start(t.Context(), server.Options{Data: t.TempDir(), Token: token, ListenAPI: "127.0.0.1:0", ListenMQTT: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = s.Close(ctx)
	})
	h := &house{t: t, server: s}
	thing := path.Base(h.call("POST", "/things", token, `{"name":"gw","key":"key-of-the-element"}`).Header.Get("Location"))
	h.channel = path.Base(h.call("POST", "/channels", token, `{"name":"gw"}`).Header.Get("Location"))
	h.call("PUT", "/channels/"+h.channel+"/things/"+thing, token, "")
	h.key = "key-of-the-element"
	return h
}

func (h *house) call(method, path, key, body string) *http.Response {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, "http://"+h.server.API().String()+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Authorization", key)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	if response.StatusCode/100 != 2 {
		h.t.Fatalf("%s %s: %s", method, path, response.Status)
	}
	h.t.Cleanup(func() { response.Body.Close() })
	return response
}

func (h *house) publish(p senml.Pack) {
	h.t.Helper()
	body, err := senml.EncodeJSON(p)
	if err != nil {
		h.t.Fatal(err)
	}
	h.call("POST", "/channels/"+h.channel+"/messages", h.key, string(body))
}

// values reads the windows' values of a name, oldest first.
func (h *house) values(name string) []float64 {
	h.t.Helper()
	var page struct{ Messages []struct{ Value float64 } }
	response := h.call("GET", "/channels/"+h.channel+"/messages?limit=1000&name="+name, h.key, "")
	if err := json.NewDecoder(response.Body).Decode(&page); err != nil {
		h.t.Fatal(err)
	}
	var out []float64
	for i := range page.Messages {
		out = append(out, page.Messages[len(page.Messages)-1-i].Value)
	}
	return out
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 60 s: %s", what)
		}
	}
}

// TestElementOverAnOutage runs an element against a real server, cuts its
// connection, stores readings meanwhile, and wants every reading in the windows
// once.
func TestElementOverAnOutage(t *testing.T) {
	h := open(t)
	g := &gate{}
	e, err := stream.New(stream.Options{
		Server: "http://" + h.server.API().String(), Channel: h.channel, Key: h.key, Listen: "127.0.0.1:0",
		Window: time.Hour, Grace: time.Hour, Client: &http.Client{Transport: g},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	healthy := func() bool {
		response, err := http.Get("http://" + e.Addr().String() + "/healthz")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK
	}
	eventually(t, "the element is connected", healthy)
	at := senml.Seconds(time.Now().Truncate(time.Hour))
	h.publish(senml.Pack{reading("n", at+1, 1), reading("n", at+2, 2)})
	g.set(true)
	eventually(t, "the element is cut", func() bool { return !healthy() })
	h.publish(senml.Pack{reading("n", at+3, 6), {Name: "n", Time: at + 3, Value: senml.String("no number")}})
	h.publish(senml.Pack{reading("n", at+4, 11)})
	g.set(false)
	eventually(t, "the element is connected again", healthy)
	h.publish(senml.Pack{reading("n", at+5, 30)})
	eventually(t, "the last reading was taken", func() bool {
		response, err := http.Get("http://" + e.Addr().String() + "/healthz")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		var state struct{ Readings int }
		return json.NewDecoder(response.Body).Decode(&state) == nil && state.Readings == 5
	})
	cancel() // publishes what it has
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{"mean": 10, "min": 1, "max": 30} {
		if got := h.values("n:window:" + name); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %v, want [%g]", name, got, want)
		}
	}
}

// TestElementPublishesClosedWindows watches windows come back while it runs.
func TestElementPublishesClosedWindows(t *testing.T) {
	h := open(t)
	e, err := stream.New(stream.Options{
		Server: "http://" + h.server.API().String(), Channel: h.channel, Key: h.key, Listen: "127.0.0.1:0",
		Window: 200 * time.Millisecond, Grace: 100 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	sent := 0
	eventually(t, "three windows are published", func() bool {
		sent++
		h.publish(senml.Pack{reading("n", senml.Seconds(time.Now()), 7)})
		return len(h.values("n:window:max")) >= 3
	})
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for _, v := range h.values("n:window:mean") {
		if v != 7 {
			t.Errorf("mean %g, want 7", v)
		}
	}
}

func TestBadOptions(t *testing.T) {
	good := stream.Options{Server: "http://127.0.0.1:1", Channel: "c", Key: "k", Listen: "127.0.0.1:0"}
	for name, change := range map[string]func(*stream.Options){
		"server":  func(o *stream.Options) { o.Server = "nowhere" },
		"channel": func(o *stream.Options) { o.Channel = "" },
		"key":     func(o *stream.Options) { o.Key = "" },
		"window":  func(o *stream.Options) { o.Window = time.Millisecond },
		"suffix":  func(o *stream.Options) { o.Suffix = " " },
	} {
		o := good
		change(&o)
		if _, err := stream.New(o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
