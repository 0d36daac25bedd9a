package rest

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/actor"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/fulfilment"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

var _ Service = (*fulfilment.Service)(nil)

// memory is a service that keeps tenants in memory; every other use case panics,
// as the tests of one layer do not reach it.
type memory struct {
	Service
	mu    sync.Mutex
	items map[string]*slice.Tenant
	calls int
}

func (m *memory) Authenticate(_ context.Context, token string) (actor.Actor, error) {
	role, ok := map[string]slice.Role{"root": slice.SystemAdmin, "viewer": slice.TenantViewer}[token]
	if !ok {
		return actor.Actor{}, fault.New(fault.Unauthenticated, "the key is not known")
	}
	return actor.Actor{Key: token, Role: role, Tenants: []string{"t1"}}, nil
}

func (m *memory) Get(_ context.Context, kind slice.Kind, id string) (slice.Resource, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if x, ok := m.items[id]; ok {
		c := *x
		return &c, nil
	}
	return nil, fault.Absent(string(kind), id)
}

func (m *memory) List(context.Context, operation.Query) (fulfilment.Page, error) {
	return fulfilment.Page{}, nil
}

func (m *memory) Create(_ context.Context, r slice.Resource, _ fulfilment.Options) (fulfilment.Result, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	x, _ := r.(*slice.Tenant)
	if x.Name == "panic" {
		panic("as asked")
	}
	x.ID, x.Revision = slice.NewID(), 1
	m.items[x.ID] = x
	return fulfilment.Result{Resource: x, Created: true}, nil
}

func (m *memory) Patch(_ context.Context, kind slice.Kind, id string, p fulfilment.Patch, o fulfilment.Options) (fulfilment.Result, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	x, ok := m.items[id]
	if !ok {
		return fulfilment.Result{}, fault.Absent(string(kind), id)
	}
	if o.IfMatch != 0 && o.IfMatch != x.Revision {
		return fulfilment.Result{}, fault.New(fault.PreconditionFailed, "another revision")
	}
	c := *x
	if err := p(&c); err != nil {
		return fulfilment.Result{}, err
	}
	c.Revision++
	m.items[id] = &c
	return fulfilment.Result{Resource: &c}, nil
}

// keys is the contract of Idempotency in memory.
type keys struct {
	mu  sync.Mutex
	all map[string]*keptKey
}

type keptKey struct {
	hash   string
	answer *Answer
}

func (k *keys) Claim(_ context.Context, scope, key, hash string, _ time.Duration) (*Answer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	have, ok := k.all[scope+" "+key]
	switch {
	case !ok:
		k.all[scope+" "+key] = &keptKey{hash: hash}
		return nil, nil
	case have.hash != hash:
		return nil, fault.New(fault.Invalid, "another request").With("Idempotency-Key", key, "a new one")
	case have.answer == nil:
		return nil, fault.New(fault.Conflict, "in progress")
	}
	return have.answer, nil
}

func (k *keys) Finish(_ context.Context, scope, key string, a Answer) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all[scope+" "+key].answer = &a
	return nil
}

func (k *keys) Drop(_ context.Context, scope, key string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.all, scope+" "+key)
	return nil
}

func serve(t testing.TB, change func(*Deps)) (*httptest.Server, *memory) {
	t.Helper()
	m := &memory{items: map[string]*slice.Tenant{}}
	d := Deps{Idempotency: &keys{all: map[string]*keptKey{}}, BodyBytes: 64 << 10, Log: slog.New(slog.DiscardHandler)}.With(m)
	if change != nil {
		change(&d)
	}
	h, err := New(d)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s, m
}

type reply struct {
	*http.Response
	body    []byte
	problem problem
}

