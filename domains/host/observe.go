package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/supervise"
)

// reviveWithin bounds how long Observe waits for whoever works on the release.
const reviveWithin = 50 * time.Millisecond

// Observe tells what is seen of a deployment. A function whose shim is gone is
// brought back on the way: the wish in force is durable, so this needs no fence.
func (d *Driver) Observe(ctx context.Context, ref domain.Ref) (domain.Status, error) {
	p, err := d.claim(ref.Site)
	if err == nil {
		err = checkRelease(ref.Release)
	}
	if err == nil && ctx.Err() != nil {
		err = fault.Of(ctx.Err())
	}
	if err != nil {
		return domain.Status{}, err
	}
	u := p.unit(ref.Release)
	r, err := readRecord(u.Dir)
	if err != nil {
		return domain.Status{}, err
	}
	if r == nil || r.Progress != applied {
		return unsettled(r), nil
	}
	st, alive, err := u.State(ctx)
	if !alive {
		if rerr := d.revive(ctx, p, ref.Release); rerr != nil {
			return d.lost(p, r, rerr)
		}
		st, _, err = u.State(ctx)
	}
	if err != nil {
		if errors.Is(err, os.ErrNotExist) { // deleted since the record was read
			if r, rerr := readRecord(u.Dir); rerr == nil && (r == nil || r.Progress != applied) {
				return unsettled(r), nil
			}
		}
		return domain.Status{}, fault.New(fault.Unavailable, "the function's shim cannot be asked").Because(err).Retrying(fault.Backoff)
	}
	return d.status(p, r, st, time.Now()), nil
}

// unsettled is the status without a wish in force.
func unsettled(r *record) domain.Status {
	st := domain.Status{Phase: domain.Absent, ObservedAt: time.Now()}
	switch {
	case r == nil:
		st.Evidence = []string{"no record of such a deployment on this host"}
	case r.Progress == deleting:
		st.Phase, st.Generation = domain.Degraded, r.Generation
		st.Cause = "being deleted"
		st.Evidence = []string{"a deletion has begun and not ended"}
	default:
		st.Phase, st.Generation = domain.Pending, r.Generation
		st.Evidence = []string{"an apply has begun and not ended"}
	}
	return st
}

// lost is the status of a function whose shim is gone and does not come back.
func (d *Driver) lost(p place, r *record, why error) (domain.Status, error) {
	st := d.status(p, r, supervise.State{Phase: supervise.Degraded}, time.Now())
	st.Cause = "the function cannot be brought back: " + why.Error()
	return st, nil
}

var phases = map[supervise.Phase]domain.Phase{
	supervise.Starting: domain.Starting, supervise.Ready: domain.Ready, supervise.Degraded: domain.Degraded,
	supervise.Failed: domain.Failed, supervise.Stopped: domain.Degraded,
}

func (d *Driver) status(p place, r *record, st supervise.State, now time.Time) domain.Status {
	out := domain.Status{Phase: phases[st.Phase], Generation: r.Generation, Hash: r.Hash, Endpoints: r.Endpoints,
		Node: r.Node, Evidence: st.Evidence(now), ObservedAt: now, Restarts: st.Restarts}
	if out.Phase != domain.Ready {
		out.Cause = st.Cause
	}
	if out.Phase == "" {
		out.Phase = domain.Starting
	}
	if out.Node == "" {
		out.Node = d.nodeID(p)
	}
	if r.Storage > 0 {
		out.Evidence = append(out.Evidence, fmt.Sprintf("storage limit %d MiB not enforced: a directory has no quota", r.Storage))
	}
	return out
}

// revive brings back the shim of a wish in force. While another works on the
// release there is nothing to do.
func (d *Driver) revive(ctx context.Context, p place, release string) error {
	short, cancel := context.WithTimeout(ctx, reviveWithin)
	defer cancel()
	lock, err := d.lock(short, p.owner(release))
	if err != nil {
		if ctx.Err() == nil && short.Err() != nil {
			return nil
		}
		return err
	}
	defer lock.Release()
	u := p.unit(release)
	r, err := readRecord(u.Dir)
	if err != nil || r == nil || r.Progress != applied {
		return err
	}
	if _, alive, _ := u.State(ctx); alive {
		return nil
	}
	d.o.Logger.Warn("function without a shim: bringing it back", "release", release)
	return u.Relaunch(ctx, d.o.ShimPath)
}

// List tells every deployment at the site, those half made or half deleted too.
func (d *Driver) List(ctx context.Context, s domain.Site) ([]domain.Ref, error) {
	p, err := d.claim(s)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(p.units())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, supervise.IOFault(err, "cannot list the deployments")
	}
	var refs []domain.Ref
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return nil, fault.Of(err)
		}
		r, err := readRecord(p.unit(e.Name()).Dir)
		if err != nil || r == nil {
			r = &record{Release: e.Name()}
		}
		refs = append(refs, r.ref(s))
	}
	return refs, nil
}
