package platformtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Replayer sends the requests of a recording of a product to something that
// answers like it, and compares status, Location and the shape of every body.
type Replayer struct {
	// Endpoints are base URLs by the service names of the recording.
	Endpoints map[string]string
	// Publish publishes by MQTT with a key ("-": none) and answers what
	// mosquitto_pub would: 0, or 7 when the connection was lost.
	Publish func(t *testing.T, key, topic, payload string) int
	// Volatile are JSON fields whose values differ from run to run: only
	// their types are compared.
	Volatile []string

	known map[string]string // recorded id to the one answered now
	token string
	key   string
}

// uuidRE are the ids that both products make up.
var uuidRE = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// exchange is one block of a recording.
type exchange struct {
	method, service, path, auth, body string
	status                            string
	location, answer                  string
}

// Replay replays one file.
func (r *Replayer) Replay(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	if r.known == nil {
		r.known = map[string]string{}
	}
	n := 0
	for block := range strings.SplitSeq(string(text), "\n\n") {
		block = strings.TrimSpace(block)
		if block == "" || strings.HasPrefix(block, "#") {
			continue
		}
		x := parse(t, block)
		n++
		if x.method == "MQTT" {
			if got := fmt.Sprint(r.Publish(t, r.secret(x.service), r.now(x.path), x.body)); got != x.status {
				t.Errorf("%d: publish to %s: %s, want %s", n, x.path, got, x.status)
			}
			continue
		}
		r.one(t, fmt.Sprintf("%s:%d %s %s %s", file, n, x.method, x.service, x.path), x)
	}
	if n == 0 {
		t.Errorf("%s holds no exchange", file)
	}
}

func parse(t *testing.T, block string) exchange {
	t.Helper()
	request, answer, ok := strings.Cut(block, "\n= ")
	if !ok {
		t.Fatalf("no answer in %q", block)
	}
	first, body, _ := strings.Cut(request, "\n")
	f := strings.Fields(first)
	if len(f) < 3 {
		t.Fatalf("no request in %q", first)
	}
	x := exchange{method: f[0], service: f[1], path: f[2], body: body}
	if len(f) > 3 {
		x.auth = f[3]
	}
	first, x.answer, _ = strings.Cut(answer, "\n")
	x.status, x.location, _ = strings.Cut(first, " ")
	return x
}

// now replaces recorded ids by those of this run.
func (r *Replayer) now(s string) string {
	return uuidRE.ReplaceAllStringFunc(s, func(id string) string {
		if v, ok := r.known[id]; ok {
			return v
		}
		return id
	})
}

func (r *Replayer) secret(s string) string {
	switch s {
	case "@token":
		return r.token
	case "@bearer":
		return "Bearer " + r.token
	case "@key":
		return r.key
	}
	return strings.Replace(s, "/", " ", 1) // a header of two words
}

func (r *Replayer) one(t *testing.T, at string, x exchange) {
	t.Helper()
	request, err := http.NewRequestWithContext(bounded(t), x.method, r.Endpoints[x.service]+r.now(x.path), strings.NewReader(r.now(x.body)))
	must(t, err)
	if x.auth != "" {
		request.Header.Set("Authorization", r.secret(x.auth))
	}
	response, err := http.DefaultClient.Do(request)
	must(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(t, err)
	if got := fmt.Sprint(response.StatusCode); got != x.status {
		t.Errorf("%s: status %s, recorded %s: %s", at, got, x.status, body)
		return
	}
	r.text(t, at+" Location", x.location, response.Header.Get("Location"))
	var was, is any
	if json.Unmarshal([]byte(x.answer), &was) != nil || was == nil {
		r.text(t, at, x.answer, strings.TrimSpace(string(body)))
		return
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(&is); err != nil {
		t.Errorf("%s: %q is no JSON, recorded: %s", at, body, x.answer)
		return
	}
	r.compare(t, at, "", was, is)
}

// text compares texts, and learns the ids in them.
func (r *Replayer) text(t *testing.T, at, was, is string) {
	t.Helper()
	old, fresh := uuidRE.FindAllString(was, -1), uuidRE.FindAllString(is, -1)
	if len(old) == len(fresh) {
		for i := range old {
			if _, ok := r.known[old[i]]; !ok {
				r.known[old[i]] = fresh[i]
			}
		}
	}
	if r.now(was) != is {
		t.Errorf("%s: %q, recorded %q", at, is, was)
	}
}

func (r *Replayer) compare(t *testing.T, at, field string, was, is any) {
	t.Helper()
	if fmt.Sprintf("%T", was) != fmt.Sprintf("%T", is) {
		t.Errorf("%s: %v, recorded %v", at, is, was)
		return
	}
	volatile := slices.Contains(r.Volatile, field)
	switch old := was.(type) {
	case map[string]any:
		fresh, _ := is.(map[string]any)
		a, b := slices.Sorted(maps.Keys(old)), slices.Sorted(maps.Keys(fresh))
		if !slices.Equal(a, b) {
			t.Errorf("%s: fields %v, recorded %v", at, b, a)
			return
		}
		for _, k := range a {
			r.compare(t, at+"/"+k, k, old[k], fresh[k])
		}
	case []any:
		fresh, _ := is.([]any)
		if len(old) != len(fresh) {
			t.Errorf("%s: %d entries, recorded %d", at, len(fresh), len(old))
			return
		}
		for i := range old {
			r.compare(t, fmt.Sprint(at, "/", i), field, old[i], fresh[i])
		}
	case string:
		fresh, _ := is.(string)
		switch field {
		case "token", "access_token":
			r.token, volatile = fresh, true
		case "key":
			r.key = fresh
		}
		if !volatile {
			r.text(t, at, old, fresh)
		}
	default:
		if !volatile && was != is {
			t.Errorf("%s: %v, recorded %v", at, is, was)
		}
	}
}
