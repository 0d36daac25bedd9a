package northbound

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/app"
	"github.com/osmoslice/osmoslice/internal/config"
)

const base = "/iotslice/v1"

// service is the whole service in this process.
type service struct {
	t    testing.TB
	app  *app.App
	dir  string // of its data
	root string // the first key
}

func start(t testing.TB) *service {
	t.Helper()
	c := config.Default()
	c.Data.Dir = t.TempDir()
	c.Listen.Address = "127.0.0.1:0"
	c.Listen.DrainTimeout = 4 * time.Second
	c.Limits.RatePerSecond = 0
	c.Limits.Backlog = 1 << 20
	c.Simulated.Dir = "-"
	c.Host.Enabled = false
	c, err := c.Resolved()
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.New(t.Context(), c, app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := a.Stop(ctx); err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
	key, err := os.ReadFile(filepath.Join(c.Data.Dir, app.AdminKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	return &service{t: t, app: a, dir: c.Data.Dir, root: strings.TrimSpace(string(key))}
}

// holdsNot fails when a file of the service holds a text.
func (s *service) holdsNot(text string) {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "osmoslice.db*"))
	if err != nil || len(files) == 0 {
		s.t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			s.t.Fatal(err)
		}
		if bytes.Contains(b, []byte(text)) {
			s.t.Errorf("%s holds a secret in clear", filepath.Base(f))
		}
	}
}

type object = map[string]any

// reply is an answer; object and list are its body.
type reply struct {
	status int
	header http.Header
	body   []byte
	object object
	list   []object
}

// call sends a request as key; body is nil, a string sent as it is, or a value.
// headers are name, value pairs.
func (s *service) call(key, method, path string, body any, headers ...string) reply {
	s.t.Helper()
	var b []byte
	switch v := body.(type) {
	case nil:
	case string:
		b = []byte(v)
	default:
		var err error
		if b, err = json.Marshal(v); err != nil {
			s.t.Fatal(err)
		}
	}
	if !strings.HasPrefix(path, "/iotslice") {
		path = base + path
	}
	r := httptest.NewRequestWithContext(s.t.Context(), method, path, bytes.NewReader(b))
	if b == nil {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	r.Header.Set("Authorization", "Bearer "+key)
	if b != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.app.Handler().ServeHTTP(w, r)
	out := reply{status: w.Code, header: w.Header(), body: w.Body.Bytes()}
	if bytes.HasPrefix(out.body, []byte("[")) {
		_ = json.Unmarshal(out.body, &out.list) // nil fails the test that reads it
	} else {
		_ = json.Unmarshal(out.body, &out.object)
	}
	conforms(s.t, method, path, out)
	return out
}

// must is call that ends the test on another status.
func (s *service) must(status int, key, method, path string, body any, headers ...string) reply {
	s.t.Helper()
	r := s.call(key, method, path, body, headers...)
	if r.status != status {
		s.t.Fatalf("%s %s = %d, want %d: %s", method, path, r.status, status, r.body)
	}
	return r
}

func (r reply) id() string { return fmt.Sprint(r.object["id"]) }

// wait waits for an operation to end in a state.
func (s *service) wait(key, location, state string) reply {
	s.t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); ; {
		r := s.must(200, key, "GET", location+"?wait=5", nil)
		switch got := r.object["operationState"]; {
		case got == state:
			return r
		case got == "FAILED_TEMP" || got == "FAILED" || got == "ROLLED_BACK" || got == "COMPLETED" || time.Now().After(deadline):
			s.t.Fatalf("the operation is %v, want %s: %s", got, state, r.body)
		}
	}
}

// tenant makes a tenant and a key for each role.
func (s *service) tenant(name string) (id string, keys map[string]string) {
	s.t.Helper()
	id = s.must(201, s.root, "POST", "/tenants", object{"name": name}).id()
	keys = map[string]string{}
	for _, role := range []string{"tenant-admin", "tenant-operator", "tenant-viewer"} {
		k := s.must(201, s.root, "POST", "/apiKeys", object{"name": name + "-" + role, "role": role, "tenantIds": []string{id}})
		keys[role], _ = k.object["token"].(string)
		if keys[role] == "" {
			s.t.Fatalf("no token: %s", k.body)
		}
	}
	return id, keys
}
