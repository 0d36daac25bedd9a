package fulfilment

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// Record writes what follows for the slice and its members when an operation
// ends, in the save that ends it.
func (s *Service) Record(ctx context.Context, tx operation.Tx, before, op *operation.Operation) error {
	if before.State == op.State || !op.State.Final() {
		return nil
	}
	ctx = asService(ctx, op)
	if d, ok := s.refused.Load(op.ID); ok {
		doc, _ := d.(json.RawMessage)
		if err := tx.PutDecision(ctx, op.ID, op.Slice, doc); err != nil {
			return err
		}
	}
	p, err := paramsOf(op)
	if err != nil {
		return err
	}
	if err := s.unuse(ctx, tx, op); err != nil {
		return err
	}
	r, err := tx.Get(ctx, slice.KindIoTSlice, op.Slice)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	sl, _ := r.(*slice.IoTSlice)
	x := &ending{s: s, op: op, p: p, sl: sl}
	if x.elements, err = s.elements(ctx, tx, sl.ID); err != nil {
		return err
	}
	return x.conclude(ctx, tx)
}

// ending is the end of one operation.
type ending struct {
	s        *Service
	op       *operation.Operation
	p        params
	sl       *slice.IoTSlice
	elements []*slice.Element
	left     []operation.Tombstone
}

func (x *ending) conclude(ctx context.Context, tx operation.Tx) error {
	if err := x.bury(ctx, tx); err != nil {
		return err
	}
	kept := x.elements[:0]
	for _, e := range x.elements {
		gone, err := x.element(ctx, tx, e)
		if err != nil {
			return err
		}
		if !gone {
			kept = append(kept, e)
		}
	}
	x.elements = kept
	if err := x.s.settleLinks(ctx, tx, x.sl, x.elements, x.left); err != nil {
		return err
	}
	if x.op.Type == operation.Terminate && x.success() {
		if x.p.DeleteSlice {
			return x.s.eraseSlice(ctx, tx, x.sl, x.elements)
		}
		if err := x.resetDevices(ctx, tx, ""); err != nil {
			return err
		}
	}
	if err := x.untold(ctx, tx); err != nil {
		return err
	}
	return x.slice(ctx, tx)
}

// untold ends the waiting of devices whose gateway could not be told of them:
// they are FAILED until the next update, or they would wait, and start
// operations, for ever.
func (x *ending) untold(ctx context.Context, tx operation.Tx) error {
	cause := "operation " + x.op.ID + " ended " + string(x.op.State)
	if x.op.RootCause != nil {
		cause = x.op.RootCause.Detail
	}
	var ranges []batch
	for _, s := range x.op.Steps {
		if s.Action != actProvision && s.Action != actDeprovision || s.State == operation.StepDone {
			continue
		}
		b, err := decodeArgs[batch](s.Args)
		if err != nil {
			return err
		}
		ranges = append(ranges, b)
	}
	if x.success() && len(ranges) == 0 {
		return nil
	}
	for _, state := range []slice.State{waiting, removing} {
		rs, err := listAll(ctx, tx, operation.Query{Kind: slice.KindIoTDevice, Parent: x.sl.ID,
			Filter: []operation.Condition{{Op: "eq", Attr: "state", Values: []string{string(state)}}}}, x.s.c.Marker)
		if err != nil {
			return err
		}
		for _, r := range rs {
			d, ok := r.(*slice.Device)
			within := func(b batch) bool { return ok && d.ID >= b.First && d.ID <= b.Last }
			if !ok || x.success() && !slices.ContainsFunc(ranges, within) {
				continue
			}
			d.State, d.Cause = slice.Failed, cause
			if err := tx.Update(ctx, d); err != nil {
				return err
			}
		}
	}
	return nil
}

func (x *ending) success() bool {
	return x.op.State == operation.Completed || x.op.State == operation.PartiallyCompleted
}

