package simulated

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// Control is how a test, or an API in front of it, directs a world.
type Control interface {
	// Script puts a script in force at a site, in place of its connection
	// data's; nil takes it back.
	Script(ctx context.Context, site string, s *Script) error
	// Crash ends a function; the site brings it back.
	Crash(ctx context.Context, site, release string) error
	// Holdings tells what a site holds, by release.
	Holdings(ctx context.Context, site string) ([]Holding, error)
}

var _ Control = (*Driver)(nil)

// Holding is one deployment as the simulated world holds it.
type Holding struct {
	Release, Slice, Element string
	Product, Hash, Node     string
	Generation              int64
	Incarnation             int // of the function: grows with every start by a new wish
	Restarts                int
	Going                   bool // deleted, not gone yet
	Devices                 []string
	Uplink                  string   // address a gateway delivers to
	Gateways                []string // connected at a server
}

// Script puts s in force at the site; its loss may make the site unreachable.
func (d *Driver) Script(ctx context.Context, id string, s *Script) error {
	if s != nil {
		if err := s.validate(); err != nil {
			return err
		}
	}
	t := d.site(id)
	if err := t.lock(ctx); err != nil {
		return err
	}
	defer t.unlock()
	return t.commit(&entry{Op: "script", Script: s})
}

// InForce answers the script that the site behaves by: one set by Script, else
// the script file's, else the connection data's as last seen.
func (d *Driver) InForce(ctx context.Context, id string) (*Script, error) {
	t := d.site(id)
	if err := t.lock(ctx); err != nil {
		return nil, err
	}
	defer t.unlock()
	if err := d.file.apply(t); err != nil {
		return nil, err
	}
	s := *t.script
	return &s, nil
}

// Crash ends the release's function as a fault of its own would.
func (d *Driver) Crash(ctx context.Context, id, release string) error {
	t := d.site(id)
	if err := t.lock(ctx); err != nil {
		return err
	}
	defer t.unlock()
	now := d.now()
	if t.state.live(release, now) == nil {
		return fault.Absent("release", release)
	}
	return t.commit(&entry{Op: "crash", Release: release, At: now + t.jittered(t.script.Latency.Ready)})
}

// Holdings tells what is there, whatever losses the script says.
func (d *Driver) Holdings(ctx context.Context, id string) ([]Holding, error) {
	t := d.site(id)
	if err := t.lock(ctx); err != nil {
		return nil, err
	}
	defer t.unlock()
	now := d.now()
	if err := t.reap(now); err != nil {
		return nil, err
	}
	var list []Holding
	for _, release := range slices.Sorted(maps.Keys(t.state.records)) {
		list = append(list, t.state.records[release].holding())
	}
	return list, nil
}

func (r *record) holding() Holding {
	h := Holding{
		Release: r.Release, Slice: r.Slice, Element: r.Element, Product: r.Product, Hash: r.Hash, Node: r.Node,
		Generation: r.Generation, Incarnation: r.Life, Restarts: r.Restarts, Going: r.Gone > 0,
	}
	if i := r.instance; i != nil {
		h.Devices, h.Gateways = slices.Sorted(maps.Keys(i.devices)), slices.Sorted(maps.Keys(i.gateways))
		if i.uplink != nil {
			h.Uplink = i.uplink.Address
		}
	}
	return h
}

// scriptFile is Options.ScriptFile as last read.
type scriptFile struct {
	path string

	mu      sync.Mutex
	changed time.Time
	size    int64
	scripts map[string]*Script
}

// apply puts the file's script of a site in force.
func (f *scriptFile) apply(t *site) error {
	if f.path == "" {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.load(); err != nil {
		return err
	}
	if s := f.scripts[t.state.name]; s != t.fromFile {
		t.fromFile = s
		t.refresh()
	}
	return nil
}

func (f *scriptFile) load() error {
	info, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		f.scripts = nil
		f.changed = time.Time{}
		return nil
	}
	if err != nil {
		return fault.New(fault.Unavailable, "the script file cannot be read").Because(err).Retrying(fault.Backoff)
	}
	if info.ModTime().Equal(f.changed) && info.Size() == f.size {
		return nil
	}
	raw, err := os.ReadFile(f.path)
	if err != nil {
		return fault.New(fault.Unavailable, "the script file cannot be read").Because(err).Retrying(fault.Backoff)
	}
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(raw, &parts); err != nil {
		return fault.New(fault.Invalid, "the script file is no JSON object of sites").Because(err)
	}
	scripts := make(map[string]*Script, len(parts))
	for name, part := range parts {
		if scripts[name], err = ParseScript(part); err != nil {
			return fault.New(fault.Invalid, "the script file's site %q is not valid", name).Because(err)
		}
	}
	f.scripts, f.changed, f.size = scripts, info.ModTime(), info.Size()
	return nil
}
