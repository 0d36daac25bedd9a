package northbound

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// probeProduct is a gateway that bounds its configuration by a schema and wants
// a secret and a value for its templates.
func probeProduct(version string, schema object) object {
	return object{
		"name": "bounded", "version": version, "elementKind": "gateway", "packaging": object{"simulated": object{}},
		"configuration": object{"CHANNEL": "${config:CHANNEL}"}, "files": object{"pin": "${secret:pin}"},
		"configurationSchema": schema,
	}
}

func bounds(more object) object {
	properties := object{
		"CHANNEL": object{"type": "string", "pattern": "^[a-z]+$"},
		"LEVEL":   object{"type": "integer", "minimum": 1, "maximum": 5},
		"VERBOSE": object{"type": "boolean"},
		"TOKEN":   object{"type": "string", "minLength": 8},
	}
	maps.Copy(properties, more)
	return object{"type": "object", "additionalProperties": false, "required": []string{"CHANNEL", "TOKEN"}, "properties": properties}
}

func named(o object, name string) object {
	o = maps.Clone(o)
	o["name"] = name
	return o
}

// A product's configuration schema bounds what its elements configure, wherever
// they are ordered or changed; the answer names every wrong field.
func TestConfigurationSchema(t *testing.T) {
	s := start(t)
	_, keys := s.tenant("acme")
	admin := keys["tenant-admin"]
	for what, schema := range map[string]any{
		"no schema": object{"type": "moon"}, "a file": object{"$ref": "file:///etc/passwd"}, "elsewhere": object{"$ref": "http://127.0.0.1:9/x"},
	} {
		p := probeProduct("0", nil)
		p["configurationSchema"] = schema
		if r := s.must(422, admin, "POST", "/products", p); names(r)[0] != "configurationSchema" {
			t.Errorf("%s: %s", what, r.body)
		}
	}
	product := s.must(201, admin, "POST", "/products", probeProduct("1", bounds(nil))).id()
	if r := s.must(422, admin, "PATCH", "/products/"+product, object{"configurationSchema": object{"type": 1}}); names(r)[0] != "configurationSchema" {
		t.Errorf("patch: %s", r.body)
	}
	secret := s.must(201, admin, "POST", "/secrets", object{"name": "pin", "value": "1234"}).id()

	edge := func(configuration, secrets object) object {
		return object{"name": "edge", "product": "bounded", "productVersion": "1", "configuration": configuration, "secretRefs": secrets}
	}
	good := edge(object{"CHANNEL": "blue", "LEVEL": "3", "VERBOSE": "true"}, object{"pin": "pin", "TOKEN": secret})
	sliceOf := func(e object) object { return object{"name": "s", "iotGateways": []object{e}} }
	refusals := []struct {
		e      object
		fields []string
	}{
		{edge(nil, nil), []string{"configuration/CHANNEL", "configuration/TOKEN", "secretRefs/pin"}},
		{edge(object{"CHANNEL": "BLUE", "LEVEL": "9", "VERBOSE": "perhaps", "TOKEN": "long enough"}, object{"pin": "pin"}),
			[]string{"configuration/CHANNEL", "configuration/LEVEL", "configuration/VERBOSE"}},
		{edge(object{"CHANNEL": "blue", "COLOUR": "red", "TOKEN": "short"}, object{"pin": "pin"}), []string{"configuration/COLOUR", "configuration/TOKEN"}},
		{edge(object{"CHANNEL": "blue"}, object{"pin": "pin", "TOKEN": "pin", "HUE": "pin"}), []string{"configuration/HUE"}},
		{edge(object{"CHANNEL": "blue"}, object{"pin": "pin", "TOKEN": "nobody's"}), []string{"secretRefs/TOKEN"}},
	}
	check := func(what, at string, r reply, want []string) {
		t.Helper()
		got := names(r)
		slices.Sort(got)
		got = slices.Compact(got)
		wanted := make([]string, 0, len(want))
		for _, f := range want {
			wanted = append(wanted, at+f)
		}
		if !slices.Equal(got, wanted) {
			t.Errorf("%s names %v, want %v: %s", what, got, wanted, r.body)
		}
	}
	for _, c := range refusals {
		check("order", "iotGateways/0/", s.must(422, admin, "POST", "/iotSlices", sliceOf(c.e)), c.fields)
		check("converge", "iotGateways/0/", s.must(422, admin, "PUT", "/iotSlices", sliceOf(c.e)), c.fields)
		check("dry run", "iotGateways/0/", s.must(422, admin, "POST", "/iotSlices?dryRun=true", sliceOf(c.e)), c.fields)
	}
	made := s.must(201, admin, "POST", "/iotSlices", sliceOf(good))
	for _, c := range refusals {
		check("member", "", s.must(422, admin, "POST", "/iotSlices/"+made.id()+"/iotGateways", named(c.e, "more")), c.fields)
		check("converge what is there", "iotGateways/0/", s.must(422, admin, "PUT", "/iotSlices", sliceOf(c.e)), c.fields)
	}
	at := "/iotGateways/" + s.must(200, admin, "GET", "/iotSlices/"+made.id()+"/iotGateways", nil).list[0]["id"].(string)
	check("patch", "", s.must(422, admin, "PATCH", at, object{"configuration": object{"LEVEL": "0"}}), []string{"configuration/LEVEL"})
	check("patch of args", "", s.must(422, admin, "PATCH", at, object{"args": []string{"--x=${config:GONE}"}}), []string{"configuration/GONE"})
	check("patch of secrets", "", s.must(422, admin, "PATCH", at, object{"secretRefs": object{"pin": nil}}), []string{"secretRefs/pin"})
	s.must(200, admin, "PATCH", at, object{"configuration": object{"LEVEL": "5"}})
	s.must(200, admin, "PUT", "/iotSlices", sliceOf(good))
}

// An element that takes the newest version is checked again against the version
// that its plan chooses.
func TestConfigurationOfTheNewestVersion(t *testing.T) {
	s := start(t)
	_, keys := s.tenant("acme")
	admin := keys["tenant-admin"]
	s.must(201, admin, "POST", "/infrastructures", object{"name": "site", "kind": "CLOUD", "plugin": "simulated"})
	s.must(201, admin, "POST", "/secrets", object{"name": "pin", "value": "12345678"})
	s.must(201, admin, "POST", "/products", probeProduct("1", bounds(nil)))
	made := s.must(201, admin, "POST", "/iotSlices", object{"name": "s", "iotGateways": []object{{
		"name": "edge", "product": "bounded", "configuration": object{"CHANNEL": "blue"}, "secretRefs": object{"pin": "pin", "TOKEN": "pin"}}}})
	narrow := bounds(object{"CHANNEL": object{"const": "green"}})
	s.must(201, admin, "POST", "/products", probeProduct("2", narrow))
	op := s.must(202, admin, "POST", "/iotSlices/"+made.id()+"/instantiate", object{}).header.Get("Location")
	r := s.wait(admin, op, "ROLLED_BACK")
	cause, _ := r.object["firstRootCause"].(object)
	if detail, _ := cause["detail"].(string); !strings.Contains(detail, "configuration/CHANNEL") || !strings.Contains(detail, "green") {
		t.Errorf("%s", r.body)
	}
}
