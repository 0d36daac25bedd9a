package fulfilment

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/placement"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/topology"
)

// placer keeps the picture of the world that decisions are made on: every
// infrastructure, node and link, and what everyone has taken of the nodes. It
// follows the store by positions, at a cost that grows with what changed.
type placer struct {
	options placement.Options
	ask     func(placement.State, []placement.Demand, placement.Options) placement.Decision

	mu        sync.Mutex
	snap      *topology.Snapshot
	ledger    *placement.Ledger
	topoPos   int64
	ledgerPos int64
	infra     map[string]*slice.Infrastructure
	order     []string // ids of infra
	nodes     map[string]*slice.Node
	nodesOf   map[string]map[string]bool // infrastructure to its nodes
	links     map[string]*slice.Link
	rows      map[string]operation.LedgerRow
	ways      map[[2]string]operation.LedgerRow // of links, by their nodes
}

func newPlacer(o placement.Options) *placer {
	o.Explain = true
	p := &placer{options: o, ask: placement.Decide}
	p.reset()
	return p
}

// reset forgets everything; the next refresh reads it anew.
func (p *placer) reset() {
	p.snap = topology.Empty()
	p.ledger = placement.NewLedger(p.snap)
	p.topoPos, p.ledgerPos = 0, 0
	p.infra, p.nodes = map[string]*slice.Infrastructure{}, map[string]*slice.Node{}
	p.nodesOf, p.links = map[string]map[string]bool{}, map[string]*slice.Link{}
	p.rows, p.ways, p.order = map[string]operation.LedgerRow{}, map[[2]string]operation.LedgerRow{}, nil
}

// Forget drops the resident picture: a transaction that read what was not
// committed has failed.
func (s *Service) Forget() {
	s.place.mu.Lock()
	defer s.place.mu.Unlock()
	s.place.reset()
}

// refresh follows the store up to the transaction's view. The caller holds mu.
func (p *placer) refresh(ctx context.Context, tx operation.Tx) error {
	changed, removed, pos, err := tx.Topology(ctx, p.topoPos)
	if err != nil {
		return err
	}
	if len(changed)+len(removed) > 0 {
		next, err := p.snap.Apply(p.delta(changed, removed))
		if err != nil {
			p.reset()
			return err
		}
		p.snap = next
		p.order = slices.Sorted(maps.Keys(p.infra))
		for _, r := range changed {
			if _, taken := p.rows[r.Head().ID]; taken {
				p.hold(r.Head().ID, topology.Capacity{})
			}
		}
	}
	p.topoPos = pos
	rows, pos, err := tx.Ledger(ctx, p.ledgerPos)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if r.To != "" {
			pair := [2]string{r.Node, r.To}
			p.ways[pair] = r
			p.holdLink(pair, 0)
			continue
		}
		p.rows[r.Node] = r
		p.hold(r.Node, topology.Capacity{})
	}
	p.ledgerPos = pos
	return nil
}

// hold puts what everyone has taken of a node, less own, into the ledger.
func (p *placer) hold(node string, own topology.Capacity) {
	if _, known := p.snap.Known(node); !known {
		return
	}
	r := p.rows[node]
	take := topology.Capacity{CPU: max(r.CPU-own.CPU, 0), Memory: max(r.Memory-own.Memory, 0), Storage: max(r.Storage-own.Storage, 0)}
	_ = p.ledger.Reserve(placement.Holding{Demand: "node:" + node, Elements: []placement.HeldElement{{Element: "used", Node: node, Take: take}}})
}

// delta translates what changed in the store.
func (p *placer) delta(changed []slice.Resource, removed []string) topology.Delta {
	var d topology.Delta
	touched := map[string]bool{} // nodes to be stated anew
	for _, id := range removed {
		p.remove(id, &d)
	}
	for _, r := range changed {
		switch v := r.(type) {
		case *slice.Infrastructure:
			p.infra[v.ID] = v
			d.Infrastructures = append(d.Infrastructures, infrastructureFacts(v))
			for n := range p.nodesOf[v.ID] {
				touched[n] = true
			}
		case *slice.Node:
			p.nodes[v.ID] = v
			if p.nodesOf[v.Infrastructure] == nil {
				p.nodesOf[v.Infrastructure] = map[string]bool{}
			}
			p.nodesOf[v.Infrastructure][v.ID] = true
			touched[v.ID] = true
		}
	}
	for _, id := range slices.Sorted(maps.Keys(touched)) {
		if n := p.nodes[id]; n != nil && p.infra[n.Infrastructure] != nil {
			d.Nodes = append(d.Nodes, nodeFacts(n, p.infra[n.Infrastructure]))
		}
	}
	for _, r := range changed {
		if l, ok := r.(*slice.Link); ok {
			p.links[l.ID] = l
			p.link(l, &d)
		}
	}
	return d
}

