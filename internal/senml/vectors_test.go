package senml_test

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/senml"
)

// now is a fixed receiver's clock for relative times.
var now = time.Unix(1_800_000_000, 500_000_000).UTC()

// vectors are the examples of RFC 8428 §5.1.
var vectors = []struct{ name, pack, resolved string }{
	{
		"single datapoint (§5.1.1)",
		`[ {"n":"urn:dev:ow:10e2073a01080063","u":"Cel","v":23.1} ]`,
		`[{"n":"urn:dev:ow:10e2073a01080063","u":"Cel","t":1800000000.5,"v":23.1}]`,
	},
	{
		"multiple datapoints, relative to now (§5.1.2)",
		`[{"bn":"urn:dev:ow:10e2073a01080063:","n":"voltage","u":"V","v":120.1},
		  {"n":"current","u":"A","v":1.2}]`,
		`[{"n":"urn:dev:ow:10e2073a01080063:voltage","u":"V","t":1800000000.5,"v":120.1},` +
			`{"n":"urn:dev:ow:10e2073a01080063:current","u":"A","t":1800000000.5,"v":1.2}]`,
	},
	{
		"multiple datapoints (§5.1.2, resolved in §5.1.4 after sorting)",
		`[{"bn":"urn:dev:ow:10e2073a0108006:","bt":1.276020076001e+09,"bu":"A","bver":5,"n":"voltage","u":"V","v":120.1},
		  {"n":"current","t":-5,"v":1.2},{"n":"current","t":-4,"v":1.3},{"n":"current","t":-3,"v":1.4},
		  {"n":"current","t":-2,"v":1.5},{"n":"current","t":-1,"v":1.6},{"n":"current","v":1.7}]`,
		`[{"bver":5,"n":"urn:dev:ow:10e2073a0108006:voltage","u":"V","t":1276020076.001,"v":120.1}]`,
	},
	{
		"multiple measurements (§5.1.3)",
		`[{"bn":"urn:dev:ow:10e2073a01080063","bt":1.320067464e+09,"bu":"%RH","v":20},
		  {"u":"lon","v":24.30621},{"u":"lat","v":60.07965},{"t":60,"v":20.3},
		  {"u":"lon","t":60,"v":24.30622},{"u":"lat","t":60,"v":60.07965},{"t":120,"v":20.7},
		  {"u":"lon","t":120,"v":24.30623},{"u":"lat","t":120,"v":60.07966},{"u":"%EL","t":150,"v":98},
		  {"t":180,"v":21.2},{"u":"lon","t":180,"v":24.30628},{"u":"lat","t":180,"v":60.07967}]`,
		`[{"n":"urn:dev:ow:10e2073a01080063","u":"%RH","t":1320067464,"v":20},` +
			`{"n":"urn:dev:ow:10e2073a01080063","u":"lon","t":1320067464,"v":24.30621},` +
			`{"n":"urn:dev:ow:10e2073a01080063","u":"lat","t":1320067464,"v":60.07965},` +
			`{"n":"urn:dev:ow:10e2073a01080063","u":"%RH","t":1320067524,"v":20.3},` +
			`{"n":"urn:dev:ow:10e2073a01080063","u":"lon","t":1320067524,"v":24.30622},` +
			`{"n":"urn:dev:ow:10e2073a01080063","u":"lat","t":1320067524,"v":60.07965},` +
			`{"n":"urn:dev:ow:10e2073a01080063","u":"%RH","t":1320067584,"v":20.7},` +
			`{"n":"urn:dev:ow:10e2073a01080063","u":"lon","t":1320067584,"v":24.30623},` +
			`{"n":"urn:dev:ow:10e2073a01080063","u":"lat","t":1320067584,"v":60.07966},` +
			`{"n":"urn:dev:ow:10e2073a01080063","u":"%EL","t":1320067614,"v":98},` +
			`{"n":"urn:dev:ow:10e2073a01080063","u":"%RH","t":1320067644,"v":21.2},` +
			`{"n":"urn:dev:ow:10e2073a01080063","u":"lon","t":1320067644,"v":24.30628},` +
			`{"n":"urn:dev:ow:10e2073a01080063","u":"lat","t":1320067644,"v":60.07967}]`,
	},
	{
		"multiple data types (§5.1.5)",
		`[{"bn":"urn:dev:ow:10e2073a01080063:","n":"temp","u":"Cel","v":23.1},
		  {"n":"label","vs":"Machine Room"},{"n":"open","vb":false},{"n":"nfc-reader","vd":"aGkgCg"}]`,
		`[{"n":"urn:dev:ow:10e2073a01080063:temp","u":"Cel","t":1800000000.5,"v":23.1},` +
			`{"n":"urn:dev:ow:10e2073a01080063:label","t":1800000000.5,"vs":"Machine Room"},` +
			`{"n":"urn:dev:ow:10e2073a01080063:open","t":1800000000.5,"vb":false},` +
			`{"n":"urn:dev:ow:10e2073a01080063:nfc-reader","t":1800000000.5,"vd":"aGkgCg"}]`,
	},
	{
		"collection of resources (§5.1.6)",
		`[{"bn":"2001:db8::2/","bt":1.320078429e+09,"n":"temperature","u":"Cel","v":25.2},
		  {"n":"humidity","u":"%RH","v":30},{"bn":"2001:db8::1/","n":"temperature","u":"Cel","v":12.3},
		  {"n":"humidity","u":"%RH","v":67}]`,
		`[{"n":"2001:db8::2/temperature","u":"Cel","t":1320078429,"v":25.2},` +
			`{"n":"2001:db8::2/humidity","u":"%RH","t":1320078429,"v":30},` +
			`{"n":"2001:db8::1/temperature","u":"Cel","t":1320078429,"v":12.3},` +
			`{"n":"2001:db8::1/humidity","u":"%RH","t":1320078429,"v":67}]`,
	},
}

