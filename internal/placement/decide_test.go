package placement

import (
	"testing"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/topology"
)

// small is an edge node and a cloud node, linked both ways.
func small(t *testing.T) *topology.Snapshot {
	t.Helper()
	s, err := topology.New(
		[]topology.Infrastructure{{ID: "edge", Intra: &topology.Path{LatencyMS: 1, BandwidthKbit: 1e6}}, {ID: "cloud"}},
		[]topology.GroupLink{{From: "edge", To: "cloud", Path: topology.Path{LatencyMS: 40, BandwidthKbit: 1e5}}, {From: "cloud", To: "edge", Path: topology.Path{LatencyMS: 40, BandwidthKbit: 1e5}}},
		[]topology.Node{
			{ID: "e1", Infrastructure: "edge", Kind: topology.NetworkEdge, Capacity: topology.Capacity{CPU: 2000, Memory: 2048, Storage: 1000}},
			{ID: "c1", Infrastructure: "cloud", Kind: topology.Cloud, Capacity: topology.Unlimited()},
		}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func twoElements() Demand {
	return Demand{ID: "s1", Elements: []Element{
		{ID: "gw", Kind: Gateway, AllowedKinds: []topology.Kind{topology.NetworkEdge}, Requirements: Requirements{CPU: 1500, Memory: 100}},
		{ID: "srv", Kind: Server, Requirements: Requirements{CPU: 1500, Memory: 100}},
	}, Flows: []Flow{{From: "gw", To: "srv", MaxLatencyMS: 50, BandwidthKbit: 1000}, {From: "srv", To: "gw", MaxLatencyMS: 50, BandwidthKbit: 1000}}}
}

func TestDecideCommitRelease(t *testing.T) {
	for _, strategy := range StrategyNames() {
		t.Run(strategy, func(t *testing.T) {
			snap := small(t)
			led := NewLedger(snap)
			d := Decide(State{snap, led}, []Demand{twoElements()}, Options{Strategy: strategy})
			if !d.Feasible() || nodeOf(&d, "s1", "gw") != "e1" || nodeOf(&d, "s1", "srv") != "c1" {
				t.Fatalf("outcome %+v", d.Outcomes)
			}
			if err := led.Commit(&d); err != nil {
				t.Fatal(err)
			}
			if used, v := led.NodeRow("e1"); used.CPU != 1500 || v == 0 {
				t.Fatalf("row e1: %+v version %d", used, v)
			}
			if kbit, _ := led.LinkRow("e1", "c1"); kbit != 1000 {
				t.Fatalf("row e1 -> c1: %d", kbit)
			}
			if err := led.Commit(&d); !fault.Is(err, fault.Conflict) {
				t.Fatalf("second commit: %v", err)
			}
			again := Decide(State{snap, led}, []Demand{twoElements()}, Options{Strategy: strategy})
			if !again.Plan.Empty() || len(again.Rows) != 0 {
				t.Fatalf("deciding again changes %+v", again.Plan)
			}
			other := twoElements()
			other.ID = "s2"
			full := Decide(State{snap, led}, []Demand{other}, Options{Strategy: strategy})
			if full.Feasible() || len(full.Waiting) != 1 {
				t.Fatalf("a full edge took %+v", full.Outcomes)
			}
			led.Release("s1")
			if used, _ := led.NodeRow("e1"); used != noCapacity {
				t.Fatalf("after release: %+v", used)
			}
		})
	}
}

func nodeOf(d *Decision, demand, element string) string {
	for _, a := range d.Outcome(demand).Placement {
		if a.Element == element {
			return a.Node
		}
	}
	return ""
}

// TestStaleFacts: a preview is told which of its nodes and links have changed.
func TestStaleFacts(t *testing.T) {
	snap := small(t)
	d := Decide(State{Snapshot: snap}, []Demand{twoElements()}, Options{})
	if got := d.StaleFacts(snap); len(got) != 0 {
		t.Errorf("nothing changed: %v", got)
	}
	e1, _ := snap.Index("e1")
	c1, _ := snap.Index("c1")
	now, err := snap.ApplyPatch(topology.Patch{Nodes: []topology.NodeValue{{Node: e1}}, Links: []topology.LinkValue{{From: c1, To: e1, Down: true}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := d.StaleFacts(now); len(got) != 2 || got[0] != "c1 -> e1" || got[1] != "e1" {
		t.Errorf("%v", got)
	}
}
