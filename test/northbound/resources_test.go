package northbound

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

// Every kind of resource is created, read, listed, patched and deleted the same
// way.
func TestResources(t *testing.T) {
	s := start(t)
	id, keys := s.tenant("acme")
	admin := keys["tenant-admin"]
	infra := "/infrastructures/" + s.must(201, admin, "POST", "/infrastructures", object{"name": "site", "kind": "CLOUD", "plugin": "simulated"}).id()
	n1 := s.must(201, admin, "POST", infra+"/nodes", object{"name": "a", "cpuMilli": 1}).id()
	n2 := s.must(201, admin, "POST", infra+"/nodes", object{"name": "b", "cpuMilli": 1}).id()
	ns := s.must(201, admin, "POST", "/networkSlices", object{"name": "under"}).id()
	slice := "/iotSlices/" + s.must(201, admin, "POST", "/iotSlices", order("designed")).id()
	for _, c := range []struct {
		key, path, read string // read: where one is read, "" the same path
		body            object
	}{
		{s.root, "/tenants", "", object{"name": "other", "displayName": "Other"}},
		{admin, "/products", "", object{"name": "p", "version": "1.0", "elementKind": "microElement", "packaging": object{"simulated": object{"extra": object{}}}, "labels": object{"a": "b"}}},
		{admin, "/infrastructures", "", object{"name": "second", "kind": "FOG", "plugin": "simulated", "connection": object{}}},
		{admin, infra + "/nodes", "", object{"name": "n", "cpuMilli": 4000, "memoryMiB": 100, "geolocation": object{"latitude": 1.5, "longitude": -2}}},
		{admin, infra + "/links", "", object{"from": n1, "to": n2, "level": "NODE", "latencyMs": 1.5, "bandwidthKbit": 100}},
		{admin, "/networkSlices", "", object{"name": "ns", "serviceProfile": object{"sst": 3}}},
		{admin, "/networkSliceSubnets", "", object{"name": "sub", "networkSliceId": ns, "networkSliceSubnetType": "RAN_SLICESUBNET", "rat": []any{"NB_IOT"}}},
		{admin, "/networkFunctions", "", object{"name": "nf", "networkFunctionType": "PNF", "externalInterfaces": []any{object{"name": "n6"}}}},
		{admin, "/communicationServices", "", object{"name": "cs", "customer": "c"}},
		{admin, "/subscriptions", "", object{"name": "sub", "callbackUri": "https://example.com/cb", "filter": "(eq,resourceKind,iotSlices)"}},
		{admin, slice + "/iotServers", "/iotServers", object{"name": "core-2", "product": "lite-server"}},
		{admin, slice + "/iotGateways", "/iotGateways", object{"name": "edge-2", "product": "lite-gateway", "iotServer": "core"}},
		{admin, slice + "/microElements", "/microElements", object{"name": "more", "product": "lite-server", "melClass": "MUS"}},
		{admin, slice + "/microData", "/microData", object{"name": "flow-2", "from": "edge", "to": "core", "dataClass": "MOD", "mode": "PASSIVE"}},
		{admin, slice + "/iotDevices", "/iotDevices", object{"name": "d", "iotGateway": "edge", "protocol": "COAP", "identity": object{"serial": "1"}}},
	} {
		if strings.HasSuffix(c.path, "/microElements") {
			c.body["product"] = s.must(201, admin, "POST", "/products", object{"name": "worker", "version": "1", "elementKind": "microElement", "packaging": object{"simulated": object{}}}).object["name"]
		}
		if c.read == "" {
			c.read = c.path
		}
		before := len(s.must(200, c.key, "GET", c.path+"?limit=1000", nil).list)
		dry := s.must(200, c.key, "POST", c.path+"?dryRun=true", c.body)
		made := s.must(201, c.key, "POST", c.path, c.body)
		if !contains(dry.object, c.body) || !contains(made.object, c.body) {
			t.Errorf("%s: asked %v, dry %s, made %s", c.path, c.body, dry.body, made.body)
		}
		one := c.read + "/" + made.id()
		if got := made.header.Get("Location"); got != base+one {
			t.Errorf("%s: Location %s", one, got)
		}
		read := s.must(200, c.key, "GET", one, nil)
		if !contains(read.object, c.body) || read.header.Get("ETag") != made.header.Get("ETag") {
			t.Errorf("%s: %s", one, read.body)
		}
		if after := len(s.must(200, c.key, "GET", c.path+"?limit=1000", nil).list); after != before+1 {
			t.Errorf("%s: %d listed, then %d", c.path, before, after)
		}
		s.must(412, c.key, "PATCH", one, object{"description": "d"}, "If-Match", `"99"`)
		if dry := s.must(200, c.key, "PATCH", one+"?dryRun=true", object{"description": "dry"}); dry.object["description"] != "dry" {
			t.Errorf("%s: %s", one, dry.body)
		}
		changed := s.must(200, c.key, "PATCH", one, object{"description": "d", "labels": object{"k": "v"}}, "If-Match", made.header.Get("ETag"))
		if changed.object["description"] != "d" || !contains(changed.object, object{"labels": object{"k": "v"}}) || changed.header.Get("ETag") == made.header.Get("ETag") {
			t.Errorf("%s: %s", one, changed.body)
		}
		s.must(200, c.key, "DELETE", one+"?dryRun=true", nil)
		s.must(204, c.key, "DELETE", one, nil)
		s.must(404, c.key, "GET", one, nil)
	}
	_ = id
}

