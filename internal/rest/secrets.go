package rest

import (
	"encoding/base64"
	"net/http"

	"github.com/go-openapi/runtime/middleware"

	"github.com/osmoslice/osmoslice/api/restapi/operations"
	"github.com/osmoslice/osmoslice/api/restapi/operations/secrets"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/fulfilment"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// secretBody is the body of models.SecretCreate and models.SecretValue.
type secretBody struct {
	slice.Meta
	Value    string `json:"value"`
	Encoding string `json:"encoding"`
}

func (b *secretBody) bytes() ([]byte, error) {
	if b.Encoding != "base64" {
		return []byte(b.Value), nil
	}
	raw, err := base64.StdEncoding.DecodeString(b.Value)
	if err != nil || len(raw) == 0 {
		// The value itself must not be told.
		return nil, fault.New(fault.Invalid, "the value is not base64").With("value", "", "base64 (RFC 4648 §4) of at least one octet, as encoding says")
	}
	return raw, nil
}

// secrets assigns the operations on secrets, none of which answers a value.
func (a *api) secrets(o *operations.OsmosliceAPI) {
	o.SecretsListSecretsHandler = secrets.ListSecretsHandlerFunc(func(p secrets.ListSecretsParams, _ any) middleware.Responder {
		return a.list(p.HTTPRequest, slice.KindSecret, "", "", p.Limit)
	})
	o.SecretsCreateSecretHandler = secrets.CreateSecretHandlerFunc(func(p secrets.CreateSecretParams, _ any) middleware.Responder {
		return a.createSecret(p.HTTPRequest, is(p.DryRun))
	})
	o.SecretsGetSecretHandler = secrets.GetSecretHandlerFunc(func(p secrets.GetSecretParams, _ any) middleware.Responder {
		return a.read(p.HTTPRequest, slice.KindSecret, p.SecretID)
	})
	o.SecretsDeleteSecretHandler = secrets.DeleteSecretHandlerFunc(func(p secrets.DeleteSecretParams, _ any) middleware.Responder {
		return a.remove(p.HTTPRequest, slice.KindSecret, p.SecretID, p.DryRun, nil)
	})
	o.SecretsPutSecretValueHandler = secrets.PutSecretValueHandlerFunc(func(p secrets.PutSecretValueParams, _ any) middleware.Responder {
		return a.writeSecret(p.HTTPRequest, p.SecretID, p.DryRun)
	})
}

// createSecret refuses a name that is taken: a new value has its own operation.
func (a *api) createSecret(r *http.Request, dry bool) middleware.Responder {
	b, err := noun[secretBody](r)
	if err != nil {
		return a.fail(r, err)
	}
	value, err := b.bytes()
	if err != nil {
		return a.fail(r, err)
	}
	if b.Tenant, err = a.tenantOf(r, b.Tenant); err != nil {
		return a.fail(r, err)
	}
	there, err := a.named(r.Context(), &slice.Secret{Meta: b.Meta}, nil)
	if err == nil && there != nil {
		f := fault.New(fault.Conflict, "a secret %q is there already; PUT its value to change it", b.Name).With("name", b.Name, "a name that is not taken")
		f.Instance = location(there)
		err = f
	}
	if err != nil {
		return a.fail(r, err)
	}
	res, err := a.deps.Changes.PutSecret(r.Context(), b.Meta, value, fulfilment.Options{DryRun: dry})
	res.Credentials = nil
	return a.changed(r, res, err)
}

func (a *api) writeSecret(r *http.Request, id string, dryRun *bool) middleware.Responder {
	b, err := noun[secretBody](r)
	if err != nil {
		return a.fail(r, err)
	}
	value, err := b.bytes()
	if err != nil {
		return a.fail(r, err)
	}
	x, err := a.deps.Reads.Get(r.Context(), slice.KindSecret, id)
	if err != nil {
		return a.fail(r, err)
	}
	o, err := a.options(r, slice.KindSecret, id, dryRun)
	if err != nil {
		return a.fail(r, err)
	}
	res, err := a.deps.Changes.PutSecret(r.Context(), *x.Head(), value, o)
	res.Credentials = nil
	return a.changed(r, res, err)
}
