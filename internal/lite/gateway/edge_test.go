package gateway

import (
	"bytes"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/osmoslice/osmoslice/internal/senml"
)

var base = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func reading(v float64, at time.Time) *senml.Record {
	return &senml.Record{Name: "t", Value: senml.Float(v), Time: senml.Seconds(at)}
}

func TestRangeAndDeadband(t *testing.T) {
	low, high := -10.0, 50.0
	r := &Resource{Name: "t", Min: &low, Max: &high, Deadband: 1}
	var s edgeState
	for i, step := range []struct {
		value float64
		want  counter
	}{
		{-10, passed}, {-10.1, filteredRange}, {50.1, filteredRange}, {-9.5, filteredDeadband}, {-9, passed},
		{-9.9, filteredDeadband}, {50, passed}, {49.01, filteredDeadband}, {49, passed},
	} {
		if got := r.apply(&s, reading(step.value, base), base).counter; got != step.want {
			t.Fatalf("step %d: %v is %v, want %v", i, step.value, counterNames[got], counterNames[step.want])
		}
	}
}

// Whatever arrives in whatever order: every reading is in exactly one window,
// and the closed and open windows hold their count, sum, minimum and maximum.
func TestWindowsHoldEveryReading(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		length := time.Duration(rapid.Int64Range(100, 10_000).Draw(t, "ms")) * time.Millisecond
		r := &Resource{Name: "t", Aggregate: "mean", Window: Duration(length)}
		var s edgeState
		var closed []window
		count, sum := uint64(0), 0.0
		lowest, highest := math.Inf(1), math.Inf(-1)
		for range rapid.IntRange(1, 60).Draw(t, "n") {
			v := float64(rapid.IntRange(-1000, 1000).Draw(t, "v"))
			at := base.Add(time.Duration(rapid.IntRange(-20_000, 60_000).Draw(t, "at")) * time.Millisecond)
			out := r.apply(&s, reading(v, at), base)
			if out.counter != aggregated {
				t.Fatalf("%v: %v", v, counterNames[out.counter])
			}
			if out.closed != nil {
				if len(closed) > 0 && closed[len(closed)-1].index >= out.closed.index {
					t.Fatalf("window %d closed after %d", out.closed.index, closed[len(closed)-1].index)
				}
				closed = append(closed, *out.closed)
			}
			count, sum = count+1, sum+v
			lowest, highest = min(lowest, v), max(highest, v)
		}
		var got window
		got.min, got.max = math.Inf(1), math.Inf(-1)
		for _, w := range append(closed, s.window) {
			got.count, got.sum = got.count+w.count, got.sum+w.sum
			got.min, got.max = min(got.min, w.min), max(got.max, w.max)
			if mean := w.record(r, "n").Value.Float(); mean < w.min || mean > w.max {
				t.Fatalf("mean %v outside %v to %v", mean, w.min, w.max)
			}
		}
		if got.count != count || got.sum != sum || got.min != lowest || got.max != highest {
			t.Fatalf("windows hold %d readings, sum %v, %v to %v; want %d, %v, %v to %v",
				got.count, got.sum, got.min, got.max, count, sum, lowest, highest)
		}
	})
}

func TestAggregates(t *testing.T) {
	for aggregate, want := range map[string]float64{"mean": 2, "min": 1, "max": 3, "sum": 6, "count": 3} {
		r := &Resource{Name: "t", Unit: "Cel", Aggregate: aggregate, Window: Duration(10 * time.Second)}
		var s edgeState
		for i, v := range []float64{3, 1, 2} {
			r.apply(&s, reading(v, base.Add(time.Duration(i)*time.Second)), base)
		}
		out := r.apply(&s, reading(100, base.Add(11*time.Second)), base)
		rec := out.closed.record(r, "d:t")
		if rec.Value.Float() != want || rec.Time != senml.Seconds(base.Add(10*time.Second)) || (rec.Unit == "Cel") != (aggregate != "count") {
			t.Errorf("%s: %+v, want %v at the window's end", aggregate, rec, want)
		}
	}
}

