package platformtest

import (
	"net/http"
	"strings"
	"sync"
)

// Gate stands before a fake product and disturbs it: it breaks one request, or
// answers for the product as it does while it restarts. The zero Gate is
// open.
type Gate struct {
	mu     sync.Mutex
	calls  int
	brk    int // the request to break, counted from 1; 0: none
	effect bool
	again  bool
	rules  []rule
}

type rule struct {
	method, prefix string
	status         int
	body           string
	left           int
}

// Break breaks request n from now on (1 is the next one), as a connection that
// is lost: before its effect, or after it and before its answer. With onwards
// every later one is lost as well, before its effect.
func (g *Gate) Break(n int, afterEffect, onwards bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls, g.brk, g.effect, g.again = 0, n, afterEffect, onwards
}

// Heal ends all disturbance.
func (g *Gate) Heal() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls, g.brk, g.rules = 0, 0, nil
}

// Answer answers the next n requests of a method whose path has a prefix with a
// status and a body.
func (g *Gate) Answer(n int, method, prefix string, status int, body string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rules = append(g.rules, rule{method, prefix, status, body, n})
}

func (g *Gate) decide(r *http.Request) (canned *rule, lost, effect bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls++
	for k := range g.rules {
		if v := &g.rules[k]; v.left > 0 && r.Method == v.method && strings.HasPrefix(r.URL.Path, v.prefix) {
			v.left--
			c := *v
			return &c, false, false
		}
	}
	if g.brk > 0 && (g.calls == g.brk || g.again && g.calls > g.brk) {
		return nil, true, g.effect && g.calls == g.brk
	}
	return nil, false, false
}

// Wrap puts the gate before a handler.
func (g *Gate) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		canned, lost, effect := g.decide(r)
		switch {
		case canned != nil:
			if strings.HasPrefix(canned.body, "{") {
				w.Header().Set("Content-Type", "application/json")
			}
			w.WriteHeader(canned.status)
			_, _ = w.Write([]byte(canned.body))
		case lost && effect:
			next.ServeHTTP(discard{http.Header{}}, r)
			panic(http.ErrAbortHandler)
		case lost:
			panic(http.ErrAbortHandler)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// discard is an answer that nobody gets.
type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}
