package rest

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/go-openapi/runtime/middleware"

	"github.com/osmoslice/osmoslice/api/restapi/operations"
	iotslices "github.com/osmoslice/osmoslice/api/restapi/operations/iot_slices"
	"github.com/osmoslice/osmoslice/api/restapi/operations/placements"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/fulfilment"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/models"
)

// feasibility is the body of models.PlacementRequest.
type feasibility struct {
	Slice   string     `json:"iotSliceId"`
	Order   *order     `json:"order"`
	Name    string     `json:"name"`
	Keep    bool       `json:"keep"`
	Reserve bool       `json:"resourceReservation"`
	Until   *time.Time `json:"requestedReservationExpiration"`
}

// check maps the body to the use case's question.
func (q *feasibility) check(r *http.Request) (fulfilment.FeasibilityCheck, error) {
	c := fulfilment.FeasibilityCheck{Slice: q.Slice, Name: q.Name, Keep: q.Keep, Reserve: q.Reserve, Until: q.Until}
	if q.Order == nil {
		return c, nil
	}
	var err error
	if q.Order.Tenant, err = ownerOf(r, q.Order.Tenant); err == nil {
		err = readNEST(&q.Order.IoTSlice, q.Order.ServiceProfile)
	}
	want := q.Order.use()
	c.Order = &want
	return c, err
}

// placements assigns the operations that say where things fit.
func (a *api) placements(o *operations.OsmosliceAPI) {
	o.PlacementsListPlacementsHandler = placements.ListPlacementsHandlerFunc(func(p placements.ListPlacementsParams, _ any) middleware.Responder {
		return a.list(p.HTTPRequest, slice.KindPlacement, "", "", p.Limit)
	})
	o.PlacementsCreatePlacementHandler = placements.CreatePlacementHandlerFunc(func(p placements.CreatePlacementParams, _ any) middleware.Responder {
		return a.feasible(p.HTTPRequest, fulfilment.Options{DryRun: is(p.DryRun)})
	})
	o.PlacementsGetPlacementHandler = placements.GetPlacementHandlerFunc(func(p placements.GetPlacementParams, _ any) middleware.Responder {
		if _, err := a.deps.Reads.Get(p.HTTPRequest.Context(), slice.KindPlacement, p.PlacementID); !fault.Is(err, fault.NotFound) {
			return a.read(p.HTTPRequest, slice.KindPlacement, p.PlacementID)
		}
		return a.decision(p.HTTPRequest, p.PlacementID)
	})
	o.PlacementsDeletePlacementHandler = placements.DeletePlacementHandlerFunc(func(p placements.DeletePlacementParams, _ any) middleware.Responder {
		return a.remove(p.HTTPRequest, slice.KindPlacement, p.PlacementID, p.DryRun, nil)
	})
	o.IotSlicesGetIotSliceSurvivabilityHandler = iotslices.GetIotSliceSurvivabilityHandlerFunc(func(p iotslices.GetIotSliceSurvivabilityParams, _ any) middleware.Responder {
		x, err := a.deps.Reads.Survivability(p.HTTPRequest.Context(), p.IotSliceID)
		if err != nil {
			return a.fail(p.HTTPRequest, err)
		}
		return a.json(p.HTTPRequest, http.StatusOK, x)
	})
	o.IotSlicesGetIotSliceWhyNotHandler = iotslices.GetIotSliceWhyNotHandlerFunc(func(p iotslices.GetIotSliceWhyNotParams, _ any) middleware.Responder {
		member := ""
		if p.Element != nil {
			member = *p.Element
		}
		x, err := a.deps.Reads.WhyNot(p.HTTPRequest.Context(), p.IotSliceID, p.NodeID, member)
		if err != nil {
			return a.fail(p.HTTPRequest, err)
		}
		return a.json(p.HTTPRequest, http.StatusOK, x)
	})
}

// answered is a placement as it is answered to the question: with the steps that
// would run. It has no meta unless it is kept.
type answered struct {
	*slice.Placement
	Plan *models.Plan `json:"plan"`
}

// feasible answers whether an order or a stored slice would fit now, by the code
// that would instantiate it, and keeps the answer when asked to.
func (a *api) feasible(r *http.Request, o fulfilment.Options) middleware.Responder {
	q, err := noun[feasibility](r)
	var c fulfilment.FeasibilityCheck
	if err == nil {
		c, err = q.check(r)
	}
	if err != nil {
		return a.fail(r, err)
	}
	x, pre, err := a.deps.Orders.CheckFeasibility(r.Context(), c, o)
	switch {
	case err != nil:
		return a.fail(r, err)
	case x.Revision == 0:
		return a.unkept(r, x, pre)
	}
	n, ok := a.json(r, http.StatusCreated, answered{x, plan(pre)}).(answer)
	if !ok {
		return a.json(r, http.StatusCreated, x)
	}
	n.etag, n.location = etagOf(x.Revision), location(x)
	return n
}

// unkept answers a placement that is nowhere stored: the model leaves out what
// it has not got.
func (a *api) unkept(r *http.Request, x *slice.Placement, pre *fulfilment.Preview) middleware.Responder {
	out := &models.Placement{}
	doc, err := json.Marshal(x)
	if err == nil {
		err = json.Unmarshal(doc, out)
	}
	if err != nil {
		return a.fail(r, err)
	}
	// The plan has the decision already.
	out.Plan, out.Decision, out.CreatedAt, out.UpdatedAt = plan(pre), nil, nil, nil
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
