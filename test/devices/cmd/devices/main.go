// Command devices is one real IoT device: it sends readings over MQTT, HTTP or
// CoAP and can wait for a command.
//
//	devices --gateway tcp://127.0.0.1:1883 --name sensor-1 --secret-file s.txt --count 10
//	devices --gateway http://127.0.0.1:9181 --name lamp-1 --secret-file s.txt --count 0 --wait-command 1
//
// Readings go to standard error as they are taken; each command received is one
// line "<resource> <value>" on standard output.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/signal"
	"strings"
	"sync"
	"time"

	"github.com/osmoslice/osmoslice/test/devices"
)

type flags struct {
	device     devices.Options
	format     string
	secretFile string
	resource   string
	unit       string
	count      int
	batch      int
	interval   time.Duration
	base       float64
	swing      float64
	commands   int
	timeout    time.Duration
}

func main() {
	var f flags
	flag.StringVar(&f.device.Address, "gateway", "", "tcp://, http://, coap:// or coaps://host:port")
	flag.StringVar(&f.device.Name, "name", "", "name of the device")
	flag.StringVar(&f.secretFile, "secret-file", "", "file with the device's secret (else the environment variable DEVICE_SECRET)")
	flag.StringVar(&f.format, "format", "json", "json, cbor or plain")
	flag.StringVar(&f.resource, "resource", "temperature", "resource that is measured")
	flag.StringVar(&f.unit, "unit", "Cel", "SenML unit")
	flag.IntVar(&f.count, "count", 1, "readings to send; 0 for none")
	flag.IntVar(&f.batch, "batch", 1, "readings in one message")
	flag.DurationVar(&f.interval, "interval", 0, "pause between messages")
	flag.Float64Var(&f.base, "base", 20, "mean of the values")
	flag.Float64Var(&f.swing, "swing", 5, "amplitude of the values")
	flag.IntVar(&f.commands, "wait-command", 0, "commands to wait for after sending")
	flag.DurationVar(&f.timeout, "timeout", time.Minute, "of the whole run")
	flag.Parse()
	f.device.Format = devices.Format(f.format)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, f); err != nil {
		fmt.Fprintln(os.Stderr, "devices:", err)
		os.Exit(1)
	}
}

// run is the life of the device.
func run(ctx context.Context, f flags) error {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	f.device.Secret = os.Getenv("DEVICE_SECRET")
	if f.secretFile != "" {
		b, err := os.ReadFile(f.secretFile)
		if err != nil {
			return err
		}
		f.device.Secret = strings.TrimSpace(string(b))
	}
	if f.batch < 1 {
		return fmt.Errorf("batch: given %d, allowed: from 1", f.batch)
	}
	d, err := devices.Dial(ctx, f.device)
	if err != nil {
		return err
	}
	defer d.Close()
	received := make(chan struct{})
	var failed chan error
	if f.commands > 0 {
		failed = make(chan error, 1)
		go func() { failed <- receive(ctx, d, f.commands, received) }()
	}
	if err := send(ctx, d, f); err != nil {
		return err
	}
	if f.commands == 0 {
		return nil
	}
	select {
	case <-received:
		// The acknowledgement of the last command may still be on its way.
		time.Sleep(200 * time.Millisecond)
		return nil
	case err := <-failed:
		return err
	case <-ctx.Done():
		return errors.New("no command within the timeout")
	}
}

// receive prints commands and closes received after n of them.
func receive(ctx context.Context, d devices.Device, n int, received chan struct{}) error {
	var mu sync.Mutex
	return d.Commands(ctx, func(c devices.Command) {
		mu.Lock()
		defer mu.Unlock()
		if n == 0 {
			return
		}
		fmt.Println(c.Resource, c.Value)
		if n--; n == 0 {
			close(received)
		}
	})
}

// send sends a sine of readings, again while the gateway is busy.
func send(ctx context.Context, d devices.Device, f flags) error {
	began := time.Now()
	for sent := 0; sent < f.count; {
		var readings []devices.Reading
		for i := range min(f.batch, f.count-sent) {
			v := f.base + f.swing*math.Sin(2*math.Pi*float64(sent+i)/20)
			readings = append(readings, devices.Reading{Resource: f.resource, Unit: f.unit, Value: math.Round(v*100) / 100, Time: time.Now()})
		}
		err := d.Send(ctx, readings...)
		if errors.Is(err, devices.ErrBusy) {
			select {
			case <-time.After(time.Second):
				continue
			case <-ctx.Done():
			}
		}
		if err != nil {
			return err
		}
		sent += len(readings)
		select {
		case <-time.After(f.interval):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	fmt.Fprintf(os.Stderr, "%s: %d readings taken in %s\n", f.device.Name, f.count, time.Since(began).Round(time.Millisecond))
	return nil
}
