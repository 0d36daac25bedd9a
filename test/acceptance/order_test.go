package acceptance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sites registers a device edge, a network edge and a cloud on this machine.
func (s *service) sites(tenant string) {
	s.t.Helper()
	for _, site := range []struct {
		name, kind string
		cpu        int
		latency    float64
	}{{"device-edge", "DEVICE_EDGE", 1000, 1}, {"network-edge", "NETWORK_EDGE", 2000, 4}, {"cloud", "CLOUD", 8000, 12}} {
		s.site(tenant, site.name, site.kind, site.latency, object{"capacity": object{"cpu": site.cpu, "memory": 4096, "storage": 8192}})
	}
}

func (s *service) site(tenant, name, kind string, latency float64, connection object) {
	s.t.Helper()
	s.must(http.StatusCreated, "POST", "/infrastructures", object{
		"name": name, "tenantId": tenant, "kind": kind, "plugin": "host", "connection": connection,
		"accessTechnologies": []string{"WIFI", "NB_IOT"}, "accessLatencyMs": latency,
	})
}

func (s *service) tenant(name string) string {
	s.t.Helper()
	return s.must(http.StatusCreated, "POST", "/tenants", object{"name": name}).object(s.t).str("id")
}

func (s *service) secret(tenant, name, value string) {
	s.t.Helper()
	s.must(http.StatusCreated, "POST", "/secrets", object{"name": name, "tenantId": tenant, "value": value})
}

// order is a slice of one server, two gateways and a device of each protocol on
// each gateway.
func order(tenant, name string) object {
	element := func(name, product string, kinds ...string) object {
		return object{"name": name, "product": product, "credentialsRef": "admin", "placementPolicy": object{"kinds": kinds}}
	}
	gateway := func(name string) object {
		g := element(name, "lite-gateway", "DEVICE_EDGE", "NETWORK_EDGE")
		g["iotServer"] = "core"
		return g
	}
	var devices []object
	for _, g := range []string{"gw-a", "gw-b"} {
		for _, p := range []string{"MQTT", "HTTP", "COAP"} {
			devices = append(devices, object{
				"name": g + "-" + strings.ToLower(p), "iotGateway": g, "protocol": p, "credentialsRef": "device",
				"magnitudes": []object{{"name": "temperature", "unit": "Cel"}},
				"actions":    []object{{"name": "setpoint", "unit": "Cel"}},
			})
		}
	}
	return object{
		"name": name, "tenantId": tenant, "instantiate": true,
		"serviceProfile": object{"dLLatency": 20, "uLLatency": 20, "uLReliability": 99.9, "maxNumberofUEs": 100, "sst": 3, "accessTechnologies": []string{"WIFI"}},
		"iotServers":     []object{element("core", "lite-server", "CLOUD")},
		"iotGateways":    []object{gateway("gw-a"), gateway("gw-b")},
		"iotDevices":     devices,
	}
}

// prepare makes a tenant with sites and the secrets that order refers to.
func (s *service) prepare(name string) (tenant string) {
	s.t.Helper()
	tenant = s.tenant(name)
	s.sites(tenant)
	s.secrets(tenant)
	return tenant
}

func (s *service) secrets(tenant string) {
	s.t.Helper()
	s.secret(tenant, "admin", "admin-token-of-"+tenant)
	s.secret(tenant, "device", "device-secret-of-"+tenant)
}

// submit orders and answers slice id and operation path.
func (s *service) submit(o object) (sliceID, operation string) {
	s.t.Helper()
	a := s.must(http.StatusAccepted, "POST", "/iotSlices", o)
	return a.object(s.t).str("id"), local(a.header.Get("Location"))
}

func local(location string) string {
	_, path, _ := strings.Cut(location, "/iotslice/v1")
	return path
}

// ended waits for the end of an operation and answers it.
func (s *service) ended(operation string, within time.Duration) (o object) {
	s.t.Helper()
	s.eventually(within, "end of "+operation, func() error {
		a, err := s.call("GET", operation, nil)
		if err != nil {
			return err
		}
		if a.status != http.StatusOK {
			return fmt.Errorf("status %d: %s", a.status, a.body)
		}
		o = object{}
		if err := json.Unmarshal(a.body, &o); err != nil {
			return err
		}
		switch o.str("operationState") {
		case "COMPLETED", "PARTIALLY_COMPLETED", "ROLLED_BACK", "FAILED":
			return nil
		}
		return fmt.Errorf("still %s; %s", o.str("operationState"), tail(string(a.body)))
	})
	return o
}

func (s *service) completes(operation string) {
	s.t.Helper()
	if o := s.ended(operation, time.Minute); o.str("operationState") != "COMPLETED" {
		b, _ := json.MarshalIndent(o, "", " ")
		s.t.Fatalf("%s ended %s:\n%s", operation, o.str("operationState"), tail(string(b)))
	}
}

