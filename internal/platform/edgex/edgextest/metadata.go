package edgextest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// profile and device keep what was sent, since it comes back as it was.
type profile struct {
	Name         string            `json:"name"`
	Manufacturer string            `json:"manufacturer,omitempty"`
	Model        string            `json:"model,omitempty"`
	Labels       []string          `json:"labels,omitempty"`
	Resources    []profileResource `json:"deviceResources"`
	Commands     []struct {
		Name       string `json:"name"`
		ReadWrite  string `json:"readWrite"`
		Operations []struct {
			Resource string `json:"deviceResource"`
		} `json:"resourceOperations"`
	} `json:"deviceCommands,omitempty"`
}

type profileResource struct {
	Name       string `json:"name"`
	Properties struct {
		ValueType string `json:"valueType"`
		ReadWrite string `json:"readWrite"`
		Units     string `json:"units,omitempty"`
	} `json:"properties"`
	Tags map[string]any `json:"tags,omitempty"`
}

type device struct {
	Created     int64                     `json:"created"`
	Modified    int64                     `json:"modified"`
	ID          string                    `json:"id"`
	Name        string                    `json:"name"`
	Description string                    `json:"description,omitempty"`
	Admin       string                    `json:"adminState"`
	Operating   string                    `json:"operatingState"`
	Labels      []string                  `json:"labels,omitempty"`
	ServiceName string                    `json:"serviceName"`
	ProfileName string                    `json:"profileName"`
	Protocols   map[string]map[string]any `json:"protocols"`
	Properties  map[string]any            `json:"properties"`
}

// item is one outcome of a 207.
func item(status int, message, id string) map[string]any {
	m := map[string]any{"apiVersion": "v3", "statusCode": status}
	if message != "" {
		m["message"] = message
	}
	if id != "" {
		m["id"] = id
	}
	return m
}

func (f *Fake) metadataAPI() http.Handler {
	m := http.NewServeMux()
	common(m, "core-metadata")
	locked := func(pattern string, h http.HandlerFunc) {
		m.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			f.mu.Lock()
			defer f.mu.Unlock()
			h(w, r)
		})
	}
	locked("GET /api/v3/deviceservice/all", func(w http.ResponseWriter, _ *http.Request) {
		list := []any{}
		for _, s := range f.services {
			list = append(list, service(s))
		}
		answer(w, http.StatusOK, map[string]any{"totalCount": len(list), "services": list})
	})
	locked("GET /api/v3/deviceservice/name/{name}", func(w http.ResponseWriter, r *http.Request) {
		if name := r.PathValue("name"); slices.Contains(f.services, name) {
			answer(w, http.StatusOK, map[string]any{"service": service(name)})
			return
		}
		refuse(w, http.StatusNotFound, fmt.Sprintf("fail to query device service by name %s", r.PathValue("name")))
	})
	locked("POST /api/v3/deviceprofile", f.addProfiles)
	locked("DELETE /api/v3/deviceprofile/name/{name}", f.deleteProfile)
	locked("POST /api/v3/device", f.addDevices)
	locked("PATCH /api/v3/device", f.patchDevices)
	locked("GET /api/v3/device/all", func(w http.ResponseWriter, _ *http.Request) {
		list := []*device{}
		for _, name := range f.order {
			list = append(list, f.devices[name])
		}
		answer(w, http.StatusOK, map[string]any{"totalCount": len(list), "devices": list})
	})
	locked("GET /api/v3/device/name/{name}", func(w http.ResponseWriter, r *http.Request) {
		if d := f.devices[r.PathValue("name")]; d != nil {
			answer(w, http.StatusOK, map[string]any{"device": d})
			return
		}
		refuse(w, http.StatusNotFound, fmt.Sprintf("no device with name '%s' found", r.PathValue("name")))
	})
	locked("DELETE /api/v3/device/name/{name}", func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		if f.devices[name] == nil {
			refuse(w, http.StatusNotFound, fmt.Sprintf("no device with name '%s' found", name))
			return
		}
		delete(f.devices, name)
		f.order = slices.DeleteFunc(f.order, func(s string) bool { return s == name })
		answer(w, http.StatusOK, nil)
	})
	return m
}

