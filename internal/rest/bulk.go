package rest

import (
	"net/http"

	"github.com/go-openapi/runtime/middleware"

	"github.com/osmoslice/osmoslice/api/restapi/operations"
	iotdevices "github.com/osmoslice/osmoslice/api/restapi/operations/iot_devices"
	"github.com/osmoslice/osmoslice/internal/fulfilment"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/models"
)

// deviceBulk is the body of models.DeviceBulk.
type deviceBulk struct {
	Devices []slice.Device `json:"iotDevices"`
}

// bulkResult is models.DeviceBulkResult as it is written.
type bulkResult struct {
	Devices     []slice.Resource `json:"iotDevices,omitempty"`
	Operation   string           `json:"lcmOpOccId,omitempty"`
	Credentials []credential     `json:"credentials,omitempty"`
	Plan        *models.Plan     `json:"dryRunPlan,omitempty"`
}

// bulk assigns what is done to many devices at once, all or none.
func (a *api) bulk(o *operations.OsmosliceAPI) {
	o.IotDevicesCreateIotDevicesBulkHandler = iotdevices.CreateIotDevicesBulkHandlerFunc(func(p iotdevices.CreateIotDevicesBulkParams, _ any) middleware.Responder {
		b, err := noun[deviceBulk](p.HTTPRequest)
		if err != nil {
			return a.fail(p.HTTPRequest, err)
		}
		res, err := a.deps.Orders.AddDevices(p.HTTPRequest.Context(), p.IotSliceID, b.Devices, fulfilment.Options{DryRun: is(p.DryRun)})
		return a.bulked(p.HTTPRequest, res, err, http.StatusCreated)
	})
	o.IotDevicesDeleteIotDevicesBulkHandler = iotdevices.DeleteIotDevicesBulkHandlerFunc(func(p iotdevices.DeleteIotDevicesBulkParams, _ any) middleware.Responder {
		res, err := a.deps.Orders.RemoveDevices(p.HTTPRequest.Context(), p.IotSliceID, p.Body.IotDevices, fulfilment.Options{DryRun: is(p.DryRun)})
		return a.bulked(p.HTTPRequest, res, err, http.StatusOK)
	})
}

// bulked answers a bulk call; done is its status when nothing is left to do.
func (a *api) bulked(r *http.Request, res fulfilment.Result, err error, done int) middleware.Responder {
	if err != nil {
		return a.fail(r, err)
	}
	body := bulkResult{Devices: res.Resources}
	if res.Preview != nil {
		body.Plan = plan(res.Preview)
		return a.json(r, http.StatusOK, body)
	}
	n := answer{status: done}
	if res.Operation != nil {
		n.status, n.location, body.Operation = http.StatusAccepted, operationLocation(res.Operation.ID), res.Operation.ID
	}
	whole, ok := a.json(r, n.status, body).(answer)
	if !ok {
		return a.json(r, n.status, body)
	}
	n.body = whole.body
	return a.telling(r, n, res.Credentials)
}
