package fulfilment

import (
	"context"
	"fmt"
	"slices"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// waiting is the state of a device of a running slice that its gateway has not
// been told of yet, or not of its change.
const waiting = slice.Inactive

// AddDevices stores devices of one slice in bulk, all or none. On a running
// slice they are provisioned by one operation; while another is open they wait
// for it (Queued).
func (s *Service) AddDevices(ctx context.Context, sliceID string, devices []slice.Device, o Options) (Result, error) {
	if err := require(ctx, operates); err != nil {
		return Result{}, err
	}
	if len(devices) == 0 {
		return Result{}, fault.Field("devices", "none", "at least one")
	}
	return s.write(ctx, o, func(ctx context.Context, u *unit) (Result, error) {
		sl, err := live(ctx, u.Tx, sliceID)
		if err != nil {
			return Result{}, err
		}
		list := make([]*slice.Device, 0, len(devices))
		rs := make([]slice.Resource, 0, len(devices))
		for i := range devices {
			d := clone(&devices[i])
			freshDevice(d, sl, s.c.NewID())
			if instantiated(sl) || sl.Operation != "" {
				d.State = waiting
			}
			list, rs = append(list, d), append(rs, d)
		}
		if err := u.checkDevices(ctx, sl, list); err != nil {
			return Result{}, err
		}
		out := Result{Resources: rs, Created: true}
		if out.Credentials, err = u.deviceSecrets(ctx, list, list); err != nil {
			return Result{}, err
		}
		if err := u.insertAll(ctx, rs); err != nil {
			return Result{}, err
		}
		return out, u.tell(ctx, sl, &out)
	})
}

// checkDevices validates devices among the gateways of their slice.
func (u *unit) checkDevices(ctx context.Context, sl *slice.IoTSlice, list []*slice.Device) error {
	if len(list) == 1 {
		if err := list[0].Validate(); err != nil {
			return err
		}
	}
	elements, err := u.s.elements(ctx, u.Tx, sl.ID)
	if err != nil {
		return err
	}
	return slice.ValidateMembers(nil, elements, list, nil)
}

// tell starts the operation that tells gateways of changed devices, or leaves
// them to the one that is open.
func (u *unit) tell(ctx context.Context, sl *slice.IoTSlice, out *Result) error {
	if sl.Operation != "" {
		open, err := u.OpenOperation(ctx, sl.ID)
		if err != nil {
			return err
		}
		if open != nil {
			out.Operation, out.Queued = open, true
			return nil
		}
	}
	if !instantiated(sl) {
		return nil
	}
	op, err := u.submit(ctx, sl, operation.Update, params{}, "")
	if err != nil {
		return err
	}
	out.Operation = op
	return u.Update(ctx, sl)
}

// patchDevice changes a device; a gateway that knows it is told.
func (u *unit) patchDevice(ctx context.Context, d *slice.Device, p Patch) (Result, error) {
	sl, err := live(ctx, u.Tx, d.Slice)
	if err != nil {
		return Result{}, err
	}
	was := clone(d)
	if err := p(d); err != nil {
		return Result{}, err
	}
	keepMeta(d.Head(), &was.Meta)
	d.Slice, d.State, d.Cause, d.ProvisionedHash = was.Slice, was.State, was.Cause, was.ProvisionedHash
	if was.ProvisionedHash != "" && (d.Name != was.Name || d.Gateway != was.Gateway) {
		return Result{}, fault.New(fault.Conflict, "device %q is known to gateway %q; remove it and add it anew to rename or move it", was.Name, was.Gateway)
	}
	if err := u.checkDevices(ctx, sl, []*slice.Device{d}); err != nil {
		return Result{}, err
	}
	if err := u.changedSecret(ctx, was, d, ""); err != nil {
		return Result{}, err
	}
	out := Result{Resource: d}
	busy := instantiated(sl) || sl.Operation != ""
	same := deviceHash(d) == deviceHash(was)
	if busy && !same && d.State != removing {
		d.State, d.Cause = waiting, ""
	}
	if err := u.Update(ctx, d); err != nil || same {
		return out, err
	}
	return out, u.tell(ctx, sl, &out)
}

// changedSecret refuses a device's credential that the tenant does not have, or
// none where there was one.
func (u *unit) changedSecret(ctx context.Context, was, d *slice.Device, path string) error {
	if u.s.c.Secrets == nil || d.CredentialsRef == was.CredentialsRef {
		return nil
	}
	return u.knownSecret(ctx, d.Tenant, below(path, "credentialsRef"), d.CredentialsRef)
}

// RemoveDevices removes devices of one slice in bulk, by id or name.
func (s *Service) RemoveDevices(ctx context.Context, sliceID string, devices []string, o Options) (Result, error) {
	if err := require(ctx, operates); err != nil {
		return Result{}, err
	}
	return s.write(ctx, o, func(ctx context.Context, u *unit) (Result, error) {
		sl, err := live(ctx, u.Tx, sliceID)
		if err != nil {
			return Result{}, err
		}
		list := make([]*slice.Device, 0, len(devices))
		for i, ref := range devices {
			d, err := u.device(ctx, sl, ref)
			if fault.Is(err, fault.NotFound) {
				return Result{}, fault.Field(fmt.Sprintf("iotDevices/%d", i), ref, "the id or name of a device of the slice")
			}
			if err != nil {
				return Result{}, err
			}
			list = append(list, d)
		}
		return u.removeDevices(ctx, sl, list)
	})
}

func (u *unit) device(ctx context.Context, sl *slice.IoTSlice, ref string) (*slice.Device, error) {
	r, err := u.Get(ctx, slice.KindIoTDevice, ref)
	if fault.Is(err, fault.NotFound) || err == nil && r.Parent() != sl.ID {
		r, err = u.ByName(ctx, slice.KindIoTDevice, sl.Tenant, sl.ID, ref)
	}
	if err != nil {
		return nil, err
	}
	d, _ := r.(*slice.Device)
	return d, nil
}

// removeDevices removes what no gateway knows at once, and has the gateways
// forget the rest.
func (u *unit) removeDevices(ctx context.Context, sl *slice.IoTSlice, list []*slice.Device) (Result, error) {
	var out Result
	told := 0
	for _, d := range list {
		if !instantiated(sl) && sl.Operation == "" {
			if err := u.s.forget(ctx, u, d); err != nil {
				return out, err
			}
			continue
		}
		told++
		d.State, d.Cause = removing, ""
		if err := u.Update(ctx, d); err != nil {
			return out, err
		}
		out.Resources = append(out.Resources, d)
	}
	if told == 0 {
		return out, nil
	}
	return out, u.tell(ctx, sl, &out)
}

// Ended starts the operation that takes along the device changes that waited
// for the one that ended.
func (s *Service) Ended(ctx context.Context, op *operation.Operation) {
	ctx = asService(ctx, op)
	s.refused.Delete(op.ID)
	s.missed.Range(func(id, of any) bool {
		e, _ := id.(string)
		if of == op.Slice && s.missed.CompareAndDelete(id, of) {
			if err := s.observe(ctx, e); err != nil {
				s.c.Log.Debug("a function cannot be observed", "element", e, "error", err)
			}
		}
		return true
	})
	if err := s.follow(ctx, op.Slice); err != nil && !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Conflict) {
		s.c.Log.Warn("device changes of a slice wait on", "slice", op.Slice, "error", err)
	}
}

