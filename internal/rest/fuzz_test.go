package rest

import (
	"encoding/json"
	"testing"

	"github.com/go-openapi/strfmt"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/rest/shape"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/models"
)

// refused requires err to be the caller's fault, and to name a field.
func refused(t *testing.T, err error) {
	t.Helper()
	f := fault.Of(err)
	if s := f.Kind.Status(); s < 400 || s >= 500 || len(f.Params) == 0 {
		t.Fatalf("%d %v: want a 4xx that names a field", s, err)
	}
}

// An order body is refused by name, or maps to nouns that can be validated and
// stored.
func FuzzOrderBody(f *testing.F) {
	for _, doc := range []string{
		`{"name":"s"}`,
		`{"name":"s","instantiate":true,"iotServers":[{"name":"v","product":"lite-server"}],"iotGateways":[{"name":"g","product":"lite-gateway","iotServer":"v"}],"iotDevices":[{"name":"d","iotGateway":"g","protocol":"MQTT","magnitudes":[{"name":"t","unit":"Cel","min":-1e308}]}]}`,
		`{"name":"s","serviceProfile":{"dLLatency":1e999}}`,
		`{"name":"s","placementPolicy":{"nodeLabels":{"a":"b"},"kinds":["FOG"]},"labels":{"":""}}`,
		`{"name":"s","nest":{"attributes":[{"name":"Availability","value":"99.9","unit":"%"}]}}`,
		`{"name":"s","iotGateways":[null]}`,
		`{"name":null,"iotDevices":[[]]}`,
	} {
		f.Add([]byte(doc))
	}
	of := testAPI(f).shapes["IoTSliceOrder"]
	f.Fuzz(func(t *testing.T, doc []byte) {
		if err := shape.Check(of, doc, "body"); err != nil {
			refused(t, err)
			return
		}
		var m models.IoTSliceOrder
		if err := json.Unmarshal(doc, &m); err != nil {
			t.Fatalf("%s passed and does not decode: %v", doc, err)
		}
		if err := m.Validate(strfmt.Default); err != nil {
			if v := validation(err); v == nil {
				t.Fatalf("%v is not understood", err)
			} else {
				refused(t, v)
			}
			return
		}
		var o order
		if err := json.Unmarshal(doc, &o); err != nil {
			t.Fatalf("%s is valid and does not map: %v", doc, err)
		}
		want := o.use()
		if err := want.Slice.Validate(); err != nil {
			refused(t, err)
		}
		for i := range want.Devices {
			if err := want.Devices[i].Validate(); err != nil {
				refused(t, err)
			}
		}
		if _, err := json.Marshal(want.Slice); err != nil {
			t.Fatalf("%s cannot be stored: %v", doc, err)
		}
	})
}

// A merge patch is refused by name, or leaves a resource that is valid for the
// generated layer, with the identity it had.
func FuzzMergePatch(f *testing.F) {
	for _, doc := range []string{
		`{}`, `{"description":null}`, `{"labels":{"a":null,"b":"c"}}`, `{"serviceProfile":{"dLLatency":null,"sst":3}}`,
		`{"name":null}`, `{"tenantId":"x"}`, `{"placementPolicy":null}`, `{"nest":{"attributes":[]}}`, `null`, `[]`,
		`{"serviceProfile":{"coverageArea":[{"convexGeoPolygon":[]}]}}`, `{"priority":1e2}`,
	} {
		f.Add([]byte(doc))
	}
	a := testAPI(f)
	f.Fuzz(func(t *testing.T, doc []byte) {
		latency := 5.0
		x := &slice.IoTSlice{
			Meta:           slice.Meta{ID: "i", Tenant: "t", Name: "n", Revision: 3, Labels: map[string]string{"a": "b"}},
			ServiceProfile: &slice.ServiceProfile{DLLatency: &latency}, Priority: 4, State: slice.Active,
		}
		change, err := a.mergePatch(slice.KindIoTSlice, doc)
		if err == nil {
			err = change(x)
		}
		if err != nil {
			refused(t, err)
			return
		}
		if x.ID != "i" || x.Tenant != "t" || x.Revision != 3 || x.State != slice.Active {
			t.Fatalf("%s changed what it may not: %+v", doc, x)
		}
		if err := x.Validate(); err != nil {
			refused(t, err)
		}
	})
}
