package filter

import (
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
)

func TestParse(t *testing.T) {
	type c = operation.Condition
	for in, want := range map[string][]c{
		"":                                nil,
		"(eq,state,ACTIVE)":               {{Op: "eq", Attr: "state", Values: []string{"ACTIVE"}}},
		"(in,name,a,b);(neq,labels/x,)":   {{Op: "in", Attr: "name", Values: []string{"a", "b"}}, {Op: "neq", Attr: "labels/x", Values: []string{""}}},
		"(eq,name,'it''s, (here); now')":  {{Op: "eq", Attr: "name", Values: []string{"it's, (here); now"}}},
		"(cont,a~1b~0c~ad~be/f,'','x''')": {{Op: "cont", Attr: "a~1b~0c,d@e/f", Values: []string{"", "x'"}}},
	} {
		got, err := Parse(in)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("Parse(%q) = %v, %v; want %v", in, got, err, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, in := range []string{
		"x", "(", "()", "(eq)", "(eq,)", "(eq,a)", "(eq,a,b", "(eq,a,b,c)", "(is,a,b)", "(eq,a,b))", "(eq,a,b);",
		"(eq,a,b)(eq,a,b)", "(eq,/a,b)", "(eq,a//b,c)", "(eq,a~2,b)", "(eq,a~,b)", "(eq,a,'b)", "(eq,a,'b'c)",
		"(eq,a,b);;(eq,a,b)", strings.Repeat("(eq,a,b);", 32) + "(eq,a,b)", "(in,a" + strings.Repeat(",x", 257) + ")",
		"(eq,a," + strings.Repeat("x", MaxLength) + ")", "(EQ,a,b)", " (eq,a,b)",
	} {
		got, err := Parse(in)
		if !fault.Is(err, fault.Malformed) || len(fault.Of(err).Params) != 1 || fault.Of(err).Params[0].Field != "filter" {
			t.Errorf("Parse(%.40q) = %v, %v; want a Malformed fault that names the filter", in, got, err)
		}
	}
}

func TestFormatIsTheInverse(t *testing.T) {
	name := rapid.StringMatching(`[a-zA-Z,@]{1,8}`)
	condition := rapid.Custom(func(t *rapid.T) operation.Condition {
		op := rapid.SampledFrom([]string{"eq", "neq", "gt", "gte", "lt", "lte", "in", "nin", "cont", "ncont"}).Draw(t, "op")
		n := 1
		if ops[op] {
			n = rapid.IntRange(1, 4).Draw(t, "n")
		}
		return operation.Condition{
			Op:     op,
			Attr:   strings.Join(rapid.SliceOfN(name, 1, 3).Draw(t, "attr"), "/"),
			Values: rapid.SliceOfN(rapid.StringN(0, 10, 40), n, n).Draw(t, "values"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(condition, 1, 4).Draw(t, "conditions")
		got, err := Parse(Format(want))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("Parse(%q) = %v, %v; want %v", Format(want), got, err, want)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "(eq,a,b)", "(in,a/b,'x''y',z);(gt,n,1)", "(eq,a~0~1~a~b,'')", "((((", "(eq,a,'", "(eq,\xff,\x00)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := Parse(s)
		if err != nil {
			if !fault.Is(err, fault.Malformed) {
				t.Fatalf("Parse(%q): %v is not Malformed", s, err)
			}
			return
		}
		again, err := Parse(Format(got))
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Fatalf("Parse(Format(Parse(%q))) = %v, %v; want %v", s, again, err, got)
		}
	})
}
