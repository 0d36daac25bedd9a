package slice

import (
	"encoding/json"
	"time"
)

// What a feasibility check can answer, and what can become of its reservation
// (3GPP TS 28.541, FeasibilityCheckAndReservationJob).
const (
	Feasible   = "FEASIBLE"
	Infeasible = "INFEASIBLE"
	Reserved   = "RESERVED"   // capacity is held
	Unreserved = "UNRESERVED" // none is held: not asked for, expired, or infeasible
	Used       = "USED"       // an order took it over
)

// Placement is a kept answer to a feasibility question: the plan, what it relied
// on, and perhaps a reservation of what it needs.
type Placement struct {
	Meta
	// Slice is the stored slice it was asked for, "" for an order; SliceName the
	// name in either.
	Slice     string `json:"iotSliceId,omitempty"`
	SliceName string `json:"iotSliceName,omitempty"`
	// Operation is the lifecycle operation whose order named it.
	Operation   string     `json:"lcmOpOccId,omitempty"`
	Feasibility string     `json:"feasibilityResult,omitempty"`
	Reason      string     `json:"inFeasibleReason,omitempty"`
	Reserve     bool       `json:"resourceReservation,omitempty"`
	Requested   *time.Time `json:"requestedReservationExpiration,omitempty"`
	Reservation string     `json:"resourceReservationStatus,omitempty"`
	// Held tells that the ledger still counts what it needs as its own: from the
	// reservation until it expires or the operation that uses it has planned.
	Held bool `json:"held,omitempty"`
	// Expires ends the reservation; at KeptUntil the placement is forgotten. Both
	// are times of the database's clock.
	Expires     *time.Time      `json:"reservationExpiration,omitempty"`
	KeptUntil   *time.Time      `json:"keptUntil,omitempty"`
	Assignments []Assignment    `json:"assignments,omitempty"`
	CheckIndex  []PlacementFact `json:"checkIndex,omitempty"`
	Decision    json.RawMessage `json:"decision,omitempty"`
}

// Kind is KindPlacement.
func (*Placement) Kind() Kind { return KindPlacement }

// Parent is "".
func (*Placement) Parent() string { return "" }

// Validate lists every wrong field of the placement.
func (p *Placement) Validate() error {
	c := checking(KindPlacement)
	p.check(c, KindPlacement)
	c.ref("iotSliceId", p.Slice, true)
	c.oneOf("feasibilityResult", p.Feasibility, false, Feasible, Infeasible)
	c.oneOf("resourceReservationStatus", p.Reservation, false, Reserved, Unreserved, Used)
	return c.err()
}

// Assignment is where one member of a placement goes, and what it takes there.
type Assignment struct {
	Element            string       `json:"element"`             // name of the member
	ElementID          string       `json:"elementId,omitempty"` // as the decision calls it
	ElementKind        ElementKind  `json:"elementKind"`
	Node               string       `json:"nodeId"`
	NodeName           string       `json:"node,omitempty"`
	Infrastructure     string       `json:"infrastructureId"`
	InfrastructureName string       `json:"infrastructure,omitempty"`
	Requirements       Requirements `json:"requirements"`
}

// The kinds of what a placement relied on.
const (
	FactLedger         = "ledger" // what is given out of a node, or of a link
	FactLink           = "link"   // the way from a node to another
	FactNode           = "node"
	FactInfrastructure = "infrastructure"
)

// PlacementFact is a row of the ledger, or a fact of the topology, that a plan
// relied on, as it was.
type PlacementFact struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`           // a node or infrastructure; of a link, its first node
	To   string `json:"to,omitempty"` // of a link, its other node
	Name string `json:"name,omitempty"`
	// Facts is an object: values by attribute, as the API names them.
	Facts json.RawMessage `json:"facts"`
}