func TestOverflowIsDroppedNotInfinite(t *testing.T) {
	r := &Resource{Name: "t", Aggregate: "sum", Window: Duration(time.Minute)}
	var s edgeState
	r.apply(&s, reading(math.MaxFloat64, base), base)
	if got := r.apply(&s, reading(math.MaxFloat64, base), base).counter; got != droppedOverflow {
		t.Fatalf("%v", counterNames[got])
	}
}

// A snapshot restores the same state; so does replaying the operations.
func TestStateRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newState()
		for range rapid.IntRange(0, 20).Draw(t, "edges") {
			e := s.edge(edgeKey{rapid.StringMatching(`[a-z]{1,3}`).Draw(t, "device"), rapid.StringMatching(`[a-z]{1,3}`).Draw(t, "resource")})
			e.hasLast, e.last = rapid.Bool().Draw(t, "has"), rapid.Float64().Draw(t, "last")
			if rapid.Bool().Draw(t, "open") {
				e.window = window{
					index: rapid.Int64().Draw(t, "index"), length: time.Duration(rapid.Int64().Draw(t, "length")), opened: rapid.Int64().Draw(t, "opened"),
					count: rapid.Uint64Min(1).Draw(t, "count"), sum: rapid.Float64().Draw(t, "sum"), min: rapid.Float64().Draw(t, "min"), max: rapid.Float64().Draw(t, "max"),
				}
			}
		}
		for c := range counters {
			s.totals[c] = rapid.Uint64().Draw(t, "total")
		}
		back := newState()
		if err := back.Restore(s.Snapshot(nil)); err != nil {
			t.Fatal(err)
		}
		if len(back.edges) != len(s.edges) || back.totals != s.totals {
			t.Fatal("not the same")
		}
		for device, resources := range s.edges {
			if len(back.edges[device]) != len(resources) {
				t.Fatalf("%s: not the same", device)
			}
			for resource, e := range resources {
				if *back.edges[device][resource] != *e {
					t.Fatalf("%s %s: %+v, want %+v", device, resource, back.edges[device][resource], e)
				}
			}
		}
		for device := range s.edges {
			if err := back.Apply(appendText([]byte{opForget}, device)); err != nil {
				t.Fatal(err)
			}
		}
		if len(back.edges) != 0 {
			t.Fatal("forgetting every device leaves edge state")
		}
	})
}

func FuzzState(f *testing.F) {
	s := newState()
	s.totals[passed] = 3
	s.edge(edgeKey{"d", "r"}).window = window{count: 1, length: time.Second}
	f.Add(s.Snapshot(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		got := newState()
		if got.Restore(data) != nil {
			return
		}
		again := newState()
		if err := again.Restore(got.Snapshot(nil)); err != nil {
			t.Fatal(err)
		}
		if len(again.edges) != len(got.edges) || again.totals != got.totals {
			t.Fatal("a restored state does not survive its own snapshot")
		}
	})
}

// Whatever a device sends, normalising neither panics nor lets through what
// the gateway could not put into SenML again.
func FuzzNormalise(f *testing.F) {
	for _, seed := range []string{
		`[{"bn":"d:","bt":1795293834,"n":"t","v":21.5},{"n":"door","vs":"open"}]`, `{"t":21.5,"door":"open","on":true}`, `21.5`,
		`[{"n":"t","t":-5,"v":1}]`, `[{"n":"t","v":1e999}]`, "\x81\xa2\x00at\x02\x01", `{"a":{"b":1}}`, `[[[[[[[[`, "\xff\xfe", `{"t":1}{"t":2}`, `[{"n":"t","bv":1,"v":null}]`,
	} {
		f.Add([]byte(seed), "t", byte(0))
		f.Add([]byte(seed), "", byte(1))
	}
	d := newDevice(Device{Name: "d", Protocol: protocolMQTT, Resources: []Resource{{Name: "t", Unit: "Cel"}, {Name: "raw", Type: "data"}}})
	open := newDevice(Device{Name: "d", Protocol: protocolMQTT})
	f.Fuzz(func(t *testing.T, payload []byte, resource string, how byte) {
		dev := d
		if how&0x80 != 0 {
			dev = open
		}
		recs, dropped, err := normalise(dev, resource, format(how%4), payload, base, time.Hour, time.Hour)
		if err != nil {
			return
		}
		if len(recs) > maxRecords {
			t.Fatalf("%d records", len(recs))
		}
		for i := range recs {
			if dev == d && recs[i].Name != "t" && recs[i].Name != "raw" {
				t.Fatalf("let %q through", recs[i].Name)
			}
			recs[i].Name = "d:" + recs[i].Name
		}
		if len(recs) == 0 {
			return
		}
		_ = dropped
		out, err := senml.AppendJSON(nil, recs)
		if err != nil {
			t.Fatalf("cannot be sent up: %v", err)
		}
		if _, err := senml.DecodeJSON(out, senml.Limits{Text: 1 << 20}); err != nil {
			t.Fatalf("a server could not read %s: %v", out, err)
		}
	})
}

