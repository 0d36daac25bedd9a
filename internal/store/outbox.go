package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/osmoslice/osmoslice/internal/slice"
)

// Events answers at most limit events after a position, in order and without
// gaps.
func (db *DB) Events(ctx context.Context, after int64, limit int) ([]slice.Event, error) {
	var out []slice.Event
	err := db.view(ctx, func(ctx context.Context, t *Tx) error {
		return t.each(ctx, "SELECT position, doc FROM events WHERE position > $1 ORDER BY position LIMIT $2", []any{after, limit},
			func(r *sql.Rows) error {
				var e slice.Event
				var position int64
				var doc string
				if err := r.Scan(&position, &doc); err != nil {
					return err
				}
				err := json.Unmarshal([]byte(doc), &e)
				e.Position = position
				out = append(out, e)
				return err
			})
	})
	return out, err
}

// EventBounds answers the oldest position still kept and the newest given out;
// with nothing kept, oldest is newest + 1.
func (db *DB) EventBounds(ctx context.Context) (oldest, newest int64, err error) {
	err = db.view(ctx, func(ctx context.Context, t *Tx) error {
		if _, err := t.row(ctx, "SELECT value FROM counters WHERE name = $1", []any{"events"}, &newest); err != nil {
			return err
		}
		had, err := t.row(ctx, "SELECT position FROM events WHERE position IS NOT NULL ORDER BY position LIMIT 1", nil, &oldest)
		if !had {
			oldest = newest + 1
		}
		return err
	})
	return oldest, newest, err
}

// sequenceBatch bounds the events that get their position in one transaction.
const sequenceBatch = 1000

// Sequence gives positions to the events committed since the last call and
// answers how many. Several replicas may call it: the counter's row lock makes
// them take turns, so that positions become visible in order, whatever the
// order of the commits.
func (db *DB) Sequence(ctx context.Context) (int, error) {
	if db.dialect.sequenced() {
		return 0, nil
	}
	total := 0
	for {
		n := 0
		err := db.view(ctx, func(ctx context.Context, t *Tx) error {
			had, err := t.row(ctx, "SELECT 1 FROM events WHERE position IS NULL LIMIT 1", nil, &n)
			if !had {
				n = 0
			}
			return err
		})
		if err != nil || n == 0 {
			return total, err
		}
		err = db.quick(ctx, func(ctx context.Context, t *Tx) error {
			var err error
			n, err = t.sequence(ctx)
			return err
		})
		total += n
		if err != nil || n < sequenceBatch {
			return total, err
		}
	}
}

func (t *Tx) sequence(ctx context.Context) (int, error) {
	var last int64
	if _, err := t.row(ctx, "SELECT value FROM counters WHERE name = 'events' FOR UPDATE", nil, &last); err != nil {
		return 0, err
	}
	n, err := t.exec(ctx, "UPDATE events e SET position = $1 + w.n FROM (SELECT seq, row_number() OVER (ORDER BY seq) AS n FROM events WHERE position IS NULL ORDER BY seq LIMIT $2) w WHERE e.seq = w.seq",
		last, sequenceBatch)
	if err != nil || n == 0 {
		return 0, err
	}
	t.news = true
	_, err = t.exec(ctx, "UPDATE counters SET value = $1 WHERE name = 'events'", last+n)
	return int(n), err
}

// Delivered keeps how far a subscription's deliveries have come, and the last
// failure ("": none). It is no change of the resource: no revision, no audit
// record, no event.
func (db *DB) Delivered(ctx context.Context, subscription string, position int64, cause string) error {
	return db.update(ctx, func(ctx context.Context, t *Tx) error {
		r, err := t.Get(ctx, slice.KindSubscription, subscription)
		if err != nil {
			return err
		}
		s := r.(*slice.Subscription)
		s.Position, s.Cause = max(s.Position, position), cause
		doc, err := encode(s)
		if err != nil {
			return err
		}
		_, err = t.exec(ctx, "UPDATE resources SET doc = $3 WHERE id = $1 AND revision = $2", s.ID, s.Revision, doc)
		return err
	})
}

// WaitEvents returns soon after a commit that wrote events, at the latest after
// max.
func (db *DB) WaitEvents(ctx context.Context, max time.Duration) { db.news.wait(ctx, max) }
