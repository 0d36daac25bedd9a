package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"

	"github.com/osmoslice/osmoslice/internal/placement"
	"github.com/osmoslice/osmoslice/internal/placement/assignment"
	"github.com/osmoslice/osmoslice/internal/topology"
	"github.com/osmoslice/osmoslice/test/placementgen/instance"
)

// tables makes instances of growing size and prints, for each, our default
// beside the peer's search; then what a decision's time grows with, and the
// assignment solver beside a plain one.
func tables(s settings, w io.Writer) error {
	shapes := []instance.Shape{
		{Family: "vr", Nodes: 20, Rate: 0.1}, {Family: "vr", Nodes: 160, Rate: 0.1}, {Family: "vr", Nodes: 640, Rate: 0.1}, {Family: "vr", Nodes: 1280, Rate: 0.1},
		{Family: "vr", Nodes: 320, Rate: 0.1, Copies: 16},
		{Family: "fogarm", Nodes: 15, Apps: 10, Memory: 6}, {Family: "fogarm", Nodes: 60, Apps: 50, Memory: 6},
		{Family: "fogarm", Nodes: 60, Apps: 50, Memory: 4}, {Family: "fogarm", Nodes: 60, Apps: 50, Memory: 3.5},
	}
	if s.large {
		shapes = append(shapes, instance.Shape{Family: "vr", Nodes: 5000, Rate: 0.1, MaxLinks: 20_000},
			instance.Shape{Family: "vr", Nodes: 20_000, Rate: 0.1, MaxLinks: 20_000}, instance.Shape{Family: "vr", Nodes: 20_000, Rate: 0.1, MaxLinks: 20_000, Copies: 134})
	}
	fmt.Fprintf(w, "decide, µs of CPU (cost, bound and gap included); migrations of services that stayed\n")
	fmt.Fprintf(w, "%-14s %-9s %9s %9s %9s %9s %9s %9s %6s %9s %5s %5s %7s\n", "instance", "strategy", "first", "median", "mean", "max", "same", "ingest", "migr", "bound/of", "wait", "over", "gap %")
	for _, shape := range shapes {
		shape.Seed, shape.Steps = 7, cmp.Or(s.steps, 20)
		if shape.Nodes > 2000 || shape.Copies > 0 {
			shape.Steps = min(shape.Steps, 8)
		}
		in, err := instance.Make(shape)
		if err != nil {
			return err
		}
		for _, strategy := range []string{"osmotic", "fogbrain"} {
			if strategy == "fogbrain" && shape.Nodes > 1280 {
				continue // its first placement takes seconds and more
			}
			if err := row(w, s, in, strategy); err != nil {
				return err
			}
		}
		runtime.GC()
	}
	if err := growth(w); err != nil {
		return err
	}
	return solvers(w)
}

func row(w io.Writer, s settings, in *instance.Instance, strategy string) error {
	s.options = placement.Options{Strategy: strategy}
	s.silent = true
	if strategy == "fogbrain" {
		s.options.Model = placement.ModelFogBrain
	}
	sum, err := replay(in, s, func(line) error { return nil })
	if err != nil {
		return err
	}
	sum.close()
	name := in.Name
	if in.Family == "fogarm" {
		name = fmt.Sprintf("%s_%g", name, float64(in.Nodes[0].Hardware)/instance.Unit)
	}
	_, err = fmt.Fprintf(w, "%-14s %-9s %9.1f %9.1f %9.1f %9.1f %9.1f %9.0f %6d %9s %5d %5d %7.2f\n", name, strategy,
		sum.First, sum.Changed.Median, sum.Changed.Mean, sum.Changed.Max, sum.Unchanged.Median, sum.Ingest.Median,
		sum.Migrations, fmt.Sprintf("%d/%d", sum.MigrationsBound, sum.MigrationsServed), sum.Infeasible, sum.Overcommits+sum.Violations, sum.GapMedian)
	return err
}

// growth times one small slice where ever more slices exist, and where ever
// more links have changed.
func growth(w io.Writer) error {
	fmt.Fprintf(w, "\none slice of three elements, µs of CPU, median of 200\n%-40s %9s %9s\n", "", "new", "kept")
	for _, n := range []int{1000, 10_000, 20_000} {
		snap, err := continuum(n)
		if err != nil {
			return err
		}
		ledger := placement.NewLedger(snap)
		for _, slices := range []int{0, 1000, 10_000} {
			for ledger.Len() < slices {
				d := placement.Decide(placement.State{Snapshot: snap, Ledger: ledger}, []placement.Demand{smallSlice(ledger.Len())}, placement.Options{Strategy: "firstfit"})
				if !d.Feasible() {
					return fmt.Errorf("slice %d of %d does not fit %d nodes", ledger.Len(), slices, n)
				}
				if err := ledger.Commit(&d); err != nil {
					return err
				}
			}
			fresh, kept, err := oneSlice(placement.State{Snapshot: snap, Ledger: ledger})
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "%6d nodes, %6d slices                  %9.1f %9.1f\n", n, slices, fresh, kept)
		}
	}
	return changedLinks(w)
}

// oneSlice times a slice that is new and, once it is placed, deciding it again.
func oneSlice(st placement.State) (fresh, kept float64, err error) {
	var a, b []float64
	for i := range 200 {
		demand, err := placement.Prepare(st.Snapshot, smallSlice(1_000_000+i))
		if err != nil {
			return 0, 0, err
		}
		t0 := cpu()
		d := placement.Decide(st, []placement.Demand{demand}, placement.Options{})
		t1 := cpu()
		if err := st.Ledger.Commit(&d); err != nil {
			return 0, 0, err
		}
		t2 := cpu()
		placement.Decide(st, []placement.Demand{demand}, placement.Options{})
		t3 := cpu()
		st.Ledger.Release(demand.ID)
		a, b = append(a, t1-t0), append(b, t3-t2)
	}
	return spreadOf(a).Median, spreadOf(b).Median, nil
}

