package simulated

import (
	"context"
	"fmt"
	"time"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/topology"
)

// Apply makes the wish the site's.
func (d *Driver) Apply(ctx context.Context, w domain.Deployment) error {
	return d.do(ctx, d.siteCall("apply", w.Site, w.Release, applyLatency), func(t *site, now int64) error {
		if err := t.fenced(w.Ref); err != nil {
			return err
		}
		old := t.state.live(w.Release, now)
		if old != nil && old.Gone == 0 && old.Hash == w.Hash && old.Broken == "" {
			if old.Generation == w.Generation {
				return nil
			}
			return t.commit(&entry{Op: "gen", Release: w.Release, Generation: w.Generation})
		}
		r, err := t.record(w, old, now)
		if err != nil {
			return err
		}
		return t.commit(&entry{Op: "apply", Record: r})
	})
}

func (t *site) fenced(ref domain.Ref) error {
	if g := t.state.highest(ref.Release); ref.Generation < g {
		return fault.New(fault.Conflict, "release %s: generation %d is older than %d", ref.Release, ref.Generation, g)
	}
	return nil
}

// record makes a wish a deployment.
func (t *site) record(w domain.Deployment, old *record, now int64) (*record, error) {
	if w.Release == "" || w.Hash == "" {
		return nil, fault.Field("release", w.Release, "a release with a hash")
	}
	n := int64(max(1, w.Replicas))
	r := &record{
		Release: w.Release, Slice: w.Slice, Element: w.Element, Generation: w.Generation, Hash: w.Hash,
		Product: w.Product, Applied: now, Life: t.state.lives + 1,
		Needs: topology.Capacity{CPU: n * w.Resources.CPU, Memory: n * w.Resources.Memory, Storage: n * w.Resources.Storage},
	}
	for _, p := range w.Ports {
		r.Ports = append(r.Ports, p.Name)
	}
	wanted, err := t.wanted(w, old)
	if err != nil {
		return nil, err
	}
	r.Wanted = wanted
	t.occupy(old, -1) // an update in place may use its own room
	r.Node = t.room(r, now)
	t.occupy(old, +1)
	r.Ready = now + t.jittered(t.script.Latency.Ready)
	f, err := t.failing("ready", w.Release, "")
	if f != nil {
		r.Broken, r.Hangs = f.cause(), f.Hang
	}
	return r, err
}

// wanted is the name of the node the wish names, "" for the site's choice.
// A node that only the service knows by its id is the one the release is on.
func (t *site) wanted(w domain.Deployment, old *record) (string, error) {
	for _, name := range []string{w.NodeName, w.Node} {
		if t.byName[name] != nil {
			return name, nil
		}
	}
	if w.Node == "" && w.NodeName == "" {
		return "", nil
	}
	for _, n := range t.nodes {
		if w.Node == nodeID(t.id, n.name) {
			return n.name, nil
		}
	}
	if w.NodeName == "" && old != nil && old.Wanted != "" {
		return old.Wanted, nil
	}
	name := w.NodeName
	if name == "" {
		name = w.Node
	}
	if len(t.script.Nodes) > 0 {
		return "", fault.New(fault.Invalid, "site %s has no node %q", t.label(), name).With("node", name, "the name of one of the site's nodes")
	}
	t.adopt(name)
	return name, nil
}

// room finds the node for a record: the wanted one, or the first that is not
// lost and has room; "" when there is none now.
func (t *site) room(r *record, now int64) string {
	if r.Wanted != "" {
		t.adopt(r.Wanted)
		if n := t.byName[r.Wanted]; n != nil && n.fits(r.Needs) {
			return n.name
		}
		return ""
	}
	for _, n := range t.nodes {
		if n.fits(r.Needs) && !t.script.nodeLost(n.name, t.since(now)) {
			return n.name
		}
	}
	return ""
}

