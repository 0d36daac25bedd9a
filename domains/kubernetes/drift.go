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
	// shownDifferences is how many are told.
	shownDifferences = 5
)

// looks remembers when releases were compared last, and which a watch spoke of.
type looks struct {
	mu sync.Mutex
	m  map[string]look
}

type look struct {
	at    time.Time
	dirty bool
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
	l.m[release] = look{at: time.Now()}
	return known // one just applied is what was applied
}

// spoken says that something of a release changed.
func (l *looks) spoken(release string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if was, known := l.m[release]; known {
		l.m[release] = look{at: was.at, dirty: true}
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
	found, err := m.differences(ctx, r)
	if err != nil || len(found) == 0 {
		return drifted{}, err
	}
	d := drifted{found: found}
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
	d.failed = h.end(m.helm.Repair(h.ctx, r.Namespace, r.Release), func(*record) {})
	d.repaired = d.failed == nil
	m.d.o.Logger.Warn("release changed by another", "release", r.Release, "site", m.site.Name, "first", found[0].String(), "repaired", d.repaired)
	return d, nil
}

// differences compares every recorded object of a release with the live one.
func (m *member) differences(ctx context.Context, r *record) ([]kube.Difference, error) {
	manifest, _, err := m.helm.Manifest(ctx, r.Namespace, r.Release)
	if fault.Is(err, fault.NotFound) {
		return []kube.Difference{{Object: "Helm's record of " + r.Release}}, nil
	}
	if err != nil {
		return nil, err
	}
	objects, err := kube.Objects(manifest)
	if err != nil {
		return nil, err
	}
	parts := make([][]kube.Difference, len(objects))
	calls := make([]func() error, len(objects))
	for i := range objects {
		calls[i] = func() error {
			live, err := m.k.Live(ctx, &objects[i])
			if err != nil {
				return err
			}
			parts[i], err = kube.Compare(&objects[i], live, m.c.DriftIgnore)
			return err
		}
	}
	if err := sideBySide(calls, "the objects of release "+r.Release+" cannot be compared"); err != nil {
		return nil, err
	}
	var out []kube.Difference
	for _, p := range parts {
		out = append(out, p...)
	}
	return out, nil
}
