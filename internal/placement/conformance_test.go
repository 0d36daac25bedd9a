package placement

import (
	"encoding/json"
	"maps"
	"os"
	"testing"

	"github.com/osmoslice/osmoslice/internal/topology"
)

// peerCase is one unit case of FogBrainX's own test suite (Apache-2.0).
type peerCase struct {
	Name  string
	HwTh  float64
	BwTh  float64
	Nodes []struct {
		ID       string
		Software []string
		Hardware float64
		Things   []string
	}
	Links []struct {
		From, To string
		Latency  float64 `json:"latency_ms"`
		Mbps     float64 `json:"bandwidth_mbps"`
	}
	Services []struct {
		Name     string
		Software []string
		Hardware float64
		Things   []string
	}
	S2S []struct {
		From, To string
		Latency  float64 `json:"max_latency_ms"`
		Mbps     float64 `json:"bandwidth_mbps"`
	} `json:"s2s"`
	Deployment *peerDeployment
	Expected   map[string]string
	App        string
	Order      []string `json:"service_order"`
}

type peerDeployment struct {
	Placement [][2]string
	AllocHW   [][2]any `json:"alloc_hw"`
	AllocBW   [][3]any `json:"alloc_bw"`
}

func (d *peerDeployment) hosts() (out []string) {
	if d != nil {
		for _, p := range d.Placement {
			out = append(out, p[1])
		}
	}
	return out
}

func (c *peerCase) state(t *testing.T) (State, Demand, Options) {
	t.Helper()
	milli := func(v float64) int64 { return int64(v*1000 + 0.5) }
	var nodes []topology.Node
	has := map[string]bool{}
	for _, n := range c.Nodes {
		has[n.ID] = true
		nodes = append(nodes, topology.Node{ID: n.ID, Kind: topology.Fog, Capacity: topology.Capacity{CPU: milli(n.Hardware)}, Software: n.Software, Things: n.Things})
	}
	all := nodes
	for _, h := range c.Deployment.hosts() { // what the old placement names may be gone
		if !has[h] {
			has[h] = true
			all = append(all, topology.Node{ID: h, Kind: topology.Fog, Unavailable: true})
		}
	}
	var links []topology.Link
	for _, l := range c.Links {
		if has[l.From] && has[l.To] {
			links = append(links, topology.Link{From: l.From, To: l.To, LatencyMS: l.Latency, BandwidthKbit: milli(l.Mbps)})
		}
	}
	snap, err := topology.New(nil, nil, all, links)
	if err != nil {
		t.Fatal(err)
	}
	led := NewLedger(snap)
	if c.Deployment != nil {
		h := Holding{Demand: c.App}
		for i, p := range c.Deployment.Placement {
			h.Elements = append(h.Elements, HeldElement{p[0], p[1], topology.Capacity{CPU: milli(c.Deployment.AllocHW[i][1].(float64))}})
		}
		for _, f := range c.Deployment.AllocBW {
			h.Flows = append(h.Flows, HeldFlow{f[0].(string), f[1].(string), milli(f[2].(float64))})
		}
		if err := led.Reserve(h); err != nil {
			t.Fatal(err)
		}
	}
	d := Demand{ID: c.App}
	for _, name := range c.Order {
		for _, s := range c.Services {
			if s.Name == name {
				d.Elements = append(d.Elements, Element{ID: s.Name, Requirements: Requirements{CPU: milli(s.Hardware), Software: s.Software, Things: s.Things}})
			}
		}
	}
	for _, f := range c.S2S {
		d.Flows = append(d.Flows, Flow{From: f.From, To: f.To, MaxLatencyMS: f.Latency, BandwidthKbit: milli(f.Mbps)})
	}
	return State{snap, led}, d, Options{Model: ModelFogBrain, FactsAreFree: true,
		Headroom: Headroom{Node: topology.Capacity{CPU: milli(c.HwTh)}, BandwidthKbit: milli(c.BwTh)}}
}

func TestFogBrainXUnitCases(t *testing.T) {
	raw, err := os.ReadFile("testdata/conformance_28.json")
	if err != nil {
		t.Fatal(err)
	}
	var suite struct{ Cases []peerCase }
	if err := json.Unmarshal(raw, &suite); err != nil || len(suite.Cases) != 28 {
		t.Fatalf("%d cases, %v", len(suite.Cases), err)
	}
	for _, c := range suite.Cases {
		t.Run(c.Name, func(t *testing.T) {
			st, d, o := c.state(t)
			out := Decide(st, []Demand{d}, o)
			got := map[string]string{}
			for _, a := range out.Outcomes[0].Placement {
				got[a.Element] = a.Node
			}
			if out.Outcomes[0].Status != Placed || !maps.Equal(got, c.Expected) {
				t.Errorf("%s %v, want %v (%v)", out.Outcomes[0].Status, got, c.Expected, out.Outcomes[0].Err)
			}
			o.Model = ModelOsmoslice
			if ours := Decide(st, []Demand{d}, o); !ours.Feasible() || len(ours.Plan.Migrate) > len(out.Plan.Migrate) {
				t.Errorf("osmotic: feasible %v with %d migrations, the peer needs %d", ours.Feasible(), len(ours.Plan.Migrate), len(out.Plan.Migrate))
			}
		})
	}
}
