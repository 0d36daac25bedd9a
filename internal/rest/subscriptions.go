package rest

import (
	"net/http"

	"github.com/go-openapi/runtime"
	"github.com/go-openapi/runtime/middleware"

	"github.com/osmoslice/osmoslice/api/restapi/operations"
	"github.com/osmoslice/osmoslice/api/restapi/operations/subscriptions"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/rest/filter"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// subscriptions assigns the operations on webhooks.
func (a *api) subscriptions(o *operations.OsmosliceAPI) {
	o.SubscriptionsListSubscriptionsHandler = subscriptions.ListSubscriptionsHandlerFunc(func(p subscriptions.ListSubscriptionsParams, _ any) middleware.Responder {
		return a.list(p.HTTPRequest, slice.KindSubscription, "", "", p.Limit)
	})
	o.SubscriptionsCreateSubscriptionHandler = subscriptions.CreateSubscriptionHandlerFunc(func(p subscriptions.CreateSubscriptionParams, _ any) middleware.Responder {
		return a.subscribe(p.HTTPRequest, p.DryRun)
	})
	o.SubscriptionsGetSubscriptionHandler = subscriptions.GetSubscriptionHandlerFunc(func(p subscriptions.GetSubscriptionParams, _ any) middleware.Responder {
		return a.read(p.HTTPRequest, slice.KindSubscription, p.SubscriptionID)
	})
	o.SubscriptionsPatchSubscriptionHandler = subscriptions.PatchSubscriptionHandlerFunc(func(p subscriptions.PatchSubscriptionParams, _ any) middleware.Responder {
		return a.patch(p.HTTPRequest, slice.KindSubscription, p.SubscriptionID, p.DryRun)
	})
	o.SubscriptionsDeleteSubscriptionHandler = subscriptions.DeleteSubscriptionHandlerFunc(func(p subscriptions.DeleteSubscriptionParams, _ any) middleware.Responder {
		return a.remove(p.HTTPRequest, slice.KindSubscription, p.SubscriptionID, p.DryRun, nil)
	})
}

// subscribe stores a subscription, or answers 303 where an equal one is (ETSI
// NFV-SOL005 §5.4.18.3.1).
func (a *api) subscribe(r *http.Request, dryRun *bool) middleware.Responder {
	x, err := noun[slice.Subscription](r)
	if err == nil {
		err = a.eventFilter(x.Filter)
	}
	if err != nil {
		return a.fail(r, err)
	}
	given := x.Tenant
	if x.Tenant, err = a.tenantOf(r, given); err != nil {
		return a.fail(r, err)
	}
	same, err := a.equalSubscription(r, x)
	switch {
	case err != nil:
		return a.fail(r, err)
	case same != nil:
		return middleware.ResponderFunc(func(w http.ResponseWriter, _ runtime.Producer) {
			f := fault.New(fault.Conflict, "an equal subscription is there already")
			f.Instance = location(same)
			writeProblem(w, r, http.StatusSeeOther, f)
		})
	}
	x.Tenant = given // as it was asked: create reads X-Tenant itself
	return a.create(r, x, nil, dryRun)
}

// eventFilter checks the filter of a subscription as one over events.
func (a *api) eventFilter(text string) error {
	conditions, err := filter.Parse(text)
	if err != nil {
		f := fault.Of(err)
		f.Kind = fault.Invalid // a field of a body, not a parameter
		return f
	}
	of := a.shapes["Event"]
	for _, c := range conditions {
		if _, ok := of.Props[c.Attr]; !ok {
			return fault.Field("filter", c.Attr, list("nothing", of.Names()))
		}
	}
	return nil
}

func (a *api) equalSubscription(r *http.Request, want *slice.Subscription) (slice.Resource, error) {
	q := operation.Query{Kind: slice.KindSubscription, Limit: 1000}
	if want.Tenant != "" {
		q.Tenants = []string{want.Tenant}
	}
	for {
		p, err := a.deps.Reads.List(r.Context(), q)
		if err != nil {
			return nil, err
		}
		for _, x := range p.Resources {
			if have, ok := x.(*slice.Subscription); ok && have.CallbackURI == want.CallbackURI && have.Filter == want.Filter {
				return have, nil
			}
		}
		if p.Next == "" {
			return nil, nil
		}
		q.After = p.Next
	}
}
