package senml_test

import (
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/osmoslice/osmoslice/internal/senml"
)

var fuzzLimits = senml.Limits{Bytes: 64 << 10, Records: 1000, Depth: 8, Text: 4096}

// checkAccepted holds for whatever a decoder accepts.
func checkAccepted(t *testing.T, p senml.Pack) {
	t.Helper()
	wide := senml.Limits{Bytes: 16 << 20, Records: 1000, Text: 1 << 20}
	for _, encode := range []func(senml.Pack) ([]byte, error){senml.EncodeJSON, senml.EncodeCBOR} {
		out, err := encode(p)
		if err != nil {
			t.Fatalf("accepted but not written: %v: %+v", err, p)
		}
		again, err := senml.Decode(out, wide)
		if err != nil || !slices.Equal(again, p) {
			t.Fatalf("written but not read back: %v\n got %+v\nwant %+v", err, again, p)
		}
	}
	r, err := senml.Resolve(p, now)
	if err != nil {
		return
	}
	if again, err := senml.Resolve(r, now); err != nil || !slices.Equal(again, r) {
		t.Fatalf("resolving is not idempotent: %v\n got %+v\nwant %+v", err, again, r)
	}
}

func FuzzDecodeJSON(f *testing.F) {
	for _, v := range vectors {
		f.Add([]byte(v.pack))
		f.Add([]byte(v.resolved))
	}
	f.Add([]byte(`[{"n":"a","v":-0.0e-0,"x":{"y":[null,true,"\ud83d\ude00"]}}]`))
	f.Fuzz(func(t *testing.T, in []byte) {
		if p, err := senml.DecodeJSON(in, fuzzLimits); err == nil {
			checkAccepted(t, p)
		}
	})
}

func FuzzDecodeCBOR(f *testing.F) {
	raw, err := hex.DecodeString(strings.Join(strings.Fields(cborVector), ""))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	for _, seed := range []string{"9fbf007f61616162ff0201ffff", "81a20062616202c48221190ab4", "d9d9f781a2006261620201", "81a4006261620201617883a1010280f6181ef5"} {
		in, err := hex.DecodeString(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		p, err := senml.DecodeCBOR(in, fuzzLimits)
		if err != nil {
			return
		}
		if err := cbor.Wellformed(in); err != nil {
			t.Fatalf("accepted %x, which is not well-formed: %v", in, err)
		}
		checkAccepted(t, p)
	})
}
