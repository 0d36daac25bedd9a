package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"
)

// A burst of commands that a gateway does not take as fast as they come costs
// it its session; it subscribes again and gets every one.
func TestNoCommandIsLostByABurst(t *testing.T) {
	const burst = 3 * mqttQueue
	h := open(t, nil)
	c := h.client("gw")
	release := make(chan struct{})
	var once sync.Once
	free := func() { once.Do(func() { close(release) }) }
	defer free()
	stuck := h.mustDial(c, func(string, []byte) { <-release })
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := stuck.Subscribe(ctx, commandTopic(c.channel), 1); err != nil {
		t.Fatal(err)
	}
	var sending sync.WaitGroup
	for i := range burst {
		sending.Go(func() {
			if _, err := h.send(ctx, c.channel, command{ID: fmt.Sprint("c-", i), Device: "d", Resource: "r", Value: json.RawMessage("1"), TTL: "1h"}); err != nil {
				t.Error(err)
			}
		})
	}
	sending.Wait()
	eventually(t, "the connection of the gateway that is behind is cut", func() bool { return h.broker.Clients() == 0 })
	free()

	before := h.broker.Dropped()
	heard := make(chan string, burst)
	again := h.mustDial(c, func(_ string, payload []byte) {
		var got command
		if err := json.Unmarshal(payload, &got); err != nil {
			t.Error(err)
		}
		heard <- got.ID
	})
	if err := again.Subscribe(ctx, commandTopic(c.channel), 1); err != nil {
		t.Fatal(err)
	}
	for seen := map[string]bool{}; len(seen) < burst; {
		select {
		case id := <-heard:
			seen[id] = true
		case <-ctx.Done():
			t.Fatalf("%d of %d commands came", len(seen), burst)
		}
	}
	if n := h.broker.Dropped() - before; n != 0 {
		t.Errorf("%d messages dropped while sending again", n)
	}
}

// Gateways that subscribe during a run get all of it too.
func TestEverySubscriptionGetsWhatWaits(t *testing.T) {
	const waiting, gateways = 700, 3 // more than a page, each
	h := open(t, nil)
	c := h.client("gw")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var sending sync.WaitGroup
	for i := range waiting {
		sending.Go(func() {
			if _, err := h.send(ctx, c.channel, command{ID: fmt.Sprint("c-", i), Device: "d", Resource: "r", Value: json.RawMessage("1"), TTL: "1h"}); err != nil {
				t.Error(err)
			}
		})
	}
	sending.Wait()
	var all sync.WaitGroup
	for i := range gateways {
		heard := make(chan string, (gateways+1)*waiting)
		gateway := c
		if i > 0 {
			gateway = h.client(fmt.Sprint("gw-", i))
			h.want(http.StatusOK, "PUT", "/channels/"+c.channel+"/things/"+gateway.id, nil)
		}
		m := h.mustDial(gateway, func(_ string, payload []byte) { heard <- string(payload) })
		if err := m.Subscribe(ctx, commandTopic(c.channel), 1); err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			for seen := map[string]bool{}; len(seen) < waiting; {
				select {
				case payload := <-heard:
					seen[payload] = true
				case <-ctx.Done():
					t.Errorf("%d of %d commands came", len(seen), waiting)
					return
				}
			}
		})
	}
	all.Wait()
}
