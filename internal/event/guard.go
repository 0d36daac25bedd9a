package event

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// Guard keeps deliveries away from addresses that only this machine or its
// network should reach (server-side request forgery).
type Guard struct {
	// Allow lists ranges that may be reached although they are special.
	Allow []netip.Prefix
	// Resolver; nil: net.DefaultResolver.
	Resolver *net.Resolver
	// RootCAs verify receivers; nil: the system's.
	RootCAs *x509.CertPool
}

// special are the ranges beyond what netip.Addr can say of itself (IANA special
// purpose address registries, RFC 6890 and later).
var special = prefixes(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
	"198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16",
	"3fff::/20", "5f00::/16", "fec0::/10",
)

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, t := range texts {
		out[i] = netip.MustParsePrefix(t)
	}
	return out
}

// CheckAddr answers fault.Invalid when an address must not be reached.
func (g *Guard) CheckAddr(addr netip.Addr) error {
	addr = addr.Unmap().WithZone("")
	for _, p := range g.Allow {
		if p.Contains(addr) {
			return nil
		}
	}
	bad := !addr.IsGlobalUnicast() || addr.IsPrivate() // also loopback, link-local, multicast, unspecified
	for _, p := range special {
		bad = bad || p.Contains(addr)
	}
	if bad {
		return fault.New(fault.Invalid, "callbacks may not reach %s", addr).
			With("callbackUri", addr.String(), "a public address, or one in the ranges of callbacks.allow")
	}
	return nil
}

// CheckURL sees that a callback or token address is one that deliveries may go
// to: http or https, without credentials in it, and no address that must not be
// reached. field names it in the error. What a name means is not asked here: it
// may change later, so every delivery checks the address that it dials.
func (g *Guard) CheckURL(field, raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return fault.Field(field, withoutUser(raw), "an http or https URL without user, password and fragment")
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	means, allowed := []netip.Addr(nil), "a public address, or one in the ranges of callbacks.allow"
	if addr, err := netip.ParseAddr(host); err == nil {
		means = append(means, addr)
	} else if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761 §6.3
		means = append(means, netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback())
	} else if last := host[strings.LastIndex(host, ".")+1:]; last == "" || '0' <= last[0] && last[0] <= '9' {
		// 127.1, 0x7f000001, 2130706433: some resolvers take these for addresses,
		// and no top-level domain starts with a digit.
		return fault.Field(field, u.Hostname(), "a host name, or an address written in full")
	}
	refused := func(a netip.Addr) bool { return g.CheckAddr(a) != nil }
	if len(means) > 0 && refused(means[0]) && refused(means[len(means)-1]) {
		return fault.New(fault.Invalid, "callbacks may not reach %s", u.Hostname()).With(field, u.Hostname(), allowed)
	}
	return nil
}

// withoutUser hides what may be credentials before the host.
func withoutUser(raw string) string {
	if i := strings.LastIndex(raw, "@"); i >= 0 {
		return "…" + raw[i:]
	}
	return raw
}

// control sees the address that is really dialled, after name resolution.
func (g *Guard) control(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fault.New(fault.Invalid, "callbacks may not reach %q", address)
	}
	return g.CheckAddr(ap.Addr())
}

// client makes an HTTP client that reaches allowed addresses only, through no
// proxy, and follows no redirect.
func (g *Guard) client(timeout time.Duration, certificates []tls.Certificate) *http.Client {
	dialer := &net.Dialer{Timeout: timeout, Control: g.control, Resolver: g.Resolver}
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			Proxy:                  nil,
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, Certificates: certificates, RootCAs: g.RootCAs},
			TLSHandshakeTimeout:    timeout,
			ResponseHeaderTimeout:  timeout,
			MaxResponseHeaderBytes: 64 << 10,
			MaxIdleConnsPerHost:    1,
			IdleConnTimeout:        30 * time.Second,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
