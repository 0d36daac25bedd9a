package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// plant is the order's devices by gateway.
var plant = map[string][]struct{ name, protocol string }{
	"hall-a": {{"press-1", "MQTT"}, {"press-2", "HTTP"}, {"press-3", "COAP"}},
	"hall-b": {{"oven-1", "MQTT"}, {"oven-2", "HTTP"}, {"oven-3", "COAP"}},
}

// southbound is the gateway's endpoint for a device protocol.
var southbound = map[string]string{"MQTT": "mqtt", "HTTP": "http", "COAP": "coaps"}

func random() string { return rand.Text() }

// endpoint asks the API where a gateway's port is.
func (d *demo) endpoint(ctx context.Context, gateway, port string) (string, error) {
	return d.memberEndpoint(ctx, "gateway", gateway, port)
}

func (d *demo) memberEndpoint(ctx context.Context, noun, name, port string) (string, error) {
	var e struct {
		Deployment struct{ Endpoints map[string]string }
	}
	if err := d.ask(ctx, &e, noun, "get", name, "--slice", "plant-1"); err != nil {
		return "", err
	}
	if e.Deployment.Endpoints[port] == "" {
		return "", fmt.Errorf("%s %s has no endpoint %q, only %v", noun, name, port, e.Deployment.Endpoints)
	}
	return e.Deployment.Endpoints[port], nil
}

// readBack waits until every reading is at the server, and asks for aggregates.
func (d *demo) readBack(ctx context.Context) error {
	d.title("Read them back from the server, with an aggregate")
	for _, gw := range []string{"hall-a", "hall-b"} {
		for _, dev := range plant[gw] {
			if err := d.stored(ctx, dev.name+":temperature", sent); err != nil {
				return err
			}
		}
	}
	return d.trend(ctx)
}

// point is one aggregate that the server answers.
type point struct {
	Name, Unit string
	Value      float64
	Count      int
}

// stored waits until the server holds n points of a name, and prints their
// mean as the server computes it.
func (d *demo) stored(ctx context.Context, name string, n int) error {
	return until(ctx, 15*time.Second, fmt.Sprintf("the server does not hold %d points of %s", n, name), func() error {
		points, err := d.aggregate(ctx, name)
		if err != nil {
			return err
		}
		for _, p := range points {
			if p.Name == name && p.Count == n {
				d.say("%-22s %d points, mean %.2f %s", p.Name, p.Count, p.Value, p.Unit)
				return nil
			}
		}
		return fmt.Errorf("it holds %v", points)
	})
}

// trend waits until the stream microElement has published what it computed.
func (d *demo) trend(ctx context.Context) error {
	return until(ctx, 20*time.Second, "the stream microElement has published nothing", func() error {
		points, err := d.aggregate(ctx, "")
		if err != nil {
			return err
		}
		for _, p := range points {
			if strings.HasPrefix(p.Name, "press-1:temperature") && p.Name != "press-1:temperature" {
				d.say("%-22s published by the stream microElement trend: %.2f %s", p.Name, p.Value, p.Unit)
				return nil
			}
		}
		return fmt.Errorf("the server holds %d names, none of them derived", len(points))
	})
}

// aggregate asks every channel of the server for means since the demo began.
func (d *demo) aggregate(ctx context.Context, name string) (out []point, err error) {
	api, err := d.memberEndpoint(ctx, "server", "core", "api")
	if err != nil {
		return nil, err
	}
	var list struct{ Channels []struct{ ID string } }
	if err := d.serverGet(ctx, api+"/channels?limit=100", &list); err != nil {
		return nil, err
	}
	for _, c := range list.Channels {
		q := url.Values{"aggregate": {"mean"}, "from": {strconv.FormatInt(d.from.Unix()-1, 10)}}
		if name != "" {
			q.Set("name", name)
		}
		var page struct{ Messages []point }
		if err := d.serverGet(ctx, api+"/channels/"+c.ID+"/messages?"+q.Encode(), &page); err != nil {
			return nil, err
		}
		out = append(out, page.Messages...)
	}
	return out, nil
}

// serverGet asks the slice's server with the secret that administers it.
func (d *demo) serverGet(ctx context.Context, address string, into any) error {
	token, err := os.ReadFile(d.secret("plant-1-server"))
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+string(token))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answers %s: %.200s", resp.Status, body)
	}
	return json.Unmarshal(body, into)
}

// processes lists the functions that run below the demo's data directory and
// have word in their environment; shims and the service are not functions.
func (d *demo) processes(word string) (pids []int) {
	dirs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is well-formed
	for _, p := range dirs {
		pid, err := strconv.Atoi(filepath.Base(p))
		if err != nil || pid == os.Getpid() || d.service != nil && pid == d.service.Process.Pid {
			continue
		}
		env, _ := os.ReadFile(filepath.Join(p, "environ")) // a process that is gone has none
		line, _ := os.ReadFile(filepath.Join(p, "cmdline"))
		if strings.Contains(string(line), "--shim") && word != "" {
			continue
		}
		if strings.Contains(string(env)+string(line), d.dir) && strings.Contains(string(env), word) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// stopService ends osmosliced and waits for it.
func (d *demo) stopService() error {
	if d.service == nil || d.service.Process == nil {
		return nil
	}
	if err := d.service.Process.Signal(syscall.SIGTERM); err != nil {
		return nil //nolint:nilerr // it has ended already
	}
	select {
	case <-d.ended:
		return nil
	case <-time.After(30 * time.Second):
		return fmt.Errorf("osmosliced (pid %d) did not end within 30 s", d.service.Process.Pid)
	}
}
