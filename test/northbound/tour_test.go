package northbound

import (
	"testing"
)

func order(name string) object {
	return object{
		"name":           name,
		"serviceProfile": object{"dLLatency": 20, "sst": 3, "accessTechnologies": []string{"WIFI"}},
		"iotServers":     []object{{"name": "core", "product": "lite-server"}},
		"iotGateways":    []object{{"name": "edge", "product": "lite-gateway", "iotServer": "core"}},
		"microElements":  []object{},
		"microData":      []object{{"name": "flow", "from": "edge", "to": "core", "dataClass": "MUD", "mode": "ACTIVE"}},
		"iotDevices": []object{{
			"name": "press-1", "iotGateway": "edge", "protocol": "MQTT",
			"magnitudes": []object{{"name": "temperature", "unit": "Cel"}}, "actions": []object{{"name": "setpoint"}},
		}},
	}
}

// An order becomes a running slice; its members, operations, decision, events and
// audit trail can be read; it is changed, and ends.
func TestTour(t *testing.T) {
	s := start(t)
	_, keys := s.tenant("acme")
	admin, operator, viewer := keys["tenant-admin"], keys["tenant-operator"], keys["tenant-viewer"]
	s.must(201, admin, "POST", "/infrastructures", object{"name": "site", "kind": "CLOUD", "plugin": "simulated", "connection": object{}, "accessTechnologies": []string{"WIFI"}})

	// Designed, then asked about, then instantiated.
	made := s.must(201, operator, "POST", "/iotSlices", order("one"))
	slice := "/iotSlices/" + made.id()
	if made.header.Get("Location") != base+slice || made.header.Get("ETag") == "" {
		t.Errorf("%v", made.header)
	}
	if got := s.must(200, viewer, "GET", slice, nil); got.object["state"] != "DESIGNED" {
		t.Errorf("%s", got.body)
	}
	if got := s.must(200, operator, "POST", "/placements", object{"iotSliceId": made.id()}); got.object["feasibilityResult"] != "FEASIBLE" {
		t.Errorf("%s", got.body)
	}
	if got := s.must(200, operator, "POST", slice+"/instantiate?dryRun=true", nil); got.object["feasible"] != true || len(got.object["steps"].([]any)) == 0 {
		t.Errorf("%s", got.body)
	}
	task := s.must(202, operator, "POST", slice+"/instantiate", nil)
	done := s.wait(viewer, task.header.Get("Location"), "COMPLETED")
	if done.object["statusEnteredTime"] != done.object["stateEnteredTime"] {
		t.Errorf("%s", done.body)
	}
	s.must(409, operator, "DELETE", slice, nil)
	if got := s.must(200, viewer, "GET", slice+"/placement", nil); got.object["decision"] == nil {
		t.Errorf("%s", got.body)
	}
	for path, n := range map[string]int{"/iotGateways": 1, "/iotServers": 1, "/iotDevices": 1, "/microData": 1, "/microElements": 0} {
		if got := s.must(200, viewer, "GET", slice+path, nil); len(got.list) != n {
			t.Errorf("%s: %s", path, got.body)
		}
		if got := s.must(200, viewer, "GET", path+"?fields=state", nil); len(got.list) != n {
			t.Errorf("%s: %s", path, got.body)
		}
	}

	// A further device on the running slice: accepted, provisioned by an operation.
	device := s.must(202, operator, "POST", slice+"/iotDevices", object{"name": "press-2", "iotGateway": "edge", "protocol": "HTTP"})
	if device.object["name"] != "press-2" || device.object["credentials"] == nil {
		t.Errorf("%s", device.body)
	}
	s.wait(viewer, device.header.Get("Location"), "COMPLETED")
	if got := s.must(200, viewer, "GET", "/iotDevices/"+device.id(), nil); got.object["state"] != "ACTIVE" {
		t.Errorf("%s", got.body)
	}

	// Converging on what is there does nothing; on less, an operation removes it.
	want := order("one")
	want["iotDevices"] = append(want["iotDevices"].([]object), object{"name": "press-2", "iotGateway": "edge", "protocol": "HTTP"})
	s.must(200, operator, "PUT", "/iotSlices", want)
	less := s.must(202, operator, "PUT", "/iotSlices", order("one"))
	s.wait(viewer, less.header.Get("Location"), "COMPLETED")
	if got := s.must(200, viewer, "GET", slice+"/iotDevices", nil); len(got.list) != 1 {
		t.Errorf("%s", got.body)
	}

	end := s.must(202, operator, "DELETE", slice+"?cascade=true", nil)
	s.wait(viewer, end.header.Get("Location"), "COMPLETED")
	s.must(404, viewer, "GET", slice, nil)
	if got := s.must(200, admin, "GET", "/auditRecords?limit=1000", nil); len(got.list) < 8 {
		t.Errorf("%d audit records", len(got.list))
	}
	if got := s.must(200, viewer, "GET", "/events?limit=1000", nil); len(got.list) < 8 {
		t.Errorf("%d events: %s", len(got.list), got.body)
	}
}
