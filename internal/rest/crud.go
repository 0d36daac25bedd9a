package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"strconv"

	"github.com/go-openapi/runtime/middleware"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/fulfilment"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/rest/filter"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// What every kind of resource has in common. Handlers of the tags choose among
// these.

// read answers one resource.
func (a *api) read(r *http.Request, kind slice.Kind, id string) middleware.Responder {
	s, err := parseSelector(r, a.shapes[modelOf[kind].definition])
	if err != nil {
		return a.fail(r, err)
	}
	x, err := a.deps.Reads.Get(r.Context(), kind, id)
	if err != nil {
		return a.fail(r, err)
	}
	return a.representation(r, x, x.Head().Revision, s)
}

// representation answers 304, or v projected by s.
func (a *api) representation(r *http.Request, v any, revision int64, s selector) middleware.Responder {
	n := answer{status: http.StatusOK, etag: etagOf(revision)}
	same, err := notModified(r, revision)
	if err != nil {
		return a.fail(r, err)
	}
	if same {
		n.status = http.StatusNotModified
		return n
	}
	if n.body, err = json.Marshal(v); err == nil {
		n.body, err = s.apply(n.body)
	}
	if err != nil {
		return a.fail(r, err)
	}
	return n
}

// below answers one resource if it is below parent.
func (a *api) below(r *http.Request, kind slice.Kind, parent, id string) error {
	x, err := a.deps.Reads.Get(r.Context(), kind, id)
	if err == nil && x.Parent() != parent {
		err = fault.Absent(string(kind), id)
	}
	return err
}

// list answers a page; parent "" is the whole collection.
func (a *api) list(r *http.Request, kind slice.Kind, parentKind slice.Kind, parent string, limit *int64) middleware.Responder {
	s, err := parseSelector(r, a.shapes[modelOf[kind].definition])
	if err != nil {
		return a.fail(r, err)
	}
	q, err := a.query(r, kind, limit)
	if err != nil {
		return a.fail(r, err)
	}
	if q.Parent = parent; parent != "" {
		if _, err := a.deps.Reads.Get(r.Context(), parentKind, parent); err != nil {
			return a.fail(r, err)
		}
	}
	p, err := a.deps.Reads.List(r.Context(), q)
	if err != nil {
		return a.fail(r, err)
	}
	return page(a, r, p.Resources, p.Next, s)
}

// query reads filter, marker, limit and tenant.
func (a *api) query(r *http.Request, kind slice.Kind, limit *int64) (q operation.Query, err error) {
	q = operation.Query{Kind: kind, Limit: 100}
	if limit != nil {
		q.Limit = int(*limit)
	}
	if r.URL.RawQuery != "" {
		v := r.URL.Query()
		q.After = v.Get("nextpage_opaque_marker")
		if q.Filter, err = filter.Parse(v.Get("filter")); err != nil {
			return q, err
		}
	}
	tenant, err := a.tenantOf(r, "")
	if err == nil && tenant != "" {
		q.Tenants = []string{tenant}
	}
	return q, err
}

