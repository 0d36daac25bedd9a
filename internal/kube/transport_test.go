package kube

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// TestDeadCluster: whatever is wrong with the way to the server, the call ends
// soon, as Unavailable with Backoff, and is not repeated behind the caller's back.
func TestDeadCluster(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var accepted atomic.Int32
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			c.Close()
		}
	}()
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer silent.Close()
	for name, host := range map[string]string{"closes at once": "http://" + l.Addr().String(), "nobody listens": "http://127.0.0.1:1", "does not answer": silent.URL} {
		k, err := Connect(&rest.Config{Host: host}, Options{Timeout: 200 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err = k.Core.CoreV1().Pods("x").List(t.Context(), metav1.ListOptions{})
		f := fault.Of(Fault(err, "pods"))
		if f == nil || f.Kind != fault.Unavailable || f.Retry != fault.Backoff {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
	if n := accepted.Load(); n != 1 {
		t.Errorf("%d connections for one request", n)
	}
}

// TestPauses: failures are spaced out, and one success ends it.
func TestPauses(t *testing.T) {
	var up atomic.Bool
	g := &gate{timeout: time.Second, next: roundTripper(func(r *http.Request) (*http.Response, error) {
		if !up.Load() {
			return nil, &net.OpError{Op: "dial", Err: context.DeadlineExceeded}
		}
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
	})}
	ask := func() error {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://x/", nil)
		resp, err := g.RoundTrip(req)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	start := time.Now()
	for range 3 {
		if ask() == nil {
			t.Fatal("no error")
		}
	}
	if took := time.Since(start); took < 3*pauseFirst {
		t.Errorf("three failures within %v: no pause", took)
	}
	up.Store(true)
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	if g.fails != 0 || !g.until.IsZero() {
		t.Errorf("after a success: %d failures, pause until %v", g.fails, g.until)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestWithin: a library that takes no context ends with ours.
func TestWithin(t *testing.T) {
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			_ = json.NewEncoder(w).Encode(map[string]any{})
			return
		}
		<-r.Context().Done()
	}))
	defer s.Close()
	k, err := Connect(&rest.Config{Host: s.URL}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	rt := k.Within(ctx).Transport
	ask := func() error {
		req, _ := http.NewRequest(http.MethodGet, s.URL, nil)
		resp, err := rt.RoundTrip(req)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := ask(); err == nil {
		t.Error("a request outlived its context")
	}
	if err := ask(); err == nil || asked.Load() != 2 {
		t.Errorf("a request after the end of its context: %v, %d asked", err, asked.Load())
	}
}
