package shape

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-openapi/spec"

	"github.com/osmoslice/osmoslice/internal/fault"
)

const definitions = `{
  "Thing": {"type": "object", "properties": {
    "id": {"type": "string", "readOnly": true},
    "name": {"type": "string"},
    "count": {"type": "integer"},
    "rate": {"type": "number"},
    "on": {"type": "boolean"},
    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
    "free": {"type": "object"},
    "any": {},
    "parts": {"type": "array", "items": {"$ref": "#/definitions/Thing"}},
    "was": {"$ref": "#/definitions/Thing", "readOnly": true}
  }}
}`

func thing(t testing.TB) *Shape {
	t.Helper()
	var d spec.Definitions
	if err := json.Unmarshal([]byte(definitions), &d); err != nil {
		t.Fatal(err)
	}
	return All(d)["Thing"]
}

func TestCheckAccepts(t *testing.T) {
	s := thing(t)
	for _, doc := range []string{
		`{}`, `null`,
		`{"name":"a","count":-9223372036854775808,"rate":1e300,"on":false,"labels":{"x/y":"z"},"any":[1,{"a":null}]}`,
		`{"free":{"deep":{"er":[1,"2",null,true]}},"parts":[{"name":"b","parts":[]},null],"name":null}`,
	} {
		if err := Check(s, []byte(doc), "body"); err != nil {
			t.Errorf("Check(%s) = %v", doc, err)
		}
	}
}

func TestCheckNamesTheField(t *testing.T) {
	s := thing(t)
	for doc, want := range map[string]string{
		`{"nmae":"a"}`:                          "nmae",
		`{"Name":"a"}`:                          "Name",
		`{"id":"x"}`:                            "id",
		`{"was":{}}`:                            "was",
		`{"parts":[{},{"was":{"name":"x"}}]}`:   "parts/1/was",
		`{"name":1}`:                            "name",
		`{"name":{"a":1}}`:                      "name",
		`{"count":1.5}`:                         "count",
		`{"count":9223372036854775808}`:         "count",
		`{"rate":1e999}`:                        "rate",
		`{"rate":"1"}`:                          "rate",
		`{"on":"true"}`:                         "on",
		`{"labels":{"a/b":3}}`:                  "labels/a~1b",
		`{"labels":[]}`:                         "labels",
		`{"free":[]}`:                           "free",
		`{"free":{"a":1,"a":2}}`:                "free/a",
		`{"name":"a","name":"b"}`:               "name",
		`{"parts":[{"parts":[{"count":"x"}]}]}`: "parts/0/parts/0/count",
		`[]`:                                    "body",
		`"x"`:                                   "body",
	} {
		err := Check(s, []byte(doc), "body")
		if !fault.Is(err, fault.Invalid) || fault.Of(err).Params[0].Field != want {
			t.Errorf("Check(%s) = %v; want an Invalid fault that names %s", doc, err, want)
		}
	}
}

func TestCheckRefusesWhatIsNotJSON(t *testing.T) {
	s := thing(t)
	for _, doc := range []string{
		``, ` `, `{`, `{"name"`, `{"name":}`, `{"name":"a",}`, `{} {}`, `{}x`, `{"name":'a'}`, `{"name":nul}`, `]`, `{1:2}`,
		`{"any":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
		strings.Repeat(`{"any":`, 2000),
	} {
		err := Check(s, []byte(doc), "body")
		if !fault.Is(err, fault.Malformed) || len(fault.Of(err).Params) == 0 {
			t.Errorf("Check(%.40s) = %v; want a Malformed fault with a place", doc, err)
		}
	}
}

// What passes decodes into a Go type of the same shape.
func FuzzCheck(f *testing.F) {
	type goThing struct {
		ID     string            `json:"id"`
		Name   string            `json:"name"`
		Count  int64             `json:"count"`
		Rate   float64           `json:"rate"`
		On     bool              `json:"on"`
		Labels map[string]string `json:"labels"`
		Free   json.RawMessage   `json:"free"`
		Any    any               `json:"any"`
		Parts  []*struct {
			Name  string            `json:"name"`
			Parts []json.RawMessage `json:"parts"`
		} `json:"parts"`
	}
	s := thing(f)
	for _, doc := range []string{`{}`, `{"count":1,"parts":[{"name":"x"}]}`, `{"labels":{"a":"b"},"free":{"x":[]}}`, `{"count":1e3}`, `[[[`, `{"name":"\ud800"}`} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		if err := Check(s, doc, "body"); err != nil {
			if f := fault.Of(err); f.Kind != fault.Invalid && f.Kind != fault.Malformed || len(f.Params) == 0 {
				t.Fatalf("Check(%q) = %v", doc, err)
			}
			return
		}
		var g goThing
		if err := json.Unmarshal(doc, &g); err != nil {
			t.Fatalf("%q passed and does not decode: %v", doc, err)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	s := thing(b)
	doc := []byte(`{"name":"a","count":12,"labels":{"x":"y","z":"w"},"parts":[{"name":"b","rate":1.5},{"name":"c","on":true}]}`)
	b.ReportAllocs()
	for b.Loop() {
		if err := Check(s, doc, "body"); err != nil {
			b.Fatal(err)
		}
	}
}
