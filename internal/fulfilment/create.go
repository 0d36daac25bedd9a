package fulfilment

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// Create stores a new resource of any kind but a slice with members (CreateSlice)
// or a key (CreateKey). An empty Tenant is the actor's only tenant. A member of
// a running slice starts an UPDATE operation.
func (s *Service) Create(ctx context.Context, r slice.Resource, o Options) (Result, error) {
	if err := require(ctx, operates); err != nil {
		return Result{}, err
	}
	switch v := r.(type) {
	case *slice.IoTSlice:
		return s.CreateSlice(ctx, SliceOrder{Slice: *v}, o)
	case *slice.Device:
		out, err := s.AddDevices(ctx, v.Slice, []slice.Device{*v}, o)
		if err == nil && len(out.Resources) == 1 {
			out.Resource, out.Resources = out.Resources[0], nil
		}
		return out, err
	case *slice.APIKey:
		return s.CreateKey(ctx, v, o)
	case *slice.Secret:
		return Result{}, fault.New(fault.Invalid, "a secret is stored together with its value")
	}
	out, err := s.create(ctx, r, o)
	if v, ok := out.Resource.(*slice.Infrastructure); ok && err == nil && !o.DryRun {
		s.firstAsk(ctx, v, &out)
	}
	return out, err
}

// firstAsk asks a new infrastructure at once, for as long as a person waits;
// what it does not answer by then, Watch asks again.
func (s *Service) firstAsk(ctx context.Context, v *slice.Infrastructure, out *Result) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	asked, err := s.Discover(ctx, v.ID)
	switch {
	case err == nil:
		out.Resource = asked
	case ctx.Err() == nil:
		s.c.Log.Warn("a new infrastructure's nodes cannot be stored", "infrastructure", v.Name, "error", err)
	}
}

func (s *Service) create(ctx context.Context, r slice.Resource, o Options) (Result, error) {
	return s.write(ctx, o, func(ctx context.Context, u *unit) (Result, error) {
		switch v := r.(type) {
		case *slice.Element:
			return u.createElement(ctx, clone(v))
		case *slice.MicroData:
			return u.createMicroData(ctx, clone(v))
		case *slice.Infrastructure:
			return u.createInfrastructure(ctx, clone(v))
		case *slice.Node:
			return u.createBelow(ctx, clone(v), v.Infrastructure)
		case *slice.Link:
			return u.createBelow(ctx, clone(v), v.Infrastructure)
		case *slice.Tenant:
			return u.createTenant(ctx, clone(v))
		case *slice.Product:
			return u.createProduct(ctx, clone(v))
		case *slice.NetworkSliceSubnet:
			return u.createSubnet(ctx, clone(v))
		case *slice.NetworkSlice:
			c := clone(v)
			c.State = slice.Designed
			return u.createPlain(ctx, c)
		case *slice.NetworkFunction:
			c := clone(v)
			c.State = slice.Designed
			return u.createPlain(ctx, c)
		case *slice.CommunicationService:
			c := clone(v)
			c.State = slice.Designed
			return u.createPlain(ctx, c)
		case *slice.Subscription:
			c := clone(v)
			c.State, c.Position, c.Cause = slice.Active, 0, ""
			if err := s.checkCallbacks(c); err != nil {
				return Result{}, err
			}
			return u.createPlain(ctx, c)
		}
		return Result{}, fault.New(fault.Invalid, "%s cannot be created", r.Kind())
	})
}

// createPlain stores what has no life of its own.
func (u *unit) createPlain(ctx context.Context, r slice.Resource) (Result, error) {
	tenant, err := tenantFor(ctx, u.Tx, r.Head().Tenant, false)
	if err != nil {
		return Result{}, err
	}
	h := r.Head()
	*h = fresh(*h, tenant, u.s.c.NewID())
	if r.Kind() == slice.KindSubscription && h.Name == "" {
		h.Name = h.ID // names are unique per tenant, and it need not have one
	}
	return u.store(ctx, r)
}

// store validates and inserts.
func (u *unit) store(ctx context.Context, r slice.Resource) (Result, error) {
	if err := r.Validate(); err != nil {
		return Result{}, err
	}
	if err := require(ctx, wants(r)); err != nil {
		return Result{}, err
	}
	if err := u.checkRelations(ctx, r, nil); err != nil {
		return Result{}, err
	}
	if err := u.Insert(ctx, r); err != nil {
		return Result{}, err
	}
	return Result{Resource: r, Created: true}, nil
}

// checkCallbacks refuses a subscription that would be called where nothing may
// be.
func (s *Service) checkCallbacks(c *slice.Subscription) error {
	if s.c.Callbacks == nil {
		return nil
	}
	if err := c.Validate(); err != nil {
		return err
	}
	if err := s.c.Callbacks.CheckURL("callbackUri", c.CallbackURI); err != nil {
		return err
	}
	if c.Auth == nil || c.Auth.TokenEndpoint == "" {
		return nil
	}
	return s.c.Callbacks.CheckURL("authentication/tokenEndpoint", c.Auth.TokenEndpoint)
}

func (u *unit) createTenant(ctx context.Context, t *slice.Tenant) (Result, error) {
	t.Meta = fresh(t.Meta, slice.System, u.s.c.NewID())
	return u.store(ctx, t)
}

