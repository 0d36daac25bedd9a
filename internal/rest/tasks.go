package rest

import (
	"net/http"

	"github.com/go-openapi/runtime/middleware"

	"github.com/osmoslice/osmoslice/api/restapi/operations"
	iotslices "github.com/osmoslice/osmoslice/api/restapi/operations/iot_slices"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/fulfilment"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// task is the body of every task resource: the request of the use case, and what
// is an option there.
type task struct {
	fulfilment.Request
	OnFailure slice.OnFailure `json:"onFailure"`
}

// tasks assigns the lifecycle operations of slices (ETSI NFV-SOL005 §5.4.3 ff.).
func (a *api) tasks(o *operations.OsmosliceAPI) {
	o.IotSlicesInstantiateIotSliceHandler = iotslices.InstantiateIotSliceHandlerFunc(func(p iotslices.InstantiateIotSliceParams, _ any) middleware.Responder {
		return a.order(p.HTTPRequest, p.IotSliceID, operation.Instantiate, p.DryRun)
	})
	o.IotSlicesUpdateIotSliceHandler = iotslices.UpdateIotSliceHandlerFunc(func(p iotslices.UpdateIotSliceParams, _ any) middleware.Responder {
		if p.Body == nil {
			return a.order(p.HTTPRequest, p.IotSliceID, operation.Update, p.DryRun)
		}
		return a.update(p.HTTPRequest, p.IotSliceID, p.DryRun)
	})
	o.IotSlicesScaleIotSliceHandler = iotslices.ScaleIotSliceHandlerFunc(func(p iotslices.ScaleIotSliceParams, _ any) middleware.Responder {
		return a.order(p.HTTPRequest, p.IotSliceID, operation.Scale, p.DryRun)
	})
	o.IotSlicesHealIotSliceHandler = iotslices.HealIotSliceHandlerFunc(func(p iotslices.HealIotSliceParams, _ any) middleware.Responder {
		return a.order(p.HTTPRequest, p.IotSliceID, operation.Heal, p.DryRun)
	})
	o.IotSlicesMigrateIotSliceHandler = iotslices.MigrateIotSliceHandlerFunc(func(p iotslices.MigrateIotSliceParams, _ any) middleware.Responder {
		return a.order(p.HTTPRequest, p.IotSliceID, operation.Migrate, p.DryRun)
	})
	o.IotSlicesTerminateIotSliceHandler = iotslices.TerminateIotSliceHandlerFunc(func(p iotslices.TerminateIotSliceParams, _ any) middleware.Responder {
		return a.order(p.HTTPRequest, p.IotSliceID, operation.Terminate, p.DryRun)
	})
}

// order starts an operation of a type with the body's parameters.
func (a *api) order(r *http.Request, id string, typ operation.Type, dryRun *bool) middleware.Responder {
	t, err := noun[task](r)
	if err != nil {
		return a.fail(r, err)
	}
	o, err := a.options(r, slice.KindIoTSlice, id, dryRun)
	if err != nil {
		return a.fail(r, err)
	}
	t.Type, o.OnFailure = typ, t.OnFailure
	res, err := a.deps.Orders.Order(r.Context(), id, t.Request, o)
	return a.ordered(r, res, err)
}

// update makes the slice of the path be as the body says: it converges, under
// the name that the path's slice has.
func (a *api) update(r *http.Request, id string, dryRun *bool) middleware.Responder {
	want, err := readOrder(r)
	if err != nil {
		return a.fail(r, err)
	}
	s, err := a.slice(r, id)
	if err != nil {
		return a.fail(r, err)
	}
	switch {
	case want.Slice.Name != s.Name:
		return a.fail(r, fault.Field("name", want.Slice.Name, s.Name+": an update does not rename; PATCH does"))
	case want.Slice.Tenant != "" && want.Slice.Tenant != s.Tenant:
		return a.fail(r, fault.Field("tenantId", want.Slice.Tenant, "nothing else: a slice keeps its owner"))
	}
	want.Slice.Tenant = s.Tenant
	o, err := a.options(r, slice.KindIoTSlice, id, dryRun)
	if err != nil {
		return a.fail(r, err)
	}
	res, err := a.deps.Orders.Converge(r.Context(), want, o)
	return a.ordered(r, res, err)
}

// ordered answers a task: the operation, or the plan of a dry run.
func (a *api) ordered(r *http.Request, res fulfilment.Result, err error) middleware.Responder {
	switch {
	case err != nil:
		return a.fail(r, err)
	case res.Preview != nil:
		return a.json(r, http.StatusOK, plan(res.Preview))
	case res.Operation != nil:
		return a.accepted(r, res.Operation)
	}
	return a.json(r, http.StatusOK, plan(&fulfilment.Preview{Feasible: true, Reason: "nothing to do"}))
}
