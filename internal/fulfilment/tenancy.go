package fulfilment

import (
	"context"
	"slices"

	"github.com/osmoslice/osmoslice/internal/actor"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

func actorOf(ctx context.Context) actor.Actor { return actor.Of(ctx) }

// ability is what a use case wants of who asks.
type ability int

const (
	reads       ability = iota // any role
	operates                   // changes slices and their members
	administers                // manages keys and infrastructures of a tenant
	governs                    // manages tenants and what belongs to the system
)

func can(r slice.Role, a ability) bool {
	switch a {
	case reads:
		return r != ""
	case operates:
		return r == slice.SystemAdmin || r == slice.OSS || r == slice.TenantAdmin || r == slice.TenantOperator
	case administers:
		return r == slice.SystemAdmin || r == slice.TenantAdmin
	}
	return r == slice.SystemAdmin
}

// require refuses who may not do this at all.
func require(ctx context.Context, a ability) error {
	who, ok := actor.From(ctx)
	if !ok || who.Role == "" {
		return fault.New(fault.Unauthenticated, "an API key is needed")
	}
	if !can(who.Role, a) {
		return fault.New(fault.Forbidden, "role %s may not do this", who.Role)
	}
	return nil
}

// wants is what changing a resource takes.
func wants(r slice.Resource) ability {
	switch r.(type) {
	case *slice.Tenant:
		return governs
	case *slice.APIKey:
		return administers
	case *slice.Infrastructure, *slice.Node, *slice.Link, *slice.Product:
		if r.Head().Tenant == slice.System {
			return governs
		}
		return administers
	}
	return operates
}

// get reads a resource the actor may see; any other does not exist.
func get(ctx context.Context, tx getter, kind slice.Kind, id string) (slice.Resource, error) {
	r, err := tx.Get(ctx, kind, id)
	if fault.Is(err, fault.NotFound) { // in the words for what is there and not the actor's
		return nil, fault.Absent(string(kind), id)
	}
	if err != nil {
		return nil, err
	}
	ok, err := visible(ctx, tx, r)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fault.Absent(string(kind), id)
	}
	return r, nil
}

// owned reads a resource the actor may change: what is merely shared with it is
// Forbidden, what it may not see does not exist.
func owned(ctx context.Context, tx operation.Tx, kind slice.Kind, id string) (slice.Resource, error) {
	r, err := get(ctx, tx, kind, id)
	if err != nil {
		return nil, err
	}
	who := actorOf(ctx)
	if who.Acts(r.Head().Tenant) || kind == slice.KindTenant && who.All() {
		return r, require(ctx, wants(r))
	}
	return nil, fault.New(fault.Forbidden, "%s %q is shared with you; only its owner may change it", kind, r.Head().Name)
}

// visible reports whether the actor may know of a resource.
func visible(ctx context.Context, tx getter, r slice.Resource) (bool, error) {
	who := actorOf(ctx)
	if who.Acts(r.Head().Tenant) && who.Role != "" {
		return true, nil
	}
	switch v := r.(type) {
	case *slice.Tenant:
		return who.Acts(v.ID), nil
	case *slice.APIKey:
		return who.Role == slice.TenantAdmin && len(v.Tenants) > 0 && !slices.ContainsFunc(v.Tenants, func(t string) bool { return !who.Acts(t) }), nil
	case *slice.Product:
		return who.Role != "" && v.Tenant == slice.System, nil
	case *slice.Infrastructure:
		return sharedWith(v, who), nil
	case *slice.Node, *slice.Link:
		parent, err := tx.Get(ctx, slice.KindInfrastructure, r.Parent())
		if err != nil {
			return false, err
		}
		return visible(ctx, tx, parent)
	}
	return false, nil
}

// sharedWith reports whether one of the actor's tenants may use v.
func sharedWith(v *slice.Infrastructure, who actor.Actor) bool {
	if slices.Contains(v.SharedWith, "*") {
		return who.Role != ""
	}
	return slices.ContainsFunc(who.Tenants, func(t string) bool { return usable(v, t) })
}

// usable reports whether slices of a tenant may be placed at v.
func usable(v *slice.Infrastructure, tenant string) bool {
	return v.Tenant == tenant || slices.Contains(v.SharedWith, "*") || slices.Contains(v.SharedWith, tenant)
}

// redact leaves out what the owner alone may know.
func redact(ctx context.Context, r slice.Resource) slice.Resource {
	v, ok := r.(*slice.Infrastructure)
	if !ok || actorOf(ctx).Acts(v.Tenant) {
		return r
	}
	c := *v
	c.Connection, c.SecretRefs, c.SharedWith = nil, nil, nil
	return &c
}

// tenant answers the id of the tenant a new resource belongs to: the one given
// (id or name), else the actor's only one, else, for what may belong to the
// system, the system.
func tenantFor(ctx context.Context, tx operation.Tx, given string, system bool) (string, error) {
	who := actorOf(ctx)
	switch {
	case given == "" && !who.All() && len(who.Tenants) == 1:
		given = who.Tenants[0]
	case given == "" && who.All() && system:
		return slice.System, nil
	case given == "":
		return "", fault.Field("tenantId", "", "the id of a tenant this key acts for")
	case given == slice.System && who.All() && system:
		return slice.System, nil
	}
	r, err := tx.Get(ctx, slice.KindTenant, given)
	if fault.Is(err, fault.NotFound) {
		r, err = tx.ByName(ctx, slice.KindTenant, slice.System, "", given)
	}
	if fault.Is(err, fault.NotFound) || err == nil && !who.Acts(r.Head().ID) {
		return "", fault.Field("tenantId", given, "the id of a tenant this key acts for")
	}
	if err != nil {
		return "", err
	}
	if t, ok := r.(*slice.Tenant); ok && t.Suspended {
		return "", fault.New(fault.Forbidden, "tenant %q is suspended", t.Name)
	}
	return r.Head().ID, nil
}
