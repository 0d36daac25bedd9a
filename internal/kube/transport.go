package kube

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// errSilent is the cause of a request that the server did not answer in time.
var errSilent = errors.New("the API server does not answer")

// gate spaces out the requests to a cluster that cannot be connected to, and
// bounds each.
type gate struct {
	next    http.RoundTripper
	timeout time.Duration

	mu    sync.Mutex
	fails int
	until time.Time // no request before
}

// The pauses after failures to connect: 100 ms, doubled, at most 2 s.
const (
	pauseFirst = 100 * time.Millisecond
	pauseLast  = 2 * time.Second
)

// RoundTrip carries out one request.
func (g *gate) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := g.enter(req.Context()); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	timer := time.AfterFunc(g.timeout, func() { cancel(errSilent) })
	resp, err := g.next.RoundTrip(req.WithContext(ctx))
	if err != nil {
		timer.Stop()
		if silent := context.Cause(ctx); errors.Is(silent, errSilent) {
			err = silent
			utilnet.CloseIdleConnectionsFor(g.next)
		}
		cancel(nil)
		if req.Context().Err() != nil {
			return nil, err // the caller's own end
		}
		g.failed()
		return nil, &lost{err}
	}
	g.mu.Lock()
	g.fails, g.until = 0, time.Time{}
	g.mu.Unlock()
	if req.URL.Query().Get("watch") != "" {
		timer.Stop()
	}
	resp.Body = &body{ReadCloser: resp.Body, ctx: ctx, done: func() { timer.Stop(); cancel(nil) }}
	return resp, nil
}

// WrappedRoundTripper lets client-go find the transport below.
func (g *gate) WrappedRoundTripper() http.RoundTripper { return g.next }

// enter waits until a request may be tried.
func (g *gate) enter(ctx context.Context) error {
	g.mu.Lock()
	wait := time.Until(g.until)
	g.mu.Unlock()
	if wait <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// failed remembers a failure to reach the server.
func (g *gate) failed() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if time.Now().Before(g.until) {
		return // another of the same moment has counted
	}
	g.until = time.Now().Add(min(pauseFirst<<min(g.fails, 6), pauseLast))
	g.fails++
}

// lost is an error of the way to the server. client-go repeats what it takes for
// a broken connection ten times, a second apart, knowing it by these words; here
// the caller decides whether to repeat.
type lost struct{ err error }

func (l *lost) Error() string {
	return strings.NewReplacer("connection reset by peer", "the connection was reset", "use of closed network connection", "the connection was closed",
		"server closed idle connection", "the connection was closed", "broken connection", "closed connection").Replace(l.err.Error())
}

func (l *lost) Unwrap() error { return l.err }

// body gives a request's timer and context back when it has been read.
type body struct {
	io.ReadCloser
	ctx  context.Context //nolint:containedctx // the request's own, to tell why reading failed
	done func()
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && errors.Is(context.Cause(b.ctx), errSilent) {
		err = errSilent
	}
	return n, err
}

func (b *body) Close() error {
	defer b.done()
	return b.ReadCloser.Close()
}

// within ends every request when a context of the caller's does: for libraries
// that take no context.
type within struct {
	next http.RoundTripper
	ctx  context.Context //nolint:containedctx // that is its purpose
}

// RoundTrip carries out one request, unless the context has ended.
func (w *within) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := context.Cause(w.ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	stop := context.AfterFunc(w.ctx, func() { cancel(context.Cause(w.ctx)) })
	resp, err := w.next.RoundTrip(req.WithContext(ctx))
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && ctx.Err() != nil {
			err = cause
		}
		stop()
		cancel(nil)
		return nil, err
	}
	resp.Body = &body{ReadCloser: resp.Body, ctx: ctx, done: func() { stop(); cancel(nil) }}
	return resp, nil
}

// WrappedRoundTripper lets client-go find the transport below.
func (w *within) WrappedRoundTripper() http.RoundTripper { return w.next }