func TestVectorsResolve(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			p, err := senml.DecodeJSON([]byte(v.pack), senml.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			r, err := senml.Resolve(p, now)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(v.pack, `"bver":5`) {
				checkSortedVector(t, r)
				return
			}
			got, err := senml.EncodeJSON(r)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != v.resolved {
				t.Errorf("resolved\n got %s\nwant %s", got, v.resolved)
			}
		})
	}
}

// checkSortedVector checks §5.1.4: in chronological order, version kept in
// the record that had it, the record without relative time before the equal
// one that follows it.
func checkSortedVector(t *testing.T, r senml.Pack) {
	t.Helper()
	want := []struct {
		name  string
		time  float64
		value float64
	}{
		{"current", 1276020071.001, 1.2},
		{"current", 1276020072.001, 1.3},
		{"current", 1276020073.001, 1.4},
		{"current", 1276020074.001, 1.5},
		{"current", 1276020075.001, 1.6},
		{"voltage", 1276020076.001, 120.1},
		{"current", 1276020076.001, 1.7},
	}
	if len(r) != len(want) {
		t.Fatalf("%d records, want %d", len(r), len(want))
	}
	for i, w := range want {
		if r[i].Name != "urn:dev:ow:10e2073a0108006:"+w.name || r[i].Time != w.time || r[i].Value != senml.Float(w.value) {
			t.Errorf("record %d: got %+v, want %+v", i, r[i], w)
		}
		if (r[i].BaseVersion == 5) != (w.name == "voltage") {
			t.Errorf("record %d: version %d", i, r[i].BaseVersion)
		}
	}
}

// cborVector is the hex dump of RFC 8428 §6: the pack of §5.1.2.
const cborVector = `87 a7 21 78 1b 75 72 6e 3a 64 65 76 3a 6f 77 3a
31 30 65 32 30 37 33 61 30 31 30 38 30 30 36 3a
22 fb 41 d3 03 a1 5b 00 10 62 23 61 41 20 05 00
67 76 6f 6c 74 61 67 65 01 61 56 02 fb 40 5e 06
66 66 66 66 66 a3 00 67 63 75 72 72 65 6e 74 06
24 02 fb 3f f3 33 33 33 33 33 33 a3 00 67 63 75
72 72 65 6e 74 06 23 02 fb 3f f4 cc cc cc cc cc
cd a3 00 67 63 75 72 72 65 6e 74 06 22 02 fb 3f
f6 66 66 66 66 66 66 a3 00 67 63 75 72 72 65 6e
74 06 21 02 f9 3e 00 a3 00 67 63 75 72 72 65 6e
74 06 20 02 fb 3f f9 99 99 99 99 99 9a a3 00 67
63 75 72 72 65 6e 74 06 00 02 fb 3f fb 33 33 33
33 33 33`

func TestVectorCBOR(t *testing.T) {
	raw, err := hex.DecodeString(strings.Join(strings.Fields(cborVector), ""))
	if err != nil {
		t.Fatal(err)
	}
	fromCBOR, err := senml.DecodeCBOR(raw, senml.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	fromJSON, err := senml.DecodeJSON([]byte(vectors[2].pack), senml.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if len(fromCBOR) != len(fromJSON) {
		t.Fatalf("%d records in CBOR, %d in JSON", len(fromCBOR), len(fromJSON))
	}
	for i := range fromJSON {
		if fromCBOR[i] != fromJSON[i] {
			t.Errorf("record %d: CBOR %+v, JSON %+v", i, fromCBOR[i], fromJSON[i])
		}
	}
	// The last record of the dump states a time of 0, which is the default:
	// the encoder leaves it out and is else equal byte by byte.
	again, err := senml.EncodeCBOR(fromCBOR)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(hex.EncodeToString(raw), "a3006763757272656e74060002", "a2006763757272656e7402", 1)
	if got := hex.EncodeToString(again); got != want {
		t.Errorf("encoded\n got %s\nwant %s", got, want)
	}
}
