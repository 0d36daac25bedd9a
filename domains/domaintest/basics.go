package domaintest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
)

func (s *suite) lifecycle() {
	d := s.deployment("lifecycle")
	s.apply(d)
	if st := s.observe(d.Ref); st.Phase == domain.Absent {
		s.Error("absent although Apply returned: the wish was not durably accepted")
	}
	st := s.ready(d)
	if st.Cause != "" {
		s.Errorf("ready with a cause: %q", st.Cause)
	}
	s.delete(d.Ref)
	s.absent(d.Ref)
}

func (s *suite) incarnation(ref domain.Ref) string {
	if w, ok := s.f.(Witness); ok {
		return w.Incarnation(s, ref)
	}
	return ""
}

func (s *suite) idempotent() {
	d := s.deployment("idem")
	s.apply(d)
	s.ready(d)
	was := s.incarnation(d.Ref)
	for range 3 {
		s.apply(d)
	}
	newer := d
	newer.Generation += 7
	s.apply(newer)
	st := s.ready(newer)
	if is := s.incarnation(d.Ref); is != was || st.Restarts != 0 {
		s.Errorf("applying the same wish again restarted the function: %q became %q, %d restarts", was, is, st.Restarts)
	}
}

func (s *suite) update() {
	d := s.deployment("update")
	s.apply(d)
	before := s.ready(d)
	c := s.f.Change(d)
	if c.Hash == d.Hash || c.Release != d.Release {
		s.Fatalf("fixture: Change must keep the release and change the hash")
	}
	c.Generation = d.Generation + 1
	s.apply(c)
	after := s.ready(c)
	for name, url := range before.Endpoints {
		if after.Endpoints[name] != url {
			s.Errorf("endpoint %q moved from %s to %s by an update in place", name, url, after.Endpoints[name])
		}
	}
	back := d
	back.Generation = c.Generation + 1
	s.apply(back)
	s.ready(back)
}

func (s *suite) fenced() {
	d := s.deployment("fenced")
	d.Generation = 10
	s.apply(d)
	s.ready(d)
	old := s.f.Change(d)
	old.Generation = 9
	s.refused(s.d.Apply(s.ctx(), old), "Apply of generation 9 after 10")
	s.refused(s.d.Delete(s.ctx(), old.Ref), "Delete of generation 9 after 10")
	s.ready(d) // unharmed
	same := d
	same.Generation = 9
	s.refused(s.d.Apply(s.ctx(), same), "Apply of the same wish, generation 9 after 10")
}

func (s *suite) fencedAfterDelete() {
	d := s.deployment("fencedel")
	d.Generation = 5
	s.apply(d)
	del := d.Ref
	del.Generation = 6
	s.delete(del)
	s.refused(s.d.Apply(s.ctx(), d), "Apply of generation 5 after Delete of 6")
	s.refused(s.d.Delete(s.ctx(), d.Ref), "Delete of generation 5 after Delete of 6")
	s.absent(d.Ref)

	never := s.deployment("neverwas")
	never.Generation = 4
	del = never.Ref
	del.Generation = 5
	s.delete(del)
	s.refused(s.d.Apply(s.ctx(), never), "late Apply of generation 4 after Delete of 5 found nothing")
	s.absent(never.Ref)
}

func (s *suite) deleteAbsent() {
	d := s.deployment("noone")
	s.delete(d.Ref)
	s.delete(d.Ref)
	s.absent(d.Ref)
}

func (s *suite) observeAbsent() {
	d := s.deployment("nothing")
	st := s.observe(d.Ref)
	if st.Phase != domain.Absent || st.Hash != "" || len(st.Endpoints) != 0 {
		s.Errorf("observing what never was: %+v, want Absent and nothing else", st)
	}
}

func (s *suite) recreate() {
	d := s.deployment("again")
	s.apply(d)
	s.ready(d)
	s.delete(d.Ref)
	s.absent(d.Ref)
	s.apply(d) // an operation may compensate its own delete: same generation
	s.ready(d)
}

