package slice

import (
	"encoding/json"
	"time"
)

// State is how far a slice or member is; see the package comment.
type State string

// The states of slices and members.
const (
	Designed   State = "DESIGNED"
	Active     State = "ACTIVE"
	Inactive   State = "INACTIVE"
	Failed     State = "FAILED"
	Orphaned   State = "ORPHANED"
	Terminated State = "TERMINATED"
)

// OnFailure says what an operation does when a step is exhausted.
type OnFailure string

// The choices on failure; empty means Rollback.
const (
	Rollback OnFailure = "rollback"
	Hold     OnFailure = "hold"
)

// IoTSlice is an end-to-end partition of an IoT solution for one customer or
// purpose: a specialisation of the 3GPP NetworkSlice with a ServiceProfile.
type IoTSlice struct {
	Meta
	ServiceProfile *ServiceProfile `json:"serviceProfile,omitempty"`
	// NEST is a GSMA NEtwork Slice Type as it came ({attributes:[…]}), kept
	// verbatim; Unmapped names what of it the profile could not take.
	NEST     json.RawMessage `json:"nest,omitempty"`
	Unmapped []string        `json:"unmapped,omitempty"`
	// Priority decides who waits when not everything fits: higher first, then
	// the older. 0 (default) … 9.
	Priority  int       `json:"priority"`
	OnFailure OnFailure `json:"onFailure,omitempty"`
	// Placement bounds every member of the slice; members may narrow it.
	Placement *PlacementPolicy `json:"placementPolicy,omitempty"`

	CustomerRef          string `json:"customerRef,omitempty"`
	CommunicationService string `json:"communicationServiceId,omitempty"`
	NetworkSlice         string `json:"networkSliceId,omitempty"`

	// What the service knows of it.
	State State `json:"state"`
	// Infrastructures it lives on now, ids.
	Infrastructures []string   `json:"infrastructureIds,omitempty"`
	Operation       string     `json:"currentOperationId,omitempty"` // open operation, if any
	LastOperation   string     `json:"lastOperationId,omitempty"`
	Cause           string     `json:"cause,omitempty"` // first root cause when INACTIVE
	InstantiatedAt  *time.Time `json:"instantiatedAt,omitempty"`
}

// Kind is KindIoTSlice.
func (*IoTSlice) Kind() Kind { return KindIoTSlice }

// Parent is "": slices live at the top.
func (*IoTSlice) Parent() string { return "" }

// PlacementPolicy is the membrane: the limits within which functions may be
// placed and moved, and the business rules of an order. Empty lists allow all.
type PlacementPolicy struct {
	// Infrastructures and Nodes pin by id or name; Kinds by tier (topology.Kind
	// spellings DEVICE_EDGE, NETWORK_EDGE, FOG, CLOUD).
	Infrastructures       []string `json:"infrastructures,omitempty"`
	DeniedInfrastructures []string `json:"deniedInfrastructures,omitempty"`
	Nodes                 []string `json:"nodes,omitempty"`
	Kinds                 []string `json:"kinds,omitempty"`
	// NodeLabels must all be carried by the node (node's or infrastructure's).
	NodeLabels map[string]string `json:"nodeLabels,omitempty"`
	// Area bounds data residency: ISO 3166 codes or area names a node states.
	Area []string `json:"area,omitempty"`
	// Providers allowed, by the infrastructure's provider.
	Providers []string `json:"providers,omitempty"`
	// MaxPricePerHour bounds the price of one function, in the nodes' currency.
	MaxPricePerHour *float64 `json:"maxPricePerHour,omitempty"`
	MinSecurity     int      `json:"minSecurityLevel,omitempty"`
	// Affinity and AntiAffinity name members that must share, or must not
	// share, a node with this one.
	Affinity     []string `json:"affinity,omitempty"`
	AntiAffinity []string `json:"antiAffinity,omitempty"`
	// Spread forbids two members of the slice on one "node" or one
	// "infrastructure"; with replicas 1 only, as those of one member are placed
	// together.
	Spread string `json:"spread,omitempty"`
}

// MicroData is an information flow between devices and elements of a slice:
// user data (MUD) or operational data (MOD), pushed (active) or fetched
// (passive), with its QoS bounds.
type MicroData struct {
	Meta
	Slice string `json:"iotSliceId"`
	// From and To name members: an element, or a device.
	From          string  `json:"from"`
	To            string  `json:"to"`
	DataClass     string  `json:"dataClass"` // MUD or MOD
	Mode          string  `json:"mode"`      // ACTIVE or PASSIVE
	Format        string  `json:"format,omitempty"`
	RatePerSecond float64 `json:"ratePerSecond,omitempty"`
	MaxLatencyMS  float64 `json:"maxLatencyMs,omitempty"`
	BandwidthKbit int64   `json:"bandwidthKbit,omitempty"`
	State         State   `json:"state"`
}

// Kind is KindMicroData.
func (*MicroData) Kind() Kind { return KindMicroData }

// Parent is the slice.
func (m *MicroData) Parent() string { return m.Slice }
