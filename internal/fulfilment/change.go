package fulfilment

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

func joinKeys[V any](m map[string]V) string {
	return strings.Join(slices.Sorted(maps.Keys(m)), ", ")
}

// Patch changes a resource of any kind. A member of a running slice starts an
// UPDATE operation when the change must reach the world.
func (s *Service) Patch(ctx context.Context, kind slice.Kind, id string, p Patch, o Options) (Result, error) {
	return s.write(ctx, o, func(ctx context.Context, u *unit) (Result, error) {
		r, err := owned(ctx, u.Tx, kind, id)
		if err != nil {
			return Result{}, err
		}
		if err := o.match(r); err != nil {
			return Result{}, err
		}
		switch v := r.(type) {
		case *slice.Element:
			return u.patchElement(ctx, v, p)
		case *slice.Device:
			return u.patchDevice(ctx, v, p)
		case *slice.IoTSlice:
			return u.patchSlice(ctx, v, p)
		case *slice.Infrastructure:
			return u.patchInfrastructure(ctx, v, p)
		case *slice.Secret:
			return Result{}, fault.New(fault.Invalid, "a secret is changed by writing a new value")
		}
		return u.patchPlain(ctx, r, p)
	})
}

// patchPlain changes what has no life of its own; what the service knows of it
// is put back.
func (u *unit) patchPlain(ctx context.Context, r slice.Resource, p Patch) (Result, error) {
	was := *r.Head()
	keep, related := kept(r), relations(r)
	if err := p(r); err != nil {
		return Result{}, err
	}
	keepMeta(r.Head(), &was)
	keep()
	if err := r.Validate(); err != nil {
		return Result{}, err
	}
	switch v := r.(type) {
	case *slice.Product:
		if err := u.s.checkSchema(v); err != nil {
			return Result{}, err
		}
	case *slice.MicroData:
		if err := u.checkFlow(ctx, v); err != nil {
			return Result{}, err
		}
	case *slice.Link:
		if err := u.checkLink(ctx, v); err != nil {
			return Result{}, err
		}
	case *slice.Subscription:
		if err := u.s.checkCallbacks(v); err != nil {
			return Result{}, err
		}
	}
	if err := u.checkRelations(ctx, r, related); err != nil {
		return Result{}, err
	}
	return Result{Resource: r}, u.Update(ctx, r)
}

// kept remembers what a patch may not change, and answers how to put it back.
func kept(r slice.Resource) func() {
	switch v := r.(type) {
	case *slice.MicroData:
		c := *v
		return func() { v.Slice, v.State = c.Slice, c.State }
	case *slice.Node:
		c := *v
		return func() { v.Infrastructure, v.Origin, v.State, v.Cause = c.Infrastructure, c.Origin, c.State, c.Cause }
	case *slice.Link:
		c := *v
		return func() { v.Infrastructure = c.Infrastructure }
	case *slice.Product:
		c := *v
		return func() { v.Name, v.Version, v.Element, v.State = c.Name, c.Version, c.Element, c.State }
	case *slice.APIKey:
		c := *v
		return func() { v.Role, v.Tenants, v.Prefix, v.Hash = c.Role, c.Tenants, c.Prefix, c.Hash }
	case *slice.Subscription:
		c := *v
		return func() { v.Position, v.State, v.Cause = c.Position, c.State, c.Cause }
	case *slice.NetworkSliceSubnet:
		c := *v
		return func() { v.NetworkSlice, v.State = c.NetworkSlice, c.State }
	case *slice.NetworkSlice:
		c := *v
		return func() { v.State = c.State }
	case *slice.NetworkFunction:
		c := *v
		return func() { v.State = c.State }
	case *slice.CommunicationService:
		c := *v
		return func() { v.State = c.State }
	}
	return func() {}
}

