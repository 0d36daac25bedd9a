package edgextest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/osmoslice/osmoslice/internal/mqtt"
)

type event struct {
	APIVersion string    `json:"apiVersion"`
	ID         string    `json:"id"`
	Device     string    `json:"deviceName"`
	Profile    string    `json:"profileName"`
	Source     string    `json:"sourceName"`
	Origin     int64     `json:"origin"`
	Readings   []reading `json:"readings"`
}

type reading struct {
	Origin    int64  `json:"origin"`
	Device    string `json:"deviceName"`
	Resource  string `json:"resourceName"`
	Profile   string `json:"profileName"`
	ValueType string `json:"valueType"`
	Units     string `json:"units,omitempty"`
	Value     string `json:"value"`
}

// take makes an event of what a device said; a text that is no value of its
// resource is refused as device-rest words it.
func (f *Fake) take(d *device, source string, values map[string]string) error {
	p := f.profiles[d.ProfileName]
	now := time.Now().UnixNano()
	e := event{"v3", newID(), d.Name, d.ProfileName, source, now, nil}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		at := slices.IndexFunc(p.Resources, func(r profileResource) bool { return r.Name == name })
		if at < 0 {
			return fmt.Errorf("resource %s not found", name)
		}
		props, value := p.Resources[at].Properties, values[name]
		if props.ValueType == "Float64" {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return fmt.Errorf("failed to parse %s reading, unable to cast %q of type string to float64", name, value)
			}
			value = strconv.FormatFloat(n, 'e', -1, 64)
		}
		e.Readings = append(e.Readings, reading{now, d.Name, name, d.ProfileName, props.ValueType, props.Units, value})
	}
	f.events = append(f.events, e)
	f.export.add(e)
	return nil
}

// southbound is the broker that MQTT devices know, with device-mqtt behind it.
type southbound Fake

// Authenticate lets everybody in, as a broker without users does.
func (s *southbound) Authenticate(c mqtt.Connect) (string, bool) { return c.ClientID, true }

// Authorize allows everything.
func (s *southbound) Authorize(string, mqtt.Access, string) bool { return true }

// Publish takes incoming/data/<device>/<resource or command>; what device-mqtt
// cannot make sense of, it drops.
func (s *southbound) Publish(m mqtt.Message, done func(mqtt.Outcome)) {
	f := (*Fake)(s)
	defer done(mqtt.Relay)
	parts := strings.Split(m.Topic, "/")
	if len(parts) != 4 || parts[0] != "incoming" || parts[1] != "data" {
		return
	}
	values := map[string]string{parts[3]: string(m.Payload)}
	var object map[string]json.RawMessage
	if json.Unmarshal(m.Payload, &object) == nil && object != nil {
		values = map[string]string{}
		for k, v := range object {
			values[k] = strings.Trim(string(v), `"`)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if d := f.devices[parts[2]]; d != nil && d.ServiceName == "device-mqtt" {
		_ = f.take(d, parts[3], values)
	}
}

func (f *Fake) restAPI() http.Handler {
	m := http.NewServeMux()
	common(m, "device-rest")
	m.HandleFunc("POST /api/v3/resource/{device}/{resource}", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		f.mu.Lock()
		defer f.mu.Unlock()
		status, text := http.StatusOK, ""
		if d := f.devices[r.PathValue("device")]; d == nil || d.ServiceName != "device-rest" {
			status, text = http.StatusNotFound, fmt.Sprintf("Device '%s' not found", r.PathValue("device"))
		} else if err := f.take(d, r.PathValue("resource"), map[string]string{r.PathValue("resource"): string(body)}); err != nil {
			status, text = http.StatusBadRequest, err.Error()
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(text))
	})
	return m
}

func (f *Fake) dataAPI() http.Handler {
	m := http.NewServeMux()
	common(m, "core-data")
	list := func(w http.ResponseWriter, r *http.Request, device string) {
		f.mu.Lock()
		defer f.mu.Unlock()
		limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
		if err != nil {
			limit = 20
		}
		out, total := []event{}, 0
		for _, e := range slices.Backward(f.events) {
			if device == "" || e.Device == device {
				if total++; total <= limit {
					out = append(out, e)
				}
			}
		}
		answer(w, http.StatusOK, map[string]any{"totalCount": total, "events": out})
	}
	m.HandleFunc("GET /api/v3/event/all", func(w http.ResponseWriter, r *http.Request) { list(w, r, "") })
	m.HandleFunc("GET /api/v3/event/device/name/{name}", func(w http.ResponseWriter, r *http.Request) { list(w, r, r.PathValue("name")) })
	m.HandleFunc("GET /api/v3/event/count/device/name/{name}", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		n := 0
		for _, e := range f.events {
			if e.Device == r.PathValue("name") {
				n++
			}
		}
		answer(w, http.StatusOK, map[string]any{"count": n})
	})
	m.HandleFunc("GET /api/v3/reading/device/name/{name}/resourceName/{resource}", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		out := []reading{}
		for _, e := range slices.Backward(f.events) {
			for _, v := range e.Readings {
				if v.Device == r.PathValue("name") && v.Resource == r.PathValue("resource") {
					out = append(out, v)
				}
			}
		}
		answer(w, http.StatusOK, map[string]any{"totalCount": len(out), "readings": out})
	})
	m.HandleFunc("DELETE /api/v3/event/device/name/{name}", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.events = slices.DeleteFunc(f.events, func(e event) bool { return e.Device == r.PathValue("name") })
		answer(w, http.StatusAccepted, nil)
	})
	return m
}

