package senml_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/senml"
)

func TestDecodeJSONRefuses(t *testing.T) {
	cases := []struct{ name, in, says string }{
		{"empty", ``, "end of the input"},
		{"object", `{"n":"a","v":1}`, "array of records"},
		{"empty pack", `[]`, "a record object"},
		{"trailing comma", `[{"n":"a","v":1},]`, "a record object"},
		{"text after", `[{"n":"a","v":1}] x`, "text after the array"},
		{"two values", `[{"n":"a","v":1,"vs":"x"}]`, "record 0: vs"},
		{"label twice", `[{"n":"a","v":1},{"n":"a","n":"b","v":1}]`, "record 1: n"},
		{"must understand", `[{"n":"a","v":1,"x_":2}]`, "x_"},
		{"string for number", `[{"n":"a","v":"1"}]`, "a number"},
		{"number for string", `[{"n":1,"v":1}]`, "a string"},
		{"null value", `[{"n":"a","v":null}]`, "a number"},
		{"overflow", `[{"n":"a","v":1e999}]`, "double"},
		{"leading zero", `[{"n":"a","v":01}]`, "a number"},
		{"bare dot", `[{"n":"a","v":1.}]`, "a number"},
		{"NaN", `[{"n":"a","v":NaN}]`, "a number"},
		{"fractional version", `[{"bver":1.5,"n":"a","v":1}]`, "positive integer"},
		{"padded base64", `[{"n":"a","vd":"aGk="}]`, "base64url"},
		{"lone surrogate", `[{"n":"a","vs":"\ud800"}]`, "surrogates in pairs"},
		{"swapped surrogates", `[{"n":"a","vs":"\udc00\ud800"}]`, "surrogates in pairs"},
		{"control character", "[{\"n\":\"a\",\"vs\":\"\x01\"}]", "control"},
		{"open string", `[{"n":"a`, "closing quote"},
		{"open object", `[{"n":"a","v":1`, "end of the input"},
		{"wrong UTF-8", "[{\"n\":\"\xff\",\"v\":1}]", "UTF-8"},
		{"unknown rubbish", `[{"x":tru}]`, "a value"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p, err := senml.DecodeJSON([]byte(c.in), senml.Limits{})
			var e *senml.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, %v; want an *Error", p, err)
			}
			if !strings.Contains(err.Error(), c.says) || e.Allowed == "" || e.Given == "" {
				t.Errorf("got %q, want it to say %q, what was given and what is allowed", err, c.says)
			}
		})
	}
}

func TestDecodeCBORRefuses(t *testing.T) {
	cases := []struct{ name, in, says string }{
		{"empty", "", "end of the input"},
		{"map", "a0", "an array of records"},
		{"empty pack", "80", "no record"},
		{"bytes after", "81a20061610201ff", "bytes after"},
		{"promise of 2^32 records", "9affffffff", "records"},
		{"huge length", "9bffffffffffffffff", "length"},
		{"huge name", "81a1007affffffff", "longer string"},
		{"cut string", "81a1006561", "rest of a string"},
		{"NaN", "81a200616102f97e00", "finite"},
		{"infinity", "81a200616102fb7ff0000000000000", "finite"},
		{"label twice", "81a30061610201020" + "1", "second time"},
		{"text key of the table", "81a1616e6161", "integer key"},
		{"must understand", "81a162785f01", "must be understood"},
		{"wrong UTF-8", "81a10061ff", "UTF-8"},
		{"bytes for a name", "81a1004161", "major type"},
		{"number for bool", "81a20061610401", "true or false"},
		{"reserved head", "81a1001c", "well-formed"},
		{"break alone", "ff", "well-formed"},
		{"nested chunks", "81a1007f7fffff", "chunks"},
		{"tags", "c1c1c1c1c1c181a0", "tags"},
		{"decimal of one", "81a200616102c48101", "decimal"},
		{"decimal too large", "81a200616102c4821903e801", "double"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			in, err := hex.DecodeString(c.in)
			if err != nil {
				t.Fatal(err)
			}
			p, err := senml.DecodeCBOR(in, senml.Limits{})
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, %v; want an error that says %q", p, err, c.says)
			}
		})
	}
}

