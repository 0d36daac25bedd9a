package mqtt_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/mqtt"
)

// house is a handler with users, whose topics are <user>/…; publishes wait
// until release when hold is set.
type house struct {
	mu        sync.Mutex
	passwords map[string]string
	got       []mqtt.Message
	outcome   mqtt.Outcome
	hold      chan struct{}
	delivered []string
}

func newHouse(users ...string) *house {
	h := &house{passwords: map[string]string{}, outcome: mqtt.Accept}
	for _, u := range users {
		h.passwords[u] = "secret-" + u
	}
	return h
}

func (h *house) Authenticate(c mqtt.Connect) (string, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	want, ok := h.passwords[c.Username]
	return c.Username, ok && want == string(c.Password)
}

func (h *house) Authorize(principal string, _ mqtt.Access, topic string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.passwords[principal]
	return ok && strings.HasPrefix(topic, principal+"/")
}

func (h *house) Publish(m mqtt.Message, done func(mqtt.Outcome)) {
	h.mu.Lock()
	h.got = append(h.got, m)
	hold, outcome := h.hold, h.outcome
	h.mu.Unlock()
	if hold == nil {
		done(outcome)
		return
	}
	go func() { <-hold; done(outcome) }()
}

func (h *house) Delivered(principal, token string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.delivered = append(h.delivered, principal+" "+token)
}

func (h *house) messages() []mqtt.Message {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]mqtt.Message(nil), h.got...)
}

