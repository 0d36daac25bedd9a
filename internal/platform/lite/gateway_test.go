package lite_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/lite/gateway"
	"github.com/osmoslice/osmoslice/internal/platform"
	"github.com/osmoslice/osmoslice/internal/platform/lite"
	"github.com/osmoslice/osmoslice/internal/platform/platformtest"
)

func startGateway(t *testing.T, name string) platform.Access {
	t.Helper()
	g, err := gateway.New(gateway.Config{
		Name: name, Data: t.TempDir(), Token: token, ListenAPI: "127.0.0.1:0", ListenMQTT: "127.0.0.1:0", ListenHTTP: "127.0.0.1:0",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := g.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return platform.Access{
		Endpoints: map[string]string{"api": "http://" + g.Ports()["api"], "mqtt": "mqtt://" + g.Ports()["mqtt"], "http": "http://" + g.Ports()["http"]},
		Token:     token,
	}
}

// TestGateway runs the contract against the real gateway, which delivers to the
// real server by the uplink that the server's adapter answers.
func TestGateway(t *testing.T) {
	platformtest.ExerciseGateway(t, func(t *testing.T) platformtest.GatewayFixture {
		server := startServer(t)
		u, err := lite.NewServer(nil).Connect(t.Context(), server, "edge-1")
		if err != nil {
			t.Fatal(err)
		}
		a := startGateway(t, "edge-1")
		return platformtest.GatewayFixture{
			Gateway: lite.NewGateway(nil), Access: a, Uplink: u,
			Reading: func(t *testing.T, d platform.Device, resource string, value float64) error {
				return read(t, a, d, resource, value)
			},
			Delivered: func(t *testing.T) int { return stored(t, server, u) },
			Other:     func(t *testing.T) platform.Access { return startGateway(t, "edge-1") },
		}
	})
}

// read publishes a plain value as an MQTT device.
func read(t *testing.T, a platform.Access, d platform.Device, resource string, value float64) error {
	t.Helper()
	address := "tcp://" + strings.TrimPrefix(a.Endpoints["mqtt"], "mqtt://")
	c, err := dial(t, platform.Uplink{Address: address, ClientID: d.Name, Username: d.Name, Password: d.Secret})
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return c.Publish(ctx, "devices/"+d.Name+"/"+resource, 1, fmt.Append(nil, value))
}

// TestCommandThroughServer sends a command by the server's REST interface, down
// through the gateway to a device that polls over HTTP, and reads its state
// where it was sent.
func TestCommandThroughServer(t *testing.T) {
	server, edge := startServer(t), startGateway(t, "edge-1")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	u, err := lite.NewServer(nil).Connect(ctx, server, "edge-1")
	if err != nil {
		t.Fatal(err)
	}
	adapter := lite.NewGateway(nil)
	lamp := platform.Device{
		Name: "lamp-1", Protocol: platform.HTTP, Secret: "secret-of-the-lamp",
		Resources: []platform.Resource{{Name: "led", Type: "boolean", Writable: true}},
	}
	results, err := adapter.Provision(ctx, edge, []platform.Device{lamp})
	if err != nil || results[0].Err != nil {
		t.Fatal(err, results)
	}
	if err := adapter.Attach(ctx, edge, u); err != nil {
		t.Fatal(err)
	}
	channel := server.Endpoints["api"] + "/channels/" + strings.Split(u.Topic, "/")[1]
	connected := func() bool {
		var state struct{ State string }
		request(t, http.MethodGet, edge.Endpoints["api"]+"/uplink", token, "", &state)
		return state.State == "connected"
	}
	eventually(t, "the gateway is connected", connected)
	request(t, http.MethodPost, channel+"/commands", token, `{"id":"c-1","device":"lamp-1","resource":"led","value":true}`, nil)
	var commands []struct {
		ID       string
		Resource string
		Value    any
	}
	request(t, http.MethodGet, edge.Endpoints["http"]+"/ingest/lamp-1/commands?wait=20s", lamp.Secret, "", &commands)
	if len(commands) != 1 || commands[0].ID != "c-1" || commands[0].Resource != "led" || commands[0].Value != true {
		t.Fatalf("the device got %+v", commands)
	}
	request(t, http.MethodDelete, edge.Endpoints["http"]+"/ingest/lamp-1/commands/c-1", lamp.Secret, "", nil)
	eventually(t, "the server knows that it was delivered", func() bool {
		var c struct{ State string }
		request(t, http.MethodGet, channel+"/commands/c-1", token, "", &c)
		return c.State == string(platform.CommandDelivered)
	})
	if n := stored(t, server, u); n != 0 {
		t.Errorf("states of the command became %d readings", n)
	}
}

// request sends one request and wants it to succeed.
func request(t *testing.T, method, url, token, body string, into any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode/100 != 2 {
		t.Fatalf("%s %s: status %d: %s", method, url, response.StatusCode, text)
	}
	if into != nil && len(text) > 0 {
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatalf("%s %s: %s: %v", method, url, text, err)
		}
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}
