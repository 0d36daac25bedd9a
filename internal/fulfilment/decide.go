package fulfilment

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/placement"
	"github.com/osmoslice/osmoslice/internal/placement/check"
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
	// Images say of each placed element what was known of its images, and what
	// was not.
	Images []imageNote `json:"images,omitempty"`
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
// newly take, in the caller's transaction. An operation that was ordered by a
// kept placement gets exactly that plan, or an error that says what changed.
func (p *placer) decide(ctx context.Context, tx operation.Tx, sit *Situation, operationID string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(ctx, tx); err != nil {
		return err
	}
	have, err := tx.Holdings(ctx, sit.Slice.ID)
	if err != nil {
		return err
	}
	q := p.question(sit)
	if q.refused != nil {
		return q.refused
	}
	before, err := p.previewed(ctx, tx, sit, &q)
	if err != nil {
		return err
	}
	d, err := p.placed(sit, &q, credit{own: waysOf(have), reserved: before})
	if err != nil {
		return err
	}
	sit.Places = map[string]place{}
	if !d.Feasible() {
		if before != nil {
			return before.broken(sit, d)
		}
		doc, err := p.document(sit, d, &q)
		if err != nil {
			return err
		}
		return &infeasible{noPlace(sit, d, q.refusals), doc}
	}
	for _, a := range d.Outcomes[0].Placement {
		n := p.nodes[a.Node]
		if n == nil {
			return fault.New(fault.Conflict, "node %s has gone", a.Node).Retrying(fault.Now)
		}
		sit.Places[a.Element] = place{p.infra[n.Infrastructure], n}
	}
	doc, err := p.document(sit, d, &q)
	if err != nil {
		return err
	}
	if before != nil {
		doc = before.decision(sit)
	}
	links := p.claims(sit, waysOf(have))
	if sit.Dry {
		sit.Basis = p.basis(sit, links)
	}
	if err := before.take(ctx, tx, sit, p.deductions(sit), links, operationID); err != nil {
		return err
	}
	return tx.PutDecision(ctx, operationID, sit.Slice.ID, doc)
}

// document is a decision as it is stored.
func (p *placer) document(sit *Situation, d *placement.Decision, q *question) (json.RawMessage, error) {
	doc, err := json.Marshal(decided{Decision: *d, Refused: few(q.refusals), Images: p.imageNotes(sit)})
	if err != nil {
		return nil, fault.New(fault.Internal, "a decision cannot be stored").Because(err)
	}
	return doc, nil
}

// credit is what a decision may count as free although the ledger counts it as
// given out: what the slice holds of links already, and what was reserved for it.
type credit struct {
	own      ways
	reserved *reservation
}

// placed asks the placer, and has its answer checked by code that shares nothing
// with the search, before anything is done by it.
func (p *placer) placed(sit *Situation, q *question, c credit) (*placement.Decision, error) {
	defer p.giveBack(q.demand.ID, p.borrow(sit, q.demand.ID, c))
	st, demands := placement.State{Snapshot: p.snap, Ledger: p.ledger}, []placement.Demand{q.demand}
	d := p.ask(st, demands, p.options)
	// A bound that is off makes a plan look better or worse than it is, not wrong.
	wrong := slices.DeleteFunc(check.Decision(st, demands, p.options, &d), func(v check.Violation) bool { return v.Rule == "bound" })
	if len(wrong) > 0 {
		return nil, fault.New(fault.Internal, "the placement of slice %q breaks its own rules and is not carried out: %s", sit.Slice.Name, wrong[0])
	}
	return &d, nil
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

// borrowed is what was credited, by node and by way.
type borrowed struct {
	nodes map[string]topology.Capacity
	ways  ways
}

// borrow credits what the slice holds already: it may keep it.
func (p *placer) borrow(sit *Situation, demand string, c credit) borrowed {
	own := borrowed{nodes: map[string]topology.Capacity{}, ways: maps.Clone(c.own)}
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
		own.add(e.Run.Node, take)
		h.Elements = append(h.Elements, placement.HeldElement{Element: e.ID, Node: e.Run.Node, Take: take})
	}
	for pair, kbit := range c.own {
		_, a := p.snap.Index(pair[0])
		_, b := p.snap.Index(pair[1])
		if a && b {
			h.Flows = append(h.Flows, placement.HeldFlow{From: pair[0], To: pair[1], Kbit: kbit})
		}
	}
	slices.SortFunc(h.Flows, func(a, b placement.HeldFlow) int {
		return cmp.Or(strings.Compare(a.From, b.From), strings.Compare(a.To, b.To))
	})
	c.reserved.credit(&own)
	for n, c := range own.nodes {
		p.hold(n, c)
	}
	for pair, kbit := range own.ways {
		p.holdLink(pair, kbit)
	}
	if len(h.Elements)+len(h.Flows) > 0 {
		_ = p.ledger.Reserve(h)
	}
	return own
}

func (b *borrowed) add(node string, take topology.Capacity) {
	c := b.nodes[node]
	b.nodes[node] = topology.Capacity{CPU: c.CPU + take.CPU, Memory: c.Memory + take.Memory, Storage: c.Storage + take.Storage}
}

func (p *placer) giveBack(demand string, own borrowed) {
	p.ledger.Release(demand)
	for n := range own.nodes {
		p.hold(n, topology.Capacity{})
	}
	for pair := range own.ways {
		p.holdLink(pair, 0)
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