func startBroker(t *testing.T, h *house, change func(*mqtt.Options)) *mqtt.Broker {
	t.Helper()
	o := mqtt.Options{Address: "127.0.0.1:0", Handler: h}
	if change != nil {
		change(&o)
	}
	b, err := mqtt.NewBroker(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func dial(t *testing.T, b *mqtt.Broker, user, clientID string, onMessage func(string, []byte)) *mqtt.Client {
	t.Helper()
	c, err := mqtt.Dial(t.Context(), mqtt.ClientOptions{
		Address: "tcp://" + b.Addr().String(), ClientID: clientID, Username: user, Password: "secret-" + user, OnMessage: onMessage,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 60 s: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func TestWrongPasswordIsRefused(t *testing.T) {
	b := startBroker(t, newHouse("anna"), nil)
	_, err := mqtt.Dial(t.Context(), mqtt.ClientOptions{Address: "tcp://" + b.Addr().String(), ClientID: "x", Username: "anna", Password: "wrong"})
	if !errors.Is(err, mqtt.ErrRefused) {
		t.Fatalf("error %v, want ErrRefused", err)
	}
}

// A publish at QoS 1 and 2 is acknowledged after its outcome, not before.
func TestAcknowledgementWaitsForOutcome(t *testing.T) {
	for qos := byte(1); qos <= 2; qos++ {
		t.Run(fmt.Sprintf("qos%d", qos), func(t *testing.T) {
			h := newHouse("anna")
			h.hold = make(chan struct{})
			b := startBroker(t, h, nil)
			c := dial(t, b, "anna", "c", nil)
			acknowledged := make(chan error, 1)
			c.PublishAsync("anna/t", qos, []byte("1"), func(err error) { acknowledged <- err })
			eventually(t, "message at the handler", func() bool { return len(h.messages()) == 1 })
			select {
			case <-acknowledged:
				t.Fatal("acknowledged before the handler had an outcome")
			default:
			}
			close(h.hold)
			select {
			case err := <-acknowledged:
				if err != nil {
					t.Fatal(err)
				}
			case <-time.After(time.Minute):
				t.Fatal("no acknowledgement")
			}
		})
	}
}

// Many publishes of one connection may wait for one commit.
func TestPublishesArePipelined(t *testing.T) {
	h := newHouse("anna")
	h.hold = make(chan struct{})
	b := startBroker(t, h, nil)
	c := dial(t, b, "anna", "c", nil)
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Add(1)
		c.PublishAsync("anna/t", 1, []byte{byte(i)}, func(err error) {
			defer wg.Done()
			if err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "100 messages at the handler, none concluded", func() bool { return len(h.messages()) == 100 })
	close(h.hold)
	wg.Wait()
}

func TestAbortDisconnectsWithoutAcknowledging(t *testing.T) {
	h := newHouse("anna")
	h.outcome = mqtt.Abort
	b := startBroker(t, h, nil)
	c := dial(t, b, "anna", "c", nil)
	if err := c.Publish(t.Context(), "anna/t", 1, []byte("1")); !errors.Is(err, mqtt.ErrConnectionLost) {
		t.Fatalf("error %v, want ErrConnectionLost", err)
	}
}

func TestForeignTopicsAreRefused(t *testing.T) {
	h := newHouse("anna", "bert")
	h.outcome = mqtt.Relay
	b := startBroker(t, h, nil)
	anna := dial(t, b, "anna", "a", nil)
	for _, filter := range []string{"bert/t", "#", "+/t", "$share/g/bert/t", "$SHARE/g/bert/#", "$SYS/#"} {
		if err := anna.Subscribe(t.Context(), filter, 1); !errors.Is(err, mqtt.ErrRefused) {
			t.Errorf("subscribe to %s: error %v, want ErrRefused", filter, err)
		}
	}
	if err := anna.Publish(t.Context(), "bert/t", 1, []byte("x")); !errors.Is(err, mqtt.ErrConnectionLost) {
		t.Errorf("publish as bert: error %v, want the connection cut", err)
	}
	if got := h.messages(); len(got) != 0 {
		t.Errorf("the handler was given %d messages of a foreign topic", len(got))
	}
}

func TestRelayReachesSubscribers(t *testing.T) {
	h := newHouse("anna")
	h.outcome = mqtt.Relay
	b := startBroker(t, h, nil)
	got := make(chan string, 1)
	sub := dial(t, b, "anna", "sub", func(topic string, payload []byte) { got <- topic + "=" + string(payload) })
	if err := sub.Subscribe(t.Context(), "anna/#", 1); err != nil {
		t.Fatal(err)
	}
	if err := dial(t, b, "anna", "pub", nil).Publish(t.Context(), "anna/t", 1, []byte("7")); err != nil {
		t.Fatal(err)
	}
	select {
	case m := <-got:
		if m != "anna/t=7" {
			t.Fatalf("got %s", m)
		}
	case <-time.After(time.Minute):
		t.Fatal("nothing was relayed")
	}
}

// The same client id under another user is another session.
func TestClientIDOfAnotherPrincipal(t *testing.T) {
	b := startBroker(t, newHouse("anna", "bert"), nil)
	anna := dial(t, b, "anna", "same", nil)
	dial(t, b, "bert", "same", nil)
	if err := anna.Publish(t.Context(), "anna/t", 1, []byte("still here")); err != nil {
		t.Fatal(err)
	}
}

// A session kept across connections goes with its principal, and nobody can
// keep any number of them.
func TestStoredSessionsAreBounded(t *testing.T) {
	h := newHouse("anna")
	b := startBroker(t, h, func(o *mqtt.Options) { o.MaxSessions = 3 })
	persistent := func(id string) (*mqtt.Client, error) {
		return mqtt.Dial(t.Context(), mqtt.ClientOptions{Address: "tcp://" + b.Addr().String(), ClientID: id, Username: "anna", Password: "secret-anna", Persistent: true})
	}
	for i := range 3 {
		c, err := persistent(fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	eventually(t, "connections ended", func() bool { return b.Clients() == 0 })
	if _, err := persistent("4"); !errors.Is(err, mqtt.ErrRefused) {
		t.Fatalf("a fourth session: %v, want ErrRefused", err)
	}
	c, err := persistent("1")
	if err != nil {
		t.Fatalf("a session that is there: %v", err)
	}
	c.Close()
	b.Disconnect("anna")
	for i := range 10 { // clean sessions leave nothing behind
		c := dial(t, b, "anna", fmt.Sprint("clean", i), nil)
		c.Close()
		eventually(t, "connection ended", func() bool { return b.Clients() == 0 })
	}
}

func TestDisconnectCutsAtOnce(t *testing.T) {
	h := newHouse("anna")
	b := startBroker(t, h, nil)
	c := dial(t, b, "anna", "c", nil)
	h.mu.Lock()
	delete(h.passwords, "anna")
	h.mu.Unlock()
	b.Disconnect("anna")
	select {
	case <-c.Done():
	case <-time.After(time.Minute):
		t.Fatal("the connection outlived the revocation")
	}
	_, err := mqtt.Dial(t.Context(), mqtt.ClientOptions{Address: "tcp://" + b.Addr().String(), ClientID: "c", Username: "anna", Password: "secret-anna"})
	if !errors.Is(err, mqtt.ErrRefused) {
		t.Fatalf("error %v, want ErrRefused", err)
	}
}

// A delivery is reported although the client publishes with the packet id of
// the message on its way to it.
func TestDeliveryIsReported(t *testing.T) {
	h := newHouse("anna")
	b := startBroker(t, h, nil)
	c := dial(t, b, "anna", "c", func(string, []byte) {})
	if err := c.Subscribe(t.Context(), "anna/commands/#", 1); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if err := b.Publish("anna/commands/led", []byte("1"), 1, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		if err := c.Publish(t.Context(), "anna/t", 1, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "20 deliveries", func() bool { h.mu.Lock(); defer h.mu.Unlock(); return len(h.delivered) == 20 })
}

func TestOversizePacketIsRefused(t *testing.T) {
	h := newHouse("anna")
	b := startBroker(t, h, func(o *mqtt.Options) { o.MaxPacket = 1000 })
	c := dial(t, b, "anna", "c", nil)
	if err := c.Publish(t.Context(), "anna/t", 1, make([]byte, 2000)); err == nil {
		t.Fatal("2000 bytes were accepted with a limit of 1000")
	}
	if len(h.messages()) != 0 {
		t.Fatal("the handler saw an oversize message")
	}
}

func TestSilentConnectionIsClosed(t *testing.T) {
	b := startBroker(t, newHouse(), func(o *mqtt.Options) { o.ConnectTimeout = 50 * time.Millisecond })
	c, err := net.Dial("tcp", b.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	_, err = c.Read(make([]byte, 1))
	var timeout net.Error
	if err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatalf("a connection without CONNECT stays open (%v)", err)
	}
	eventually(t, "connection forgotten", func() bool { return b.Clients() == 0 })
}

// A will is judged like any publish.
func TestWillCannotSpeakForAnother(t *testing.T) {
	b := startBroker(t, newHouse("anna"), nil)
	nc, err := net.Dial("tcp", b.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_, _ = nc.Write(connectPacket("anna", "secret-anna", "bert/t"))
	answer := make([]byte, 4)
	_ = nc.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := nc.Read(answer); err != nil || answer[0] != 0x20 || answer[3] == 0 {
		t.Fatalf("CONNACK % x (%v), want a refusal", answer, err)
	}
}

// connectPacket is an MQTT 3.1.1 CONNECT with a will of one byte [MQTT-3.1].
func connectPacket(user, password, willTopic string) []byte {
	str := func(s string) []byte { return append([]byte{byte(len(s) >> 8), byte(len(s))}, s...) }
	body := append(str("MQTT"), 4, 0xc6, 0, 30)
	for _, s := range []string{"c", willTopic, "x", user, password} {
		body = append(body, str(s)...)
	}
	return append([]byte{0x10, byte(len(body))}, body...)
}

func TestWillIsPublished(t *testing.T) {
	h := newHouse("anna")
	b := startBroker(t, h, nil)
	nc, err := net.Dial("tcp", b.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = nc.Write(connectPacket("anna", "secret-anna", "anna/gone"))
	_, _ = nc.Read(make([]byte, 4))
	nc.Close()
	eventually(t, "will at the handler", func() bool {
		got := h.messages()
		return len(got) == 1 && got[0].Topic == "anna/gone" && string(got[0].Payload) == "x"
	})
}

func TestBrokerStopsWithoutLeftovers(t *testing.T) {
	h := newHouse("anna")
	b, err := mqtt.NewBroker(mqtt.Options{Address: "127.0.0.1:0", Handler: h})
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, b, "anna", "c", nil)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.Done():
	case <-time.After(time.Minute):
		t.Fatal("client still connected after Close")
	}
	if _, err := net.DialTimeout("tcp", b.Addr().String(), time.Second); err == nil {
		t.Fatal("still listening after Close")
	}
}
