package domaintest

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/topology"
)

func (s *suite) neverReady() {
	b, ok := s.f.(Breaker)
	if !ok {
		s.lacks("the fixture is no Breaker")
	}
	d, word := b.Break(s.deployment("broken"))
	s.apply(d)
	s.until(d.Ref, "telling a cause with "+word, func(st domain.Status) bool {
		if st.Phase == domain.Ready {
			s.Fatalf("ready, although broken: %+v", st)
		}
		return strings.Contains(st.Cause, word)
	})
	mended := s.f.Deployment("broken")
	mended.Generation = d.Generation + 1
	s.apply(mended)
	s.ready(mended)
}

func (s *suite) impossible() {
	r, ok := s.f.(Refused)
	if !ok {
		s.lacks("the fixture knows no impossible wish")
	}
	d := r.Impossible(s.deployment("impossible"))
	err := s.d.Apply(s.ctx(), d)
	if err == nil {
		s.Fatal("an impossible wish was accepted")
	}
	if f := fault.Of(err); f.Retry != fault.Never || f.Kind == fault.Internal {
		s.Errorf("impossible: %v (kind %v, retry %v), want a classified fault that is never retried", err, f.Kind, f.Retry)
	}
}

func (s *suite) disturbed() {
	x, ok := s.f.(Disturber)
	if !ok {
		s.lacks("the fixture is no Disturber")
	}
	d := s.deployment("disturbed")
	s.apply(d)
	before := s.ready(d)
	x.Disturb(s, d.Ref)
	s.until(d.Ref, "restarted", func(st domain.Status) bool {
		return st.Phase == domain.Ready && st.Restarts > before.Restarts
	})
}

func (s *suite) reopened() {
	r, ok := s.f.(Reopener)
	if !ok {
		s.lacks("the fixture is no Reopener")
	}
	d, gone := s.deployment("adopted"), s.deployment("buried")
	d.Generation, gone.Generation = 3, 3
	s.apply(d)
	s.apply(gone)
	before := s.ready(d)
	was := s.incarnation(d.Ref)
	s.delete(gone.Ref)

	s.d = r.Reopen(s)
	after := s.ready(d)
	if is := s.incarnation(d.Ref); is != was || after.Restarts != before.Restarts {
		s.Errorf("the function was not adopted: %q became %q", was, is)
	}
	s.apply(d)
	if is := s.incarnation(d.Ref); is != was {
		s.Errorf("applying the same after a restart of the service: %q became %q", was, is)
	}
	for _, old := range []domain.Deployment{d, gone} {
		old.Generation = 2
		s.refused(s.d.Apply(s.ctx(), old), "Apply of an older generation after a restart of the service: "+old.Release)
	}
	s.delete(d.Ref)
	s.absent(d.Ref)
}

func (s *suite) cutOff() {
	c, ok := s.f.(Cutter)
	if !ok {
		s.lacks("the fixture is no Cutter")
	}
	d := s.deployment("cutoff")
	s.apply(d)
	s.ready(d)
	restore := c.Cut(s)
	_, err := s.d.Observe(s.ctx(), d.Ref)
	for what, err := range map[string]error{"Observe": err, "Apply": s.d.Apply(s.ctx(), s.f.Change(d)), "Delete": s.d.Delete(s.ctx(), d.Ref)} {
		f := fault.Of(err)
		if f == nil || (f.Kind != fault.Unavailable && f.Kind != fault.Timeout) || f.Retry != fault.Backoff {
			s.Errorf("%s of a site cut off: %v, want Unavailable or Timeout with Backoff", what, err)
		}
	}
	restore()
	s.apply(d)
	s.ready(d)
}

func (s *suite) list() {
	l, ok := s.d.(domain.Lister)
	if !ok {
		s.lacks("the driver is no Lister")
	}
	a, b := s.deployment("list-a"), s.deployment("list-b")
	s.apply(a)
	s.apply(b)
	s.listed(l, a, b)
	s.delete(a.Ref)
	s.absent(a.Ref)
	s.listed(l, b)
}

