package rest

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/go-openapi/runtime/middleware"

	"github.com/osmoslice/osmoslice/api/restapi/operations"
	"github.com/osmoslice/osmoslice/api/restapi/operations/infrastructures"
	"github.com/osmoslice/osmoslice/internal/fulfilment"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// imported is the body of models.Inventory.
type imported struct {
	Nodes []slice.Node `json:"nodes"`
	Links []slice.Link `json:"links"`
}

// inventory assigns import and export of nodes and links.
func (a *api) inventory(o *operations.OsmosliceAPI) {
	o.InfrastructuresExportInventoryHandler = infrastructures.ExportInventoryHandlerFunc(func(p infrastructures.ExportInventoryParams, _ any) middleware.Responder {
		return a.export(p.HTTPRequest, p.InfrastructureID)
	})
	o.InfrastructuresImportInventoryHandler = infrastructures.ImportInventoryHandlerFunc(func(p infrastructures.ImportInventoryParams, _ any) middleware.Responder {
		r := p.HTTPRequest
		o, err := optionsOf(r, p.DryRun, func() (int64, error) { return a.inventoryRevision(r.Context(), p.InfrastructureID) })
		if err != nil {
			return a.fail(r, err)
		}
		return a.imports(r, p.InfrastructureID, is(p.Prune), o)
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
	names := map[string]string{} // of nodes
	var whole []slice.Resource
	for _, kind := range []slice.Kind{slice.KindNode, slice.KindLink} {
		name := string(kind)
		found, err := a.all(r.Context(), kind, id)
		if err != nil {
			return a.fail(r, err)
		}
		whole = append(whole, found...)
		of := a.shapes[modelOf[kind].definition]
		for _, x := range found {
			if x = byNames(x, names); kind == slice.KindNode {
				names[x.Head().ID] = x.Head().Name
			}
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
	body, err := json.Marshal(out)
	if err != nil {
		return a.fail(r, err)
	}
	return answer{status: http.StatusOK, body: body, etag: etagOf(fulfilment.InventoryRevision(whole))}
}

// inventoryRevision is that of an infrastructure's nodes and links together.
func (a *api) inventoryRevision(ctx context.Context, id string) (int64, error) {
	if _, err := a.deps.Reads.Get(ctx, slice.KindInfrastructure, id); err != nil {
		return 0, err
	}
	nodes, err := a.all(ctx, slice.KindNode, id)
	if err != nil {
		return 0, err
	}
	links, err := a.all(ctx, slice.KindLink, id)
	return fulfilment.InventoryRevision(append(nodes, links...)), err
}

// byNames is a link between nodes by their names, which mean the same wherever
// the export is imported.
func byNames(x slice.Resource, names map[string]string) slice.Resource {
	l, ok := x.(*slice.Link)
	if !ok || l.Level == "INFRASTRUCTURE" {
		return x
	}
	c := *l
	for _, end := range []*string{&c.From, &c.To} {
		if name := names[*end]; name != "" {
			*end = name
		}
	}
	return &c
}

// imports converges nodes, then links, by name: all of the body, or nothing.
func (a *api) imports(r *http.Request, id string, prune bool, o fulfilment.Options) middleware.Responder {
	in, err := noun[imported](r)
	if err != nil {
		return a.fail(r, err)
	}
	res, err := a.deps.Changes.Import(r.Context(), id, fulfilment.Inventory{Nodes: in.Nodes, Links: in.Links, Prune: prune}, o)
	if err != nil {
		return a.fail(r, err)
	}
	return a.json(r, http.StatusOK, res)
}