// contains reports whether every field of want is in got, with its value.
func contains(got, want object) bool {
	for name, w := range want {
		g := got[name]
		if wm, ok := w.(object); ok {
			gm, _ := g.(object)
			if !contains(gm, wm) {
				return false
			}
			continue
		}
		if n, ok := w.(int); ok {
			w = float64(n)
		}
		if list, ok := w.([]any); ok {
			gl, _ := g.([]any)
			if len(gl) != len(list) {
				return false
			}
			continue
		}
		if !reflect.DeepEqual(g, w) {
			return false
		}
	}
	return true
}

// What an export gives, an import takes; importing it again changes nothing, and
// pruning removes what is not named.
func TestInventory(t *testing.T) {
	s := start(t)
	_, keys := s.tenant("acme")
	admin := keys["tenant-admin"]
	from := "/infrastructures/" + s.must(201, admin, "POST", "/infrastructures", object{"name": "one", "kind": "CLOUD", "plugin": "simulated", "connection": object{"nodes": []any{}}}).id()
	in := object{"nodes": []any{
		object{"name": "a", "cpuMilli": 1000, "memoryMiB": 10, "storageMiB": 1, "tags": []any{"x"}},
		object{"name": "b", "cpuMilli": 2000, "memoryMiB": 20, "storageMiB": 2},
	}}
	before := len(s.must(200, admin, "GET", from+"/nodes", nil).list)
	first := s.must(200, admin, "PUT", from+"/inventory", in)
	if first.object["created"] != 2.0 {
		t.Errorf("%s", first.body)
	}
	out := s.must(200, admin, "GET", from+"/inventory", nil)
	again := s.must(200, admin, "PUT", from+"/inventory", out.object)
	if again.object["unchanged"] != float64(before+2) || again.object["created"] != 0.0 || again.object["updated"] != 0.0 {
		t.Errorf("%s of %s", again.body, out.body)
	}
	in["nodes"].([]any)[1].(object)["cpuMilli"] = 3000
	less := s.must(200, admin, "PUT", from+"/inventory?prune=true", object{"nodes": []any{in["nodes"].([]any)[1]}})
	if less.object["updated"] != 1.0 || less.object["deleted"] != float64(before+1) {
		t.Errorf("%s", less.body)
	}
	twice := s.must(422, admin, "PUT", from+"/inventory", object{"nodes": []any{object{"name": "z"}, object{"name": "z"}}})
	if names(twice)[0] != "nodes/1/name" {
		t.Errorf("%s", twice.body)
	}
}

