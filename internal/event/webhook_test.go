package event

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

const password = "correct horse battery staple"

type vault map[string][]byte

func (v vault) Value(_ context.Context, tenant, ref string) ([]byte, error) {
	if s, ok := v[tenant+"/"+ref]; ok {
		return bytes.Clone(s), nil
	}
	return nil, fault.Absent("Secret", ref)
}

// receiver keeps what it accepts; handle may refuse.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	got    []Notification
	handle func(n Notification, r *http.Request) int
}

func newReceiver(t *testing.T, start func(http.Handler) *httptest.Server, handle func(n Notification, r *http.Request) int) *receiver {
	rc := &receiver{handle: handle}
	rc.Server = start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var n Notification
		if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
			t.Error(err)
		}
		code := http.StatusNoContent
		if rc.handle != nil {
			code = rc.handle(n, r)
		}
		if code < 300 {
			rc.mu.Lock()
			rc.got = append(rc.got, n)
			rc.mu.Unlock()
		}
		w.WriteHeader(code)
	}))
	t.Cleanup(rc.Close)
	return rc
}

func (rc *receiver) positions() []int64 {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	var out []int64
	for _, n := range rc.got {
		out = append(out, n.Position)
	}
	return out
}

func loopback() *Guard {
	return &Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}
}

// deliver runs webhooks for a test and answers how to end them.
func deliver(t *testing.T, l *log, h *Hub, change func(*Config)) context.CancelFunc {
	c := Config{
		Hub: h, Store: l, Progress: l, Guard: loopback(), MinPause: time.Millisecond, MaxPause: 5 * time.Millisecond,
		LeaseTTL: 300 * time.Millisecond, Secrets: vault{"a/pw": []byte(password)},
	}
	if change != nil {
		change(&c)
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() { defer close(over); NewWebhooks(c).Run(ctx) }()
	end := func() { cancel(); <-over }
	t.Cleanup(end)
	return end
}

func subscription(id, uri string) slice.Subscription {
	return slice.Subscription{Meta: slice.Meta{ID: id, Tenant: "a"}, CallbackURI: uri, State: slice.Active}
}

// A receiver that fails now and then gets every event of its tenant at least
// once, and accepts them in order; a restart in between loses nothing.
func TestAtLeastOnceInOrder(t *testing.T) {
	l := newLog()
	h := live(t, l, HubOptions{})
	var calls atomic.Int64
	rc := newReceiver(t, httptest.NewServer, func(Notification, *http.Request) int {
		if calls.Add(1)%3 == 0 {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	l.put(subscription("s1", rc.URL))
	end := deliver(t, l, h, nil)
	var want []int64
	for i := range 100 {
		if p := l.emit(event(tenantOf(i), i)); tenantOf(i) == "a" {
			want = append(want, p)
		}
		if i == 60 {
			until(t, "some are delivered", func() bool { return len(rc.positions()) > 10 })
			end()
			deliver(t, l, h, nil)
		}
	}
	distinct := func() (out []int64) {
		for _, p := range rc.positions() {
			if len(out) == 0 || p > out[len(out)-1] {
				out = append(out, p)
			}
		}
		return out
	}
	until(t, "all are delivered", func() bool { return len(distinct()) == len(want) })
	for i, p := range distinct() {
		if p != want[i] {
			t.Fatalf("event %d is %d, want %d: %v", i, p, want[i], rc.positions())
		}
	}
	until(t, "the position is kept", func() bool { return l.get("s1").Position >= want[len(want)-1] })
	if c := l.get("s1").Cause; c != "" {
		t.Fatalf("cause %q after success", c)
	}
}

func TestGivesUpVisibly(t *testing.T) {
	l := newLog()
	h := live(t, l, HubOptions{})
	var well atomic.Bool
	dead := newReceiver(t, httptest.NewServer, func(Notification, *http.Request) int {
		if well.Load() {
			return http.StatusOK
		}
		return http.StatusInternalServerError
	})
	leaves := newReceiver(t, httptest.NewServer, func(Notification, *http.Request) int { return http.StatusGone })
	good := newReceiver(t, httptest.NewServer, nil)
	l.put(subscription("dead", dead.URL))
	l.put(subscription("leaves", leaves.URL))
	l.put(subscription("good", good.URL))
	deliver(t, l, h, func(c *Config) { c.GiveUp = 50 * time.Millisecond })
	p := l.emit(event("a", 1))
	until(t, "both are given up", func() bool {
		return l.get("dead").State == slice.Inactive && l.get("leaves").State == slice.Inactive
	})
	if c := l.get("dead").Cause; !strings.Contains(c, "given up after 50ms") || !strings.Contains(c, "500") {
		t.Errorf("cause %q", c)
	}
	if c := l.get("leaves").Cause; !strings.Contains(c, "410") {
		t.Errorf("cause %q", c)
	}
	until(t, "the others go on", func() bool { return len(good.positions()) == 1 })
	if got := good.positions()[0]; got != p {
		t.Errorf("position %d, want %d", got, p)
	}
	// Set active again, it goes on where it was.
	well.Store(true)
	s := l.get("dead")
	s.State = slice.Active
	l.put(s)
	until(t, "it is delivered after all", func() bool { ps := dead.positions(); return len(ps) > 0 && ps[0] == p })
}

func TestFilterAndSystem(t *testing.T) {
	l := newLog()
	h := live(t, l, HubOptions{})
	some, all := newReceiver(t, httptest.NewServer, nil), newReceiver(t, httptest.NewServer, nil)
	s := subscription("some", some.URL)
	s.Filter = "failed"
	l.put(s)
	sys := subscription("all", all.URL)
	sys.Tenant = slice.System
	l.put(sys)
	bad := subscription("bad", some.URL)
	bad.Filter = "nonsense"
	l.put(bad)
	deliver(t, l, h, func(c *Config) {
		c.Parse = func(f string) ([]operation.Condition, error) {
			if f == "failed" {
				return []operation.Condition{{Op: "eq", Attr: "state", Values: []string{"FAILED"}}}, nil
			}
			return nil, errors.New("no filter")
		}
	})
	until(t, "the bad filter is told", func() bool { return l.get("bad").State == slice.Inactive })
	l.emit(event("a", 1))
	l.emit(event("b", 2))
	failed := event("a", 3)
	failed.State = "FAILED"
	p := l.emit(failed)
	until(t, "the filtered one comes", func() bool { return len(some.positions()) > 0 })
	if ps := some.positions(); len(ps) != 1 || ps[0] != p {
		t.Fatalf("got %v, want %d only", ps, p)
	}
	until(t, "system hears of every tenant", func() bool { ps := all.positions(); return len(ps) >= 3 && ps[len(ps)-1] == p })
}

// authTypes delivers one event under each kind of authentication.
func TestAuthentication(t *testing.T) {
	l := newLog()
	h := live(t, l, HubOptions{})
	basic := newReceiver(t, httptest.NewServer, func(_ Notification, r *http.Request) int {
		if u, p, ok := r.BasicAuth(); !ok || u != "me" || p != password {
			return http.StatusUnauthorized
		}
		return http.StatusNoContent
	})
	s := subscription("basic", basic.URL)
	s.Auth = &slice.CallbackAuth{AuthType: []string{"BASIC"}, SecretRef: "pw", UserName: "me"}
	l.put(s)

	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, sec, _ := r.BasicAuth()
		if id == "" {
			id, sec = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
		}
		if id != "client" || sec != password {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"access_token":"t0k3n","token_type":"Bearer","expires_in":3600}`))
	}))
	t.Cleanup(tokens.Close)
	oauth := newReceiver(t, httptest.NewServer, func(_ Notification, r *http.Request) int {
		if r.Header.Get("Authorization") != "Bearer t0k3n" {
			return http.StatusUnauthorized
		}
		return http.StatusNoContent
	})
	s = subscription("oauth", oauth.URL)
	s.Auth = &slice.CallbackAuth{AuthType: []string{"OAUTH2_CLIENT_CREDENTIALS"}, SecretRef: "pw", ClientID: "client", TokenEndpoint: tokens.URL}
	l.put(s)

	pair, pool := certificate(t)
	mutual := newReceiver(t, func(h http.Handler) *httptest.Server {
		srv := httptest.NewUnstartedServer(h)
		srv.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MinVersion: tls.VersionTLS12}
		srv.StartTLS()
		return srv
	}, nil)
	s = subscription("tls", mutual.URL)
	s.Auth = &slice.CallbackAuth{AuthType: []string{"TLS_CERT"}, SecretRef: "cert"}
	l.put(s)

	deliver(t, l, h, func(c *Config) {
		c.Guard.RootCAs = x509.NewCertPool()
		c.Guard.RootCAs.AddCert(mutual.Certificate())
		c.Secrets = vault{"a/pw": []byte(password), "a/cert": pair}
	})
	l.emit(event("a", 1))
	for name, rc := range map[string]*receiver{"BASIC": basic, "OAUTH2": oauth, "TLS_CERT": mutual} {
		until(t, name+" is delivered", func() bool { return len(rc.positions()) == 1 })
	}
}

// certificate answers a self-signed client certificate with its key as PEM, and
// a pool that trusts it.
func certificate(t *testing.T) ([]byte, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "osmoslice"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	out := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return append(out, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})...), pool
}

// What a receiver or token endpoint says back never shows in the cause, and a
// wrong password is told as such.
func TestCredentialsAreNeverEchoed(t *testing.T) {
	l := newLog()
	h := live(t, l, HubOptions{})
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error":"x","error_description":%q}`, r.Form.Encode()+r.Header.Get("Authorization")+password)
	}))
	t.Cleanup(echo.Close)
	s := subscription("oauth", echo.URL)
	s.Auth = &slice.CallbackAuth{AuthType: []string{"OAUTH2_CLIENT_CREDENTIALS"}, SecretRef: "pw", ClientID: "client", TokenEndpoint: echo.URL}
	l.put(s)
	s = subscription("basic", echo.URL)
	s.Auth = &slice.CallbackAuth{AuthType: []string{"BASIC"}, SecretRef: "pw", UserName: "me"}
	l.put(s)
	s.ID, s.Auth = "foreign", &slice.CallbackAuth{AuthType: []string{"BASIC"}, SecretRef: "not-mine", UserName: "me"}
	l.put(s)
	deliver(t, l, h, func(c *Config) { c.GiveUp = 20 * time.Millisecond })
	l.emit(event("a", 1))
	for id, want := range map[string]string{"oauth": "token endpoint answered 400", "basic": "answered 400", "foreign": `Secret "not-mine" does not exist`} {
		until(t, id+" is given up", func() bool { return l.get(id).State == slice.Inactive })
		c := l.get(id).Cause
		if !strings.Contains(c, want) || strings.Contains(c, "horse") || strings.Contains(c, "Basic") {
			t.Errorf("%s: cause %q, want %q", id, c, want)
		}
	}
}

// Only the leader delivers; when the duty is lost it stops, and who takes over
// goes on.
func TestLead(t *testing.T) {
	l := newLog()
	h := live(t, l, HubOptions{})
	rc := newReceiver(t, httptest.NewServer, nil)
	l.put(subscription("s1", rc.URL))
	var mu sync.Mutex
	holder := "one"
	lead := func(me string) Lead {
		return func(context.Context, time.Duration) (bool, error) {
			mu.Lock()
			defer mu.Unlock()
			return holder == me, nil
		}
	}
	deliver(t, l, h, func(c *Config) { c.Lead, c.LeaseTTL = lead("one"), 30*time.Millisecond })
	deliver(t, l, h, func(c *Config) { c.Lead, c.LeaseTTL = lead("two"), 30*time.Millisecond })
	for i := range 20 {
		l.emit(event("a", i))
	}
	until(t, "delivered by one", func() bool { ps := rc.positions(); return len(ps) > 0 && ps[len(ps)-1] == 21 })
	mu.Lock()
	holder = "two"
	mu.Unlock()
	for i := range 20 {
		l.emit(event("a", i))
	}
	until(t, "delivered by the other", func() bool { ps := rc.positions(); return len(ps) > 0 && ps[len(ps)-1] == 41 })
}