func (p *placer) remove(id string, d *topology.Delta) {
	if n := p.nodes[id]; n != nil {
		delete(p.nodes, id)
		delete(p.nodesOf[n.Infrastructure], id)
		if _, ok := p.snap.Index(id); ok {
			d.RemoveNodes = append(d.RemoveNodes, id)
		}
	}
	if l := p.links[id]; l != nil {
		delete(p.links, id)
		_, a := p.snap.Index(l.From)
		_, b := p.snap.Index(l.To)
		if l.Level == "NODE" && a && b {
			d.RemoveLinks = append(d.RemoveLinks, [2]string{l.From, l.To})
		}
	}
	delete(p.infra, id)
	delete(p.nodesOf, id)
}

func (p *placer) link(l *slice.Link, d *topology.Delta) {
	path := topology.Path{LatencyMS: l.LatencyMS, BandwidthKbit: l.BandwidthKbit, Loss: l.Loss}
	if l.Level == "INFRASTRUCTURE" {
		if p.infra[l.From] != nil && p.infra[l.To] != nil {
			d.GroupLinks = append(d.GroupLinks, topology.GroupLink{From: l.From, To: l.To, Path: path})
		}
		return
	}
	if p.nodes[l.From] != nil && p.nodes[l.To] != nil {
		d.Links = append(d.Links, topology.Link{From: l.From, To: l.To, LatencyMS: l.LatencyMS, BandwidthKbit: l.BandwidthKbit, Loss: l.Loss})
	}
}

func infrastructureFacts(v *slice.Infrastructure) topology.Infrastructure {
	f := topology.Infrastructure{ID: v.ID, Name: v.Name}
	if v.IntraLatencyMS > 0 || v.IntraBandwidthKbit > 0 {
		f.Intra = &topology.Path{LatencyMS: v.IntraLatencyMS, BandwidthKbit: firstOf(v.IntraBandwidthKbit, topology.Infinite)}
	} else {
		f.Intra = &topology.Path{BandwidthKbit: topology.Infinite}
	}
	return f
}

// openLabel is carried by nodes that take new functions. No label of a person
// can be spelled like it.
const openLabel = "~accepts-new"

// nodeFacts is a node as the placer knows it; what it does not say itself its
// infrastructure says.
func nodeFacts(n *slice.Node, v *slice.Infrastructure) topology.Node {
	f := topology.Node{
		ID: n.ID, Name: n.Name, Infrastructure: n.Infrastructure, Kind: topology.Kind(v.Tier), Arch: n.Architecture,
		Capacity: topology.Capacity{CPU: n.CPU, Memory: n.Memory, Storage: n.Storage},
		Software: n.Software, Things: n.Things, Area: v.Area, EnergyPerCPU: n.EnergyPerCPU,
		AccessTechnologies: union(n.AccessTechnologies, v.AccessTechnologies),
		SecurityLevel:      max(n.SecurityLevel, v.SecurityLevel),
		PricePerCPU:        firstOf(n.PricePerCPUHour, v.PricePerCPUHour),
		Labels:             map[string]string{},
	}
	if n.Unlimited { // as the ledger reads it: what is not stated has no limit
		f.Capacity.CPU = firstOf(f.Capacity.CPU, topology.Infinite)
		f.Capacity.Memory = firstOf(f.Capacity.Memory, topology.Infinite)
		f.Capacity.Storage = firstOf(f.Capacity.Storage, topology.Infinite)
	}
	maps.Copy(f.Labels, v.Labels)
	maps.Copy(f.Labels, n.Labels)
	if !n.Cordoned && !v.Cordoned {
		f.Labels[openLabel] = "yes"
	}
	if n.State == slice.Inactive || v.State == slice.Inactive {
		f.Labels[openLabel] = "no"
	}
	return f
}

func union(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}