func (s *suite) listed(l domain.Lister, want ...domain.Deployment) {
	s.Helper()
	refs, err := l.List(s.ctx(), want[0].Site)
	if err != nil {
		s.Fatalf("List: %v", err)
	}
	got := map[string]domain.Ref{}
	for _, r := range refs {
		got[r.Release] = r
	}
	if len(got) != len(want) || len(refs) != len(want) {
		s.Errorf("List: %d deployments %v, want %d", len(refs), got, len(want))
	}
	for _, d := range want {
		r := got[d.Release]
		if r.Slice != d.Slice || r.Element != d.Element || r.Generation != d.Generation || r.Site.ID != d.Site.ID {
			s.Errorf("List: %+v, want %+v", r, d.Ref)
		}
	}
}

func (s *suite) watch() {
	w, ok := s.d.(domain.Watcher)
	if !ok {
		s.lacks("the driver is no Watcher")
	}
	d := s.deployment("watched")
	changed := make(chan domain.Ref, 64)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Watch(ctx, d.Site, changed) }()
	s.apply(d)
	s.told(d, changed, func(st domain.Status) bool { return st.Phase == domain.Ready })
	s.delete(d.Ref)
	s.told(d, changed, func(st domain.Status) bool { return st.Phase == domain.Absent })
	cancel()
	select {
	case err := <-ended:
		if err != nil && ctx.Err() == nil {
			s.Errorf("Watch: %v", err)
		}
	case <-time.After(s.patience):
		s.Error("Watch did not end with its context")
	}
}

// told waits for notices until one finds ok true.
func (s *suite) told(d domain.Deployment, changed <-chan domain.Ref, ok func(domain.Status) bool) {
	s.Helper()
	late := time.After(s.patience)
	for {
		select {
		case ref := <-changed:
			if ref.Release == d.Release && ok(s.observe(d.Ref)) {
				return
			}
		case <-late:
			s.Fatalf("Watch told nothing that led to the awaited state; now %+v", s.observe(d.Ref))
		}
	}
}

func (s *suite) nodes() {
	i, ok := s.d.(domain.Inventory)
	if !ok {
		s.lacks("the driver is no Inventory")
	}
	d := s.deployment("nodes")
	nodes, err := i.Nodes(s.ctx(), d.Site)
	if err != nil || len(nodes) == 0 {
		s.Fatalf("Nodes: %v, %v; want at least one", nodes, err)
	}
	again, err := i.Nodes(s.ctx(), d.Site)
	if err != nil || len(again) != len(nodes) {
		s.Fatalf("Nodes, asked again: %d nodes, %v; want %d", len(again), err, len(nodes))
	}
	ids := map[string]bool{}
	for k, n := range nodes {
		if err := n.Validate("node"); err != nil {
			s.Errorf("node %q: %v", n.ID, err)
		}
		if ids[n.ID] || again[k].ID != n.ID || n.Infrastructure != d.Site.ID {
			s.Errorf("node %q (again %q) of infrastructure %q: want unique, stable ids of infrastructure %q", n.ID, again[k].ID, n.Infrastructure, d.Site.ID)
		}
		ids[n.ID] = true
	}
	s.apply(d)
	if st := s.ready(d); !ids[st.Node] && !hasName(nodes, st.Node) {
		s.Errorf("runs on %q, which is none of the nodes %v", st.Node, ids)
	}
}

func (s *suite) check() {
	c, ok := s.d.(domain.Checker)
	if !ok {
		s.lacks("the driver is no Checker")
	}
	d := s.deployment("check")
	if err := c.Check(s.ctx(), d.Site); err != nil {
		s.Errorf("Check of a site that works: %v", err)
	}
	bad := d.Site
	bad.Connection = []byte(`{"surely no such field": 1}`)
	if f := fault.Of(c.Check(s.ctx(), bad)); f == nil || f.Retry != fault.Never || len(f.Params) == 0 {
		s.Errorf("Check of wrong connection data: %v, want a fault that names the field and is never retried", f)
	}
}

func hasName(nodes []topology.Node, name string) bool {
	return slices.ContainsFunc(nodes, func(n topology.Node) bool { return n.Name == name })
}
