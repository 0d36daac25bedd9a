package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgexfoundry/go-mod-core-contracts/v4/common"
	"github.com/edgexfoundry/go-mod-core-contracts/v4/dtos/requests"
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
)

// coreKeeper answers as core-keeper does, and tells changes on the message bus.
type coreKeeper struct {
	*httptest.Server
	bus    *mochi.Server
	silent bool // changes are not told on the bus

	mu   sync.Mutex
	keys map[string]any
}

func startKeeper(t *testing.T) *coreKeeper {
	t.Helper()
	bus := freeAddress(t)
	host, port, err := net.SplitHostPort(bus)
	if err != nil {
		t.Fatal(err)
	}
	all := "edgex/v4/core-common-config-bootstrapper/all-services/"
	k := &coreKeeper{bus: mochi.New(&mochi.Options{InlineClient: true}), keys: map[string]any{
		"edgex/v4/core-common-config-bootstrapper/IsCommonConfigReady": "true",
		all + "Service/RequestTimeout":                                 "5s", all + "Service/ServerBindAddr": "127.0.0.1",
		all + "MessageBus/Type": "mqtt", all + "MessageBus/Protocol": "tcp", all + "MessageBus/Host": host, all + "MessageBus/Port": port,
		all + "MessageBus/AuthMode": "none", all + "MessageBus/BaseTopicPrefix": "edgex",
		all + "Writable/LogLevel": "INFO",
		"edgex/v4/core-common-config-bootstrapper/app-services/Writable/LogLevel":       "INFO",
		"edgex/v4/core-common-config-bootstrapper/app-services/Trigger/SubscribeTopics": "events/#",
	}}
	if err := k.bus.AddHook(new(auth.AllowHook), nil); err != nil {
		t.Fatal(err)
	}
	if err := k.bus.AddListener(listeners.NewTCP(listeners.Config{ID: "bus", Address: bus})); err != nil {
		t.Fatal(err)
	}
	if err := k.bus.Serve(); err != nil {
		t.Fatal(err)
	}
	m := http.NewServeMux()
	m.HandleFunc("GET /api/v3/ping", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, nil) })
	m.HandleFunc("GET /api/v3/kvs/key/{key...}", k.get)
	m.HandleFunc("PUT /api/v3/kvs/key/{key...}", k.put)
	k.Server = httptest.NewServer(m)
	t.Cleanup(func() { k.Close(); _ = k.bus.Close() })
	return k
}

func reply(w http.ResponseWriter, status int, response any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": "v3", "statusCode": status, "response": response})
}

func (k *coreKeeper) get(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	prefix, list := strings.TrimSuffix(r.PathValue("key"), "/"), []any{}
	for _, key := range slices.Sorted(maps.Keys(k.keys)) {
		if key != prefix && !strings.HasPrefix(key, prefix+"/") {
			continue
		}
		if r.URL.Query().Get("keyOnly") == "true" {
			list = append(list, key)
		} else {
			list = append(list, map[string]any{"key": key, "value": k.keys[key]})
		}
	}
	if len(list) == 0 {
		reply(w, http.StatusNotFound, nil)
		return
	}
	reply(w, http.StatusOK, list)
}

func (k *coreKeeper) put(w http.ResponseWriter, r *http.Request) {
	var in struct{ Value any }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		reply(w, http.StatusBadRequest, nil)
		return
	}
	flat := map[string]any{}
	flatten(flat, r.PathValue("key"), in.Value)
	k.mu.Lock()
	maps.Copy(k.keys, flat)
	k.mu.Unlock()
	// One message, under the key that was written, whatever was spread below it.
	if k.silent {
		reply(w, http.StatusOK, slices.Sorted(maps.Keys(flat)))
		return
	}
	k.publish("edgex/configs/"+r.PathValue("key"), map[string]any{"key": r.PathValue("key"), "value": in.Value})
	reply(w, http.StatusOK, slices.Sorted(maps.Keys(flat)))
}

func flatten(into map[string]any, key string, value any) {
	if members, ok := value.(map[string]any); ok {
		for name, v := range members {
			flatten(into, key+"/"+name, v)
		}
		return
	}
	into[key] = fmt.Sprint(value)
}

// publish sends a message on the bus, in EdgeX's envelope.
func (k *coreKeeper) publish(topic string, payload any) {
	b, err := json.Marshal(map[string]any{
		"apiVersion": "v3", "correlationID": "14a42ea6-c394-41c3-8bcd-a29b9f5e6835", "contentType": "application/json", "payload": payload,
	})
	if err == nil {
		_ = k.bus.Publish(topic, b, false, 1)
	}
}

// tell writes settings as an orchestrator does.
func (k *coreKeeper) tell(t *testing.T, key string, value any) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"value": value})
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut,
		k.URL+"/api/v3/kvs/key/edgex/v4/"+serviceKey+"/Writable/"+key+"?flatten=true", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatal(response, err)
	}
	_ = response.Body.Close()
}

func (k *coreKeeper) value(key string) any {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys["edgex/v4/"+serviceKey+"/Writable/"+key]
}

