package kubernetes

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
)

// The lease of a record's holder. Another waits that long after it last saw the
// record change, by its own clock, before it takes the record over.
const (
	leaseTTL   = 8 * time.Second
	leaseRenew = 2 * time.Second
	leasePoll  = 200 * time.Millisecond
)

var errLost = errors.New("another operation took the release over")

// hold is the exclusive right to act on a release, across replicas.
type hold struct {
	m      *member
	ctx    context.Context //nolint:containedctx // ends when the right does
	cancel context.CancelCauseFunc
	before *record // as it was, nil: none
	unlock func()
	stop   chan struct{}
	done   sync.WaitGroup

	mu sync.Mutex
	r  *record // in force
}

// hold takes the record of a release for an operation; intend makes of a copy
// of it (new when there is none) what shall be written at once. patience bounds
// the wait for others; 0: as long as ctx allows.
func (m *member) hold(ctx context.Context, patience time.Duration, ref domain.Ref, intend func(r *record)) (*hold, error) {
	try := ctx
	if patience > 0 {
		var cancel context.CancelFunc
		try, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	unlock, err := m.d.locks.lock(try, m.site.ID+"/"+ref.Release)
	if err != nil {
		return nil, err
	}
	h := &hold{m: m, unlock: unlock, stop: make(chan struct{})}
	if err := h.take(try, ref, intend); err != nil {
		unlock()
		return nil, err
	}
	h.ctx, h.cancel = context.WithCancelCause(ctx)
	h.done.Go(h.renew)
	return h, nil
}

// take swaps the record for one that names this process as its holder.
func (h *hold) take(ctx context.Context, ref domain.Ref, intend func(r *record)) error {
	seen, since := "", time.Now()
	for {
		r, err := h.m.read(ctx, ref.Release)
		if err == nil {
			err = guard(ref, r)
		}
		if err != nil {
			return err
		}
		if r != nil && r.version != seen {
			seen, since = r.version, time.Now()
		}
		if r != nil && r.Holder != "" && r.Holder != h.m.d.id && time.Since(since) < leaseTTL {
			err = h.wait(ctx, r, ref)
		} else {
			err = h.swap(ctx, r, ref, intend)
			if err == nil {
				return nil
			}
		}
		if swapped := fault.Is(err, fault.Conflict) && fault.Of(err).Retry == fault.Now; err != nil && !swapped {
			return err
		}
	}
}

// wait lets some time pass; a newer generation is made known first, so that the
// holder cannot end its work as if it were still the newest.
func (h *hold) wait(ctx context.Context, r *record, ref domain.Ref) error {
	if r.Generation < ref.Generation {
		r.Generation = ref.Generation
		return h.m.write(ctx, r)
	}
	timer := time.NewTimer(leasePoll)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fault.New(fault.Conflict, "release %s: another replica is at work on it", ref.Release).Because(ctx.Err()).Retrying(fault.Backoff)
	}
}

func (h *hold) swap(ctx context.Context, r *record, ref domain.Ref, intend func(r *record)) error {
	next := record{Release: ref.Release, Slice: ref.Slice, Element: ref.Element, Progress: deleted}
	if h.before = r; r != nil {
		next = *r
	}
	was := next.Progress
	intend(&next)
	if next.Progress != was || r == nil {
		next.At = time.Now().UTC()
	}
	next.Generation, next.Holder = ref.Generation, h.m.d.id
	if err := h.m.write(ctx, &next); err != nil {
		return err
	}
	h.r = &next
	return nil
}

// renew keeps the lease until the hold ends, and ends the hold when it cannot.
func (h *hold) renew() {
	tick := time.NewTicker(leaseRenew)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-h.stop:
			return
		case <-h.ctx.Done():
			return
		case <-tick.C:
		}
		ctx, cancel := context.WithDeadline(h.ctx, last.Add(leaseTTL-leaseRenew))
		h.mu.Lock()
		asked := time.Now()
		err := h.m.write(ctx, h.r)
		h.mu.Unlock()
		cancel()
		switch {
		case err == nil:
			last = asked
		case fault.Is(err, fault.Conflict), fault.Is(err, fault.NotFound), time.Since(last) > leaseTTL-leaseRenew:
			h.cancel(errLost)
			return
		}
	}
}

// save writes a change of the record.
func (h *hold) save(ctx context.Context, change func(r *record)) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := *h.r
	change(&next)
	if next.Progress != h.r.Progress {
		next.At = time.Now().UTC()
	}
	if err := h.m.write(ctx, &next); err != nil {
		return h.lost(err)
	}
	h.r = &next
	return nil
}

// lost tells a swap that failed from a holder whose right has ended.
func (h *hold) lost(err error) error {
	if fault.Is(err, fault.Conflict) || errors.Is(context.Cause(h.ctx), errLost) {
		return fault.New(fault.Conflict, "release %s: another operation took it over", h.r.Release).Because(err).Retrying(fault.Backoff)
	}
	return err
}

// end gives the record back, with a last change. It tries even when the
// caller's context has ended: else others wait for the lease.
func (h *hold) end(err error, change func(r *record)) error {
	close(h.stop)
	h.done.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.ctx), leaseRenew)
	defer cancel()
	defer h.unlock()
	lost := context.Cause(h.ctx)
	if !errors.Is(lost, errLost) {
		serr := h.save(ctx, func(r *record) { change(r); r.Holder = "" })
		if err == nil {
			err = serr
		}
	} else if err == nil || fault.Is(err, fault.Unavailable) {
		err = h.lost(lost)
	}
	h.cancel(nil)
	return err
}
