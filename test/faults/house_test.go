package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const token = "fault-test-admin-token"

// built are the binaries under test, built once.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "faults-bin")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "../../cmd/lite-gateway", "../../cmd/lite-server")
	if out, err := cmd.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("build: %w\n%s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, _ := built(); dir != "" {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// house is a gateway and a server, killed and started again at the same
// addresses and with the same data.
type house struct {
	t       *testing.T
	dir     string
	bin     string
	on      []string // what runs the binaries: nothing, or an emulator
	address map[string]string

	mu    sync.Mutex // guards procs: one start or kill at a time
	procs map[string]*exec.Cmd
	kills map[string]int
	over  bool
}

func newHouse(t *testing.T) *house {
	t.Helper()
	bin, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return houseOf(t, bin)
}

// houseOf is a house of other binaries, run by on.
func houseOf(t *testing.T, bin string, on ...string) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), bin: bin, on: on, address: map[string]string{}, procs: map[string]*exec.Cmd{}, kills: map[string]int{}}
	for _, name := range []string{"gateway-api", "gateway-mqtt", "gateway-http", "server-api", "server-mqtt"} {
		h.address[name] = freeTCP(t)
	}
	h.address["gateway-coap"] = freeUDP(t)
	if err := os.WriteFile(filepath.Join(h.dir, "token"), []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	h.start("server")
	h.start("gateway")
	t.Cleanup(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.over = true
		for _, p := range h.procs {
			_ = p.Process.Signal(syscall.SIGTERM)
			_ = p.Wait()
		}
		if t.Failed() {
			for _, name := range []string{"gateway", "server"} {
				b, _ := os.ReadFile(filepath.Join(h.dir, name+".log"))
				t.Logf("end of the %s's log:\n%s", name, b[max(0, len(b)-4000):])
			}
		}
	})
	return h
}

func freeTCP(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func freeUDP(t *testing.T) string {
	t.Helper()
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.LocalAddr().String()
}

// start starts one of the two and waits until it answers.
func (h *house) start(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return
	}
	args := []string{"--data", filepath.Join(h.dir, name), "--token-file", filepath.Join(h.dir, "token"), "--listen-api", h.address[name+"-api"], "--listen-mqtt", h.address[name+"-mqtt"]}
	if name == "gateway" {
		args = append(args, "--name", "edge-1", "--listen-http", h.address["gateway-http"], "--listen-coap", h.address["gateway-coap"], "--listen-coaps", "", "--queue-bytes", "33554432")
	}
	log, err := os.OpenFile(filepath.Join(h.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		h.t.Error(err)
		return
	}
	defer log.Close()
	line := append(append(slices.Clone(h.on), filepath.Join(h.bin, "lite-"+name)), args...)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		h.t.Error(err)
		return
	}
	h.procs[name] = cmd
	deadline := time.Now().Add(time.Minute)
	for {
		resp, err := http.Get("http://" + h.address[name+"-api"] + "/healthz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			h.t.Errorf("%s does not become healthy: %v", name, err)
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// kill ends one of the two as a crash would.
func (h *house) kill(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_ = h.procs[name].Process.Kill()
	_ = h.procs[name].Wait()
	h.kills[name]++
}

// call is one request with the admin token.
func (h *house) call(method, address, path string, body, out any) http.Header {
	h.t.Helper()
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			h.t.Fatal(err)
		}
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, "http://"+address+path, in)
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	if resp.StatusCode > 299 {
		h.t.Fatalf("%s %s: %s %s", method, path, resp.Status, b)
	}
	if out != nil {
		if err := json.Unmarshal(b, out); err != nil {
			h.t.Fatalf("%s %s: %s: %v", method, path, b, err)
		}
	}
	return resp.Header
}

// connect makes the gateway a thing of a channel on the server and attaches
// it; the answer is the channel.
func (h *house) connect() string {
	h.t.Helper()
	created := func(path string) string {
		at := h.call("POST", h.address["server-api"], path, map[string]string{"name": "edge-1"}, nil).Get("Location")
		return at[strings.LastIndex(at, "/")+1:]
	}
	thing, channel := created("/things"), created("/channels")
	var of struct{ Key string }
	h.call("GET", h.address["server-api"], "/things/"+thing, nil, &of)
	h.call("PUT", h.address["server-api"], "/channels/"+channel+"/things/"+thing, nil, nil)
	h.call("PUT", h.address["gateway-api"], "/uplink", map[string]string{
		"protocol": "MQTT", "address": "tcp://" + h.address["server-mqtt"], "topic": "channels/" + channel + "/messages/{seq}", "username": thing, "password": of.Key,
	}, nil)
	return channel
}

// stats are the gateway's counters.
type stats struct {
	Received, Filtered, Dropped         map[string]int
	Passed, Aggregated, Emitted, Queued int
	Delivered                           int
	Refused                             map[string]int
}

func (h *house) stats() stats {
	var s stats
	h.call("GET", h.address["gateway-api"], "/stats", nil, &s)
	return s
}

// stored are the values the server has under a name.
func (h *house) stored(channel, name string) []float64 {
	h.t.Helper()
	var out []float64
	after := ""
	for {
		var page struct {
			Next     string
			Messages []struct{ Value *float64 }
		}
		path := fmt.Sprintf("/channels/%s/messages?name=%s&limit=1000&count=false", channel, url.QueryEscape(name))
		if after != "" {
			path += "&after=" + url.QueryEscape(after)
		}
		h.call("GET", h.address["server-api"], path, nil, &page)
		for _, m := range page.Messages {
			if m.Value != nil {
				out = append(out, *m.Value)
			}
		}
		if after = page.Next; after == "" {
			return out
		}
	}
}

func sum(m map[string]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}

func waitFor(ctx context.Context, t *testing.T, what string, ok func() bool) {
	t.Helper()
	for !ok() {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("not in time: %s", what)
		}
	}
}