// page answers a list as one JSON array, with the link to the next page.
func page[T any](a *api, r *http.Request, items []T, next string, s selector) middleware.Responder {
	var b bytes.Buffer
	b.Grow(512 * (len(items) + 1))
	b.WriteByte('[')
	for i := range items {
		one, err := json.Marshal(items[i])
		if err == nil {
			one, err = s.apply(one)
		}
		if err != nil {
			return a.fail(r, err)
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(one)
	}
	b.WriteByte(']')
	return answer{status: http.StatusOK, body: b.Bytes(), link: nextLink(r, next)}
}

func nextLink(r *http.Request, next string) string {
	if next == "" {
		return ""
	}
	q := r.URL.Query()
	q.Set("nextpage_opaque_marker", next)
	return "<" + (&url.URL{Path: r.URL.Path, RawQuery: q.Encode()}).String() + `>; rel="next"`
}

// create stores a resource made of the body.
func (a *api) create(r *http.Request, x slice.Resource, err error, dryRun *bool) middleware.Responder {
	if err != nil {
		return a.fail(r, err)
	}
	if x.Head().Tenant, err = ownerOf(r, x.Head().Tenant); err != nil {
		return a.fail(r, err)
	}
	o, err := a.options(r, x.Kind(), "", dryRun)
	if err != nil {
		return a.fail(r, err)
	}
	res, err := a.deps.Changes.Create(r.Context(), x, o)
	if err == nil && o.DryRun && res.Resource == nil {
		res.Resource = x
	}
	return a.changed(r, res, err)
}

// patch changes a resource by a merge patch.
func (a *api) patch(r *http.Request, kind slice.Kind, id string, dryRun *bool) middleware.Responder {
	change, err := a.mergePatch(kind, callOf(r).body)
	if err != nil {
		return a.fail(r, err)
	}
	o, err := a.options(r, kind, id, dryRun)
	if err != nil {
		return a.fail(r, err)
	}
	res, err := a.deps.Changes.Patch(r.Context(), kind, id, change, o)
	if err == nil && o.DryRun && res.Resource == nil {
		if res.Resource, err = a.deps.Reads.Get(r.Context(), kind, id); err == nil {
			err = change(res.Resource)
		}
	}
	return a.changed(r, res, err)
}

// remove deletes a resource.
func (a *api) remove(r *http.Request, kind slice.Kind, id string, dryRun, cascade *bool) middleware.Responder {
	o, err := a.options(r, kind, id, dryRun)
	if err != nil {
		return a.fail(r, err)
	}
	o.Cascade = cascade != nil && *cascade
	res, err := a.deps.Changes.Delete(r.Context(), kind, id, o)
	return a.removed(r, res, err)
}

// converge makes the resource of that name be as x says: it is created or
// changed. more narrows the name (a product's version).
func (a *api) converge(r *http.Request, x slice.Resource, err error, dryRun *bool, more ...operation.Condition) middleware.Responder {
	if err != nil {
		return a.fail(r, err)
	}
	if x.Head().Tenant, err = a.tenantOf(r, x.Head().Tenant); err != nil {
		return a.fail(r, err)
	}
	for range 3 { // someone may create or delete it in between
		there, err := a.named(r.Context(), x, more)
		if err != nil {
			return a.fail(r, err)
		}
		o, err := a.optionsFor(r, there, x.Kind(), dryRun)
		if err != nil {
			return a.fail(r, err)
		}
		if there == nil {
			res, err := a.deps.Changes.Create(r.Context(), x, o)
			if fault.Is(err, fault.Conflict) {
				continue
			}
			return a.changed(r, res, err)
		}
		res, err := a.deps.Changes.Patch(r.Context(), x.Kind(), there.Head().ID, replace(x), o)
		if !fault.Is(err, fault.NotFound) {
			return a.changed(r, res, err)
		}
	}
	return a.fail(r, fault.New(fault.Conflict, "others change %s at the same time", x.Head().Name).Retrying(fault.Now))
}

// replace is the Patch that keeps identity and takes everything else from want;
// the use case keeps what the service knows.
func replace(want slice.Resource) fulfilment.Patch {
	return func(x slice.Resource) error {
		meta := *x.Head()
		meta.Description, meta.Labels = want.Head().Description, want.Head().Labels
		reflect.ValueOf(x).Elem().Set(reflect.ValueOf(want).Elem())
		*x.Head() = meta
		return nil
	}
}

// named finds the resource of x's name and owner, or nil.
func (a *api) named(ctx context.Context, x slice.Resource, more []operation.Condition) (slice.Resource, error) {
	q := operation.Query{
		Kind: x.Kind(), Parent: x.Parent(), Limit: 2,
		Filter: append([]operation.Condition{{Op: "eq", Attr: "name", Values: []string{x.Head().Name}}}, more...),
	}
	if t := x.Head().Tenant; t != "" {
		q.Tenants = []string{t}
	}
	p, err := a.deps.Reads.List(ctx, q)
	switch {
	case err != nil || len(p.Resources) == 0:
		return nil, err
	case len(p.Resources) > 1:
		return nil, fault.New(fault.Invalid, "several tenants have one of this name").
			With("X-Tenant", "", "the tenant that is meant; "+strconv.Quote(x.Head().Name)+" is not enough")
	}
	return p.Resources[0], nil
}
