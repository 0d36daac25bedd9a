package rest

import (
	"github.com/go-openapi/runtime/middleware"

	"github.com/osmoslice/osmoslice/api/restapi/operations"
	iotservers "github.com/osmoslice/osmoslice/api/restapi/operations/iot_servers"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// iotServers assigns the operations on servers.
func (a *api) iotServers(o *operations.OsmosliceAPI) {
	o.IotServersListIotServersHandler = iotservers.ListIotServersHandlerFunc(func(p iotservers.ListIotServersParams, _ any) middleware.Responder {
		return a.list(p.HTTPRequest, slice.KindIoTServer, "", "", p.Limit)
	})
	o.IotServersListIotServersOfIotSliceHandler = iotservers.ListIotServersOfIotSliceHandlerFunc(func(p iotservers.ListIotServersOfIotSliceParams, _ any) middleware.Responder {
		return a.list(p.HTTPRequest, slice.KindIoTServer, slice.KindIoTSlice, p.IotSliceID, p.Limit)
	})
	o.IotServersCreateIotServerHandler = iotservers.CreateIotServerHandlerFunc(func(p iotservers.CreateIotServerParams, _ any) middleware.Responder {
		x, err := noun[slice.Element](p.HTTPRequest)
		if err == nil {
			x.Slice, x.Element = p.IotSliceID, slice.Server
		}
		return a.create(p.HTTPRequest, x, err, p.DryRun)
	})
	o.IotServersGetIotServerHandler = iotservers.GetIotServerHandlerFunc(func(p iotservers.GetIotServerParams, _ any) middleware.Responder {
		return a.read(p.HTTPRequest, slice.KindIoTServer, p.IotServerID)
	})
	o.IotServersPatchIotServerHandler = iotservers.PatchIotServerHandlerFunc(func(p iotservers.PatchIotServerParams, _ any) middleware.Responder {
		return a.patch(p.HTTPRequest, slice.KindIoTServer, p.IotServerID, p.DryRun)
	})
	o.IotServersDeleteIotServerHandler = iotservers.DeleteIotServerHandlerFunc(func(p iotservers.DeleteIotServerParams, _ any) middleware.Responder {
		return a.remove(p.HTTPRequest, slice.KindIoTServer, p.IotServerID, p.DryRun, nil)
	})
}