// follow tells gateways of a slice's devices that wait, when no operation is
// open.
func (s *Service) follow(ctx context.Context, sliceID string) error {
	idle := true
	err := s.c.Store.Read(ctx, func(ctx context.Context, tx operation.Tx) error {
		rs, err := tx.List(ctx, operation.Query{Kind: slice.KindIoTDevice, Parent: sliceID, Limit: 1,
			Filter: []operation.Condition{{Op: "in", Attr: "state", Values: []string{string(waiting), string(removing)}}}})
		idle = len(rs) == 0
		return err
	})
	if err != nil || idle {
		return err
	}
	_, err = s.write(ctx, Options{}, func(ctx context.Context, u *unit) (Result, error) {
		sl, err := live(ctx, u.Tx, sliceID)
		if err != nil {
			return Result{}, err
		}
		var out Result
		if sl.Operation != "" {
			return out, nil
		}
		if instantiated(sl) {
			return out, u.tell(ctx, sl, &out)
		}
		return out, u.settleDevices(ctx, sl)
	})
	return err
}

// settleDevices ends the waiting of devices whose slice came to nothing.
func (u *unit) settleDevices(ctx context.Context, sl *slice.IoTSlice) error {
	x := &ending{s: u.s, sl: sl}
	rs, err := x.devices(ctx, u.Tx, "")
	if err != nil {
		return err
	}
	for _, r := range rs {
		d, ok := r.(*slice.Device)
		if !ok || !slices.Contains([]slice.State{waiting, removing}, d.State) {
			continue
		}
		if d.State == removing {
			err = u.s.forget(ctx, u, d)
		} else {
			d.State = slice.Designed
			err = u.Update(ctx, d)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
