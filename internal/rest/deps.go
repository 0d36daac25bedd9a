package rest

import (
	"context"
	"log/slog"
	"time"

	"github.com/osmoslice/osmoslice/internal/actor"
	"github.com/osmoslice/osmoslice/internal/fulfilment"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/platform"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// Deps is what the API needs. Reads, Changes, Orders and Access are all
// *fulfilment.Service.
type Deps struct {
	Reads   Reads
	Changes Changes
	Orders  Orders
	Access  Access

	Idempotency Idempotency // nil: Idempotency-Key is refused
	Events      Events
	Audit       Audit
	Simulations Simulations // nil: no infrastructure has a script

	// BodyBytes bounds a request's body; 0: 8 MiB.
	BodyBytes int64
	// RatePerSecond and RateBurst bound the requests of one key; 0: no bound.
	RatePerSecond float64
	RateBurst     int
	// Patience is how long a request may take before its Idempotency-Key may be
	// used again although it never answered; 0: one minute.
	Patience time.Duration
	// Draining, when closed, ends live streams: their readers resume elsewhere.
	Draining <-chan struct{}
	Clock    func() time.Time // nil: time.Now
	Log      *slog.Logger     // nil: slog.Default()
}

// Service is all use cases in one value.
type Service interface {
	Reads
	Changes
	Orders
	Access
}

// With sets the four use case fields to s.
func (d Deps) With(s Service) Deps {
	d.Reads, d.Changes, d.Orders, d.Access = s, s, s, s
	return d
}

// Reads are the reading use cases.
type Reads interface {
	Get(ctx context.Context, kind slice.Kind, id string) (slice.Resource, error)
	List(ctx context.Context, q operation.Query) (fulfilment.Page, error)
	Operation(ctx context.Context, id string) (*operation.Operation, error)
	Operations(ctx context.Context, q operation.Query) ([]*operation.Operation, string, error)
	Decision(ctx context.Context, operationID string) ([]byte, error)
	Survivability(ctx context.Context, sliceID string) (*fulfilment.Survivability, error)
	WhyNot(ctx context.Context, sliceID, node, member string) (*fulfilment.WhyNot, error)
}

// Changes are the use cases that write resources.
type Changes interface {
	Create(ctx context.Context, r slice.Resource, o fulfilment.Options) (fulfilment.Result, error)
	Patch(ctx context.Context, kind slice.Kind, id string, p fulfilment.Patch, o fulfilment.Options) (fulfilment.Result, error)
	Delete(ctx context.Context, kind slice.Kind, id string, o fulfilment.Options) (fulfilment.Result, error)
	Import(ctx context.Context, infrastructureID string, in fulfilment.Inventory, o fulfilment.Options) (fulfilment.InventoryResult, error)
	PutSecret(ctx context.Context, meta slice.Meta, value []byte, o fulfilment.Options) (fulfilment.Result, error)
}

// Orders are the use cases on slices, their devices and operations.
type Orders interface {
	CreateSlice(ctx context.Context, order fulfilment.SliceOrder, o fulfilment.Options) (fulfilment.Result, error)
	Converge(ctx context.Context, order fulfilment.SliceOrder, o fulfilment.Options) (fulfilment.Result, error)
	Order(ctx context.Context, sliceID string, r fulfilment.Request, o fulfilment.Options) (fulfilment.Result, error)
	AddDevices(ctx context.Context, sliceID string, devices []slice.Device, o fulfilment.Options) (fulfilment.Result, error)
	RemoveDevices(ctx context.Context, sliceID string, devices []string, o fulfilment.Options) (fulfilment.Result, error)
	CheckFeasibility(ctx context.Context, c fulfilment.FeasibilityCheck, o fulfilment.Options) (*slice.Placement, *fulfilment.Preview, error)
	Signal(ctx context.Context, operationID, verb, mode string) (*operation.Operation, error)
	SendCommand(ctx context.Context, deviceID string, c fulfilment.CommandOrder) (string, platform.CommandState, error)
	CommandState(ctx context.Context, deviceID, commandID string) (platform.CommandState, error)
}

// Access is who may call.
type Access interface {
	// Authenticate answers who a token belongs to. It caches, honours a
	// revocation on this replica at once and on others within seconds.
	Authenticate(ctx context.Context, token string) (actor.Actor, error)
	CreateKey(ctx context.Context, k *slice.APIKey, o fulfilment.Options) (fulfilment.Result, error)
	RevokeKey(ctx context.Context, id string, o fulfilment.Options) (fulfilment.Result, error)
}

// Idempotency keeps the answers to requests with an Idempotency-Key. The scope
// is the API key: one client's keys say nothing to another.
type Idempotency interface {
	// Claim answers the kept answer to the same request; nil when the caller is
	// now to carry it out, and then to Finish or Drop it. Another hash is
	// fault.Invalid; a request still being carried out fault.Conflict, until
	// patience has passed.
	Claim(ctx context.Context, scope, key, hash string, patience time.Duration) (*Answer, error)
	Finish(ctx context.Context, scope, key string, a Answer) error
	Drop(ctx context.Context, scope, key string) error
}

// Answer is a kept answer.
type Answer struct {
	Status int
	Header string // JSON object of the headers worth keeping
	Body   []byte
	// Secret: Body tells a credential, and must be kept encrypted.
	Secret bool
}

// Events are the changes, in the order in which they became visible.
type Events interface {
	// Page answers at most limit events of these owners (nil: all) that pass the
	// filter, after a position (negative: from the oldest kept), and the position
	// to go on from, 0 when there are no more now. A position no longer kept is
	// fault.Gone.
	Page(ctx context.Context, after int64, limit int, tenants []string, filter []operation.Condition) ([]slice.Event, int64, error)
	// Subscribe answers them live, until ctx ends or ended says why; a negative
	// position begins with what comes from now on.
	Subscribe(ctx context.Context, after int64, tenants []string, filter []operation.Condition) (c <-chan slice.Event, ended func() error, err error)
}

// Audit is the trail of changes.
type Audit interface {
	// Audits answers a page, newest first, and the marker of the next, "" at
	// the end.
	Audits(ctx context.Context, q AuditQuery) ([]slice.AuditRecord, string, error)
}

// AuditQuery selects audit records; empty fields select all.
type AuditQuery struct {
	Tenants  []string // owners of the resources; nil: all
	Resource string
	Actor    string
	Action   string
	Kind     slice.Kind
	After    string
	Limit    int
}

// Simulations script simulated infrastructures, by the id of the
// infrastructure. A script is one JSON object; what it may hold is the
// plugin's, and what is wrong is told as fault.Invalid.
type Simulations interface {
	// Script is what is in force, and its revision.
	Script(ctx context.Context, infrastructureID string) (script []byte, revision int64, err error)
	// SetScript checks the script and, unless dry, puts it in force. ifMatch is the
	// revision in force that the caller has seen, 0: any; another one is
	// fault.PreconditionFailed.
	SetScript(ctx context.Context, infrastructureID string, script []byte, ifMatch int64, dry bool) error
}
