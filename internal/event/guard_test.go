package event

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/slice"

	"pgregory.net/rapid"
)

func TestCheckAddr(t *testing.T) {
	g := &Guard{}
	for _, bad := range []string{
		"127.0.0.1", "127.8.9.1", "::1", "0.0.0.0", "::", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
		"fe80::1", "fe80::1%eth0", "fd00::1", "fc00::1", "224.0.0.1", "ff02::1", "255.255.255.255", "100.64.0.1", "0.1.2.3", "240.0.0.1",
		"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "fec0::1",
		"2001:db8::1", "192.0.2.1", "198.18.0.1", "2001::1",
	} {
		if err := g.CheckAddr(netip.MustParseAddr(bad)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, want it refused", bad, err)
		}
	}
	for _, good := range []string{"1.1.1.1", "8.8.8.8", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "100.128.0.1"} {
		if err := g.CheckAddr(netip.MustParseAddr(good)); err != nil {
			t.Errorf("%s: %v, want it allowed", good, err)
		}
	}
	g.Allow = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}
	if err := g.CheckAddr(netip.MustParseAddr("::ffff:10.1.2.3")); err != nil {
		t.Errorf("allowed by configuration: %v", err)
	}
	if err := g.CheckAddr(netip.MustParseAddr("10.2.2.3")); err == nil {
		t.Error("10.2.2.3 is not in the allowed range")
	}
}

// An IPv4 address is judged the same however it is written in IPv6.
func TestEmbeddedAddressesAreJudgedAlike(t *testing.T) {
	g := &Guard{}
	rapid.Check(t, func(t *rapid.T) {
		var b [4]byte
		copy(b[:], rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "address"))
		v4 := netip.AddrFrom4(b)
		mapped := netip.AddrFrom16(v4.As16())
		if (g.CheckAddr(v4) == nil) != (g.CheckAddr(mapped) == nil) {
			t.Fatalf("%s and %s are judged differently", v4, mapped)
		}
	})
}

func TestCheckURL(t *testing.T) {
	g := &Guard{}
	for _, bad := range []string{
		"", "ftp://example.com/", "file:///etc/passwd", "http://", "http://user:pw@example.com/", "https://example.com/#x", "//example.com",
		"http://127.0.0.1:8080/", "http://[::1]/", "http://localhost/", "http://169.254.169.254/latest/meta-data", "gopher://8.8.8.8/",
		"http://LOCALHOST./", "http://a.localhost/", "http://127.0.0.1./", "http://127.1/", "http://2130706433/", "http://0x7f.1/", "http://[::ffff:10.0.0.1]/",
	} {
		err := g.CheckURL("authentication/tokenEndpoint", bad)
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v, want it refused", bad, err)
		}
		if p := fault.Of(err).Params; len(p) != 1 || p[0].Field != "authentication/tokenEndpoint" {
			t.Errorf("%q: the error names %+v", bad, p)
		}
		if err != nil && strings.Contains(err.Error(), "user:pw") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
	for _, good := range []string{"https://8.8.8.8/x?y=z", "http://no-such-host.invalid/", "https://example.com:8443/"} {
		if err := g.CheckURL("callbackUri", good); err != nil {
			t.Error(err)
		}
	}
	for _, allow := range []string{"127.0.0.0/8", "::1/128"} {
		g.Allow = []netip.Prefix{netip.MustParsePrefix(allow)}
		if err := g.CheckURL("callbackUri", "http://localhost:1/"); err != nil {
			t.Errorf("%s is allowed: %v", allow, err)
		}
	}
}

// The address that is dialled is what counts: a name that means loopback by the
// time of delivery is refused, a redirect is not followed, a proxy not used.
func TestDeliveryIsGuarded(t *testing.T) {
	var inside atomic.Int64
	secret := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { inside.Add(1) }))
	t.Cleanup(secret.Close)
	t.Setenv("HTTP_PROXY", secret.URL)
	port := secret.URL[strings.LastIndex(secret.URL, ":"):]
	redirects := httptest.NewServer(http.RedirectHandler(secret.URL, http.StatusTemporaryRedirect))
	t.Cleanup(redirects.Close)

	l := newLog()
	h := live(t, l, HubOptions{})
	l.put(subscription("name", "http://localhost"+port+"/"))
	l.put(subscription("address", secret.URL))
	deliver(t, l, h, func(c *Config) { c.GiveUp, c.Guard = 20*time.Millisecond, &Guard{} })
	l.emit(event("a", 1))
	for _, id := range []string{"name", "address"} {
		until(t, id+" is given up", func() bool { return l.get(id).State == slice.Inactive })
		if c := l.get(id).Cause; !strings.Contains(c, "may not reach") {
			t.Errorf("%s: cause %q", id, c)
		}
	}
	l2 := newLog()
	h2 := live(t, l2, HubOptions{})
	l2.put(subscription("redirect", redirects.URL))
	deliver(t, l2, h2, func(c *Config) { c.GiveUp = 20 * time.Millisecond })
	l2.emit(event("a", 1))
	until(t, "the redirect is given up", func() bool { return l2.get("redirect").State == slice.Inactive })
	if c := l2.get("redirect").Cause; !strings.Contains(c, "redirects are not followed") {
		t.Errorf("cause %q", c)
	}
	if n := inside.Load(); n != 0 {
		t.Fatalf("the inner server was reached %d times", n)
	}
}