func (u *unit) createProduct(ctx context.Context, p *slice.Product) (Result, error) {
	tenant, err := tenantFor(ctx, u.Tx, p.Tenant, true)
	if err != nil {
		return Result{}, err
	}
	p.Meta = fresh(p.Meta, tenant, u.s.c.NewID())
	p.State = slice.Active
	if err := u.s.checkSchema(p); err != nil {
		return Result{}, err
	}
	return u.store(ctx, p)
}

func (u *unit) createSubnet(ctx context.Context, n *slice.NetworkSliceSubnet) (Result, error) {
	parent, err := owned(ctx, u.Tx, slice.KindNetworkSlice, n.NetworkSlice)
	if fault.Is(err, fault.NotFound) {
		return Result{}, fault.Field("networkSliceId", n.NetworkSlice, "the id of a network slice")
	}
	if err != nil {
		return Result{}, err
	}
	n.Meta = fresh(n.Meta, parent.Head().Tenant, u.s.c.NewID())
	n.State = slice.Designed
	return u.store(ctx, n)
}

// createInfrastructure registers a place; its plugin must be part of the service
// and its connection data valid for it.
func (u *unit) createInfrastructure(ctx context.Context, v *slice.Infrastructure) (Result, error) {
	tenant, err := tenantFor(ctx, u.Tx, v.Tenant, true)
	if err != nil {
		return Result{}, err
	}
	v.Meta = fresh(v.Meta, tenant, u.s.c.NewID())
	v.State, v.Cause, v.CheckedAt = slice.Designed, "", nil
	if err := u.s.checkInfrastructure(v); err != nil {
		return Result{}, err
	}
	return u.store(ctx, v)
}

func (s *Service) checkInfrastructure(v *slice.Infrastructure) error {
	if err := v.Validate(); err != nil {
		return err
	}
	if _, ok := s.c.Plugins[v.Plugin]; !ok {
		return fault.Field("plugin", v.Plugin, "one of "+joinKeys(s.c.Plugins))
	}
	if s.c.Connections == nil {
		return nil
	}
	connection := v.Connection
	if len(connection) == 0 {
		connection = json.RawMessage(`{}`)
	}
	return s.c.Connections.Validate(v.Plugin, connection)
}

// createBelow declares a node or link of an infrastructure.
func (u *unit) createBelow(ctx context.Context, r slice.Resource, infrastructure string) (Result, error) {
	parent, err := owned(ctx, u.Tx, slice.KindInfrastructure, infrastructure)
	if err != nil {
		return Result{}, err
	}
	*r.Head() = fresh(*r.Head(), parent.Head().Tenant, u.s.c.NewID())
	if n, ok := r.(*slice.Node); ok {
		n.Origin, n.State, n.Cause = "declared", slice.Active, ""
	}
	if l, ok := r.(*slice.Link); ok {
		if l.Name == "" {
			l.Name = l.From + ">" + l.To
		}
		if err := u.checkLink(ctx, l); err != nil {
			return Result{}, err
		}
	}
	return u.store(ctx, r)
}

// checkLink finds the ends, given by id or name, and refuses those that do not
// exist.
func (u *unit) checkLink(ctx context.Context, l *slice.Link) error {
	l.Level = cmp.Or(l.Level, "NODE")
	if err := l.Validate(); err != nil {
		return err
	}
	kind, parent := slice.KindNode, l.Infrastructure
	if l.Level == "INFRASTRUCTURE" {
		kind, parent = slice.KindInfrastructure, ""
	}
	for _, end := range []struct {
		field string
		ref   *string
	}{{"from", &l.From}, {"to", &l.To}} {
		r, err := get(ctx, u.Tx, kind, *end.ref)
		if fault.Is(err, fault.NotFound) {
			r, err = u.ByName(ctx, kind, l.Tenant, parent, *end.ref)
		}
		if fault.Is(err, fault.NotFound) {
			return fault.Field(end.field, *end.ref, "the id or name of one of "+string(kind))
		}
		if err != nil {
			return err
		}
		*end.ref = r.Head().ID
	}
	if l.From == l.To {
		return fault.Field("to", l.To, "another end than from")
	}
	return nil
}

// createMicroData stores a flow between members that exist.
func (u *unit) createMicroData(ctx context.Context, m *slice.MicroData) (Result, error) {
	sl, err := live(ctx, u.Tx, m.Slice)
	if err != nil {
		return Result{}, err
	}
	m.Meta = fresh(m.Meta, sl.Tenant, u.s.c.NewID())
	m.State = slice.Designed
	if instantiated(sl) {
		m.State = slice.Active
	}
	if err := u.checkFlow(ctx, m); err != nil {
		return Result{}, err
	}
	return u.store(ctx, m)
}

func (u *unit) checkFlow(ctx context.Context, m *slice.MicroData) error {
	elements, err := u.s.elements(ctx, u.Tx, m.Slice)
	if err != nil {
		return err
	}
	var devices []*slice.Device
	for _, name := range []string{m.From, m.To} {
		rs, err := u.List(ctx, operation.Query{Kind: slice.KindIoTDevice, Parent: m.Slice, Limit: 1,
			Filter: []operation.Condition{{Op: "eq", Attr: "name", Values: []string{name}}}})
		if err != nil {
			return err
		}
		for _, r := range rs {
			if d, ok := r.(*slice.Device); ok {
				devices = append(devices, d)
			}
		}
	}
	return slice.ValidateMembers(nil, elements, devices, []*slice.MicroData{m})
}
