package northbound

import "testing"

// A plan is kept with a reservation, listed, seen by nobody else, ordered, and
// told of; what is not used is deleted.
func TestPlacements(t *testing.T) {
	s := start(t)
	_, keys := s.tenant("acme")
	_, theirs := s.tenant("other")
	admin, operator, viewer := keys["tenant-admin"], keys["tenant-operator"], keys["tenant-viewer"]
	s.must(201, admin, "POST", "/infrastructures", object{"name": "site", "kind": "CLOUD", "plugin": "simulated", "connection": object{}, "accessTechnologies": []string{"WIFI"}})
	s.must(403, viewer, "POST", "/placements", object{"order": order("one")})
	s.must(422, operator, "POST", "/placements", object{})
	if got := s.must(200, operator, "POST", "/placements?dryRun=true", object{"order": order("one"), "keep": true}); got.object["id"] != nil || got.object["feasibilityResult"] != "FEASIBLE" {
		t.Errorf("%s", got.body)
	}
	kept := s.must(201, operator, "POST", "/placements", object{"order": order("one"), "name": "p1", "resourceReservation": true})
	path := "/placements/" + kept.id()
	if kept.header.Get("Location") != base+path || kept.header.Get("ETag") != `"1"` || kept.object["plan"] == nil || kept.object["resourceReservationStatus"] != "RESERVED" {
		t.Errorf("%v %s", kept.header, kept.body)
	}
	if got := s.must(200, viewer, "GET", path, nil); len(got.object["assignments"].([]any)) != 2 || len(got.object["checkIndex"].([]any)) < 3 || got.object["decision"] == nil || got.object["held"] != true {
		t.Errorf("%s", got.body)
	}
	if got := s.must(200, viewer, "GET", "/placements?filter=(eq,resourceReservationStatus,RESERVED)&exclude_default", nil); len(got.list) != 1 || got.list[0]["decision"] != nil {
		t.Errorf("%s", got.body)
	}
	s.must(404, theirs["tenant-admin"], "GET", path, nil)
	s.must(404, theirs["tenant-admin"], "DELETE", path, nil)
	if got := s.must(200, theirs["tenant-viewer"], "GET", "/placements", nil); len(got.list) != 0 {
		t.Errorf("%s", got.body)
	}

	o := order("one")
	o["instantiate"], o["placementId"] = true, kept.id()
	task := s.must(202, operator, "POST", "/iotSlices", o)
	done := s.wait(viewer, task.header.Get("Location"), "COMPLETED")
	if got := s.must(200, viewer, "GET", path, nil); got.object["resourceReservationStatus"] != "USED" || got.object["lcmOpOccId"] != done.id() {
		t.Errorf("%s", got.body)
	}
	if got := s.must(200, viewer, "GET", "/placements/"+done.id(), nil); got.object["decision"] == nil {
		t.Errorf("%s", got.body)
	}
	o["name"] = "two"
	s.must(409, operator, "POST", "/iotSlices", o)
	delete(o, "instantiate")
	if got := s.must(422, operator, "POST", "/iotSlices", o); names(got)[0] != "placementId" {
		t.Errorf("%s", got.body)
	}

	slice := "/iotSlices/" + task.id()
	if got := s.must(200, viewer, "GET", slice+"/survivability", nil); got.object["survivesAny"] != false || len(got.object["losses"].([]any)) == 0 {
		t.Errorf("%s", got.body)
	}
	if got := s.must(200, viewer, "GET", slice+"/placement/whyNot/node-1?element=core", nil); len(got.object["members"].([]any)) != 1 {
		t.Errorf("%s", got.body)
	}
	s.must(404, theirs["tenant-admin"], "GET", slice+"/survivability", nil)
	s.must(404, viewer, "GET", slice+"/placement/whyNot/ghost", nil)

	unused := s.must(201, operator, "POST", "/placements", object{"order": order("three"), "keep": true})
	s.must(204, operator, "DELETE", "/placements/"+unused.id(), nil)
	s.must(404, operator, "GET", "/placements/"+unused.id(), nil)
}
