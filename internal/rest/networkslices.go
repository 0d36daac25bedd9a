package rest

import (
	"github.com/go-openapi/runtime/middleware"

	"github.com/osmoslice/osmoslice/api/restapi/operations"
	networkslices "github.com/osmoslice/osmoslice/api/restapi/operations/network_slices"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// networkSlices assigns the operations on 3GPP network slices.
func (a *api) networkSlices(o *operations.OsmosliceAPI) {
	o.NetworkSlicesListNetworkSlicesHandler = networkslices.ListNetworkSlicesHandlerFunc(func(p networkslices.ListNetworkSlicesParams, _ any) middleware.Responder {
		return a.list(p.HTTPRequest, slice.KindNetworkSlice, "", "", p.Limit)
	})
	o.NetworkSlicesCreateNetworkSliceHandler = networkslices.CreateNetworkSliceHandlerFunc(func(p networkslices.CreateNetworkSliceParams, _ any) middleware.Responder {
		x, err := noun[slice.NetworkSlice](p.HTTPRequest)
		return a.create(p.HTTPRequest, x, err, p.DryRun)
	})
	o.NetworkSlicesGetNetworkSliceHandler = networkslices.GetNetworkSliceHandlerFunc(func(p networkslices.GetNetworkSliceParams, _ any) middleware.Responder {
		return a.read(p.HTTPRequest, slice.KindNetworkSlice, p.NetworkSliceID)
	})
	o.NetworkSlicesPatchNetworkSliceHandler = networkslices.PatchNetworkSliceHandlerFunc(func(p networkslices.PatchNetworkSliceParams, _ any) middleware.Responder {
		return a.patch(p.HTTPRequest, slice.KindNetworkSlice, p.NetworkSliceID, p.DryRun)
	})
	o.NetworkSlicesDeleteNetworkSliceHandler = networkslices.DeleteNetworkSliceHandlerFunc(func(p networkslices.DeleteNetworkSliceParams, _ any) middleware.Responder {
		return a.remove(p.HTTPRequest, slice.KindNetworkSlice, p.NetworkSliceID, p.DryRun, p.Cascade)
	})
}
