package kubernetes

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/kube"
)

const (
	// driftEvery is how often a release is compared that nobody spoke of.
	driftEvery = time.Minute
	// driftPatience bounds the wait for whoever works on the release: then it is
	// not drift that is seen, but work.
	driftPatience = 500 * time.Millisecond
	// explainAfter is how long a release may be on its way before it is asked why
	// it is not ready, and how often then while no reason is found.
	explainAfter = 4 * time.Second
	// shownDifferences is how many are told.
	shownDifferences = 5
)

// looks remembers when releases were compared last, and which a watch spoke of.
type looks struct {
	mu sync.Mutex
	m  map[string]look
}

type look struct {
	at      time.Time
	dirty   bool
	asked   time.Time // why it is not ready
	trouble bool      // and a reason was found: it is asked each time
}

// due reports whether a release is to be compared now, and takes it as done.
func (l *looks) due(release string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.m == nil {
		l.m = map[string]look{}
	}
	was, known := l.m[release]
	if known && !was.dirty && time.Since(was.at) < driftEvery {
		return false
	}
	was.at, was.dirty = time.Now(), false
	l.m[release] = was
	return known // one just applied is what was applied
}

// spoken says that something of a release changed.
func (l *looks) spoken(release string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if was, known := l.m[release]; known {
		was.dirty = true
		l.m[release] = was
	}
}

// unexplained reports whether it is time to ask why a release is not ready.
func (l *looks) unexplained(release string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.m[release]
	return was.trouble || time.Since(was.asked) >= explainAfter
}

// explained says that it was asked, and whether a reason was found.
func (l *looks) explained(release string, found bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if was, known := l.m[release]; known {
		was.asked, was.trouble = time.Now(), found
		l.m[release] = was
	}
}

func (l *looks) forget(release string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.m, release)
}

// drifted is what was found of a release that is not as recorded.
type drifted struct {
	found    []kube.Difference
	repaired bool
	failed   error // to repair
}

// tell adds it to a status.
func (d drifted) tell(st *domain.Status) {
	for i, x := range d.found {
		if i == shownDifferences {
			st.Evidence = append(st.Evidence, fmt.Sprintf("and %d further differences", len(d.found)-i))
			break
		}
		word := "drift: "
		if d.repaired {
			word = "drift repaired: "
		}
		st.Evidence = append(st.Evidence, word+x.String())
	}
	if len(d.found) == 0 || d.repaired || st.Phase == domain.Failed {
		return
	}
	if st.Phase == domain.Ready {
		st.Phase = domain.Degraded
	}
	st.Cause = "changed by another: " + d.found[0].String()
	if d.failed != nil {
		st.Cause += "; it cannot be brought back: " + fault.Of(d.failed).Error()
	}
}

// drift compares a release with its record when it is time, and brings it back
// where the site's policy says so.
func (m *member) drift(ctx context.Context, r *record) (drifted, error) {
	if !m.look.due(r.Release) {
		return drifted{}, nil
	}
	seen, err := m.deviation(ctx, r)
	if fault.Is(err, fault.NotFound) {
		m.look.spoken(r.Release)
		gone := []kube.Difference{{Object: "Helm's record of the release"}}
		return drifted{found: gone, failed: fault.New(fault.Conflict, "only applying it again does")}, nil
	}
	if err != nil || len(seen.found) == 0 {
		return drifted{}, err
	}
	d := drifted{found: seen.found}
	if m.c.DriftPolicy != "repair" {
		m.look.spoken(r.Release) // told again until it is mended
		return d, nil
	}
	h, err := m.hold(ctx, driftPatience, r.ref(m.site), func(*record) {})
	if err != nil {
		m.look.spoken(r.Release)
		return drifted{}, nil //nolint:nilerr // another is at work: what was seen is its doing
	}
	if h.r.Progress != applied || h.r.Hash != r.Hash {
		return drifted{}, h.end(nil, func(*record) {})
	}
	d.failed = h.end(m.mend(h.ctx, r, seen), func(*record) {})
	d.repaired = d.failed == nil
	if d.failed != nil {
		m.look.spoken(r.Release)
	}
	m.d.o.Logger.Warn("release changed by another", "release", r.Release, "site", m.site.Name, "first", seen.found[0].String(), "repaired", d.repaired)
	return d, nil
}
