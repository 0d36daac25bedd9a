package fulfilment

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// Converge makes the slice of that name be as ordered: members not named are
// removed, others created or changed. A running slice gets one UPDATE
// operation with all of it.
func (s *Service) Converge(ctx context.Context, order SliceOrder, o Options) (Result, error) {
	if err := require(ctx, operates); err != nil {
		return Result{}, err
	}
	return s.write(ctx, o, func(ctx context.Context, u *unit) (Result, error) {
		want := clone(&order)
		tenant, err := tenantFor(ctx, u.Tx, want.Slice.Tenant, false)
		if err != nil {
			return Result{}, err
		}
		r, err := u.ByName(ctx, slice.KindIoTSlice, tenant, "", want.Slice.Name)
		if fault.Is(err, fault.NotFound) {
			if o.IfMatch != 0 {
				return Result{}, fault.New(fault.PreconditionFailed, "slice %q has gone", want.Slice.Name)
			}
			return u.createSlice(ctx, want)
		}
		if err != nil {
			return Result{}, err
		}
		sl, _ := r.(*slice.IoTSlice)
		if err := o.match(sl); err != nil {
			return Result{}, err
		}
		return u.converge(ctx, sl, want)
	})
}

// convergence is the way from a slice that is to one that was ordered.
type convergence struct {
	u      *unit
	sl     *slice.IoTSlice
	busy   bool // something of it runs
	params params
	remake bool // elements changed: an operation is needed
	tell   bool // devices changed
	out    Result
}

func (u *unit) converge(ctx context.Context, sl *slice.IoTSlice, want *SliceOrder) (Result, error) {
	m := want.members(sl, u.s.c.NewID)
	desired := *sl
	desired.ServiceProfile, desired.NEST, desired.Unmapped = want.Slice.ServiceProfile, want.Slice.NEST, want.Slice.Unmapped
	desired.Priority, desired.OnFailure, desired.Placement = want.Slice.Priority, want.Slice.OnFailure, want.Slice.Placement
	desired.Description, desired.Labels = want.Slice.Description, want.Slice.Labels
	desired.CustomerRef, desired.CommunicationService = want.Slice.CustomerRef, want.Slice.CommunicationService
	desired.NetworkSlice = want.Slice.NetworkSlice
	if err := m.validate(&desired); err != nil {
		return Result{}, err
	}
	if err := u.checkRelations(ctx, &desired, relations(sl)); err != nil {
		return Result{}, err
	}
	x := &convergence{u: u, sl: &desired, busy: instantiated(sl), params: params{Before: map[string]spec{}}}
	if err := x.elements(ctx, m); err != nil {
		return Result{}, err
	}
	if err := x.devices(ctx, m); err != nil {
		return Result{}, err
	}
	if err := x.flows(ctx, m); err != nil {
		return Result{}, err
	}
	return x.finish(ctx, sl, want)
}

// finish starts the one operation that is needed, if any, and stores the slice
// if it changed.
func (x *convergence) finish(ctx context.Context, was *slice.IoTSlice, want *SliceOrder) (Result, error) {
	var err error
	if want.Placement != "" && (x.busy || x.sl.Operation != "" || !want.Instantiate) {
		return x.out, fault.Field("placementId", want.Placement, "nothing, or instantiate true of a slice that does not run: a plan is for what is instantiated")
	}
	x.out.Resource = x.sl
	switch {
	case x.busy && x.remake:
		x.out.Operation, err = x.u.submit(ctx, x.sl, operation.Update, x.params, "")
	case x.tell && (x.busy || x.sl.Operation != ""):
		err = x.u.tell(ctx, x.sl, &x.out)
		if err != nil || x.out.Operation != nil && !x.out.Queued {
			return x.out, err // tell has stored the slice
		}
	case !x.busy && x.sl.Operation == "" && want.Instantiate:
		x.out.Operation, err = x.u.instantiate(ctx, x.sl, want.Placement)
	}
	if err != nil || sameJSON(was, x.sl) {
		return x.out, err
	}
	if err := x.u.Update(ctx, x.sl); err != nil {
		return x.out, err
	}
	return x.out, x.u.suits(ctx, x.out.Operation, want.Placement)
}

