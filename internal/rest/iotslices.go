package rest

import (
	"net/http"

	"github.com/go-openapi/runtime/middleware"

	"github.com/osmoslice/osmoslice/api/restapi/operations"
	iotslices "github.com/osmoslice/osmoslice/api/restapi/operations/iot_slices"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/fulfilment"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// order is a body of models.IoTSliceOrder: the noun's fields beside the members.
type order struct {
	slice.IoTSlice
	Instantiate   bool              `json:"instantiate"`
	Placement     string            `json:"placementId"`
	Servers       []slice.Element   `json:"iotServers"`
	Gateways      []slice.Element   `json:"iotGateways"`
	MicroElements []slice.Element   `json:"microElements"`
	MicroData     []slice.MicroData `json:"microData"`
	Devices       []slice.Device    `json:"iotDevices"`
}

// use maps the order to the use case's.
func (o *order) use() fulfilment.SliceOrder {
	for list, kind := range map[*[]slice.Element]slice.ElementKind{
		&o.Servers: slice.Server, &o.Gateways: slice.Gateway, &o.MicroElements: slice.MicroElement,
	} {
		for i := range *list {
			(*list)[i].Element = kind
		}
	}
	return fulfilment.SliceOrder{
		Slice: o.IoTSlice, Servers: o.Servers, Gateways: o.Gateways, MicroElements: o.MicroElements,
		MicroData: o.MicroData, Devices: o.Devices, Instantiate: o.Instantiate, Placement: o.Placement,
	}
}

// readOrder maps the body, whose owner may be chosen by X-Tenant.
func readOrder(r *http.Request) (fulfilment.SliceOrder, error) {
	o, err := noun[order](r)
	if err != nil {
		return fulfilment.SliceOrder{}, err
	}
	if o.Tenant, err = ownerOf(r, o.Tenant); err == nil {
		err = readNEST(&o.IoTSlice, o.ServiceProfile)
	}
	return o.use(), err
}

// iotSlices assigns the operations on slices as resources.
func (a *api) iotSlices(o *operations.OsmosliceAPI) {
	o.IotSlicesListIotSlicesHandler = iotslices.ListIotSlicesHandlerFunc(func(p iotslices.ListIotSlicesParams, _ any) middleware.Responder {
		return a.list(p.HTTPRequest, slice.KindIoTSlice, "", "", p.Limit)
	})
	o.IotSlicesCreateIotSliceHandler = iotslices.CreateIotSliceHandlerFunc(func(p iotslices.CreateIotSliceParams, _ any) middleware.Responder {
		want, err := readOrder(p.HTTPRequest)
		if err != nil {
			return a.fail(p.HTTPRequest, err)
		}
		res, err := a.deps.Orders.CreateSlice(p.HTTPRequest.Context(), want, fulfilment.Options{DryRun: is(p.DryRun)})
		return a.changed(p.HTTPRequest, res, err)
	})
	o.IotSlicesConvergeIotSliceHandler = iotslices.ConvergeIotSliceHandlerFunc(func(p iotslices.ConvergeIotSliceParams, _ any) middleware.Responder {
		want, err := readOrder(p.HTTPRequest)
		if err != nil {
			return a.fail(p.HTTPRequest, err)
		}
		return a.convergeSlice(p.HTTPRequest, want, p.DryRun)
	})
	o.IotSlicesGetIotSliceHandler = iotslices.GetIotSliceHandlerFunc(func(p iotslices.GetIotSliceParams, _ any) middleware.Responder {
		return a.read(p.HTTPRequest, slice.KindIoTSlice, p.IotSliceID)
	})
	o.IotSlicesPatchIotSliceHandler = iotslices.PatchIotSliceHandlerFunc(func(p iotslices.PatchIotSliceParams, _ any) middleware.Responder {
		return a.patch(p.HTTPRequest, slice.KindIoTSlice, p.IotSliceID, p.DryRun)
	})
	o.IotSlicesDeleteIotSliceHandler = iotslices.DeleteIotSliceHandlerFunc(func(p iotslices.DeleteIotSliceParams, _ any) middleware.Responder {
		return a.remove(p.HTTPRequest, slice.KindIoTSlice, p.IotSliceID, p.DryRun, p.Cascade)
	})
	o.IotSlicesGetIotSliceNestHandler = iotslices.GetIotSliceNestHandlerFunc(func(p iotslices.GetIotSliceNestParams, _ any) middleware.Responder {
		return a.nest(p.HTTPRequest, p.IotSliceID)
	})
	o.IotSlicesGetIotSlicePlacementHandler = iotslices.GetIotSlicePlacementHandlerFunc(func(p iotslices.GetIotSlicePlacementParams, _ any) middleware.Responder {
		return a.inForce(p.HTTPRequest, p.IotSliceID)
	})
}

func is(flag *bool) bool { return flag != nil && *flag }

// convergeSlice looks for the slice only when the call depends on its revision.
func (a *api) convergeSlice(r *http.Request, want fulfilment.SliceOrder, dryRun *bool) middleware.Responder {
	o := fulfilment.Options{DryRun: is(dryRun)}
	if len(r.Header.Values("If-Match")) > 0 {
		x := want.Slice
		var err error
		if x.Tenant, err = a.tenantOf(r, x.Tenant); err != nil {
			return a.fail(r, err)
		}
		there, err := a.named(r.Context(), &x, nil)
		if err == nil {
			o, err = a.optionsFor(r, there, slice.KindIoTSlice, dryRun)
		}
		if err != nil {
			return a.fail(r, err)
		}
	}
	res, err := a.deps.Orders.Converge(r.Context(), want, o)
	return a.changed(r, res, err)
}

// slice reads a slice.
func (a *api) slice(r *http.Request, id string) (*slice.IoTSlice, error) {
	x, err := a.deps.Reads.Get(r.Context(), slice.KindIoTSlice, id)
	if err != nil {
		return nil, err
	}
	s, ok := x.(*slice.IoTSlice)
	if !ok {
		return nil, fault.New(fault.Internal, "a slice is stored as %T", x)
	}
	return s, nil
}