// TestToldByTheKeeper runs the whole service with its built-in configuration, a
// keeper and a message bus: it registers its settings, is attached to one
// server, then another, then to none, all while it runs.
func TestToldByTheKeeper(t *testing.T) {
	k, one, two := startKeeper(t), startServer(t, freeAddress(t)), startServer(t, freeAddress(t))
	_, port, err := net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	startChild(t, "EDGEX_CONFIG_PROVIDER=keeper."+k.URL, "SERVICE_PORT="+port, "EDGEX_SECURITY_SECRET_STORE=false")
	const parameters = "Pipeline/Functions/MQTTExport/Parameters"
	eventually(t, "the settings are registered", func() bool { return k.value(parameters+"/BrokerAddress") == nowhere })
	eventually(t, "the service follows bus and keeper", func() bool { return k.bus.Info.Clone().Subscriptions >= 3 })
	attach := func(s *server, topic string) {
		k.tell(t, "InsecureSecrets/mqtt/SecretData/username", username)
		k.tell(t, "InsecureSecrets/mqtt/SecretData/password", password)
		k.tell(t, parameters, map[string]string{"BrokerAddress": "tcp://" + s.address, "Topic": topic, "AuthMode": "usernamepassword", "ClientId": "gw"})
	}
	say := func(value string) {
		e := event(reading("temperature", common.ValueTypeFloat64, "Cel", value))
		e.Id, e.ApiVersion, e.Readings[0].Id = "f1f2c5f5-f3fb-4da7-98b6-6d03fe31681e", common.ApiVersion, "f1f2c5f5-f3fb-4da7-98b6-6d03fe31681f"
		k.publish("edgex/events/device/device-mqtt/p/dev1/temperature", requests.NewAddEventRequest(e))
	}
	say("1")
	attach(one, "channels/a/messages")
	eventually(t, "the first reading arrives", func() bool { return len(one.messages()) == 1 })
	k.tell(t, parameters, map[string]string{"BrokerAddress": nowhere, "Topic": nowhere, "AuthMode": nowhere, "ClientId": nowhere})
	eventually(t, "the server is left", func() bool { return one.broker.Info.Clone().ClientsConnected == 0 })
	say("2")
	attach(two, "channels/b/messages")
	eventually(t, "the second reading arrives at the next server", func() bool { return len(two.messages()) == 1 })
	if n := len(one.messages()); n != 1 || !strings.HasPrefix(two.messages()[0], "channels/b/messages ") {
		t.Errorf("%d at the first server; %s at the second", n, two.messages()[0])
	}
}

// TestAttachedBeforeItListens: what is told between the service's first reading
// of its settings and the moment it listens for changes reaches it all the same.
func TestAttachedBeforeItListens(t *testing.T) {
	k, one := startKeeper(t), startServer(t, freeAddress(t))
	k.silent = true // as if nobody listened yet
	_, port, err := net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	startChild(t, "EDGEX_CONFIG_PROVIDER=keeper."+k.URL, "SERVICE_PORT="+port, "EDGEX_SECURITY_SECRET_STORE=false")
	const parameters = "Pipeline/Functions/MQTTExport/Parameters"
	eventually(t, "the settings are registered", func() bool { return k.value(parameters+"/BrokerAddress") == nowhere })
	k.tell(t, "InsecureSecrets/mqtt/SecretData", map[string]string{"username": username, "password": password})
	k.tell(t, parameters, map[string]string{"BrokerAddress": "tcp://" + one.address, "Topic": "channels/a/messages", "AuthMode": "usernamepassword", "ClientId": "gw"})
	eventually(t, "it is connected", func() bool { return one.broker.Info.Clone().ClientsConnected == 1 })
	k.tell(t, parameters, map[string]string{"BrokerAddress": nowhere, "Topic": nowhere, "AuthMode": nowhere, "ClientId": nowhere})
	eventually(t, "the server is left", func() bool { return one.broker.Info.Clone().ClientsConnected == 0 })
}

// startChild starts the service as a process, and ends it with the test.
func startChild(t *testing.T, environment ...string) (exited chan error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	child := exec.Command(self)
	child.Env = append(append(os.Environ(), childVariable+"=1"), environment...)
	child.Stdout, child.Stderr = &log, &log
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	exited = make(chan error, 1)
	go func() { exited <- child.Wait() }()
	t.Cleanup(func() {
		if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", child.Process.Pid)); err == nil {
			_, rss, _ := strings.Cut(string(status), "VmRSS:")
			rss, _, _ = strings.Cut(rss, "\n")
			t.Log("resident memory:", strings.TrimSpace(rss))
		}
		_ = child.Process.Signal(os.Interrupt)
		select {
		case err := <-exited:
			if err != nil {
				t.Errorf("the service ended with %v", err)
			}
		case <-time.After(30 * time.Second):
			_ = child.Process.Kill()
			<-exited
			t.Error("the service does not end")
		}
		if strings.Contains(log.String(), password) {
			t.Error("the password is in the log")
		}
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return exited
}
