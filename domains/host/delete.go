package host

import (
	"context"
	"errors"
	"os"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
)

// Delete ends the function and removes everything of it but the tombstone.
func (d *Driver) Delete(ctx context.Context, ref domain.Ref) error {
	p, err := d.claim(ref.Site)
	if err != nil {
		return err
	}
	if err := checkRelease(ref.Release); err != nil {
		return err
	}
	lock, err := d.lock(ctx, p.owner(ref.Release))
	if err != nil {
		return err
	}
	defer lock.Release()
	r, err := readRecord(p.unit(ref.Release).Dir)
	if err == nil {
		err = p.guard(ref, r)
	}
	if err != nil {
		return err
	}
	d.o.failpoint("delete:begin")
	buried := d.bury(ctx, p, ref)
	if buried != nil && !fault.Is(buried, fault.NoSpace) {
		return buried
	}
	d.o.failpoint("delete:buried")
	if err := d.remove(ctx, p, ref.Release); err != nil {
		return err
	}
	if buried != nil { // removing made room
		return d.bury(ctx, p, ref)
	}
	return nil
}

// remove ends the function and gives back all it holds. The record goes last,
// so that whatever was not done is found again.
func (d *Driver) remove(ctx context.Context, p place, release string) error {
	u := p.unit(release)
	if _, err := os.Lstat(u.Dir); errors.Is(err, os.ErrNotExist) {
		return errors.Join(d.releasePorts(p.owner(release), nil), d.prune(ctx))
	}
	if r, err := readRecord(u.Dir); err == nil && r != nil && r.Progress != deleting {
		r.Progress = deleting
		if err := writeRecord(u.Dir, r, false); err != nil && !fault.Is(err, fault.NoSpace) {
			return err
		}
	}
	d.o.failpoint("delete:intent")
	if err := u.Stop(ctx); err != nil {
		return err
	}
	d.o.failpoint("delete:stopped")
	if err := d.releasePorts(p.owner(release), nil); err != nil {
		return err
	}
	d.o.failpoint("delete:ports")
	if err := u.Remove(ctx, recordFile); err != nil {
		return err
	}
	d.o.failpoint("delete:removed")
	return d.prune(ctx)
}