func changedLinks(w io.Writer) error {
	fmt.Fprintf(w, "\n1,280 nodes, links changed per step: µs of CPU\n%-12s %9s %9s\n", "changed", "ingest", "decide")
	for _, links := range []int{10, 1000, 100_000} {
		in, err := instance.Make(instance.Shape{Family: "vr", Nodes: 1280, Steps: 12, Rate: 0.1, MaxLinks: links, Seed: 3})
		if err != nil {
			return err
		}
		sum, err := replay(in, settings{}, func(line) error { return nil })
		if err != nil {
			return err
		}
		sum.close()
		fmt.Fprintf(w, "%-12d %9.0f %9.1f\n", links, sum.Ingest.Median, sum.Changed.Median)
	}
	return nil
}

// continuum is a topology of device edges, network edges, fog and cloud.
func continuum(n int) (*topology.Snapshot, error) {
	kinds := []topology.Kind{topology.DeviceEdge, topology.NetworkEdge, topology.NetworkEdge, topology.Fog, topology.Cloud}
	const sites = 50
	var infras []topology.Infrastructure
	var between []topology.GroupLink
	for i := range sites {
		infras = append(infras, topology.Infrastructure{ID: fmt.Sprint("site", i), Intra: &topology.Path{LatencyMS: 2, BandwidthKbit: 1e6}})
		for j := range sites {
			if i != j {
				between = append(between, topology.GroupLink{From: fmt.Sprint("site", i), To: fmt.Sprint("site", j), Path: topology.Path{LatencyMS: float64(5 + (i+j)%60), BandwidthKbit: 1e5}})
			}
		}
	}
	nodes := make([]topology.Node, n)
	for i := range nodes {
		nodes[i] = topology.Node{ID: fmt.Sprint("n", i), Infrastructure: fmt.Sprint("site", i%sites), Kind: kinds[i%len(kinds)],
			Capacity: topology.Capacity{CPU: 32_000, Memory: 65_536, Storage: 1 << 20}, Software: []string{"linux"}}
	}
	return topology.New(infras, between, nodes, nil)
}

func smallSlice(i int) placement.Demand {
	need := func(cpu int64) placement.Requirements {
		return placement.Requirements{CPU: cpu, Memory: cpu, Software: []string{"linux"}}
	}
	return placement.Demand{ID: fmt.Sprint("slice", i), Elements: []placement.Element{
		{ID: "gateway", Kind: placement.Gateway, Requirements: need(250), AllowedKinds: []topology.Kind{topology.DeviceEdge, topology.NetworkEdge}},
		{ID: "server", Kind: placement.Server, Requirements: need(500)},
		{ID: "analytics", Kind: placement.MicroElement, Requirements: need(500)},
	}, Flows: []placement.Flow{
		{From: "gateway", To: "server", MaxLatencyMS: 20, BandwidthKbit: 500}, {From: "server", To: "gateway", MaxLatencyMS: 20, BandwidthKbit: 100},
		{From: "server", To: "analytics", MaxLatencyMS: 80, BandwidthKbit: 500},
	}}
}

// solvers compares the assignment solver with plain augmenting paths.
func solvers(w io.Writer) error {
	fmt.Fprintf(w, "\nassignment, ms of CPU\n%-6s %-12s %12s %12s %12s\n", "n", "costs to", "jonker-volg.", "plain", "one row")
	for _, n := range []int{100, 500, 1000, 2000} {
		for _, high := range []int{100, 1 << 30} {
			r := rand.New(rand.NewPCG(uint64(n), uint64(high)))
			cost := make([]float64, n*n)
			for k := range cost {
				cost[k] = float64(r.IntN(high))
			}
			a, jv, plain, err := race(n, cost)
			if err != nil {
				return err
			}
			t3 := cpu()
			for i := range 10 {
				if err := a.SetRow(i, cost[(n-1-i)*n:(n-i)*n]); err != nil {
					return err
				}
			}
			t4 := cpu()
			fmt.Fprintf(w, "%-6d %-12d %12.2f %12.2f %12.3f\n", n, high, jv/1e3, plain/1e3, (t4-t3)/1e4)
		}
	}
	return nil
}

// race solves a problem both ways, by turns, and answers the better time of each
// out of three, in µs.
func race(n int, cost []float64) (a *assignment.Problem, jv, plain float64, err error) {
	jv, plain = math.Inf(1), math.Inf(1)
	for range 3 {
		own := slices.Clone(cost)
		t0 := cpu()
		if a, err = assignment.Solve(n, own); err != nil {
			return nil, 0, 0, err
		}
		t1 := cpu()
		b, err := assignment.Plain(n, cost)
		if err != nil {
			return nil, 0, 0, err
		}
		t2 := cpu()
		jv, plain = min(jv, t1-t0), min(plain, t2-t1)
		if err := a.Verify(1e-9); err != nil {
			return nil, 0, 0, fmt.Errorf("n=%d: %w", n, err)
		}
		if a.Cost() != b.Cost() {
			return nil, 0, 0, fmt.Errorf("n=%d: costs %g and %g", n, a.Cost(), b.Cost())
		}
	}
	return a, jv, plain, nil
}
