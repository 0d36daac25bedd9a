package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
)

const token = "gatewaybench-admin-token"

// house is everything that is measured, running.
type house struct {
	gateway, server, broker   *process
	gatewayPorts, serverPorts map[string]string
	brokerAddr                string
	thing, key, channel       string
	devices                   int
}

// process is a child.
type process struct {
	cmd  *exec.Cmd
	name string
}

// start runs a binary whose log goes to a file below dir.
func start(dir, name, binary string, args ...string) (*process, error) {
	log, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &process{cmd, name}, nil
}

func (p *process) stop() {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	done := make(chan struct{})
	go func() { _ = p.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(15 * time.Second):
		_ = p.cmd.Process.Kill()
		<-done
	}
}

// status is a field of /proc/<pid>/status in MB.
func (p *process) status(field string) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for _, line := range strings.Split(string(b), "\n") {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1024
		}
	}
	return 0
}

func (p *process) rss() float64  { return p.status("VmRSS") }
func (p *process) peak() float64 { return p.status("VmHWM") }

// waitPorts reads a ports file once it is there.
func waitPorts(ctx context.Context, path string) (map[string]string, error) {
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		if b, err := os.ReadFile(path); err == nil {
			var ports map[string]string
			if err := json.Unmarshal(b, &ports); err != nil {
				return nil, err
			}
			return ports, nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return nil, fmt.Errorf("%s was not written within 20 s", filepath.Base(path))
}

// startHouse starts broker, server and gateway and connects them.
func startHouse(ctx context.Context, f flags, dir string) (h *house, err error) {
	h = &house{}
	defer func() {
		if err != nil {
			h.stop()
		}
	}()
	tokenFile := filepath.Join(dir, "token")
	if err := os.WriteFile(tokenFile, []byte(token), 0o600); err != nil {
		return h, err
	}
	ports := func(name string) string { return filepath.Join(dir, name+".ports") }
	if h.broker, err = start(dir, "broker", os.Args[0], "--role", "broker", "--listen", ports("broker")); err != nil {
		return h, err
	}
	if h.server, err = start(dir, "server", f.server, "--data", filepath.Join(dir, "server"), "--token-file", tokenFile,
		"--listen-api", "127.0.0.1:0", "--listen-mqtt", "127.0.0.1:0", "--ports-file", ports("server")); err != nil {
		return h, err
	}
	if h.gateway, err = start(dir, "gateway", f.gateway, "--name", "bench", "--data", filepath.Join(dir, "gateway"), "--token-file", tokenFile,
		"--listen-api", "127.0.0.1:0", "--listen-mqtt", "127.0.0.1:0", "--listen-http", "127.0.0.1:0", "--listen-coap", "127.0.0.1:0", "--listen-coaps", "",
		"--fsync", f.fsync, "--ports-file", ports("gateway")); err != nil {
		return h, err
	}
	brokerPorts, err := waitPorts(ctx, ports("broker"))
	if err != nil {
		return h, err
	}
	h.brokerAddr = brokerPorts["mqtt"]
	if h.serverPorts, err = waitPorts(ctx, ports("server")); err != nil {
		return h, err
	}
	if h.gatewayPorts, err = waitPorts(ctx, ports("gateway")); err != nil {
		return h, err
	}
	return h, h.connect()
}

// connect makes a thing and a channel on the server and attaches the gateway.
func (h *house) connect() error {
	api := "http://" + h.serverPorts["api"]
	location := func(path, name string) (string, error) {
		resp, err := request("POST", api+path, map[string]string{"name": name})
		if err != nil {
			return "", err
		}
		at := resp.header.Get("Location")
		return at[strings.LastIndex(at, "/")+1:], nil
	}
	var err error
	if h.thing, err = location("/things", "bench"); err != nil {
		return err
	}
	if h.channel, err = location("/channels", "bench"); err != nil {
		return err
	}
	resp, err := request("GET", api+"/things/"+h.thing, nil)
	if err != nil {
		return err
	}
	var thing struct{ Key string }
	if err := json.Unmarshal(resp.body, &thing); err != nil {
		return err
	}
	h.key = thing.Key
	if _, err := request("PUT", api+"/channels/"+h.channel+"/things/"+h.thing, nil); err != nil {
		return err
	}
	_, err = request("PUT", "http://"+h.gatewayPorts["api"]+"/uplink", map[string]string{
		"protocol": "MQTT", "address": "tcp://" + h.serverPorts["mqtt"], "topic": "channels/" + h.channel + "/messages/{seq}", "username": h.thing, "password": h.key,
	})
	return err
}

// provision makes sure that n MQTT devices exist, and some for HTTP and CoAP.
func (h *house) provision(n int) error {
	type device struct {
		Name     string `json:"name"`
		Protocol string `json:"protocol"`
		Secret   string `json:"secret"`
	}
	var list []device
	if h.devices == 0 {
		for i := range otherClients {
			list = append(list, device{fmt.Sprint("http-", i), "HTTP", "bench-secret"}, device{fmt.Sprint("coap-", i), "COAP", "bench-secret"})
		}
	}
	for i := h.devices; i < n; i++ {
		list = append(list, device{deviceName(i), "MQTT", "bench-secret"})
	}
	h.devices = max(h.devices, n)
	for len(list) > 0 {
		k := min(len(list), 5000)
		if _, err := request("PUT", "http://"+h.gatewayPorts["api"]+"/devices", list[:k]); err != nil {
			return err
		}
		list = list[k:]
	}
	return nil
}

func (h *house) stop() {
	h.gateway.stop()
	h.server.stop()
	h.broker.stop()
}

type response struct {
	header http.Header
	body   []byte
}

// request is one call of a REST API with the admin token.
func request(method, url string, body any) (response, error) {
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return response{}, err
		}
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, url, in)
	if err != nil {
		return response{}, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return response{}, err
	}
	if resp.StatusCode > 299 {
		return response{}, fmt.Errorf("%s %s: %s: %s", method, req.URL.Path, resp.Status, b)
	}
	return response{resp.Header, b}, nil
}

// serveBroker is the yardstick: mochi as it comes, everyone allowed. The
// address goes to the file portsFile.
func serveBroker(portsFile string) {
	server := mochi.New(&mochi.Options{Logger: slog.New(slog.DiscardHandler)})
	listener := listeners.NewTCP(listeners.Config{ID: "tcp", Address: "127.0.0.1:0"})
	err := errors.Join(server.AddHook(new(auth.AllowHook), nil), server.AddListener(listener), server.Serve())
	if err == nil {
		err = os.WriteFile(portsFile+".new", fmt.Appendf(nil, `{"mqtt":%q}`, listener.Address()), 0o600)
	}
	if err == nil {
		err = os.Rename(portsFile+".new", portsFile)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "broker:", err)
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	<-ctx.Done()
	_ = server.Close()
}
