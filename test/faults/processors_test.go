package faults

import (
	"context"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/test/devices"
)

// processor is one that the commands are built for, and what emulates it.
type processor struct {
	name, goarch, goarm string
	machine             elf.Machine
	emulators           []string
}

var processors = []processor{
	{"arm64", "arm64", "", elf.EM_AARCH64, []string{"qemu-aarch64-static", "qemu-aarch64"}},
	{"armv7", "arm", "7", elf.EM_ARM, []string{"qemu-arm-static", "qemu-arm"}},
}

// TestOnOtherProcessors builds gateway and server for the processors of small
// machines, static, and runs both there: readings of three protocols go from
// device to query, a command goes down, and a kill -9 of both in between loses
// nothing. Time and memory under an emulator say nothing and are not judged.
func TestOnOtherProcessors(t *testing.T) {
	for _, p := range processors {
		t.Run(p.name, func(t *testing.T) {
			qemu := p.emulator(t)
			bin := p.build(t, "lite-gateway", "lite-server")
			h := houseOf(t, bin, qemu)
			channel := h.connect()
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
			defer cancel()
			south := map[string]string{"mqtt": "tcp", "http": "http", "coap": "coap"}
			for protocol, scheme := range south {
				h.call("PUT", h.address["gateway-api"], "/devices/"+protocol, map[string]any{"protocol": strings.ToUpper(protocol), "secret": "secret-of-" + protocol}, nil)
				h.send(ctx, scheme, protocol, 1)
			}
			h.kill("gateway")
			h.kill("server")
			h.start("server")
			h.start("gateway")
			for protocol, scheme := range south {
				h.send(ctx, scheme, protocol, 2)
				waitFor(ctx, t, "both readings over "+protocol+" stored", func() bool { return len(h.stored(channel, protocol+":t")) == 2 })
			}
			h.commandDown(ctx, channel)
		})
	}
}

// TestServiceOnArm64 starts the service built for arm64 and asks it by the
// command line built for arm64.
func TestServiceOnArm64(t *testing.T) {
	p := processors[0]
	qemu := p.emulator(t)
	bin := p.build(t, "osmosliced", "slicectl")
	dir := t.TempDir()
	service := exec.Command(qemu, filepath.Join(bin, "osmosliced"), "--data-dir", filepath.Join(dir, "data"), "--listen-address", "127.0.0.1:0", "--listen-portfile", filepath.Join(dir, "address"))
	var log strings.Builder
	service.Stdout, service.Stderr = &log, &log
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = service.Process.Kill()
		_ = service.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	var address []byte
	waitFor(ctx, t, "the service listens", func() bool {
		address, _ = os.ReadFile(filepath.Join(dir, "address"))
		return len(address) > 0
	})
	for _, args := range []string{"tenant create acme", "infrastructure create lab --kind CLOUD --plugin simulated", "tenant list"} {
		cmd := exec.CommandContext(ctx, qemu, append([]string{filepath.Join(bin, "slicectl")}, strings.Fields(args)...)...)
		cmd.Env = append(os.Environ(), "SLICECTL_CONFIG="+filepath.Join(dir, "config.yaml"), "SLICECTL_TENANT=acme",
			"SLICECTL_SERVER=http://"+strings.TrimSpace(string(address)), "SLICECTL_KEY_FILE="+filepath.Join(dir, "data", "admin.key"))
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "acme") && !strings.Contains(string(out), "lab") {
			t.Fatalf("slicectl %s: %v\n%s", args, err, out)
		}
	}
}

// emulator finds what runs the processor's programs; a machine without it
// skips, but not in CI.
func (p processor) emulator(t *testing.T) string {
	t.Helper()
	for _, name := range p.emulators {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const why = "missing prerequisite: %s; Debian has it in qemu-user-static"
	if os.Getenv("CI") == "true" {
		t.Fatalf(why, p.emulators[0])
	}
	t.Skipf(why, p.emulators[0])
	return ""
}

// build compiles commands for the processor and answers where they are: for it,
// and without an interpreter, which is what static means.
func (p processor) build(t *testing.T, commands ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, c := range commands {
		out := filepath.Join(dir, c)
		cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", out, "../../cmd/"+c)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+p.goarch, "GOARM="+p.goarm)
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", c, err, text)
		}
		f, err := elf.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		if f.Machine != p.machine {
			t.Errorf("%s is for %s, want %s", c, f.Machine, p.machine)
		}
		for _, part := range f.Progs {
			if part.Type == elf.PT_INTERP {
				t.Errorf("%s is not static", c)
			}
		}
		f.Close()
	}
	return dir
}

// send lets a device send one reading, acknowledged.
func (h *house) send(ctx context.Context, scheme, protocol string, value float64) {
	h.t.Helper()
	d, err := devices.Dial(ctx, devices.Options{Address: scheme + "://" + h.address["gateway-"+protocol], Name: protocol, Secret: "secret-of-" + protocol})
	if err != nil {
		h.t.Fatal(err)
	}
	defer d.Close()
	if err := d.Send(ctx, devices.Reading{Resource: "t", Value: value, Time: time.Now()}); err != nil {
		h.t.Fatalf("%s: %v", protocol, err)
	}
}

// commandDown sends a command at the server to the MQTT device.
func (h *house) commandDown(ctx context.Context, channel string) {
	h.t.Helper()
	var uplink map[string]any
	h.call("GET", h.address["gateway-api"], "/uplink", nil, &uplink)
	for _, own := range []string{"state", "error"} {
		delete(uplink, own)
	}
	var of struct{ Things []struct{ ID, Key string } }
	h.call("GET", h.address["server-api"], "/things", nil, &of)
	uplink["password"], uplink["down_topic"] = of.Things[0].Key, "channels/"+channel+"/commands"
	h.call("PUT", h.address["gateway-api"], "/uplink", uplink, nil)
	d, err := devices.Dial(ctx, devices.Options{Address: "tcp://" + h.address["gateway-mqtt"], Name: "mqtt", Secret: "secret-of-mqtt"})
	if err != nil {
		h.t.Fatal(err)
	}
	defer d.Close()
	got := make(chan devices.Command, 16)
	go func() { _ = d.Commands(ctx, func(c devices.Command) { got <- c }) }()
	h.call("POST", h.address["server-api"], "/channels/"+channel+"/commands", map[string]any{"id": "c-1", "device": "mqtt", "resource": "led", "value": 7}, nil)
	select {
	case c := <-got:
		if c.Resource != "led" || c.Value != "7" {
			h.t.Errorf("the device got %+v", c)
		}
	case <-ctx.Done():
		h.t.Fatal("the command did not come")
	}
	waitFor(ctx, h.t, "the server knows that the command was delivered", func() bool {
		var c struct{ State string }
		h.call("GET", h.address["server-api"], fmt.Sprintf("/channels/%s/commands/c-1", channel), nil, &c)
		return c.State == "DELIVERED"
	})
}
