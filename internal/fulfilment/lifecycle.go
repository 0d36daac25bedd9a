package fulfilment

import (
	"context"
	"fmt"
	"slices"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// instantiated reports whether a slice may have something in the world.
func instantiated(sl *slice.IoTSlice) bool {
	return sl.State == slice.Active || sl.State == slice.Inactive
}

// live reads a slice the actor may change.
func live(ctx context.Context, tx operation.Tx, id string) (*slice.IoTSlice, error) {
	r, err := owned(ctx, tx, slice.KindIoTSlice, id)
	if err != nil {
		return nil, err
	}
	sl, ok := r.(*slice.IoTSlice)
	if !ok {
		return nil, fault.Absent("slice", id)
	}
	return sl, nil
}

func (o Options) match(r slice.Resource) error {
	if h := r.Head(); o.IfMatch != 0 && h.Revision != o.IfMatch {
		return fault.New(fault.PreconditionFailed, "%s is at revision %d, not %d", h.Name, h.Revision, o.IfMatch).
			With("If-Match", fmt.Sprintf("%q", fmt.Sprint(o.IfMatch)), fmt.Sprintf("the ETag that it has now, %q", fmt.Sprint(h.Revision)))
	}
	return nil
}

// Order starts a lifecycle operation on a slice.
func (s *Service) Order(ctx context.Context, sliceID string, r Request, o Options) (Result, error) {
	if err := require(ctx, operates); err != nil {
		return Result{}, err
	}
	return s.write(ctx, o, func(ctx context.Context, u *unit) (Result, error) {
		sl, err := live(ctx, u.Tx, sliceID)
		if err != nil {
			return Result{}, err
		}
		if err := o.match(sl); err != nil {
			return Result{}, err
		}
		p, err := u.request(ctx, sl, r)
		if err != nil {
			return Result{}, err
		}
		op, err := u.submit(ctx, sl, r.Type, p, r.Cause)
		if err != nil {
			return Result{}, err
		}
		if err := u.use(ctx, sl, p.Placement, op); err != nil {
			return Result{}, err
		}
		if err := u.Update(ctx, sl); err != nil {
			return Result{}, err
		}
		return Result{Resource: sl, Operation: op}, u.suits(ctx, op, p.Placement)
	})
}

// request checks a request against the slice's state and names its elements by
// id.
func (u *unit) request(ctx context.Context, sl *slice.IoTSlice, r Request) (params, error) {
	p := params{Target: r.Target, Replace: r.Replace, Placement: r.Placement}
	running := instantiated(sl)
	switch r.Type {
	case operation.Instantiate:
		if running {
			return p, fault.New(fault.Conflict, "slice %q is %s; it is instantiated already", sl.Name, sl.State)
		}
	case operation.Update, operation.Scale, operation.Heal, operation.Migrate:
		if !running && sl.Operation == "" {
			return p, fault.New(fault.Conflict, "slice %q is %s; %s wants it instantiated", sl.Name, sl.State, r.Type)
		}
	case operation.Terminate:
		if !running && sl.Operation == "" {
			return p, fault.New(fault.Conflict, "slice %q is %s; nothing of it runs", sl.Name, sl.State)
		}
	default:
		return p, fault.Field("type", string(r.Type), "INSTANTIATE, UPDATE, SCALE, HEAL, MIGRATE, TERMINATE")
	}
	if r.Placement != "" && r.Type != operation.Instantiate {
		return p, fault.Field("placementId", r.Placement, "nothing: only an INSTANTIATE runs a kept plan")
	}
	if r.Target != nil {
		probe := &slice.IoTSlice{Placement: r.Target}
		probe.Name = sl.Name
		if err := probe.Validate(); err != nil {
			return p, err
		}
	}
	if len(r.Elements) == 0 {
		if r.Type == operation.Migrate || r.Type == operation.Scale {
			return p, fault.Field("elements", "", "at least one member, by id or name")
		}
		return p, nil
	}
	chosen, err := u.chosen(ctx, sl, r.Elements)
	if err != nil {
		return p, err
	}
	for _, e := range chosen {
		p.Elements = append(p.Elements, e.ID)
		if r.Target == nil {
			continue
		}
		if err := spreadable(&slice.IoTSlice{Placement: r.Target}, e, ""); err != nil {
			return p, err
		}
	}
	if r.Type == operation.Scale {
		return p, u.scale(ctx, sl, &p, chosen, r.Replicas)
	}
	return p, nil
}

// chosen finds members by id or name.
func (u *unit) chosen(ctx context.Context, sl *slice.IoTSlice, names []string) ([]*slice.Element, error) {
	all, err := u.s.elements(ctx, u.Tx, sl.ID)
	if err != nil {
		return nil, err
	}
	var out []*slice.Element
	for i, n := range names {
		k := slices.IndexFunc(all, func(e *slice.Element) bool { return e.ID == n || e.Name == n })
		if k < 0 {
			return nil, fault.Field(fmt.Sprintf("elements/%d", i), n, "the id or name of a gateway, server or microElement of the slice")
		}
		out = append(out, all[k])
	}
	return out, nil
}

// scale sets the replicas that an operation shall bring about.
func (u *unit) scale(ctx context.Context, sl *slice.IoTSlice, p *params, chosen []*slice.Element, replicas int) error {
	if replicas < 1 || replicas > 1000 {
		return fault.Field("replicas", fmt.Sprint(replicas), "1 to 1000")
	}
	p.Before = map[string]spec{}
	for _, e := range chosen {
		p.Before[e.ID] = specOf(e)
		e.Replicas = replicas
		if err := e.Validate(); err != nil {
			return err
		}
		if err := spreadable(sl, e, ""); err != nil {
			return err
		}
		if err := u.Update(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// Signal tells an open operation a person's word: cancel (mode GRACEFUL or
// FORCEFUL), retry, rollback, fail or continue. A wrong state is
// fault.Conflict.
func (s *Service) Signal(ctx context.Context, operationID, verb, mode string) (*operation.Operation, error) {
	if err := require(ctx, operates); err != nil {
		return nil, err
	}
	switch mode {
	case "", operation.Graceful, operation.Forceful:
	default:
		return nil, fault.Field("cancelMode", mode, "GRACEFUL or FORCEFUL")
	}
	var out *operation.Operation
	err := s.c.Store.Write(ctx, func(ctx context.Context, tx operation.Tx) error {
		op, err := operationOf(ctx, tx, operationID)
		if err != nil {
			return err
		}
		if err := op.Accepts(verb); err != nil {
			return err
		}
		out = op
		return tx.AddSignal(ctx, operation.Signal{Operation: op.ID, Verb: verb, Mode: firstOf(mode, operation.Graceful), Actor: actorOf(ctx).Key})
	})
	return out, err
}
