package rest

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-openapi/runtime/middleware"

	"github.com/osmoslice/osmoslice/api/restapi/operations"
	"github.com/osmoslice/osmoslice/api/restapi/operations/infrastructures"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/fulfilment"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// imported is the body of models.Inventory.
type imported struct {
	Nodes []slice.Node `json:"nodes"`
	Links []slice.Link `json:"links"`
}

// inventoryResult is models.InventoryResult as it is written.
type inventoryResult struct {
	Created   int `json:"created"`
	Updated   int `json:"updated"`
	Unchanged int `json:"unchanged"`
	Deleted   int `json:"deleted"`
}

// inventory assigns import and export of nodes and links.
func (a *api) inventory(o *operations.OsmosliceAPI) {
	o.InfrastructuresExportInventoryHandler = infrastructures.ExportInventoryHandlerFunc(func(p infrastructures.ExportInventoryParams, _ any) middleware.Responder {
		return a.export(p.HTTPRequest, p.InfrastructureID)
	})
	o.InfrastructuresImportInventoryHandler = infrastructures.ImportInventoryHandlerFunc(func(p infrastructures.ImportInventoryParams, _ any) middleware.Responder {
		return a.imports(p.HTTPRequest, p.InfrastructureID, is(p.Prune), fulfilment.Options{DryRun: is(p.DryRun)})
	})
}

// all answers every resource of a kind below an infrastructure.
func (a *api) all(ctx context.Context, kind slice.Kind, parent string) ([]slice.Resource, error) {
	var out []slice.Resource
	q := operation.Query{Kind: kind, Parent: parent, Limit: 1000}
	for {
		p, err := a.deps.Reads.List(ctx, q)
		if err != nil {
			return nil, err
		}
		out = append(out, p.Resources...)
		if p.Next == "" {
			return out, nil
		}
		q.After = p.Next
	}
}

// export answers what an import takes: no field that the service writes.
func (a *api) export(r *http.Request, id string) middleware.Responder {
	if _, err := a.deps.Reads.Get(r.Context(), slice.KindInfrastructure, id); err != nil {
		return a.fail(r, err)
	}
	out := map[string][]map[string]any{"nodes": {}, "links": {}}
	for name, kind := range map[string]slice.Kind{"nodes": slice.KindNode, "links": slice.KindLink} {
		found, err := a.all(r.Context(), kind, id)
		if err != nil {
			return a.fail(r, err)
		}
		of := a.shapes[modelOf[kind].definition]
		for _, x := range found {
			doc, err := json.Marshal(x)
			var fields map[string]any
			if err == nil {
				dec := json.NewDecoder(strings.NewReader(string(doc)))
				dec.UseNumber()
				err = dec.Decode(&fields)
			}
			if err != nil {
				return a.fail(r, err)
			}
			for field := range fields {
				if of.Props[field].ReadOnly || field == "tenantId" {
					delete(fields, field)
				}
			}
			out[name] = append(out[name], fields)
		}
	}
	return a.json(r, http.StatusOK, out)
}

// imports converges nodes, then links, by name. It is not one transaction: what
// was done before a failure stays, and repeating the import goes on.
func (a *api) imports(r *http.Request, id string, prune bool, o fulfilment.Options) middleware.Responder {
	in, err := noun[imported](r)
	if err != nil {
		return a.fail(r, err)
	}
	ctx := r.Context()
	if _, err := a.deps.Reads.Get(ctx, slice.KindInfrastructure, id); err != nil {
		return a.fail(r, err)
	}
	var res inventoryResult
	nodes, links := make([]slice.Resource, len(in.Nodes)), make([]slice.Resource, len(in.Links))
	for i := range in.Nodes {
		in.Nodes[i].Infrastructure = id
		nodes[i] = &in.Nodes[i]
	}
	for i := range in.Links {
		in.Links[i].Infrastructure = id
		if in.Links[i].Name == "" {
			in.Links[i].Name = in.Links[i].From + ">" + in.Links[i].To
		}
		links[i] = &in.Links[i]
	}
	if err = a.importKind(ctx, slice.KindNode, "nodes", id, nodes, prune, o, &res); err == nil {
		err = a.importKind(ctx, slice.KindLink, "links", id, links, prune, o, &res)
	}
	if err != nil {
		return a.fail(r, err)
	}
	return a.json(r, http.StatusOK, res)
}

func (a *api) importKind(ctx context.Context, kind slice.Kind, field, parent string, want []slice.Resource, prune bool, o fulfilment.Options, res *inventoryResult) error {
	have, err := a.all(ctx, kind, parent)
	if err != nil {
		return err
	}
	byName := make(map[string]slice.Resource, len(have))
	for _, x := range have {
		byName[x.Head().Name] = x
	}
	named := make(map[string]bool, len(want))
	for i, x := range want {
		name := x.Head().Name
		at := field + "/" + strconv.Itoa(i)
		if named[name] {
			return fault.Field(at+"/name", name, "each name once")
		}
		named[name] = true
		if err := a.importOne(ctx, x, byName[name], o, res); err != nil {
			return placed(err, at)
		}
	}
	for name, x := range byName {
		if !prune || named[name] {
			continue
		}
		if _, err := a.deps.Changes.Delete(ctx, kind, x.Head().ID, o); err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		res.Deleted++
	}
	return nil
}

func (a *api) importOne(ctx context.Context, want, have slice.Resource, o fulfilment.Options, res *inventoryResult) error {
	if have == nil {
		_, err := a.deps.Changes.Create(ctx, want, o)
		res.Created++
		return err
	}
	if unchanged(have, want) {
		res.Unchanged++
		return nil
	}
	_, err := a.deps.Changes.Patch(ctx, have.Kind(), have.Head().ID, replace(want), o)
	res.Updated++
	return err
}

// unchanged reports whether replacing have by want would change what a caller
// may write.
func unchanged(have, want slice.Resource) bool {
	after := reflect.New(reflect.TypeOf(have).Elem())
	after.Elem().Set(reflect.ValueOf(have).Elem())
	x, _ := after.Interface().(slice.Resource)
	if replace(want)(x) != nil {
		return false
	}
	// What the service knows of it is not the caller's to change.
	switch x := x.(type) {
	case *slice.Node:
		if was, ok := have.(*slice.Node); ok {
			x.State, x.Cause, x.Origin = was.State, was.Cause, was.Origin
		}
	case *slice.Link:
		if was, ok := have.(*slice.Link); ok && x.Level == "" {
			x.Level = was.Level
		}
	}
	return reflect.DeepEqual(x, have)
}

// placed puts the fields of a fault below a path.
func placed(err error, at string) error {
	f := fault.Of(err)
	out := *f
	out.Params = nil
	for _, p := range f.Params {
		p.Field = at + "/" + p.Field
		out.Params = append(out.Params, p)
	}
	if len(out.Params) == 0 && out.Kind != fault.Internal {
		out.Params = []fault.Param{{Field: at, Allowed: f.Detail}}
	}
	return &out
}
