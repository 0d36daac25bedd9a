package mqtt_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/osmoslice/osmoslice/internal/mqtt"
)

// A subscriber at QoS 1 that does not keep up gets all or sees its session end:
// it never misses a message unknowingly. One at QoS 0 only misses what is too
// much, and both are counted.
func TestSlowSubscribersAreCut(t *testing.T) {
	for _, qos := range []byte{0, 1} {
		t.Run(fmt.Sprint("QoS ", qos), func(t *testing.T) {
			h := newHouse("anna")
			b := startBroker(t, h, func(o *mqtt.Options) { o.CutSlow, o.ClientQueue = true, 64 })
			release := make(chan struct{})
			var once sync.Once
			free := func() { once.Do(func() { close(release) }) }
			defer free()
			slow, err := mqtt.Dial(t.Context(), mqtt.ClientOptions{
				Address: "tcp://" + b.Addr().String(), ClientID: "slow", Username: "anna", Password: "secret-anna", Persistent: true,
				OnMessage: func(string, []byte) { <-release },
			})
			if err != nil {
				t.Fatal(err)
			}
			defer slow.Close()
			if err := slow.Subscribe(t.Context(), "anna/#", qos); err != nil {
				t.Fatal(err)
			}
			payload := make([]byte, 32<<10)
			for range 2000 {
				if err := b.Publish("anna/t", payload, 1, ""); err != nil {
					t.Fatal(err)
				}
			}
			if b.Dropped() == 0 {
				t.Error("nothing was dropped: the test does not reach the bound")
			}
			if qos == 0 {
				select {
				case <-slow.Done():
					t.Error("a subscriber at QoS 0 was cut")
				default:
				}
				return
			}
			eventually(t, "the session ended", func() bool { return b.Clients() == 0 })
			free()
			again := dial(t, b, "anna", "slow", nil)
			if err := again.Publish(t.Context(), "anna/t", 1, []byte("still welcome")); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// What was kept for a session whose client is away too long is lost with the
// session, not in part.
func TestFullStoredSessionsEnd(t *testing.T) {
	h := newHouse("anna")
	b := startBroker(t, h, func(o *mqtt.Options) { o.CutSlow, o.ClientQueue = true, 64 })
	got := make(chan string, 200)
	dialStored := func() *mqtt.Client {
		c, err := mqtt.Dial(t.Context(), mqtt.ClientOptions{
			Address: "tcp://" + b.Addr().String(), ClientID: "away", Username: "anna", Password: "secret-anna", Persistent: true,
			OnMessage: func(_ string, payload []byte) { got <- string(payload) },
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	c := dialStored()
	if err := c.Subscribe(t.Context(), "anna/#", 1); err != nil {
		t.Fatal(err)
	}
	c.Close()
	eventually(t, "the client is away", func() bool { return b.Clients() == 0 })
	for i := range 65 {
		if err := b.Publish("anna/t", fmt.Append(nil, i), 1, ""); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.Dropped(); n != 1 {
		t.Fatalf("%d messages dropped, want the 65th", n)
	}
	c = dialStored()
	if err := c.Subscribe(t.Context(), "anna/now", 1); err != nil {
		t.Fatal(err)
	}
	for _, topic := range []string{"anna/t", "anna/now"} {
		if err := b.Publish(topic, []byte("now"), 1, ""); err != nil {
			t.Fatal(err)
		}
	}
	if first := <-got; first != "now" {
		t.Errorf("got %s of a session that lost a message", first)
	}
	if len(got) != 0 {
		t.Error("the old subscription is still there")
	}
}
