package rest

import (
	"context"
	"net/http"

	"github.com/osmoslice/osmoslice/internal/actor"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// ownerOf answers the tenant, by id or name, that a new resource is for:
// X-Tenant, or the body's tenantId; "" when the call says neither, which leaves
// it to the key. The use case checks it.
func ownerOf(r *http.Request, inBody string) (string, error) {
	all := r.Header.Values("X-Tenant")
	switch {
	case len(all) == 0:
		return inBody, nil
	case len(all) > 1 || !clean(all[0]):
		return "", fault.New(fault.Malformed, "X-Tenant is not valid").With("X-Tenant", all[0], "one id or name of a tenant")
	case inBody != "" && inBody != all[0]:
		return "", fault.Field("tenantId", inBody, "nothing, or the tenant of X-Tenant")
	}
	return all[0], nil
}

// tenantOf is ownerOf, resolved to the id of a tenant the key acts for.
func (a *api) tenantOf(r *http.Request, inBody string) (string, error) {
	ref, err := ownerOf(r, inBody)
	if err != nil {
		return "", err
	}
	return a.resolveTenant(r.Context(), ref, "X-Tenant")
}

// resolveTenant answers the id of a tenant named by id or name. One that the
// actor may not act for is absent.
func (a *api) resolveTenant(ctx context.Context, ref, field string) (string, error) {
	who := actor.Of(ctx)
	if ref == "" || ref == slice.System && who.All() || !who.All() && who.Acts(ref) {
		return ref, nil
	}
	x, err := a.deps.Reads.Get(ctx, slice.KindTenant, ref)
	if fault.Is(err, fault.NotFound) {
		var p []slice.Resource
		if p, err = a.tenantsNamed(ctx, ref); len(p) == 1 {
			x = p[0]
		}
	}
	switch {
	case err != nil:
		return "", err
	case x == nil || !who.Acts(x.Head().ID):
		return "", fault.Absent("tenant", ref).With(field, ref, "the id or name of a tenant the key acts for")
	}
	return x.Head().ID, nil
}

func (a *api) tenantsNamed(ctx context.Context, name string) ([]slice.Resource, error) {
	p, err := a.deps.Reads.List(ctx, operation.Query{
		Kind: slice.KindTenant, Limit: 2,
		Filter: []operation.Condition{{Op: "eq", Attr: "name", Values: []string{name}}},
	})
	return p.Resources, err
}
