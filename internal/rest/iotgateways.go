package rest

import (
	"github.com/go-openapi/runtime/middleware"

	"github.com/osmoslice/osmoslice/api/restapi/operations"
	iotgateways "github.com/osmoslice/osmoslice/api/restapi/operations/iot_gateways"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// iotGateways assigns the operations on gateways.
func (a *api) iotGateways(o *operations.OsmosliceAPI) {
	o.IotGatewaysListIotGatewaysHandler = iotgateways.ListIotGatewaysHandlerFunc(func(p iotgateways.ListIotGatewaysParams, _ any) middleware.Responder {
		return a.list(p.HTTPRequest, slice.KindIoTGateway, "", "", p.Limit)
	})
	o.IotGatewaysListIotGatewaysOfIotSliceHandler = iotgateways.ListIotGatewaysOfIotSliceHandlerFunc(func(p iotgateways.ListIotGatewaysOfIotSliceParams, _ any) middleware.Responder {
		return a.list(p.HTTPRequest, slice.KindIoTGateway, slice.KindIoTSlice, p.IotSliceID, p.Limit)
	})
	o.IotGatewaysCreateIotGatewayHandler = iotgateways.CreateIotGatewayHandlerFunc(func(p iotgateways.CreateIotGatewayParams, _ any) middleware.Responder {
		x, err := noun[slice.Element](p.HTTPRequest)
		if err == nil {
			x.Slice, x.Element = p.IotSliceID, slice.Gateway
		}
		return a.create(p.HTTPRequest, x, err, p.DryRun)
	})
	o.IotGatewaysGetIotGatewayHandler = iotgateways.GetIotGatewayHandlerFunc(func(p iotgateways.GetIotGatewayParams, _ any) middleware.Responder {
		return a.read(p.HTTPRequest, slice.KindIoTGateway, p.IotGatewayID)
	})
	o.IotGatewaysPatchIotGatewayHandler = iotgateways.PatchIotGatewayHandlerFunc(func(p iotgateways.PatchIotGatewayParams, _ any) middleware.Responder {
		return a.patch(p.HTTPRequest, slice.KindIoTGateway, p.IotGatewayID, p.DryRun)
	})
	o.IotGatewaysDeleteIotGatewayHandler = iotgateways.DeleteIotGatewayHandlerFunc(func(p iotgateways.DeleteIotGatewayParams, _ any) middleware.Responder {
		return a.remove(p.HTTPRequest, slice.KindIoTGateway, p.IotGatewayID, p.DryRun, nil)
	})
}
