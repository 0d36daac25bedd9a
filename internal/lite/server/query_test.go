package server

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/osmoslice/osmoslice/internal/senml"
)

// begin is a time in the recent past, on a full minute.
var begin = time.Now().Add(-24 * time.Hour).Truncate(time.Minute)

func TestValuesComeBack(t *testing.T) {
	for _, flushAt := range []int{1, 0} {
		t.Run(fmt.Sprintf("flush at %d", flushAt), func(t *testing.T) { valuesComeBack(open(t, func(o *Options) { o.flushAt = flushAt })) })
	}
}

func valuesComeBack(h *house) {
	t := h.t
	c := h.client("gw")
	at := begin.Unix()
	body := fmt.Sprintf(`[{"bn":"dev:","bt":%d,"bu":"Cel","n":"number","v":21.5},{"n":"whole","u":"m","v":20},{"n":"text","vs":"hé\u0000"},
		{"n":"yes","vb":true},{"n":"no","vb":false},{"n":"data","vd":"AQID"},{"n":"empty","vd":""},{"n":"sum","s":3.5},{"n":"ut","v":1,"ut":60,"t":0.25}]`, at)
	h.publish(c, http.StatusAccepted, body, "Content-Type", senml.MediaTypeJSON)
	p := h.messages(c, "limit=100")
	got := map[string]storedMessage{}
	for _, m := range p.Messages {
		if m.Channel != c.channel || m.Publisher != c.id || m.Protocol != "http" {
			t.Errorf("%+v: wrong origin", m)
		}
		got[strings.TrimPrefix(m.Name, "dev:")] = m
	}
	number, text := func(f float64) *float64 { return &f }, func(s string) *string { return &s }
	truth := func(b bool) *bool { return &b }
	for name, want := range map[string]storedMessage{
		"number": {Unit: "Cel", Value: number(21.5)}, "whole": {Unit: "m", Value: number(20)},
		"text": {Unit: "Cel", StringValue: text("hé\x00")}, "yes": {Unit: "Cel", BoolValue: truth(true)}, "no": {Unit: "Cel", BoolValue: truth(false)},
		"data": {Unit: "Cel", DataValue: text("AQID")}, "empty": {Unit: "Cel", DataValue: text("")}, "sum": {Unit: "Cel", Sum: number(3.5)},
		"ut": {Unit: "Cel", Value: number(1), UpdateTime: number(60)},
	} {
		g := got[name]
		if g.Unit != want.Unit || !same(g.Value, want.Value) || !same(g.StringValue, want.StringValue) || !same(g.BoolValue, want.BoolValue) ||
			!same(g.DataValue, want.DataValue) || !same(g.Sum, want.Sum) || !same(g.UpdateTime, want.UpdateTime) {
			t.Errorf("%s: got %+v, want %+v", name, g, want)
		}
	}
	if *p.Total != 9 || p.Next != "" || p.Messages[0].Time != float64(at)+0.25 {
		t.Errorf("total %d, next %q, first at %f", *p.Total, p.Next, p.Messages[0].Time)
	}
}

func same[T comparable](a, b *T) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}

func TestBadQueries(t *testing.T) {
	h := open(t, nil)
	c := h.client("gw")
	for _, q := range []string{
		"limit=0", "limit=1001", "offset=-1", "from=yesterday", "to=-1", "from=NaN", "after=x", "after=1", "aggregate=median",
		"interval=1s", "aggregate=mean&interval=1us", "aggregate=mean&interval=-1s", "aggregate=mean&interval=x",
	} {
		if r := h.call("GET", "/channels/"+c.channel+"/messages?"+q, c.key, nil); r.status != http.StatusBadRequest {
			t.Errorf("%s: status %d, want 400: %s", q, r.status, r.body)
		}
	}
}

// modelPoint is one point of the model that queries are compared with.
type modelPoint struct {
	name     string
	subtopic string
	at       int64 // ms behind begin
	value    float64
	order    int
}

// TestQueriesAgreeWithAModel stores random points and compares every way to
// read them with a plain list: all in the tree, all recent, and some of both.
func TestQueriesAgreeWithAModel(t *testing.T) {
	for _, flushAt := range []int{1, 10, 0} {
		t.Run(fmt.Sprintf("flush at %d", flushAt), func(t *testing.T) { queriesAgree(t, flushAt) })
	}
}

func queriesAgree(t *testing.T, flushAt int) {
	h := open(t, func(o *Options) { o.flushAt = flushAt })
	c := h.client("gw")
	base := int64(0) // each run has its own stretch of time in the channel, ms
	rapid.Check(t, func(rt *rapid.T) {
		base += 10_000
		points := storeModel(h, rt, c, base)
		name := rapid.SampledFrom([]string{"", "a", "b", "absent"}).Draw(rt, "name")
		from := base + rapid.Int64Range(0, 500).Draw(rt, "from")
		to := from + rapid.Int64Range(0, 600).Draw(rt, "range")
		query := fmt.Sprintf("name=%s&from=%.3f&to=%.3f", name, ms(from), ms(to))
		want := slices.DeleteFunc(slices.Clone(points), func(p modelPoint) bool {
			return name != "" && p.name != name || p.at < from || p.at >= to
		})
		slices.SortFunc(want, func(a, b modelPoint) int { return cmp.Or(cmp.Compare(b.at, a.at), cmp.Compare(b.order, a.order)) })
		checkPages(h, rt, c, query, rapid.IntRange(1, 9).Draw(rt, "limit"), want)
		checkAggregates(h, rt, c, query, want)
	})
}

