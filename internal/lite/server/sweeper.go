package server

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
)

const (
	sweepEvery  = time.Minute
	sweepPoints = 2000 // deleted per change, so that messages do not wait long
)

// sweeper deletes what is not kept: points beyond the age or size to retain
// and points of deleted channels. It works through the writer in small steps.
type sweeper struct {
	server  *Server
	waked   chan struct{}
	ctx     context.Context
	cancel  context.CancelFunc
	stopped chan struct{}
}

func newSweeper(s *Server) *sweeper {
	ctx, cancel := context.WithCancel(context.Background())
	return &sweeper{server: s, waked: make(chan struct{}, 1), ctx: ctx, cancel: cancel, stopped: make(chan struct{})}
}

// wake asks for a sweep soon.
func (sw *sweeper) wake() {
	select {
	case sw.waked <- struct{}{}:
	default:
	}
}

func (sw *sweeper) close() {
	sw.cancel()
	<-sw.stopped
}

func (sw *sweeper) run() {
	defer close(sw.stopped)
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		if err := sw.sweep(sw.ctx); err != nil && sw.ctx.Err() == nil {
			sw.server.log.Error("sweep", "error", err)
		}
		select {
		case <-sw.ctx.Done():
			return
		case <-ticker.C:
		case <-sw.waked:
		}
	}
}

// sweep deletes all that is due now. It begins with a flush: what is deleted is
// deleted from the tree.
func (sw *sweeper) sweep(ctx context.Context) error {
	if err := sw.server.writer.waitFlush(ctx); err != nil {
		return err
	}
	err := errors.Join(sw.sweepOrphans(ctx), sw.sweepCommands(ctx))
	if age := sw.server.options.RetainAge; age > 0 {
		err = errors.Join(err, sw.sweepBefore(ctx, sw.server.options.Now().Add(-age).UnixMicro()))
	}
	if size := sw.server.options.RetainSize; size > 0 {
		err = errors.Join(err, sw.sweepSize(ctx, size))
	}
	return err
}

// sweepOrphans deletes the series of channels that are gone.
func (sw *sweeper) sweepOrphans(ctx context.Context) error {
	w := sw.server.writer
	orphans := w.series.orphans(func(id string) bool { _, err := sw.server.registry.channel(id); return err == nil })
	for id, key := range orphans {
		if err := sw.deletePoints(ctx, id, 1<<62); err != nil {
			return err
		}
		err := w.do(ctx, change{apply: func(ctx context.Context, tx *sql.Conn) error {
			_, err := tx.ExecContext(ctx, `DELETE FROM series WHERE id = ?`, id)
			if err == nil {
				w.series.drop(map[int64]seriesKey{id: key})
			}
			return err
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

// deletePoints deletes the points of a series before a time (µs), step by step.
func (sw *sweeper) deletePoints(ctx context.Context, series, before int64) error {
	for last := false; !last; {
		var n int64
		err := sw.server.writer.do(ctx, change{apply: func(ctx context.Context, tx *sql.Conn) error {
			bound := position{before, 0}
			err := tx.QueryRowContext(ctx, `SELECT time, id FROM points WHERE series = ? AND time < ? ORDER BY time, id LIMIT 1 OFFSET ?`,
				series, before, sweepPoints).Scan(&bound.time, &bound.id)
			last = errors.Is(err, sql.ErrNoRows)
			if err != nil && !last {
				return err
			}
			done, err := tx.ExecContext(ctx, `DELETE FROM points WHERE series = ? AND (time, id) < (?, ?)`, series, bound.time, bound.id)
			if err == nil {
				n, err = done.RowsAffected()
			}
			return err
		}})
		if err != nil {
			return err
		}
		sw.server.metrics.expired.Add(float64(n))
	}
	return nil
}

// sweepBefore deletes all points before a time (µs).
func (sw *sweeper) sweepBefore(ctx context.Context, before int64) error {
	for _, id := range sw.server.writer.series.all() {
		var due bool
		err := sw.server.db.read.QueryRowContext(ctx, `SELECT EXISTS(SELECT 1 FROM points WHERE series = ? AND time < ?)`, id, before).Scan(&due)
		if err != nil {
			return storeFault(err)
		}
		if !due {
			continue
		}
		if err := sw.deletePoints(ctx, id, before); err != nil {
			return err
		}
	}
	return nil
}

// sweepSize deletes the oldest tenth of the time covered, again and again,
// until the points fit.
func (sw *sweeper) sweepSize(ctx context.Context, limit int64) error {
	for ctx.Err() == nil {
		used, err := sw.used(ctx)
		if err != nil || used <= limit {
			return errors.Join(err, sw.giveBack(ctx))
		}
		oldest, newest, ok, err := sw.span(ctx)
		if err != nil || !ok {
			return err
		}
		if err := sw.sweepBefore(ctx, oldest+(newest-oldest)/10+1); err != nil {
			return err
		}
	}
	return fault.Of(ctx.Err())
}

// used is the number of bytes in use in the database file.
func (sw *sweeper) used(ctx context.Context) (int64, error) {
	var pages, free, size int64
	err := sw.server.db.read.QueryRowContext(ctx, `SELECT (SELECT page_count FROM pragma_page_count()),
		(SELECT freelist_count FROM pragma_freelist_count()), (SELECT page_size FROM pragma_page_size())`).Scan(&pages, &free, &size)
	if err != nil {
		return 0, storeFault(err)
	}
	return (pages - free) * size, nil
}

// span answers the times (µs) of the oldest and the newest point.
func (sw *sweeper) span(ctx context.Context) (oldest, newest int64, ok bool, err error) {
	for _, id := range sw.server.writer.series.all() {
		var first, last sql.NullInt64
		err := sw.server.db.read.QueryRowContext(ctx, `SELECT (SELECT min(time) FROM points WHERE series = ?1),
			(SELECT max(time) FROM points WHERE series = ?1)`, id).Scan(&first, &last)
		if err != nil {
			return 0, 0, false, storeFault(err)
		}
		if !first.Valid {
			continue
		}
		if !ok || first.Int64 < oldest {
			oldest = first.Int64
		}
		if !ok || last.Int64 > newest {
			newest = last.Int64
		}
		ok = true
	}
	return oldest, newest, ok, nil
}

// giveBack returns free pages to the file system.
func (sw *sweeper) giveBack(ctx context.Context) error {
	return sw.server.writer.do(ctx, change{apply: func(ctx context.Context, tx *sql.Conn) error {
		_, err := tx.ExecContext(ctx, `PRAGMA incremental_vacuum(1000)`)
		return err
	}})
}
