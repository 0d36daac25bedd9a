package lite_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/lite/server"
	"github.com/osmoslice/osmoslice/internal/mqtt"
	"github.com/osmoslice/osmoslice/internal/platform"
	"github.com/osmoslice/osmoslice/internal/platform/lite"
	"github.com/osmoslice/osmoslice/internal/platform/platformtest"
)

const token = "admin-token-of-the-tests"

func startServer(t *testing.T) platform.Access {
	t.Helper()
	s, err := server.Start(t.Context(), server.Options{Data: t.TempDir(), Token: token, ListenAPI: "127.0.0.1:0", ListenMQTT: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return platform.Access{
		Endpoints: map[string]string{"api": "http://" + s.API().String(), "mqtt": "mqtt://" + s.MQTT().String()},
		Token:     token,
	}
}

func TestServer(t *testing.T) {
	platformtest.ExerciseServer(t, func(t *testing.T) platformtest.ServerFixture {
		a := startServer(t)
		return platformtest.ServerFixture{
			Server: lite.NewServer(nil), Access: a, Deliver: deliver, Hold: hold,
			Stored: func(t *testing.T, u platform.Uplink) int { return stored(t, a, u) },
		}
	})
}

// dial connects as the gateway of u.
func dial(t *testing.T, u platform.Uplink) (*mqtt.Client, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return mqtt.Dial(ctx, mqtt.ClientOptions{Address: u.Address, ClientID: u.ClientID, Username: u.Username, Password: u.Password})
}

func deliver(t *testing.T, u platform.Uplink) error {
	t.Helper()
	c, err := dial(t, u)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	topic := strings.ReplaceAll(u.Topic, "{seq}", "edge-1.0123456789abcdef.1.1")
	return c.Publish(ctx, topic, 1, []byte(`[{"n":"sensor-1:temperature","u":"Cel","v":21.5}]`))
}

func hold(t *testing.T, u platform.Uplink) <-chan struct{} {
	t.Helper()
	c, err := dial(t, u)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.Done()
}

// stored asks the server how many readings the channel of u has.
func stored(t *testing.T, a platform.Access, u platform.Uplink) int {
	t.Helper()
	channel := strings.Split(u.Topic, "/")[1]
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.Endpoints["api"]+"/channels/"+channel+"/messages", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+a.Token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var page struct{ Total int }
	if err := json.NewDecoder(response.Body).Decode(&page); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("status %d: %v", response.StatusCode, err)
	}
	return page.Total
}
