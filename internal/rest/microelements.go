package rest

import (
	"github.com/go-openapi/runtime/middleware"

	"github.com/osmoslice/osmoslice/api/restapi/operations"
	microelements "github.com/osmoslice/osmoslice/api/restapi/operations/micro_elements"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// microElements assigns the operations on further functions.
func (a *api) microElements(o *operations.OsmosliceAPI) {
	o.MicroElementsListMicroElementsHandler = microelements.ListMicroElementsHandlerFunc(func(p microelements.ListMicroElementsParams, _ any) middleware.Responder {
		return a.list(p.HTTPRequest, slice.KindMicroElement, "", "", p.Limit)
	})
	o.MicroElementsListMicroElementsOfIotSliceHandler = microelements.ListMicroElementsOfIotSliceHandlerFunc(func(p microelements.ListMicroElementsOfIotSliceParams, _ any) middleware.Responder {
		return a.list(p.HTTPRequest, slice.KindMicroElement, slice.KindIoTSlice, p.IotSliceID, p.Limit)
	})
	o.MicroElementsCreateMicroElementHandler = microelements.CreateMicroElementHandlerFunc(func(p microelements.CreateMicroElementParams, _ any) middleware.Responder {
		x, err := noun[slice.Element](p.HTTPRequest)
		if err == nil {
			x.Slice, x.Element = p.IotSliceID, slice.MicroElement
		}
		return a.create(p.HTTPRequest, x, err, p.DryRun)
	})
	o.MicroElementsGetMicroElementHandler = microelements.GetMicroElementHandlerFunc(func(p microelements.GetMicroElementParams, _ any) middleware.Responder {
		return a.read(p.HTTPRequest, slice.KindMicroElement, p.MicroElementID)
	})
	o.MicroElementsPatchMicroElementHandler = microelements.PatchMicroElementHandlerFunc(func(p microelements.PatchMicroElementParams, _ any) middleware.Responder {
		return a.patch(p.HTTPRequest, slice.KindMicroElement, p.MicroElementID, p.DryRun)
	})
	o.MicroElementsDeleteMicroElementHandler = microelements.DeleteMicroElementHandlerFunc(func(p microelements.DeleteMicroElementParams, _ any) middleware.Responder {
		return a.remove(p.HTTPRequest, slice.KindMicroElement, p.MicroElementID, p.DryRun, nil)
	})
}
