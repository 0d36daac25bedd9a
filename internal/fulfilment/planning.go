package fulfilment

import (
	"context"
	"errors"
	"maps"

	"github.com/osmoslice/osmoslice/internal/actor"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// asService lets the engine act, and be named in audit records.
func asService(ctx context.Context, op *operation.Operation) context.Context {
	a := actor.Service("operation/" + op.ID)
	a.RequestID = op.RequestID
	return actor.With(ctx, a)
}

// Plan decides and plans an operation, deducts what it newly takes, and stores
// what it is about to install: whatever may exist at a site is known before
// anything is done.
func (s *Service) Plan(ctx context.Context, tx operation.Tx, op *operation.Operation) ([]operation.Step, error) {
	ctx = asService(ctx, op)
	sit, err := s.situation(ctx, tx, op)
	if err != nil {
		return nil, err
	}
	return s.plan(ctx, tx, sit, op)
}

func (s *Service) plan(ctx context.Context, tx operation.Tx, sit *Situation, op *operation.Operation) ([]operation.Step, error) {
	if sit.Slice == nil {
		return nil, fault.Absent("slice", op.Slice)
	}
	due, err := sit.placing(ctx, tx)
	if err != nil {
		return nil, err
	}
	if due {
		if err := s.place.decide(ctx, tx, sit, op.ID); err != nil {
			var none *infeasible
			if errors.As(err, &none) {
				s.refused.Store(op.ID, none.decision) // this transaction comes to nothing
			}
			return nil, err
		}
	}
	if err := s.batches(ctx, tx, sit); err != nil {
		return nil, err
	}
	steps := Plan(sit)
	for _, e := range sit.Elements {
		if err := s.intend(ctx, tx, sit, e); err != nil {
			return nil, err
		}
	}
	return steps, nil
}

// placing reports whether places have to be decided: something is new, moves, or
// takes more or less than before, of a node or of the ways between.
func (s *Situation) placing(ctx context.Context, tx operation.Tx) (bool, error) {
	if s.Type == operation.Terminate {
		return false, nil
	}
	if s.params.Placement != "" && len(s.Elements) > 0 || s.displaced() {
		return true, nil
	}
	have, err := tx.Holdings(ctx, s.Slice.ID)
	if err != nil {
		return false, err
	}
	return !maps.Equal(waysOf(have), across(s.flows(s.wanted), func(e *slice.Element) string { return e.Run.Node })), nil
}

// displaced reports whether an element is new, moves, or takes more or less of
// its node than before.
func (s *Situation) displaced() bool {
	for _, e := range s.Elements {
		if s.doomed(e) {
			continue
		}
		if !s.mayStay(e) || capacity(e.Run.Requirements) != capacity(s.Needs[e.ID]) || s.hash(e) != e.Run.Hash {
			return true
		}
	}
	return false
}

// intend records the deployment that a step is about to make, and the one
// before it.
func (s *Service) intend(ctx context.Context, tx operation.Tx, sit *Situation, e *slice.Element) error {
	if sit.doomed(e) {
		return nil
	}
	kind := sit.change(e)
	if kind == nothing {
		return nil
	}
	w := sit.wish(e, kind)
	if e.Run == nil || e.Run.Version != w.Version {
		// The product's newest version may want more than the one it was ordered with.
		if err := s.checkConfiguration(sit.Products[e.ID], e, ""); err != nil {
			return err
		}
	}
	if err := s.credentials(ctx, tx, sit, e); err != nil {
		return err
	}
	next := &slice.Deployment{
		Release: w.Release, Infrastructure: w.Infrastructure, Node: w.Node, Product: e.Product, Version: w.Version,
		Hash: w.Hash, Requirements: w.Uses, InstalledAt: s.now(),
	}
	if e.Run != nil && (e.Run.ReadyAt != nil || e.Previous == nil) {
		e.Previous = e.Run
	}
	e.Run = next
	return tx.Update(ctx, e)
}

// credentials makes the secret that administers an instance, when its product
// has use for one and nobody gave it.
func (s *Service) credentials(ctx context.Context, tx operation.Tx, sit *Situation, e *slice.Element) error {
	if e.CredentialsRef != "" || s.c.Secrets == nil || !wantsCredentials(sit.Products[e.ID]) {
		return nil
	}
	meta := slice.Secret{Owner: e.ID}
	meta.Tenant, meta.Name = e.Tenant, "admin-"+e.ID
	made, _, err := s.c.Secrets.Generate(ctx, tx, meta)
	if err != nil {
		return err
	}
	e.CredentialsRef = made.ID
	return nil
}
