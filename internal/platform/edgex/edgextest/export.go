package edgextest

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/osmoslice/osmoslice/internal/mqtt"
	"github.com/osmoslice/osmoslice/internal/senml"
)

func (f *Fake) appAPI() http.Handler {
	m := http.NewServeMux()
	common(m, "app-senml-export")
	return m
}

// settings is where the export service delivers.
type settings struct{ address, topic, clientID, username, password string }

// exporter plays the SenML export service: it keeps events until the server they
// are for has taken them.
type exporter struct {
	settings func() settings
	signal   chan struct{}
	stop     context.CancelFunc
	done     chan struct{}

	mu      sync.Mutex
	waiting []event
}

func newExporter(read func() settings) *exporter {
	ctx, cancel := context.WithCancel(context.Background())
	x := &exporter{settings: read, signal: make(chan struct{}, 1), stop: cancel, done: make(chan struct{})}
	go x.run(ctx)
	return x
}

func (x *exporter) close() { x.stop(); <-x.done }

func (x *exporter) wake() {
	select {
	case x.signal <- struct{}{}:
	default:
	}
}

func (x *exporter) add(e event) {
	x.mu.Lock()
	x.waiting = append(x.waiting, e)
	x.mu.Unlock()
	x.wake()
}

// retry is how long the exporter waits for a server that does not take readings.
const retry = 100 * time.Millisecond

// run delivers as long as there is something and somewhere, and looks again
// when either changes.
func (x *exporter) run(ctx context.Context) {
	defer close(x.done)
	var c *mqtt.Client
	var as settings
	again := time.NewTimer(time.Hour)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			if c != nil {
				c.Close()
			}
			return
		case <-x.signal:
		case <-again.C:
		}
		if now := x.settings(); now != as || c == nil {
			if c != nil {
				c.Close()
			}
			c, as = connect(ctx, now), now
		}
		if c == nil || !x.drain(ctx, c, as.topic) {
			if c != nil {
				c.Close()
				c = nil
			}
			if as.address != "none" {
				again.Reset(retry)
			}
		}
	}
}

func connect(ctx context.Context, s settings) *mqtt.Client {
	if s.address == "none" {
		return nil
	}
	c, err := mqtt.Dial(ctx, mqtt.ClientOptions{
		Address: s.address, ClientID: s.clientID, Username: s.username, Password: s.password, Timeout: 5 * time.Second,
	})
	if err != nil {
		return nil
	}
	return c
}

// drain delivers what waits, in order; false when the server took not all of it.
func (x *exporter) drain(ctx context.Context, c *mqtt.Client, topic string) bool {
	for {
		x.mu.Lock()
		if len(x.waiting) == 0 {
			x.mu.Unlock()
			return true
		}
		e := x.waiting[0]
		x.mu.Unlock()
		payload, err := senml.EncodeJSON(pack(e))
		if err == nil {
			call, cancel := context.WithTimeout(ctx, 5*time.Second)
			err := c.Publish(call, topic, 1, payload)
			cancel()
			if err != nil {
				return false
			}
		}
		x.mu.Lock()
		x.waiting = x.waiting[1:]
		x.mu.Unlock()
	}
}

// pack is an event as SenML: the device is the base name, the event's origin the
// base time.
func pack(e event) senml.Pack {
	var p senml.Pack
	for i, r := range e.Readings {
		rec := senml.Record{Name: r.Resource, Unit: r.Units, Value: senml.String(r.Value)}
		if r.ValueType == "Bool" {
			rec.Value = senml.Bool(r.Value == "true")
		} else if n, err := strconv.ParseFloat(r.Value, 64); err == nil && r.ValueType != "String" {
			rec.Value = senml.Float(n)
		}
		if i == 0 {
			rec.BaseName, rec.BaseTime = e.Device+":", float64(e.Origin)/1e9
		}
		p = append(p, rec)
	}
	return p
}
