package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/osmoslice/osmoslice/test/devices"
)

//go:embed order.yaml
var orderFile []byte

// demo is one run.
type demo struct {
	shell
	dir     string
	bed     string // folder of a test bed; empty: the sites are on this machine
	url     string
	service *exec.Cmd
	ended   chan struct{}
	log     *os.File
}

func (d *demo) config() string { return filepath.Join(d.dir, "slicectl.yaml") }

// The secrets of this run are drawn anew and only ever travel in files.
var secretNames = []string{"plant-1-server", "plant-1-gateway", "plant-1-device"}

func (d *demo) play(ctx context.Context) error {
	for _, act := range []func(context.Context) error{
		d.startService, d.sites, d.order, d.readings, d.readBack, d.why, d.command, d.heal,
	} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	d.title("The main job is done: an order became a running slice with real readings")
	return nil
}

func (d *demo) startService(ctx context.Context) (err error) {
	d.title("Start osmosliced on loopback with an empty data directory")
	address := filepath.Join(d.dir, "address")
	if d.log, err = os.Create(filepath.Join(d.dir, "osmosliced.log")); err != nil {
		return err
	}
	d.service = exec.Command(filepath.Join(d.bin, "osmosliced"), "--data-dir", filepath.Join(d.dir, "data"),
		"--listen-address", "127.0.0.1:0", "--listen-portfile", address)
	d.service.Stdout, d.service.Stderr = d.log, d.log
	d.service.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it may outlive the demo
	if err := d.service.Start(); err != nil {
		return err
	}
	d.ended = make(chan struct{})
	go func() { _ = d.service.Wait(); close(d.ended) }()
	err = until(ctx, 20*time.Second, "osmosliced is not ready", func() error {
		b, err := os.ReadFile(address)
		if err != nil {
			return err
		}
		d.url = "http://" + strings.TrimSpace(string(b))
		return answers(d.url + "/readyz")
	})
	if err != nil {
		return err
	}
	d.say("pid %d serves %s", d.service.Process.Pid, d.url)
	d.env = []string{"SLICECTL_CONFIG=" + d.config()}
	key := filepath.Join(d.dir, "data", "admin.key")
	return d.all(ctx,
		[]string{"context", "set", "demo", "--server", d.url, "--key-file", key, "--tenant", "acme"},
		[]string{"tenant", "create", "acme", "--display-name", "ACME works"})
}

func answers(url string) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return nil
}

