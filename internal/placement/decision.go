package placement

import (
	"slices"

	"github.com/osmoslice/osmoslice/internal/topology"
)

// State is what a decision is made on.
type State struct {
	Snapshot *topology.Snapshot
	Ledger   *Ledger // nil: nothing is held
}

// Status is what became of a demand.
type Status string

// The statuses.
const (
	Placed   Status = "PLACED"   // every element has a node
	Waiting  Status = "WAITING"  // nothing of it is placed; what it held is released
	Rejected Status = "REJECTED" // the demand is not valid
)

// Assignment is one element on one node.
type Assignment struct {
	Element string `json:"element"`
	Node    string `json:"node"`
}

// Outcome is the result for one demand.
type Outcome struct {
	Demand    string       `json:"demand"`
	Status    Status       `json:"status"`
	Placement []Assignment `json:"placement,omitempty"` // in the order of Demand.Elements; newest first under fogbrain
	Err       error        `json:"-"`                   // why Rejected
}

// Move is one change of the plan.
type Move struct {
	Demand  string `json:"demand"`
	Element string `json:"element"`
	From    string `json:"from,omitempty"` // node id; empty in Add
	To      string `json:"to,omitempty"`   // node id; empty in Remove
	Reason  string `json:"reason,omitempty"`
}

// Before says that change First must be finished before change Then starts:
// Then needs room that First frees. Changes are counted through Remove, then
// Migrate, then Add. A ring of migrations has Break set on one of its entries:
// that element must stop before the ring can turn.
type Before struct {
	First int    `json:"first"`
	Then  int    `json:"then"`
	Row   string `json:"row"`
	Break bool   `json:"break,omitempty"`
}

// Plan is what must change to get from what is held to what was decided.
type Plan struct {
	Remove  []Move   `json:"remove,omitempty"`
	Migrate []Move   `json:"migrate,omitempty"`
	Add     []Move   `json:"add,omitempty"`
	Order   []Before `json:"order,omitempty"`
}

// Empty reports whether nothing changes.
func (p *Plan) Empty() bool { return len(p.Remove)+len(p.Migrate)+len(p.Add) == 0 }

// RowUse is one ledger row that a decision changes.
type RowUse struct {
	From    string            `json:"from"`           // node id
	To      string            `json:"to,omitempty"`   // node id, for a link row; empty for a node row
	Version uint64            `json:"version"`        // the check-index: version the decision was made on
	Take    topology.Capacity `json:"take,omitzero"`  // change of what the node gives out; negative frees
	Kbit    int64             `json:"kbit,omitempty"` // change of what the link gives out
}

// Terms is a cost by its causes; each is already multiplied by its weight.
type Terms struct {
	Waiting    float64 `json:"waiting,omitempty"`
	Moves      float64 `json:"moves,omitempty"`
	Preference float64 `json:"preference,omitempty"`
	Traffic    float64 `json:"traffic,omitempty"`
	Balance    float64 `json:"balance,omitempty"`
	Energy     float64 `json:"energy,omitempty"`
	Price      float64 `json:"price,omitempty"`
}

// Total is the sum of the terms.
func (t Terms) Total() float64 {
	return t.Waiting + t.Moves + t.Preference + t.Traffic + t.Balance + t.Energy + t.Price
}

// Wait is a demand that could not be served, and why.
type Wait struct {
	Demand string `json:"demand"`
	// Proven is true when no plan exists that serves it beside the demands
	// before it; false when none was found within the budget.
	Proven     bool        `json:"proven"`
	Bottleneck *Bottleneck `json:"bottleneck,omitempty"`
	Detail     string      `json:"detail"`
	// Relaxation is the smallest single change that serves it; set by Explain.
	Relaxation *Relaxation `json:"relaxation,omitempty"`
}

// Decision is the answer of Decide.
type Decision struct {
	Revision     uint64        `json:"revision"` // of the snapshot
	Model        Model         `json:"model"`
	Strategy     string        `json:"strategy"`
	Outcomes     []Outcome     `json:"outcomes"` // one per demand, in their order
	Plan         Plan          `json:"plan"`
	Cost         float64       `json:"cost"`
	Bound        float64       `json:"bound"` // proven: no feasible decision costs less
	Gap          float64       `json:"gap"`   // % that Cost may be above the optimum: 100·(Cost−Bound)/Cost
	Terms        Terms         `json:"terms"`
	MovesBound   int           `json:"movesBound"`          // proven: no plan that serves all moves fewer elements
	Displaced    []Move        `json:"displaced,omitempty"` // elements that could not stay, with the reason; To is empty
	Waiting      []Wait        `json:"waiting,omitempty"`
	Rows         []RowUse      `json:"rows,omitempty"`
	Explanations []Explanation `json:"explanations,omitempty"`
	Steps        int64         `json:"steps"`
	BudgetHit    bool          `json:"budgetHit,omitempty"`
	Backstop     bool          `json:"backstop,omitempty"` // the clock ended the search: another machine may answer differently
	holdings     []holding     // what each placed demand will hold
	released     []string      // demands whose holding ends
	ledger       *Ledger
}

// gap states how far the cost may be above the optimum.
func (d *Decision) gap() {
	d.Gap = 0
	if d.Cost > 0 && d.Cost-d.Bound > 1e-9*d.Cost {
		d.Gap = 100 * (d.Cost - d.Bound) / d.Cost
	}
}

// Feasible reports whether every demand is placed.
func (d *Decision) Feasible() bool {
	for i := range d.Outcomes {
		if d.Outcomes[i].Status != Placed {
			return false
		}
	}
	return true
}

// Outcome finds the outcome of a demand, nil when it was not asked for.
func (d *Decision) Outcome(demand string) *Outcome {
	for i := range d.Outcomes {
		if d.Outcomes[i].Demand == demand {
			return &d.Outcomes[i]
		}
	}
	return nil
}

// StaleFacts names the nodes and links of the decision's placements whose facts
// have changed between the snapshot it was made on and a later one of the same
// lineage: before a preview is carried out, none must have. When the changes
// are no longer remembered it says so with the word "topology".
func (d *Decision) StaleFacts(now *topology.Snapshot) []string {
	changed, ok := now.ChangesSince(d.Revision)
	if !ok || changed.Groups {
		return []string{"topology"}
	}
	var out []string
	for i := range d.Outcomes {
		used := map[int32]bool{}
		for _, a := range d.Outcomes[i].Placement {
			if n, ok := now.Known(a.Node); ok {
				used[n] = true
			}
		}
		for _, n := range changed.Nodes {
			if used[n] {
				out = append(out, now.ID(n))
			}
		}
		for _, l := range changed.Links {
			if used[l.From] && used[l.To] {
				out = append(out, now.ID(l.From)+" -> "+now.ID(l.To))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
