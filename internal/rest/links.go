package rest

import (
	"github.com/go-openapi/runtime/middleware"

	"github.com/osmoslice/osmoslice/api/restapi/operations"
	"github.com/osmoslice/osmoslice/api/restapi/operations/links"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// links assigns the operations on links below an infrastructure.
func (a *api) links(o *operations.OsmosliceAPI) {
	o.LinksListLinksHandler = links.ListLinksHandlerFunc(func(p links.ListLinksParams, _ any) middleware.Responder {
		return a.list(p.HTTPRequest, slice.KindLink, slice.KindInfrastructure, p.InfrastructureID, p.Limit)
	})
	o.LinksCreateLinkHandler = links.CreateLinkHandlerFunc(func(p links.CreateLinkParams, _ any) middleware.Responder {
		x, err := noun[slice.Link](p.HTTPRequest)
		if err == nil {
			x.Infrastructure = p.InfrastructureID
		}
		return a.create(p.HTTPRequest, x, err, p.DryRun)
	})
	o.LinksGetLinkHandler = links.GetLinkHandlerFunc(func(p links.GetLinkParams, _ any) middleware.Responder {
		if err := a.below(p.HTTPRequest, slice.KindLink, p.InfrastructureID, p.LinkID); err != nil {
			return a.fail(p.HTTPRequest, err)
		}
		return a.read(p.HTTPRequest, slice.KindLink, p.LinkID)
	})
	o.LinksPatchLinkHandler = links.PatchLinkHandlerFunc(func(p links.PatchLinkParams, _ any) middleware.Responder {
		if err := a.below(p.HTTPRequest, slice.KindLink, p.InfrastructureID, p.LinkID); err != nil {
			return a.fail(p.HTTPRequest, err)
		}
		return a.patch(p.HTTPRequest, slice.KindLink, p.LinkID, p.DryRun)
	})
	o.LinksDeleteLinkHandler = links.DeleteLinkHandlerFunc(func(p links.DeleteLinkParams, _ any) middleware.Responder {
		if err := a.below(p.HTTPRequest, slice.KindLink, p.InfrastructureID, p.LinkID); err != nil {
			return a.fail(p.HTTPRequest, err)
		}
		return a.remove(p.HTTPRequest, slice.KindLink, p.LinkID, p.DryRun, nil)
	})
}