// do sends a request as root unless headers say otherwise; headers are
// name, value pairs.
func do(t testing.TB, s *httptest.Server, method, path, body string, headers ...string) reply {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	q, err := http.NewRequest(method, s.URL+path, r)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer root")
	if body != "" {
		q.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		q.Header.Set(headers[i], headers[i+1])
	}
	p, err := s.Client().Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Body.Close() }()
	out := reply{Response: p}
	if out.body, err = io.ReadAll(p.Body); err != nil {
		t.Fatal(err)
	}
	if p.StatusCode >= 400 && method != http.MethodHead {
		if ct := p.Header.Get("Content-Type"); ct != "application/problem+json" {
			t.Errorf("%s %s: %d as %q: %s", method, path, p.StatusCode, ct, out.body)
		}
		if err := json.Unmarshal(out.body, &out.problem); err != nil || out.problem.Status != p.StatusCode || out.problem.Detail == "" {
			t.Errorf("%s %s: not a Problem: %s", method, path, out.body)
		}
	}
	return out
}

const tenantsPath = basePath + "/tenants"

// Errors made before a handler runs are Problems too, with the real status and
// the name of what is wrong.
func TestEveryErrorIsAProblem(t *testing.T) {
	s, _ := serve(t, nil)
	big := `{"name":"a","description":"` + strings.Repeat("x", 70<<10) + `"}`
	for _, c := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		field                    string
	}{
		{name: "unknown path", method: "GET", path: "/nowhere", status: 404},
		{name: "unknown path below the base", method: "GET", path: basePath + "/nowhere", status: 404},
		{name: "method", method: "DELETE", path: tenantsPath, status: 405},
		{name: "encoding", method: "POST", path: tenantsPath, body: `{"name":"a"}`, headers: []string{"Content-Encoding", "gzip"}, status: 415, field: "Content-Encoding"},
		{name: "no key", method: "GET", path: tenantsPath, headers: []string{"Authorization", ""}, status: 401},
		{name: "wrong key", method: "GET", path: tenantsPath, headers: []string{"Authorization", "Bearer nope"}, status: 401},
		{name: "basic", method: "GET", path: tenantsPath, headers: []string{"Authorization", "Basic cm9vdDo="}, status: 401},
		{name: "token in the URL", method: "GET", path: tenantsPath + "?access_token=root", headers: []string{"Authorization", ""}, status: 401, field: "access_token"},
		{name: "token in the URL and header", method: "GET", path: tenantsPath + "?access_token=root", status: 401, field: "access_token"},
		{name: "scope", method: "POST", path: tenantsPath, body: `{"name":"a"}`, headers: []string{"Authorization", "Bearer viewer"}, status: 403},
		{name: "accept", method: "GET", path: tenantsPath, headers: []string{"Accept", "application/xml"}, status: 406, field: "Accept"},
		{name: "version", method: "GET", path: tenantsPath, headers: []string{"Version", "2.0.0"}, status: 406, field: "Version"},
		{name: "media type", method: "POST", path: tenantsPath, body: `{"name":"a"}`, headers: []string{"Content-Type", "text/plain"}, status: 415, field: "Content-Type"},
		{name: "broken media type", method: "POST", path: tenantsPath, body: `{"name":"a"}`, headers: []string{"Content-Type", "a/b/c"}, status: 400, field: "Content-Type"},
		{name: "no body", method: "POST", path: tenantsPath, status: 422, field: "body"},
		{name: "broken JSON", method: "POST", path: tenantsPath, body: `{"name":`, status: 400, field: "body"},
		{name: "two documents", method: "POST", path: tenantsPath, body: `{"name":"a"}{}`, status: 400, field: "body"},
		{name: "unknown field", method: "POST", path: tenantsPath, body: `{"name":"a","nmae":1}`, status: 422, field: "nmae"},
		{name: "another case", method: "POST", path: tenantsPath, body: `{"NAME":"a"}`, status: 422, field: "NAME"},
		{name: "read-only field", method: "POST", path: tenantsPath, body: `{"name":"a","id":"x"}`, status: 422, field: "id"},
		{name: "wrong type", method: "POST", path: tenantsPath, body: `{"name":5}`, status: 422, field: "name"},
		{name: "missing field", method: "POST", path: tenantsPath, body: `{"displayName":"a"}`, status: 422, field: "name"},
		{name: "pattern", method: "POST", path: tenantsPath, body: `{"name":"a b"}`, status: 422, field: "name"},
		{name: "range", method: "POST", path: tenantsPath, body: `{"name":"a","maxSlices":-1}`, status: 422, field: "maxSlices"},
		{name: "length below", method: "POST", path: tenantsPath, body: `{"name":"a","labels":{"k":"` + strings.Repeat("v", 300) + `"}}`, status: 422, field: "labels/k"},
		{name: "too large", method: "POST", path: tenantsPath, body: big, status: 413, field: "body"},
		{name: "query type", method: "GET", path: tenantsPath + "?limit=many", status: 400, field: "limit"},
		{name: "query range", method: "GET", path: tenantsPath + "?limit=0", status: 400, field: "limit"},
		{name: "flag type", method: "POST", path: tenantsPath + "?dryRun=perhaps", body: `{"name":"a"}`, status: 400, field: "dryRun"},
		{name: "flag twice", method: "POST", path: tenantsPath + "?dryRun=true&dryRun=false", body: `{"name":"a"}`, status: 400, field: "dryRun"},
		{name: "unknown parameter", method: "POST", path: tenantsPath + "?dryrun=true", body: `{"name":"a"}`, status: 400, field: "dryrun"},
		{name: "filter", method: "GET", path: tenantsPath + "?filter=name", status: 400, field: "filter"},
		{name: "selector", method: "GET", path: tenantsPath + "?fields=nope", status: 400, field: "fields"},
		{name: "hostile query", method: "GET", path: tenantsPath + "?filter=%00", status: 400, field: "filter"},
		{name: "broken query", method: "GET", path: tenantsPath + "?a=%zz", status: 400, field: "query"},
		{name: "hostile path", method: "GET", path: tenantsPath + "/%00", status: 404, field: "path"},
		{name: "empty id", method: "GET", path: tenantsPath + "/", status: 404, field: "path"},
		{name: "empty part", method: "GET", path: basePath + "/iotSlices//nest", status: 404, field: "path"},
		{name: "absent", method: "GET", path: tenantsPath + "/x", status: 404},
		{name: "If-Match", method: "PATCH", path: tenantsPath + "/x", body: `{}`, headers: []string{"If-Match", "1"}, status: 400, field: "If-Match"},
		{name: "Idempotency-Key", method: "POST", path: tenantsPath, body: `{"name":"a"}`, headers: []string{"Idempotency-Key", "a b"}, status: 400, field: "Idempotency-Key"},
		{name: "panic", method: "POST", path: tenantsPath, body: `{"name":"panic"}`, status: 500},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := do(t, s, c.method, c.path, c.body, c.headers...)
			if got.StatusCode != c.status {
				t.Fatalf("%d, want %d: %s", got.StatusCode, c.status, got.body)
			}
			if c.field != "" && (len(got.problem.Params) == 0 || got.problem.Params[0].Name != c.field) {
				t.Errorf("the Problem does not name %s: %s", c.field, got.body)
			}
			if got.problem.Request == "" || got.problem.Request != got.Header.Get("X-Request-Id") {
				t.Errorf("request id %q, header %q", got.problem.Request, got.Header.Get("X-Request-Id"))
			}
			if c.status == 401 && got.Header.Get("WWW-Authenticate") == "" {
				t.Error("401 without WWW-Authenticate")
			}
			if c.status == 405 && got.Header.Get("Allow") != "GET, HEAD, POST, PUT" {
				t.Errorf("405 with Allow %q", got.Header.Get("Allow"))
			}
			if c.status == 500 && strings.Contains(string(got.body), "as asked") {
				t.Errorf("the cause is told: %s", got.body)
			}
		})
	}
}

