package slice

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/osmoslice/osmoslice/internal/fault"
)

func TestNESTToProfileReadsTheGST(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("testdata", "nest-metering.json"))
	if err != nil {
		t.Fatal(err)
	}
	p, unmapped, err := NESTToProfile(raw)
	if err != nil {
		t.Fatal(err)
	}
	want := &ServiceProfile{
		MaxNumberofUEs: ptr(50000.0), TermDensity: &TermDensity{Density: 1200}, UESpeed: ptr(int64(10)),
		DLLatency: ptr(100.0), ULLatency: ptr(100.0), DLReliability: ptr(99.99), ULReliability: ptr(99.99),
		Availability:   ptr(99.9),
		DLThptPerSlice: &Throughput{GuaThpt: ptr(2000.0), MaxThpt: ptr(5000.0)},
		ULThptPerSlice: &Throughput{MaxThpt: ptr(8000.0)},
		NBIoT:          &Support{"SUPPORTED"}, NonIPSupport: &Support{"NOT_SUPPORTED"},
		AccessTechnologies:  []string{"NB_IOT", "LTE_M", "WIFI"},
		NetworkSliceSharing: "NON_SHARED", SliceSimultaneousUse: ptr(int64(2)),
		KPIMonitoring: &KPIMonitoring{KPIList: []string{"Throughput"}},
	}
	if !reflect.DeepEqual(p, want) {
		got, _ := json.Marshal(p)
		t.Errorf("profile %s", got)
	}
	wantUnmapped := []string{
		"Supported device velocity (lossy: class 2 is taken as its upper bound, 10 km/h)",
		"Isolation level (lossy: physical and logical isolation are both NON_SHARED)",
		"Area of Service (only polygons have a place in coverageArea)",
		"MMTel support", "Slice quality of service parameters: 3GPP 5QI",
	}
	slices.Sort(unmapped)
	slices.Sort(wantUnmapped)
	if !slices.Equal(unmapped, wantUnmapped) {
		t.Errorf("unmapped %q", unmapped)
	}
}

func TestNESTToProfileSaysWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct{ nest, field string }{
		"no attributes":  {`{}`, "nest"},
		"not JSON":       {`{"attributes":[`, "nest"},
		"null":           {`{"attributes":null}`, "nest"},
		"a text":         {`{"attributes":[{"name":"Availability","value":"high"}]}`, "nest/attributes/0/value"},
		"null value":     {`{"attributes":[{"name":"Availability","value":null}]}`, "nest/attributes/0/value"},
		"no value":       {`{"attributes":[{"name":"Availability"}]}`, "nest/attributes/0/value"},
		"no name":        {`{"attributes":[{"value":3}]}`, "nest/attributes/0/name"},
		"unknown unit":   {`{"attributes":[{"name":"Availability","value":3,"unit":"furlong"}]}`, "nest/attributes/0/unit"},
		"out of range":   {`{"attributes":[{"name":"Availability","value":101}]}`, "serviceProfile/availability"},
		"class 5":        {`{"attributes":[{"name":"Supported device velocity","value":5}]}`, "nest/attributes/0/value"},
		"half a session": {`{"attributes":[{"name":"Maximum number of PDU sessions","value":0.5}]}`, "nest/attributes/0/value"},
		"named twice": {`{"attributes":[{"name":"Availability","value":99},{"name":"availability","value":98}]}`,
			"nest/attributes/1/name"},
		"unknown radio": {`{"attributes":[{"name":"Supported access technologies","value":["6G"]}]}`, "nest/attributes/0/value/0"},
	} {
		_, _, err := NESTToProfile(json.RawMessage(c.nest))
		if !fault.Is(err, fault.Invalid) || len(fault.Of(err).Params) != 1 || fault.Of(err).Params[0].Field != c.field {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func ptr[T any](v T) *T { return &v }

// measure draws a decimal number of at most nine digits: what people write.
func measure(lo, hi int, scale float64) *rapid.Generator[float64] {
	return rapid.Map(rapid.IntRange(lo, hi), func(n int) float64 { return digits(float64(n) / scale) })
}

func drawProfile(t *rapid.T) *ServiceProfile {
	number := func(name string, g *rapid.Generator[float64]) *float64 {
		return rapid.Ptr(g, true).Draw(t, name)
	}
	rate := func(name string) *Throughput {
		gua, top := number(name+"Gua", measure(0, 1000, 1)), number(name+"Max", measure(1000, 9000, 1))
		if gua == nil && top == nil {
			return nil
		}
		return &Throughput{gua, top}
	}
	support := func(name string) *Support {
		return rapid.SampledFrom([]*Support{nil, {"SUPPORTED"}, {"NOT_SUPPORTED"}}).Draw(t, name)
	}
	p := &ServiceProfile{
		MaxNumberofUEs: number("ues", measure(1, 1e6, 1)), Availability: number("availability", measure(1, 1e8, 1e6)),
		DLLatency: number("dl", measure(1, 1e6, 1e3)), ULLatency: number("ul", measure(1, 1e6, 1e3)),
		DLReliability: number("rel", measure(1, 1e8, 1e6)), Jitter: number("jitter", measure(1, 1000, 10)),
		UESpeed:        rapid.Ptr(rapid.Int64Range(0, 600), true).Draw(t, "speed"),
		DLThptPerSlice: rate("dls"), ULThptPerSlice: rate("uls"), DLThptPerUE: rate("dlu"), ULThptPerUE: rate("ulu"),
		NBIoT: support("nbiot"), NonIPSupport: support("nonip"), DelayTolerance: support("delay"),
		AccessTechnologies:   rapid.SampledFrom([][]string{nil, {"NB_IOT"}, {"WIFI", "LTE_M"}}).Draw(t, "access"),
		NetworkSliceSharing:  rapid.SampledFrom([]string{"", "SHARED", "NON_SHARED"}).Draw(t, "sharing"),
		SliceSimultaneousUse: rapid.Ptr(rapid.Int64Range(0, 4), true).Draw(t, "simultaneous"),
		SST:                  rapid.Ptr(rapid.Int64Range(0, 255), true).Draw(t, "sst"),
	}
	if rapid.Bool().Draw(t, "even") {
		p.ULLatency, p.ULReliability = p.DLLatency, p.DLReliability
	}
	if rapid.Bool().Draw(t, "more") {
		p.TermDensity = &TermDensity{Density: 3.5}
		p.MaxNumberofPDUSess = &MaxNumberofPDUSess{7}
		p.DLMaxPktSize, p.ULMaxPktSize = &MaxPktSize{1358}, &MaxPktSize{1358}
		p.EnergyEfficiency = &EnergyEfficiency{&EEPerfReq{"MAXREGSUBS", 12.5}}
		p.KPIMonitoring = &KPIMonitoring{KPIList: []string{"Availability"}}
		p.CoverageArea = []GeoArea{{ConvexGeoPolygon: []GeoCoordinate{{38, 15}, {38, 16}, {39, 15.5}}}}
	}
	return p
}

// What is not called unmapped or lossy comes back as it went.
func TestProfileNESTRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProfile(t)
		raw, lost, err := ProfileToNEST(p)
		if err != nil {
			t.Fatal(err)
		}
		back, _, err := NESTToProfile(raw)
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		went, came := fields(t, p), fields(t, back)
		for _, l := range lost {
			names, _, _ := strings.Cut(l, " (")
			for name := range strings.SplitSeq(names, ", ") {
				field, _, _ := strings.Cut(name, "/")
				delete(went, field)
				delete(came, field)
			}
		}
		if !reflect.DeepEqual(went, came) {
			t.Fatalf("went %v\ncame %v\nas %s\nlost %q", went, came, raw, lost)
		}
	})
}

func fields(t interface{ Fatal(...any) }, v any) map[string]any {
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]any{}
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func FuzzNEST(f *testing.F) {
	seeds, err := filepath.Glob(filepath.Join("testdata", "nest-*.json"))
	if err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, s := range seeds {
		raw, err := os.ReadFile(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, _, err := NESTToProfile(raw)
		if err != nil {
			if !fault.Is(err, fault.Invalid) || len(fault.Of(err).Params) == 0 {
				t.Fatalf("unclassified: %v", err)
			}
			return
		}
		if err := p.Validate(); err != nil {
			t.Fatalf("accepted a profile that is not valid: %v", err)
		}
		again, _, err := ProfileToNEST(p)
		if err != nil {
			t.Fatal(err)
		}
		q, _, err := NESTToProfile(again)
		if err != nil {
			t.Fatalf("own NEST refused: %s: %v", again, err)
		}
		if q.DLLatency != nil && math.Abs(*q.DLLatency-*p.DLLatency) > 1e-9*(*p.DLLatency) {
			t.Fatalf("latency %v became %v", *p.DLLatency, *q.DLLatency)
		}
		// A slice keeps the NEST as it came.
		s := IoTSlice{NEST: raw}
		if json.Valid(raw) {
			kept, err := json.Marshal(&s)
			if err != nil {
				t.Fatal(err)
			}
			var back IoTSlice
			if err := json.Unmarshal(kept, &back); err != nil || !equalJSON(raw, back.NEST) {
				t.Fatalf("kept as %s", back.NEST)
			}
		}
	})
}

func equalJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}