func TestNormalise(t *testing.T) {
	d := newDevice(Device{Name: "d", Protocol: protocolMQTT, Resources: []Resource{
		{Name: "t", Unit: "Cel"}, {Name: "door", Type: "string"}, {Name: "on", Type: "boolean"}, {Name: "raw", Type: "data"},
	}})
	for name, c := range map[string]struct {
		resource string
		format   format
		payload  string
		want     string // as SenML JSON, "" for an error
		dropped  counter
	}{
		"senml":             {"", formatAuto, `[{"bn":"d:","bu":"F","bt":1793534400,"n":"t","v":21.5}]`, `[{"n":"t","u":"Cel","t":1793534400,"v":21.5}]`, -1},
		"senml, short name": {"", formatAuto, `[{"n":"t","v":1}]`, `[{"n":"t","u":"Cel","t":1793534400,"v":1}]`, -1},
		"relative time":     {"", formatAuto, `[{"n":"t","t":-10,"v":1}]`, `[{"n":"t","u":"Cel","t":1793534390,"v":1}]`, -1},
		"object":            {"", formatAuto, `{"t":3,"door":"open","on":true}`, `[{"n":"t","u":"Cel","t":1793534400,"v":3},{"n":"door","t":1793534400,"vs":"open"},{"n":"on","t":1793534400,"vb":true}]`, -1},
		"plain number":      {"t", formatPlain, " 4.5\n", `[{"n":"t","u":"Cel","t":1793534400,"v":4.5}]`, -1},
		"plain boolean":     {"on", formatPlain, "ON", `[{"n":"on","t":1793534400,"vb":true}]`, -1},
		"plain string":      {"door", formatPlain, "42", `[{"n":"door","t":1793534400,"vs":"42"}]`, -1},
		"plain data":        {"raw", formatPlain, "\xff\x00", `[{"n":"raw","t":1793534400,"vd":"_wA"}]`, -1},
		"wrong type":        {"t", formatPlain, "warm", `[]`, droppedType},
		"unknown resource":  {"", formatAuto, `{"x":1}`, `[]`, droppedUnknown},
		"clock years back":  {"", formatAuto, `[{"n":"t","t":1000000000,"v":1}]`, `[]`, droppedTime},
		"clock years ahead": {"", formatAuto, `[{"n":"t","t":2500000000,"v":1}]`, `[]`, droppedTime},
		"another device":    {"", formatAuto, `[{"bn":"other:","n":"t","v":1}]`, `[]`, droppedUnknown},
		"not UTF-8":         {"door", formatPlain, "\xff", "", -1},
		"nested":            {"", formatAuto, `{"t":{"a":1}}`, "", -1},
		"two values":        {"", formatAuto, `{"t":1} {"t":2}`, "", -1},
		"empty":             {"", formatAuto, ``, "", -1},
		"NaN":               {"t", formatPlain, `NaN`, `[]`, droppedType},
	} {
		recs, dropped, err := normalise(d, c.resource, c.format, []byte(c.payload), base, 8784*time.Hour, 24*time.Hour)
		if c.want == "" {
			if err == nil {
				t.Errorf("%s: read as %v, want an error", name, recs)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := []byte("[]")
		if len(recs) > 0 {
			if got, err = senml.AppendJSON(nil, recs); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if !bytes.Equal(got, []byte(c.want)) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if c.dropped >= 0 && dropped[c.dropped] != 1 {
			t.Errorf("%s: dropped %v, want one %s", name, dropped, counterNames[c.dropped][1])
		}
	}
}