func TestConditionalCalls(t *testing.T) {
	s, _ := serve(t, nil)
	made := do(t, s, "POST", tenantsPath, `{"name":"a","displayName":"A"}`)
	at := made.Header.Get("Location")
	if made.StatusCode != http.StatusCreated || made.Header.Get("ETag") != `"1"` || !strings.HasPrefix(at, tenantsPath+"/") {
		t.Fatalf("%d %v: %s", made.StatusCode, made.Header, made.body)
	}
	for _, c := range []struct {
		method, body, header, value string
		status                      int
		etag                        string
	}{
		{"GET", "", "If-None-Match", `"1"`, 304, `"1"`},
		{"GET", "", "If-None-Match", `"2"`, 200, `"1"`},
		{"HEAD", "", "If-None-Match", `W/"1"`, 304, `"1"`},
		{"PATCH", `{"displayName":"B"}`, "If-Match", `"2"`, 412, ""},
		{"PATCH", `{"displayName":"B"}`, "If-Match", `W/"1"`, 412, ""},
		{"PATCH", `{"displayName":"B"}`, "If-Match", `"x"`, 412, ""},
		{"PATCH", `{"displayName":"B"}`, "If-Match", `"7", "8"`, 412, ""},
		{"PATCH", `{"displayName":"B"}`, "If-Match", `"7", "1"`, 200, `"2"`},
		{"PATCH", `{"displayName":"C"}`, "If-Match", `*`, 200, `"3"`},
		{"PATCH", `{"displayName":null}`, "If-Match", `"3"`, 200, `"4"`},
	} {
		got := do(t, s, c.method, at, c.body, c.header, c.value)
		if got.StatusCode != c.status || got.Header.Get("ETag") != c.etag {
			t.Errorf("%s %s: %s = %d %s, want %d %s: %s", c.method, c.header, c.value, got.StatusCode, got.Header.Get("ETag"), c.status, c.etag, got.body)
		}
		if c.status == 304 && len(got.body) > 0 {
			t.Errorf("304 with a body: %s", got.body)
		}
	}
	if got := do(t, s, "GET", at, ""); bytes.Contains(got.body, []byte("displayName")) {
		t.Errorf("null did not remove the field: %s", got.body)
	}
	for body, field := range map[string]string{
		`{"revision":7}`: "revision", `{"nope":1}`: "nope", `{"name":"a b"}`: "name", `{"tenantId":"other"}`: "tenantId",
		`[]`: "body", `null`: "body", `{"labels":{"a":1}}`: "labels/a", `{"name":null}`: "name",
	} {
		got := do(t, s, "PATCH", at, body, "Content-Type", "application/merge-patch+json")
		if got.StatusCode != http.StatusUnprocessableEntity || len(got.problem.Params) == 0 || got.problem.Params[0].Name != field {
			t.Errorf("PATCH %s = %d %s; want 422 that names %s", body, got.StatusCode, got.body, field)
		}
	}
}

