package simulated

import (
	"context"
	_ "embed"
	"os"
	"sync"
	"time"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/topology"
)

// Name is the plugin's name.
const Name = "simulated"

//go:embed schema.json
var schema []byte

// Options of a Driver. The zero value is a world in memory on the real clock.
type Options struct {
	// Dir keeps each site in a log of its own; it is made when absent.
	Dir string
	// ScriptFile is a JSON object from site names to Scripts, read again when
	// it changes.
	ScriptFile string
	// Clock is what the sites go by; nil: time.Now.
	Clock func() time.Time
	// After waits; nil: time.After.
	After func(time.Duration) <-chan time.Time
}

// Driver drives simulated sites. It is safe for concurrent use.
type Driver struct {
	o     Options
	mu    sync.RWMutex
	sites map[string]*site
	file  scriptFile
}

var (
	_ domain.Driver    = (*Driver)(nil)
	_ domain.Inventory = (*Driver)(nil)
	_ domain.Watcher   = (*Driver)(nil)
	_ domain.Lister    = (*Driver)(nil)
	_ domain.Checker   = (*Driver)(nil)
)

// New opens a world. It fails when Dir cannot be made.
func New(o Options) (*Driver, error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.After == nil {
		o.After = time.After
	}
	if o.Dir != "" {
		if err := os.MkdirAll(o.Dir, 0o700); err != nil {
			return nil, logFault(err)
		}
	}
	return &Driver{o: o, sites: map[string]*site{}, file: scriptFile{path: o.ScriptFile}}, nil
}

// Plugin is the driver as the service registers it.
func (d *Driver) Plugin() domain.Plugin {
	return domain.Plugin{Name: Name, Version: "1", Schema: schema, Driver: d}
}

func (d *Driver) site(id string) *site {
	d.mu.RLock()
	t := d.sites[id]
	d.mu.RUnlock()
	if t != nil {
		return t
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if t = d.sites[id]; t == nil {
		t = newSite(id, d.o.Dir)
		d.sites[id] = t
	}
	return t
}

func (d *Driver) now() int64 { return d.o.Clock().UnixNano() }

// call is one request to a site.
type call struct {
	name    string // as in Failure.Call
	release string
	site    *domain.Site // nil: only the id is known
	id      string
	latency func(Latency) float64
}

// do carries a call out: it meets the site's losses, failures and latencies,
// then acts on its state, locked.
func (d *Driver) do(ctx context.Context, c call, act func(t *site, now int64) error) error {
	if err := ctx.Err(); err != nil {
		return fault.Of(err)
	}
	t := d.site(c.id)
	if err := d.enter(ctx, t, c); err != nil {
		return err
	}
	f, err := t.failing(c.name, c.release, "")
	wait := t.jittered(c.latency(t.script.Latency))
	if err == nil && (wait > 0 || f != nil && (f.Hang || !f.Late)) {
		t.unlock()
		if err = d.linger(ctx, f, time.Duration(wait)); err != nil {
			return err
		}
		if f != nil && !f.Late {
			return f.fault("site " + t.label())
		}
		if err = d.enter(ctx, t, c); err != nil {
			return err
		}
	}
	defer t.unlock()
	if err != nil {
		return err
	}
	if err := act(t, d.now()); err != nil {
		return err
	}
	if f != nil {
		return f.fault("site " + t.label())
	}
	return nil
}

// enter locks the site and brings it to the present.
func (d *Driver) enter(ctx context.Context, t *site, c call) error {
	if err := t.lock(ctx); err != nil {
		return err
	}
	now := d.now()
	err := d.file.apply(t)
	if err == nil && c.site != nil {
		err = t.meet(*c.site, now)
	}
	if err == nil {
		err = t.reachable(now)
	}
	if err == nil {
		err = t.reap(now)
	}
	if err != nil {
		t.unlock()
	}
	return err
}

// linger waits as long as a call takes, or for ever.
func (d *Driver) linger(ctx context.Context, f *Failure, wait time.Duration) error {
	var after <-chan time.Time
	if f == nil || !f.Hang {
		if wait <= 0 {
			return nil
		}
		after = d.o.After(wait)
	}
	select {
	case <-ctx.Done():
		return fault.Of(ctx.Err())
	case <-after:
		return nil
	}
}

func (d *Driver) siteCall(name string, s domain.Site, release string, latency func(Latency) float64) call {
	return call{name: name, site: &s, id: s.ID, release: release, latency: latency}
}

func applyLatency(l Latency) float64    { return l.Apply }
func deleteLatency(l Latency) float64   { return l.Delete }
func observeLatency(l Latency) float64  { return l.Observe }
func platformLatency(l Latency) float64 { return l.Platform }

// Nodes tells the site's nodes; a lost one is Unavailable.
func (d *Driver) Nodes(ctx context.Context, s domain.Site) ([]topology.Node, error) {
	var nodes []topology.Node
	err := d.do(ctx, d.siteCall("nodes", s, "", observeLatency), func(t *site, now int64) error {
		nodes = make([]topology.Node, 0, len(t.nodes))
		for _, n := range t.nodes {
			lost := t.script.nodeLost(n.name, t.since(now))
			nodes = append(nodes, n.topologyNode(s.ID, t.script.Kind, lost))
		}
		return nil
	})
	return nodes, err
}

// Check proves that the connection data is right and the site answers.
func (d *Driver) Check(ctx context.Context, s domain.Site) error {
	return d.do(ctx, d.siteCall("check", s, "", observeLatency), func(*site, int64) error { return nil })
}

// List tells every deployment that is there or going.
func (d *Driver) List(ctx context.Context, s domain.Site) ([]domain.Ref, error) {
	var refs []domain.Ref
	err := d.do(ctx, d.siteCall("list", s, "", observeLatency), func(t *site, _ int64) error {
		refs = make([]domain.Ref, 0, len(t.state.records))
		for _, r := range t.state.records {
			refs = append(refs, r.ref(s))
		}
		return nil
	})
	return refs, err
}

func (r *record) ref(s domain.Site) domain.Ref {
	return domain.Ref{Site: s, Slice: r.Slice, Element: r.Element, Release: r.Release, Generation: r.Generation}
}
