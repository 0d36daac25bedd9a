package mainflux_test

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/mqtt"
	"github.com/osmoslice/osmoslice/internal/platform"
	"github.com/osmoslice/osmoslice/internal/platform/mainflux"
	"github.com/osmoslice/osmoslice/internal/platform/mainflux/mainfluxtest"
	"github.com/osmoslice/osmoslice/internal/platform/platformtest"
)

const password = "password-of-the-tests"

func start(t *testing.T, o mainfluxtest.Options) *mainfluxtest.Fake {
	t.Helper()
	f, err := mainfluxtest.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestServer(t *testing.T) {
	platformtest.ExerciseServer(t, func(t *testing.T) platformtest.ServerFixture {
		f := start(t, mainfluxtest.Options{AdminEmail: "admin@example.com", AdminPassword: password})
		return platformtest.ServerFixture{
			Server: mainflux.NewServer(nil), Access: f.Access("admin@example.com:" + password),
			Deliver: func(t *testing.T, u platform.Uplink) error { return deliver(t, u) },
			Stored:  func(_ *testing.T, u platform.Uplink) int { return f.Stored(strings.Split(u.Topic, "/")[1]) },
		}
	})
}

func deliver(t *testing.T, u platform.Uplink) error {
	t.Helper()
	c, err := mqtt.Dial(bounded(t), mqtt.ClientOptions{Address: u.Address, ClientID: u.ClientID, Username: u.Username, Password: u.Password})
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Publish(bounded(t), u.Topic, 1, []byte(`[{"bn":"sensor-1:","n":"temperature","u":"Cel","v":21.5}]`))
}

// TestRecordings proves that the fake answers as the product did.
func TestRecordings(t *testing.T) {
	f := start(t, mainfluxtest.Options{})
	a := f.Access("")
	r := platformtest.Replayer{Endpoints: a.Endpoints, Publish: func(t *testing.T, key, topic, payload string) int {
		c, err := mqtt.Dial(bounded(t), mqtt.ClientOptions{Address: a.Endpoints["mqtt"], ClientID: "pub", Username: f.ThingOf(key), Password: key})
		if err != nil {
			return 5
		}
		defer c.Close()
		if err := c.Publish(bounded(t), topic, 1, []byte(payload)); err != nil {
			return 7
		}
		return 0
	}}
	r.Replay(t, "testdata/session.txt")
}

// TestCutOnNextPublish: a session outlives its link until it publishes.
func TestCutOnNextPublish(t *testing.T) {
	f := start(t, mainfluxtest.Options{})
	s, a, ctx := mainflux.NewServer(nil), f.Access(password), bounded(t)
	u, err := s.Connect(ctx, a, "gw")
	if err != nil {
		t.Fatal(err)
	}
	c, err := mqtt.Dial(ctx, mqtt.ClientOptions{Address: u.Address, ClientID: u.ClientID, Username: u.Username, Password: u.Password})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Publish(ctx, u.Topic, 1, []byte(`[{"n":"a","v":1}]`)); err != nil {
		t.Fatal(err)
	}
	if err := s.Disconnect(ctx, a, "gw"); err != nil {
		t.Fatal(err)
	}
	if err := c.Publish(ctx, u.Topic, 1, []byte(`[{"n":"a","v":2}]`)); err == nil {
		t.Error("the session still publishes")
	}
	select {
	case <-c.Done():
	case <-ctx.Done():
		t.Error("the session was not cut")
	}
}

// TestTheUserIsMade: a bare password belongs to a user that is made when it is
// missing, and only then.
func TestTheUserIsMade(t *testing.T) {
	f := start(t, mainfluxtest.Options{})
	s, ctx := mainflux.NewServer(nil), bounded(t)
	if _, err := s.Connect(ctx, f.Access("somebody@example.com:"+password), "gw"); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("%v: a named user is not made", err)
	}
	for range 2 {
		if _, err := s.Connect(ctx, f.Access(password), "gw"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Health(ctx, f.Access(password)); err != nil {
		t.Error(err)
	}
	_, err := s.Connect(ctx, f.Access("another-password"), "gw")
	if !fault.Is(err, fault.Unauthenticated) || fault.Of(err).Retry != fault.Never || strings.Contains(err.Error(), "another-password") {
		t.Errorf("%v: the user has another password", err)
	}
	if _, err := s.Connect(ctx, f.Access("short"), "gw"); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("%v: too short to be anybody's", err)
	}
}

// TestMisleadingWhileRestarting: what the product says while one of its services
// restarts is waited out.
func TestMisleadingWhileRestarting(t *testing.T) {
	g := &platformtest.Gate{}
	f := start(t, mainfluxtest.Options{Wrap: g.Wrap})
	s, a, ctx := mainflux.NewServer(nil), f.Access(password), bounded(t)
	g.Answer(1, http.MethodPost, "/tokens", 400, `{"error":"non-existent user"}`)
	g.Answer(1, http.MethodGet, "/things", 401, `{"error":"missing or invalid credentials provided"}`)
	g.Answer(1, http.MethodPost, "/things", 503, "")
	g.Answer(1, http.MethodPut, "/channels", 503, "")
	u, err := s.Connect(ctx, a, "gw")
	if err != nil {
		t.Fatal(err)
	}
	if err := deliver(t, u); err != nil {
		t.Fatal(err)
	}
	g.Answer(2, http.MethodGet, "/channels/", 500, "")
	got, err := s.Read(ctx, a, "gw", "sensor-1:temperature", 10)
	if err != nil || len(got) != 1 || got[0].Value != 21.5 || got[0].Unit != "Cel" {
		t.Errorf("read back %+v, %v", got, err)
	}
	if th, ch, l := f.Counts(); th != 1 || ch != 1 || l != 1 {
		t.Errorf("%d things, %d channels, %d links; want one of each", th, ch, l)
	}
}

// TestBrokenAtEveryCall breaks each request in turn, before its effect and after
// it. A repetition answers one uplink and leaves one of everything; Disconnect
// leaves nothing.
func TestBrokenAtEveryCall(t *testing.T) {
	for _, after := range []bool{false, true} {
		for n := 1; ; n++ {
			g := &platformtest.Gate{}
			f := start(t, mainfluxtest.Options{AdminEmail: mainflux.AdminEmail, AdminPassword: password, Wrap: g.Wrap})
			s, a, ctx := mainflux.NewServer(nil), f.Access(password), bounded(t)
			g.Break(n, after, true)
			_, err := s.Connect(ctx, a, "gw")
			if err == nil {
				if n < 6 {
					t.Errorf("Connect needs only %d calls", n-1)
				}
				break
			}
			if fault.Of(err).Retry != fault.Backoff {
				t.Errorf("call %d: %v is not retried", n, err)
			}
			// Given up here: nothing may be left.
			g.Heal()
			if n%2 == 0 {
				if err := s.Disconnect(ctx, a, "gw"); err != nil {
					t.Fatal(err)
				}
				empty(t, f, fmt.Sprintf("call %d, then Disconnect", n))
			}
			first, err := s.Connect(ctx, a, "gw")
			if err != nil {
				t.Fatal(err)
			}
			again, err := s.Connect(ctx, a, "gw")
			if err != nil || !reflect.DeepEqual(first, again) {
				t.Errorf("call %d: another uplink: %v", n, err)
			}
			if th, ch, l := f.Counts(); th != 1 || ch != 1 || l != 1 {
				t.Errorf("call %d, after its effect %v: %d things, %d channels, %d links", n, after, th, ch, l)
			}
			disconnectBroken(t, s, a, f, g)
		}
	}
}

// disconnectBroken breaks every call of Disconnect in turn until it succeeds.
func disconnectBroken(t *testing.T, s *mainflux.Server, a platform.Access, f *mainfluxtest.Fake, g *platformtest.Gate) {
	t.Helper()
	for n := 1; ; n++ {
		g.Break(n, true, true)
		if s.Disconnect(bounded(t), a, "gw") == nil {
			break
		}
		if n > 20 {
			t.Fatal("Disconnect never ends")
		}
	}
	g.Heal()
	if err := s.Disconnect(bounded(t), a, "gw"); err != nil {
		t.Error(err)
	}
	empty(t, f, "Disconnect")
}

func empty(t *testing.T, f *mainfluxtest.Fake, what string) {
	t.Helper()
	if th, ch, l := f.Counts(); th+ch+l != 0 {
		t.Errorf("%s: %d things, %d channels, %d links are left", what, th, ch, l)
	}
}

// TestLink: a reader may read the channel of a source that is not connected yet.
func TestLink(t *testing.T) {
	f := start(t, mainfluxtest.Options{})
	s, a, ctx := mainflux.NewServer(nil), f.Access(password), bounded(t)
	for range 2 {
		channel, err := s.Link(ctx, a, "micro-filter", "gw")
		if err != nil {
			t.Fatal(err)
		}
		u, err := s.Connect(ctx, a, "gw")
		if err != nil || u.Topic != "channels/"+channel+"/messages" {
			t.Fatalf("%s is not the channel that was linked, %s: %v", u.Topic, channel, err)
		}
	}
	if th, ch, l := f.Counts(); th != 2 || ch != 1 || l != 2 {
		t.Errorf("%d things, %d channels, %d links", th, ch, l)
	}
}
