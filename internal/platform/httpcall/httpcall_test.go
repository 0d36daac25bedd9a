package httpcall_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/platform"
	"github.com/osmoslice/osmoslice/internal/platform/httpcall"
)

func TestPatience(t *testing.T) {
	c := &httpcall.Client{Product: "X", Patience: 20 * time.Second}
	calls := 0
	err := c.Patiently(t.Context(), func(context.Context) error {
		if calls++; calls < 3 {
			return httpcall.Passing(c.Refused(http.StatusBadRequest, "not yet"))
		}
		return nil
	})
	if err != nil || calls != 3 {
		t.Errorf("%d calls, %v; want 3 and success", calls, err)
	}
	calls = 0
	err = c.Patiently(t.Context(), func(context.Context) error { calls++; return c.Refused(http.StatusBadRequest, "wrong") })
	if f := fault.Of(err); calls != 1 || f.Kind != fault.Invalid || f.Retry != fault.Never {
		t.Errorf("%d calls, %v; what does not pass is not repeated", calls, err)
	}
	c.Patience = 250 * time.Millisecond
	err = c.Patiently(t.Context(), func(context.Context) error { return httpcall.Passing(c.Refused(http.StatusUnauthorized, "")) })
	if f := fault.Of(err); f.Kind != fault.Unavailable || f.Retry != fault.Backoff {
		t.Errorf("%v (%s, %s): what still passes is for the caller's backoff", err, f.Kind, f.Retry)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c.Patience = time.Hour
	if err := c.Patiently(ctx, func(context.Context) error { return httpcall.Passing(c.Refused(503, "")) }); err == nil {
		t.Error("it succeeded although the context had ended")
	}
}

func TestErrorsTellNoSecret(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	c := &httpcall.Client{Product: "X"}
	a := platform.Access{Endpoints: map[string]string{"api": gone.URL}}
	_, err := c.Do(t.Context(), a, httpcall.Call{Endpoint: "api", Method: http.MethodPost, Path: "/p?auth=hush-1", Authorization: "hush-2",
		Body: map[string]string{"password": "hush-3"}})
	if f := fault.Of(err); f.Kind != fault.Unavailable || f.Retry != fault.Backoff || strings.Contains(err.Error(), "hush") {
		t.Errorf("%v", err)
	}
	_, err = c.Do(t.Context(), a, httpcall.Call{Endpoint: "other", Method: http.MethodGet})
	if f := fault.Of(err); f.Kind != fault.Invalid || len(f.Params) != 1 || f.Params[0].Field != "endpoints/other" {
		t.Errorf("%v: it must name the endpoint", err)
	}
}
