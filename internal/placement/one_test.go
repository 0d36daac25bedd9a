package placement

import (
	"fmt"
	"testing"

	"github.com/osmoslice/osmoslice/internal/topology"
)

// BenchmarkOneSlice decides one slice of two elements on 10,000 nodes.
func BenchmarkOneSlice(b *testing.B) {
	var nodes []topology.Node
	for i := range 10_000 {
		nodes = append(nodes, topology.Node{ID: fmt.Sprint("n", i), Infrastructure: "a", Kind: topology.Kinds()[i%4], Capacity: topology.Capacity{CPU: 32_000, Memory: 32_000, Storage: 32_000}})
	}
	snap, err := topology.New([]topology.Infrastructure{{ID: "a", Intra: &topology.Path{LatencyMS: 2, BandwidthKbit: 1e6}}}, nil, nodes, nil)
	if err != nil {
		b.Fatal(err)
	}
	d, err := Prepare(snap, twoElements())
	if err != nil {
		b.Fatal(err)
	}
	st := State{snap, NewLedger(snap)}
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			if x := Decide(st, []Demand{d}, Options{}); !x.Feasible() {
				b.Fatal(x.Waiting)
			}
		}
	})
	b.Run("kept", func(b *testing.B) {
		x := Decide(st, []Demand{d}, Options{})
		if err := st.Ledger.Commit(&x); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if x := Decide(st, []Demand{d}, Options{}); !x.Plan.Empty() {
				b.Fatal(x.Plan)
			}
		}
	})
}
