package host

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/supervise"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// Apply makes the site run the deployment. It returns when the wish is durable
// and a shim has tried to start the function.
func (d *Driver) Apply(ctx context.Context, dep domain.Deployment) error {
	p, err := d.claim(dep.Site)
	if err != nil {
		return err
	}
	if err := checkRelease(dep.Release); err != nil {
		return err
	}
	lock, err := d.lock(ctx, p.owner(dep.Release))
	if err != nil {
		return err
	}
	defer lock.Release()
	u := p.unit(dep.Release)
	r, err := readRecord(u.Dir)
	if err == nil {
		err = p.guard(dep.Ref, r)
	}
	if err != nil {
		return err
	}
	if r != nil && r.Progress == deleting {
		if err := d.remove(ctx, p, dep.Release); err != nil {
			return err
		}
		r = nil
	}
	if r != nil && r.Progress == applied && r.Hash == dep.Hash {
		return d.keep(ctx, u, r, dep.Generation)
	}
	return d.replace(ctx, p, u, r, dep)
}

// keep brings a newer generation in force and sees that a shim serves; a
// function that has failed is given a new start.
func (d *Driver) keep(ctx context.Context, u supervise.Unit, r *record, generation int64) error {
	if r.Generation != generation {
		r.Generation = generation
		if err := writeRecord(u.Dir, r, true); err != nil {
			return err
		}
	}
	st, alive, _ := u.State(ctx)
	if alive && (st.Phase == supervise.Failed || st.Digest == "") { // or its shim is silent
		if err := u.Stop(ctx); err != nil {
			return err
		}
		alive = false
	}
	if alive {
		return nil
	}
	return u.Relaunch(ctx, d.o.ShimPath)
}

// replace brings in a wish that is not in force. What can be refused is refused
// before anything changes, but the fence rises even then.
func (d *Driver) replace(ctx context.Context, p place, u supervise.Unit, r *record, dep domain.Deployment) error {
	sum, err := d.refusal(ctx, p, dep)
	if err == nil {
		err = d.bring(ctx, p, u, r, dep, sum)
	}
	if err != nil && r == nil {
		if left, _ := readRecord(u.Dir); left == nil {
			_ = d.bury(ctx, p, dep.Ref) // what refused it is the error to tell
		}
	} else if err != nil && r.Generation < dep.Generation && r.Progress == applied {
		r.Generation = dep.Generation
		_ = writeRecord(u.Dir, r, true)
	}
	return err
}

// refusal checks all that can be known to be wrong beforehand, and stores the
// executable.
func (d *Driver) refusal(ctx context.Context, p place, dep domain.Deployment) (sum string, err error) {
	if err := check(dep); err != nil {
		return "", err
	}
	numbers := map[string]int{}
	for _, w := range dep.Ports {
		numbers[w.Name] = 1
	}
	if _, err := rendered(p, "/", "/tmp", dep, numbers); err != nil {
		return "", err
	}
	return d.artefact(ctx, p.connection, *dep.Packaging.Process)
}

// bring does the work. Every step can be repeated; the record says when it was
// done to its end.
func (d *Driver) bring(ctx context.Context, p place, u supervise.Unit, before *record, dep domain.Deployment, sum string) error {
	r := newRecord(p, dep)
	if before != nil {
		r.Ports, r.Endpoints, r.Files = before.Ports, before.Endpoints, before.Files
	}
	if err := d.prepare(u.Dir); err != nil {
		return err
	}
	d.o.failpoint("apply:directory")
	if before == nil { // an update keeps the old record until it can no longer fail early
		if err := writeRecord(u.Dir, r, false); err != nil {
			return err
		}
	}
	d.o.failpoint("apply:intent")
	had := r.Ports
	if before == nil || before.Progress == applying {
		had = nil // a killed service may have reserved more than it wrote down
	}
	numbers, err := d.reserve(p, dep.Release, dep.Ports, had)
	if err != nil {
		d.forget(ctx, p, u, before, dep.Release)
		return err
	}
	d.o.failpoint("apply:ports")
	w, err := rendered(p, filepath.Join(u.Dir, "work"), filepath.Join(u.Dir, "tmp"), dep, numbers)
	if err != nil {
		return err
	}
	w.complete(d.o.Restart, u.Dir, describe(*dep.Packaging.Process, sum))
	return d.switchTo(ctx, p, u, r, before, dep, w, sum, numbers)
}

// forget undoes what an Apply that cannot get its ports has begun.
func (d *Driver) forget(ctx context.Context, p place, u supervise.Unit, before *record, release string) {
	if before != nil {
		_ = d.releasePorts(p.owner(release), before.Ports)
		return
	}
	if d.releasePorts(p.owner(release), nil) == nil {
		_ = os.RemoveAll(u.Dir) // what cannot be removed is listed, and removed by Delete
	}
	_ = d.prune(ctx) // or the next Delete does
}

// switchTo ends the old function, puts the new one's files in place, starts it,
// and only then says so for ever.
func (d *Driver) switchTo(ctx context.Context, p place, u supervise.Unit, r, before *record, dep domain.Deployment, w wish, sum string, numbers map[string]int) error {
	oldFiles := r.Files
	r.Ports, r.Endpoints, r.Files = numbers, p.endpoints(dep.Ports, numbers), sortedKeys(w.files)
	st, alive, _ := u.State(ctx)
	if !alive || st.Digest != w.spec.Digest() || st.Phase == supervise.Failed {
		if before != nil {
			if err := writeRecord(u.Dir, r, false); err != nil {
				return err
			}
		}
		d.o.failpoint("apply:before-stop")
		if err := u.Stop(ctx); err != nil {
			return err
		}
		d.o.failpoint("apply:stopped")
		if err := writeFiles(u.Dir, w.files, oldFiles); err != nil {
			return err
		}
		if err := d.linkStored(ctx, p, u.Dir, *dep.Packaging.Process, sum); err != nil {
			return err
		}
		d.o.failpoint("apply:files")
	}
	wait := syncAll(unitFiles(u.Dir, r.Files)...) // meanwhile the shim starts
	err := u.Launch(ctx, d.o.ShimPath, w.spec)
	if err == nil {
		err = syncAll(u.SpecPath(), u.Dir)()
	}
	if serr := wait(); err == nil {
		err = serr
	}
	if err != nil {
		return err
	}
	d.o.failpoint("apply:launched")
	return d.settle(ctx, p, u, r, before != nil)
}

// settle gives back what the wish before needed and this one does not, and
// writes the record that makes the wish durable.
func (d *Driver) settle(ctx context.Context, p place, u supervise.Unit, r *record, update bool) error {
	if err := d.releasePorts(p.owner(r.Release), r.Ports); err != nil {
		return err
	}
	if update {
		if err := d.prune(ctx); err != nil {
			return err
		}
	}
	r.Progress = applied
	wait := syncAll(p.units())
	err := writeRecord(u.Dir, r, true)
	if serr := wait(); err == nil {
		err = serr
	}
	d.o.failpoint("apply:done")
	return err
}

func newRecord(p place, dep domain.Deployment) *record {
	return &record{Progress: applying, Generation: dep.Generation, Hash: dep.Hash, Site: p.site.ID, Slice: dep.Slice,
		Element: dep.Element, Release: dep.Release, Tenant: dep.Tenant, Node: dep.Node, Product: dep.Product,
		Labels: dep.Labels, Storage: dep.Resources.Storage}
}