// Converging by name creates, then changes, then does nothing new.
func TestConvergeByName(t *testing.T) {
	s := start(t)
	_, keys := s.tenant("acme")
	admin := keys["tenant-admin"]
	infra := object{"name": "site", "kind": "CLOUD", "plugin": "simulated", "connection": object{}}
	made := s.must(201, admin, "PUT", "/infrastructures", infra)
	infra["provider"] = "us"
	changed := s.must(200, admin, "PUT", "/infrastructures", infra)
	if changed.id() != made.id() || changed.object["provider"] != "us" {
		t.Errorf("%s", changed.body)
	}
	for _, version := range []string{"1", "2"} {
		s.must(201, admin, "PUT", "/products", object{"name": "p", "version": version, "elementKind": "server", "packaging": object{"simulated": object{}}})
		s.must(200, admin, "PUT", "/products", object{"name": "p", "version": version, "elementKind": "server", "packaging": object{"simulated": object{}}})
	}
	s.must(201, admin, "PUT", "/iotSlices", order("one"))
	s.must(200, admin, "PUT", "/iotSlices", order("one"))
}

// A secret's value is in no answer; equal subscriptions are one.
func TestSecretsAndSubscriptions(t *testing.T) {
	s := start(t)
	_, keys := s.tenant("acme")
	admin := keys["tenant-admin"]
	const value = "v3ry-s3cret-v4lue"
	made := s.must(201, admin, "POST", "/secrets", object{"name": "pw", "value": value}, "Idempotency-Key", "s1")
	one := "/secrets/" + made.id()
	put := s.must(200, admin, "PUT", one+"/value", object{"value": "djNyeS1zM2NyZXQtdjRsdWU=", "encoding": "base64"})
	if put.object["version"] != 2.0 || put.object["size"] != float64(len(value)) {
		t.Errorf("%s", put.body)
	}
	taken := s.must(409, admin, "POST", "/secrets", object{"name": "pw", "value": value})
	for what, r := range map[string]reply{
		"made": made, "put": put, "taken": taken,
		"again":  s.must(201, admin, "POST", "/secrets", object{"name": "pw", "value": value}, "Idempotency-Key", "s1"),
		"read":   s.must(200, admin, "GET", one, nil),
		"list":   s.must(200, admin, "GET", "/secrets", nil),
		"audit":  s.must(200, admin, "GET", "/auditRecords", nil),
		"events": s.must(200, admin, "GET", "/events", nil),
		"bad":    s.must(422, admin, "PUT", one+"/value", object{"value": value + "!", "encoding": "base64"}),
	} {
		if bytes.Contains(r.body, []byte(value)) {
			t.Errorf("%s tells the value: %s", what, r.body)
		}
	}
	hook := object{"callbackUri": "https://example.com/cb", "filter": "(eq,resourceKind,iotSlices)"}
	first := s.must(201, admin, "POST", "/subscriptions", hook)
	if again := s.must(303, admin, "POST", "/subscriptions", hook); again.header.Get("Location") != first.header.Get("Location") {
		t.Errorf("%v", again.header)
	}
	for field, bad := range map[string]object{
		"filter":      {"callbackUri": "https://example.com/cb2", "filter": "(eq,nope,1)"},
		"callbackUri": {"callbackUri": "ftp://example.com/cb2"},
	} {
		if r := s.must(422, admin, "POST", "/subscriptions", bad); names(r)[0] != field {
			t.Errorf("%s", r.body)
		}
	}
	auth := func(at string) object {
		return object{"authType": []string{"OAUTH2_CLIENT_CREDENTIALS"}, "clientId": "c", "secretRef": "s", "tokenEndpoint": at}
	}
	for _, inside := range []string{"http://127.0.0.1:9/x", "http://[::1]/", "http://localhost:9/", "http://169.254.169.254/latest", "https://10.0.0.1/"} {
		at := bytes.TrimPrefix([]byte(first.header.Get("Location")), []byte("/iotslice/v1"))
		for field, change := range map[string]object{
			"callbackUri":                  {"callbackUri": inside},
			"authentication/tokenEndpoint": {"callbackUri": "https://example.com/cb3", "authentication": auth(inside)},
		} {
			if r := s.must(422, admin, "POST", "/subscriptions", change); names(r)[0] != field {
				t.Errorf("%s: %s", inside, r.body)
			}
			if r := s.must(422, admin, "PATCH", string(at), change); names(r)[0] != field {
				t.Errorf("%s: %s", inside, r.body)
			}
		}
	}
}

