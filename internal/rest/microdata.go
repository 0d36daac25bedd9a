package rest

import (
	"github.com/go-openapi/runtime/middleware"

	"github.com/osmoslice/osmoslice/api/restapi/operations"
	microdata "github.com/osmoslice/osmoslice/api/restapi/operations/micro_data"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// microData assigns the operations on information flows.
func (a *api) microData(o *operations.OsmosliceAPI) {
	o.MicroDataListMicroDataHandler = microdata.ListMicroDataHandlerFunc(func(p microdata.ListMicroDataParams, _ any) middleware.Responder {
		return a.list(p.HTTPRequest, slice.KindMicroData, "", "", p.Limit)
	})
	o.MicroDataListMicroDataOfIotSliceHandler = microdata.ListMicroDataOfIotSliceHandlerFunc(func(p microdata.ListMicroDataOfIotSliceParams, _ any) middleware.Responder {
		return a.list(p.HTTPRequest, slice.KindMicroData, slice.KindIoTSlice, p.IotSliceID, p.Limit)
	})
	o.MicroDataCreateMicroDatumHandler = microdata.CreateMicroDatumHandlerFunc(func(p microdata.CreateMicroDatumParams, _ any) middleware.Responder {
		x, err := noun[slice.MicroData](p.HTTPRequest)
		if err == nil {
			x.Slice = p.IotSliceID
		}
		return a.create(p.HTTPRequest, x, err, p.DryRun)
	})
	o.MicroDataGetMicroDatumHandler = microdata.GetMicroDatumHandlerFunc(func(p microdata.GetMicroDatumParams, _ any) middleware.Responder {
		return a.read(p.HTTPRequest, slice.KindMicroData, p.MicroDatumID)
	})
	o.MicroDataPatchMicroDatumHandler = microdata.PatchMicroDatumHandlerFunc(func(p microdata.PatchMicroDatumParams, _ any) middleware.Responder {
		return a.patch(p.HTTPRequest, slice.KindMicroData, p.MicroDatumID, p.DryRun)
	})
	o.MicroDataDeleteMicroDatumHandler = microdata.DeleteMicroDatumHandlerFunc(func(p microdata.DeleteMicroDatumParams, _ any) middleware.Responder {
		return a.remove(p.HTTPRequest, slice.KindMicroData, p.MicroDatumID, p.DryRun, nil)
	})
}