func TestDecodeCBORForms(t *testing.T) {
	cases := []struct {
		name, in string
		want     senml.Value
	}{
		{"indefinite everything", "9fbf007f61616162ff0201ffff", senml.Float(1)},
		{"decimal fraction", "81a20062616202c4822119 0ab4", senml.Float(27.40)},
		{"half", "81a20062616202f93e00", senml.Float(1.5)},
		{"smallest half", "81a20062616202f90001", senml.Float(math.Ldexp(1, -24))},
		{"single", "81a20062616202fa47c35000", senml.Float(100000)},
		{"negative integer", "81a2006261620239 03e7", senml.Float(-1000)},
		{"self-described", "d9d9f781a2006261620 201", senml.Float(1)},
		{"unknown labels", "81a4006261620201617883a1010280f6181ef5", senml.Float(1)},
		{"data", "81a2006261620843010203", senml.Bytes([]byte{1, 2, 3})},
		{"true", "81a20062616204f5", senml.Bool(true)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			in, err := hex.DecodeString(strings.ReplaceAll(c.in, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			p, err := senml.DecodeCBOR(in, senml.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if len(p) != 1 || p[0].Name != "ab" || p[0].Value != c.want {
				t.Errorf("got %+v, want ab = %v", p, c.want.Any())
			}
		})
	}
}

func TestResolveRefuses(t *testing.T) {
	cases := []struct {
		name, says string
		p          senml.Pack
	}{
		{"no name", "letters", senml.Pack{{Value: senml.Float(1)}}},
		{"bad first character", "beginning", senml.Pack{{BaseName: "-", Name: "a", Value: senml.Float(1)}}},
		{"space", "letters", senml.Pack{{Name: "a b", Value: senml.Float(1)}}},
		{"not ASCII", "letters", senml.Pack{{Name: "é", Value: senml.Float(1)}}},
		{"no value", "one of v", senml.Pack{{Name: "a"}}},
		{"future version", "bver", senml.Pack{{Name: "a", BaseVersion: 11, Value: senml.Float(1)}}},
		{"two versions", "version of the records before", senml.Pack{
			{Name: "a", BaseVersion: 5, Value: senml.Float(1)},
			{Name: "a", BaseVersion: 6, Value: senml.Float(1)},
		}},
		{"year 10000", "1970 and 9999", senml.Pack{{Name: "a", Time: 253402300800, Value: senml.Float(1)}}},
		{"before 1970", "1970 and 9999", senml.Pack{{Name: "a", Time: -2e9, Value: senml.Float(1)}}},
		{"value overflow", "finite", senml.Pack{{Name: "a", BaseValue: math.MaxFloat64, Value: senml.Float(math.MaxFloat64)}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := senml.Resolve(c.p, now); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want an error that says %q", err, c.says)
			}
		})
	}
}

func TestResolveBaseFields(t *testing.T) {
	p := senml.Pack{
		{BaseName: "a/", BaseTime: 1e9, BaseValue: 100, BaseSum: 5, Name: "x", Value: senml.Float(1)},
		{Name: "y"},
		{Name: "z", Value: senml.String("s")},
		{Has: senml.HasBaseName | senml.HasBaseValue | senml.HasBaseSum, Name: "w", Value: senml.Float(2), Sum: 3},
	}
	r, err := senml.Resolve(p, now)
	if err != nil {
		t.Fatal(err)
	}
	want := senml.Pack{
		{Name: "a/x", Time: 1e9, Value: senml.Float(101), Sum: 5, Has: senml.HasSum},
		{Name: "a/y", Time: 1e9, Value: senml.Float(100), Sum: 5, Has: senml.HasSum},
		{Name: "a/z", Time: 1e9, Value: senml.String("s"), Sum: 5, Has: senml.HasSum},
		{Name: "w", Time: 1e9, Value: senml.Float(2), Sum: 3, Has: senml.HasSum},
	}
	for i := range want {
		if r[i] != want[i] {
			t.Errorf("record %d: got %+v, want %+v", i, r[i], want[i])
		}
	}
}

func TestCheckTime(t *testing.T) {
	p := senml.Pack{{Name: "a", Time: senml.Seconds(now.Add(-2 * time.Hour)), Value: senml.Float(1)}}
	if err := senml.CheckTime(p, now, 3*time.Hour, time.Minute); err != nil {
		t.Error(err)
	}
	if err := senml.CheckTime(p, now, time.Hour, time.Minute); err == nil {
		t.Error("two hours ago passed a limit of one")
	}
	p[0].Time = senml.Seconds(now.AddDate(3, 0, 0))
	if err := senml.CheckTime(p, now, 0, time.Minute); err == nil {
		t.Error("three years ahead passed a limit of a minute")
	}
	if err := senml.CheckTime(p, now, time.Hour, 0); err != nil {
		t.Error(err)
	}
}

// TestHostile feeds inputs made to exhaust a decoder; each must be refused as
// too big, and quickly.
func TestHostile(t *testing.T) {
	deepJSON := "[{\"x\":" + strings.Repeat("[", 1e6)
	manyNames := &bytes.Buffer{}
	manyNames.WriteString(`[{"n":"n0","v":1}`)
	for i := range 100_000 {
		fmt.Fprintf(manyNames, `,{"n":"n%d","v":1}`, i)
	}
	manyNames.WriteByte(']')
	cases := []struct {
		name string
		in   []byte
	}{
		{"100 MB", bytes.Repeat([]byte{'['}, 100<<20)},
		{"deep JSON", []byte(deepJSON)},
		{"deep CBOR", append([]byte{0x81, 0xa1, 0x61, 'x'}, bytes.Repeat([]byte{0x81}, 1<<20-8)...)},
		{"100,000 names", manyNames.Bytes()},
		{"long name", []byte(`[{"n":"` + strings.Repeat("n", 100_000) + `","v":1}]`)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			start := time.Now()
			limits := senml.Limits{Bytes: 4 << 20}
			_, err := senml.Decode(c.in, limits)
			var e *senml.Error
			if !errors.As(err, &e) || !e.TooBig {
				t.Errorf("got %v, want an error marked TooBig", err)
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
	t.Run("long base name over many records", func(t *testing.T) {
		p := make(senml.Pack, 10_000)
		p[0].BaseName = strings.Repeat("b", 60_000)
		for i := range p {
			p[i].Value = senml.Float(1)
		}
		if _, err := senml.Resolve(p, now); err == nil {
			t.Error("600 MB of names were resolved")
		}
	})
}