func sameJSON(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

// key names an element within its slice.
func elementKey(e *slice.Element) string { return string(e.Element) + "/" + e.Name }

func (x *convergence) elements(ctx context.Context, m *members) error {
	have, err := x.u.s.elements(ctx, x.u.Tx, x.sl.ID)
	if err != nil {
		return err
	}
	old := map[string]*slice.Element{}
	for _, e := range have {
		old[elementKey(e)] = e
	}
	for _, e := range m.elements {
		if err := x.u.checkProduct(ctx, e, m.path[e]); err != nil {
			return err
		}
		o := old[elementKey(e)]
		delete(old, elementKey(e))
		if o == nil {
			x.remake = true
			x.params.Elements = append(x.params.Elements, e.ID)
			if err := x.u.Insert(ctx, e); err != nil {
				return err
			}
			x.out.Resources = append(x.out.Resources, e)
			continue
		}
		if err := x.element(ctx, o, e); err != nil {
			return err
		}
		x.out.Resources = append(x.out.Resources, o)
	}
	for _, k := range slices.Sorted(maps.Keys(old)) {
		if err := x.dropElement(ctx, old[k]); err != nil {
			return err
		}
	}
	if x.remake {
		return x.u.quiet(ctx, x.sl)
	}
	return nil
}

// element changes one that exists into one that is wanted.
func (x *convergence) element(ctx context.Context, o, want *slice.Element) error {
	was, head := specOf(o), o.Meta
	o.Description, o.Labels = want.Description, want.Labels
	specOf(want).restore(o)
	if want.CredentialsRef != "" {
		o.CredentialsRef = want.CredentialsRef
	}
	if !specOf(o).equal(was) {
		x.remake = true
		x.params.Elements = append(x.params.Elements, o.ID)
		x.params.Before[o.ID] = was
	} else if sameJSON(head, o.Meta) {
		return nil
	}
	return x.u.Update(ctx, o)
}

func (x *convergence) dropElement(ctx context.Context, e *slice.Element) error {
	if e.Run == nil && e.Previous == nil {
		return x.u.s.forget(ctx, x.u, e)
	}
	x.remake = true
	x.params.Remove = append(x.params.Remove, e.ID)
	return nil
}

func (x *convergence) devices(ctx context.Context, m *members) error {
	rs, err := listAll(ctx, x.u.Tx, operation.Query{Kind: slice.KindIoTDevice, Parent: x.sl.ID}, x.u.s.c.Marker)
	if err != nil {
		return err
	}
	old := map[string]*slice.Device{}
	for _, r := range rs {
		if d, ok := r.(*slice.Device); ok {
			old[d.Name] = d
		}
	}
	var added []*slice.Device
	for i, d := range m.devices {
		o := old[d.Name]
		delete(old, d.Name)
		if o == nil || o.Gateway != d.Gateway && o.ProvisionedHash == "" && o.State != removing {
			if o != nil {
				if err := x.u.s.forget(ctx, x.u, o); err != nil {
					return err
				}
			}
			added = append(added, d)
			continue
		}
		if err := x.device(ctx, o, d, fmt.Sprintf("iotDevices/%d", i)); err != nil {
			return err
		}
	}
	if err := x.addDevices(ctx, added, m.devices); err != nil {
		return err
	}
	for _, k := range slices.Sorted(maps.Keys(old)) {
		if err := x.dropDevice(ctx, old[k]); err != nil {
			return err
		}
	}
	return nil
}

func (x *convergence) addDevices(ctx context.Context, added, said []*slice.Device) error {
	made, err := x.u.deviceSecrets(ctx, added, said)
	if err != nil {
		return err
	}
	x.out.Credentials = append(x.out.Credentials, made...)
	rs := make([]slice.Resource, 0, len(added))
	for _, d := range added {
		if x.busy || x.sl.Operation != "" {
			d.State = waiting
		}
		x.tell = true
		rs = append(rs, d)
	}
	x.out.Resources = append(x.out.Resources, rs...)
	if len(rs) == 0 {
		return nil
	}
	return x.u.insertAll(ctx, rs)
}

// device changes one that exists into one that is wanted; path is its place in
// the order, for errors.
func (x *convergence) device(ctx context.Context, o, want *slice.Device, path string) error {
	if o.Gateway != want.Gateway {
		return fault.New(fault.Conflict, "device %q is known to gateway %q; remove it and add it anew to move it", o.Name, o.Gateway)
	}
	was := *o
	o.Description, o.Labels, o.Protocol, o.Address, o.Format = want.Description, want.Labels, want.Protocol, want.Address, want.Format
	o.Magnitudes, o.Actions, o.Identity, o.Virtual = want.Magnitudes, want.Actions, want.Identity, want.Virtual
	if want.CredentialsRef != "" {
		o.CredentialsRef = want.CredentialsRef
	}
	if err := x.u.changedSecret(ctx, &was, o, path); err != nil {
		return err
	}
	x.out.Resources = append(x.out.Resources, o)
	if sameJSON(&was, o) {
		return nil
	}
	if deviceHash(&was) != deviceHash(o) || o.State == removing {
		x.tell = true
		if x.busy || x.sl.Operation != "" {
			o.State, o.Cause = waiting, ""
		}
	}
	return x.u.Update(ctx, o)
}

func (x *convergence) dropDevice(ctx context.Context, d *slice.Device) error {
	if !x.busy && x.sl.Operation == "" {
		return x.u.s.forget(ctx, x.u, d)
	}
	if d.State == removing {
		return nil
	}
	x.tell = true
	d.State, d.Cause = removing, ""
	return x.u.Update(ctx, d)
}

func (x *convergence) flows(ctx context.Context, m *members) error {
	rs, err := listAll(ctx, x.u.Tx, operation.Query{Kind: slice.KindMicroData, Parent: x.sl.ID}, x.u.s.c.Marker)
	if err != nil {
		return err
	}
	old := map[string]*slice.MicroData{}
	for _, r := range rs {
		if f, ok := r.(*slice.MicroData); ok {
			old[f.Name] = f
		}
	}
	for _, f := range m.flows {
		o := old[f.Name]
		delete(old, f.Name)
		if o == nil {
			err = x.u.Insert(ctx, f)
			o = f
		} else if keep := o.Meta; true {
			next := *f
			next.Meta, next.State = keep, o.State
			next.Description, next.Labels = f.Description, f.Labels
			if !sameJSON(o, &next) {
				err = x.u.Update(ctx, &next)
			}
			o = &next
		}
		if err != nil {
			return err
		}
		x.out.Resources = append(x.out.Resources, o)
	}
	for _, k := range slices.Sorted(maps.Keys(old)) {
		if err := x.u.s.forget(ctx, x.u, old[k]); err != nil {
			return err
		}
	}
	return nil
}
