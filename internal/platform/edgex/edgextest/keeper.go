package edgextest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	exportWritable = "edgex/v4/app-senml-export/Writable/"
	secretData     = exportWritable + "InsecureSecrets/mqtt/SecretData/"
	parameters     = exportWritable + "Pipeline/Functions/MQTTExport/Parameters/"
)

// exportDefaults is what the export service registers when it starts.
func exportDefaults() map[string]string {
	return map[string]string{
		secretData + "username": "none", secretData + "password": "none",
		parameters + "BrokerAddress": "none", parameters + "Topic": "none", parameters + "AuthMode": "none", parameters + "ClientId": "none",
	}
}

// settings reads what the export service is told.
func (f *Fake) settings() settings {
	f.mu.Lock()
	defer f.mu.Unlock()
	return settings{
		address: f.keys[parameters+"BrokerAddress"], topic: f.keys[parameters+"Topic"], clientID: f.keys[parameters+"ClientId"],
		username: f.keys[secretData+"username"], password: f.keys[secretData+"password"],
	}
}

func (f *Fake) keeperAPI() http.Handler {
	m := http.NewServeMux()
	common(m, "core-keeper")
	m.HandleFunc("GET /api/v3/registry/all", f.registry)
	m.HandleFunc("GET /api/v3/kvs/key/{key...}", f.getKeys)
	m.HandleFunc("PUT /api/v3/kvs/key/{key...}", f.putKeys)
	return m
}

func (f *Fake) registry(w http.ResponseWriter, _ *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list, now := []any{}, time.Now().UnixMilli()
	of := map[string]string{"app-senml-export": "app", "core-metadata": "metadata", "core-data": "data", "core-command": "command"}
	for _, id := range append([]string{"app-senml-export", "core-metadata", "core-data", "core-command"}, f.services...) {
		host, port := "localhost", 59982
		if u, err := url.Parse(f.endpoints[of[id]]); err == nil && u.Host != "" {
			h, p, _ := net.SplitHostPort(u.Host)
			host = h
			port, _ = strconv.Atoi(p)
		}
		list = append(list, map[string]any{
			"created": now, "modified": now, "serviceId": id, "status": "UP", "host": host, "port": port,
			"HealthCheck": map[string]any{"interval": "10s", "path": "/api/v3/ping", "type": "http"},
		})
	}
	answer(w, http.StatusOK, map[string]any{"totalCount": len(list), "registrations": list})
}

func (f *Fake) getKeys(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key, list := r.PathValue("key"), []any{}
	for _, k := range slices.Sorted(maps.Keys(f.keys)) {
		if k != key && !strings.HasPrefix(k, key+"/") {
			continue
		}
		value := f.keys[k]
		if r.URL.Query().Get("plaintext") != "true" {
			value = base64.StdEncoding.EncodeToString([]byte(value))
		}
		list = append(list, map[string]any{"key": k, "value": value, "created": 0, "modified": 0})
	}
	if len(list) == 0 {
		refuse(w, http.StatusNotFound, fmt.Sprintf("query key %s not found", key))
		return
	}
	answer(w, http.StatusOK, map[string]any{"response": list})
}

func (f *Fake) putKeys(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Value any `json:"value"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Value == nil {
		refuse(w, http.StatusBadRequest, "the value field is undefined")
		return
	}
	flat := map[string]string{}
	flatten(flat, r.PathValue("key"), in.Value)
	f.mu.Lock()
	list := []any{}
	for _, k := range slices.Sorted(maps.Keys(flat)) {
		f.keys[k] = flat[k]
		list = append(list, k)
	}
	f.mu.Unlock()
	f.export.wake()
	answer(w, http.StatusOK, map[string]any{"response": list})
}

func flatten(into map[string]string, key string, value any) {
	members, ok := value.(map[string]any)
	if !ok {
		into[key] = fmt.Sprint(value)
		return
	}
	for k, v := range members {
		flatten(into, key+"/"+k, v)
	}
}