// patchSlice changes a slice; its profile and policy bind the next plan.
func (u *unit) patchSlice(ctx context.Context, sl *slice.IoTSlice, p Patch) (Result, error) {
	was := clone(sl)
	if err := p(sl); err != nil {
		return Result{}, err
	}
	keepMeta(sl.Head(), &was.Meta)
	sl.State, sl.Infrastructures, sl.Operation, sl.LastOperation = was.State, was.Infrastructures, was.Operation, was.LastOperation
	sl.Cause, sl.InstantiatedAt = was.Cause, was.InstantiatedAt
	if err := sl.Validate(); err != nil {
		return Result{}, err
	}
	if err := u.checkRelations(ctx, sl, relations(was)); err != nil {
		return Result{}, err
	}
	if sl.Placement != nil && sl.Placement.Spread != "" {
		elements, err := u.s.elements(ctx, u.Tx, sl.ID)
		if err != nil {
			return Result{}, err
		}
		for _, e := range elements {
			if err := spreadable(sl, e, ""); err != nil {
				return Result{}, err
			}
		}
	}
	return Result{Resource: sl}, u.Update(ctx, sl)
}

func (u *unit) patchInfrastructure(ctx context.Context, v *slice.Infrastructure, p Patch) (Result, error) {
	was := clone(v)
	if err := p(v); err != nil {
		return Result{}, err
	}
	keepMeta(v.Head(), &was.Meta)
	v.State, v.Cause, v.CheckedAt = was.State, was.Cause, was.CheckedAt
	if v.Plugin != was.Plugin {
		return Result{}, fault.Field("plugin", v.Plugin, was.Plugin+": an infrastructure keeps its plugin")
	}
	if err := u.s.checkInfrastructure(v); err != nil {
		return Result{}, err
	}
	if string(v.Connection) != string(was.Connection) {
		v.State, v.CheckedAt = slice.Designed, nil // to be asked anew
	}
	return Result{Resource: v}, u.Update(ctx, v)
}

// Delete removes a resource of any kind, or starts the operation that does. What
// depends on it makes it fault.Conflict, unless o.Cascade.
func (s *Service) Delete(ctx context.Context, kind slice.Kind, id string, o Options) (Result, error) {
	return s.write(ctx, o, func(ctx context.Context, u *unit) (Result, error) {
		r, err := owned(ctx, u.Tx, kind, id)
		if err != nil {
			return Result{}, err
		}
		if err := o.match(r); err != nil {
			return Result{}, err
		}
		switch v := r.(type) {
		case *slice.IoTSlice:
			return u.deleteSlice(ctx, v)
		case *slice.Element:
			return u.deleteElement(ctx, v)
		case *slice.Device:
			sl, err := live(ctx, u.Tx, v.Slice)
			if err != nil {
				return Result{}, err
			}
			return u.removeDevices(ctx, sl, []*slice.Device{v})
		case *slice.Placement:
			return u.deletePlacement(ctx, v)
		case *slice.Secret:
			u.note("delete", v)
			return Result{}, s.c.Secrets.Delete(ctx, u.Tx, v.Tenant, v.ID)
		}
		if err := u.dependents(ctx, r); err != nil {
			return Result{}, err
		}
		return Result{}, u.s.forget(ctx, u, r)
	})
}

// deleteSlice removes a slice: at once when nothing of it runs, else, cascading,
// by terminating it first.
func (u *unit) deleteSlice(ctx context.Context, sl *slice.IoTSlice) (Result, error) {
	elements, err := u.s.elements(ctx, u.Tx, sl.ID)
	if err != nil {
		return Result{}, err
	}
	runs := instantiated(sl) || slices.ContainsFunc(elements, func(e *slice.Element) bool { return e.Run != nil || e.Previous != nil })
	if !runs && sl.Operation == "" {
		return Result{}, u.s.eraseSlice(ctx, u, sl, elements)
	}
	if !u.o.Cascade {
		return Result{}, fault.New(fault.Conflict, "slice %q is %s; terminate it first, or delete with cascade=true", sl.Name, sl.State)
	}
	op, err := u.submit(ctx, sl, operation.Terminate, params{DeleteSlice: true}, "")
	if err != nil {
		return Result{}, err
	}
	return Result{Resource: sl, Operation: op}, u.Update(ctx, sl)
}

