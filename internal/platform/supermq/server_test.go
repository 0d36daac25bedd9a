package supermq_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/mqtt"
	"github.com/osmoslice/osmoslice/internal/platform"
	"github.com/osmoslice/osmoslice/internal/platform/platformtest"
	"github.com/osmoslice/osmoslice/internal/platform/supermq"
	"github.com/osmoslice/osmoslice/internal/platform/supermq/supermqtest"
)

const password = "12345678" // as it was recorded

func start(t *testing.T, o supermqtest.Options) *supermqtest.Fake {
	t.Helper()
	o.Password = password
	f, err := supermqtest.New(o)
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

func channelOf(u platform.Uplink) string { return u.Topic[strings.LastIndex(u.Topic, "/")+1:] }

func TestServer(t *testing.T) {
	platformtest.ExerciseServer(t, func(t *testing.T) platformtest.ServerFixture {
		f := start(t, supermqtest.Options{})
		return platformtest.ServerFixture{
			Server: supermq.NewServer(nil), Access: f.Access("admin:" + password), Deliver: deliver,
			Stored: func(_ *testing.T, u platform.Uplink) int { return f.Stored(channelOf(u)) },
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

// TestRecording proves that the fake answers as the product did.
func TestRecording(t *testing.T) {
	f := start(t, supermqtest.Options{})
	a := f.Access("")
	r := platformtest.Replayer{
		Endpoints: a.Endpoints, Volatile: []string{"created_at", "updated_at"},
		Publish: func(t *testing.T, secret, topic, payload string) int {
			c, err := mqtt.Dial(bounded(t), mqtt.ClientOptions{Address: a.Endpoints["mqtt"], ClientID: "pub", Username: f.ClientOf(secret), Password: secret})
			if err != nil {
				return 5
			}
			defer c.Close()
			if c.Publish(bounded(t), topic, 1, []byte(payload)) != nil {
				return 7
			}
			return 0
		},
	}
	r.Replay(t, "testdata/session.txt")
}

// TestBrokenAtEveryCall: a repetition leaves one of everything, Disconnect
// nothing.
func TestBrokenAtEveryCall(t *testing.T) {
	for _, after := range []bool{false, true} {
		for n := 1; ; n++ {
			g := &platformtest.Gate{}
			f := start(t, supermqtest.Options{Wrap: g.Wrap})
			s, a, ctx := supermq.NewServer(nil), f.Access(password), bounded(t)
			g.Break(n, after, true)
			_, broken := s.Connect(ctx, a, "gw")
			g.Heal()
			u, err := s.Connect(ctx, a, "gw")
			if err != nil {
				t.Fatal(err)
			}
			if err := deliver(t, u); err != nil {
				t.Error(err)
			}
			if c, ch, l := f.Counts(); c != 1 || ch != 1 || l != 1 {
				t.Errorf("call %d: %d clients, %d channels, %d connections", n, c, ch, l)
			}
			g.Break(min(n, 4), after, true)
			_ = s.Disconnect(ctx, a, "gw")
			g.Heal()
			if err := s.Disconnect(ctx, a, "gw"); err != nil {
				t.Fatal(err)
			}
			if c, ch, l := f.Counts(); c+ch+l != 0 {
				t.Errorf("call %d: %d clients, %d channels, %d connections are left", n, c, ch, l)
			}
			if broken == nil {
				break
			}
		}
	}
}

// TestRestart: 401 and 503 pass, a wrong password does not.
func TestRestart(t *testing.T) {
	g := &platformtest.Gate{}
	f := start(t, supermqtest.Options{Wrap: g.Wrap})
	s, ctx := supermq.NewServer(nil), bounded(t)
	g.Answer(1, http.MethodPost, "/users/tokens/issue", 503, "")
	g.Answer(1, http.MethodGet, "/domains", 401, `{"message":"failed to perform authentication"}`)
	if _, err := s.Link(ctx, f.Access(password), "micro-a", "gw"); err != nil {
		t.Fatal(err)
	}
	if err := s.Health(ctx, f.Access(password)); err != nil {
		t.Error(err)
	}
	err := s.Health(ctx, f.Access("not-the-password"))
	if !fault.Is(err, fault.Unauthenticated) || strings.Contains(err.Error(), "not-the") {
		t.Error(err)
	}
}
