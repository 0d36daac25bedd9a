package cli

import (
	"fmt"
	"math"

	"github.com/osmoslice/osmoslice/internal/placement"
	"github.com/osmoslice/osmoslice/internal/placement/importer"
	"github.com/osmoslice/osmoslice/internal/topology"
)

// prologOptions say what FogBrainX's facts cannot.
type prologOptions struct {
	infrastructure, plugin, kind string
	product                      string
	products                     map[string]string
	instantiate                  bool
}

// readProlog translates facts: nodes and links into one infrastructure's, each
// application into an order.
func readProlog(raw []byte, o prologOptions) (*taken, error) {
	facts, err := importer.Facts(string(raw), topology.Kind(o.kind))
	if err != nil {
		return nil, err
	}
	t := newTaken()
	if len(facts.Nodes) > 0 {
		t.place(facts, o)
	}
	for k := range facts.Demands {
		t.application(&facts.Demands[k], o)
	}
	if len(t.Infrastructures)+len(t.Slices) == 0 {
		return nil, fmt.Errorf("given no node and no application, allowed: facts node/4, link/4, application/2, service/4, s2s/4")
	}
	return t, nil
}

// place makes the infrastructure, and its nodes and links.
func (t *taken) place(facts *importer.Imported, o prologOptions) {
	i := map[string]any{"name": o.infrastructure, "kind": o.kind, "plugin": o.plugin}
	var nodes, links, sites []any
	for k := range facts.Nodes {
		n := &facts.Nodes[k]
		if !t.named("node "+n.ID, n.ID) {
			continue
		}
		// Facts state one quantity of hardware; memory and storage have no limit.
		item := map[string]any{"name": n.ID, "cpuMilli": n.Capacity.CPU, "memoryMiB": 0, "storageMiB": 0, "unlimited": true}
		site := map[string]any{"name": n.ID, "cpuMilli": n.Capacity.CPU}
		if n.Capacity.CPU >= topology.Infinite {
			item["cpuMilli"] = 0
			delete(site, "cpuMilli")
		}
		if len(n.Software) > 0 {
			item["software"], site["software"] = n.Software, n.Software
		}
		if len(n.Things) > 0 {
			item["things"], site["things"] = n.Things, n.Things
		}
		nodes, sites = append(nodes, item), append(sites, site)
	}
	if o.plugin == "simulated" { // it plays the nodes it is told of
		i["connection"] = map[string]any{"nodes": sites}
	}
	for _, l := range facts.Links {
		item := map[string]any{"from": l.From, "to": l.To, "level": "NODE", "latencyMs": l.LatencyMS, "bandwidthKbit": l.BandwidthKbit}
		links = append(links, item)
	}
	t.Infrastructures = append(t.Infrastructures, i)
	t.Inventory = map[string]any{"nodes": nodes}
	if len(links) > 0 {
		t.Inventory["links"] = links
	}
	t.maps("%d node and %d link facts → infrastructure %s, %s, plugin %s; a unit of hardware is a core, a Mbps 1000 kbit/s", len(nodes), len(links), o.infrastructure, o.kind, o.plugin)
}

// application becomes a slice of microElements with microData between them.
func (t *taken) application(d *placement.Demand, o prologOptions) {
	where := "application " + d.ID
	if !t.named(where, d.ID) {
		return
	}
	order := map[string]any{"name": d.ID}
	if o.instantiate {
		order["instantiate"] = true
	}
	t.maps("%s → slice %s", where, d.ID)
	for k := range d.Elements {
		e := &d.Elements[k]
		if !t.named("service "+e.ID, e.ID) {
			continue
		}
		need := map[string]any{}
		if e.Requirements.CPU > 0 {
			need["cpuMilli"] = e.Requirements.CPU
		}
		if len(e.Requirements.Software) > 0 {
			need["software"] = e.Requirements.Software
		}
		if len(e.Requirements.Things) > 0 {
			need["things"] = e.Requirements.Things
		}
		m := map[string]any{"name": e.ID, "product": first(o.products[e.ID], o.product), "melClass": "MUS"}
		if len(need) > 0 {
			m["requirements"] = need
		}
		t.maps("  service %s → microElement %s (%s)%s", e.ID, e.ID, m["product"], needing(need))
		add(order, "microElements", m)
	}
	for _, f := range d.Flows {
		flow := map[string]any{"name": f.From + "-to-" + f.To, "from": f.From, "to": f.To, "dataClass": "MUD", "mode": "ACTIVE"}
		if f.MaxLatencyMS > 0 && !math.IsInf(f.MaxLatencyMS, 0) {
			flow["maxLatencyMs"] = f.MaxLatencyMS
		}
		if f.BandwidthKbit > 0 {
			flow["bandwidthKbit"] = f.BandwidthKbit
		}
		t.maps("  s2s %s %s → microData %s", f.From, f.To, flow["name"])
		add(order, "microData", flow)
	}
	t.Slices = append(t.Slices, order)
}
