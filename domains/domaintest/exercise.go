package domaintest

import (
	"context"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
)

// Exercise runs the whole contract; newFixture is called once per subtest.
func Exercise(t *testing.T, newFixture func(t *testing.T) Fixture) {
	for _, c := range []struct {
		name string
		run  func(s *suite)
	}{
		{"create, observe, delete", (*suite).lifecycle},
		{"apply is idempotent", (*suite).idempotent},
		{"a new wish replaces the old", (*suite).update},
		{"an older generation is refused", (*suite).fenced},
		{"an older generation is refused after delete", (*suite).fencedAfterDelete},
		{"deleting what is absent", (*suite).deleteAbsent},
		{"observing what is absent", (*suite).observeAbsent},
		{"created anew after delete", (*suite).recreate},
		{"random histories", (*suite).histories},
		{"side by side", (*suite).sideBySide},
		{"applied twice at once", (*suite).twiceAtOnce},
		{"a newer delete races an older apply", (*suite).raced},
		{"a cancelled context", (*suite).cancelled},
		{"neighbours", (*suite).neighbours},
		{"never ready", (*suite).neverReady},
		{"impossible", (*suite).impossible},
		{"the function crashes", (*suite).disturbed},
		{"the service restarts", (*suite).reopened},
		{"the site is cut off", (*suite).cutOff},
		{"list", (*suite).list},
		{"watch", (*suite).watch},
		{"nodes", (*suite).nodes},
		{"check", (*suite).check},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			s := &suite{T: t, f: f, d: f.Driver(), patience: 10 * time.Second, seen: map[string]domain.Ref{}}
			if p, ok := f.(Patient); ok {
				s.patience = p.Patience()
			}
			t.Cleanup(s.leave)
			c.run(s)
		})
	}
}

// suite is one subtest's view of the fixture.
type suite struct {
	*testing.T
	f        Fixture
	d        domain.Driver
	patience time.Duration
	seen     map[string]domain.Ref // deployed, by release, with the highest generation
}

// lacks skips visibly: the technology cannot lend this ability to a test.
func (s *suite) lacks(ability string) {
	s.Helper()
	s.Skipf("not applicable: %s", ability)
}

func (s *suite) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), s.patience)
	s.Cleanup(cancel)
	return ctx
}

// deployment is the fixture's wish, remembered for the cleanup.
func (s *suite) deployment(name string) domain.Deployment {
	d := s.f.Deployment(name)
	s.remember(d.Ref)
	return d
}

func (s *suite) remember(ref domain.Ref) {
	if ref.Generation >= s.seen[ref.Release].Generation {
		s.seen[ref.Release] = ref
	}
}

func (s *suite) apply(d domain.Deployment) {
	s.Helper()
	s.remember(d.Ref)
	if err := s.d.Apply(s.ctx(), d); err != nil {
		s.Fatalf("Apply(%s, generation %d): %v", d.Release, d.Generation, err)
	}
}

func (s *suite) delete(ref domain.Ref) {
	s.Helper()
	s.remember(ref)
	if err := s.d.Delete(s.ctx(), ref); err != nil {
		s.Fatalf("Delete(%s, generation %d): %v", ref.Release, ref.Generation, err)
	}
}

func (s *suite) observe(ref domain.Ref) domain.Status {
	s.Helper()
	before := time.Now()
	st, err := s.d.Observe(s.ctx(), ref)
	if err != nil {
		s.Fatalf("Observe(%s): %v", ref.Release, err)
	}
	if st.ObservedAt.Before(before.Add(-time.Minute)) {
		s.Errorf("Observe(%s): observed at %v, long before it was asked", ref.Release, st.ObservedAt)
	}
	return st
}

// until observes ref until ok holds.
func (s *suite) until(ref domain.Ref, what string, ok func(domain.Status) bool) domain.Status {
	s.Helper()
	deadline := time.Now().Add(s.patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		st := s.observe(ref)
		if ok(st) {
			return st
		}
		if time.Now().After(deadline) {
			s.Fatalf("%s: not %s within %v; last seen: %+v", ref.Release, what, s.patience, st)
		}
		<-tick.C
	}
}

func (s *suite) ready(d domain.Deployment) domain.Status {
	s.Helper()
	st := s.until(d.Ref, "ready", func(st domain.Status) bool {
		if st.Phase == domain.Failed {
			s.Fatalf("%s failed: %s %q", d.Release, st.Cause, st.Evidence)
		}
		return st.Phase == domain.Ready && st.Hash == d.Hash
	})
	if st.Generation != d.Generation {
		s.Errorf("ready: generation %d, want %d", st.Generation, d.Generation)
	}
	for _, p := range d.Ports {
		if st.Endpoints[p.Name] == "" {
			s.Errorf("ready without an endpoint for port %q: %v", p.Name, st.Endpoints)
		}
	}
	return st
}

// refused asserts that an older generation was refused.
func (s *suite) refused(err error, what string) {
	s.Helper()
	if !fault.Is(err, fault.Conflict) {
		s.Errorf("%s: %v, want a fault.Conflict", what, err)
	}
}

func (s *suite) absent(ref domain.Ref) {
	s.Helper()
	st := s.until(ref, "absent", func(st domain.Status) bool { return st.Phase == domain.Absent })
	if len(st.Endpoints) > 0 {
		s.Errorf("absent, with endpoints %v", st.Endpoints)
	}
}

// leave deletes everything and asserts that nothing is left.
func (s *suite) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*s.patience)
	defer cancel()
	for _, ref := range s.seen {
		if err := s.d.Delete(ctx, ref); err != nil {
			s.Errorf("Delete(%s) at the end: %v", ref.Release, err)
		}
	}
	a, ok := s.f.(Auditor)
	if !ok {
		return
	}
	deadline := time.Now().Add(s.patience)
	for {
		left := a.Leftovers(s)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			s.Errorf("left over: %q", left)
			return
		}
		<-time.After(10 * time.Millisecond)
	}
}
