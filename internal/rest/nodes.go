package rest

import (
	"github.com/go-openapi/runtime/middleware"

	"github.com/osmoslice/osmoslice/api/restapi/operations"
	"github.com/osmoslice/osmoslice/api/restapi/operations/nodes"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// nodes assigns the operations on nodes below an infrastructure.
func (a *api) nodes(o *operations.OsmosliceAPI) {
	o.NodesListNodesHandler = nodes.ListNodesHandlerFunc(func(p nodes.ListNodesParams, _ any) middleware.Responder {
		return a.list(p.HTTPRequest, slice.KindNode, slice.KindInfrastructure, p.InfrastructureID, p.Limit)
	})
	o.NodesCreateNodeHandler = nodes.CreateNodeHandlerFunc(func(p nodes.CreateNodeParams, _ any) middleware.Responder {
		x, err := noun[slice.Node](p.HTTPRequest)
		if err == nil {
			x.Infrastructure = p.InfrastructureID
		}
		return a.create(p.HTTPRequest, x, err, p.DryRun)
	})
	o.NodesGetNodeHandler = nodes.GetNodeHandlerFunc(func(p nodes.GetNodeParams, _ any) middleware.Responder {
		if err := a.below(p.HTTPRequest, slice.KindNode, p.InfrastructureID, p.NodeID); err != nil {
			return a.fail(p.HTTPRequest, err)
		}
		return a.read(p.HTTPRequest, slice.KindNode, p.NodeID)
	})
	o.NodesPatchNodeHandler = nodes.PatchNodeHandlerFunc(func(p nodes.PatchNodeParams, _ any) middleware.Responder {
		if err := a.below(p.HTTPRequest, slice.KindNode, p.InfrastructureID, p.NodeID); err != nil {
			return a.fail(p.HTTPRequest, err)
		}
		return a.patch(p.HTTPRequest, slice.KindNode, p.NodeID, p.DryRun)
	})
	o.NodesDeleteNodeHandler = nodes.DeleteNodeHandlerFunc(func(p nodes.DeleteNodeParams, _ any) middleware.Responder {
		if err := a.below(p.HTTPRequest, slice.KindNode, p.InfrastructureID, p.NodeID); err != nil {
			return a.fail(p.HTTPRequest, err)
		}
		return a.remove(p.HTTPRequest, slice.KindNode, p.NodeID, p.DryRun, nil)
	})
}
