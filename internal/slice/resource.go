package slice

import "time"

// Kind is the kind of a resource; its spelling is the API's collection name.
type Kind string

// The kinds of resources.
const (
	KindTenant               Kind = "tenants"
	KindProduct              Kind = "products"
	KindInfrastructure       Kind = "infrastructures"
	KindNode                 Kind = "nodes"
	KindLink                 Kind = "links"
	KindIoTSlice             Kind = "iotSlices"
	KindIoTGateway           Kind = "iotGateways"
	KindIoTServer            Kind = "iotServers"
	KindMicroElement         Kind = "microElements"
	KindMicroData            Kind = "microData"
	KindIoTDevice            Kind = "iotDevices"
	KindNetworkSlice         Kind = "networkSlices"
	KindNetworkSliceSubnet   Kind = "networkSliceSubnets"
	KindNetworkFunction      Kind = "networkFunctions"
	KindCommunicationService Kind = "communicationServices"
	KindSubscription         Kind = "subscriptions"
	KindSecret               Kind = "secrets"
	KindAPIKey               Kind = "apiKeys"
	KindPlacement            Kind = "placements"
)

// System is the owner of what belongs to no tenant.
const System = "system"

// Meta is what every resource has.
type Meta struct {
	// ID is a UUID (version 7: ids sort by creation).
	ID string `json:"id"`
	// Tenant owns the resource; System for shared infrastructure and products.
	Tenant      string            `json:"tenantId"`
	Name        string            `json:"name"`
	Description string            `json:"description,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	// Revision counts writes from 1; it is the ETag.
	Revision int64 `json:"revision"`
	// CreatedAt and UpdatedAt are zero, and left out, of what is not stored.
	CreatedAt time.Time `json:"createdAt,omitzero"`
	UpdatedAt time.Time `json:"updatedAt,omitzero"`
}

// Head answers the meta itself; embedding Meta makes a type a Resource.
func (m *Meta) Head() *Meta { return m }

// Resource is any noun with identity.
type Resource interface {
	Head() *Meta
	Kind() Kind
	// Parent is the id of the resource this one lives below (slice for
	// members, infrastructure for nodes), "" at the top.
	Parent() string
	// Validate answers an Invalid fault that lists every wrong field, or nil.
	Validate() error
}
