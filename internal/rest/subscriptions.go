package rest

import (
	"github.com/go-openapi/runtime/middleware"

	"github.com/osmoslice/osmoslice/api/restapi/operations"
	"github.com/osmoslice/osmoslice/api/restapi/operations/subscriptions"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// subscriptions assigns the operations on webhooks.
func (a *api) subscriptions(o *operations.OsmosliceAPI) {
	o.SubscriptionsListSubscriptionsHandler = subscriptions.ListSubscriptionsHandlerFunc(func(p subscriptions.ListSubscriptionsParams, _ any) middleware.Responder {
		return a.list(p.HTTPRequest, slice.KindSubscription, "", "", p.Limit)
	})
	o.SubscriptionsCreateSubscriptionHandler = subscriptions.CreateSubscriptionHandlerFunc(func(p subscriptions.CreateSubscriptionParams, _ any) middleware.Responder {
		x, err := noun[slice.Subscription](p.HTTPRequest)
		return a.create(p.HTTPRequest, x, err, p.DryRun)
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
