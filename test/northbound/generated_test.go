package northbound

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/osmoslice/osmoslice/api/restapi"
)

// document is what the test needs of swagger.json.
type document struct {
	Paths       map[string]map[string]operation `json:"paths"`
	Parameters  map[string]parameter            `json:"parameters"`
	Definitions map[string]*schema              `json:"definitions"`
}

type operation struct {
	ID         string                `json:"operationId"`
	Consumes   []string              `json:"consumes"`
	Parameters []parameter           `json:"parameters"`
	Security   []map[string][]string `json:"security"`
}

type parameter struct {
	Ref      string  `json:"$ref"`
	Name     string  `json:"name"`
	In       string  `json:"in"`
	Type     string  `json:"type"`
	Required bool    `json:"required"`
	Schema   *schema `json:"schema"`
}

type schema struct {
	Ref        string             `json:"$ref"`
	Type       string             `json:"type"`
	Required   []string           `json:"required"`
	Properties map[string]*schema `json:"properties"`
	Items      *schema            `json:"items"`
	Values     json.RawMessage    `json:"additionalProperties"`
	Enum       []any              `json:"enum"`
	Pattern    string             `json:"pattern"`
	Format     string             `json:"format"`
	MinItems   int                `json:"minItems"`
	MaxLength  *int               `json:"maxLength"`
	Minimum    *float64           `json:"minimum"`
	ReadOnly   bool               `json:"readOnly"`
}

func load(t *testing.T) *document {
	t.Helper()
	d := &document{}
	if err := json.Unmarshal(restapi.SwaggerJSON, d); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *document) resolve(s *schema) *schema {
	for s.Ref != "" {
		s = d.Definitions[strings.TrimPrefix(s.Ref, "#/definitions/")]
	}
	return s
}

func (d *document) parameters(o operation) []parameter {
	out := make([]parameter, 0, len(o.Parameters))
	for _, p := range o.Parameters {
		if p.Ref != "" {
			p = d.Parameters[strings.TrimPrefix(p.Ref, "#/parameters/")]
		}
		out = append(out, p)
	}
	return out
}

// example is a minimal value of a schema.
func (d *document) example(s *schema) any {
	s = d.resolve(s)
	switch {
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.Type == "object":
		out := object{}
		for _, name := range s.Required {
			out[name] = d.example(s.Properties[name])
		}
		return out
	case s.Type == "array":
		out := make([]any, s.MinItems)
		for i := range out {
			out[i] = d.example(s.Items)
		}
		return out
	case s.Type == "integer" || s.Type == "number":
		if s.Minimum != nil {
			return *s.Minimum
		}
		return 1
	case s.Type == "boolean":
		return true
	case s.Format == "date-time":
		return "2030-01-01T00:00:00Z"
	case s.Pattern == "^[0-9]{3}$":
		return "001"
	case s.Pattern == "^[0-9]{2,3}$":
		return "01"
	}
	return "x"
}

// wrong is one way to spoil a body: the document, and the field that the answer
// must name ("" when it may be accepted, or refused for whatever reason).
type wrong struct {
	doc   any
	field string
}

// spoil lists ways to spoil the example of a schema, with the field named by its
// path from at.
func (d *document) spoil(s *schema, at string, depth int, yield func(wrong)) {
	s = d.resolve(s)
	ask := func(doc any, field string) { yield(wrong{doc, field}) }
	here := at
	if here == "" {
		here = "body"
	}
	for _, bad := range mistyped[s.Type] {
		ask(bad, here)
	}
	switch s.Type {
	case "string":
		for _, v := range hostile {
			ask(v, "")
		}
		if s.MaxLength != nil {
			ask(strings.Repeat("x", *s.MaxLength+1), here)
		}
		if len(s.Enum) > 0 || s.Pattern != "" {
			ask("\u2603 not one", here)
		}
	case "integer", "number":
		for _, v := range []any{-1, 1e300, -1e300, json.Number("9223372036854775807"), json.Number("-9223372036854775808"), json.Number("1e-300")} {
			ask(v, "")
		}
		ask(json.Number("1e999"), here)
		if s.Minimum != nil {
			ask(*s.Minimum-1, here)
		}
	}
	if depth == 0 {
		return
	}
	if s.Type == "array" && s.Items != nil {
		d.spoil(s.Items, join(at, "0"), depth-1, func(w wrong) { yield(wrong{[]any{w.doc}, w.field}) })
		return
	}
	if s.Properties == nil {
		return
	}
	good, _ := d.example(s).(object)
	with := func(name string, v any) object {
		out := maps.Clone(good)
		out[name] = v
		return out
	}
	ask(with("no_such_field", 1), join(at, "no_such_field"))
	for _, name := range s.Required {
		less := maps.Clone(good)
		delete(less, name)
		ask(less, join(at, name))
	}
	for name, p := range s.Properties {
		if p.ReadOnly {
			ask(with(name, d.example(p)), join(at, name))
			continue
		}
		ask(with(name, nil), "")
		d.spoil(p, join(at, name), depth-1, func(w wrong) { yield(wrong{with(name, w.doc), w.field}) })
	}
}

