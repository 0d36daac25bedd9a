package rest

import (
	"encoding/json"
	"net/http"

	"github.com/go-openapi/runtime/middleware"

	"github.com/osmoslice/osmoslice/api/restapi/operations"
	"github.com/osmoslice/osmoslice/api/restapi/operations/placements"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/fulfilment"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/models"
)

// feasibility is the body of models.PlacementRequest.
type feasibility struct {
	Slice string `json:"iotSliceId"`
	Order *order `json:"order"`
}

// placements assigns the operations that say where things fit.
func (a *api) placements(o *operations.OsmosliceAPI) {
	o.PlacementsCreatePlacementHandler = placements.CreatePlacementHandlerFunc(func(p placements.CreatePlacementParams, _ any) middleware.Responder {
		return a.feasible(p.HTTPRequest)
	})
	o.PlacementsGetPlacementHandler = placements.GetPlacementHandlerFunc(func(p placements.GetPlacementParams, _ any) middleware.Responder {
		return a.decision(p.HTTPRequest, p.LcmOpOccID)
	})
}

// feasible answers whether an order or a stored slice would fit now, by the code
// that would instantiate it.
func (a *api) feasible(r *http.Request) middleware.Responder {
	q, err := noun[feasibility](r)
	if err != nil {
		return a.fail(r, err)
	}
	var res fulfilment.Result
	dry := fulfilment.Options{DryRun: true}
	switch {
	case (q.Order == nil) == (q.Slice == ""):
		err = fault.Field("order", "", "either an order or the iotSliceId of a stored slice")
	case q.Order != nil:
		if q.Order.Tenant, err = ownerOf(r, q.Order.Tenant); err == nil {
			err = readNEST(&q.Order.IoTSlice, q.Order.ServiceProfile)
		}
		if err == nil {
			want := q.Order.use()
			want.Instantiate = true
			res, err = a.deps.Orders.CreateSlice(r.Context(), want, dry)
		}
	default:
		res, err = a.deps.Orders.Order(r.Context(), q.Slice, fulfilment.Request{Type: operation.Instantiate}, dry)
	}
	if err != nil {
		return a.fail(r, err)
	}
	if res.Preview == nil {
		return a.fail(r, fault.New(fault.Internal, "a dry run answered no preview"))
	}
	out := &models.Placement{IotSliceID: q.Slice, FeasibilityResult: "INFEASIBLE", Plan: plan(res.Preview)}
	if res.Preview.Feasible {
		out.FeasibilityResult = "FEASIBLE"
	}
	return a.json(r, http.StatusOK, out)
}

// decision answers the placement made for an operation.
func (a *api) decision(r *http.Request, operationID string) middleware.Responder {
	op, err := a.deps.Reads.Operation(r.Context(), operationID)
	if err != nil {
		return a.fail(r, err)
	}
	doc, err := a.deps.Reads.Decision(r.Context(), operationID)
	if err != nil {
		return a.fail(r, err)
	}
	return a.json(r, http.StatusOK, &models.Placement{
		IotSliceID: op.Slice, LcmOpOccID: operationID, Decision: json.RawMessage(doc),
	})
}

// inForce answers the decision of a slice's open or last operation.
func (a *api) inForce(r *http.Request, sliceID string) middleware.Responder {
	s, err := a.slice(r, sliceID)
	if err != nil {
		return a.fail(r, err)
	}
	err = fault.Absent("placement of slice", sliceID)
	for _, id := range []string{s.Operation, s.LastOperation} {
		if id == "" {
			continue
		}
		var doc []byte
		if doc, err = a.deps.Reads.Decision(r.Context(), id); err == nil {
			return a.json(r, http.StatusOK, &models.Placement{IotSliceID: sliceID, LcmOpOccID: id, Decision: json.RawMessage(doc)})
		}
		if !fault.Is(err, fault.NotFound) {
			break
		}
	}
	return a.fail(r, err)
}
