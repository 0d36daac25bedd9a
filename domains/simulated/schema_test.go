package simulated

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

func compiled(t *testing.T) *jsonschema.Schema {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("simulated.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("simulated.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Schema and ParseScript agree on what is right and what is wrong.
func TestSchemaAndScriptAgree(t *testing.T) {
	s := compiled(t)
	for data, right := range map[string]bool{
		`{}`: true,
		`{"seed":1,"kind":"FOG","nodes":[{"name":"n","count":2,"cpuMilli":1,"location":{"lat":1,"lon":2}}]}`:   true,
		`{"latencyMs":{"apply":1.5,"jitter":0.5},"failures":[{"call":"ready","hang":true,"probability":0.1}]}`: true,
		`{"loss":"dead","lostNodes":["n"],"outages":[{"fromMs":1,"node":"n"}]}`:                                true,
		`{"surprise":1}`:                                false,
		`{"nodes":[{"count":1}]}`:                       false,
		`{"nodes":[{"name":"a b"}]}`:                    false,
		`{"failures":[{"call":"sing"}]}`:                false,
		`{"failures":[{"call":"apply","retry":"yes"}]}`: false,
		`{"latencyMs":{"jitter":2}}`:                    false,
		`{"loss":"asleep"}`:                             false,
		`{"kind":"MOON"}`:                               false,
		`{"seed":-1}`:                                   false,
	} {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(v); (err == nil) != right {
			t.Errorf("schema: %s: %v", data, err)
		}
		if _, err := ParseScript(json.RawMessage(data)); (err == nil) != right {
			t.Errorf("script: %s: %v", data, err)
		}
	}
}

// Every field of Script is in the schema, under its JSON name.
func TestSchemaKnowsEveryField(t *testing.T) {
	var doc map[string]any
	if err := json.Unmarshal(schema, &doc); err != nil {
		t.Fatal(err)
	}
	properties := func(path ...string) map[string]any {
		at := doc
		for _, p := range path {
			at = at[p].(map[string]any)
		}
		return at
	}
	for _, c := range []struct {
		typ  any
		path []string
	}{
		{Script{}, []string{"properties"}},
		{NodeSpec{}, []string{"properties", "nodes", "items", "properties"}},
		{Latency{}, []string{"properties", "latencyMs", "properties"}},
		{Failure{}, []string{"properties", "failures", "items", "properties"}},
		{Outage{}, []string{"properties", "outages", "items", "properties"}},
	} {
		have, typ := properties(c.path...), reflect.TypeOf(c.typ)
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if have[name] == nil {
				t.Errorf("%s: %q is not in the schema", typ.Name(), name)
			}
		}
		if typ.NumField() != len(have) {
			t.Errorf("%s has %d fields, the schema %d", typ.Name(), typ.NumField(), len(have))
		}
	}
}
