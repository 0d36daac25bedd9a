package rest

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"runtime/debug"
	"strings"
	"unicode/utf8"

	"github.com/osmoslice/osmoslice/internal/actor"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// version is the API's; see swagger.yaml.
const version = "1.0.0"

// call is what one request carries through the layers.
type call struct {
	id    string      // of the request
	actor actor.Actor // set by the guard
	body  []byte      // set by the guard
	// secret: the answer tells a credential.
	secret bool
}

type callKey struct{}

// callOf answers the call of a request; an empty one outside of the edge.
func callOf(r *http.Request) *call {
	if c, ok := r.Context().Value(callKey{}).(*call); ok {
		return c
	}
	return &call{}
}

var requestID = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,128}$`)

// edge is the outermost layer.
func (a *api) edge(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{id: r.Header.Get("X-Request-Id")}
		if !requestID.MatchString(c.id) {
			c.id = slice.NewID()
		}
		h := w.Header()
		h["X-Request-Id"] = []string{c.id}
		h["Version"] = []string{version}
		h["Cache-Control"] = []string{"no-store"}
		h["X-Content-Type-Options"] = []string{"nosniff"}
		r = r.WithContext(context.WithValue(r.Context(), callKey{}, c))
		defer a.recover(w, r)
		if err := hostile(r); err != nil {
			a.serveError(w, r, err)
			return
		}
		if r.Method == http.MethodHead { // the answer of GET, whose body net/http leaves out
			r.Method = http.MethodGet
		}
		next.ServeHTTP(w, r)
	})
}

func (a *api) recover(w http.ResponseWriter, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler { //nolint:errorlint // documented to be compared
		panic(p)
	}
	a.log.LogAttrs(r.Context(), slog.LevelError, "handler panicked", slog.String("requestId", callOf(r).id),
		slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
	writeProblem(w, r, http.StatusInternalServerError, fault.New(fault.Internal, "unexpected failure"))
}

// hostile refuses what no operation takes.
func hostile(r *http.Request) error {
	if v := r.Header.Get("Version"); v != "" && v != version && v != "1.0" && v != "1" {
		return fault.New(fault.NotAcceptable, "this version of the API is not served").With("Version", v, version)
	}
	if !clean(r.URL.Path) {
		return fault.New(fault.NotFound, "there is no such path").With("path", "", "UTF-8 without control characters")
	}
	if strings.HasPrefix(r.URL.Path, basePath+"/") && (strings.HasSuffix(r.URL.Path, "/") || strings.Contains(r.URL.Path, "//")) {
		// The router would take a resource without its id for the collection.
		return fault.New(fault.NotFound, "there is no such path").With("path", r.URL.Path, "a path without empty parts")
	}
	if r.URL.RawQuery == "" {
		return nil
	}
	// SOL013 filters have semicolons, which RFC 3986 §3.4 lets stand in a query
	// and net/url does not.
	r.URL.RawQuery = strings.ReplaceAll(r.URL.RawQuery, ";", "%3B")
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fault.New(fault.Malformed, "the query is not valid: %v", err).With("query", r.URL.RawQuery, "name=value pairs, percent-encoded, separated by &")
	}
	for name, all := range query {
		if name == "access_token" {
			return fault.New(fault.Unauthenticated, "a token in the URL is refused: it would end up in logs").
				With("access_token", "", "the header Authorization: Bearer")
		}
		for _, v := range all {
			if !clean(v) || !clean(name) {
				return fault.New(fault.Malformed, "a query parameter is not valid").With(strings.ToValidUTF8(name, "\uFFFD"), v, "UTF-8 without control characters")
			}
		}
	}
	return nil
}

func clean(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}
