package rest

import (
	"github.com/go-openapi/runtime/middleware"

	"github.com/osmoslice/osmoslice/api/restapi/operations"
	iotdevices "github.com/osmoslice/osmoslice/api/restapi/operations/iot_devices"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// iotDevices assigns the operations on single devices.
func (a *api) iotDevices(o *operations.OsmosliceAPI) {
	o.IotDevicesListIotDevicesHandler = iotdevices.ListIotDevicesHandlerFunc(func(p iotdevices.ListIotDevicesParams, _ any) middleware.Responder {
		return a.list(p.HTTPRequest, slice.KindIoTDevice, "", "", p.Limit)
	})
	o.IotDevicesListIotDevicesOfIotSliceHandler = iotdevices.ListIotDevicesOfIotSliceHandlerFunc(func(p iotdevices.ListIotDevicesOfIotSliceParams, _ any) middleware.Responder {
		return a.list(p.HTTPRequest, slice.KindIoTDevice, slice.KindIoTSlice, p.IotSliceID, p.Limit)
	})
	o.IotDevicesCreateIotDeviceHandler = iotdevices.CreateIotDeviceHandlerFunc(func(p iotdevices.CreateIotDeviceParams, _ any) middleware.Responder {
		x, err := noun[slice.Device](p.HTTPRequest)
		if err == nil {
			x.Slice = p.IotSliceID
		}
		return a.create(p.HTTPRequest, x, err, p.DryRun)
	})
	o.IotDevicesGetIotDeviceHandler = iotdevices.GetIotDeviceHandlerFunc(func(p iotdevices.GetIotDeviceParams, _ any) middleware.Responder {
		return a.read(p.HTTPRequest, slice.KindIoTDevice, p.IotDeviceID)
	})
	o.IotDevicesPatchIotDeviceHandler = iotdevices.PatchIotDeviceHandlerFunc(func(p iotdevices.PatchIotDeviceParams, _ any) middleware.Responder {
		return a.patch(p.HTTPRequest, slice.KindIoTDevice, p.IotDeviceID, p.DryRun)
	})
	o.IotDevicesDeleteIotDeviceHandler = iotdevices.DeleteIotDeviceHandlerFunc(func(p iotdevices.DeleteIotDeviceParams, _ any) middleware.Responder {
		return a.remove(p.HTTPRequest, slice.KindIoTDevice, p.IotDeviceID, p.DryRun, nil)
	})
}
