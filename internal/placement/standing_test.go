package placement_test

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/osmoslice/osmoslice/internal/placement"
	"github.com/osmoslice/osmoslice/internal/topology"
)

// TestFollowingChangesNothing: a ledger that has followed the snapshot, and so
// may answer from what still stands, decides what one that has not decides.
func TestFollowingChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := rapidDraw{t}
		nodes := d.between("nodes", 1, 6)
		snap := randomTopology(d, nodes)
		o := placement.Options{Backstop: -1, Budget: 5_000_000}
		var demands []placement.Demand
		for k := range d.between("demands", 1, 3) {
			p, err := placement.Prepare(snap, randomDemand(d, string(rune('a'+k)), d.between("elements", 1, 3), nodes))
			fatal(err)
			demands = append(demands, p)
		}
		ledger := placement.NewLedger(snap)
		ledger.Follow(snap)
		for range 3 {
			plain := ledger.Clone()
			plain.Follow(snap)
			snap = randomChange(d, snap, nodes)
			ledger.Follow(snap)
			given := demands[:d.between("given", 1, len(demands))]
			a := placement.Decide(placement.State{Snapshot: snap, Ledger: ledger}, given, o)
			b := placement.Decide(placement.State{Snapshot: snap, Ledger: plain}, given, o)
			alike := slices.EqualFunc(a.Outcomes, b.Outcomes, func(x, y placement.Outcome) bool {
				return x.Demand == y.Demand && x.Status == y.Status && slices.Equal(x.Placement, y.Placement)
			})
			near := func(x, y float64) bool { return math.Abs(x-y) <= 1e-6*(1+math.Abs(x)) }
			if !alike || !near(a.Cost, b.Cost) || !near(a.Bound, b.Bound) || !near(a.Terms.Balance, b.Terms.Balance) || a.MovesBound != b.MovesBound ||
				len(a.Plan.Migrate) != len(b.Plan.Migrate) || len(a.Rows) != len(b.Rows) {
				t.Fatalf("followed: %+v\nnot: %+v", a, b)
			}
			fatal(ledger.Commit(&a))
		}
	})
}

// pair is a slice of two elements on two nodes, placed and followed.
func pair(t testing.TB) (placement.State, []placement.Demand) {
	t.Helper()
	room := topology.Capacity{CPU: 2000, Memory: 2000, Storage: 2000}
	nodes := []topology.Node{{ID: "a", Kind: topology.Fog, Capacity: room}, {ID: "b", Kind: topology.Fog, Capacity: room}, {ID: "c", Kind: topology.Fog, Capacity: room}}
	links := []topology.Link{{From: "a", To: "b", LatencyMS: 1, BandwidthKbit: 1000}}
	snap, err := topology.New(nil, nil, nodes, links)
	fatal(err)
	element := func(id, at string) placement.Element {
		return placement.Element{ID: id, Requirements: placement.Requirements{CPU: 1500}, AllowedNodes: []string{at, "c"}}
	}
	d, err := placement.Prepare(snap, placement.Demand{ID: "pair", Elements: []placement.Element{element("x", "a"), element("y", "b")},
		Flows: []placement.Flow{{From: "x", To: "y", MaxLatencyMS: 10, BandwidthKbit: 100}}})
	fatal(err)
	st := placement.State{Snapshot: snap, Ledger: placement.NewLedger(snap)}
	st.Ledger.Follow(snap)
	first := placement.Decide(st, []placement.Demand{d}, placement.Options{})
	if !first.Feasible() {
		t.Fatal(first.Waiting)
	}
	fatal(st.Ledger.Commit(&first))
	return st, []placement.Demand{d}
}

// TestKeptCostsNothing: what still stands is answered without allocating.
func TestKeptCostsNothing(t *testing.T) {
	st, demands := pair(t)
	if n := testing.AllocsPerRun(100, func() {
		if d := placement.Decide(st, demands, placement.Options{}); !d.Plan.Empty() || d.Cost != d.Bound || d.Cost == 0 {
			t.Fatalf("%+v", d)
		}
	}); n > 0 {
		t.Errorf("%g allocations", n)
	}
}

// TestFollowSeesWhatBreaks: every way in which a placement stops holding is seen
// by a ledger that follows, and taken back when it is over.
func TestFollowSeesWhatBreaks(t *testing.T) {
	link := func(p topology.Path, down bool) topology.Patch {
		return topology.Patch{Links: []topology.LinkValue{{From: 0, To: 1, Path: p, Down: down}}}
	}
	node := func(cpu int64, gone bool) topology.Patch {
		return topology.Patch{Nodes: []topology.NodeValue{{Node: 1, Capacity: topology.Capacity{CPU: cpu}, Unavailable: gone}}}
	}
	for name, p := range map[string]topology.Patch{
		"slow": link(topology.Path{LatencyMS: 11, BandwidthKbit: 1000}, false), "narrow": link(topology.Path{LatencyMS: 1, BandwidthKbit: 99}, false),
		"down": link(topology.Path{}, true), "small": node(1499, false), "gone": node(2000, true)} {
		st, demands := pair(t)
		before := st.Snapshot
		next, err := before.ApplyPatch(p)
		fatal(err)
		st.Snapshot = next
		st.Ledger.Follow(next)
		if d := placement.Decide(st, demands, placement.Options{}); len(d.Displaced) == 0 {
			t.Errorf("%s: nothing is displaced: %+v", name, d)
		}
		st.Snapshot = before
		st.Ledger.Follow(before)
		if d := placement.Decide(st, demands, placement.Options{}); !d.Plan.Empty() {
			t.Errorf("%s: %+v", name, d.Plan)
		}
	}
}
