package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	openapi "github.com/go-openapi/errors"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// problem is models.Problem as it is written.
type problem struct {
	Type     string         `json:"type"`
	Title    string         `json:"title"`
	Status   int            `json:"status"`
	Detail   string         `json:"detail"`
	Instance string         `json:"instance,omitempty"`
	Request  string         `json:"requestId,omitempty"`
	Params   []invalidParam `json:"invalidParams,omitempty"`
}

type invalidParam struct {
	Name    string `json:"name"`
	Reason  string `json:"reason"`
	Given   string `json:"given,omitempty"`
	Allowed string `json:"allowed,omitempty"`
}

// serveError writes err as a Problem. It is the API's ServeError: validation,
// routing and handlers all end here.
func (a *api) serveError(w http.ResponseWriter, r *http.Request, err error) {
	status, f := classify(err)
	var method *openapi.MethodNotAllowedError
	if errors.As(err, &method) {
		w.Header().Set("Allow", strings.Join(allowed(method), ", "))
	}
	if status >= http.StatusInternalServerError {
		a.log.LogAttrs(r.Context(), slog.LevelError, "request failed", slog.String("requestId", callOf(r).id),
			slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.String("error", err.Error()))
	}
	writeProblem(w, r, status, f)
}

// allowed are the methods of a path; HEAD is answered wherever GET is.
func allowed(e *openapi.MethodNotAllowedError) []string {
	out := slices.Clone(e.Allowed)
	if slices.Contains(out, http.MethodGet) && !slices.Contains(out, http.MethodHead) {
		out = append(out, http.MethodHead)
	}
	slices.Sort(out)
	return out
}

func writeProblem(w http.ResponseWriter, r *http.Request, status int, f *fault.Error) {
	p := problem{
		Type: "urn:osmoslice:problem:" + f.Kind.String(), Title: http.StatusText(status),
		Status: status, Detail: f.Detail, Instance: f.Instance, Request: callOf(r).id,
	}
	if status == http.StatusMethodNotAllowed { // no fault of ours has this kind
		p.Type = "urn:osmoslice:problem:method-not-allowed"
	}
	for _, q := range f.Params {
		p.Params = append(p.Params, invalidParam{Name: q.Field, Reason: reason(q), Given: q.Given, Allowed: q.Allowed})
	}
	if status < http.StatusInternalServerError && f.Unwrap() != nil && f.Kind != fault.Unauthenticated {
		p.Detail += ": " + f.Unwrap().Error()
	}
	body, _ := json.Marshal(p) // strings and numbers always marshal
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	switch status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="osmoslice"`)
	case http.StatusSeeOther:
		h.Set("Location", f.Instance)
	}
	if d := retryAfter(status, f); d > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(d.Seconds()))))
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func reason(p fault.Param) string {
	if p.Allowed == "" {
		return "not valid"
	}
	return "allowed: " + p.Allowed
}

// retryAfter is a hint for 429 and 503 even where the fault has none.
func retryAfter(status int, f *fault.Error) time.Duration {
	if f.RetryAfter == 0 && (status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable) {
		return time.Second
	}
	return f.RetryAfter
}

// classify answers the status of err and what to tell.
func classify(err error) (int, *fault.Error) {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Kind.Status(), f
	}
	var method *openapi.MethodNotAllowedError
	if errors.As(err, &method) {
		return http.StatusMethodNotAllowed, fault.New(fault.Invalid, "the method is not allowed here; %s are", strings.Join(allowed(method), ", "))
	}
	if f := validation(err); f != nil {
		return f.Kind.Status(), f
	}
	var coded openapi.Error
	if errors.As(err, &coded) {
		for k := fault.Internal; k <= fault.NoSpace; k++ {
			if int(coded.Code()) == k.Status() {
				return k.Status(), fault.New(k, "%s", coded.Error())
			}
		}
	}
	f = fault.Of(err)
	return f.Kind.Status(), f
}

// validation translates what the generated layer found wrong; nil when err is
// something else. The most basic kind wins: a body of the wrong media type is
// not also wrong in its fields.
func validation(err error) *fault.Error {
	var parts []error
	flatten(err, &parts)
	var out *fault.Error
	for _, p := range parts {
		f := part(p)
		if f == nil {
			continue
		}
		switch {
		case out == nil || rank(f.Kind) < rank(out.Kind):
			out = f
		case f.Kind == out.Kind:
			out.Params = append(out.Params, f.Params...)
		}
	}
	return out
}

func rank(k fault.Kind) int {
	for i, r := range []fault.Kind{fault.UnsupportedMedia, fault.NotAcceptable, fault.TooLarge, fault.Malformed, fault.Invalid} {
		if k == r {
			return i
		}
	}
	return -1
}

func flatten(err error, out *[]error) {
	if c, ok := err.(*openapi.CompositeError); ok { //nolint:errorlint // its parts are what is wanted
		for _, e := range c.Errors {
			flatten(e, out)
		}
		return
	}
	*out = append(*out, err)
}

func part(err error) *fault.Error {
	var (
		v *openapi.Validation
		p *openapi.ParseError
		f *fault.Error
	)
	switch {
	case errors.As(err, &f):
		return &fault.Error{Kind: f.Kind, Detail: f.Detail, Params: f.Params}
	case errors.As(err, &p):
		if errors.As(p.Reason, &f) {
			return f
		}
		return fault.New(fault.Malformed, "%s is not valid: %v", p.Name, p.Reason).With(fieldName(p.Name), p.Value, "")
	case errors.As(err, &v):
		return ofValidation(v)
	}
	return nil
}

func ofValidation(v *openapi.Validation) *fault.Error {
	switch v.Code() {
	case http.StatusUnsupportedMediaType:
		return fault.New(fault.UnsupportedMedia, "the body's media type is not accepted").With("Content-Type", given(v), values(v))
	case http.StatusNotAcceptable:
		return fault.New(fault.NotAcceptable, "no media type of the answer is accepted").With("Accept", given(v), values(v))
	}
	kind, detail := fault.Invalid, "the body is not valid"
	if v.In == "query" || v.In == "header" || v.In == "path" {
		kind, detail = fault.Malformed, "a parameter is not valid"
	}
	allowed := values(v)
	if allowed == "" {
		allowed = rule(v)
	}
	return fault.New(kind, "%s", detail).With(fieldName(v.Name), given(v), allowed)
}

// rule is the sentence of the generated layer without the field's name.
func rule(v *openapi.Validation) string {
	s := strings.TrimPrefix(v.Error(), v.Name+" ")
	if v.In != "" {
		s = strings.TrimPrefix(s, "in "+v.In+" ")
	}
	if v.Code() == openapi.RequiredFailCode {
		return "a value: it is required"
	}
	return strings.TrimPrefix(s, "should ")
}

func given(v *openapi.Validation) string {
	switch g := v.Value.(type) {
	case nil:
		return ""
	case string:
		return g
	case *string:
		if g == nil {
			return ""
		}
		return *g
	case json.Number, bool, int, int64, float64:
		return fmt.Sprint(g)
	}
	return ""
}

func values(v *openapi.Validation) string {
	var out []string
	for _, a := range v.Values {
		out = append(out, fmt.Sprint(a))
	}
	return strings.Join(out, ", ")
}

// fieldName turns "body.iotGateways.0.name" into "iotGateways/0/name".
func fieldName(name string) string {
	if rest, ok := strings.CutPrefix(name, "body."); ok {
		name = rest
	}
	if name == "" {
		return "body"
	}
	return strings.ReplaceAll(name, ".", "/")
}
