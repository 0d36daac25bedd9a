package fulfilment

import (
	"context"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// recordApplied writes that a deployment is ready; a restored one is the
// element's own again.
func (s *Service) recordApplied(ctx context.Context, tx operation.Tx, c operation.Call, a deployArgs, st domain.Status, restore bool) error {
	ctx = asService(ctx, &c.Operation)
	e, err := s.element(ctx, tx, a.Element)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if restore {
		return s.restored(ctx, tx, e, st)
	}
	if e.Run == nil || e.Run.Release != a.Release {
		return nil
	}
	now := s.now()
	e.Run.Endpoints, e.Run.ReadyAt = st.Endpoints, &now
	e.State, e.Cause = slice.Active, ""
	return tx.Update(ctx, e)
}

// restored puts the deployment before back on record and gives back what the
// other one took more.
func (s *Service) restored(ctx context.Context, tx operation.Tx, e *slice.Element, st domain.Status) error {
	if e.Run == nil || e.Previous == nil || e.Previous.Release != e.Run.Release {
		return nil
	}
	if err := revertUses(ctx, tx, e); err != nil {
		return err
	}
	now := s.now()
	e.Run, e.Previous = e.Previous, nil
	e.Run.Endpoints, e.Run.ReadyAt = st.Endpoints, &now
	e.State, e.Cause = slice.Active, ""
	return tx.Update(ctx, e)
}

// revertUses turns the ledger from what e.Run takes to what e.Previous took, on
// the node both are on.
func revertUses(ctx context.Context, tx operation.Tx, e *slice.Element) error {
	was, is := e.Previous.Requirements, e.Run.Requirements
	return give(ctx, tx, e.Run.Node, slice.Requirements{CPU: is.CPU - was.CPU, Memory: is.Memory - was.Memory, Storage: is.Storage - was.Storage})
}

// give gives uses of a node back.
func give(ctx context.Context, tx operation.Tx, node string, u slice.Requirements) error {
	if node == "" || u.CPU == 0 && u.Memory == 0 && u.Storage == 0 {
		return nil
	}
	return tx.Deduct(ctx, []operation.LedgerChange{{Node: node, CPU: -u.CPU, Memory: -u.Memory, Storage: -u.Storage, Expect: -1}})
}

// recordDeleted writes that a deployment is gone, and gives its capacity back.
// It counts a release once, however often its delete is recorded.
func (s *Service) recordDeleted(ctx context.Context, tx operation.Tx, a deployArgs) error {
	e, err := s.element(ctx, tx, a.Element)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.dropRelease(ctx, tx, e, a, true)
}

// dropRelease takes a release off an element's record.
func (s *Service) dropRelease(ctx context.Context, tx operation.Tx, e *slice.Element, a deployArgs, free bool) error {
	var held *slice.Deployment
	switch {
	case e.Run != nil && e.Run.Release == a.Release:
		held = e.Run
		if e.Previous != nil && e.Previous.Release != a.Release {
			e.Run, e.Previous = e.Previous, nil
		} else {
			e.Run, e.Previous = nil, nil
		}
	case e.Previous != nil && e.Previous.Release == a.Release:
		held = e.Previous
		e.Previous = nil
	default:
		return nil
	}
	if free {
		if err := give(ctx, tx, held.Node, held.Requirements); err != nil {
			return err
		}
	}
	switch {
	case e.Run == nil:
		e.State = slice.Designed
	case e.Run.ReadyAt != nil:
		e.State = slice.Active
	}
	return tx.Update(ctx, e)
}
