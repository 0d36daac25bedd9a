package simulated

import (
	"context"
	"time"

	"github.com/osmoslice/osmoslice/internal/domain"
)

// pollShared is how often a watcher looks for what other processes wrote to a
// site's log.
const pollShared = 200 * time.Millisecond

// watcher collects releases that may have changed. All of it is guarded by the
// site's mu.
type watcher struct {
	dirty map[string]bool
	// coming are the releases that time alone will change: looking at them all,
	// each time, would cost the more the more runs at the site.
	coming map[string]bool
	woken  chan struct{}
}

// tell marks a release for every watcher.
func (t *site) tell(release string) {
	for w := range t.watchers {
		w.dirty[release] = true
		select {
		case w.woken <- struct{}{}:
		default: // awake already
		}
	}
}

func (t *site) tellAll() {
	if len(t.watchers) == 0 {
		return
	}
	for release := range t.state.records {
		t.tell(release)
	}
}

// Watch sends what changes at the site, by a call or by time, until ctx ends.
func (d *Driver) Watch(ctx context.Context, s domain.Site, changed chan<- domain.Ref) error {
	w := &watcher{dirty: map[string]bool{}, coming: map[string]bool{}, woken: make(chan struct{}, 1)}
	var t *site
	err := d.do(ctx, d.siteCall("watch", s, "", observeLatency), func(at *site, _ int64) error {
		t = at
		t.watchers[w] = true
		for release := range t.state.records { // what changed while nobody watched
			w.dirty[release] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	defer func() {
		t.mu.Lock()
		delete(t.watchers, w)
		t.mu.Unlock()
	}()
	last := d.now()
	for {
		refs, next, err := d.news(ctx, t, w, s, last)
		if err != nil {
			return err
		}
		for _, ref := range refs.list {
			select {
			case changed <- ref:
			case <-ctx.Done():
				return nil
			}
		}
		last = refs.at
		var timer <-chan time.Time
		if next > 0 {
			timer = d.o.After(time.Duration(next))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-w.woken:
		case <-timer:
		}
	}
}

// take answers a release that changed, and remembers it when it will again.
func (w *watcher) take(t *site, s domain.Site, release string, now int64) domain.Ref {
	r := t.state.records[release]
	if r != nil && (r.Ready > now || r.Gone > now) {
		w.coming[release] = true
	} else {
		delete(w.coming, release)
	}
	if r == nil {
		return domain.Ref{Site: s, Release: release}
	}
	return r.ref(s)
}

type news struct {
	list []domain.Ref
	at   int64
}

// news takes what is dirty or came due since last, and answers in how many
// nanoseconds something comes due next (0: nothing will by itself).
func (d *Driver) news(ctx context.Context, t *site, w *watcher, s domain.Site, last int64) (news, int64, error) {
	if err := t.lock(ctx); err != nil {
		if ctx.Err() != nil {
			return news{at: last}, 0, nil
		}
		return news{}, 0, err
	}
	defer t.unlock()
	now := d.now()
	var next int64
	due := func(at int64) bool {
		if at > now && (next == 0 || at-now < next) {
			next = at - now
		}
		return at > last && at <= now
	}
	edge := false
	for _, o := range t.script.Outages {
		from, to := due(t.state.born+int64(ms(o.FromMS))), o.ToMS > 0 && due(t.state.born+int64(ms(o.ToMS)))
		edge = edge || from || to
	}
	if edge {
		for release := range t.state.records {
			w.dirty[release] = true
		}
	}
	for release := range w.coming {
		if r := t.state.records[release]; r != nil && (due(r.Ready) || due(r.Gone)) {
			w.dirty[release] = true
		}
	}
	out := news{at: now}
	for release := range w.dirty {
		out.list = append(out.list, w.take(t, s, release, now))
	}
	clear(w.dirty)
	for release := range w.coming {
		if r := t.state.records[release]; r != nil {
			_, _ = due(r.Ready), due(r.Gone) // when the next one comes
		}
	}
	if t.log != nil && (next == 0 || next > int64(pollShared)) {
		next = int64(pollShared)
	}
	return out, next, nil
}
