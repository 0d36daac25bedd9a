package rest

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/osmoslice/osmoslice/internal/fault"
)

func TestParseTags(t *testing.T) {
	for _, c := range []struct {
		in           []string
		any          bool
		strong, weak []int64
	}{
		{in: []string{"*"}, any: true},
		{in: []string{` "1" `}, strong: []int64{1}},
		{in: []string{`"1", "2" ,"3"`}, strong: []int64{1, 2, 3}},
		{in: []string{`"1"`, `W/"2"`}, strong: []int64{1}, weak: []int64{2}},
		{in: []string{`"abc"`}},
		{in: []string{`"+1", "-1", "0", "99999999999999999999", ""`}},
		{in: []string{`"a,b"`}},
	} {
		got, err := parseTags("If-Match", c.in)
		if err != nil || got.any != c.any || !slices.Equal(got.strong, c.strong) || !slices.Equal(got.weak, c.weak) {
			t.Errorf("parseTags(%q) = %+v, %v", c.in, got, err)
		}
	}
	for _, in := range []string{`1`, `"1`, `1"`, `"1" "2"`, `W/1`, `w/"1"`, `"1",*`, `" 1"`, `,"1`} {
		if _, err := parseTags("If-Match", []string{in}); !fault.Is(err, fault.Malformed) {
			t.Errorf("parseTags(%q) = %v; want Malformed", in, err)
		}
	}
}

func TestNotModified(t *testing.T) {
	for tag, want := range map[string]bool{`"7"`: true, `W/"7"`: true, `*`: true, `"6","7"`: true, `"6"`: false, `"x"`: false} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("If-None-Match", tag)
		if got, err := notModified(r, 7); err != nil || got != want {
			t.Errorf("If-None-Match %s = %v, %v; want %v", tag, got, err, want)
		}
	}
}

func FuzzParseTags(f *testing.F) {
	for _, s := range []string{`*`, `"1"`, `W/"1", "2"`, `"`, `W/`, `"a" ,,"b"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := parseTags("If-Match", []string{s}); err != nil && !fault.Is(err, fault.Malformed) {
			t.Fatalf("parseTags(%q): %v", s, err)
		}
	})
}
