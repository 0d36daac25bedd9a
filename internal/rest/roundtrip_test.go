package rest

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/rest/shape"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/models"
)

// nouns are all kinds that the API answers as they are.
var nouns = map[string]struct{ noun, model func() any }{
	"Tenant":               {func() any { return new(slice.Tenant) }, func() any { return new(models.Tenant) }},
	"Product":              {func() any { return new(slice.Product) }, func() any { return new(models.Product) }},
	"Infrastructure":       {func() any { return new(slice.Infrastructure) }, func() any { return new(models.Infrastructure) }},
	"Node":                 {func() any { return new(slice.Node) }, func() any { return new(models.Node) }},
	"Link":                 {func() any { return new(slice.Link) }, func() any { return new(models.Link) }},
	"IoTSlice":             {func() any { return new(slice.IoTSlice) }, func() any { return new(models.IoTSlice) }},
	"MicroElement":         {func() any { return new(slice.Element) }, func() any { return new(models.MicroElement) }},
	"MicroData":            {func() any { return new(slice.MicroData) }, func() any { return new(models.MicroData) }},
	"IoTDevice":            {func() any { return new(slice.Device) }, func() any { return new(models.IoTDevice) }},
	"NetworkSlice":         {func() any { return new(slice.NetworkSlice) }, func() any { return new(models.NetworkSlice) }},
	"NetworkSliceSubnet":   {func() any { return new(slice.NetworkSliceSubnet) }, func() any { return new(models.NetworkSliceSubnet) }},
	"NetworkFunction":      {func() any { return new(slice.NetworkFunction) }, func() any { return new(models.NetworkFunction) }},
	"CommunicationService": {func() any { return new(slice.CommunicationService) }, func() any { return new(models.CommunicationService) }},
	"Subscription":         {func() any { return new(slice.Subscription) }, func() any { return new(models.Subscription) }},
	"Secret":               {func() any { return new(slice.Secret) }, func() any { return new(models.Secret) }},
	"Placement":            {func() any { return new(slice.Placement) }, func() any { return new(models.Placement) }},
	"APIKey":               {func() any { return new(slice.APIKey) }, func() any { return new(models.APIKey) }},
	"Event":                {func() any { return new(slice.Event) }, func() any { return new(models.Event) }},
	"AuditRecord":          {func() any { return new(slice.AuditRecord) }, func() any { return new(models.AuditRecord) }},
}

func testAPI(t testing.TB) *api {
	t.Helper()
	a, err := newAPI(Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// What the service stores is what swagger.yaml says: no field is missing from a
// definition, none has another type, and nothing is lost on the way through the
// generated model that clients use.
func TestNounsAndModelsAgree(t *testing.T) {
	shapes := writable(testAPI(t).shapes)
	for name, pair := range nouns {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				noun := pair.noun()
				fill(t, reflect.ValueOf(noun).Elem(), "")
				doc := marshal(t, noun)
				if err := shape.Check(shapes[name], doc, name); err != nil {
					t.Fatalf("%v\n%s", err, doc)
				}
				model := pair.model()
				unmarshal(t, doc, model)
				again := pair.noun()
				unmarshal(t, marshal(t, model), again)
				if got := marshal(t, again); string(got) != string(doc) {
					t.Fatalf("through the model:\n%s\nbefore:\n%s", got, doc)
				}
			})
		})
	}
}

// An order is the slice's fields beside its members'.
func TestOrderAndModelAgree(t *testing.T) {
	shapes := writable(testAPI(t).shapes)
	rapid.Check(t, func(t *rapid.T) {
		var o order
		fill(t, reflect.ValueOf(&o).Elem(), "")
		for _, list := range []*[]slice.Element{&o.Servers, &o.Gateways, &o.MicroElements} {
			for i := range *list {
				(*list)[i].Server, (*list)[i].MELClass = "", "" // not every kind has them
			}
		}
		doc := marshal(t, o)
		if err := shape.Check(shapes["IoTSliceOrder"], doc, "order"); err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		var m models.IoTSliceOrder
		unmarshal(t, doc, &m)
		var again order
		unmarshal(t, marshal(t, m), &again)
		if got := marshal(t, again); string(got) != string(doc) {
			t.Fatalf("through the model:\n%s\nbefore:\n%s", got, doc)
		}
	})
}