func ms(n int64) float64 { return float64(begin.UnixMilli()+n) / 1000 }

func storeModel(h *house, rt *rapid.T, c client, base int64) []modelPoint {
	var points []modelPoint
	for range rapid.IntRange(0, 4).Draw(rt, "messages") {
		subtopic := rapid.SampledFrom([]string{"", "x", "x/y"}).Draw(rt, "subtopic")
		var p senml.Pack
		for range rapid.IntRange(1, 12).Draw(rt, "records") {
			m := modelPoint{
				name: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "n"), subtopic: subtopic,
				at: base + rapid.Int64Range(0, 1000).Draw(rt, "t"), value: float64(rapid.IntRange(-100, 100).Draw(rt, "v")), order: len(points),
			}
			points = append(points, m)
			p = append(p, senml.Record{Name: m.name, Time: ms(m.at), Value: senml.Float(m.value)})
		}
		body, err := senml.EncodeJSON(p)
		if err != nil {
			rt.Fatal(err)
		}
		path := "/channels/" + c.channel + "/messages"
		if subtopic != "" {
			path += "/" + subtopic
		}
		if r := h.call("POST", path, c.key, body); r.status != http.StatusAccepted {
			rt.Fatalf("%d %s", r.status, r.body)
		}
	}
	return points
}

// checkPages reads by after and by offset, page by page.
func checkPages(h *house, rt *rapid.T, c client, query string, limit int, want []modelPoint) {
	var got []storedMessage
	after := ""
	for page := 0; ; page++ {
		p := h.messages(c, fmt.Sprintf("%s&limit=%d%s", query, limit, after))
		got = append(got, p.Messages...)
		byOffset := h.messages(c, fmt.Sprintf("%s&limit=%d&offset=%d", query, limit, page*limit))
		if !slices.EqualFunc(byOffset.Messages, p.Messages, func(a, b storedMessage) bool { return a.ID == b.ID }) || *byOffset.Total != int64(len(want)) {
			rt.Fatalf("page %d by offset differs, or total %d is not %d", page, *byOffset.Total, len(want))
		}
		if p.Next == "" {
			break
		}
		after = "&after=" + p.Next
	}
	if len(got) != len(want) {
		rt.Fatalf("%d points, want %d", len(got), len(want))
	}
	for i, w := range want {
		g := got[i]
		if g.Name != w.name || g.Subtopic != w.subtopic || g.Time != ms(w.at) || *g.Value != w.value {
			rt.Fatalf("point %d: got %+v, want %+v", i, g, w)
		}
	}
}

// checkAggregates compares an aggregate over windows of 250 ms.
func checkAggregates(h *house, rt *rapid.T, c client, query string, want []modelPoint) {
	type key struct {
		name   string
		window int64
	}
	windows := map[key]window{}
	for _, p := range want {
		k := key{p.name, (begin.UnixMilli() + p.at) / 250}
		windows[k] = windows[k].add(window{1, p.value, p.value, p.value})
	}
	aggregate := rapid.SampledFrom([]string{"mean", "min", "max", "sum", "count"}).Draw(rt, "aggregate")
	var page aggregatedPage
	h.want(http.StatusOK, "GET", "/channels/"+c.channel+"/messages?limit=1000&interval=250ms&aggregate="+aggregate+"&"+query, nil).into(h.t, &page)
	if len(page.Messages) != len(windows) || page.Total != len(windows) {
		rt.Fatalf("%s: %d windows, want %d", aggregate, len(page.Messages), len(windows))
	}
	for _, m := range page.Messages {
		w, ok := windows[key{m.Name, int64(math.Round(m.Time * 4))}]
		if !ok || m.Count != w.count || math.Abs(m.Value-w.value(aggregate)) > 1e-9 {
			rt.Fatalf("%s: got %+v, want %+v", aggregate, m, w)
		}
	}
}

func TestTooManyWindows(t *testing.T) {
	for _, flushAt := range []int{1, 1 << 20} {
		t.Run(fmt.Sprintf("flush at %d", flushAt), func(t *testing.T) {
			h := open(t, func(o *Options) { o.flushAt, o.maxWindows = flushAt, 500 })
			c := h.client("gw")
			fill(h, c, "n", begin, 600, time.Second)
			path := "/channels/" + c.channel + "/messages?aggregate=mean&interval="
			if r := h.call("GET", path+"1s", c.key, nil); r.status != http.StatusBadRequest || !strings.Contains(string(r.body), "interval") {
				t.Errorf("600 windows: status %d %s", r.status, r.body)
			}
			if r := h.call("GET", path+"10s", c.key, nil); r.status != http.StatusOK {
				t.Errorf("60 windows: status %d %s", r.status, r.body)
			}
		})
	}
}
