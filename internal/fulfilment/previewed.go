package fulfilment

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/placement"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/topology"
)

// reservation is a kept placement whose plan an operation runs; nil: it was
// ordered without.
type reservation struct {
	of    *slice.Placement
	links ways // that it holds
}

// previewed reads the placement that an operation was ordered by, refuses when
// what it relied on has changed, and narrows the question to its answer.
// Once the operation has planned, the plan is its own, and planning again (a
// retry) goes by what has become of it.
func (p *placer) previewed(ctx context.Context, tx operation.Tx, sit *Situation, q *question) (*reservation, error) {
	if sit.params.Placement == "" {
		return nil, nil
	}
	switch _, err := tx.Decision(ctx, sit.Operation); {
	case err == nil:
		return nil, nil
	case !fault.Is(err, fault.NotFound):
		return nil, err
	}
	x, err := placementOf(ctx, tx, sit.params.Placement)
	if err != nil {
		return nil, err
	}
	if err := p.holds(x); err != nil {
		return nil, err
	}
	hs, err := tx.Holdings(ctx, x.ID)
	if err != nil {
		return nil, err
	}
	return &reservation{x, waysOf(hs)}, pin(sit, x, q)
}

// holds refuses a placement one of whose facts is not as it was. What a
// reservation holds is there whatever else is given out.
func (p *placer) holds(x *slice.Placement) error {
	if changed := p.changed(x.CheckIndex, !x.Held); len(changed) > 0 {
		const most = 10
		if more := len(changed) - most; more > 0 {
			changed = append(changed[:most], "…")
		}
		return fault.New(fault.Conflict, "what placement %q relied on has changed: %s; ask again", x.Name, strings.Join(changed, "; "))
	}
	return nil
}

// pin lets every element go only where the placement has it. An order of other
// elements, or of other needs, is not the one that was asked about.
func pin(sit *Situation, x *slice.Placement, q *question) error {
	at := map[string]*slice.Assignment{}
	for k := range x.Assignments {
		a := &x.Assignments[k]
		at[string(a.ElementKind)+"/"+a.Element] = a
	}
	byID := map[string]*slice.Element{}
	for _, e := range sit.Elements {
		byID[e.ID] = e
	}
	other := func(format string, args ...any) error {
		return fault.New(fault.Conflict, "placement %q is of another order: "+format, append([]any{x.Name}, args...)...).
			With("placementId", x.ID, "nothing, or a placement of this very order")
	}
	for k := range q.demand.Elements {
		el := &q.demand.Elements[k]
		e := byID[el.ID]
		a := at[elementKey(e)]
		if a == nil {
			return other("it has no %s %q", e.Element, e.Name)
		}
		delete(at, elementKey(e))
		if !sameJSON(a.Requirements, sit.Needs[e.ID]) {
			return other("%s %q needs something else now: %s", e.Element, e.Name, needsDiffer(a.Requirements, sit.Needs[e.ID]))
		}
		if len(el.AllowedNodes) > 0 && !slices.Contains(el.AllowedNodes, a.Node) {
			return other("%s %q may not run on node %s", e.Element, e.Name, a.NodeName)
		}
		el.AllowedNodes = []string{a.Node}
	}
	for _, a := range at {
		return other("the slice has no %s %q", a.ElementKind, a.Element)
	}
	return nil
}

// needsDiffer says which needs are not what they were.
func needsDiffer(was, now slice.Requirements) string {
	x, y := map[string]any{}, map[string]any{}
	for v, m := range map[*slice.Requirements]*map[string]any{&was: &x, &now: &y} {
		if doc, err := json.Marshal(v); err != nil || json.Unmarshal(doc, m) != nil {
			return "they cannot be compared"
		}
	}
	var out []string
	for _, k := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(slices.Collect(maps.Keys(x)), slices.Collect(maps.Keys(y)))))) {
		if a, b := x[k], y[k]; !sameJSON(a, b) {
			out = append(out, fmt.Sprintf("%s was %s, is %s", k, orNothing(a), orNothing(b)))
		}
	}
	return strings.Join(out, ", ")
}

func orNothing(v any) string {
	if v == nil {
		return "not set"
	}
	return fmt.Sprint(v)
}