func service(name string) map[string]any {
	now := time.Now().UnixMilli()
	return map[string]any{
		"created": now, "modified": now, "id": newID(), "name": name, "baseAddress": "http://localhost:59982",
		"adminState": "UNLOCKED", "properties": map[string]any{},
	}
}

func (f *Fake) addProfiles(w http.ResponseWriter, r *http.Request) {
	var in []struct {
		Profile profile `json:"profile"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		refuse(w, http.StatusBadRequest, "json decode failed")
		return
	}
	out := []any{}
	for _, v := range in {
		p := v.Profile
		switch {
		case p.Name == "" || len(p.Resources) == 0:
			refuse(w, http.StatusBadRequest, "AddDeviceProfileRequest validation failed")
			return
		case f.profiles[p.Name] != nil:
			out = append(out, item(http.StatusConflict, fmt.Sprintf("device profile name %s already exists", p.Name), ""))
		default:
			f.profiles[p.Name] = &p
			out = append(out, item(http.StatusCreated, "", newID()))
		}
	}
	write(w, http.StatusMultiStatus, out)
}

func (f *Fake) deleteProfile(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if f.profiles[name] == nil {
		refuse(w, http.StatusNotFound, fmt.Sprintf("fail to query device profile by name %s", name))
		return
	}
	for _, d := range f.devices {
		if d.ProfileName == name {
			refuse(w, http.StatusConflict, "fail to delete the device profile when associated device exists")
			return
		}
	}
	delete(f.profiles, name)
	answer(w, http.StatusOK, nil)
}

func (f *Fake) addDevices(w http.ResponseWriter, r *http.Request) {
	var in []struct {
		Device device `json:"device"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		refuse(w, http.StatusBadRequest, "json decode failed")
		return
	}
	for _, v := range in {
		if f.silent[v.Device.ServiceName] {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte("request timeout"))
			return
		}
	}
	out := []any{}
	for _, v := range in {
		d := v.Device
		out = append(out, f.addDevice(&d))
	}
	write(w, http.StatusMultiStatus, out)
}

func (f *Fake) addDevice(d *device) map[string]any {
	_, mqtt := d.Protocols["mqtt"]
	switch {
	case !slices.Contains(f.services, d.ServiceName):
		return item(http.StatusBadRequest, fmt.Sprintf("device service '%s' does not exists", d.ServiceName), "")
	case f.profiles[d.ProfileName] == nil:
		return item(http.StatusBadRequest, fmt.Sprintf("device profile '%s' not found during validating device '%s'", d.ProfileName, d.Name), "")
	case d.ServiceName == "device-mqtt" && !mqtt:
		return item(http.StatusInternalServerError, fmt.Sprintf("Device %s validation failed: invalid protocol properties, 'mqtt' protocol properties is not defined", d.Name), "")
	case f.devices[d.Name] != nil:
		return item(http.StatusConflict, fmt.Sprintf("device name %s already exists", d.Name), "")
	}
	d.ID, d.Created, d.Properties = newID(), time.Now().UnixMilli(), map[string]any{}
	d.Modified = d.Created
	f.devices[d.Name] = d
	f.order = append(f.order, d.Name)
	return item(http.StatusCreated, "", d.ID)
}

func (f *Fake) patchDevices(w http.ResponseWriter, r *http.Request) {
	var in []struct {
		Device struct {
			Name   string   `json:"name"`
			Labels []string `json:"labels"`
		} `json:"device"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		refuse(w, http.StatusBadRequest, "json decode failed")
		return
	}
	out := []any{}
	for _, v := range in {
		d := f.devices[v.Device.Name]
		if d == nil {
			out = append(out, item(http.StatusNotFound, fmt.Sprintf("no device with name '%s' found", v.Device.Name), ""))
			continue
		}
		if v.Device.Labels != nil {
			d.Labels = v.Device.Labels
		}
		out = append(out, item(http.StatusOK, "", ""))
	}
	write(w, http.StatusMultiStatus, out)
}
