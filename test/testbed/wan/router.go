package wan

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A Site is one cluster's network.
type Site struct {
	Name    string
	Index   int // from 1; names devices, routing tables and rules
	Network netip.Prefix
	Gateway netip.Addr // this namespace's address in it
}

func (s Site) bridge() string { return "c" + strconv.Itoa(s.Index) }
func (s Site) tunnel() string { return "l" + strconv.Itoa(s.Index) }
func (s Site) table() string  { return strconv.Itoa(1000 + s.Index) }

// A Router is the WAN. Its methods may be called at the same time.
type Router struct {
	operator string

	mu      sync.Mutex
	sites   map[string]Site
	cuts    map[cut]bool
	tunnels map[string]*tunnel
	quality map[string]Quality
}

// A cut is a pair of sites; b is empty where a is cut off from everything.
type cut struct{ a, b string }

// The rule that finds local addresses moves from the first place to here, so that
// what comes to this namespace takes a link's way around as well.
const localRule = "9000"

// New prepares the namespace: operator is the address of this namespace itself.
func New(ctx context.Context, operator string) (*Router, error) {
	for _, c := range [][]string{
		{"link", "set", "lo", "up"},
		{"addr", "add", operator + "/32", "dev", "lo"},
		{"rule", "add", "pref", localRule, "lookup", "local"},
		{"rule", "del", "pref", "0"},
	} {
		if err := ip(ctx, c...); err != nil {
			return nil, err
		}
	}
	settings := map[string]string{
		"net/ipv4/ip_forward": "1", "net/ipv4/conf/all/rp_filter": "0", "net/ipv4/conf/default/rp_filter": "0",
		"net/bridge/bridge-nf-call-iptables": "0",
		// A packet for a socket of this namespace may still have a tunnel to pass:
		// one already tied to its socket would not be forwarded.
		"net/ipv4/ip_early_demux": "0",
	}
	for name, value := range settings {
		if err := set(name, value); err != nil {
			return nil, err
		}
	}
	return &Router{operator: operator, sites: map[string]Site{}, cuts: map[cut]bool{},
		tunnels: map[string]*tunnel{}, quality: map[string]Quality{}}, nil
}

// Add makes a site's bridge.
func (r *Router) Add(ctx context.Context, s Site) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range [][]string{
		{"link", "add", s.bridge(), "address", fmt.Sprintf("02:00:0a:d2:%02x:01", s.Index), "type", "bridge", "forward_delay", "0"},
		{"addr", "add", fmt.Sprintf("%s/%d", s.Gateway, s.Network.Bits()), "dev", s.bridge()},
		{"link", "set", s.bridge(), "up"},
	} {
		if err := ip(ctx, c...); err != nil {
			return err
		}
	}
	r.sites[s.Name] = s
	return nil
}

// Attach gives the process's network namespace a leg in the site: the device
// wan0, still without address. port names the leg's end on this side.
func (r *Router) Attach(ctx context.Context, site, port string, pid int) error {
	s, err := r.site(site)
	if err != nil {
		return err
	}
	return ip(ctx, "link", "add", port, "master", s.bridge(), "up", "type", "veth", "peer", "name", "wan0", "netns", strconv.Itoa(pid))
}

func (r *Router) site(name string) (Site, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.siteLocked(name)
}

func (r *Router) siteLocked(name string) (Site, error) {
	s, ok := r.sites[name]
	if !ok {
		return s, fmt.Errorf("no cluster %q: there are %s", name, strings.Join(slices.Sorted(maps.Keys(r.sites)), ", "))
	}
	return s, nil
}

// Partition cuts a site off from b, or, b empty, from everything outside it.
func (r *Router) Partition(ctx context.Context, a, b string) error {
	return r.change(ctx, a, b, func(c cut) { r.cuts[c] = true })
}

// Heal undoes Partition; b empty undoes every cut of a.
func (r *Router) Heal(ctx context.Context, a, b string) error {
	return r.change(ctx, a, b, func(c cut) {
		delete(r.cuts, c)
		if b == "" {
			maps.DeleteFunc(r.cuts, func(c cut, _ bool) bool { return c.a == a || c.b == a })
		}
	})
}

func (r *Router) change(ctx context.Context, a, b string, f func(cut)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.siteLocked(a); err != nil {
		return err
	}
	if b != "" {
		if _, err := r.siteLocked(b); err != nil {
			return err
		}
		if a == b {
			return fmt.Errorf("cluster %q cannot be cut off from itself", a)
		}
		if a > b {
			a, b = b, a
		}
	}
	f(cut{a, b})
	return r.applyCuts(ctx)
}

func (r *Router) applyCuts(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(renderCuts(r.sites, r.cuts))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, out)
	}
	return nil
}

// renderCuts is the whole table, replaced at once.
func renderCuts(sites map[string]Site, cuts map[cut]bool) string {
	var rules []string
	for c := range cuts {
		a := sites[c.a].Network.String()
		if c.b == "" {
			rules = append(rules, "ip saddr "+a+" drop", "ip daddr "+a+" drop")
			continue
		}
		b := sites[c.b].Network.String()
		rules = append(rules, "ip saddr "+a+" ip daddr "+b+" drop", "ip saddr "+b+" ip daddr "+a+" drop")
	}
	slices.Sort(rules)
	var b strings.Builder
	b.WriteString("table ip wan\ndelete table ip wan\ntable ip wan {\n")
	for _, hook := range []string{"forward", "input", "output"} {
		fmt.Fprintf(&b, " chain %s {\n  type filter hook %s priority -10; policy accept;\n", hook, hook)
		for _, rule := range rules {
			fmt.Fprintf(&b, "  %s\n", rule)
		}
		b.WriteString(" }\n")
	}
	b.WriteString("}\n")
	return b.String()
}

func ip(ctx context.Context, args ...string) error {
	if out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// set writes a setting of this network namespace; one the kernel does not have
// is not needed.
func set(name, value string) error {
	err := os.WriteFile("/proc/sys/"+name, []byte(value), 0o644)
	if os.IsNotExist(err) {
		return nil
	}
	return err
}