func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "/" + name
}

var mistyped = map[string][]any{
	"string":  {1, true, object{}, []any{}},
	"integer": {"1", 1.5, true, object{}, []any{}, json.Number("9223372036854775808")},
	"number":  {"1", true, object{}, []any{}},
	"boolean": {"true", 1, object{}, []any{}},
	"array":   {"x", 1, object{}},
	"object":  {"x", 1, []any{}},
}

var hostile = []any{
	"", " ", "'; DROP TABLE resources;--", "../../../etc/passwd", "\u0000", "\u202e\u2028", "%00%n%s", "${jndi:ldap://x}",
	strings.Repeat("A", 10_000), "NaN", "null", "{}", "(eq,a,b)", "\xff\xfe", "<script>alert(1)</script>",
}

// check requires an answer that is no failure of ours and, when it is a refusal,
// a Problem.
func check(t *testing.T, what string, r reply) {
	t.Helper()
	if r.status >= 500 {
		t.Fatalf("%s = %d: %s", what, r.status, r.body)
	}
	if r.status < 400 {
		return
	}
	status, _ := r.object["status"].(float64)
	detail, _ := r.object["detail"].(string)
	if r.header.Get("Content-Type") != "application/problem+json" || int(status) != r.status || detail == "" {
		t.Errorf("%s = %d, not a Problem: %s %s", what, r.status, r.header.Get("Content-Type"), r.body)
	}
}

func names(r reply) (out []string) {
	params, _ := r.object["invalidParams"].([]any)
	for _, p := range params {
		m, _ := p.(object)
		out = append(out, fmt.Sprint(m["name"]))
	}
	return out
}

// world is what the operations act on: ids by the name of the path parameter,
// of one tenant, and another tenant's keys.
type world struct {
	*service
	doc   *document
	ids   map[string]string
	keys  map[string]string // of the tenant
	other map[string]string // of another
}

func populate(t *testing.T) *world {
	t.Helper()
	w := &world{service: start(t), doc: load(t), ids: map[string]string{}}
	w.ids["tenantId"], w.keys = w.tenant("acme")
	_, w.other = w.tenant("rival")
	admin := w.keys["tenant-admin"]
	add := func(param, path string, body object) {
		w.ids[param] = w.must(201, admin, "POST", path, body).id()
	}
	add("infrastructureId", "/infrastructures", object{"name": "site", "kind": "CLOUD", "plugin": "simulated", "accessTechnologies": []string{"WIFI"}})
	below := "/infrastructures/" + w.ids["infrastructureId"]
	add("nodeId", below+"/nodes", object{"name": "n1", "cpuMilli": 1000, "memoryMiB": 100, "storageMiB": 100})
	other := w.must(201, admin, "POST", below+"/nodes", object{"name": "n2", "cpuMilli": 1000}).id()
	add("linkId", below+"/links", object{"name": "l1", "from": w.ids["nodeId"], "to": other, "level": "NODE", "latencyMs": 1, "bandwidthKbit": 1000})
	add("productId", "/products", object{"name": "thing", "version": "1.0.0", "elementKind": "microElement", "packaging": object{"simulated": object{"extra": object{}}}})
	add("networkSliceId", "/networkSlices", object{"name": "ns"})
	add("networkSliceSubnetId", "/networkSliceSubnets", object{"name": "sub", "networkSliceId": w.ids["networkSliceId"], "networkSliceSubnetType": "TRANSPORT"})
	add("networkFunctionId", "/networkFunctions", object{"name": "upf", "networkFunctionType": "VNF"})
	add("communicationServiceId", "/communicationServices", object{"name": "cs"})
	add("subscriptionId", "/subscriptions", object{"name": "hook", "callbackUri": "https://example.com/hook"})
	add("secretId", "/secrets", object{"name": "pw", "value": "s3cret"})
	add("apiKeyId", "/apiKeys", object{"name": "k", "role": "tenant-viewer", "tenantIds": []string{w.ids["tenantId"]}})
	add("iotSliceId", "/iotSlices", order("designed"))
	slice := "/iotSlices/" + w.ids["iotSliceId"]
	for param, path := range map[string]string{"iotServerId": "/iotServers", "iotGatewayId": "/iotGateways", "microDatumId": "/microData", "iotDeviceId": "/iotDevices"} {
		w.ids[param], _ = w.must(200, admin, "GET", slice+path, nil).list[0]["id"].(string)
	}
	add("placementId", "/placements", object{"iotSliceId": w.ids["iotSliceId"], "keep": true})
	add("microElementId", slice+"/microElements", object{"name": "extra", "product": "thing"})
	w.ids["commandId"] = "c1"
	run := order("running")
	run["instantiate"] = true
	at := w.must(202, admin, "POST", "/iotSlices", run).header.Get("Location")
	w.ids["lcmOpOccId"] = w.wait(admin, at, "COMPLETED").id()
	return w
}

