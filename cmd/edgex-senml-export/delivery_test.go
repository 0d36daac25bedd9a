package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgexfoundry/go-mod-core-contracts/v4/clients/logger"
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

// server is an MQTT broker with one user, that remembers what it was sent.
type server struct {
	mochi.HookBase
	address string
	broker  *mochi.Server

	mu  sync.Mutex
	got []string // topic, space, payload
}

const (
	username = "thing-1"
	password = "key-of-the-thing"
)

func startServer(t *testing.T, address string) *server {
	t.Helper()
	s := &server{address: address, broker: mochi.New(&mochi.Options{Logger: slog.New(slog.DiscardHandler)})}
	if err := s.broker.AddHook(s, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.broker.AddListener(listeners.NewTCP(listeners.Config{ID: "tcp", Address: address})); err != nil {
		t.Fatal(err)
	}
	if err := s.broker.Serve(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.broker.Close() })
	return s
}

func (s *server) ID() string { return "server" }

func (s *server) Provides(b byte) bool {
	return b == mochi.OnConnectAuthenticate || b == mochi.OnACLCheck || b == mochi.OnPublish
}

func (s *server) OnConnectAuthenticate(_ *mochi.Client, pk packets.Packet) bool {
	return string(pk.Connect.Username) == username && string(pk.Connect.Password) == password
}

func (s *server) OnACLCheck(*mochi.Client, string, bool) bool { return true }

func (s *server) OnPublish(_ *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, pk.TopicName+" "+string(pk.Payload))
	return pk, nil
}

func (s *server) messages() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// heldSecrets plays the secrets of the keeper.
type heldSecrets struct {
	mu     sync.Mutex
	secret map[string]string
}

func (k *heldSecrets) GetSecret(string, ...string) (map[string]string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.secret, nil
}

func (k *heldSecrets) put(user, pass string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.secret = map[string]string{"username": user, "password": pass}
}

func start(t *testing.T, d *delivery) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); d.run(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

func take(t *testing.T, d *delivery, payload string) {
	t.Helper()
	if _, err := d.take(nil, []byte(payload)); err != nil {
		t.Fatal(err)
	}
}

// TestAttachAtRunTime: readings wait while there is no server, go to the one
// that the keeper names, wait when it is taken away, and go to the next, in
// order. Secrets may come later than parameters.
func TestAttachAtRunTime(t *testing.T) {
	one, two := startServer(t, freeAddress(t)), startServer(t, freeAddress(t))
	k := &heldSecrets{}
	k.put(nowhere, nowhere)
	q, err := openQueue("")
	if err != nil {
		t.Fatal(err)
	}
	none := parameters{nowhere, nowhere, nowhere, nowhere}
	d := newDelivery(k, logger.NewMockClient(), q, none)
	start(t, d)
	take(t, d, "1")
	take(t, d, "2")
	d.changed(&parameters{"tcp://" + one.address, "channels/a/messages", "usernamepassword", "gw"})
	k.put(username, password)
	eventually(t, "what waited arrives", func() bool { return len(one.messages()) == 2 })
	d.changed(&none)
	k.put(nowhere, nowhere)
	eventually(t, "the server is left", func() bool { return one.broker.Info.Clone().ClientsConnected == 0 })
	take(t, d, "3")
	k.put(username, password)
	d.changed(&parameters{"tcp://" + two.address, "channels/b/messages", "usernamepassword", "gw"})
	eventually(t, "the next server gets the rest", func() bool { return len(two.messages()) == 1 })
	take(t, d, "4")
	eventually(t, "and what comes after", func() bool { return len(two.messages()) == 2 })
	got := strings.Join(append(one.messages(), two.messages()...), ", ")
	if want := "channels/a/messages 1, channels/a/messages 2, channels/b/messages 3, channels/b/messages 4"; got != want {
		t.Errorf("delivered %s, want %s", got, want)
	}
	if q.len() != 0 {
		t.Errorf("%d still wait", q.len())
	}
}

// TestQueueSurvives: what waits is on disk and goes first after a restart.
func TestQueueSurvives(t *testing.T) {
	dir := t.TempDir()
	k := &heldSecrets{}
	k.put(username, password)
	address := freeAddress(t)
	to := parameters{"tcp://" + address, "t", "usernamepassword", "gw"}
	run := func() (*delivery, func()) {
		q, err := openQueue(dir)
		if err != nil {
			t.Fatal(err)
		}
		d := newDelivery(k, logger.NewMockClient(), q, to)
		return d, start(t, d)
	}
	d, stop := run()
	for i := range 12 {
		take(t, d, fmt.Sprint(i))
	}
	stop()
	s := startServer(t, address)
	d, _ = run()
	take(t, d, "12")
	eventually(t, "all arrive", func() bool { return len(s.messages()) == 13 })
	for i, m := range s.messages() {
		if m != fmt.Sprint("t ", i) {
			t.Errorf("message %d is %q", i, m)
		}
	}
	eventually(t, "the folder is empty", func() bool {
		q, err := openQueue(dir)
		return err == nil && q.len() == 0
	})
}

func TestQueueIsBounded(t *testing.T) {
	q, err := openQueue("")
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxWaiting + 1 {
		if dropped, _ := q.push(nil); dropped != (i == maxWaiting) {
			t.Fatalf("message %d: dropped is %v", i, dropped)
		}
	}
	if m, _ := q.first(); q.len() != maxWaiting || m.number != 2 {
		t.Errorf("%d wait, the oldest is number %d", q.len(), m.number)
	}
}
