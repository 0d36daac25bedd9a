package fulfilment

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/placement"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/topology"
)

// place is where an element shall run.
type place struct {
	Infrastructure *slice.Infrastructure
	Node           *slice.Node
}

// decided is a decision as it is kept for people: the placer's own words, and
// the infrastructures that were left out before it looked.
type decided struct {
	placement.Decision
	Refused []refusal `json:"refused,omitempty"`
}

// refusal is why an infrastructure was no candidate for an element.
type refusal struct {
	Element        string `json:"element"`
	Infrastructure string `json:"infrastructure"`
	Reason         string `json:"reason"`
}

// infeasible is a decision that placed not everything.
type infeasible struct {
	error
	decision json.RawMessage
}

func (e *infeasible) Unwrap() error { return e.error }

// decide chooses the places of a situation's elements and deducts what they
// newly take, in the caller's transaction.
func (p *placer) decide(ctx context.Context, tx operation.Tx, sit *Situation, operationID string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(ctx, tx); err != nil {
		return err
	}
	q := p.question(sit)
	if q.refused != nil {
		return q.refused
	}
	own := p.borrow(sit, q.demand.ID)
	d := placement.Decide(placement.State{Snapshot: p.snap, Ledger: p.ledger}, []placement.Demand{q.demand}, p.options)
	p.giveBack(q.demand.ID, own)
	doc, err := json.Marshal(decided{Decision: d, Refused: few(q.refusals)})
	if err != nil {
		return fault.New(fault.Internal, "a decision cannot be stored").Because(err)
	}
	if !d.Feasible() {
		return &infeasible{noPlace(sit, &d, q.refusals), doc}
	}
	sit.Places = map[string]place{}
	for _, a := range d.Outcomes[0].Placement {
		n := p.nodes[a.Node]
		if n == nil {
			return fault.New(fault.Conflict, "node %s has gone", a.Node).Retrying(fault.Now)
		}
		sit.Places[a.Element] = place{p.infra[n.Infrastructure], n}
	}
	if err := tx.Deduct(ctx, p.deductions(sit)); err != nil {
		return err
	}
	return tx.PutDecision(ctx, operationID, sit.Slice.ID, doc)
}

// few bounds the explanation that is stored.
func few(all []refusal) []refusal {
	const most = 100
	return all[:min(len(all), most)]
}

// noPlace says which element found no place, and why.
func noPlace(sit *Situation, d *placement.Decision, refused []refusal) error {
	if err := d.Outcomes[0].Err; err != nil {
		return fault.New(fault.Invalid, "the slice cannot be placed").Because(err)
	}
	var b strings.Builder
	for _, w := range d.Waiting {
		b.WriteString(w.Detail)
	}
	seen := 0
	for _, r := range refused {
		if seen++; seen > 5 {
			b.WriteString("; …")
			break
		}
		b.WriteString("; " + r.Element + " not at " + r.Infrastructure + ": " + r.Reason)
	}
	return fault.New(fault.Conflict, "no place for slice %q: %s", sit.Slice.Name, strings.TrimPrefix(b.String(), "; "))
}

// borrow credits what the slice holds already: it may keep it.
func (p *placer) borrow(sit *Situation, demand string) map[string]topology.Capacity {
	own := map[string]topology.Capacity{}
	h := placement.Holding{Demand: demand}
	for _, e := range sit.Elements {
		if e.Run == nil || e.Run.Node == "" || sit.doomed(e) {
			continue
		}
		if _, known := p.snap.Index(e.Run.Node); !known {
			continue
		}
		take := capacity(e.Run.Requirements)
		if !sit.mayStay(e) {
			continue
		}
		c := own[e.Run.Node]
		own[e.Run.Node] = topology.Capacity{CPU: c.CPU + take.CPU, Memory: c.Memory + take.Memory, Storage: c.Storage + take.Storage}
		h.Elements = append(h.Elements, placement.HeldElement{Element: e.ID, Node: e.Run.Node, Take: take})
	}
	for n, c := range own {
		p.hold(n, c)
	}
	if len(h.Elements) > 0 {
		_ = p.ledger.Reserve(h)
	}
	return own
}

func (p *placer) giveBack(demand string, own map[string]topology.Capacity) {
	p.ledger.Release(demand)
	for n := range own {
		p.hold(n, topology.Capacity{})
	}
}

func capacity(r slice.Requirements) topology.Capacity {
	return topology.Capacity{CPU: r.CPU, Memory: r.Memory, Storage: r.Storage}
}

// deductions is what the places newly take, one change per node, expected on
// the rows that were decided on.
func (p *placer) deductions(sit *Situation) []operation.LedgerChange {
	sum := map[string]*operation.LedgerChange{}
	var order []string
	add := func(node string, r slice.Requirements, sign int64) {
		c := sum[node]
		if c == nil {
			c = &operation.LedgerChange{Node: node, Expect: p.rows[node].Version}
			sum[node] = c
			order = append(order, node)
		}
		c.CPU, c.Memory, c.Storage = c.CPU+sign*r.CPU, c.Memory+sign*r.Memory, c.Storage+sign*r.Storage
	}
	for _, e := range sit.Elements {
		at, ok := sit.Places[e.ID]
		if !ok {
			continue
		}
		add(at.Node.ID, sit.Needs[e.ID], 1)
		if e.Run != nil && e.Run.Node == at.Node.ID {
			add(at.Node.ID, e.Run.Requirements, -1)
		}
	}
	out := make([]operation.LedgerChange, 0, len(order))
	for _, n := range order {
		if c := sum[n]; c.CPU != 0 || c.Memory != 0 || c.Storage != 0 {
			out = append(out, *c)
		}
	}
	slices.SortFunc(out, func(a, b operation.LedgerChange) int { return strings.Compare(a.Node, b.Node) })
	return out
}
