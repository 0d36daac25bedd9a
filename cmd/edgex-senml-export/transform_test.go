package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/absmach/senml"
	"github.com/edgexfoundry/go-mod-core-contracts/v4/common"
	"github.com/edgexfoundry/go-mod-core-contracts/v4/dtos"
)

const origin = 1795294296931483600 // ns, as it was recorded

func reading(resource, kind, units, value string) dtos.BaseReading {
	return dtos.BaseReading{
		Origin: origin, DeviceName: "dev1", ResourceName: resource, ProfileName: "p", ValueType: kind, Units: units,
		SimpleReading: dtos.SimpleReading{Value: value},
	}
}

func event(readings ...dtos.BaseReading) dtos.Event {
	return dtos.Event{DeviceName: "dev1", ProfileName: "p", SourceName: "all", Origin: origin, Readings: readings}
}

// resolved has an independent decoder of RFC 8428 read what was made.
func resolved(t *testing.T, pack []record) []senml.Record {
	t.Helper()
	b, err := json.Marshal(pack)
	if err != nil {
		t.Fatal(err)
	}
	p, err := senml.Decode(b, senml.JSON)
	if err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	if err := senml.Validate(p); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	if p, err = senml.Normalize(p); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return p.Records
}

func TestEveryKindOfValue(t *testing.T) {
	object := reading("position", common.ValueTypeObject, "", "")
	object.ObjectValue = map[string]any{"x": 1}
	binary := reading("picture", common.ValueTypeBinary, "", "")
	binary.BinaryValue = []byte{0xff, 0xfe, 0}
	pack, skipped := newFilter().pack(event(
		reading("temperature", common.ValueTypeFloat64, "Cel", "2.15e+01"), reading("zero", common.ValueTypeInt32, "", "0"),
		reading("count", common.ValueTypeUint64, "", "18446744073709551615"), reading("door", common.ValueTypeBool, "", "false"),
		reading("state", common.ValueTypeString, "", "open \u00fc"), reading("series", common.ValueTypeFloat32Array, "", "[1, 2]"), object, binary,
	))
	if len(skipped) != 0 {
		t.Error(skipped)
	}
	got := resolved(t, pack)
	want := map[string]string{
		"dev1:temperature": "21.5", "dev1:zero": "0", "dev1:count": "1.8446744073709552e+19", "dev1:door": "false",
		"dev1:state": "open \u00fc", "dev1:series": "[1, 2]", "dev1:position": `{"x":1}`, "dev1:picture": base64.RawURLEncoding.EncodeToString(binary.BinaryValue),
	}
	for _, r := range got {
		value := "nothing"
		switch {
		case r.Value != nil:
			value = fmt.Sprint(*r.Value)
		case r.BoolValue != nil:
			value = fmt.Sprint(*r.BoolValue)
		case r.StringValue != nil:
			value = *r.StringValue
		case r.DataValue != nil:
			value = *r.DataValue
		}
		if value != want[r.Name] {
			t.Errorf("%s is %s, want %s", r.Name, value, want[r.Name])
		}
		if math.Abs(r.Time-origin/1e9) > 1e-5 {
			t.Errorf("%s at %f", r.Name, r.Time)
		}
		delete(want, r.Name)
	}
	if len(want) != 0 || got[0].Unit != "Cel" {
		t.Errorf("missing: %v; unit %q", want, got[0].Unit)
	}
}

func TestWhatIsNoSenML(t *testing.T) {
	e := event(reading("a", common.ValueTypeFloat64, "", "NaN"), reading("b", common.ValueTypeFloat64, "", "+Inf"),
		reading("c", common.ValueTypeBool, "", "perhaps"), reading("hot water", common.ValueTypeInt8, "", "7"))
	e.DeviceName = "-caf\u00e9 1"
	pack, skipped := newFilter().pack(e)
	if len(skipped) != 3 {
		t.Errorf("skipped %v", skipped)
	}
	if got := resolved(t, pack); len(got) != 1 || got[0].Name != "x-caf__1:hot_water" {
		t.Errorf("%+v", got)
	}
}

// TestFilter: bounds, deadband and windows, asked for by tags as they come over
// JSON.
func TestFilter(t *testing.T) {
	tag := func(text string) dtos.Tags {
		var m map[string]any
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	for _, c := range []struct {
		name, tags string
		values     []float64 // one a second, from a full minute on
		want       string
	}{
		{"bounds", `{"min":0,"max":10}`, []float64{-1, 0, 10, 11}, "0@1 10@2"},
		{"deadband", `{"deadband":1}`, []float64{5, 5.5, 6, 6.9, 5.1}, "5@0 6@2"},
		{"mean", `{"aggregate":"mean","window":2}`, []float64{1, 2, 3, 5, 9}, "1.5@2 4@4"},
		{"max in bounds", `{"aggregate":"max","window":2,"max":5}`, []float64{1, 99, 3, 2, 0}, "1@2 3@4"},
		{"count", `{"aggregate":"count","window":3}`, []float64{1, 1, 1, 1}, "3@3"},
		{"sum", `{"aggregate":"sum","window":3}`, []float64{1, 2, 3, 1}, "6@3"},
		{"no window", `{"aggregate":"sum"}`, []float64{1, 2}, "1@0 2@1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			const from = 1795294260
			f, got := newFilter(), []string{}
			for i, v := range c.values {
				r := reading("t", common.ValueTypeFloat64, "", fmt.Sprint(v))
				r.Tags = tag(c.tags)
				e := event(r)
				e.Origin = int64(from+i) * 1e9
				pack, _ := f.pack(e)
				if len(pack) == 0 {
					continue
				}
				for _, rec := range resolved(t, pack) {
					got = append(got, fmt.Sprintf("%g@%g", *rec.Value, rec.Time-from))
				}
			}
			if text := strings.Join(got, " "); text != c.want {
				t.Errorf("passed on: %s, want %s", text, c.want)
			}
		})
	}
}
