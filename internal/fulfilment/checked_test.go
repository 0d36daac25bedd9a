package fulfilment_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/placement"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// A plan that breaks a rule is not carried out, whatever the search says of it:
// the check that shares no code with the search refuses it, the operation ends
// with what is wrong, and nothing was booked or installed.
func TestAWrongPlanIsNotCarriedOut(t *testing.T) {
	for _, c := range []struct {
		name   string
		big    bool // the order fits no node
		change func(d *placement.Decision, elsewhere string)
		says   string
	}{
		{"too much on a node", true, func(d *placement.Decision, _ string) {
			out := &d.Outcomes[0]
			out.Status, d.Waiting = placement.Placed, nil
		}, `memory: node`},
		{"a node that is not there", false, func(d *placement.Decision, _ string) {
			p := slices.Clone(d.Outcomes[0].Placement)
			p[0].Node = "nowhere"
			d.Outcomes[0].Placement = p
		}, `available: node "nowhere" is absent`},
		{"a node that is forbidden", false, func(d *placement.Decision, elsewhere string) {
			p := slices.Clone(d.Outcomes[0].Placement)
			p[0].Node = elsewhere
			d.Outcomes[0].Placement = p
		}, `infrastructure: node`},
		{"an element left out", false, func(d *placement.Decision, _ string) {
			d.Outcomes[0].Placement = d.Outcomes[0].Placement[:1]
		}, `1 of 2 elements placed`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.tenancy()
			w.small("site")
			w.small("other")
			node, elsewhere := w.node("site-n"), w.node("other-n")
			w.svc.Misplace(func(d *placement.Decision) {
				if c.big {
					for _, id := range w.memberIDs() {
						d.Outcomes[0].Placement = append(d.Outcomes[0].Placement, placement.Assignment{Element: id, Node: node.ID})
					}
				}
				c.change(d, elsewhere.ID)
			})
			w.run()
			o := w.order("mine")
			o.Slice.Placement = &slice.PlacementPolicy{Infrastructures: []string{"site"}}
			if c.big {
				o.Servers[0].Requirements = &slice.Requirements{Memory: 4000}
			}
			_, op := w.create(o)
			if op.State != operation.RolledBack || op.RootCause == nil ||
				!strings.Contains(op.RootCause.Detail, "breaks its own rules and is not carried out") || !strings.Contains(op.RootCause.Detail, c.says) {
				t.Errorf("%s %+v", op.State, op.RootCause)
			}
			w.nothingBooked()
			o.Slice.Name = "asked"
			if x := w.asked(reserve(o, nil)); x.Feasibility != slice.Infeasible || x.Held || !strings.Contains(x.Reason, "breaks its own rules") {
				t.Errorf("%+v", x)
			}
			w.nothingBooked()
			w.agree()
		})
	}
}

// memberIDs are the ids of the only slice's elements, gateways first.
func (w *world) memberIDs() (ids []string) {
	w.t.Helper()
	for _, k := range []slice.Kind{slice.KindIoTGateway, slice.KindIoTServer} {
		page, err := w.svc.List(w.ctx, operation.Query{Kind: k})
		if err != nil {
			w.t.Error(err)
		}
		for _, r := range page.Resources {
			ids = append(ids, r.Head().ID)
		}
	}
	return ids
}

// nothingBooked checks that the ledger gives out nothing and no site holds
// anything.
func (w *world) nothingBooked() {
	w.t.Helper()
	err := w.db.Read(w.ctx, func(ctx context.Context, tx operation.Tx) error {
		rows, _, err := tx.Ledger(ctx, 0)
		for _, r := range rows {
			if r.CPU != 0 || r.Memory != 0 || r.Storage != 0 || r.Kbit != 0 {
				w.t.Errorf("the ledger gives out %+v", r)
			}
		}
		held, err2 := w.heldBySites(ctx, tx)
		if len(held) > 0 {
			w.t.Errorf("sites hold %v", held)
		}
		return firstOf(err, err2)
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
