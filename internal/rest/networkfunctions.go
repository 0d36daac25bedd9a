package rest

import (
	"github.com/go-openapi/runtime/middleware"

	"github.com/osmoslice/osmoslice/api/restapi/operations"
	networkfunctions "github.com/osmoslice/osmoslice/api/restapi/operations/network_functions"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// networkFunctions assigns the operations on network functions.
func (a *api) networkFunctions(o *operations.OsmosliceAPI) {
	o.NetworkFunctionsListNetworkFunctionsHandler = networkfunctions.ListNetworkFunctionsHandlerFunc(func(p networkfunctions.ListNetworkFunctionsParams, _ any) middleware.Responder {
		return a.list(p.HTTPRequest, slice.KindNetworkFunction, "", "", p.Limit)
	})
	o.NetworkFunctionsCreateNetworkFunctionHandler = networkfunctions.CreateNetworkFunctionHandlerFunc(func(p networkfunctions.CreateNetworkFunctionParams, _ any) middleware.Responder {
		x, err := noun[slice.NetworkFunction](p.HTTPRequest)
		return a.create(p.HTTPRequest, x, err, p.DryRun)
	})
	o.NetworkFunctionsGetNetworkFunctionHandler = networkfunctions.GetNetworkFunctionHandlerFunc(func(p networkfunctions.GetNetworkFunctionParams, _ any) middleware.Responder {
		return a.read(p.HTTPRequest, slice.KindNetworkFunction, p.NetworkFunctionID)
	})
	o.NetworkFunctionsPatchNetworkFunctionHandler = networkfunctions.PatchNetworkFunctionHandlerFunc(func(p networkfunctions.PatchNetworkFunctionParams, _ any) middleware.Responder {
		return a.patch(p.HTTPRequest, slice.KindNetworkFunction, p.NetworkFunctionID, p.DryRun)
	})
	o.NetworkFunctionsDeleteNetworkFunctionHandler = networkfunctions.DeleteNetworkFunctionHandlerFunc(func(p networkfunctions.DeleteNetworkFunctionParams, _ any) middleware.Responder {
		return a.remove(p.HTTPRequest, slice.KindNetworkFunction, p.NetworkFunctionID, p.DryRun, nil)
	})
}
