package main

import (
	"github.com/osmoslice/osmoslice/internal/placement"
	"github.com/osmoslice/osmoslice/internal/topology"
)

// bystander is a tiny problem that has nothing to do with any instance.
var bystander struct {
	st      placement.State
	demands []placement.Demand
}

// warm decides the bystander. Reading a report of many megabytes drives the
// program itself out of the processor's caches; a service that decides all the
// time does not start from there. The instance's data stay as cold as they are.
func warm(o placement.Options) {
	b := &bystander
	if b.demands == nil {
		node := func(id string) topology.Node {
			return topology.Node{ID: id, Kind: topology.Fog, Capacity: topology.Unlimited()}
		}
		snap, err := topology.New(nil, nil, []topology.Node{node("a"), node("b")}, []topology.Link{{From: "a", To: "b", LatencyMS: 1, BandwidthKbit: topology.Infinite}})
		if err != nil {
			panic(err) // constant input
		}
		pin := func(id, at string) placement.Element { return placement.Element{ID: id, AllowedNodes: []string{at}} }
		d, err := placement.Prepare(snap, placement.Demand{ID: "bystander", Elements: []placement.Element{pin("x", "a"), pin("y", "b")}, Flows: []placement.Flow{{From: "x", To: "y", MaxLatencyMS: 10}}})
		if err != nil {
			panic(err)
		}
		b.st, b.demands = placement.State{Snapshot: snap, Ledger: placement.NewLedger(snap)}, []placement.Demand{d}
		first := placement.Decide(b.st, b.demands, placement.Options{})
		if err := b.st.Ledger.Commit(&first); err != nil {
			panic(err)
		}
	}
	placement.Decide(b.st, b.demands, o)
}
