package fulfilment

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/placement"
	"github.com/osmoslice/osmoslice/internal/platform"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// Secrets keeps values that nothing else may hold. A reference is a secret's
// id or its name within the tenant.
type Secrets interface {
	// Put stores a value under s (Name, Tenant, Owner, Description and Labels
	// are read) in the caller's transaction: a new secret, or the next version
	// when the tenant has one of that name.
	Put(ctx context.Context, tx operation.Tx, s slice.Secret, value []byte) (*slice.Secret, error)
	// Generate Puts a random printable value and answers it.
	Generate(ctx context.Context, tx operation.Tx, s slice.Secret) (*slice.Secret, []byte, error)
	// Find answers the secret that ref means for a tenant, or fault.NotFound.
	Find(ctx context.Context, tx operation.Tx, tenant, ref string) (*slice.Secret, error)
	// Resolve answers the newest value, or fault.NotFound.
	Resolve(ctx context.Context, tx operation.Tx, tenant, ref string) ([]byte, error)
	// Delete removes a secret with all its values; absent is not an error.
	Delete(ctx context.Context, tx operation.Tx, tenant, ref string) error
}

// Connections validates plugin connection data against the plugin's JSON
// Schema, naming every wrong field below "connection".
type Connections interface {
	Validate(plugin string, connection json.RawMessage) error
}

// Schemas validates elements' configuration against their products' JSON
// Schemas.
type Schemas interface {
	// Compiles answers fault.Invalid naming field when schema is not a JSON Schema
	// that stands by itself. None at all is one.
	Compiles(field string, schema json.RawMessage) error
	// Fits answers fault.Invalid naming every wrong entry below field. hidden
	// names further entries whose values are secrets: they count as there.
	Fits(field string, schema json.RawMessage, configuration map[string]string, hidden []string) error
}

// Platform is what a product can be asked to do, by the kind of element it is.
// A nil part cannot be asked; the planner then leaves out the steps that need
// it.
type Platform struct {
	Gateway platform.Gateway
	Server  platform.Server
}

// Callbacks decides whether a subscription may post to a URL; fault.Invalid
// naming field when not.
type Callbacks interface {
	CheckURL(field, raw string) error
}

// Config is what a Service needs. Zero values work where it says so.
type Config struct {
	Store   operation.Transactor
	Secrets Secrets
	// Plugins by name of the domain ("host", "kubernetes", "simulated").
	Plugins map[string]domain.Plugin
	// Platforms by Product.Platform ("lite"). One under the name of a plugin
	// ("simulated") answers for everything that plugin installs.
	Platforms map[string]Platform
	// Connections; nil accepts what is a JSON object.
	Connections Connections
	// Schemas; nil accepts every configuration.
	Schemas Schemas
	// Callbacks; nil accepts every URL.
	Callbacks Callbacks
	Placement placement.Options
	// ProveWithin bounds the wait for a synthetic reading; 0: 2 min.
	ProveWithin time.Duration
	// Keeping bounds kept placements and reservations.
	Keeping Keeping
	// Limits bound operations; the zero value is operation.DefaultLimits.
	Limits operation.Limits
	// MaxOpen is the backlog limit; 0: 10,000 open operations.
	MaxOpen int
	// Built is the catalogue written by Bootstrap; nil: catalogue.Products().
	Built []slice.Product
	// Marker makes the store's marker of the page that ends with a resource, or
	// (kind "") an operation.
	Marker func(kind slice.Kind, id string) string
	Clock  func() time.Time // nil: time.Now
	NewID  func() string    // nil: UUID version 7
	Log    *slog.Logger     // nil: discards
}
