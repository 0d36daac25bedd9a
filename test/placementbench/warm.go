package main

import (
	"fmt"

	"github.com/osmoslice/osmoslice/internal/placement"
	"github.com/osmoslice/osmoslice/internal/topology"
)

// bystander is a tiny problem that has nothing to do with any instance.
var bystander struct {
	st      placement.State
	demands []placement.Demand
}

// warm decides the bystander: one element stays, one has to move, one is new.
// Reading a report of many megabytes drives the program itself out of the
// processor's caches; a service that decides all the time does not start from
// there. The instance's data stay as cold as they are.
func warm(o placement.Options) {
	b := &bystander
	if b.demands == nil {
		if err := makeBystander(); err != nil {
			panic(err) // constant input
		}
	}
	placement.Decide(b.st, b.demands, o)
	placement.Decide(b.st, b.demands[:1], o)
}

func makeBystander() error {
	b := &bystander
	node := func(id string, cpu int64) topology.Node {
		return topology.Node{ID: id, Kind: topology.Fog, Capacity: topology.Capacity{CPU: cpu}}
	}
	nodes := []topology.Node{node("a", 9e9), node("b", 9e9), node("c", 9e9)}
	for i := range 20 {
		nodes = append(nodes, node(fmt.Sprint("small", i), 1))
	}
	var links []topology.Link
	for _, x := range nodes[:3] {
		for _, y := range nodes[:3] {
			if x.ID != y.ID {
				links = append(links, topology.Link{From: x.ID, To: y.ID, LatencyMS: 1, BandwidthKbit: 9e9})
			}
		}
	}
	snap, err := topology.New(nil, nil, nodes, links)
	if err != nil {
		return err
	}
	need := func(id string, at ...string) placement.Element {
		return placement.Element{ID: id, Requirements: placement.Requirements{CPU: 1e9}, AllowedNodes: at}
	}
	both := []placement.Flow{{From: "x", To: "y", MaxLatencyMS: 10, BandwidthKbit: 1}, {From: "y", To: "x", MaxLatencyMS: 10, BandwidthKbit: 1}}
	for _, d := range []placement.Demand{{ID: "stays", Elements: []placement.Element{need("x", "a"), need("y", "b")}, Flows: both},
		{ID: "moves", Elements: []placement.Element{need("x", "a", "c"), need("y", "b")}, Flows: both}, {ID: "new", Elements: []placement.Element{need("x"), need("y")}, Flows: both}} {
		if d, err = placement.Prepare(snap, d); err != nil {
			return err
		}
		b.demands = append(b.demands, d)
	}
	ledger := placement.NewLedger(snap)
	ledger.Follow(snap)
	first := placement.Decide(placement.State{Snapshot: snap, Ledger: ledger}, b.demands[:2], placement.Options{})
	if err := ledger.Commit(&first); err != nil {
		return err
	}
	at, _ := snap.Index(first.Outcomes[1].Placement[0].Node)
	if snap, err = snap.ApplyPatch(topology.Patch{Nodes: []topology.NodeValue{{Node: at, Capacity: topology.Capacity{CPU: 1}}}}); err != nil {
		return err
	}
	ledger.Follow(snap)
	b.st = placement.State{Snapshot: snap, Ledger: ledger}
	return nil
}
