package fulfilment

import (
	"context"
	"sync"
	"time"

	"github.com/osmoslice/osmoslice/internal/actor"
	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// The periods of the service's own duties.
const (
	buryEvery     = 2 * time.Second
	expireEvery   = time.Second
	sitesEvery    = 5 * time.Second
	discoverEvery = time.Minute
	observeEvery  = 30 * time.Second
	sweepEvery    = 10 * time.Minute // of a site that tells changes itself
	followEvery   = 30 * time.Second
	askSideBySide = 16
)

// Notify names who hears that something about an element changed: the Runner's
// Poke. Call it before Watch.
func (s *Service) Notify(poke func(element string)) { s.poke = poke }

// Watch runs the service's own duties until ctx ends: it asks infrastructures
// for their nodes, follows what deployed functions do, finds what nobody owns,
// carries out tombstones, and takes waiting device changes along.
func (s *Service) Watch(ctx context.Context) error {
	ctx = actor.With(ctx, actor.Service("watch"))
	w := &watch{s: s, sites: map[string]*watched{}}
	var duties sync.WaitGroup
	duty := func(every time.Duration, do func(ctx context.Context) error) {
		duties.Go(func() { w.repeat(ctx, every, do) })
	}
	duty(buryEvery, func(ctx context.Context) error { _, err := s.Bury(ctx); return err })
	duty(expireEvery, func(ctx context.Context) error { _, err := s.Expire(ctx); return err })
	duty(sitesEvery, w.follow)
	duty(followEvery, s.followAll)
	duties.Wait()
	w.running.Wait()
	return nil
}

// watch is the sites under watch.
type watch struct {
	s       *Service
	mu      sync.Mutex
	sites   map[string]*watched
	running sync.WaitGroup
}

// watched is one site: since when it was asked for what.
type watched struct {
	cancel     context.CancelFunc // of its watcher, nil: it has none
	discovered time.Time
	observed   time.Time
	searched   bool // for orphans
}

func (w *watch) repeat(ctx context.Context, every time.Duration, do func(context.Context) error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := do(ctx); err != nil && ctx.Err() == nil {
			w.s.c.Log.Warn("a duty of the service failed, it is tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// follow looks after every infrastructure, some at a time: one that does not
// answer holds up nobody.
func (w *watch) follow(ctx context.Context) error {
	all, err := w.s.infrastructures(ctx)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	slots := make(chan struct{}, askSideBySide)
	var asked sync.WaitGroup
	for _, v := range all {
		known[v.ID] = true
		site := w.due(v)
		if site == nil {
			continue
		}
		slots <- struct{}{}
		asked.Go(func() {
			defer func() { <-slots }()
			w.look(ctx, v, site)
		})
	}
	asked.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, site := range w.sites {
		if !known[id] {
			if site.cancel != nil {
				site.cancel()
			}
			delete(w.sites, id)
		}
	}
	return nil
}

// due takes a site for looking after, or answers nil when it is not time.
func (w *watch) due(v *slice.Infrastructure) *watched {
	w.mu.Lock()
	defer w.mu.Unlock()
	site := w.sites[v.ID]
	if site == nil {
		site = &watched{}
		w.sites[v.ID] = site
	}
	if v.State == slice.Designed || time.Since(site.discovered) >= discoverEvery || time.Since(site.observed) >= site.sweep() {
		return site
	}
	return nil
}

// sweep is how often every function of the site is looked at.
func (site *watched) sweep() time.Duration {
	if site.cancel != nil {
		return sweepEvery
	}
	return observeEvery
}

// look discovers, observes, and starts a watcher where there is none.
func (w *watch) look(ctx context.Context, v *slice.Infrastructure, site *watched) {
	now := time.Now()
	if v.State == slice.Designed || now.Sub(site.discovered) >= discoverEvery {
		site.discovered = now
		if _, err := w.s.Discover(ctx, v.ID); err != nil && ctx.Err() == nil {
			w.s.c.Log.Warn("an infrastructure's nodes cannot be stored", "infrastructure", v.Name, "error", err)
		}
	}
	w.mu.Lock()
	sweep := now.Sub(site.observed) >= site.sweep()
	w.mu.Unlock()
	if sweep {
		site.observed = now
		if err := w.s.observeSite(ctx, v.ID); err != nil && ctx.Err() == nil {
			w.s.c.Log.Warn("functions cannot be observed", "infrastructure", v.Name, "error", err)
		}
	}
	if !site.searched {
		n, err := w.s.orphans(ctx, v.ID)
		site.searched = err == nil
		if n > 0 {
			w.s.c.Log.Warn("releases that nobody owns are removed", "infrastructure", v.Name, "count", n)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if site.cancel != nil || ctx.Err() != nil {
		return
	}
	if watcher, ok := w.s.c.Plugins[v.Plugin].Driver.(domain.Watcher); ok {
		sub, cancel := context.WithCancel(ctx)
		site.cancel = cancel
		w.running.Go(func() { w.hear(sub, v.ID, site, watcher) })
	}
}

// hear follows one site's watcher until it ends.
func (w *watch) hear(ctx context.Context, id string, site *watched, watcher domain.Watcher) {
	var at domain.Site
	err := w.s.c.Store.Read(ctx, func(ctx context.Context, tx operation.Tx) (err error) {
		_, at, err = w.s.site(ctx, tx, id)
		return err
	})
	changed := make(chan domain.Ref, 64)
	ended := make(chan struct{})
	if err == nil {
		w.s.watched.Store(id, true)
		defer w.s.watched.Delete(id)
		go func() { defer close(ended); _ = watcher.Watch(ctx, at, changed) }()
	} else {
		close(ended)
	}
	for open := true; open; {
		select {
		case ref := <-changed:
			if w.s.poke != nil {
				w.s.poke(ref.Element)
			}
			if err := w.s.observe(ctx, ref.Element); err != nil && ctx.Err() == nil {
				w.s.c.Log.Debug("a function cannot be observed", "element", ref.Element, "error", err)
			}
		case <-ended:
			open = false
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if site.cancel != nil {
		site.cancel()
		site.cancel = nil // started again at the next look
	}
}

// followAll takes device changes along that no operation is left to take.
func (s *Service) followAll(ctx context.Context) error {
	ids := map[string]bool{}
	err := s.c.Store.Read(ctx, func(ctx context.Context, tx operation.Tx) error {
		for _, state := range []slice.State{waiting, removing} {
			rs, err := tx.List(ctx, operation.Query{Kind: slice.KindIoTDevice, Limit: 1000,
				Filter: []operation.Condition{{Op: "eq", Attr: "state", Values: []string{string(state)}}}})
			if err != nil {
				return err
			}
			for _, r := range rs {
				ids[r.Parent()] = true
			}
		}
		return nil
	})
	for id := range ids {
		if e := s.follow(ctx, id); e != nil && !fault.Is(e, fault.NotFound) && !fault.Is(e, fault.Conflict) && err == nil {
			err = e
		}
	}
	return err
}
