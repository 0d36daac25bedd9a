package rest

import (
	"github.com/go-openapi/runtime/middleware"

	"github.com/osmoslice/osmoslice/api/restapi/operations"
	"github.com/osmoslice/osmoslice/api/restapi/operations/tenants"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// tenants assigns the operations on customer organisations.
func (a *api) tenants(o *operations.OsmosliceAPI) {
	o.TenantsListTenantsHandler = tenants.ListTenantsHandlerFunc(func(p tenants.ListTenantsParams, _ any) middleware.Responder {
		return a.list(p.HTTPRequest, slice.KindTenant, "", "", p.Limit)
	})
	o.TenantsCreateTenantHandler = tenants.CreateTenantHandlerFunc(func(p tenants.CreateTenantParams, _ any) middleware.Responder {
		x, err := noun[slice.Tenant](p.HTTPRequest)
		return a.create(p.HTTPRequest, x, err, p.DryRun)
	})
	o.TenantsConvergeTenantHandler = tenants.ConvergeTenantHandlerFunc(func(p tenants.ConvergeTenantParams, _ any) middleware.Responder {
		x, err := noun[slice.Tenant](p.HTTPRequest)
		return a.converge(p.HTTPRequest, x, err, p.DryRun)
	})
	o.TenantsGetTenantHandler = tenants.GetTenantHandlerFunc(func(p tenants.GetTenantParams, _ any) middleware.Responder {
		return a.read(p.HTTPRequest, slice.KindTenant, p.TenantID)
	})
	o.TenantsPatchTenantHandler = tenants.PatchTenantHandlerFunc(func(p tenants.PatchTenantParams, _ any) middleware.Responder {
		return a.patch(p.HTTPRequest, slice.KindTenant, p.TenantID, p.DryRun)
	})
	o.TenantsDeleteTenantHandler = tenants.DeleteTenantHandlerFunc(func(p tenants.DeleteTenantParams, _ any) middleware.Responder {
		return a.remove(p.HTTPRequest, slice.KindTenant, p.TenantID, p.DryRun, nil)
	})
}