// bury leaves a tombstone for every leftover; its capacity stays reserved until
// the tombstone has run.
func (x *ending) bury(ctx context.Context, tx operation.Tx) error {
	for _, l := range x.op.Leftovers {
		if l.Release == "" {
			continue
		}
		k := slices.IndexFunc(x.elements, func(e *slice.Element) bool { return e.ID == l.Target })
		if k < 0 {
			continue
		}
		e := x.elements[k]
		t := operation.Tombstone{
			ID: x.s.c.NewID(), Tenant: x.op.Tenant, Slice: x.op.Slice, Element: l.Target, Infrastructure: l.Infrastructure,
			Release: l.Release, Generation: (x.op.Fence + 1) << 20, Detail: l.Detail, CreatedAt: x.s.now(), NextAt: x.s.now().Add(5 * time.Second),
		}
		for _, d := range []*slice.Deployment{e.Run, e.Previous} {
			if d != nil && d.Release == l.Release && d.Node != "" {
				u := d.Requirements
				t.Uses = []operation.LedgerChange{{Node: d.Node, CPU: -u.CPU, Memory: -u.Memory, Storage: -u.Storage, Expect: -1}}
				break
			}
		}
		if err := tx.PutTombstone(ctx, t); err != nil {
			return err
		}
		x.left = append(x.left, t)
		if err := x.s.dropRelease(ctx, tx, e, deployArgs{Release: l.Release}, false); err != nil {
			return err
		}
		if e.Run == nil {
			e.State, e.Cause = slice.Orphaned, firstOf(l.Detail, "its site was not reached")
			if err := tx.Update(ctx, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// element settles one member; gone tells that it was removed.
func (x *ending) element(ctx context.Context, tx operation.Tx, e *slice.Element) (gone bool, err error) {
	was, back := *e, false
	switch {
	case x.success() && slices.Contains(x.p.Remove, e.ID):
		if e.Element == slice.Gateway {
			if err := x.eraseDevices(ctx, tx, e.Name); err != nil {
				return false, err
			}
		}
		return true, x.s.forget(ctx, tx, e)
	case x.success():
		if e.Previous != nil && e.Run != nil && e.Previous.Release == e.Run.Release {
			e.Previous = nil
		}
		if e.Run == nil && e.State != slice.Orphaned {
			e.State, e.Cause = slice.Designed, ""
		}
	default:
		back = x.restored(e)
		if err := x.revert(ctx, tx, e); err != nil {
			return false, err
		}
	}
	if !back && e.State == was.State && e.Cause == was.Cause && e.Previous == was.Previous && e.Run == was.Run {
		return false, nil
	}
	return false, tx.Update(ctx, e)
}

// restored puts an element's description back to what it was before a change
// that was rolled back.
func (x *ending) restored(e *slice.Element) bool {
	was, ok := x.p.Before[e.ID]
	if !ok || x.op.State != operation.RolledBack || was.equal(specOf(e)) {
		return false
	}
	was.restore(e)
	return true
}

// revert undoes on record what was planned and never begun: the intent was
// stored and deducted, nothing was done.
func (x *ending) revert(ctx context.Context, tx operation.Tx, e *slice.Element) error {
	if e.Run != nil && e.Run.ReadyAt == nil && x.op.State == operation.RolledBack {
		if e.Previous != nil && e.Previous.Release == e.Run.Release {
			if err := revertUses(ctx, tx, e); err != nil {
				return err
			}
		} else if err := give(ctx, tx, e.Run.Node, e.Run.Requirements); err != nil {
			return err
		}
		e.Run, e.Previous = e.Previous, nil
	}
	cause := ""
	if x.op.RootCause != nil {
		cause = x.op.RootCause.Detail
	}
	switch {
	case e.Run == nil && e.State != slice.Orphaned:
		e.State = slice.Designed
		if e.Run == nil && x.op.Type != operation.Instantiate && cause != "" {
			e.State, e.Cause = slice.Failed, cause
		}
	case e.Run != nil && e.Run.ReadyAt != nil:
		e.State = slice.Active
	case e.Run != nil:
		e.State, e.Cause = slice.Failed, cause
	}
	return nil
}

// slice settles the slice itself.
func (x *ending) slice(ctx context.Context, tx operation.Tx) error {
	sl := x.sl
	sl.Operation, sl.LastOperation, sl.Cause = "", x.op.ID, ""
	if x.op.RootCause != nil && !x.success() {
		sl.Cause = x.op.RootCause.Detail
	}
	summarise(sl, x.elements)
	switch {
	case x.op.Type == operation.Terminate && x.success():
		sl.State, sl.InstantiatedAt = slice.Terminated, nil
	case x.op.Type == operation.Instantiate && x.success() && sl.InstantiatedAt == nil:
		now := x.s.now()
		sl.InstantiatedAt = &now
	}
	return tx.Update(ctx, sl)
}

// summarise sets a slice's state and infrastructures from its elements.
func summarise(sl *slice.IoTSlice, elements []*slice.Element) {
	running, down := 0, ""
	var sites []string
	for _, e := range elements {
		if e.Run != nil {
			running++
			sites = append(sites, e.Run.Infrastructure)
		}
		if e.Run != nil && e.State != slice.Active {
			down = firstOf(down, string(e.Element)+" "+e.Name+": "+firstOf(e.Cause, string(e.State)))
		}
	}
	slices.Sort(sites)
	sl.Infrastructures = slices.Compact(sites)
	switch {
	case running == 0 && sl.State == slice.Designed:
	case running == 0 && sl.InstantiatedAt == nil:
		sl.State = slice.Designed
	case running == 0:
		sl.State = slice.Inactive
	case down != "":
		sl.State = slice.Inactive
		sl.Cause = firstOf(sl.Cause, down)
	default:
		sl.State = slice.Active
	}
	if running == 0 && len(elements) == 0 && sl.InstantiatedAt != nil {
		sl.State = slice.Active // instantiated, and empty
	}
}

func (x *ending) devices(ctx context.Context, tx operation.Tx, gateway string) ([]slice.Resource, error) {
	q := operation.Query{Kind: slice.KindIoTDevice, Parent: x.sl.ID}
	if gateway != "" {
		q.Filter = []operation.Condition{{Op: "eq", Attr: "iotGateway", Values: []string{gateway}}}
	}
	return listAll(ctx, tx, q, x.s.c.Marker)
}

// resetDevices: no gateway knows them any more; those on their way out go.
func (x *ending) resetDevices(ctx context.Context, tx operation.Tx, gateway string) error {
	rs, err := x.devices(ctx, tx, gateway)
	if err != nil {
		return err
	}
	for _, r := range rs {
		d, ok := r.(*slice.Device)
		switch {
		case !ok || d.State == slice.Designed && d.ProvisionedHash == "":
			continue
		case d.State == removing:
			err = x.s.forget(ctx, tx, d)
		default:
			d.State, d.Cause, d.ProvisionedHash = slice.Designed, "", ""
			err = tx.Update(ctx, d)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (x *ending) eraseDevices(ctx context.Context, tx operation.Tx, gateway string) error {
	rs, err := x.devices(ctx, tx, gateway)
	for k := 0; err == nil && k < len(rs); k++ {
		err = x.s.forget(ctx, tx, rs[k])
	}
	return err
}

// eraseSlice removes a slice with all its members.
func (s *Service) eraseSlice(ctx context.Context, tx operation.Tx, sl *slice.IoTSlice, elements []*slice.Element) error {
	for _, k := range []slice.Kind{slice.KindIoTDevice, slice.KindMicroData} {
		rs, err := listAll(ctx, tx, operation.Query{Kind: k, Parent: sl.ID}, s.c.Marker)
		if err != nil {
			return err
		}
		for _, r := range rs {
			if err := s.forget(ctx, tx, r); err != nil {
				return err
			}
		}
	}
	for _, e := range elements {
		if err := s.forget(ctx, tx, e); err != nil {
			return err
		}
	}
	return s.forget(ctx, tx, sl)
}
