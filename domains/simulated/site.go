package simulated

import (
	"bytes"
	"context"
	"encoding/json"
	"hash/fnv"
	"math/rand/v2"
	"path"
	"sync"
	"time"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
)

// site is one simulated place: its state, the script in force and what follows
// from both. Everything is guarded by mu; with a log also by its lock.
type site struct {
	mu    sync.Mutex
	id    string
	log   *logFile // nil: in memory
	state *state

	script   *Script // in force
	fromFile *Script // as the script file says
	seenRaw  []byte  // connection data last found equal to the state's
	nodes    []*node
	byName   map[string]*node
	going    map[string]bool // releases being deleted
	draws    uint64
	watchers map[*watcher]bool
}

func newSite(id, dir string) *site {
	t := &site{id: id, state: newState(), watchers: map[*watcher]bool{}, going: map[string]bool{}}
	if dir != "" {
		t.log = &logFile{path: logPath(dir, id)}
	}
	t.refresh()
	return t
}

// lock takes the site and brings it up to date.
func (t *site) lock(ctx context.Context) error {
	t.mu.Lock()
	if t.log == nil {
		return nil
	}
	if err := t.log.lock(ctx); err != nil {
		t.mu.Unlock()
		return err
	}
	script := false
	err := t.log.read(func() {
		t.state = newState()
		clear(t.going)
		script = true
	}, func(e *entry) {
		script = script || e.Op == "site" || e.Op == "script"
		t.fold(e)
	})
	if err == nil && script {
		t.refresh()
	}
	if err != nil {
		t.unlock()
	}
	return err
}

func (t *site) unlock() {
	if t.log != nil {
		t.log.unlock()
	}
	t.mu.Unlock()
}

// fold changes the state and what is derived from it.
func (t *site) fold(e *entry) {
	release := e.Release
	if e.Op == "apply" {
		release = e.Record.Release
	}
	old := t.state.records[release]
	t.occupy(old, -1)
	t.state.fold(e)
	r := t.state.records[release]
	t.occupy(r, +1)
	if r != nil && r.Gone > 0 {
		t.going[release] = true
	} else {
		delete(t.going, release)
	}
	if release != "" {
		t.tell(release)
	}
}

func (t *site) occupy(r *record, sign int64) {
	if r == nil {
		return
	}
	if n := t.byName[r.Node]; n != nil {
		n.add(r.Needs, sign)
	}
}

// commit makes changes durable, then real.
func (t *site) commit(entries ...*entry) error {
	if t.log != nil {
		if err := t.log.append(entries...); err != nil {
			return err
		}
	}
	for _, e := range entries {
		t.fold(e)
		if e.Op == "site" || e.Op == "script" {
			t.refresh()
		}
	}
	if t.log != nil && t.log.lines > t.log.limit {
		return t.log.compact(t.state.entries())
	}
	return nil
}

// refresh derives script and nodes anew.
func (t *site) refresh() {
	t.seenRaw = nil
	switch {
	case t.state.override != nil:
		t.script = t.state.override
	case t.fromFile != nil:
		t.script = t.fromFile
	default:
		s, err := ParseScript(t.state.connection)
		if err != nil { // written by a newer program; what is unknown is inert
			s = &Script{}
		}
		t.script = s
	}
	t.nodes = t.script.expand()
	t.byName = make(map[string]*node, len(t.nodes))
	for _, n := range t.nodes {
		t.byName[n.name] = n
	}
	for _, r := range t.state.records {
		t.adopt(r.Node)
		t.occupy(r, +1)
	}
	t.tellAll()
}

// adopt accepts any node name where the script names none.
func (t *site) adopt(name string) {
	if name == "" || len(t.script.Nodes) > 0 || t.byName[name] != nil {
		return
	}
	n := (&Script{Nodes: []NodeSpec{{Name: name}}}).expand()[0]
	t.byName[name] = n
}

