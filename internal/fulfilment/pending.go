package fulfilment

import (
	"context"

	"github.com/osmoslice/osmoslice/internal/actor"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/platform"
	"github.com/osmoslice/osmoslice/internal/slice"
)

func pending() error { return fault.New(fault.Internal, "not there yet") }

// New makes the use cases.
func New(c Config) (*Service, error) { return nil, pending() }

// Bootstrap writes the system tenant, the built-in catalogue and, when there is
// no key yet, a system-admin key, whose token it answers once ("" otherwise).
func (s *Service) Bootstrap(ctx context.Context) (token string, err error) { return "", pending() }

// Authenticate answers who a bearer token belongs to, or
// fault.Unauthenticated.
func (s *Service) Authenticate(ctx context.Context, token string) (actor.Actor, error) {
	return actor.Actor{}, pending()
}

// Get answers a resource, or fault.NotFound.
func (s *Service) Get(ctx context.Context, kind slice.Kind, id string) (slice.Resource, error) {
	return nil, pending()
}

// List answers a page of what the actor may see.
func (s *Service) List(ctx context.Context, q operation.Query) (Page, error) {
	return Page{}, pending()
}

// Operation answers a lifecycle operation, or fault.NotFound.
func (s *Service) Operation(ctx context.Context, id string) (*operation.Operation, error) {
	return nil, pending()
}

// Operations answers a page of operations and the marker of the next.
func (s *Service) Operations(ctx context.Context, q operation.Query) ([]*operation.Operation, string, error) {
	return nil, "", pending()
}

// Decision answers the placement decision of an operation with its
// explanations, as JSON (placement.Decision), or fault.NotFound.
func (s *Service) Decision(ctx context.Context, operationID string) ([]byte, error) {
	return nil, pending()
}

// Create stores a new resource of any kind but a slice with members (CreateSlice)
// or a key (CreateKey). An empty Tenant is the actor's only tenant. A member of
// a running slice starts an UPDATE operation.
func (s *Service) Create(ctx context.Context, r slice.Resource, o Options) (Result, error) {
	return Result{}, pending()
}

// Patch changes a resource of any kind. A member of a running slice starts an
// UPDATE operation when the change must reach the world.
func (s *Service) Patch(ctx context.Context, kind slice.Kind, id string, p Patch, o Options) (Result, error) {
	return Result{}, pending()
}

// Delete removes a resource of any kind, or starts the operation that does. What
// depends on it makes it fault.Conflict, unless o.Cascade.
func (s *Service) Delete(ctx context.Context, kind slice.Kind, id string, o Options) (Result, error) {
	return Result{}, pending()
}

// CreateSlice stores a slice with its members, and instantiates it when asked.
// Result.Resources are the members: gateways, servers, microElements,
// microData, devices.
func (s *Service) CreateSlice(ctx context.Context, order SliceOrder, o Options) (Result, error) {
	return Result{}, pending()
}

// Converge makes the slice of that name be as ordered: members not named are
// removed, others created or changed. A running slice gets one UPDATE
// operation with all of it.
func (s *Service) Converge(ctx context.Context, order SliceOrder, o Options) (Result, error) {
	return Result{}, pending()
}

// AddDevices stores devices of one slice in bulk, all or none. On a running
// slice they are provisioned by one operation.
func (s *Service) AddDevices(ctx context.Context, sliceID string, devices []slice.Device, o Options) (Result, error) {
	return Result{}, pending()
}

// RemoveDevices removes devices of one slice in bulk, by id or name.
func (s *Service) RemoveDevices(ctx context.Context, sliceID string, devices []string, o Options) (Result, error) {
	return Result{}, pending()
}

// Order starts a lifecycle operation on a slice.
func (s *Service) Order(ctx context.Context, sliceID string, r Request, o Options) (Result, error) {
	return Result{}, pending()
}

// Signal tells an open operation a person's word: cancel (mode GRACEFUL or
// FORCEFUL), retry, rollback, fail or continue. A wrong state is
// fault.Conflict.
func (s *Service) Signal(ctx context.Context, operationID, verb, mode string) (*operation.Operation, error) {
	return nil, pending()
}

// PutSecret stores a value under a name of a tenant; the value is never told
// again.
func (s *Service) PutSecret(ctx context.Context, meta slice.Meta, value []byte, o Options) (Result, error) {
	return Result{}, pending()
}

// CreateKey makes an API key; Result.Credentials holds its token, told once.
func (s *Service) CreateKey(ctx context.Context, k *slice.APIKey, o Options) (Result, error) {
	return Result{}, pending()
}

// SendCommand sends a value down to a device through its gateway and answers
// the command's id and state.
func (s *Service) SendCommand(ctx context.Context, deviceID string, c CommandOrder) (string, platform.CommandState, error) {
	return "", "", pending()
}

// CommandState answers how far a command came.
func (s *Service) CommandState(ctx context.Context, deviceID, commandID string) (platform.CommandState, error) {
	return "", pending()
}

type placer struct{}
type keyCache struct{}
