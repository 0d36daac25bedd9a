package fulfilment

import (
	"context"
	"slices"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// quiet refuses a change of members while an operation is open: its plan would
// not know of it.
func (u *unit) quiet(ctx context.Context, sl *slice.IoTSlice) error {
	if sl.Operation == "" {
		return nil
	}
	open, err := u.OpenOperation(ctx, sl.ID)
	if err != nil || open == nil {
		return err
	}
	return clash(sl, open)
}

// createElement adds a gateway, server or microElement; to a running slice by an
// operation.
func (u *unit) createElement(ctx context.Context, e *slice.Element) (Result, error) {
	sl, err := live(ctx, u.Tx, e.Slice)
	if err != nil {
		return Result{}, err
	}
	if err := u.quiet(ctx, sl); err != nil {
		return Result{}, err
	}
	freshElement(e, sl, u.s.c.NewID())
	if err := u.checkMember(ctx, sl, e); err != nil {
		return Result{}, err
	}
	if err := u.checkProduct(ctx, e, ""); err != nil {
		return Result{}, err
	}
	if err := u.Insert(ctx, e); err != nil {
		return Result{}, err
	}
	out := Result{Resource: e, Created: true}
	if !instantiated(sl) {
		return out, nil
	}
	if out.Operation, err = u.submit(ctx, sl, operation.Update, params{Elements: []string{e.ID}}, ""); err != nil {
		return Result{}, err
	}
	return out, u.Update(ctx, sl)
}

// checkMember validates an element among the others of its slice; errors are
// about the element, so paths start at it.
func (u *unit) checkMember(ctx context.Context, sl *slice.IoTSlice, e *slice.Element) error {
	if err := e.Validate(); err != nil {
		return err
	}
	if err := spreadable(sl, e, ""); err != nil {
		return err
	}
	all, err := u.s.elements(ctx, u.Tx, sl.ID)
	if err != nil {
		return err
	}
	others := slices.DeleteFunc(all, func(o *slice.Element) bool { return o.ID == e.ID })
	return slice.ValidateMembers(nil, append(others, e), nil, nil)
}

// patchElement changes an element; what the world must follow, by an operation
// when it runs.
func (u *unit) patchElement(ctx context.Context, e *slice.Element, p Patch) (Result, error) {
	sl, err := live(ctx, u.Tx, e.Slice)
	if err != nil {
		return Result{}, err
	}
	was := clone(e)
	if err := p(e); err != nil {
		return Result{}, err
	}
	keepMeta(e.Head(), &was.Meta)
	e.Slice, e.Element, e.State, e.Cause, e.Run, e.Previous = was.Slice, was.Element, was.State, was.Cause, was.Run, was.Previous
	if e.Name != was.Name && (instantiated(sl) || sl.Operation != "") {
		return Result{}, fault.Field("name", e.Name, "the name it has: members of a running slice are not renamed")
	}
	if err := u.checkMember(ctx, sl, e); err != nil {
		return Result{}, err
	}
	out := Result{Resource: e}
	if specOf(e).equal(specOf(was)) && e.CredentialsRef == was.CredentialsRef {
		return out, u.Update(ctx, e)
	}
	if err := u.checkProduct(ctx, e, ""); err != nil {
		return Result{}, err
	}
	if specOf(e).equal(specOf(was)) {
		return out, u.Update(ctx, e)
	}
	if err := u.quiet(ctx, sl); err != nil {
		return Result{}, err
	}
	if err := u.Update(ctx, e); err != nil || !instantiated(sl) {
		return out, err
	}
	pa := params{Elements: []string{e.ID}, Before: map[string]spec{e.ID: specOf(was)}}
	if out.Operation, err = u.submit(ctx, sl, operation.Update, pa, ""); err != nil {
		return Result{}, err
	}
	return out, u.Update(ctx, sl)
}

// deleteElement removes an element: at once when nothing of it runs, else by an
// operation. What refers to it makes it a Conflict, unless cascading takes its
// devices along.
func (u *unit) deleteElement(ctx context.Context, e *slice.Element) (Result, error) {
	sl, err := live(ctx, u.Tx, e.Slice)
	if err != nil {
		return Result{}, err
	}
	if err := u.quiet(ctx, sl); err != nil {
		return Result{}, err
	}
	if err := u.needed(ctx, sl, e); err != nil {
		return Result{}, err
	}
	if e.Run == nil && e.Previous == nil {
		if e.Element == slice.Gateway {
			x := &ending{s: u.s, sl: sl}
			if err := x.eraseDevices(ctx, u, e.Name); err != nil {
				return Result{}, err
			}
		}
		return Result{}, u.s.forget(ctx, u, e)
	}
	op, err := u.submit(ctx, sl, operation.Update, params{Remove: []string{e.ID}}, "")
	if err != nil {
		return Result{}, err
	}
	return Result{Resource: e, Operation: op}, u.Update(ctx, sl)
}

// needed refuses the removal of what others need.
func (u *unit) needed(ctx context.Context, sl *slice.IoTSlice, e *slice.Element) error {
	all, err := u.s.elements(ctx, u.Tx, sl.ID)
	if err != nil {
		return err
	}
	for _, o := range all {
		if e.Element == slice.Server && o.Server == e.Name && o.ID != e.ID {
			return fault.New(fault.Conflict, "server %q is fed by %s %q; point it to another server first", e.Name, o.Element, o.Name)
		}
	}
	if e.Element != slice.Gateway || u.o.Cascade {
		return nil
	}
	rs, err := u.List(ctx, operation.Query{Kind: slice.KindIoTDevice, Parent: sl.ID, Limit: 1,
		Filter: []operation.Condition{{Op: "eq", Attr: "iotGateway", Values: []string{e.Name}}}})
	if err != nil || len(rs) == 0 {
		return err
	}
	return fault.New(fault.Conflict, "gateway %q has devices, the first is %q; remove them or cascade", e.Name, rs[0].Head().Name)
}

// keepMeta puts back what a patch may not change.
func keepMeta(now, was *slice.Meta) {
	now.ID, now.Tenant, now.Revision, now.CreatedAt, now.UpdatedAt = was.ID, was.Tenant, was.Revision, was.CreatedAt, was.UpdatedAt
}