// dependents refuses the removal of what is in use, or, cascading, removes what
// depends on it and runs nowhere.
func (u *unit) dependents(ctx context.Context, r slice.Resource) error {
	id := r.Head().ID
	switch v := r.(type) {
	case *slice.Infrastructure:
		err := u.used(ctx, "deployment/infrastructureId", id, "infrastructure "+v.Name)
		if fault.Is(err, fault.Conflict) {
			return fault.New(fault.Conflict, "%s: functions still run there and must be moved or terminated first, also when cascading", fault.Of(err).Detail)
		}
		if err != nil {
			return err
		}
		return u.below(ctx, v, slice.KindLink, slice.KindNode)
	case *slice.Node:
		return u.nodeUsed(ctx, v)
	case *slice.Product:
		return u.used(ctx, "product", v.Name, "product "+v.Name)
	case *slice.APIKey:
		return u.spareAdmin(ctx, v)
	case *slice.NetworkSlice:
		return u.below(ctx, v, slice.KindNetworkSliceSubnet)
	case *slice.Tenant:
		for _, k := range []slice.Kind{slice.KindIoTSlice, slice.KindInfrastructure, slice.KindProduct, slice.KindAPIKey, slice.KindSubscription, slice.KindPlacement} {
			rs, err := u.List(ctx, operation.Query{Kind: k, Tenants: []string{id}, Limit: 1})
			if err != nil {
				return err
			}
			if len(rs) > 0 {
				return fault.New(fault.Conflict, "tenant %q still owns %s, the first is %q", v.Name, k, rs[0].Head().Name)
			}
		}
	}
	return nil
}

// used refuses when an element has the attribute.
func (u *unit) used(ctx context.Context, attr, value, what string) error {
	for _, k := range elementKinds {
		rs, err := u.List(ctx, operation.Query{Kind: k, Limit: 1, Filter: []operation.Condition{{Op: "eq", Attr: attr, Values: []string{value}}}})
		if err != nil {
			return err
		}
		if len(rs) == 0 {
			continue
		}
		by := "by another tenant's function"
		if actorOf(ctx).Acts(rs[0].Head().Tenant) {
			by = "by " + rs[0].Head().Name + " of slice " + rs[0].Parent()
		}
		return fault.New(fault.Conflict, "%s is in use %s", what, by)
	}
	return nil
}

func (u *unit) nodeUsed(ctx context.Context, n *slice.Node) error {
	for _, k := range elementKinds {
		rs, err := listAll(ctx, u.Tx, operation.Query{Kind: k, Filter: []operation.Condition{
			{Op: "eq", Attr: "deployment/infrastructureId", Values: []string{n.Infrastructure}}}}, u.s.c.Marker)
		if err != nil {
			return err
		}
		for _, r := range rs {
			if e, ok := r.(*slice.Element); ok && e.Run != nil && e.Run.Node == n.ID {
				return fault.New(fault.Conflict, "node %q is in use; cordon it and migrate what runs there", n.Name)
			}
		}
	}
	return nil
}

// declared: a person made it, not discovery.
func declared(r slice.Resource) bool {
	n, ok := r.(*slice.Node)
	return !ok || n.Origin != "discovered"
}

// below removes, cascading, or refuses because of what lives below r. Tombstones
// of an infrastructure count too: what they would delete is still there.
func (u *unit) below(ctx context.Context, r slice.Resource, kinds ...slice.Kind) error {
	if r.Kind() == slice.KindInfrastructure {
		ts, err := u.Tombstones(ctx, r.Head().ID, 1)
		if err != nil {
			return err
		}
		if len(ts) > 0 && !u.o.Cascade {
			return fault.New(fault.Conflict, "infrastructure %q still holds %q, which could not be deleted; cascade gives it up", r.Head().Name, ts[0].Release)
		}
	}
	for _, k := range kinds {
		rs, err := listAll(ctx, u.Tx, operation.Query{Kind: k, Parent: r.Head().ID}, u.s.c.Marker)
		if err != nil {
			return err
		}
		if owns := slices.ContainsFunc(rs, declared); owns && !u.o.Cascade {
			return fault.New(fault.Conflict, "%s %q still has %d %s; remove them or cascade", r.Kind(), r.Head().Name, len(rs), k)
		}
		for _, o := range rs {
			if err := u.Delete(ctx, o); err != nil {
				return err
			}
		}
	}
	return nil
}
