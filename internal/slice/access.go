package slice

import "time"

// Tenant is a customer organisation of the operator. Its Name is its key.
type Tenant struct {
	Meta
	DisplayName string `json:"displayName,omitempty"`
	Suspended   bool   `json:"suspended,omitempty"`
	// MaxSlices bounds the tenant's slices; 0: no bound.
	MaxSlices int `json:"maxSlices,omitempty"`
}

// Kind is KindTenant.
func (*Tenant) Kind() Kind { return KindTenant }

// Parent is "".
func (*Tenant) Parent() string { return "" }

// Role is what a key may do.
type Role string

// The roles. SystemAdmin acts for all tenants; OSS for the tenants listed.
const (
	SystemAdmin    Role = "system-admin"
	OSS            Role = "oss"
	TenantAdmin    Role = "tenant-admin"
	TenantOperator Role = "tenant-operator"
	TenantViewer   Role = "tenant-viewer"
)

// APIKey is a bearer token's record; only a hash of the token is stored.
type APIKey struct {
	Meta
	Role Role `json:"role"`
	// Tenants the key acts for, by id; empty for system-admin (all).
	Tenants   []string   `json:"tenantIds,omitempty"`
	Prefix    string     `json:"prefix"` // first characters of the token, to recognise it
	Hash      string     `json:"-"`      // SHA-256 of the token (256 bits of entropy: no slow hash needed), hex
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
	RevokedAt *time.Time `json:"revokedAt,omitempty"`
}

// Kind is KindAPIKey.
func (*APIKey) Kind() Kind { return KindAPIKey }

// Parent is "".
func (*APIKey) Parent() string { return "" }

// Secret is the readable part of a secret: never its value.
type Secret struct {
	Meta
	// Version counts the values written; Size is the newest's in bytes.
	Version int64 `json:"version"`
	Size    int   `json:"size"`
	// Generated is true when the service made the value.
	Generated bool `json:"generated,omitempty"`
	// Owner is the id of the resource it was made for; deleted with it.
	Owner string `json:"ownerId,omitempty"`
}

// Kind is KindSecret.
func (*Secret) Kind() Kind { return KindSecret }

// Parent is "".
func (*Secret) Parent() string { return "" }

// Subscription is a webhook for events.
type Subscription struct {
	Meta
	CallbackURI string `json:"callbackUri"`
	// Filter is an attribute filter over events; empty: all of the tenant.
	Filter string        `json:"filter,omitempty"`
	Auth   *CallbackAuth `json:"authentication,omitempty"`
	// Position is the last event delivered; State ACTIVE or INACTIVE (given up).
	Position int64 `json:"position"`
	State    State `json:"state"`
	// Cause is the last delivery failure.
	Cause string `json:"cause,omitempty"`
}

// CallbackAuth says how deliveries authenticate (ETSI NFV-SOL013 §8.3.4).
type CallbackAuth struct {
	AuthType []string `json:"authType"` // BASIC, OAUTH2_CLIENT_CREDENTIALS, TLS_CERT
	// SecretRef holds the password, client secret, or PEM certificate and key.
	SecretRef     string `json:"secretRef,omitempty"`
	UserName      string `json:"userName,omitempty"`
	ClientID      string `json:"clientId,omitempty"`
	TokenEndpoint string `json:"tokenEndpoint,omitempty"`
}

// Kind is KindSubscription.
func (*Subscription) Kind() Kind { return KindSubscription }

// Parent is "".
func (*Subscription) Parent() string { return "" }
