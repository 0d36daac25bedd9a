package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/absmach/senml"
	"github.com/edgexfoundry/go-mod-core-contracts/v4/common"
	"github.com/edgexfoundry/go-mod-core-contracts/v4/dtos/requests"
)

// childVariable makes the test binary the service itself.
const childVariable = "SENML_EXPORT_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestService runs the whole service on the SDK, without EdgeX around it: events
// come by its HTTP trigger, and the server is away when the first one does.
func TestService(t *testing.T) {
	api, address, dir := freeAddress(t), freeAddress(t), t.TempDir()
	_, port, err := net.SplitHostPort(api)
	if err != nil {
		t.Fatal(err)
	}
	settings := strings.NewReplacer(
		"BrokerAddress: none", "BrokerAddress: tcp://"+address, "Topic: none", "Topic: channels/c/messages",
		"AuthMode: none", "AuthMode: usernamepassword", "ClientId: none", "ClientId: gw",
		"username: none", "username: "+username, "password: none", "password: "+password,
		"Type: edgex-messagebus", "Type: http", "Port: 59703", "Port: "+port,
		"Host: localhost", "Host: localhost\n  ServerBindAddr: 127.0.0.1\n  RequestTimeout: 5s", // common to all services otherwise
		"MessageBus:", "MessageBus:\n  Disabled: true",
	).Replace(string(builtIn))
	if err := os.WriteFile(filepath.Join(dir, "configuration.yaml"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	exited := startChild(t, "EDGEX_SECURITY_SECRET_STORE=false", "EDGEX_CONFIG_DIR="+dir, queueDir+"="+filepath.Join(dir, "queue"))
	eventually(t, "the service answers", func() bool {
		select {
		case err := <-exited:
			exited <- err
			t.Fatalf("the service ended: %v", err)
		default:
		}
		response, err := http.Get("http://" + api + "/api/v3/ping") //nolint:noctx // a loop with a deadline
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	send(t, api, "2.15e+01")
	s := startServer(t, address)
	send(t, api, "22")
	eventually(t, "both readings arrive", func() bool { return len(s.messages()) == 2 })
	for i, want := range []float64{21.5, 22} {
		topic, payload, _ := strings.Cut(s.messages()[i], " ")
		p, err := senml.Decode([]byte(payload), senml.JSON)
		if err != nil || topic != "channels/c/messages" {
			t.Fatalf("%s: %s: %v", topic, payload, err)
		}
		if p, err = senml.Normalize(p); err != nil || len(p.Records) != 1 || p.Records[0].Name != "dev1:temperature" || *p.Records[0].Value != want {
			t.Errorf("%s: %v", payload, err)
		}
	}
}

func send(t *testing.T, api, value string) {
	t.Helper()
	e := event(reading("temperature", common.ValueTypeFloat64, "Cel", value))
	e.Id, e.ApiVersion = "f1f2c5f5-f3fb-4da7-98b6-6d03fe31681e", common.ApiVersion
	e.Readings[0].Id = "f1f2c5f5-f3fb-4da7-98b6-6d03fe31681f"
	body, err := json.Marshal(requests.NewAddEventRequest(e))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Post("http://"+api+"/api/v3/trigger", "application/json", bytes.NewReader(body)) //nolint:noctx // bounded by the test
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("status %d: %s", response.StatusCode, text)
	}
}