// histories runs random applies and deletes of any generation and compares
// what the driver answers with the contract in its shortest form.
func (s *suite) histories() {
	const seed = 20261121
	r := rand.New(rand.NewPCG(seed, 1))
	type model struct {
		wish    [2]domain.Deployment
		highest int64
		hash    string // empty: absent
	}
	var ms [3]*model
	for i := range ms {
		d := s.deployment(fmt.Sprintf("history%d", i))
		ms[i] = &model{wish: [2]domain.Deployment{d, s.f.Change(d)}}
	}
	for step := range 40 {
		m := ms[r.IntN(len(ms))]
		d := m.wish[r.IntN(2)]
		d.Generation = max(1, m.highest+r.Int64N(4)-1)
		s.remember(d.Ref)
		var err error
		apply := r.IntN(5) < 3
		if apply {
			err = s.d.Apply(s.ctx(), d)
		} else {
			err = s.d.Delete(s.ctx(), d.Ref)
		}
		what := fmt.Sprintf("step %d: apply %v, %s, generation %d after %d", step, apply, d.Release, d.Generation, m.highest)
		if d.Generation < m.highest {
			s.refused(err, what)
		} else if err != nil {
			s.Fatalf("%s: %v", what, err)
		} else {
			m.highest, m.hash = d.Generation, ""
			if apply {
				m.hash = d.Hash
			}
		}
		if st := s.observe(d.Ref); st.Hash != m.hash || m.hash != "" && st.Phase == domain.Absent {
			s.Fatalf("%s: phase %s hash %q, want hash %q", what, st.Phase, st.Hash, m.hash)
		} else if m.hash == "" && st.Phase != domain.Absent {
			s.absent(d.Ref) // a site may take its time
		} else if m.hash != "" && st.Generation != m.highest {
			s.Fatalf("%s: generation %d in force, want %d", what, st.Generation, m.highest)
		}
	}
}

func (s *suite) sideBySide() {
	const n = 6
	var ds [n]domain.Deployment
	for i := range ds {
		ds[i] = s.deployment(fmt.Sprintf("side%d", i))
	}
	all := func(what string, f func(ctx context.Context, d domain.Deployment) error) {
		ctx := s.ctx()
		var wg sync.WaitGroup
		for _, d := range ds {
			wg.Go(func() {
				if err := f(ctx, d); err != nil {
					s.Errorf("%s %s: %v", what, d.Release, err)
				}
			})
		}
		wg.Wait()
	}
	all("Apply", s.d.Apply)
	urls := map[string]string{}
	for _, d := range ds {
		for name, url := range s.ready(d).Endpoints {
			if other := urls[url]; other != "" {
				s.Errorf("%s port %s and %s share the endpoint %s", d.Release, name, other, url)
			}
			urls[url] = d.Release
		}
	}
	all("Delete", func(ctx context.Context, d domain.Deployment) error { return s.d.Delete(ctx, d.Ref) })
	for _, d := range ds {
		s.absent(d.Ref)
	}
}

func (s *suite) twiceAtOnce() {
	d := s.deployment("twice")
	ctx := s.ctx()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := s.d.Apply(ctx, d); err != nil && fault.Of(err).Retry == fault.Never {
				s.Errorf("Apply while another applies the same: %v", err)
			}
		})
	}
	wg.Wait()
	s.apply(d)
	if st := s.ready(d); st.Restarts != 0 {
		s.Errorf("%d restarts by applying four times at once", st.Restarts)
	}
}

// raced asserts that whichever of the two comes first, the newer wish holds.
func (s *suite) raced() {
	d := s.deployment("raced")
	for round := range int64(4) {
		d.Generation = 10 + 2*round
		del := d.Ref
		del.Generation++
		s.remember(del)
		ctx := s.ctx()
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := s.d.Apply(ctx, d); err != nil && !fault.Is(err, fault.Conflict) {
				s.Errorf("Apply of generation %d: %v", d.Generation, err)
			}
		})
		wg.Go(func() {
			if err := s.d.Delete(ctx, del); err != nil {
				s.Errorf("Delete of generation %d: %v", del.Generation, err)
			}
		})
		wg.Wait()
		s.absent(d.Ref)
	}
}

// cancelled asserts that an ended context is told as such, and that whatever
// was done by then converges by repeating.
func (s *suite) cancelled() {
	d := s.deployment("cancelled")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for what, err := range map[string]error{"Apply": s.d.Apply(ctx, d), "Delete": s.d.Delete(ctx, d.Ref)} {
		if err == nil {
			continue // done all the same: allowed
		}
		if f := fault.Of(err); f.Retry == fault.Never {
			s.Errorf("%s with a cancelled context: %v, retry %v: must be repeatable", what, err, f.Retry)
		}
	}
	s.apply(d)
	s.ready(d)
}

// neighbours asserts that two deployments do not touch each other, and that a
// ready one tells where it runs and what was seen of it.
func (s *suite) neighbours() {
	a, b := s.deployment("evidence-a"), s.deployment("evidence-b")
	s.apply(a)
	s.ready(a)
	if st := s.observe(b.Ref); st.Phase != domain.Absent {
		s.Errorf("%s is %s because %s is there", b.Release, st.Phase, a.Release)
	}
	s.apply(b)
	s.ready(b)
	s.delete(a.Ref)
	s.absent(a.Ref)
	st := s.ready(b) // its neighbour's end did not harm it
	if len(st.Evidence) == 0 {
		s.Error("ready without evidence")
	}
	if st.Node == "" {
		s.Error("ready without a node")
	}
}