// path fills the path's parameters with the world's ids.
func (w *world) path(p string) string {
	for name, id := range w.ids {
		p = strings.ReplaceAll(p, "{"+name+"}", id)
	}
	return p
}

// each visits every operation, in the order of paths and methods.
func (w *world) each(visit func(method, path string, o operation)) {
	for _, path := range slices.Sorted(maps.Keys(w.doc.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(w.doc.Paths[path])) {
			if method != "parameters" {
				visit(strings.ToUpper(method), path, w.doc.Paths[path][method])
			}
		}
	}
}

// key is one that may do the operation.
func (w *world) key(o operation) string {
	for _, s := range o.Security {
		if slices.Contains(s["apiKey"], "system") {
			return w.root
		}
	}
	return w.keys["tenant-admin"]
}

// Bodies wrong in every way the definitions name are refused with the name of
// the field; hostile values break nothing.
func TestGeneratedBodies(t *testing.T) {
	w := populate(t)
	asked, depth := 0, 3
	if testing.Short() {
		depth = 1
	}
	w.each(func(method, path string, o operation) {
		for _, p := range w.doc.parameters(o) {
			if p.In != "body" {
				continue
			}
			target, key := w.path(path)+"?dryRun=true", w.key(o)
			s, patch := p.Schema, slices.Contains(o.Consumes, "application/merge-patch+json")
			if patch {
				s = w.patched(path)
			}
			w.doc.spoil(s, "", depth, func(x wrong) {
				asked++
				r := w.call(key, method, target, encode(t, x.doc))
				what := fmt.Sprintf("%s %s %.300s", method, path, encode(t, x.doc))
				check(t, what, r)
				missing := patch && r.status < 400 // a patch may leave out what is required
				if x.field != "" && !missing && (r.status < 400 || !slices.Contains(names(r), x.field)) {
					t.Errorf("%s = %d %s; want a refusal that names %s", what, r.status, r.body, x.field)
				}
			})
			for _, broken := range []string{"", "{", "[", "nul", `{"name":"a"}x`, strings.Repeat("[", 5000), "\x00", `{"a":1,"a":2}`} {
				asked++
				check(t, method+" "+path+" "+broken, w.call(key, method, target, broken))
			}
		}
	})
	t.Logf("%d requests", asked)
}

// patched is the definition that a PATCH of a path changes.
func (w *world) patched(path string) *schema {
	get := w.doc.Paths[path]["get"]
	name := strings.TrimPrefix(get.ID, "get")
	for _, alias := range []struct{ from, to string }{{"Iot", "IoT"}, {"MicroDatum", "MicroData"}} {
		name = strings.Replace(name, alias.from, alias.to, 1)
	}
	s := *w.doc.Definitions[name]
	s.Required = nil
	return &s
}

