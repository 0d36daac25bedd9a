package topology

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/osmoslice/osmoslice/internal/fault"
)

func node(id, infra string) Node {
	return Node{ID: id, Infrastructure: infra, Kind: Fog, Capacity: Capacity{CPU: 1000, Memory: 100, Storage: 10}}
}

func two(t *testing.T) *Snapshot {
	t.Helper()
	s, err := New([]Infrastructure{{ID: "a", Intra: &Path{LatencyMS: 1, BandwidthKbit: 100}}, {ID: "b"}},
		[]GroupLink{{From: "a", To: "b", Path: Path{LatencyMS: 10, BandwidthKbit: 50}}},
		[]Node{node("a1", "a"), node("a2", "a"), node("b1", "b"), node("b2", "b"), node("x", "")},
		[]Link{{From: "a1", To: "b1", LatencyMS: 3, BandwidthKbit: 7}, {From: "a1", To: "a2", Down: true}, {From: "x", To: "a1", LatencyMS: 1, BandwidthKbit: 1}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPathsAreHierarchicalWithExceptions(t *testing.T) {
	s := two(t)
	at := func(id string) int32 { i, _ := s.Index(id); return i }
	for _, c := range []struct {
		from, to string
		ms       float64
		ok       bool
	}{
		{"a1", "b1", 3, true}, {"a1", "b2", 10, true}, {"a2", "a1", 1, true}, {"a1", "a2", 0, false},
		{"b1", "a1", 0, false}, {"b1", "b2", 0, false}, {"x", "a1", 1, true}, {"a1", "x", 0, false}, {"x", "x", 0, true},
	} {
		if p, ok := s.Path(at(c.from), at(c.to)); ok != c.ok || ok && p.LatencyMS != c.ms {
			t.Errorf("%s to %s: %+v %v", c.from, c.to, p, ok)
		}
	}
}

func TestSnapshotsAreImmutable(t *testing.T) {
	s := two(t)
	a1, _ := s.Index("a1")
	b1, _ := s.Index("b1")
	n, err := s.Apply(Delta{RemoveNodes: []string{"b1"}, Nodes: []Node{{ID: "a1", Infrastructure: "b", Kind: Cloud, Unavailable: true}, node("new", "a")}, RemoveLinks: [][2]string{{"a1", "a2"}}})
	if err != nil {
		t.Fatal(err)
	}
	if s.Count() != 5 || !s.Available(a1) || s.Node(a1).Kind != Fog || s.Node(b1) == nil {
		t.Error("the old snapshot changed")
	}
	if n.Revision() != s.Revision()+1 || n.Count() != 5 || n.Available(a1) || n.Node(b1) != nil || !n.SameLineage(s) {
		t.Errorf("revision %d, %d nodes", n.Revision(), n.Count())
	}
	if _, ok := n.Path(a1, b1); ok {
		t.Error("a removed node is reached")
	}
	back, err := n.Apply(Delta{Nodes: []Node{node("b1", "b")}})
	if err != nil {
		t.Fatal(err)
	}
	if i, ok := back.Index("b1"); !ok || i != b1 {
		t.Errorf("b1 came back at %d, was at %d", i, b1)
	}
	if p, ok := back.Path(a1, b1); ok && p.LatencyMS == 3 {
		t.Error("an exact link outlived its end")
	}
	c, ok := back.ChangesSince(s.Revision())
	if !ok || !slices.Contains(c.Nodes, a1) || !slices.Contains(c.Nodes, b1) || c.Groups {
		t.Errorf("changes %+v %v", c, ok)
	}
	if _, ok := back.ChangesSince(99); ok {
		t.Error("changes since a future revision")
	}
	if order := back.Order(); back.ID(order[len(order)-1]) != "b1" {
		t.Error("a changed node is not last in the visit order")
	}
}

func TestBadInput(t *testing.T) {
	s := two(t)
	for field, d := range map[string]Delta{
		"nodes/0/id":                        {Nodes: []Node{node("", "a")}},
		"nodes/1/id":                        {Nodes: []Node{node("n", "a"), node("n", "a")}},
		"nodes/0/kind":                      {Nodes: []Node{{ID: "n", Kind: "MOON"}}},
		"nodes/0/infrastructure":            {Nodes: []Node{node("n", "nowhere")}},
		"nodes/0/capacity/cpu":              {Nodes: []Node{{ID: "n", Kind: Fog, Capacity: Capacity{CPU: -1}}}},
		"nodes/0/energyPerCpu":              {Nodes: []Node{{ID: "n", Kind: Fog, EnergyPerCPU: math.NaN()}}},
		"nodes/0/location/lat":              {Nodes: []Node{{ID: "n", Kind: Fog, Location: &Location{Lat: math.NaN()}}}},
		"links/0/from":                      {Links: []Link{{From: "ghost", To: "a1"}}},
		"links/0/to":                        {Links: []Link{{From: "a1", To: "a1"}}},
		"links/0/latencyMs":                 {Links: []Link{{From: "a1", To: "a2", LatencyMS: math.Inf(1)}}},
		"links/0/bandwidthKbit":             {Links: []Link{{From: "a1", To: "a2", BandwidthKbit: -5}}},
		"links/0/loss":                      {Links: []Link{{From: "a1", To: "a2", Loss: 2}}},
		"groupLinks/0/to":                   {GroupLinks: []GroupLink{{From: "a", To: "a"}}},
		"infrastructures/0/id":              {Infrastructures: []Infrastructure{{}}},
		"removeNodes/0":                     {RemoveNodes: []string{"ghost"}},
		"order":                             {Order: []string{"a1"}},
		"infrastructures/0/intra/latencyMs": {Infrastructures: []Infrastructure{{ID: "c", Intra: &Path{LatencyMS: -1}}}},
	} {
		n, err := s.Apply(d)
		if n != nil || !fault.Is(err, fault.Invalid) || fault.Of(err).Params[0].Field != field || fault.Of(err).Params[0].Allowed == "" {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := s.ApplyPatch(Patch{Nodes: []NodeValue{{Node: 99}}}); !fault.Is(err, fault.Invalid) {
		t.Errorf("patch of an unknown node: %v", err)
	}
	if _, err := s.ApplyPatch(Patch{Links: []LinkValue{{From: 0, To: 1, Path: Path{LatencyMS: math.NaN()}}}}); !fault.Is(err, fault.Invalid) {
		t.Errorf("patch with NaN: %v", err)
	}
	if Empty().Count() != 0 {
		t.Error("empty is not empty")
	}
}

// TestAMillionLinks: a report of 10⁶ links is taken, and found again.
func TestAMillionLinks(t *testing.T) {
	if testing.Short() {
		t.Skip("allocates 100 MB")
	}
	const n = 1001
	var nodes []Node
	for i := range n {
		nodes = append(nodes, node(fmt.Sprint("n", i), ""))
	}
	s, err := New(nil, nil, nodes, nil)
	if err != nil {
		t.Fatal(err)
	}
	var p Patch
	for i := range int32(n) {
		for j := range int32(n) {
			if i != j {
				p.Links = append(p.Links, LinkValue{From: i, To: j, Path: Path{LatencyMS: float64(i), BandwidthKbit: int64(j)}})
			}
		}
	}
	if s, err = s.ApplyPatch(p); err != nil {
		t.Fatal(err)
	}
	if v, ok := s.Path(7, 900); !ok || v.LatencyMS != 7 || v.BandwidthKbit != 900 {
		t.Errorf("%+v %v", v, ok)
	}
}

// TestRowsAgreeWithAMap compares link rows, sparse and dense, with a plain map
// over random deltas.
func TestRowsAgreeWithAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 40).Draw(t, "nodes")
		var nodes []Node
		for i := range n {
			nodes = append(nodes, node(fmt.Sprint("n", i), ""))
		}
		s, err := New(nil, nil, nodes, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := map[[2]int]float64{}
		for range rapid.IntRange(1, 5).Draw(t, "deltas") {
			before, old := maps.Clone(want), s
			var d Delta
			for range rapid.IntRange(0, 60).Draw(t, "changes") {
				i, j := rapid.IntRange(0, n-1).Draw(t, "from"), rapid.IntRange(0, n-1).Draw(t, "to")
				if i == j {
					continue
				}
				v := float64(rapid.IntRange(1, 9).Draw(t, "ms"))
				d.Links = append(d.Links, Link{From: fmt.Sprint("n", i), To: fmt.Sprint("n", j), LatencyMS: v})
				want[[2]int{i, j}] = v
			}
			if s, err = s.Apply(d); err != nil {
				t.Fatal(err)
			}
			same(t, old, before, n)
			same(t, s, want, n)
		}
	})
}

func same(t *rapid.T, s *Snapshot, want map[[2]int]float64, n int) {
	for i := range n {
		for j := range n {
			p, ok := s.Path(int32(i), int32(j))
			if v, has := want[[2]int{i, j}]; i != j && (ok != has || ok && p.LatencyMS != v) {
				t.Fatalf("%d to %d: %v %v, want %v %v", i, j, p.LatencyMS, ok, v, has)
			}
		}
	}
}

type counted struct{ fog int }

func (c counted) With(s *Snapshot, _ []int32) Derived { return count(s) }

func count(s *Snapshot) counted {
	n := 0
	for _, i := range s.Order() {
		if s.Node(i).Kind == Fog {
			n++
		}
	}
	return counted{n}
}

func TestMemoFollowsUnmeasuredFacts(t *testing.T) {
	s := two(t)
	get := func(s *Snapshot) int { return s.Memo("fog", func() Derived { return count(s) }).(counted).fog }
	if get(s) != 5 {
		t.Fatal(get(s))
	}
	measured, err := s.ApplyPatch(Patch{Nodes: []NodeValue{{Node: 0, Capacity: Capacity{CPU: 5}}}})
	if err != nil || measured.MemoEpoch() != s.MemoEpoch() {
		t.Fatalf("a measurement made the derived values stale: %v", err)
	}
	changed, err := s.Apply(Delta{Nodes: []Node{{ID: "a1", Kind: Cloud}}})
	if err != nil || get(changed) != 4 || get(s) != 5 {
		t.Fatalf("%d %d %v", get(changed), get(s), err)
	}
}

func TestNodeJSON(t *testing.T) {
	n := Node{ID: "n", Kind: Cloud, Capacity: Unlimited(), Labels: map[string]string{"a": "b"}, Location: &Location{Lat: 44.5, Lon: 11.3}}
	raw, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	var back Node
	if err := json.Unmarshal(raw, &back); err != nil || back.Capacity != n.Capacity || *back.Location != *n.Location {
		t.Errorf("%s: %+v %v", raw, back, err)
	}
}

// An older revision knows the ids of nodes that came after it: indexes are given
// for a whole lineage.
func TestIDsOfLaterNodes(t *testing.T) {
	old := Empty()
	now, err := old.Apply(Delta{Nodes: []Node{{ID: "a", Kind: Fog}, {ID: "b", Kind: Fog}}})
	if err != nil {
		t.Fatal(err)
	}
	gone, err := now.Apply(Delta{RemoveNodes: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Snapshot{old, now, gone} {
		if s.ID(0) != "a" || s.ID(1) != "b" {
			t.Errorf("revision %d: %q and %q", s.Revision(), s.ID(0), s.ID(1))
		}
	}
}

// Carries answers as Path would, whether a row is dense or not, down or lossy.
func TestCarriesIsPath(t *testing.T) {
	var nodes []Node
	var links []Link
	for i := range 40 {
		nodes = append(nodes, Node{ID: fmt.Sprint(i), Kind: Fog})
		for j := range 40 {
			if i != j && (i%3 > 0 || j == 7) {
				links = append(links, Link{From: fmt.Sprint(i), To: fmt.Sprint(j), LatencyMS: float64(i + j), BandwidthKbit: int64(100 * (j % 5)), Loss: float64(i%3-1) / 8 * float64(j%2), Down: j%11 == 0})
			}
		}
	}
	links[len(links)-1].BandwidthKbit = Infinite
	for k := range links {
		links[k].Loss = max(links[k].Loss, 0)
	}
	s, err := New(nil, nil, nodes, links)
	if err != nil {
		t.Fatal(err)
	}
	if s, err = s.Apply(Delta{RemoveNodes: []string{"5"}}); err != nil {
		t.Fatal(err)
	}
	yes := 0
	for i := range int32(40) {
		for j := range int32(40) {
			for _, kbit := range []int64{0, 200, Infinite + 1} {
				p, ok := s.Path(i, j)
				want := ok && p.LatencyMS <= 50 && p.Loss <= 0.1 && (p.BandwidthKbit >= kbit || p.BandwidthKbit >= Infinite)
				if got := s.Carries(i, j, 50, 0.1, kbit); i != j && got != want {
					t.Fatalf("%d to %d, %d kbit/s: %v, the path is %+v %v", i, j, kbit, got, p, ok)
				} else if got {
					yes++
				}
			}
		}
	}
	if yes == 0 {
		t.Error("nothing is carried")
	}
}