// Delete removes a deployment, at once or slowly.
func (d *Driver) Delete(ctx context.Context, ref domain.Ref) error {
	return d.do(ctx, d.siteCall("delete", ref.Site, ref.Release, deleteLatency), func(t *site, now int64) error {
		if err := t.fenced(ref); err != nil {
			return err
		}
		r := t.state.records[ref.Release]
		e := &entry{Op: "delete", Release: ref.Release, Generation: ref.Generation, At: now}
		switch {
		case r == nil && t.state.fences[ref.Release].generation == ref.Generation && ref.Generation != 0:
			return nil // known already
		case r != nil && r.Gone > 0:
			e.Record = &record{Gone: r.Gone}
		case r != nil:
			if wait := t.jittered(t.script.Latency.Gone); wait > 0 {
				e.Record = &record{Gone: now + wait}
			}
		}
		return t.commit(e)
	})
}

// Observe tells a deployment's state by the clock.
func (d *Driver) Observe(ctx context.Context, ref domain.Ref) (domain.Status, error) {
	var st domain.Status
	err := d.do(ctx, d.siteCall("observe", ref.Site, ref.Release, observeLatency), func(t *site, now int64) error {
		r := t.state.live(ref.Release, now)
		if r != nil && r.Node == "" && r.Gone == 0 {
			if name := t.room(r, now); name != "" {
				ready := now + t.jittered(t.script.Latency.Ready)
				if err := t.commit(&entry{Op: "place", Release: r.Release, Text: name, At: ready}); err != nil {
					return err
				}
			}
		}
		st = t.status(r, now)
		return nil
	})
	return st, err
}

// status is what the record means at a time.
func (t *site) status(r *record, now int64) domain.Status {
	at := time.Unix(0, now)
	if r == nil {
		return domain.Status{Phase: domain.Absent, ObservedAt: at}
	}
	st := domain.Status{
		Generation: r.Generation, Hash: r.Hash, Node: r.Node, ObservedAt: at, Restarts: r.Restarts,
		Endpoints: make(map[string]string, len(r.Ports)),
	}
	for _, p := range r.Ports {
		st.Endpoints[p] = endpoint(t.id, r.Release, p)
	}
	say := func(format string, args ...any) { st.Evidence = append(st.Evidence, fmt.Sprintf(format, args...)) }
	switch {
	case r.Gone > 0:
		st.Phase, st.Hash = domain.Degraded, "" // no wish is in force
		say("being deleted, gone in %v", time.Duration(r.Gone-now))
	case r.Node == "":
		st.Phase, st.Cause = domain.Pending, t.noRoom(r)
		say("%s", st.Cause)
	case t.script.nodeLost(r.Node, t.since(now)):
		st.Phase, st.Cause = domain.Degraded, "node "+r.Node+" is lost"
		say("node %s does not answer", r.Node)
	case now < r.Ready || r.Hangs:
		st.Phase = domain.Starting
		if r.Hangs && now >= r.Ready {
			st.Cause = r.Broken
		}
		say("started %v ago", time.Duration(now-r.Applied))
	case r.Broken != "":
		st.Phase, st.Cause = domain.Failed, r.Broken
		say("ended: %s", r.Broken)
	default:
		st.Phase = domain.Ready
		say("simulated incarnation %d on %s, up %v", r.Life, r.Node, time.Duration(now-r.Ready))
	}
	return st
}

func (t *site) noRoom(r *record) string {
	if n := t.byName[r.Wanted]; n != nil {
		return "no room: " + n.short(r.Needs)
	}
	return fmt.Sprintf("no room: none of %d nodes has %d milli-cores, %d MiB memory and %d MiB storage free",
		len(t.nodes), r.Needs.CPU, r.Needs.Memory, r.Needs.Storage)
}

// endpoint is where a simulated instance is reached by Platform.
func endpoint(site, release, port string) string {
	return "sim://" + site + "/" + release + "/" + port
}