// Many identical requests at once are carried out once.
func TestIdempotency(t *testing.T) {
	s, m := serve(t, nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[int]int{}
	var body string
	for range 16 {
		wg.Go(func() {
			for {
				got := do(t, s, "POST", tenantsPath, `{"name":"a"}`, "Idempotency-Key", "k1")
				mu.Lock()
				seen[got.StatusCode]++
				if got.StatusCode == http.StatusCreated {
					if body == "" {
						body = string(got.body)
					}
					if body != string(got.body) || got.Header.Get("Location") == "" || got.Header.Get("ETag") != `"1"` {
						t.Errorf("another answer: %s %v", got.body, got.Header)
					}
				}
				mu.Unlock()
				if got.StatusCode != http.StatusConflict {
					return
				}
			}
		})
	}
	wg.Wait()
	if m.calls != 1 || seen[201] != 16 || len(seen) > 2 {
		t.Errorf("carried out %d times; answers %v", m.calls, seen)
	}
	if got := do(t, s, "POST", tenantsPath, `{"name":"b"}`, "Idempotency-Key", "k1"); got.StatusCode != http.StatusUnprocessableEntity || got.problem.Params[0].Name != "Idempotency-Key" {
		t.Errorf("another body: %d %s", got.StatusCode, got.body)
	}
	// A refusal is kept as well; a failure of ours leaves the key free.
	for range 2 {
		if got := do(t, s, "POST", tenantsPath, `{"name":"a b"}`, "Idempotency-Key", "k2"); got.StatusCode != http.StatusUnprocessableEntity || got.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("a kept refusal: %d %v", got.StatusCode, got.Header)
		}
		if got := do(t, s, "POST", tenantsPath, `{"name":"panic"}`, "Idempotency-Key", "k3"); got.StatusCode != http.StatusInternalServerError {
			t.Errorf("a panic: %d", got.StatusCode)
		}
	}
	if m.calls != 3 {
		t.Errorf("%d calls, want 3: one kept, two that failed", m.calls)
	}
}

