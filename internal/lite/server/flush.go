package server

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/osmoslice/osmoslice/internal/senml"
)

const (
	flushPoints = 64 << 10 // recent points that begin a flush
	flushBytes  = 8 << 20
	// stepPoints are moved in one transaction: messages wait no longer than
	// that takes.
	stepPoints = 2048
	// flushPause is how long a flush that failed waits before it is tried again.
	flushPause = time.Second
)

// flush moves recent points to the tree, in steps between the groups.
type flush struct {
	active bool
	last   int64   // the points up to this number move
	series []int64 // whose points are to move still
	retry  time.Time

	waiting []chan error // told when the next flush that begins is over
	told    []chan error // told when this one is
}

// overfull reports whether recent holds n times what begins a flush.
func (w *writer) overfull(n int) bool {
	count, bytes := w.recent.size()
	return count >= n*w.options.flushAt || bytes >= n*flushBytes
}

// keepFlushing does what is due between two groups: one step, and more while
// nobody waits or recent is far too full.
func (w *writer) keepFlushing() {
	w.beginFlush()
	for first := true; w.flush.active; first = false {
		if !first && len(w.queue) > 0 && !w.overfull(2) {
			return
		}
		if err := w.step(); err != nil {
			w.metrics.commitFailed(storeFault(err))
			w.endFlush(err)
			w.flush.retry = time.Now().Add(flushPause)
			return
		}
	}
}

// beginFlush begins a flush when one is due and none is under way.
func (w *writer) beginFlush() {
	f := &w.flush
	if f.active || len(f.waiting) == 0 && !w.overfull(1) || time.Now().Before(f.retry) {
		return
	}
	f.active, f.last, f.series = true, w.arrival, w.recent.ids()
	f.told, f.waiting = f.waiting, nil
}

func (w *writer) endFlush(err error) {
	for _, told := range w.flush.told {
		told <- err
	}
	w.flush.active, w.flush.series, w.flush.told = false, nil, nil
}

// step moves some points; the last step deletes their rows of the journal.
func (w *writer) step() error {
	moving, rest := w.chooseStep()
	err := w.inTransaction(func(ctx context.Context) error {
		for i := range moving {
			if err := w.point(ctx, &moving[i]); err != nil {
				return err
			}
		}
		if len(rest) > 0 {
			return nil
		}
		_, err := w.db.write.ExecContext(ctx, `DELETE FROM journal WHERE id <= ?`, w.flush.last)
		return err
	}, func() {
		for len(moving) > 0 {
			n := 1
			for n < len(moving) && moving[n].series == moving[0].series {
				n++
			}
			w.recent.drop(moving[0].series, n)
			moving = moving[n:]
		}
	})
	if err != nil {
		return err
	}
	w.flush.series = rest
	if len(rest) == 0 {
		w.endFlush(nil)
	}
	return nil
}

// chooseStep answers the points to move now, in the order of the tree, and the
// series that are left after them.
func (w *writer) chooseStep() (moving []seriesPoint, rest []int64) {
	rest = w.flush.series
	for len(rest) > 0 && len(moving) < w.options.flushStep {
		batch := w.recent.batch(rest[0], w.flush.last, w.options.flushStep-len(moving))
		for _, p := range batch {
			moving = append(moving, seriesPoint{rest[0], p})
		}
		if len(moving) < w.options.flushStep {
			rest = rest[1:]
		}
	}
	inTreeOrder(moving)
	return moving, rest
}

func inTreeOrder(points []seriesPoint) {
	slices.SortFunc(points, func(a, b seriesPoint) int {
		return cmp.Or(cmp.Compare(a.series, b.series), cmp.Compare(a.at.time, b.at.time), cmp.Compare(a.at.id, b.at.id))
	})
}

// point inserts one point into the tree. One that is there is the same one: a
// flush that was broken off is repeated from the journal.
func (w *writer) point(ctx context.Context, p *seriesPoint) error {
	var value, sum, update any
	switch p.value.Kind() {
	case senml.Number:
		value = p.value.Float()
	case senml.Text:
		value = p.value.Text()
	case senml.Boolean:
		value = int64(p.value.Float())
	case senml.Data:
		value = p.value.Bytes()
	}
	if p.hasSum {
		sum = p.sum
	}
	if p.ut != 0 {
		update = p.ut
	}
	_, err := w.insert.ExecContext(ctx, p.series, p.at.time, p.at.id, value, sum, update)
	return err
}

// waitFlush waits until all that is stored now is in the tree.
func (w *writer) waitFlush(ctx context.Context) error {
	over := make(chan error, 1)
	err := w.do(ctx, change{
		apply:   func(context.Context, *sql.Conn) error { return nil },
		applied: func() { w.flush.waiting = append(w.flush.waiting, over) },
	})
	if err != nil {
		return err
	}
	select {
	case err := <-over:
		return err
	case <-w.stopped:
		return errClosing
	case <-ctx.Done():
		return ctx.Err()
	}
}

// recover moves what the journal holds to the tree, when the server starts. A
// series that is gone was deleted with its channel.
func (w *writer) recover(ctx context.Context) error {
	known := map[int64]bool{}
	for _, id := range w.series.all() {
		known[id] = true
	}
	for {
		var id int64
		var row []byte
		err := w.db.write.QueryRowContext(ctx, `SELECT id, points FROM journal ORDER BY id LIMIT 1`).Scan(&id, &row)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("journal: %w", err)
		}
		points, err := readJournal(row)
		if err != nil {
			return fmt.Errorf("journal, row %d: %w", id, err)
		}
		inTreeOrder(points)
		err = w.inTransaction(func(ctx context.Context) error {
			for i := range points {
				if !known[points[i].series] {
					continue
				}
				if err := w.point(ctx, &points[i]); err != nil {
					return err
				}
			}
			_, err := w.db.write.ExecContext(ctx, `DELETE FROM journal WHERE id = ?`, id)
			return err
		}, nil)
		if err != nil {
			return fmt.Errorf("journal: %w", err)
		}
	}
}