// Everything public of an operation reaches the model, and nothing else.
func TestOperationMapping(t *testing.T) {
	inside := map[string]bool{ // the engine's own
		"limits": true, "planAttempt": true, "planNotBefore": true, "plans": true, "compensationGivenUp": true, "calls": true,
		"signalsSeen": true, "leaves": true, "partial": true, "call": true,
	}
	shapes := testAPI(t).shapes
	rapid.Check(t, func(t *rapid.T) {
		var op operation.Operation
		fill(t, reflect.ValueOf(&op).Elem(), "")
		doc := marshal(t, lcmOpOcc(&op))
		if err := shape.Check(shapes["LcmOpOcc"], doc, "LcmOpOcc"); err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		var want, got map[string]any
		unmarshal(t, marshal(t, op), &want)
		unmarshal(t, doc, &got)
		compare(t, "", want, got, inside)
	})
}

// compare requires every field of want in got, but zero values and the engine's.
func compare(t *rapid.T, at string, want, got any, inside map[string]bool) {
	switch w := want.(type) {
	case map[string]any:
		g, _ := got.(map[string]any)
		for name, v := range w {
			if inside[name] || zero(v) {
				continue
			}
			compare(t, at+"/"+name, v, g[name], inside)
		}
	case []any:
		g, _ := got.([]any)
		if len(g) != len(w) {
			t.Fatalf("%s: %d entries, want %d", at, len(g), len(w))
		}
		for i := range w {
			compare(t, at, w[i], g[i], inside)
		}
	default:
		if !reflect.DeepEqual(want, got) && !sameTime(want, got) {
			t.Fatalf("%s = %v, want %v", at, got, want)
		}
	}
}

func sameTime(want, got any) bool {
	w, _ := want.(string)
	g, _ := got.(string)
	a, err1 := time.Parse(time.RFC3339Nano, w)
	b, err2 := time.Parse(time.RFC3339Nano, g)
	return err1 == nil && err2 == nil && a.Equal(b)
}

func zero(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == "" || v == "0001-01-01T00:00:00Z"
	case float64:
		return v == 0
	case bool:
		return !v
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}

// writable answers the shapes with nothing read-only.
func writable(all map[string]*shape.Shape) map[string]*shape.Shape {
	done := map[*shape.Shape]*shape.Shape{}
	var clone func(s *shape.Shape) *shape.Shape
	clone = func(s *shape.Shape) *shape.Shape {
		if s == nil || done[s] != nil {
			return done[s]
		}
		c := *s
		done[s] = &c
		c.Values, c.Items = clone(s.Values), clone(s.Items)
		if s.Props != nil {
			c.Props = map[string]shape.Field{}
			for name, f := range s.Props {
				c.Props[name] = shape.Field{Shape: clone(f.Shape)}
			}
		}
		return &c
	}
	out := map[string]*shape.Shape{}
	for name, s := range all {
		out[name] = clone(s)
	}
	return out
}

var (
	rawType  = reflect.TypeFor[json.RawMessage]()
	timeType = reflect.TypeFor[time.Time]()
)

// fill sets v to something; every field now and then.
func fill(t *rapid.T, v reflect.Value, _ string) {
	filler{rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))}.fill(v, "")
}

type filler struct{ *rand.Rand }

func (r filler) text(alphabet string, most int) string {
	all := []rune(alphabet)
	out := make([]rune, 1+r.IntN(most))
	for i := range out {
		out[i] = all[r.IntN(len(all))]
	}
	return string(out)
}

func (r filler) fill(v reflect.Value, field string) {
	switch v.Type() {
	case rawType:
		doc := `{"a":[1,"b",null,{"c":1.5}]}`
		if field == "NEST" {
			doc = `{"attributes":[{"name":"n","unit":"u","value":{"x":[1,true]}}]}`
		}
		v.SetBytes([]byte(doc))
		return
	case timeType:
		v.Set(reflect.ValueOf(time.UnixMilli(1 + r.Int64N(4e12)).UTC()))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if r.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			r.fill(v.Elem(), field)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.IsExported() && f.Tag.Get("json") != "-" {
				r.fill(v.Field(i), f.Name)
			}
		}
	case reflect.Slice:
		if n := r.IntN(3); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				r.fill(v.Index(i), field)
			}
		}
	case reflect.Map:
		if r.IntN(3) > 0 {
			v.Set(reflect.MakeMap(v.Type()))
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			key.SetString("key/" + r.text("abc", 4))
			r.fill(value, field)
			v.SetMapIndex(key, value)
		}
	case reflect.String:
		v.SetString(r.text(`aZ09 é"<\\`, 8))
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int, reflect.Int64:
		v.SetInt(r.Int64() >> r.IntN(63))
	case reflect.Float64:
		v.SetFloat(r.NormFloat64() * 1e6)
	default:
		panic(field + ": a " + v.Type().String() + " cannot be filled")
	}
}

func marshal(t *rapid.T, v any) []byte {
	doc, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func unmarshal(t *rapid.T, doc []byte, into any) {
	if err := json.Unmarshal(doc, into); err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
}
