package fulfilment

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// basis is what a preview is kept by: where everything goes, the check-index of
// what that relied on, and what a reservation takes of the ledger.
type basis struct {
	assignments []slice.Assignment
	index       []slice.PlacementFact
	uses        []operation.LedgerChange
	links       []operation.LinkHolding
}

// basis states what the decided places of a situation rely on. The caller holds
// mu, and has decided.
func (p *placer) basis(sit *Situation, links []operation.LinkHolding) *basis {
	b := &basis{uses: p.deductions(sit), links: links}
	nodes, sites := map[string]bool{}, map[string]bool{}
	for _, e := range sit.Elements {
		at, ok := sit.Places[e.ID]
		if !ok {
			continue
		}
		nodes[at.Node.ID], sites[at.Infrastructure.ID] = true, true
		b.assignments = append(b.assignments, slice.Assignment{
			Element: e.Name, ElementID: e.ID, ElementKind: e.Element, Node: at.Node.ID, NodeName: at.Node.Name,
			Infrastructure: at.Infrastructure.ID, InfrastructureName: at.Infrastructure.Name, Requirements: sit.Needs[e.ID],
		})
	}
	for _, id := range slices.Sorted(maps.Keys(sites)) {
		b.index = append(b.index, slice.PlacementFact{Kind: slice.FactInfrastructure, ID: id})
	}
	for _, id := range slices.Sorted(maps.Keys(nodes)) {
		b.index = append(b.index, slice.PlacementFact{Kind: slice.FactNode, ID: id}, slice.PlacementFact{Kind: slice.FactLedger, ID: id})
	}
	seen := map[[2]string]bool{}
	for _, f := range sit.flows(sit.wanted) {
		from, to := sit.Places[f.from.ID].Node, sit.Places[f.to.ID].Node
		if from == nil || to == nil || from == to || seen[[2]string{from.ID, to.ID}] {
			continue
		}
		seen[[2]string{from.ID, to.ID}] = true
		b.index = append(b.index, slice.PlacementFact{Kind: slice.FactLink, ID: from.ID, To: to.ID}, slice.PlacementFact{Kind: slice.FactLedger, ID: from.ID, To: to.ID})
	}
	for k := range b.index {
		f := &b.index[k]
		f.Name, f.Facts = p.named(f), p.fact(f)
	}
	return b
}

// named is what a fact is about, for people.
func (p *placer) named(f *slice.PlacementFact) string {
	node := func(id string) string {
		if n := p.nodes[id]; n != nil {
			return n.Name
		}
		return id
	}
	switch {
	case f.Kind == slice.FactInfrastructure:
		if v := p.infra[f.ID]; v != nil {
			return v.Name
		}
		return f.ID
	case f.To != "":
		return node(f.ID) + " to " + node(f.To)
	}
	return node(f.ID)
}

// The attributes of nodes and infrastructures that placing looks at.
var (
	nodeAttributes = []string{"cpuMilli", "memoryMiB", "storageMiB", "unlimited", "architecture", "software", "things",
		"accessTechnologies", "securityLevel", "energyPerCpu", "pricePerCpuHour", "cordoned", "state", "labels"}
	siteAttributes = []string{"kind", "plugin", "provider", "area", "securityLevel", "pricePerCpuHour", "accessLatencyMs",
		"accessTechnologies", "cordoned", "state", "labels"}
)

// fact is how something is now, null when it is not there.
func (p *placer) fact(f *slice.PlacementFact) json.RawMessage {
	switch f.Kind {
	case slice.FactInfrastructure:
		if v := p.infra[f.ID]; v != nil {
			return attributes(v, siteAttributes)
		}
	case slice.FactNode:
		if n := p.nodes[f.ID]; n != nil {
			return attributes(n, nodeAttributes)
		}
	case slice.FactLink:
		a, okA := p.snap.Index(f.ID)
		b, okB := p.snap.Index(f.To)
		if !okA || !okB {
			break
		}
		if path, ok := p.snap.Path(a, b); ok {
			return attributes(&slice.Link{LatencyMS: path.LatencyMS, BandwidthKbit: path.BandwidthKbit, Loss: path.Loss},
				[]string{"latencyMs", "bandwidthKbit", "loss"})
		}
	case slice.FactLedger:
		if f.To != "" {
			return attributes(map[string]int64{"kbitUsed": p.ways[[2]string{f.ID, f.To}].Kbit}, []string{"kbitUsed"})
		}
		r := p.rows[f.ID]
		return attributes(map[string]int64{"cpuMilliUsed": r.CPU, "memoryMiBUsed": r.Memory, "storageMiBUsed": r.Storage},
			[]string{"cpuMilliUsed", "memoryMiBUsed", "storageMiBUsed"})
	}
	return json.RawMessage("null")
}

// attributes are some attributes of a noun, as the API writes them.
func attributes(of any, names []string) json.RawMessage {
	raw, err := json.Marshal(of)
	all, out := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	if err == nil {
		err = json.Unmarshal(raw, &all)
	}
	for _, n := range names {
		if v, ok := all[n]; ok {
			out[n] = v
		}
	}
	if err == nil {
		raw, err = json.Marshal(out)
	}
	if err != nil {
		return json.RawMessage("null")
	}
	return raw
}

// changed says in which way each fact is now otherwise than it was. rows tells
// whether the ledger counts.
func (p *placer) changed(index []slice.PlacementFact, rows bool) []string {
	var out []string
	for k := range index {
		f := &index[k]
		if f.Kind == slice.FactLedger && !rows {
			continue
		}
		now := p.fact(f)
		if bytes.Equal(now, f.Facts) {
			continue
		}
		out = append(out, fmt.Sprintf("%s %s: %s", f.Kind, f.Name, strings.Join(differing(f.Facts, now), ", ")))
	}
	return out
}

func differing(was, is json.RawMessage) []string {
	var a, b map[string]json.RawMessage
	if json.Unmarshal(was, &a) != nil || json.Unmarshal(is, &b) != nil || b == nil {
		return []string{"is not there any more"}
	}
	var out []string
	keys := maps.Clone(a)
	if keys == nil {
		keys = map[string]json.RawMessage{}
	}
	maps.Copy(keys, b)
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if !bytes.Equal(a[k], b[k]) {
			out = append(out, fmt.Sprintf("%s was %s, is %s", k, shown(a[k]), shown(b[k])))
		}
	}
	return out
}

func shown(v json.RawMessage) string {
	if len(v) == 0 {
		return "not set"
	}
	return string(v)
}
