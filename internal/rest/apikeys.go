package rest

import (
	"encoding/json"
	"net/http"

	"github.com/go-openapi/runtime/middleware"

	"github.com/osmoslice/osmoslice/api/restapi/operations"
	apikeys "github.com/osmoslice/osmoslice/api/restapi/operations/api_keys"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/fulfilment"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// apiKeys assigns the operations on keys.
func (a *api) apiKeys(o *operations.OsmosliceAPI) {
	o.APIKeysListAPIKeysHandler = apikeys.ListAPIKeysHandlerFunc(func(p apikeys.ListAPIKeysParams, _ any) middleware.Responder {
		return a.list(p.HTTPRequest, slice.KindAPIKey, "", "", p.Limit)
	})
	o.APIKeysCreateAPIKeyHandler = apikeys.CreateAPIKeyHandlerFunc(func(p apikeys.CreateAPIKeyParams, _ any) middleware.Responder {
		return a.createKey(p.HTTPRequest, is(p.DryRun))
	})
	o.APIKeysGetAPIKeyHandler = apikeys.GetAPIKeyHandlerFunc(func(p apikeys.GetAPIKeyParams, _ any) middleware.Responder {
		return a.read(p.HTTPRequest, slice.KindAPIKey, p.APIKeyID)
	})
	o.APIKeysDeleteAPIKeyHandler = apikeys.DeleteAPIKeyHandlerFunc(func(p apikeys.DeleteAPIKeyParams, _ any) middleware.Responder {
		return a.deleteKey(p.HTTPRequest, p.APIKeyID, p.DryRun)
	})
}

// deleteKey revokes before it deletes: the revocation counts at once.
func (a *api) deleteKey(r *http.Request, id string, dryRun *bool) middleware.Responder {
	o, err := a.options(r, slice.KindAPIKey, id, dryRun)
	if err == nil && !o.DryRun {
		_, err = a.deps.Access.RevokeKey(r.Context(), id, o)
		o.IfMatch = 0 // it was checked, and is another now
	}
	if err != nil {
		return a.fail(r, err)
	}
	res, err := a.deps.Changes.Delete(r.Context(), slice.KindAPIKey, id, o)
	return a.removed(r, res, err)
}

// createKey answers the token this once; a repetition with the same
// Idempotency-Key answers the key without it.
func (a *api) createKey(r *http.Request, dry bool) middleware.Responder {
	k, err := noun[slice.APIKey](r)
	if err != nil {
		return a.fail(r, err)
	}
	if k.Tenant, err = ownerOf(r, k.Tenant); err != nil {
		return a.fail(r, err)
	}
	res, err := a.deps.Access.CreateKey(r.Context(), k, fulfilment.Options{DryRun: dry})
	if err != nil || res.Preview != nil {
		return a.changed(r, res, err)
	}
	made, ok := res.Resource.(*slice.APIKey)
	if !ok || len(res.Credentials) != 1 {
		return a.fail(r, fault.New(fault.Internal, "a new key came without its token"))
	}
	n := answer{status: http.StatusCreated, etag: etagOf(made.Revision), location: location(made)}
	if n.body, err = json.Marshal(made); err != nil {
		return a.fail(r, err)
	}
	callOf(r).secret = true
	if n.body, err = splice(n.body, "token", res.Credentials[0].Value); err != nil {
		return a.fail(r, err)
	}
	return n
}
