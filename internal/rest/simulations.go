package rest

import (
	"net/http"

	"github.com/go-openapi/runtime/middleware"

	"github.com/osmoslice/osmoslice/api/restapi/operations"
	"github.com/osmoslice/osmoslice/api/restapi/operations/infrastructures"
	"github.com/osmoslice/osmoslice/internal/actor"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/fulfilment"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// simulations assigns the scripting of simulated infrastructures.
func (a *api) simulations(o *operations.OsmosliceAPI) {
	o.InfrastructuresGetSimulationHandler = infrastructures.GetSimulationHandlerFunc(func(p infrastructures.GetSimulationParams, _ any) middleware.Responder {
		if err := a.simulated(p.HTTPRequest, p.InfrastructureID); err != nil {
			return a.fail(p.HTTPRequest, err)
		}
		return a.script(p.HTTPRequest, p.InfrastructureID)
	})
	o.InfrastructuresPutSimulationHandler = infrastructures.PutSimulationHandlerFunc(func(p infrastructures.PutSimulationParams, _ any) middleware.Responder {
		r := p.HTTPRequest
		err := a.simulated(r, p.InfrastructureID)
		var o fulfilment.Options
		if err == nil {
			o, err = optionsOf(r, p.DryRun, func() (int64, error) {
				_, revision, err := a.deps.Simulations.Script(r.Context(), p.InfrastructureID)
				return revision, err
			})
		}
		if err == nil {
			err = a.deps.Simulations.SetScript(r.Context(), p.InfrastructureID, callOf(r).body, o.IfMatch, o.DryRun)
		}
		switch {
		case err != nil:
			return a.fail(r, err)
		case is(p.DryRun):
			return answer{status: http.StatusOK, body: callOf(r).body}
		}
		return a.script(r, p.InfrastructureID)
	})
}

// simulated requires the infrastructure to be one of the actor's with a script.
func (a *api) simulated(r *http.Request, id string) error {
	x, err := a.deps.Reads.Get(r.Context(), slice.KindInfrastructure, id)
	if err != nil {
		return err
	}
	i, ok := x.(*slice.Infrastructure)
	switch {
	case !ok || a.deps.Simulations == nil || i.Plugin != "simulated":
		return fault.New(fault.Conflict, "infrastructure %s is not simulated", x.Head().Name)
	case !actor.Of(r.Context()).Acts(i.Tenant):
		return fault.New(fault.Forbidden, "infrastructure %s belongs to another tenant", x.Head().Name)
	}
	return nil
}

func (a *api) script(r *http.Request, id string) middleware.Responder {
	doc, revision, err := a.deps.Simulations.Script(r.Context(), id)
	if err != nil {
		return a.fail(r, err)
	}
	return answer{status: http.StatusOK, body: doc, etag: etagOf(revision)}
}
