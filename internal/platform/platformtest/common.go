package platformtest

import (
	"context"
	"errors"
	"maps"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/platform"
)

// deadline bounds everything one test waits for.
const deadline = 30 * time.Second

// bounded is a context for one test.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	t.Cleanup(cancel)
	return ctx
}

// need skips a test whose means the fixture does not have.
func need(t *testing.T, has bool, what string) {
	t.Helper()
	if has {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("the fixture has no %s", what)
	}
	t.Skipf("the fixture has no %s", what)
}

// must ends the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantFault checks that err is classified, and how it may be retried.
func wantFault(t *testing.T, err error, retry fault.Retry, kinds ...fault.Kind) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) {
		t.Fatalf("error %v is not a fault", err)
	}
	if f.Retry != retry {
		t.Errorf("%v: retry %s, want %s", err, f.Retry, retry)
	}
	for _, k := range kinds {
		if f.Kind == k {
			return
		}
	}
	t.Errorf("%v: kind %s, want one of %v", err, f.Kind, kinds)
}

// wantSilent checks that an error tells none of the secrets.
func wantSilent(t *testing.T, err error, secrets ...string) {
	t.Helper()
	for _, s := range secrets {
		if err != nil && s != "" && strings.Contains(err.Error(), s) {
			t.Errorf("the error tells a secret: %v", err)
		}
	}
}

// elsewhere is a with every endpoint at an address where nobody listens.
func elsewhere(t *testing.T, a platform.Access) platform.Access {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	address := l.Addr().String()
	must(t, l.Close())
	out := a
	out.Endpoints = maps.Clone(a.Endpoints)
	for name, was := range out.Endpoints {
		scheme, _, _ := strings.Cut(was, "://")
		out.Endpoints[name] = scheme + "://" + address
	}
	return out
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !ok(); time.Sleep(10 * time.Millisecond) { //nolint:forbidigo // this is the wait for a condition
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", deadline, what)
		}
	}
}