// suits refuses an order that runs a kept plan when that plan is of another: its
// members are not those that were asked about, need something else, or go
// elsewhere. It asks what planning will ask.
func (p *placer) suits(ctx context.Context, tx operation.Tx, sit *Situation) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(ctx, tx); err != nil {
		return err
	}
	q := p.question(sit)
	if q.refused != nil {
		return q.refused
	}
	have, err := tx.Holdings(ctx, sit.Slice.ID)
	if err != nil {
		return err
	}
	plan, err := p.previewed(ctx, tx, sit, &q)
	if err != nil || plan == nil {
		return err
	}
	d, err := p.placed(sit, &q, credit{own: waysOf(have), reserved: plan})
	if err == nil && !d.Feasible() {
		err = plan.broken(sit, d)
	}
	return err
}

// broken is why a pinned plan could not be had although no fact has changed: the
// order asks for something else.
func (r *reservation) broken(sit *Situation, d *placement.Decision) error {
	return fault.New(fault.Conflict, "the plan of placement %q does not hold for this order: %s", r.of.Name, fault.Of(noPlace(sit, d, nil)).Detail)
}

// credit counts what is reserved as free.
func (r *reservation) credit(own *borrowed) {
	if r == nil || !r.of.Held {
		return
	}
	for _, a := range r.of.Assignments {
		own.add(a.Node, capacity(a.Requirements))
	}
	if own.ways == nil {
		own.ways = ways{}
	}
	for pair, kbit := range r.links {
		own.ways[pair] += kbit
	}
}

// decision is the one that was kept, with the ids of the elements as they are
// now.
func (r *reservation) decision(sit *Situation) json.RawMessage {
	var kept struct {
		Outcomes []placement.Outcome `json:"outcomes"`
	}
	doc := r.of.Decision
	if json.Unmarshal(doc, &kept) != nil || len(kept.Outcomes) != 1 {
		return doc
	}
	doc = bytes.ReplaceAll(doc, []byte(kept.Outcomes[0].Demand), []byte(sit.Slice.ID))
	now := map[string]string{}
	for _, e := range sit.Elements {
		now[elementKey(e)] = e.ID
	}
	for _, a := range r.of.Assignments {
		if id := now[string(a.ElementKind)+"/"+a.Element]; id != "" && a.ElementID != "" {
			doc = bytes.ReplaceAll(doc, []byte(a.ElementID), []byte(id))
		}
	}
	return doc
}

// take deducts what the plan newly takes. What was reserved for it goes over in
// the same breath.
func (r *reservation) take(ctx context.Context, tx operation.Tx, sit *Situation, uses []operation.LedgerChange, links []operation.LinkHolding, operationID string) error {
	if r != nil {
		if r.of.Held {
			uses = append(uses, released(r.of)...)
			for k := range links {
				if _, ours := r.links[[2]string{links[k].From, links[k].To}]; ours {
					links[k].Expect = -1 // our own release below changes the row
				}
			}
			if err := tx.HoldLinks(ctx, r.of.ID, nil); err != nil {
				return err
			}
		}
		if r.of.Held || r.of.Operation != operationID {
			r.of.Held, r.of.Reservation, r.of.Operation = false, slice.Used, operationID
			if err := tx.Update(ctx, r.of); err != nil {
				return err
			}
		}
	}
	if err := tx.Deduct(ctx, uses); err != nil {
		return err
	}
	return tx.HoldLinks(ctx, sit.Slice.ID, links)
}

// released is what giving a reservation back changes in the ledger.
func released(x *slice.Placement) []operation.LedgerChange {
	sum := map[string]topology.Capacity{}
	var out []operation.LedgerChange
	for _, a := range x.Assignments {
		c := capacity(a.Requirements)
		if _, seen := sum[a.Node]; !seen {
			out = append(out, operation.LedgerChange{Node: a.Node, Expect: -1})
		}
		s := sum[a.Node]
		sum[a.Node] = topology.Capacity{CPU: s.CPU + c.CPU, Memory: s.Memory + c.Memory, Storage: s.Storage + c.Storage}
	}
	for k := range out {
		c := sum[out[k].Node]
		out[k].CPU, out[k].Memory, out[k].Storage = -c.CPU, -c.Memory, -c.Storage
	}
	return out
}
