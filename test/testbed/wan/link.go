package wan

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
)

// Link gives a site's link a quality; the zero Quality makes it perfect again.
func (r *Router) Link(ctx context.Context, name string, q Quality) error {
	if err := q.Validate(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s, err := r.siteLocked(name)
	if err != nil {
		return err
	}
	t := r.tunnels[name]
	switch {
	case q == Quality{}:
		delete(r.quality, name)
		delete(r.tunnels, name)
		return r.straighten(ctx, s, t)
	case t != nil:
		t.shape(q)
	default:
		t, err := openTunnel(s.tunnel(), s.Network, q)
		if err != nil {
			return err
		}
		if err := r.divert(ctx, s); err != nil {
			return errors.Join(err, r.straighten(ctx, s, t))
		}
		r.tunnels[name] = t
	}
	r.quality[name] = q
	return nil
}

// rules lead into the tunnel what comes from the site and what goes to it, but
// not what has just come out of it, nor what is for the gateway itself: it has to
// answer to ARP as ever.
func (r *Router) rules(s Site) [][]string {
	return [][]string{
		{"pref", preference(s, 1), "iif", s.bridge(), "to", s.Gateway.String(), "lookup", "local"},
		{"pref", preference(s, 2), "iif", s.tunnel(), "to", s.Network.String(), "lookup", "main"},
		{"pref", preference(s, 3), "iif", s.bridge(), "lookup", s.table()},
		{"pref", preference(s, 4), "to", s.Network.String(), "lookup", s.table()},
	}
}

// preference orders the rules of all sites, first by kind: a packet between two
// slow sites passes the tunnel of the one it leaves, then that of the other.
func preference(s Site, kind int) string { return strconv.Itoa(kind*1000 + s.Index) }

// divert sends the site's traffic through its tunnel.
func (r *Router) divert(ctx context.Context, s Site) error {
	for name, value := range map[string]string{"rp_filter": "0", "accept_local": "1"} {
		if err := set("net/ipv4/conf/"+s.tunnel()+"/"+name, value); err != nil {
			return err
		}
	}
	commands := [][]string{
		{"link", "set", s.tunnel(), "up", "txqueuelen", "1000"},
		{"route", "replace", "default", "dev", s.tunnel(), "src", r.operator, "table", s.table()},
	}
	for _, rule := range r.rules(s) {
		commands = append(commands, append([]string{"rule", "add"}, rule...))
	}
	for _, c := range commands {
		if err := ip(ctx, c...); err != nil {
			return err
		}
	}
	return nil
}

// straighten undoes divert, however far that went.
func (r *Router) straighten(ctx context.Context, s Site, t *tunnel) error {
	if t == nil {
		return nil
	}
	for _, rule := range slices.Backward(r.rules(s)) {
		// Absent where divert did not get that far.
		_ = ip(ctx, append([]string{"rule", "del"}, rule...)...)
	}
	t.close()
	return nil
}

// State is what is cut and which links have a quality.
type State struct {
	Cuts  [][2]string // the second is empty where the first is cut off from everything
	Links map[string]Quality
}

// State answers what is in force.
func (r *Router) State() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := State{Links: maps.Clone(r.quality)}
	for c := range r.cuts {
		s.Cuts = append(s.Cuts, [2]string{c.a, c.b})
	}
	slices.SortFunc(s.Cuts, func(x, y [2]string) int { return slices.Compare(x[:], y[:]) })
	return s
}
