package fulfilment

import (
	"context"
	"fmt"
	"slices"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// CreateSlice stores a slice with its members, and instantiates it when asked.
// Result.Resources are the members: gateways, servers, microElements,
// microData, devices.
func (s *Service) CreateSlice(ctx context.Context, order SliceOrder, o Options) (Result, error) {
	if err := require(ctx, operates); err != nil {
		return Result{}, err
	}
	return s.write(ctx, o, func(ctx context.Context, u *unit) (Result, error) {
		return u.createSlice(ctx, clone(&order))
	})
}

func (u *unit) createSlice(ctx context.Context, order *SliceOrder) (Result, error) {
	sl := &order.Slice
	tenant, err := tenantFor(ctx, u.Tx, sl.Tenant, false)
	if err != nil {
		return Result{}, err
	}
	if err := u.quota(ctx, tenant); err != nil {
		return Result{}, err
	}
	sl.Meta = fresh(sl.Meta, tenant, u.s.c.NewID())
	sl.State, sl.Infrastructures, sl.Operation, sl.LastOperation, sl.Cause, sl.InstantiatedAt = slice.Designed, nil, "", "", "", nil
	m := order.members(sl, u.s.c.NewID)
	if err := m.validate(sl); err != nil {
		return Result{}, err
	}
	if err := u.checkRelations(ctx, sl, nil); err != nil {
		return Result{}, err
	}
	for _, e := range m.elements {
		if err := u.checkProduct(ctx, e, m.path[e]); err != nil {
			return Result{}, err
		}
	}
	out := Result{Resource: sl, Created: true}
	if out.Credentials, err = u.deviceSecrets(ctx, m.devices, m.devices); err != nil {
		return Result{}, err
	}
	if !order.Instantiate && order.Placement != "" {
		return Result{}, fault.Field("placementId", order.Placement, "nothing, or instantiate true: a plan is for what is instantiated")
	}
	if order.Instantiate {
		if out.Operation, err = u.instantiate(ctx, sl, order.Placement); err != nil {
			return Result{}, err
		}
	}
	all := append([]slice.Resource{sl}, m.resources()...)
	if err := u.insertAll(ctx, all); err != nil {
		return Result{}, err
	}
	out.Resources = all[1:]
	return out, u.suits(ctx, out.Operation, order.Placement)
}

// quota refuses a slice too many.
func (u *unit) quota(ctx context.Context, tenant string) error {
	r, err := u.Get(ctx, slice.KindTenant, tenant)
	if err != nil {
		return err
	}
	t, ok := r.(*slice.Tenant)
	if !ok || t.MaxSlices == 0 {
		return nil
	}
	n, err := u.count(ctx, slice.KindIoTSlice, tenant)
	if err != nil {
		return err
	}
	if n >= t.MaxSlices {
		return fault.New(fault.Forbidden, "tenant %q may have %d slices, and has them", t.Name, t.MaxSlices)
	}
	return nil
}

// fresh is the meta of a new resource: what is the caller's, and a new identity.
func fresh(m slice.Meta, tenant, id string) slice.Meta {
	return slice.Meta{ID: id, Tenant: tenant, Name: m.Name, Description: m.Description, Labels: m.Labels}
}

// members are the members of one order, made new.
type members struct {
	elements []*slice.Element
	devices  []*slice.Device
	flows    []*slice.MicroData
	path     map[*slice.Element]string // in the order, for errors
}

func (o *SliceOrder) members(sl *slice.IoTSlice, newID func() string) *members {
	m := &members{path: map[*slice.Element]string{}}
	kinds := []struct {
		kind slice.ElementKind
		name string
		list []slice.Element
	}{{slice.Gateway, "iotGateways", o.Gateways}, {slice.Server, "iotServers", o.Servers}, {slice.MicroElement, "microElements", o.MicroElements}}
	for _, k := range kinds {
		for i := range k.list {
			e := &k.list[i]
			e.Element = k.kind
			freshElement(e, sl, newID())
			m.elements = append(m.elements, e)
			m.path[e] = fmt.Sprintf("%s/%d", k.name, i)
		}
	}
	for i := range o.MicroData {
		d := &o.MicroData[i]
		d.Meta = fresh(d.Meta, sl.Tenant, newID())
		d.Slice, d.State = sl.ID, slice.Designed
		m.flows = append(m.flows, d)
	}
	for i := range o.Devices {
		freshDevice(&o.Devices[i], sl, newID())
		m.devices = append(m.devices, &o.Devices[i])
	}
	return m
}

func freshElement(e *slice.Element, sl *slice.IoTSlice, id string) {
	e.Meta = fresh(e.Meta, sl.Tenant, id)
	e.Slice, e.State, e.Cause, e.Run, e.Previous = sl.ID, slice.Designed, "", nil, nil
}

func freshDevice(d *slice.Device, sl *slice.IoTSlice, id string) {
	d.Meta = fresh(d.Meta, sl.Tenant, id)
	d.Slice, d.State, d.Cause, d.ProvisionedHash = sl.ID, slice.Designed, "", ""
}

// validate checks the slice and its members together, every wrong field in one
// answer.
func (m *members) validate(sl *slice.IoTSlice) error {
	err := sl.Validate()
	more := slice.ValidateMembers(sl, m.elements, m.devices, m.flows)
	if err == nil && more == nil {
		return m.spreadable(sl)
	}
	if err == nil || more == nil {
		return firstError(err, more)
	}
	a, b := fault.Of(err), fault.Of(more)
	a.Params = append(a.Params, b.Params...)
	return a
}

func (m *members) spreadable(sl *slice.IoTSlice) error {
	for _, e := range m.elements {
		if err := spreadable(sl, e, m.path[e]); err != nil {
			return err
		}
	}
	return nil
}

func firstError(errs ...error) error {
	for _, e := range errs {
		if e != nil {
			return e
		}
	}
	return nil
}

func (m *members) resources() []slice.Resource {
	out := make([]slice.Resource, 0, len(m.elements)+len(m.flows)+len(m.devices))
	for _, e := range m.elements {
		out = append(out, e)
	}
	for _, f := range m.flows {
		out = append(out, f)
	}
	for _, d := range m.devices {
		out = append(out, d)
	}
	return out
}

// deviceSecrets makes a credential for each device that names none; said is the
// list they came in, for errors.
func (u *unit) deviceSecrets(ctx context.Context, devices, said []*slice.Device) ([]Credential, error) {
	if u.s.c.Secrets == nil {
		return nil, nil
	}
	var out []Credential
	for _, d := range devices {
		if d.CredentialsRef != "" {
			path := ""
			if len(said) > 1 {
				path = fmt.Sprintf("iotDevices/%d", slices.Index(said, d))
			}
			if err := u.knownSecret(ctx, d.Tenant, below(path, "credentialsRef"), d.CredentialsRef); err != nil {
				return nil, err
			}
			continue
		}
		meta := slice.Secret{Owner: d.ID}
		meta.Tenant, meta.Name = d.Tenant, "device-"+d.ID
		made, value, err := u.s.c.Secrets.Generate(ctx, u.Tx, meta)
		if err != nil {
			return nil, err
		}
		d.CredentialsRef = made.ID
		out = append(out, Credential{Resource: d.ID, Name: d.Name, Ref: made.ID, Value: string(value)})
	}
	return out, nil
}
