package rest

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/go-openapi/runtime"
	"github.com/go-openapi/runtime/middleware"
	"github.com/go-openapi/runtime/security"
	"github.com/go-openapi/spec"

	"github.com/osmoslice/osmoslice/internal/actor"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// scopes a role has; see securityDefinitions in swagger.yaml.
var scopes = map[slice.Role][]string{
	slice.SystemAdmin:    {"read", "operate", "administer", "system"},
	slice.OSS:            {"read", "operate", "administer"},
	slice.TenantAdmin:    {"read", "operate", "administer"},
	slice.TenantOperator: {"read", "operate"},
	slice.TenantViewer:   {"read"},
}

// guard runs between the router and the generated operation.
func (a *api) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		route := middleware.MatchedRouteFrom(r)
		who, authorised, err := a.generated.Context().Authorize(r, route)
		if err != nil {
			a.serveError(w, r, err)
			return
		}
		if authorised != nil {
			r = authorised
		}
		if err := known(r, route); err != nil {
			a.serveError(w, r, err)
			return
		}
		c := callOf(r)
		if x, ok := who.(*actor.Actor); ok {
			c.actor = *x
			c.actor.RequestID = c.id
			r = r.WithContext(actor.With(r.Context(), c.actor))
		}
		if err := a.readBody(w, r, c); err != nil {
			a.serveError(w, r, err)
			return
		}
		// A dry run does nothing that could be done twice, and leaves the key to
		// the call that it tries out.
		if key := r.Header.Get("Idempotency-Key"); key != "" && r.Method != http.MethodGet && r.URL.Query().Get("dryRun") != "true" {
			a.once(w, r, c, key, next)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// known refuses query parameters that the operation does not have, that come
// twice, or that are flags with another value than true or false: a dry run must
// not become a real one by a typing error.
func known(r *http.Request, route *middleware.MatchedRoute) error {
	if r.URL.RawQuery == "" {
		return nil
	}
	types := map[string]spec.Parameter{}
	var names []string
	for _, p := range route.Parameters {
		if p.In == "query" {
			types[p.Name] = p
			names = append(names, p.Name)
		}
	}
	for name, values := range r.URL.Query() {
		p, ok := types[name]
		v := values[len(values)-1]
		switch {
		case !ok:
			slices.Sort(names)
			return fault.New(fault.Malformed, "the operation has no such query parameter").With(name, v, list("none", names))
		case len(values) > 1:
			return fault.New(fault.Malformed, "a query parameter comes twice").With(name, strings.Join(values, ", "), "one value")
		case p.Type == "boolean" && v != "true" && v != "false" && (v != "" || !p.AllowEmptyValue):
			return fault.New(fault.Malformed, "a query parameter is not valid").With(name, v, "true, false")
		}
	}
	return nil
}

// readBody keeps the bounded body for the binder, the handler and the hash of
// the Idempotency-Key.
func (a *api) readBody(w http.ResponseWriter, r *http.Request, c *call) error {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	if enc := r.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return fault.New(fault.UnsupportedMedia, "the body's encoding is not accepted").With("Content-Encoding", enc, "identity")
	}
	tooLarge := fault.New(fault.TooLarge, "the body is larger than %d bytes", a.deps.BodyBytes).
		With("body", "", "a smaller document, or several calls")
	if r.ContentLength > a.deps.BodyBytes {
		w.Header().Set("Connection", "close")
		return tooLarge
	}
	var (
		body []byte
		err  error
	)
	if r.ContentLength >= 0 {
		body = make([]byte, r.ContentLength)
		_, err = io.ReadFull(r.Body, body)
	} else {
		body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, a.deps.BodyBytes))
	}
	var max *http.MaxBytesError
	switch {
	case errors.As(err, &max):
		return tooLarge
	case err != nil:
		return fault.New(fault.Malformed, "the body ended early").Because(err).With("body", "", "as many bytes as Content-Length says")
	}
	c.body = body
	r.ContentLength = int64(len(body))
	r.Body = &bodyReader{data: body}
	if len(body) == 0 {
		r.Body = http.NoBody
	}
	return nil
}

// bodyReader lets the consumer take the bytes without another copy.
type bodyReader struct {
	data []byte
	at   int
}

func (b *bodyReader) Read(p []byte) (int, error) {
	if b.at == len(b.data) {
		return 0, io.EOF
	}
	n := copy(p, b.data[b.at:])
	b.at += n
	return n, nil
}

// Close does nothing.
func (b *bodyReader) Close() error { return nil }

// authenticator is the bearer scheme of the generated layer with our own keys:
// the header only, never the query or a form.
func (a *api) authenticator(string, security.ScopedTokenAuthentication) runtime.Authenticator {
	return security.ScopedAuthenticator(func(q *security.ScopedAuthRequest) (bool, any, error) {
		token, err := bearer(q.Request)
		if err != nil {
			return true, nil, err
		}
		who, err := a.deps.Access.Authenticate(q.Request.Context(), token)
		if err != nil {
			return true, nil, err
		}
		if err := a.rates.allow(who.Key); err != nil {
			return true, nil, err
		}
		for _, want := range q.RequiredScopes {
			if !slices.Contains(scopes[who.Role], want) {
				return true, nil, fault.New(fault.Forbidden, "the key's role %s has not the scope %s", who.Role, want)
			}
		}
		return true, &who, nil
	})
}

func bearer(r *http.Request) (string, error) {
	const prefix = "bearer "
	all := r.Header.Values("Authorization")
	if len(all) == 1 && len(all[0]) > len(prefix) && strings.EqualFold(all[0][:len(prefix)], prefix) {
		if token := strings.TrimSpace(all[0][len(prefix):]); token != "" && len(token) <= 512 && clean(token) {
			return token, nil
		}
	}
	return "", fault.New(fault.Unauthenticated, "an API key is required, as the header Authorization: Bearer")
}