func (f *Fake) commandAPI() http.Handler {
	m := http.NewServeMux()
	common(m, "core-command")
	m.HandleFunc("GET /api/v3/device/name/{name}", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		d := f.devices[r.PathValue("name")]
		if d == nil {
			refuse(w, http.StatusNotFound, fmt.Sprintf("no device with name '%s' found", r.PathValue("name")))
			return
		}
		answer(w, http.StatusOK, map[string]any{"deviceCoreCommand": map[string]any{
			"deviceName": d.Name, "profileName": d.ProfileName, "coreCommands": f.coreCommands(d),
		}})
	})
	m.HandleFunc("PUT /api/v3/device/name/{name}/{resource}", func(w http.ResponseWriter, r *http.Request) {
		var in map[string]string
		bad := json.NewDecoder(r.Body).Decode(&in) != nil
		f.mu.Lock()
		defer f.mu.Unlock()
		d, resource := f.devices[r.PathValue("name")], r.PathValue("resource")
		switch {
		case d == nil:
			refuse(w, http.StatusNotFound, fmt.Sprintf("no device with name '%s' found", r.PathValue("name")))
		case bad:
			refuse(w, http.StatusBadRequest, "json decode failed")
		case !f.writable(d, resource):
			refuse(w, http.StatusMethodNotAllowed, fmt.Sprintf("resource %s is not writable", resource))
		default:
			f.written = append(f.written, Written{d.Name, resource, in[resource]})
			answer(w, http.StatusOK, nil)
		}
	})
	return m
}

func (f *Fake) writable(d *device, resource string) bool {
	for _, r := range f.profiles[d.ProfileName].Resources {
		if r.Name == resource {
			return strings.Contains(r.Properties.ReadWrite, "W")
		}
	}
	return false
}

// coreCommands lists what can be asked of a device: its commands, then its
// resources that no command of that name hides.
func (f *Fake) coreCommands(d *device) []any {
	p, out := f.profiles[d.ProfileName], []any{}
	types := map[string]string{}
	for _, r := range p.Resources {
		types[r.Name] = r.Properties.ValueType
	}
	entry := func(name, rw string, resources []string) {
		parameters := []any{}
		for _, r := range resources {
			parameters = append(parameters, map[string]any{"resourceName": r, "valueType": types[r]})
		}
		c := map[string]any{"name": name, "path": "/api/v3/device/name/" + d.Name + "/" + name, "url": f.endpoints["command"], "parameters": parameters}
		if strings.Contains(rw, "R") {
			c["get"] = true
		}
		if strings.Contains(rw, "W") {
			c["set"] = true
		}
		out = append(out, c)
	}
	for _, c := range p.Commands {
		var names []string
		for _, o := range c.Operations {
			names = append(names, o.Resource)
		}
		entry(c.Name, c.ReadWrite, names)
	}
	for _, r := range p.Resources {
		entry(r.Name, r.Properties.ReadWrite, []string{r.Name})
	}
	return out
}