func encode(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Parameters of wrong types, and hostile ones, are refused or mean nothing.
func TestGeneratedParameters(t *testing.T) {
	w := populate(t)
	w.each(func(method, path string, o operation) {
		if method == "DELETE" { // a value that is accepted must not end what others need
			return
		}
		target, key := w.path(path), w.key(o)
		var body any
		ps := w.doc.parameters(o)
		for _, p := range ps {
			if p.In == "body" && p.Required {
				body = object{}
			}
		}
		for _, p := range ps {
			for _, v := range append([]any{"many", "-1", "99999999999999999999", "1.5", "true"}, hostile...) {
				text := fmt.Sprint(v)
				var r reply
				switch p.In {
				case "query":
					q := url.Values{p.Name: {text}}
					if method != "GET" && p.Name != "dryRun" {
						q.Set("dryRun", "true")
					}
					r = w.call(key, method, target+"?"+q.Encode(), body)
				case "header":
					if strings.ContainsAny(text, "\x00\n\r") {
						continue // no client can send it
					}
					r = w.call(key, method, target, body, p.Name, text)
				case "path":
					r = w.call(key, method, strings.ReplaceAll(w.path(strings.ReplaceAll(path, "{"+p.Name+"}", "\x01")), "\x01", url.PathEscape(text)), body)
				default:
					continue
				}
				check(t, fmt.Sprintf("%s %s with %s %s %.60q", method, path, p.In, p.Name, text), r)
				if p.In == "query" && p.Type == "integer" && !slices.Contains([]string{"", "null"}, text) && text != "1" && r.status < 400 {
					t.Errorf("%s %s accepted %s=%q", method, path, p.Name, text)
				}
			}
		}
	})
}

// To another tenant everything is absent, and absent is told in the same words
// as what never was.
func TestGeneratedTenants(t *testing.T) {
	w := populate(t)
	const never = "01900000-0000-7000-8000-000000000000"
	w.each(func(method, path string, o operation) {
		if !strings.Contains(path, "{") || path == "/tenants/{tenantId}" && method != "GET" {
			return
		}
		key := w.other["tenant-admin"]
		var body any
		for _, p := range w.doc.parameters(o) {
			if p.In == "body" && p.Required {
				body = w.doc.example(p.Schema)
				if _, ok := body.(object); !ok {
					body = object{}
				}
			}
		}
		if method == "PATCH" {
			body = object{"description": "mine"}
		}
		foreign := w.call(key, method, w.path(path), body)
		absent := path
		for name := range w.ids {
			absent = strings.ReplaceAll(absent, "{"+name+"}", never)
		}
		nothing := w.call(key, method, absent, body)
		what := method + " " + path
		check(t, what, foreign)
		if strings.HasPrefix(path, "/products/") && method == "GET" {
			return // asserted by its own tests: the catalogue of the system is everyone's
		}
		if foreign.status != 404 && foreign.status != 422 || foreign.status != nothing.status {
			t.Errorf("%s: foreign %d %s; absent %d %s", what, foreign.status, foreign.body, nothing.status, nothing.body)
			return
		}
		if a, b := words(foreign, w.ids), words(nothing, map[string]string{"": never}); a != b {
			t.Errorf("%s tells foreign from absent:\n%s\n%s", what, a, b)
		}
	})
}

// words is what an answer says, but for ids and the request's.
func words(r reply, ids map[string]string) string {
	r.object["requestId"] = ""
	b, _ := json.Marshal(r.object) // it came as JSON
	out := string(b)
	for _, id := range ids {
		if len(id) > 8 {
			out = strings.ReplaceAll(out, id, "ID")
		}
	}
	return out
}

// Without a key, or with one whose role has not the scope, nothing is done.
func TestGeneratedRoles(t *testing.T) {
	w := populate(t)
	w.each(func(method, path string, o operation) {
		if len(o.Security) == 0 {
			return
		}
		scope := o.Security[0]["apiKey"][0]
		for role, allowed := range map[string][]string{"tenant-viewer": {"read"}, "tenant-operator": {"read", "operate"}, "tenant-admin": {"read", "operate", "administer"}} {
			if slices.Contains(allowed, scope) {
				continue
			}
			if r := w.call(w.keys[role], method, w.path(path), nil); r.status != 403 {
				t.Errorf("%s %s as %s = %d %s, want 403", method, path, role, r.status, r.body)
			}
		}
		for _, key := range []string{"", "nope", strings.Repeat("x", 5000)} {
			if r := w.call(key, method, w.path(path), nil); r.status != 401 {
				t.Errorf("%s %s with key %.10q = %d, want 401", method, path, key, r.status)
			}
		}
	})
}
