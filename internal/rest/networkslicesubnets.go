package rest

import (
	"github.com/go-openapi/runtime/middleware"

	"github.com/osmoslice/osmoslice/api/restapi/operations"
	networkslicesubnets "github.com/osmoslice/osmoslice/api/restapi/operations/network_slice_subnets"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// networkSliceSubnets assigns the operations on access, transport and core parts.
func (a *api) networkSliceSubnets(o *operations.OsmosliceAPI) {
	o.NetworkSliceSubnetsListNetworkSliceSubnetsHandler = networkslicesubnets.ListNetworkSliceSubnetsHandlerFunc(func(p networkslicesubnets.ListNetworkSliceSubnetsParams, _ any) middleware.Responder {
		return a.list(p.HTTPRequest, slice.KindNetworkSliceSubnet, "", "", p.Limit)
	})
	o.NetworkSliceSubnetsCreateNetworkSliceSubnetHandler = networkslicesubnets.CreateNetworkSliceSubnetHandlerFunc(func(p networkslicesubnets.CreateNetworkSliceSubnetParams, _ any) middleware.Responder {
		x, err := noun[slice.NetworkSliceSubnet](p.HTTPRequest)
		return a.create(p.HTTPRequest, x, err, p.DryRun)
	})
	o.NetworkSliceSubnetsGetNetworkSliceSubnetHandler = networkslicesubnets.GetNetworkSliceSubnetHandlerFunc(func(p networkslicesubnets.GetNetworkSliceSubnetParams, _ any) middleware.Responder {
		return a.read(p.HTTPRequest, slice.KindNetworkSliceSubnet, p.NetworkSliceSubnetID)
	})
	o.NetworkSliceSubnetsPatchNetworkSliceSubnetHandler = networkslicesubnets.PatchNetworkSliceSubnetHandlerFunc(func(p networkslicesubnets.PatchNetworkSliceSubnetParams, _ any) middleware.Responder {
		return a.patch(p.HTTPRequest, slice.KindNetworkSliceSubnet, p.NetworkSliceSubnetID, p.DryRun)
	})
	o.NetworkSliceSubnetsDeleteNetworkSliceSubnetHandler = networkslicesubnets.DeleteNetworkSliceSubnetHandlerFunc(func(p networkslicesubnets.DeleteNetworkSliceSubnetParams, _ any) middleware.Responder {
		return a.remove(p.HTTPRequest, slice.KindNetworkSliceSubnet, p.NetworkSliceSubnetID, p.DryRun, nil)
	})
}
