package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/osmoslice/osmoslice/test/devices"
)

// otherClients is how many HTTP and how many CoAP devices send side by side.
const otherClients = 16

// others measures HTTP and CoAP, each request acknowledged before the next of
// the same device.
func (h *house) others(ctx context.Context, f flags) error {
	fmt.Println()
	for _, protocol := range []struct{ name, address string }{
		{"http", "http://" + h.gatewayPorts["http"]}, {"coap", "coap://" + h.gatewayPorts["coap"]},
	} {
		n := max(f.messages/10, otherClients) / otherClients * otherClients
		began := time.Now()
		r, err := h.side(ctx, protocol.name, protocol.address, n)
		if err != nil {
			return fmt.Errorf("%s: %w", protocol.name, err)
		}
		fmt.Printf("%s: %d devices, %.0f messages/s acknowledged, request p50 / p99 %.2f / %.2f ms (%d messages in %s)\n",
			protocol.name, otherClients, r.rate(), r.ms(0.5), r.ms(0.99), n, time.Since(began).Round(time.Millisecond))
	}
	return nil
}

// side lets the devices of one protocol send n messages.
func (h *house) side(ctx context.Context, kind, address string, n int) (result, error) {
	r := result{messages: n}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var firstErr error
	began := time.Now()
	for i := range otherClients {
		wg.Add(1)
		go func() {
			defer wg.Done()
			took, err := requests(ctx, devices.Options{Address: address, Name: fmt.Sprint(kind, "-", i), Secret: "bench-secret"}, n/otherClients)
			mu.Lock()
			defer mu.Unlock()
			r.latencies = append(r.latencies, took...)
			if err != nil && firstErr == nil {
				firstErr = err
			}
		}()
	}
	wg.Wait()
	r.elapsed = time.Since(began)
	return sorted(r), firstErr
}

// requests sends n messages, one after the other.
func requests(ctx context.Context, o devices.Options, n int) ([]time.Duration, error) {
	d, err := devices.Dial(ctx, o)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	took := make([]time.Duration, 0, n)
	for range n {
		began := time.Now()
		if err := d.Send(ctx, devices.Reading{Resource: "humidity", Value: 45.0}); err != nil {
			return took, err
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}
