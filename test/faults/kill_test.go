package faults

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/test/devices"
)

// attempt is one reading a device tried to send; every attempt has a value of
// its own, so that it can be recognised.
type attempt struct {
	value float64
	acked bool // else unknown: it may or may not have been taken
}

// sender is one device's life under fire.
type sender struct {
	options  devices.Options
	resource string
	value    func(i int) float64
	together int // readings on their way at once
	attempts []attempt
}

// run sends until ctx ends, connecting again whenever it must.
func (s *sender) run(ctx context.Context, t *testing.T) {
	var d devices.Device
	defer func() {
		if d != nil {
			d.Close()
		}
	}()
	for i := 0; ctx.Err() == nil; i += s.together {
		if d == nil {
			dialCtx, cancel := context.WithTimeout(ctx, time.Second)
			var err error
			d, err = devices.Dial(dialCtx, s.options)
			cancel()
			if err != nil {
				if errors.Is(err, devices.ErrRefused) {
					t.Errorf("%s: refused: %v", s.options.Name, err)
					return
				}
				d = nil
				wait(ctx, 10*time.Millisecond)
				continue
			}
		}
		readings := make([]devices.Reading, s.together)
		for k := range readings {
			readings[k] = devices.Reading{Resource: s.resource, Value: s.value(i + k)}
		}
		sendCtx, cancel := context.WithTimeout(context.Background(), 1500*time.Millisecond)
		err := d.Send(sendCtx, readings...)
		cancel()
		if errors.Is(err, devices.ErrRefused) {
			t.Errorf("%s: %v", s.options.Name, err)
			return
		}
		for k := range readings {
			s.attempts = append(s.attempts, attempt{s.value(i + k), err == nil})
		}
		if err != nil {
			d.Close()
			d = nil
		}
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// Gateway and server are killed at random while devices of every protocol
// send. Whatever was acknowledged is stored, filtered, aggregated or counted as
// dropped, and nothing is stored twice.
func TestEveryReadingIsAccountedFor(t *testing.T) {
	seconds, seed := setting(t, "FAULT_SECONDS", 8), uint64(setting(t, "FAULT_SEED", int(time.Now().UnixNano()&0x7fffffff)))
	t.Logf("FAULT_SECONDS=%d FAULT_SEED=%d", seconds, seed)
	random := rand.New(rand.NewPCG(seed, seed))
	h := newHouse(t)
	channel := h.connect()
	senders := h.provision()

	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(seconds)*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for _, s := range senders {
		wg.Add(1)
		go func() { defer wg.Done(); s.run(ctx, t) }()
	}
	for ctx.Err() == nil {
		wait(ctx, time.Duration(100+random.IntN(700))*time.Millisecond)
		name := []string{"gateway", "server"}[random.IntN(2)]
		h.kill(name)
		wait(ctx, time.Duration(random.IntN(300))*time.Millisecond)
		h.start(name)
	}
	wg.Wait()

	// Removing the aggregating device closes its window.
	h.call("DELETE", h.address["gateway-api"], "/devices/aggregated", nil, nil)
	drained, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	waitFor(drained, t, "an empty queue", func() bool { return h.stats().Queued == 0 })
	h.account(channel, senders)
}

func setting(t *testing.T, name string, fallback int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return fallback
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("%s: given %q, allowed: a number", name, s)
	}
	return n
}

// provision registers the devices: plain ones on every protocol, one whose
// values are filtered by range, one that is aggregated.
func (h *house) provision() []*sender {
	type resource map[string]any
	count := func(i int) float64 { return float64(i) }
	type plan struct {
		name, protocol string
		format         devices.Format
		resource       resource
		value          func(int) float64
	}
	plans := []plan{
		{"mqtt-1", "MQTT", devices.JSON, resource{"name": "t"}, count},
		{"mqtt-2", "MQTT", devices.Plain, resource{"name": "t"}, count},
		{"http-1", "HTTP", devices.CBOR, resource{"name": "t"}, count},
		{"coap-1", "COAP", devices.JSON, resource{"name": "t"}, count},
		{"filtered", "MQTT", devices.JSON, resource{"name": "t", "min": 0}, func(i int) float64 {
			if i%3 == 1 {
				return float64(-i)
			}
			return float64(i)
		}},
		{"aggregated", "HTTP", devices.JSON, resource{"name": "t", "aggregate": "count", "window": "300ms"}, count},
	}
	var out []*sender
	for _, p := range plans {
		secret := "secret-of-" + p.name
		h.call("PUT", h.address["gateway-api"], "/devices/"+p.name, map[string]any{"protocol": p.protocol, "secret": secret, "resources": []resource{p.resource}}, nil)
		address := map[string]string{"MQTT": "tcp://" + h.address["gateway-mqtt"], "HTTP": "http://" + h.address["gateway-http"], "COAP": "coap://" + h.address["gateway-coap"]}[p.protocol]
		together := 1
		if p.format == devices.Plain {
			together = 16 // a pipeline of messages, cut somewhere in the middle
		}
		out = append(out, &sender{together: together, options: devices.Options{Address: address, Name: p.name, Secret: secret, Format: p.format}, resource: "t", value: p.value})
	}
	return out
}

// account compares what the devices know with what the server has and what
// the gateway counted.
func (h *house) account(channel string, senders []*sender) {
	t := h.t
	storedInAll, acked := 0, 0
	st := h.stats()
	for _, s := range senders {
		stored := h.stored(channel, s.options.Name+":t")
		storedInAll += len(stored)
		n := 0
		for _, a := range s.attempts {
			if a.acked {
				n++
			}
		}
		acked += n
		t.Logf("%s: %d attempts, %d acknowledged, %d stored", s.options.Name, len(s.attempts), n, len(stored))
		if n == 0 {
			t.Errorf("%s: no reading was acknowledged: the test says nothing", s.options.Name)
		}
		if s.options.Name == "aggregated" {
			readings := 0
			for _, v := range stored {
				readings += int(v)
			}
			if readings < n || readings > len(s.attempts) || readings != st.Aggregated {
				t.Errorf("aggregated: windows hold %d readings, %d acknowledged of %d, gateway counts %d", readings, n, len(s.attempts), st.Aggregated)
			}
			continue
		}
		compare(t, s, stored)
	}
	if received := sum(st.Received); received != st.Passed+sum(st.Filtered)+st.Aggregated || sum(st.Dropped) != 0 {
		t.Errorf("received %d, but passed %d, filtered %v, aggregated %d, dropped %v", received, st.Passed, st.Filtered, st.Aggregated, st.Dropped)
	}
	if storedInAll != st.Passed+st.Emitted || st.Delivered != storedInAll {
		t.Errorf("stored %d, but passed %d and emitted %d, delivered %d", storedInAll, st.Passed, st.Emitted, st.Delivered)
	}
	if h.kills["gateway"] == 0 || h.kills["server"] == 0 {
		t.Errorf("kills %v: not both were hit", h.kills)
	}
	t.Logf("kills %v, %d acknowledged, %d stored, gateway %+v", h.kills, acked, storedInAll, st)
}

// compare checks one device: acknowledged ⊆ stored ⊆ attempted, each once, and
// only values that pass the filter.
func compare(t *testing.T, s *sender, stored []float64) {
	slices.Sort(stored)
	if unique := slices.Compact(slices.Clone(stored)); len(unique) != len(stored) {
		t.Errorf("%s: %d of %d readings are stored twice", s.options.Name, len(stored)-len(unique), len(stored))
	}
	attempted := map[float64]bool{}
	for _, a := range s.attempts {
		attempted[a.value] = true
		_, found := slices.BinarySearch(stored, a.value)
		if a.acked && !found && a.value >= 0 {
			t.Errorf("%s: reading %v was acknowledged and is not stored", s.options.Name, a.value)
		}
	}
	for _, v := range stored {
		if !attempted[v] {
			t.Errorf("%s: stored %v was never sent", s.options.Name, v)
		}
		if v < 0 {
			t.Errorf("%s: %v should have been filtered", s.options.Name, v)
		}
	}
}