func (d *demo) all(ctx context.Context, lines ...[]string) error {
	for _, l := range lines {
		if err := d.slicectl(ctx, l...); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) sites(ctx context.Context) error {
	register := d.registerHosts
	if d.onClusters() {
		register = d.registerClusters
	}
	if err := register(ctx); err != nil {
		return err
	}
	d.title("Keep three secrets: they come from files and are never told again")
	for _, name := range secretNames {
		if err := os.WriteFile(d.secret(name), []byte(random()), 0o600); err != nil {
			return err
		}
		if err := d.slicectl(ctx, "secret", "create", name, "--from-file", d.secret(name)); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) registerHosts(ctx context.Context) error {
	d.title("Register a device edge, a network edge and a cloud; all on this machine, each with its own capacity")
	for _, s := range []struct{ name, kind, latency, cpu string }{
		{"hall", "DEVICE_EDGE", "1", "1000"}, {"street", "NETWORK_EDGE", "4", "2000"}, {"region", "CLOUD", "15", "8000"},
	} {
		err := d.slicectl(ctx, "infrastructure", "create", s.name, "--kind", s.kind, "--plugin", "host", "--access", "WIFI,NB_IOT",
			"--access-latency", s.latency, "--connection", `{"capacity":{"cpu":`+s.cpu+`,"memory":4096,"storage":16384}}`)
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) secret(name string) string { return filepath.Join(d.dir, name+".secret") }

func (d *demo) order(ctx context.Context) error {
	d.title("Order one slice: a server, two gateways, a stream microElement, six devices")
	file := filepath.Join(d.dir, "order.yaml")
	if err := os.WriteFile(file, orderFile, 0o644); err != nil {
		return err
	}
	return d.all(ctx, []string{"slice", "apply", "-f", file, "--wait"}, []string{"slice", "members", "plant-1"})
}

// sent is how many readings each device sends.
const sent = 20

func (d *demo) readings(ctx context.Context) error {
	d.title("Send readings as the devices would: MQTT, HTTP and CoAP; SenML JSON, SenML CBOR and plain values")
	formats := map[string]devices.Format{"MQTT": devices.JSON, "HTTP": devices.CBOR, "COAP": devices.Plain}
	for _, gw := range []string{"hall-a", "hall-b"} {
		for _, dev := range plant[gw] {
			protocol, format := dev.protocol, formats[dev.protocol]
			address, err := d.endpoint(ctx, gw, southbound[protocol])
			if err != nil {
				return err
			}
			if err := d.send(ctx, dev.name, address, format, sent); err != nil {
				return fmt.Errorf("%s: %w", dev.name, err)
			}
			d.say("%s: %d readings over %-4s as %-5s acknowledged by %s at %s", dev.name, sent, protocol, format, gw, address)
		}
	}
	return nil
}

func (d *demo) send(ctx context.Context, name, address string, format devices.Format, n int) error {
	dev, err := d.dial(ctx, name, address, format)
	if err != nil {
		return err
	}
	defer dev.Close()
	for i := range n {
		r := devices.Reading{Resource: "temperature", Unit: "Cel", Value: 20 + float64(i)/2, Time: time.Now()}
		if err := dev.Send(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) dial(ctx context.Context, name, address string, format devices.Format) (devices.Device, error) {
	secret, err := os.ReadFile(d.secret("plant-1-device"))
	if err != nil {
		return nil, err
	}
	return devices.Dial(ctx, devices.Options{Address: address, Name: name, Secret: string(secret), Format: format})
}

func (d *demo) why(ctx context.Context) error {
	d.title("Where everything runs and why, and why not elsewhere")
	return d.all(ctx, []string{"slice", "placement", "plant-1"}, []string{"slice", "why-not", "plant-1"})
}

func (d *demo) command(ctx context.Context) error {
	d.title("Send a command down to a device")
	address, err := d.endpoint(ctx, "hall-a", southbound["MQTT"])
	if err != nil {
		return err
	}
	dev, err := d.dial(ctx, "press-1", address, devices.JSON)
	if err != nil {
		return err
	}
	defer dev.Close()
	listen, stop := context.WithCancel(ctx)
	defer stop()
	got := make(chan devices.Command, 1)
	failed := make(chan error, 1)
	go func() {
		failed <- dev.Commands(listen, func(c devices.Command) {
			select {
			case got <- c:
			default:
			}
		})
	}()
	if err := d.slicectl(ctx, "device", "command", "press-1", "setpoint", "42.5", "--slice", "plant-1", "--wait"); err != nil {
		return err
	}
	select {
	case c := <-got:
		d.say("press-1 received %s = %v", c.Resource, c.Value)
		return nil
	case err := <-failed:
		return errors.Join(errors.New("the device stopped listening"), err)
	case <-time.After(10 * time.Second):
		return errors.New("the device received no command within 10 s")
	}
}

func (d *demo) heal(ctx context.Context) error {
	kill := d.healProcess
	if d.onClusters() {
		kill = d.healPod
	}
	if err := kill(ctx); err != nil {
		return err
	}
	address, err := d.endpoint(ctx, "hall-a", southbound["HTTP"])
	if err != nil {
		return err
	}
	if err := d.send(ctx, "press-2", address, devices.JSON, 1); err != nil {
		return err
	}
	return d.stored(ctx, "press-2:temperature", sent+1)
}

func (d *demo) healProcess(ctx context.Context) error {
	d.title("Kill a gateway's process with signal 9")
	before := d.processes("LITE_GATEWAY_NAME=hall-a")
	if len(before) != 1 {
		return fmt.Errorf("expected one process of hall-a, found %v", before)
	}
	from := time.Now()
	if err := syscall.Kill(before[0], syscall.SIGKILL); err != nil {
		return err
	}
	api, err := d.endpoint(ctx, "hall-a", "api")
	if err != nil {
		return err
	}
	err = until(ctx, 15*time.Second, "hall-a is not back", func() error {
		after := d.processes("LITE_GATEWAY_NAME=hall-a")
		if len(after) != 1 || after[0] == before[0] {
			return fmt.Errorf("processes %v", after)
		}
		return answers(api + "/healthz")
	})
	if err != nil {
		return err
	}
	d.say("pid %d is gone; its supervisor has pid %d ready after %v, devices and queue as they were", before[0], d.processes("LITE_GATEWAY_NAME=hall-a")[0], time.Since(from).Round(time.Millisecond))
	return nil
}