func TestRateLimitPerKey(t *testing.T) {
	now := time.Unix(1e9, 0)
	s, _ := serve(t, func(d *Deps) {
		d.RatePerSecond, d.RateBurst, d.Clock = 1, 3, func() time.Time { return now }
	})
	for range 3 {
		if got := do(t, s, "GET", tenantsPath, ""); got.StatusCode != http.StatusOK {
			t.Fatal(got.StatusCode)
		}
	}
	got := do(t, s, "GET", tenantsPath, "")
	if got.StatusCode != http.StatusTooManyRequests || got.Header.Get("Retry-After") != "1" {
		t.Errorf("%d, Retry-After %q", got.StatusCode, got.Header.Get("Retry-After"))
	}
	if other := do(t, s, "GET", tenantsPath, "", "Authorization", "Bearer viewer"); other.StatusCode != http.StatusOK {
		t.Errorf("another key: %d", other.StatusCode)
	}
}

// The pages and the document need no key, nothing from elsewhere, and say so to
// the browser.
func TestDocsAreOffline(t *testing.T) {
	s, _ := serve(t, nil)
	for path, media := range map[string]string{
		"/docs/": "text/html", "/docs/start.js": "text/javascript", "/docs/swagger-ui.css": "text/css",
		"/docs/swagger-ui-bundle.js": "text/javascript", "/docs/favicon-32x32.png": "image/png",
		"/docs/LICENSE.txt": "text/plain", "/swagger.json": "application/json",
	} {
		got := do(t, s, "GET", path, "", "Authorization", "")
		if got.StatusCode != http.StatusOK || !strings.HasPrefix(got.Header.Get("Content-Type"), media) || len(got.body) == 0 {
			t.Errorf("%s: %d %s, %d bytes", path, got.StatusCode, got.Header.Get("Content-Type"), len(got.body))
		}
		if strings.HasPrefix(path, "/docs/") && !strings.Contains(got.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: no policy", path)
		}
		packed := do(t, s, "GET", path, "", "Accept-Encoding", "gzip")
		if packed.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(bytes.NewReader(packed.body))
			if err != nil {
				t.Fatal(err)
			}
			if plain, err := io.ReadAll(z); err != nil || !bytes.Equal(plain, got.body) {
				t.Errorf("%s: the compressed form differs: %v", path, err)
			}
		}
	}
	for _, page := range []string{indexPage, startScript} {
		if strings.Contains(page, "//") && strings.Contains(page, "http") {
			t.Errorf("a page refers elsewhere: %s", page)
		}
	}
	for _, path := range []string{basePath + "/docs", basePath + "/swagger.json"} { // the runtime's own
		if got := do(t, s, "GET", path, ""); got.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", path, got.StatusCode)
		}
	}
	var doc struct {
		BasePath string                    `json:"basePath"`
		Paths    map[string]map[string]any `json:"paths"`
	}
	if err := json.Unmarshal(do(t, s, "GET", "/swagger.json", "").body, &doc); err != nil || doc.BasePath != basePath || len(doc.Paths) < 50 {
		t.Errorf("swagger.json: %v, %s, %d paths", err, doc.BasePath, len(doc.Paths))
	}
	if got := do(t, s, "GET", basePath+"/api_versions", "", "Authorization", ""); got.StatusCode != http.StatusOK || !bytes.Contains(got.body, []byte(version)) {
		t.Errorf("api_versions: %d %s", got.StatusCode, got.body)
	}
}

func TestRequestIDs(t *testing.T) {
	s, _ := serve(t, nil)
	if got := do(t, s, "GET", tenantsPath, "", "X-Request-Id", "mine-1"); got.Header.Get("X-Request-Id") != "mine-1" {
		t.Errorf("mine came back as %q", got.Header.Get("X-Request-Id"))
	}
	for _, hostile := range []string{"", "a b", strings.Repeat("x", 129), "<script>"} {
		if got := do(t, s, "GET", tenantsPath, "", "X-Request-Id", hostile).Header.Get("X-Request-Id"); got == hostile || got == "" {
			t.Errorf("%q came back as %q", hostile, got)
		}
	}
}
