package placement_test

import (
	"fmt"

	"pgregory.net/rapid"

	"github.com/osmoslice/osmoslice/internal/placement"
	"github.com/osmoslice/osmoslice/internal/topology"
)

// scene is a random small problem: demands, some of them placed before the
// topology changed.
type scene struct {
	st      placement.State
	demands []placement.Demand
	o       placement.Options
}

// draw is where random numbers come from: rapid, or a fixed seed.
type draw interface {
	between(label string, low, high int) int
}

type rapidDraw struct{ t *rapid.T }

func (d rapidDraw) between(label string, low, high int) int {
	return rapid.IntRange(low, high).Draw(d.t, label)
}

func fatal(err error) {
	if err != nil {
		panic(err)
	}
}

// newScene makes a scene of at most `units` elements that asks nothing odd: it
// may or may not be feasible.
func newScene(d draw, units int) scene {
	nodes := d.between("nodes", 1, 6)
	snap := randomTopology(d, nodes)
	sc := scene{o: placement.Options{Backstop: -1, Budget: 5_000_000}}
	if d.between("headroom", 0, 3) == 0 {
		sc.o.Headroom = placement.Headroom{Node: topology.Capacity{CPU: 100}, BandwidthKbit: 50}
	}
	total := 0
	for k := 0; k < d.between("demands", 1, 3) && total < units; k++ {
		dem := randomDemand(d, fmt.Sprint("d", k), min(units-total, d.between("elements", 1, 4)), nodes)
		total += len(dem.Elements)
		sc.demands = append(sc.demands, dem)
	}
	led := placement.NewLedger(snap)
	if d.between("placed before", 0, 2) > 0 {
		first := placement.Decide(placement.State{Snapshot: snap, Ledger: led}, sc.demands, sc.o)
		fatal(led.Commit(&first))
		snap = randomChange(d, snap, nodes)
		if d.between("specification changes", 0, 3) == 0 {
			k := d.between("which", 0, len(sc.demands)-1)
			sc.demands[k].Elements[0].Requirements.CPU = int64(100 * d.between("new cpu", 1, 12))
		}
	}
	sc.st = placement.State{Snapshot: snap, Ledger: led}
	return sc
}

func nodeID(i int) string { return fmt.Sprint("n", i) }

func randomTopology(d draw, nodes int) *topology.Snapshot {
	kinds := []topology.Kind{topology.DeviceEdge, topology.NetworkEdge, topology.Fog, topology.Cloud}
	path := func() topology.Path {
		return topology.Path{LatencyMS: float64(d.between("latency", 1, 60)), BandwidthKbit: int64(100 * d.between("bandwidth", 1, 20))}
	}
	intra := path()
	infras := []topology.Infrastructure{{ID: "a", Intra: &intra}, {ID: "b"}}
	between := []topology.GroupLink{{From: "a", To: "b", Path: path()}, {From: "b", To: "a", Path: path()}}
	var list []topology.Node
	for i := range nodes {
		n := topology.Node{ID: nodeID(i), Infrastructure: []string{"a", "b"}[d.between("infra", 0, 1)], Kind: kinds[d.between("kind", 0, 3)],
			Capacity:     topology.Capacity{CPU: int64(200 * d.between("cpu", 1, 10)), Memory: int64(100 * d.between("memory", 1, 10)), Storage: 1000},
			EnergyPerCPU: float64(d.between("energy", 0, 3)), PricePerCPU: float64(d.between("price", 0, 3))}
		if d.between("software", 0, 2) > 0 {
			n.Software = []string{"x"}
		}
		list = append(list, n)
	}
	var links []topology.Link
	for i := range nodes {
		for j := range nodes {
			if i != j && d.between("exact", 0, 3) == 0 {
				p := path()
				links = append(links, topology.Link{From: nodeID(i), To: nodeID(j), LatencyMS: p.LatencyMS, BandwidthKbit: p.BandwidthKbit, Down: d.between("down", 0, 5) == 0})
			}
		}
	}
	s, err := topology.New(infras, between, list, links)
	fatal(err)
	return s
}

func randomDemand(d draw, id string, elements, nodes int) placement.Demand {
	dem := placement.Demand{ID: id, Priority: d.between("priority", 0, 1)}
	for i := range elements {
		e := placement.Element{ID: fmt.Sprint("e", i), Requirements: placement.Requirements{CPU: int64(100 * d.between("need cpu", 0, 10)), Memory: int64(50 * d.between("need memory", 0, 6))}}
		if d.between("needs software", 0, 4) == 0 {
			e.Requirements.Software = []string{"x"}
		}
		switch d.between("group", 0, 9) {
		case 0:
			e.AntiAffinity = []string{"g"}
		case 1:
			e.Redundancy = []string{"r"}
		case 2:
			e.Affinity = []string{"t"}
		}
		dem.Elements = append(dem.Elements, e)
	}
	for i := range elements {
		for j := range elements {
			if i != j && d.between("flow", 0, 3) == 0 {
				dem.Flows = append(dem.Flows, placement.Flow{From: fmt.Sprint("e", i), To: fmt.Sprint("e", j),
					MaxLatencyMS: float64(d.between("bound", 5, 80)), BandwidthKbit: int64(100 * d.between("rate", 0, 6))})
			}
		}
		if d.between("device", 0, 7) == 0 {
			dem.Flows = append(dem.Flows, placement.Flow{FromNode: nodeID(d.between("at", 0, nodes-1)), To: fmt.Sprint("e", i), MaxLatencyMS: float64(d.between("bound", 5, 80)), BandwidthKbit: 100})
		}
	}
	return dem
}

// randomChange changes capacities, availability and links of a topology.
func randomChange(d draw, s *topology.Snapshot, nodes int) *topology.Snapshot {
	var p topology.Patch
	for i := range nodes {
		n, _ := s.Index(nodeID(i))
		switch d.between("change node", 0, 4) {
		case 0:
			p.Nodes = append(p.Nodes, topology.NodeValue{Node: n, Capacity: s.Capacity(n), Unavailable: true})
		case 1:
			c := s.Capacity(n)
			c.CPU = c.CPU * int64(d.between("shrink", 3, 10)) / 10
			p.Nodes = append(p.Nodes, topology.NodeValue{Node: n, Capacity: c})
		}
		for j := range nodes {
			if m, _ := s.Index(nodeID(j)); m != n && d.between("change link", 0, 5) == 0 {
				p.Links = append(p.Links, topology.LinkValue{From: n, To: m, Path: topology.Path{LatencyMS: float64(d.between("latency", 1, 60)), BandwidthKbit: int64(100 * d.between("bandwidth", 0, 20))}})
			}
		}
	}
	s, err := s.ApplyPatch(p)
	fatal(err)
	return s
}
