package cli

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-openapi/runtime"
	httptransport "github.com/go-openapi/runtime/client"
	"github.com/go-openapi/strfmt"

	"github.com/osmoslice/osmoslice/api/client"
	"github.com/osmoslice/osmoslice/internal/version"
)

// wire is the connection to one service: the generated client's transport with
// the key on it. Generic calls (do) and typed ones (api) share it.
type wire struct {
	api       *client.Osmoslice
	transport runtime.ContextualTransport
	tenant    string
}

const mergePatch = "application/merge-patch+json"

func newWire(base *url.URL, inner http.RoundTripper, key, tenant string) *wire {
	rt := httptransport.NewWithClient(base.Host, strings.TrimSuffix(base.Path, "/")+client.DefaultBasePath,
		[]string{base.Scheme}, &http.Client{
			Transport: named{inner},
			// A redirect would carry the key elsewhere; the API has one (303,
			// an equal subscription), which is told as what it is.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		})
	rt.DefaultAuthentication = httptransport.BearerToken(key)
	rt.Producers[mergePatch] = runtime.JSONProducer()
	rt.Consumers["application/problem+json"] = runtime.JSONConsumer()
	rt.Consumers["*/*"] = runtime.ByteStreamConsumer()
	return &wire{api: client.New(rt, strfmt.Default), transport: rt, tenant: tenant}
}

// named tells the service who calls.
type named struct{ http.RoundTripper }

func (n named) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Set("User-Agent", "slicectl/"+version.Version)
	return n.RoundTripper.RoundTrip(r)
}

// call is one request below the API's base path. Path is a pattern whose
// {names} are filled from ids, in order.
type call struct {
	method string
	path   string
	ids    []string
	query  url.Values
	body   any // nil: none; else marshalled as JSON
	header map[string]string
	accept string
	// all asks for everything the key may see, not for --tenant's alone: what
	// is shared with a tenant is not its own.
	all    bool
	stream func(io.Reader) error // takes a 200 answer's body as it comes
}

// answer is what the service answered.
type answer struct {
	status   int
	body     json.RawMessage
	location string
	next     string // marker of the next page
}

// operation is the id of the operation that a 202 names, or "".
func (a *answer) operation() string {
	_, id, ok := strings.Cut(a.location, "/lcmOpOccs/")
	if a.status != http.StatusAccepted || !ok {
		return ""
	}
	return id
}

// do sends a call. What changes something carries a key of idempotency, so that
// it can be sent again when the connection breaks.
func (w *wire) do(ctx context.Context, c call) (*answer, error) {
	if c.method != http.MethodGet {
		if c.header == nil {
			c.header = map[string]string{}
		}
		c.header["Idempotency-Key"] = rand.Text()
	}
	op := &runtime.ClientOperation{
		ID: c.method + " " + c.path, Method: c.method, PathPattern: c.path, Schemes: []string{"http", "https"},
		ProducesMediaTypes: []string{first(c.accept, runtime.JSONMime)}, ConsumesMediaTypes: []string{runtime.JSONMime},
		Params: c.params(w.tenant), Reader: runtime.ClientResponseReaderFunc(c.read),
	}
	if c.method == http.MethodPatch {
		op.ConsumesMediaTypes = []string{mergePatch}
	}
	for attempt := 1; ; attempt++ {
		result, err := w.transport.SubmitContext(ctx, op)
		if err == nil {
			return result.(*answer), nil
		}
		if isProblem(err) || ctx.Err() != nil || c.stream != nil {
			return nil, ended(ctx, err)
		}
		if uerr, ok := errors.AsType[*url.Error](err); !ok {
			return nil, err
		} else if attempt == 3 {
			return nil, unreachable{fmt.Errorf("the service does not answer: %w", uerr)}
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(time.Duration(attempt) * 100 * time.Millisecond):
		}
	}
}

// ended prefers the reason why ctx ended to what it looked like.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && !isProblem(err) {
		return context.Cause(ctx)
	}
	return err
}

func (c call) params(tenant string) runtime.ClientRequestWriter {
	return runtime.ClientRequestWriterFunc(func(r runtime.ClientRequest, _ strfmt.Registry) error {
		if err := r.SetTimeout(0); err != nil { // the context bounds it
			return err
		}
		rest := c.path
		for _, id := range c.ids {
			_, after, _ := strings.Cut(rest, "{")
			name, tail, _ := strings.Cut(after, "}")
			rest = tail
			if err := r.SetPathParam(name, id); err != nil {
				return err
			}
		}
		for k, v := range c.query {
			if err := r.SetQueryParam(k, v...); err != nil {
				return err
			}
		}
		if tenant != "" && !c.all {
			if err := r.SetHeaderParam("X-Tenant", tenant); err != nil {
				return err
			}
		}
		for k, v := range c.header {
			if err := r.SetHeaderParam(k, v); err != nil {
				return err
			}
		}
		if c.body == nil {
			return nil
		}
		return r.SetBodyParam(c.body)
	})
}

// maxAnswer bounds one answer that is read as a whole.
const maxAnswer = 256 << 20

func (c call) read(r runtime.ClientResponse, _ runtime.Consumer) (any, error) {
	if c.stream != nil && r.Code() == http.StatusOK {
		return &answer{status: r.Code()}, c.stream(r.Body())
	}
	body, err := io.ReadAll(io.LimitReader(r.Body(), maxAnswer))
	if err != nil {
		return nil, err
	}
	if r.Code() >= 300 {
		return nil, problemOf(r.Code(), body)
	}
	return &answer{status: r.Code(), body: body, location: r.GetHeader("Location"), next: marker(r.GetHeader("Link"))}, nil
}

// marker takes the next page's marker from a Link header (RFC 8288).
func marker(link string) string {
	for part := range strings.SplitSeq(link, ",") {
		target, rel, ok := strings.Cut(part, ">")
		if !ok || !strings.Contains(rel, `rel="next"`) {
			continue
		}
		u, err := url.Parse(strings.TrimPrefix(strings.TrimSpace(target), "<"))
		if err == nil {
			return u.Query().Get("nextpage_opaque_marker")
		}
	}
	return ""
}

// list reads a collection page by page until limit entries (0: all) are there.
func (w *wire) list(ctx context.Context, c call, limit int) ([]json.RawMessage, error) {
	c.method = http.MethodGet
	if c.query == nil {
		c.query = url.Values{}
	}
	all := []json.RawMessage{}
	for {
		page := 1000
		if limit > 0 {
			page = min(page, limit-len(all))
		}
		c.query.Set("limit", fmt.Sprint(page))
		a, err := w.do(ctx, c)
		if err != nil {
			return nil, err
		}
		var rows []json.RawMessage
		if err := json.Unmarshal(a.body, &rows); err != nil {
			return nil, fmt.Errorf("%s: the service answered no list: %w", c.path, err)
		}
		all = append(all, rows...)
		if a.next == "" || limit > 0 && len(all) >= limit {
			return all, nil
		}
		c.query.Set("nextpage_opaque_marker", a.next)
	}
}
