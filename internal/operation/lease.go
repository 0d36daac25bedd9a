package operation

import (
	"context"
	"sync"
	"time"
)

// heartbeats renews the leases of what is held, three times per lease. What was
// lost, or cannot be renewed before it ends, is dropped at once: its calls are
// cancelled, and the fence refuses what still arrives.
func (r *Runner) heartbeats(life context.Context) {
	tick := time.NewTicker(r.c.Lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-life.Done():
			return
		case <-tick.C:
		}
		ids, started := r.held(), time.Now()
		if len(ids) == 0 {
			continue
		}
		ctx, cancel := context.WithTimeout(life, r.c.Lease/3)
		kept, err := r.c.Store.Renew(ctx, r.c.Owner, ids, r.c.Lease)
		cancel()
		if err != nil {
			r.c.Log.Warn("leases cannot be renewed", "error", err)
			r.expire(started)
			continue
		}
		r.renewed(ids, kept, started)
	}
}

func (r *Runner) held() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	ids := make([]string, 0, len(r.flights))
	for id, f := range r.flights {
		if !f.final {
			ids = append(ids, id)
		}
	}
	return ids
}

func (r *Runner) renewed(asked, kept []string, at time.Time) {
	ours := make(map[string]bool, len(kept))
	for _, id := range kept {
		ours[id] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range asked {
		f := r.flights[id]
		switch {
		case f == nil || f.leased.After(at): // ended, or claimed anew, meanwhile
		case ours[id]:
			f.leased = at
		case !f.final:
			r.c.Log.Warn("lease lost, stopping", "operation", id)
			r.dropLocked(f)
		}
	}
}

// expire drops what another runner may own by now.
func (r *Runner) expire(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, f := range r.flights {
		if now.Sub(f.leased) >= r.c.Lease {
			r.c.Log.Warn("lease over without heartbeat, stopping", "operation", id)
			r.dropLocked(f)
		}
	}
}

// drain ends the runner's work in good order.
func (r *Runner) drain(life context.Context) {
	r.mu.Lock()
	r.draining = true
	r.mu.Unlock()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	over := time.NewTimer(r.c.Drain)
	defer over.Stop()
	for quiet := false; !quiet; {
		r.mu.Lock()
		quiet = r.out == 0 && r.busy == 0 && len(r.ready) == 0
		r.mu.Unlock()
		if quiet {
			break
		}
		select {
		case <-tick.C:
		case <-over.C:
			quiet = true
		}
	}
	ctx, cancel := context.WithTimeout(life, r.c.Drain)
	defer cancel()
	ids := r.held()
	r.mu.Lock()
	for _, id := range ids {
		if f := r.flights[id]; f != nil {
			r.dropLocked(f)
		}
	}
	r.mu.Unlock()
	r.release(ctx, ids)
}

// release gives leases back, many at a time: stores commit them together.
func (r *Runner) release(ctx context.Context, ids []string) {
	const together = 64
	var all sync.WaitGroup
	slots := make(chan struct{}, together)
	for _, id := range ids {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			if err := r.c.Store.Release(ctx, r.c.Owner, id, time.Time{}); err != nil {
				r.c.Log.Warn("lease not given back; it ends by itself", "operation", id, "error", err)
			}
		})
	}
	all.Wait()
}
