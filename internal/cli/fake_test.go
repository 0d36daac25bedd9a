package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// fake is a small service that keeps what it is told, so that the command line
// can be tested without one: it answers as swagger.yaml says, pages lists, and
// refuses what a test tells it to.
type fake struct {
	*httptest.Server
	mu    sync.Mutex
	rows  map[string][]map[string]any // by collection path
	next  int
	seen  []*http.Request
	bods  []string
	rules []rule
}

// rule answers a request in the fake's place.
type rule struct {
	method, path string // path is a suffix
	answer       func(w http.ResponseWriter, body map[string]any)
}

func newFake(t *testing.T) *fake {
	f := &fake{rows: map[string][]map[string]any{}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

// on makes the fake answer a status and body.
func (f *fake) on(method, path string, status int, body string, headers ...string) {
	f.rules = append(f.rules, rule{method, path, func(w http.ResponseWriter, _ map[string]any) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.Header().Set("Content-Type", "application/json")
		if status >= 300 {
			w.Header().Set("Content-Type", "application/problem+json")
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}})
}

const base = "/iotslice/v1"

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	raw, _ := io.ReadAll(r.Body)
	f.seen, f.bods = append(f.seen, r), append(f.bods, string(raw))
	var body map[string]any
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	_ = dec.Decode(&body)
	for i, rule := range f.rules {
		if rule.method == r.Method && strings.HasSuffix(r.URL.Path, rule.path) {
			f.rules = slices.Delete(f.rules, i, i+1)
			rule.answer(w, body)
			return
		}
	}
	path, ok := strings.CutPrefix(r.URL.Path, base)
	if !ok || r.Header.Get("Authorization") != "Bearer k-1" {
		problemTo(w, http.StatusUnauthorized, "no key")
		return
	}
	f.serve(w, r, path, body)
}

func problemTo(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"status": status, "detail": detail})
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request, path string, body map[string]any) {
	i := strings.LastIndex(path, "/")
	if uuidRE.MatchString(path[i+1:]) {
		f.one(w, r, path[:i], path[i+1:], body)
		return
	}
	switch r.Method {
	case http.MethodGet:
		f.list(w, r, path)
	case http.MethodPost, http.MethodPut:
		respond(w, http.StatusCreated, f.insert(path, body))
	}
}

// insert stores a resource under its collection and, for members, under the
// collection of all slices.
func (f *fake) insert(path string, body map[string]any) map[string]any {
	f.next++
	body["id"] = fmt.Sprintf("00000000-0000-7000-8000-%012d", f.next)
	body["revision"] = 1
	f.rows[path] = append(f.rows[path], body)
	if top := path[strings.LastIndex(path, "/"):]; top != path {
		f.rows[top] = append(f.rows[top], body)
	}
	return body
}

func respond(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

var eqRE = regexp.MustCompile(`^\(eq,([a-zA-Z]+),'((?:[^']|'')*)'\)$`)

func (f *fake) list(w http.ResponseWriter, r *http.Request, path string) {
	rows := []map[string]any{}
	filter := eqRE.FindStringSubmatch(r.URL.Query().Get("filter"))
	for _, row := range f.rows[path] {
		if filter == nil || row[filter[1]] == strings.ReplaceAll(filter[2], "''", "'") {
			rows = append(rows, row)
		}
	}
	var from, limit int
	_, _ = fmt.Sscan(r.URL.Query().Get("nextpage_opaque_marker"), &from)
	_, _ = fmt.Sscan(r.URL.Query().Get("limit"), &limit)
	limit = min(limit, 3) // small pages
	rows = rows[min(from, len(rows)):]
	if len(rows) > limit {
		rows = rows[:limit]
		q := url.Values{"nextpage_opaque_marker": {fmt.Sprint(from + limit)}}
		w.Header().Set("Link", "<"+r.URL.Path+"?"+q.Encode()+`>; rel="next"`)
	}
	respond(w, http.StatusOK, rows)
}

func (f *fake) one(w http.ResponseWriter, r *http.Request, path, id string, body map[string]any) {
	i := slices.IndexFunc(f.rows[path], func(row map[string]any) bool { return row["id"] == id })
	switch {
	case i < 0:
		problemTo(w, http.StatusNotFound, "it does not exist")
	case r.Method == http.MethodGet:
		respond(w, http.StatusOK, f.rows[path][i])
	case r.Method == http.MethodPatch:
		for k, v := range body {
			f.rows[path][i][k] = v
		}
		respond(w, http.StatusOK, f.rows[path][i])
	case r.Method == http.MethodDelete:
		f.rows[path] = slices.Delete(f.rows[path], i, i+1)
		w.WriteHeader(http.StatusNoContent)
	}
}