func (s *service) slice(id string) object {
	s.t.Helper()
	return s.must(http.StatusOK, "GET", "/iotSlices/"+id, nil).object(s.t)
}

// members lists a collection of a slice.
func (s *service) members(sliceID, collection string) (out []object) {
	s.t.Helper()
	a := s.must(http.StatusOK, "GET", "/iotSlices/"+sliceID+"/"+collection, nil)
	if err := json.Unmarshal(a.body, &out); err != nil {
		s.t.Fatalf("%s: %v\n%s", collection, err, a.body)
	}
	return out
}

// terminate ends and deletes a slice.
func (s *service) remove(sliceID string) {
	s.t.Helper()
	a := s.must(http.StatusAccepted, "DELETE", "/iotSlices/"+sliceID+"?cascade=true", nil)
	s.completes(local(a.header.Get("Location")))
}

// nothingLeft waits until no process and no release of a function is left.
func (s *service) nothingLeft() {
	s.t.Helper()
	s.eventually(time.Minute, "nothing left", func() error {
		if p := s.processes(); len(p) > 0 {
			return fmt.Errorf("processes left: %q", p)
		}
		var files []string
		_ = filepath.WalkDir(filepath.Join(s.dir, "host"), func(p string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.Contains(p, "/functions/") {
				files = append(files, p)
			}
			return nil
		})
		if len(files) > 0 {
			return fmt.Errorf("files left: %q", files)
		}
		return nil
	})
}

func TestOrderRunsAndEnds(t *testing.T) {
	s := start(t)
	tenant := s.prepare("acme")
	id, op := s.submit(order(tenant, "plant"))
	s.completes(op)
	if got := s.slice(id).str("state"); got != "ACTIVE" {
		t.Fatalf("slice is %s after %s", got, op)
	}
	if g, srv := s.running("lite-gateway"), s.running("lite-server"); len(g) != 2 || len(srv) != 1 {
		t.Fatalf("runs %q and %q, want two gateways and one server", g, srv)
	}
	for _, d := range s.members(id, "iotDevices") {
		if d.str("state") != "ACTIVE" {
			t.Errorf("device %s is %s: %s", d.str("name"), d.str("state"), d.str("cause"))
		}
	}
	s.remove(id)
	s.nothingLeft()
	if a, _ := s.call("GET", "/iotSlices/"+id, nil); a.status != http.StatusNotFound {
		t.Errorf("deleted slice answers %d", a.status)
	}
}

func TestTwoTenantsSideBySide(t *testing.T) {
	s := start(t)
	a, b := s.tenant("acme"), s.tenant("bolt")
	s.sites("system")
	s.must(http.StatusOK, "GET", "/infrastructures", nil)
	var ids, ops []string
	for _, tenant := range []string{a, b} {
		s.secrets(tenant)
	}
	s.share(a, b)
	for _, tenant := range []string{a, b} {
		id, op := s.submit(order(tenant, "plant"))
		ids, ops = append(ids, id), append(ops, op)
	}
	for _, op := range ops {
		s.completes(op)
	}
	if g := s.running("lite-gateway"); len(g) != 4 {
		t.Fatalf("runs %q, want four gateways", g)
	}
	system := s.key
	s.key = s.must(http.StatusCreated, "POST", "/apiKeys", object{"name": "a", "role": "tenant-operator", "tenantIds": []string{a}}).object(t).str("token")
	for _, path := range []string{"/iotSlices/" + ids[1], "/iotSlices/" + ids[1] + "/iotDevices", ops[1], "/tenants/" + b} {
		if ans, err := s.call("GET", path, nil); err != nil || ans.status != http.StatusNotFound {
			t.Errorf("GET %s with the other tenant's key: %d %v", path, ans.status, err)
		}
	}
	s.key = system
	s.remove(ids[0])
	if got := s.slice(ids[1]).str("state"); got != "ACTIVE" {
		t.Errorf("the other tenant's slice is %s after this one's deletion", got)
	}
	if g := s.running("lite-gateway"); len(g) != 2 {
		t.Errorf("runs %q, want the other tenant's two gateways", g)
	}
	s.remove(ids[1])
	s.nothingLeft()
}

// share lets tenants use the system's sites.
func (s *service) share(tenants ...string) {
	s.t.Helper()
	var sites []object
	if err := json.Unmarshal(s.must(http.StatusOK, "GET", "/infrastructures", nil).body, &sites); err != nil {
		s.t.Fatal(err)
	}
	for _, site := range sites {
		s.must(http.StatusOK, "PATCH", "/infrastructures/"+site.str("id"), object{"sharedWith": tenants}, "Content-Type", "application/merge-patch+json")
	}
}
