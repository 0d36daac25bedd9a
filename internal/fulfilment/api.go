package fulfilment

import (
	"encoding/json"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// Options say how a mutating use case is to be carried out.
type Options struct {
	// DryRun answers the Preview and changes nothing.
	DryRun bool
	// IfMatch is the revision the caller has seen; 0: any. Another one in force
	// is fault.PreconditionFailed.
	IfMatch int64
	// Cascade lets a delete take what depends on the resource with it.
	Cascade bool
	// OnFailure overrides the slice's choice for the operation started.
	OnFailure slice.OnFailure
}

// Result is what a mutating use case did.
type Result struct {
	// Resource as it is now; nil after a delete that is over.
	Resource slice.Resource
	// Resources are the further ones of a bulk or an order, in its order.
	Resources []slice.Resource
	// Operation was started (or, Queued, is open and will take the change along
	// when it is over): the answer is 202. Nil: everything is done.
	Operation *operation.Operation
	Queued    bool
	// Created tells whether Resource is new.
	Created bool
	// Credentials made by the service, told this once.
	Credentials []Credential
	// Preview is set with Options.DryRun, and then nothing else but Resource.
	Preview *Preview
}

// Credential is a secret the service made.
type Credential struct {
	Resource string // id of the resource it belongs to
	Name     string // of that resource
	Ref      string // id of the secret
	Value    string
}

// Preview is what would happen.
type Preview struct {
	// Changes are the resources that would be written.
	Changes []Change `json:"changes"`
	// Steps of the operation that would start; empty when none would.
	Steps []operation.Step `json:"steps,omitempty"`
	// Decision is the placement with its explanations, if one is needed.
	Decision json.RawMessage `json:"decision,omitempty"`
	// Feasible is false when the operation would end at once; Reason says why.
	Feasible bool   `json:"feasible"`
	Reason   string `json:"reason,omitempty"`
	// Differences are what changes of running functions would change at their
	// sites, where the driver is a domain.Previewer.
	Differences []SiteDifference `json:"differences,omitempty"`

	basis *basis // what the decision relied on, when everything has a place
	slice *slice.IoTSlice
}

// SiteDifference is one field of a running function that would change, or why
// its site could not be asked.
type SiteDifference struct {
	Element, Name, Infrastructure string
	domain.Difference
	Unknown string
}

// Change is one resource that would be written.
type Change struct {
	Verb string     `json:"verb"` // create, update or delete
	Kind slice.Kind `json:"kind"`
	ID   string     `json:"id"`
	Name string     `json:"name"`
}

// Patch changes the resource it is given, as a merge patch does; what it may not
// change (identity, owner, what the service knows) is put back afterwards.
type Patch func(r slice.Resource) error

// SliceOrder is a slice with its members; members refer to each other by name.
type SliceOrder struct {
	Slice         slice.IoTSlice
	Gateways      []slice.Element
	Servers       []slice.Element
	MicroElements []slice.Element
	MicroData     []slice.MicroData
	Devices       []slice.Device
	// Instantiate starts the slice in the same transaction.
	Instantiate bool
	// Placement is the kept placement whose plan instantiating shall run.
	Placement string
}

// Request asks for a lifecycle operation on a slice.
type Request struct {
	Type operation.Type
	// Elements are the members concerned, by id or name; empty: all that need
	// it. Migrate and Scale want at least one.
	Elements []string `json:"elements,omitempty"`
	// Replicas for Scale.
	Replicas int `json:"replicas,omitempty"`
	// Target narrows where Migrate and Heal may go.
	Target *slice.PlacementPolicy `json:"target,omitempty"`
	// Replace lets Heal and Update choose places anew for what runs well.
	Replace bool `json:"replace,omitempty"`
	// Placement is the kept placement whose plan Instantiate shall run.
	Placement string `json:"placementId,omitempty"`
	// Cause is "request" unless said otherwise.
	Cause string `json:"-"`
}

// Page is one page of a list. Next is the marker of the next page, "" at the
// end.
type Page struct {
	Resources []slice.Resource
	Next      string
}

// CommandOrder is a value to be sent down to a device's action.
type CommandOrder struct {
	// ID makes it idempotent; empty: chosen.
	ID     string
	Action string
	Value  any // float64, string, bool or []byte
}