// TestConvergeToARevision: a PUT by name with If-Match acts on the revision
// that its caller has seen, and makes nothing.
func TestConvergeToARevision(t *testing.T) {
	s := start(t)
	tenant := func(text string) object { return object{"name": "acme", "description": text} }
	acme := ""
	slice := func(text string) object { return object{"name": "one", "tenantId": acme, "description": text} }
	s.must(412, s.root, "PUT", "/tenants", tenant("a"), "If-Match", "*")
	acme = s.must(201, s.root, "PUT", "/tenants", tenant("a")).id()
	for path, body := range map[string]func(string) object{"/tenants": tenant, "/iotSlices": slice} {
		if path == "/iotSlices" {
			s.must(412, s.root, "PUT", path, body("a"), "If-Match", `"1"`)
			s.must(201, s.root, "PUT", path, body("a"))
		}
		seen := s.must(200, s.root, "PUT", path, body("a")).header.Get("ETag")
		now := s.must(200, s.root, "PUT", path, body("b"), "If-Match", seen).header.Get("ETag")
		if now == seen {
			t.Errorf("%s: a change left the ETag %s", path, seen)
		}
		s.must(412, s.root, "PUT", path, body("c"), "If-Match", seen)
		s.must(200, s.root, "PUT", path, body("c"), "If-Match", `"999", `+now)
	}
}

// TestPutToARevision: an inventory and a script are replaced only where they are
// as the caller has seen them.
func TestPutToARevision(t *testing.T) {
	s := start(t)
	at := "/infrastructures/" + s.must(201, s.root, "POST", "/infrastructures", object{"name": "site", "kind": "CLOUD", "plugin": "simulated"}).id()
	nodes := func(cpu int) object {
		return object{"nodes": []any{object{"name": "n1", "cpuMilli": cpu}, object{"name": "n2"}}}
	}
	script := func(name string) object { return object{"nodes": []any{object{"name": name}}} }
	for path, body := range map[string][2]object{"/inventory": {nodes(100), nodes(200)}, "/simulation": {script("a"), script("b")}} {
		path = at + path
		empty := s.must(200, s.root, "GET", path, nil).header.Get("ETag")
		s.must(412, s.root, "PUT", path, body[0], "If-Match", `"5"`)
		s.must(200, s.root, "PUT", path, body[0], "If-Match", empty)
		seen := s.must(200, s.root, "GET", path, nil).header.Get("ETag")
		if seen == "" || seen == empty || s.must(200, s.root, "GET", path, nil).header.Get("ETag") != seen {
			t.Errorf("%s: ETag %s after %s", path, seen, empty)
		}
		s.must(412, s.root, "PUT", path+"?dryRun=true", body[1], "If-Match", empty)
		s.must(412, s.root, "PUT", path, body[1], "If-Match", empty)
		s.must(400, s.root, "PUT", path, body[1], "If-Match", "nonsense")
		if now := s.must(200, s.root, "GET", path, nil).header.Get("ETag"); now != seen {
			t.Errorf("%s: refused, yet it is %s, was %s", path, now, seen)
		}
		s.must(200, s.root, "PUT", path, body[1], "If-Match", empty+", "+seen)
		s.must(412, s.root, "PUT", path, body[0], "If-Match", seen)
		s.must(200, s.root, "PUT", path, body[0], "If-Match", "*")
	}
}
