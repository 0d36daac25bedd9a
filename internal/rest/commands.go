package rest

import (
	"encoding/base64"
	"net/http"

	"github.com/go-openapi/runtime/middleware"

	"github.com/osmoslice/osmoslice/api/restapi/operations"
	iotdevices "github.com/osmoslice/osmoslice/api/restapi/operations/iot_devices"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/fulfilment"
	"github.com/osmoslice/osmoslice/internal/platform"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// commandRequest is the body of models.CommandRequest.
type commandRequest struct {
	ID     string `json:"id"`
	Action string `json:"action"`
	Value  any    `json:"value"`
}

// command is models.Command as it is written.
type command struct {
	ID     string                `json:"id"`
	Device string                `json:"iotDeviceId"`
	Action string                `json:"action,omitempty"`
	State  platform.CommandState `json:"state"`
}

// commands assigns what is sent down to devices.
func (a *api) commands(o *operations.OsmosliceAPI) {
	o.IotDevicesCreateCommandHandler = iotdevices.CreateCommandHandlerFunc(func(p iotdevices.CreateCommandParams, _ any) middleware.Responder {
		return a.send(p.HTTPRequest, p.IotDeviceID, is(p.DryRun))
	})
	o.IotDevicesGetCommandHandler = iotdevices.GetCommandHandlerFunc(func(p iotdevices.GetCommandParams, _ any) middleware.Responder {
		state, err := a.deps.Orders.CommandState(p.HTTPRequest.Context(), p.IotDeviceID, p.CommandID)
		if err != nil {
			return a.fail(p.HTTPRequest, err)
		}
		return a.json(p.HTTPRequest, http.StatusOK, command{ID: p.CommandID, Device: p.IotDeviceID, State: state})
	})
}

func (a *api) send(r *http.Request, deviceID string, dry bool) middleware.Responder {
	c, err := noun[commandRequest](r)
	if err != nil {
		return a.fail(r, err)
	}
	x, err := a.deps.Reads.Get(r.Context(), slice.KindIoTDevice, deviceID)
	if err != nil {
		return a.fail(r, err)
	}
	device, ok := x.(*slice.Device)
	if !ok {
		return a.fail(r, fault.New(fault.Internal, "a device is stored as %T", x))
	}
	value, err := commandValue(device, c.Action, c.Value)
	if err != nil {
		return a.fail(r, err)
	}
	if dry {
		return a.json(r, http.StatusOK, command{ID: c.ID, Device: deviceID, Action: c.Action, State: platform.CommandPending})
	}
	id, state, err := a.deps.Orders.SendCommand(r.Context(), deviceID, fulfilment.CommandOrder{ID: c.ID, Action: c.Action, Value: value})
	if err != nil {
		return a.fail(r, err)
	}
	n, ok := a.json(r, http.StatusAccepted, command{ID: id, Device: deviceID, Action: c.Action, State: state}).(answer)
	if !ok {
		return a.fail(r, fault.New(fault.Internal, "a command cannot be written"))
	}
	n.location = basePath + "/iotDevices/" + deviceID + "/commands/" + id
	if state != platform.CommandPending {
		n.status = http.StatusOK
	}
	return n
}

// commandValue is the value in the type that the device's action has: a number
// unless it says otherwise; data comes as base64.
func commandValue(d *slice.Device, action string, v any) (any, error) {
	for _, have := range d.Actions {
		if have.Name != action {
			continue
		}
		switch v := v.(type) {
		case float64:
			if have.Type == "" || have.Type == "number" {
				return v, nil
			}
		case bool:
			if have.Type == "boolean" {
				return v, nil
			}
		case string:
			if have.Type == "string" {
				return v, nil
			}
			if have.Type == "data" {
				raw, err := base64.StdEncoding.DecodeString(v)
				if err != nil {
					return nil, fault.Field("value", v, "base64 (RFC 4648 §4): the action takes data")
				}
				return raw, nil
			}
		}
		typ := have.Type
		if typ == "" {
			typ = "number"
		}
		return nil, fault.Field("value", "", "a "+typ)
	}
	names := make([]string, 0, len(d.Actions))
	for _, have := range d.Actions {
		names = append(names, have.Name)
	}
	return nil, fault.Field("action", action, list("no action: the device has none", names))
}
