package instance

import (
	"fmt"

	"github.com/osmoslice/osmoslice/internal/placement"
	"github.com/osmoslice/osmoslice/internal/topology"
)

// Unit is how many parts a unit of hardware or a Mbit/s is kept in.
const Unit = 1e6

// Instance is one folder: where it starts, and how it goes on.
type Instance struct {
	Name     string
	Family   string // "vr" or "fogarm"
	Headroom placement.Headroom
	Nodes    []Node
	Tiers    [][]topology.Path // vr: path from tier to tier
	Links    [][2]int32        // fogarm: ends, as the steps state their values
	First    []topology.Path   // fogarm: values of Links before the first step
	Commits  []App             // vr: successive specifications
	Apps     []App             // fogarm: initial specifications
	Total    int               // steps, the first one included
	steps    []byte            // steps.jsonl, not yet read
}

// Node is a node as an instance states it.
type Node struct {
	ID       string
	Tier     int    // vr
	Region   string // fogarm
	Hardware int64  // in Units; topology.Infinite: without limit
	Software []string
	Things   []string
}

// App is one specification of an application.
type App struct {
	Name     string    `json:"app"`
	Services []Service `json:"services"`
	Flows    []S2S     `json:"s2s"`
}

// Service is one service of an application.
type Service struct {
	Name     string   `json:"name"`
	Software []string `json:"software"`
	Hardware float64  `json:"hardware"`
	Things   []string `json:"things"`
}

// S2S is directed traffic between two services.
type S2S struct {
	From       string  `json:"from"`
	To         string  `json:"to"`
	MaxLatency float64 `json:"max_latency_ms"`
	Bandwidth  float64 `json:"bandwidth_mbps"`
}

// Step is what changes before the decisions of step K.
type Step struct {
	K       int
	Patch   topology.Patch
	Commits []App
}

var tierKinds = []topology.Kind{topology.Cloud, topology.Fog, topology.NetworkEdge, topology.Access, topology.DeviceEdge}

// Snapshot is the topology before the first step.
func (in *Instance) Snapshot() (*topology.Snapshot, error) {
	var d topology.Delta
	group := func(n Node) string {
		if in.Family == "vr" {
			return fmt.Sprintf("tier%d", n.Tier)
		}
		return n.Region
	}
	seen := map[string]bool{}
	for _, n := range in.Nodes {
		kind := topology.Fog
		if in.Family == "vr" {
			kind = tierKinds[min(n.Tier, len(tierKinds)-1)]
		}
		if g := group(n); !seen[g] && in.Family != "vr" {
			seen[g] = true
			d.Infrastructures = append(d.Infrastructures, topology.Infrastructure{ID: g})
		}
		d.Nodes = append(d.Nodes, topology.Node{ID: n.ID, Infrastructure: group(n), Kind: kind,
			Capacity: topology.Capacity{CPU: n.Hardware}, Software: n.Software, Things: n.Things})
	}
	for a, row := range in.Tiers {
		f := topology.Infrastructure{ID: fmt.Sprintf("tier%d", a)}
		for b, p := range row {
			if a == b {
				f.Intra = &p
				continue
			}
			d.GroupLinks = append(d.GroupLinks, topology.GroupLink{From: f.ID, To: fmt.Sprintf("tier%d", b), Path: p})
		}
		d.Infrastructures = append(d.Infrastructures, f)
	}
	s, err := topology.Empty().Apply(d)
	if err != nil || len(in.Links) == 0 {
		return s, err
	}
	p := topology.Patch{Links: make([]topology.LinkValue, len(in.Links))}
	for k, l := range in.Links {
		p.Links[k] = topology.LinkValue{From: l[0], To: l[1], Path: in.First[k]}
	}
	return s.ApplyPatch(p)
}

// Demand is a specification as a demand. Traffic with a service that is absent
// is left out, as FogBrainX ignores it.
func (a *App) Demand() placement.Demand {
	d := placement.Demand{ID: a.Name}
	has := map[string]bool{}
	for _, s := range a.Services {
		has[s.Name] = true
		d.Elements = append(d.Elements, placement.Element{ID: s.Name, Kind: placement.MicroElement,
			Requirements: placement.Requirements{CPU: units(s.Hardware), Software: s.Software, Things: s.Things}})
	}
	for _, f := range a.Flows {
		if has[f.From] && has[f.To] && f.From != f.To {
			d.Flows = append(d.Flows, placement.Flow{From: f.From, To: f.To, MaxLatencyMS: f.MaxLatency, BandwidthKbit: units(f.Bandwidth)})
		}
	}
	return d
}

func units(v float64) int64 {
	if v*Unit >= float64(topology.Infinite) {
		return topology.Infinite
	}
	return int64(v*Unit + 0.5)
}