// meet takes note of the connection data that the service has of the site.
func (t *site) meet(s domain.Site, now int64) error {
	if t.state.born != 0 && s.Name == t.state.name && t.seenRaw != nil && bytes.Equal(s.Connection, t.seenRaw) {
		return nil
	}
	if _, err := ParseScript(s.Connection); err != nil {
		return err
	}
	compact := []byte(nil)
	if len(s.Connection) > 0 {
		var b bytes.Buffer
		if err := json.Compact(&b, s.Connection); err != nil {
			return fault.Field("connection", "", "a JSON object")
		}
		compact = b.Bytes()
	}
	if t.state.born == 0 || s.Name != t.state.name || !bytes.Equal(compact, t.state.connection) {
		if err := t.commit(&entry{Op: "site", At: now, Name: s.Name, Connection: compact}); err != nil {
			return err
		}
	}
	t.seenRaw = append(make([]byte, 0, len(s.Connection)), s.Connection...)
	return nil
}

// since is the time since the site was first seen.
func (t *site) since(now int64) time.Duration { return time.Duration(now - t.state.born) }

// reachable answers why the site cannot be asked now, and lets functions of a
// dead site restart when it comes back.
func (t *site) reachable(now int64) error {
	loss := t.script.lossAt(t.since(now))
	if dead := loss == Dead; dead != t.state.wasDead {
		if err := t.diedOrRose(dead, now); err != nil {
			return err
		}
	}
	if loss != "" {
		return fault.New(fault.Unavailable, "site %s does not answer (simulated: %s)", t.label(), loss).Retrying(fault.Backoff)
	}
	return nil
}

func (t *site) diedOrRose(dead bool, now int64) error {
	word := "no"
	if dead {
		word = "yes"
	}
	entries := []*entry{{Op: "dead", Text: word}}
	if !dead {
		for _, r := range t.state.records {
			entries = append(entries, &entry{Op: "crash", Release: r.Release, At: now + t.jittered(t.script.Latency.Ready)})
		}
	}
	return t.commit(entries...)
}

func (t *site) label() string {
	if t.state.name != "" {
		return t.state.name
	}
	return t.id
}

// draw answers a number from [0,1) that depends on seed, site, stream and n.
func (t *site) draw(stream, n uint64) float64 {
	h := fnv.New64a()
	h.Write([]byte(t.label()))
	return rand.New(rand.NewPCG(t.script.Seed^h.Sum64(), stream<<40^n)).Float64()
}

// jittered draws a latency in nanoseconds.
func (t *site) jittered(latency float64) int64 {
	if latency == 0 {
		return 0
	}
	if j := t.script.Latency.Jitter; j > 0 {
		t.draws++
		latency *= 1 + j*(2*t.draw(1<<20, t.draws)-1)
	}
	return int64(ms(latency))
}

// failing answers the failure that hits this call, if one does, counting the
// match of every rule before it.
func (t *site) failing(call, release, device string) (*Failure, error) {
	for i := range t.script.Failures {
		f := &t.script.Failures[i]
		if f.Call != call || !matches(f.Release, release) || (device == "") != (f.Device == "") || !matches(f.Device, device) {
			continue
		}
		c := t.state.counts[i]
		c.seen++
		hit := c.seen > f.After && (f.Times == 0 || c.hits < f.Times) &&
			(f.Probability == 0 || t.draw(uint64(i), uint64(c.seen)) < f.Probability)
		if hit {
			c.hits++
		}
		if err := t.commit(&entry{Op: "rule", Rule: i, Seen: c.seen, Hits: c.hits}); err != nil {
			return nil, err
		}
		if hit {
			return f, nil
		}
	}
	return nil, nil
}

func matches(pattern, name string) bool {
	if pattern == "" {
		return true
	}
	ok, err := path.Match(pattern, name)
	return err == nil && ok
}

// reap removes what has gone by now.
func (t *site) reap(now int64) error {
	for release := range t.going {
		r := t.state.records[release]
		if r == nil || now < r.Gone {
			continue
		}
		if err := t.commit(&entry{Op: "delete", Release: release, Generation: r.Generation, At: now}); err != nil {
			return err
		}
	}
	return nil
}
