package rest

import (
	"github.com/go-openapi/runtime/middleware"

	"github.com/osmoslice/osmoslice/api/restapi/operations"
	"github.com/osmoslice/osmoslice/api/restapi/operations/infrastructures"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// infrastructures assigns the operations on places.
func (a *api) infrastructures(o *operations.OsmosliceAPI) {
	o.InfrastructuresListInfrastructuresHandler = infrastructures.ListInfrastructuresHandlerFunc(func(p infrastructures.ListInfrastructuresParams, _ any) middleware.Responder {
		return a.list(p.HTTPRequest, slice.KindInfrastructure, "", "", p.Limit)
	})
	o.InfrastructuresCreateInfrastructureHandler = infrastructures.CreateInfrastructureHandlerFunc(func(p infrastructures.CreateInfrastructureParams, _ any) middleware.Responder {
		x, err := noun[slice.Infrastructure](p.HTTPRequest)
		return a.create(p.HTTPRequest, x, err, p.DryRun)
	})
	o.InfrastructuresConvergeInfrastructureHandler = infrastructures.ConvergeInfrastructureHandlerFunc(func(p infrastructures.ConvergeInfrastructureParams, _ any) middleware.Responder {
		x, err := noun[slice.Infrastructure](p.HTTPRequest)
		return a.converge(p.HTTPRequest, x, err, p.DryRun)
	})
	o.InfrastructuresGetInfrastructureHandler = infrastructures.GetInfrastructureHandlerFunc(func(p infrastructures.GetInfrastructureParams, _ any) middleware.Responder {
		return a.read(p.HTTPRequest, slice.KindInfrastructure, p.InfrastructureID)
	})
	o.InfrastructuresPatchInfrastructureHandler = infrastructures.PatchInfrastructureHandlerFunc(func(p infrastructures.PatchInfrastructureParams, _ any) middleware.Responder {
		return a.patch(p.HTTPRequest, slice.KindInfrastructure, p.InfrastructureID, p.DryRun)
	})
	o.InfrastructuresDeleteInfrastructureHandler = infrastructures.DeleteInfrastructureHandlerFunc(func(p infrastructures.DeleteInfrastructureParams, _ any) middleware.Responder {
		return a.remove(p.HTTPRequest, slice.KindInfrastructure, p.InfrastructureID, p.DryRun, p.Cascade)
	})
}
