package fulfilment

import (
	"context"
	"time"

	"github.com/osmoslice/osmoslice/internal/actor"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

const (
	tombstoneLease = 2 * time.Minute
	tombstoneBatch = 32
	tombstonePause = 5 * time.Minute // the longest
)

// Bury carries out due tombstones, and answers how many it looked at. A site
// that does not answer holds up only its own.
func (s *Service) Bury(ctx context.Context) (int, error) {
	ctx = actor.With(ctx, actor.Service("tombstone"))
	var due []operation.Tombstone
	err := s.c.Store.Write(ctx, func(ctx context.Context, tx operation.Tx) (err error) {
		due, err = tx.TakeTombstones(ctx, tombstoneBatch, tombstoneLease)
		return err
	})
	if err != nil {
		return 0, err
	}
	done := make(chan error, len(due))
	for _, t := range due {
		go func() { done <- s.bury(ctx, t) }()
	}
	for range due {
		if e := <-done; e != nil && err == nil {
			err = e
		}
	}
	return len(due), err
}

// bury tries one tombstone: gone, its capacity comes back; a site that holds a
// newer deployment of that name has long replaced it; else it waits on.
func (s *Service) bury(ctx context.Context, t operation.Tombstone) error {
	call, cancel := context.WithTimeout(ctx, tombstoneLease/2)
	gone, note, err := s.remove(call, t.Slice, t.Element, t.Infrastructure, t.Release, t.Generation, false)
	cancel()
	if fault.Is(err, fault.Conflict) {
		gone, err = true, nil
	}
	return s.c.Store.Write(ctx, func(ctx context.Context, tx operation.Tx) error {
		if gone {
			return s.buried(ctx, tx, t)
		}
		t.Attempts++
		t.Detail = note
		if err != nil {
			t.Detail = fault.Of(err).Error()
		}
		pause := min(5*time.Second<<min(t.Attempts, 10), tombstonePause)
		t.NextAt = s.now().Add(pause)
		return tx.PutTombstone(ctx, t)
	})
}

// buried gives the capacity back and clears the member's record.
func (s *Service) buried(ctx context.Context, tx operation.Tx, t operation.Tombstone) error {
	if len(t.Uses) > 0 {
		if err := tx.Deduct(ctx, t.Uses); err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	if err := tx.HoldLinks(ctx, t.ID, nil); err != nil {
		return err
	}
	e, err := s.element(ctx, tx, t.Element)
	if err == nil && e.State == slice.Orphaned && e.Run == nil {
		e.State, e.Cause = slice.Designed, ""
		err = tx.Update(ctx, e)
	}
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	return tx.DropTombstone(ctx, t.ID)
}
