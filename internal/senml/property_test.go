package senml_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	absmach "github.com/absmach/senml"
	"github.com/fxamacker/cbor/v2"
	"pgregory.net/rapid"

	"github.com/osmoslice/osmoslice/internal/senml"
)

var (
	names   = rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9:./_-]{0,20}`)
	texts   = rapid.String()
	numbers = rapid.Custom(func(t *rapid.T) float64 {
		if rapid.Bool().Draw(t, "round") {
			return float64(rapid.Int64Range(-1<<54, 1<<54).Draw(t, "int"))
		}
		return rapid.Float64().Filter(func(f float64) bool { return !math.IsInf(f, 0) && !math.IsNaN(f) }).Draw(t, "float")
	})
)

func value(t *rapid.T) senml.Value {
	switch rapid.IntRange(0, 3).Draw(t, "kind") {
	case 0:
		return senml.Float(numbers.Draw(t, "v"))
	case 1:
		return senml.String(texts.Draw(t, "vs"))
	case 2:
		return senml.Bool(rapid.Bool().Draw(t, "vb"))
	}
	return senml.Bytes(rapid.SliceOf(rapid.Byte()).Draw(t, "vd"))
}

// anyPack draws packs with every field, explicit zeros included.
func anyPack(t *rapid.T) senml.Pack {
	p := make(senml.Pack, rapid.IntRange(1, 8).Draw(t, "records"))
	for i := range p {
		r := &p[i]
		has := func(f senml.Fields, zero bool) {
			if zero && rapid.Bool().Draw(t, "explicit") {
				r.Has |= f
			}
		}
		r.BaseName, r.BaseUnit = texts.Draw(t, "bn"), texts.Draw(t, "bu")
		r.Name, r.Unit = texts.Draw(t, "n"), texts.Draw(t, "u")
		r.BaseTime, r.BaseValue, r.BaseSum = numbers.Draw(t, "bt"), numbers.Draw(t, "bv"), numbers.Draw(t, "bs")
		r.Time, r.UpdateTime, r.Sum = numbers.Draw(t, "t"), numbers.Draw(t, "ut"), numbers.Draw(t, "s")
		r.BaseVersion = rapid.IntRange(0, 12).Draw(t, "bver")
		if rapid.Bool().Draw(t, "value") {
			r.Value = value(t)
		}
		has(senml.HasBaseName, r.BaseName == "")
		has(senml.HasBaseUnit, r.BaseUnit == "")
		has(senml.HasBaseTime, r.BaseTime == 0)
		has(senml.HasBaseValue, r.BaseValue == 0)
		has(senml.HasBaseSum, r.BaseSum == 0)
		has(senml.HasSum, r.Sum == 0)
	}
	return p
}

// validPack draws packs that resolve.
func validPack(t *rapid.T) senml.Pack {
	p := make(senml.Pack, rapid.IntRange(1, 8).Draw(t, "records"))
	p[0].BaseName = names.Draw(t, "bn")
	p[0].BaseTime = float64(rapid.Int64Range(1<<28+1000, 1<<33).Draw(t, "bt"))
	p[0].BaseUnit = rapid.SampledFrom([]string{"", "Cel", "%RH"}).Draw(t, "bu")
	for i := range p {
		p[i].Name = names.Draw(t, "n")
		p[i].Unit = rapid.SampledFrom([]string{"", "V", "A"}).Draw(t, "u")
		p[i].Time = float64(rapid.Int64Range(-1000, 1000).Draw(t, "t")) / 8
		p[i].Value = value(t)
	}
	return p
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anyPack(t)
		json, err := senml.EncodeJSON(p)
		if err != nil {
			t.Fatal(err)
		}
		packed, err := senml.EncodeCBOR(p)
		if err != nil {
			t.Fatal(err)
		}
		for name, in := range map[string][]byte{"JSON": json, "CBOR": packed} {
			got, err := senml.Decode(in, senml.Limits{})
			if err != nil {
				t.Fatalf("%s %q: %v", name, in, err)
			}
			if !slices.Equal(got, p) {
				t.Fatalf("%s %q:\n got %+v\nwant %+v", name, in, got, p)
			}
		}
		if err := cbor.Wellformed(packed); err != nil {
			t.Fatalf("%x: %v", packed, err)
		}
	})
}

func TestResolveProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := validPack(t)
		before := slices.Clone(p)
		r, err := senml.Resolve(p, now)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(p, before) {
			t.Fatal("Resolve changed its input")
		}
		if len(r) != len(p) || !slices.IsSortedFunc(r, func(a, b senml.Record) int { return int(math.Copysign(1, a.Time-b.Time)) * boolInt(a.Time != b.Time) }) {
			t.Fatalf("not the same records in order: %+v", r)
		}
		again, err := senml.Resolve(r, now.AddDate(1, 0, 0))
		if err != nil || !slices.Equal(again, r) {
			t.Fatalf("not idempotent: %v\n got %+v\nwant %+v", err, again, r)
		}
	})
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestAgreesWithAbsmach sends packs through an independent implementation in
// both directions and both representations and compares what is resolved.
func TestAgreesWithAbsmach(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := validPack(t)
		want, err := senml.Resolve(p, now)
		if err != nil {
			t.Fatal(err)
		}
		for _, format := range []absmach.Format{absmach.JSON, absmach.CBOR} {
			encode := senml.EncodeJSON
			if format == absmach.CBOR {
				encode = senml.EncodeCBOR
				// It holds data values as text in CBOR, against RFC 8428 §6.
				if slices.ContainsFunc(p, func(r senml.Record) bool { return r.Value.Kind() == senml.Data }) {
					continue
				}
			}
			ours, err := encode(p)
			if err != nil {
				t.Fatal(err)
			}
			theirs, err := absmach.Decode(ours, format)
			if err != nil {
				t.Fatalf("they refuse %q: %v", ours, err)
			}
			back, err := absmach.Encode(theirs, format)
			if err != nil {
				t.Fatal(err)
			}
			got, err := senml.Decode(back, senml.Limits{})
			if err != nil {
				t.Fatalf("we refuse %q: %v", back, err)
			}
			resolved, err := senml.Resolve(got, now)
			if err != nil || !slices.Equal(resolved, want) {
				t.Fatalf("through them: %v\n got %+v\nwant %+v", err, resolved, want)
			}
			checkNormalized(t, theirs, want)
		}
	})
}

// checkNormalized compares their resolution with ours.
func checkNormalized(t *rapid.T, theirs absmach.Pack, want senml.Pack) {
	normal, err := absmach.Normalize(theirs)
	if err != nil {
		t.Fatal(err)
	}
	type key struct {
		name, unit string
		time       float64
		value      string
	}
	count := map[key]int{}
	for _, r := range want {
		text := ""
		if r.Value.Kind() == senml.Number {
			text = fmt.Sprint(r.Value.Float() + 0) // -0 is 0
		}
		count[key{r.Name, r.Unit, r.Time, text}]++
	}
	for _, r := range normal.Records {
		text := ""
		if r.Value != nil {
			text = fmt.Sprint(*r.Value + 0)
		}
		count[key{r.Name, r.Unit, r.Time, text}]--
	}
	for k, n := range count {
		if n != 0 {
			t.Fatalf("%+v: %d more with us than with them", k, n)
		}
	}
}
