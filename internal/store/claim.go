package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
)

// Claim leases up to limit due operations to owner, oldest first. Each gets a
// new fence.
func (db *DB) Claim(ctx context.Context, owner string, schema, limit int, lease time.Duration) ([]operation.Operation, error) {
	if limit <= 0 {
		return nil, nil
	}
	var out []operation.Operation
	err := db.quick(ctx, func(ctx context.Context, t *Tx) error {
		out = out[:0]
		now, err := db.dialect.now(ctx, t)
		if err != nil {
			return err
		}
		type due struct{ id, doc string }
		var rows []due
		err = t.each(ctx, "SELECT id, doc FROM operations WHERE open = 1 AND wake_at <= $1 AND lease_until <= $1 AND schema <= $2 ORDER BY wake_at, id LIMIT $3"+db.dialect.lockRows(),
			[]any{now, schema, limit}, func(r *sql.Rows) error {
				var d due
				err := r.Scan(&d.id, &d.doc)
				rows = append(rows, d)
				return err
			})
		if err != nil {
			return err
		}
		for _, d := range rows {
			fence, err := db.dialect.fence(ctx, t)
			if err != nil {
				return err
			}
			if _, err := t.exec(ctx, "UPDATE operations SET owner = $2, lease_until = $3, fence = $4, wake_at = 0 WHERE id = $1",
				d.id, owner, now+lease.Microseconds(), fence); err != nil {
				return err
			}
			op, err := decodeOperation(d.doc, fence)
			if err != nil {
				return err
			}
			out = append(out, *op)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Renew extends the leases of owner and answers the ids that are still its.
func (db *DB) Renew(ctx context.Context, owner string, ids []string, lease time.Duration) ([]string, error) {
	var out []string
	if len(ids) == 0 {
		return nil, nil
	}
	err := db.quick(ctx, func(ctx context.Context, t *Tx) error {
		out = out[:0]
		now, err := db.dialect.now(ctx, t)
		if err != nil {
			return err
		}
		list, args := in(3, ids)
		return t.each(ctx, "UPDATE operations SET lease_until = $1 WHERE owner = $2 AND open = 1 AND id IN ("+list+") RETURNING id",
			append([]any{now + lease.Microseconds(), owner}, args...), strings1(&out))
	})
	return out, err
}

// Release gives a lease back; the operation is due again at wake (zero: at
// once).
func (db *DB) Release(ctx context.Context, owner, id string, wake time.Time) error {
	return db.quick(ctx, func(ctx context.Context, t *Tx) error {
		// A signal that came meanwhile makes it due at once.
		_, err := t.exec(ctx, "UPDATE operations SET owner = '', lease_until = 0, wake_at = CASE WHEN EXISTS (SELECT 1 FROM signals WHERE operation = $2) THEN CAST(0 AS BIGINT) ELSE $3 END WHERE owner = $1 AND id = $2 AND open = 1",
			owner, id, micros(wake))
		t.work = true
		return err
	})
}

// Save runs effects and then writes op if its Fence is still in force.
func (db *DB) Save(ctx context.Context, op *operation.Operation, effects func(ctx context.Context, tx operation.Tx) error) error {
	redo, err := again(op, effects != nil && db.writer == nil)
	if err != nil {
		return err
	}
	return db.update(ctx, func(ctx context.Context, t *Tx) error {
		if err := redo(); err != nil {
			return err
		}
		if effects != nil {
			if err := effects(ctx, t); err != nil {
				return err
			}
		}
		return t.save(ctx, op)
	})
}

// again answers a function that sets op back to what it is now when it is
// called a second time: effects may change op, and may be run again.
func again(op *operation.Operation, needed bool) (func() error, error) {
	if !needed {
		return func() error { return nil }, nil
	}
	doc, err := json.Marshal(op)
	if err != nil {
		return nil, fault.New(fault.Internal, "an operation cannot be stored").Because(err)
	}
	was, runs := *op, 0
	return func() error {
		if runs++; runs == 1 {
			return nil
		}
		// What op shares with others by reference comes from the document.
		var deep operation.Operation
		if err := json.Unmarshal(doc, &deep); err != nil {
			return err
		}
		*op = was
		op.Params, op.Steps, op.History = deep.Params, deep.Steps, deep.History
		op.RootCause, op.Causes, op.Leftovers, op.FinishedAt = deep.RootCause, deep.Causes, deep.Leftovers, deep.FinishedAt
		return nil
	}, nil
}

func (t *Tx) save(ctx context.Context, op *operation.Operation) error {
	var state string
	var fence int64
	had, err := t.row(ctx, "SELECT state, fence FROM operations WHERE id = $1", []any{op.ID}, &state, &fence)
	if err != nil {
		return err
	}
	if !had {
		return fault.Absent("LcmOpOcc", op.ID)
	}
	was := op.Revision
	t.undo = append(t.undo, func() { op.Revision = was })
	op.Revision++
	doc, err := encode(op)
	if err != nil {
		return err
	}
	if op.SignalsSeen > 0 {
		if _, err := t.exec(ctx, "DELETE FROM signals WHERE operation = $1 AND seq <= $2", op.ID, op.SignalsSeen); err != nil {
			return err
		}
	}
	text := "UPDATE operations SET state = $3, open = $4, revision = $5, finished_at = $6, doc = $7"
	args := []any{op.ID, op.Fence, string(op.State), openFlag(op.State), op.Revision, finished(op), doc}
	if op.State.Final() {
		text += ", owner = '', lease_until = 0"
		t.work = true
	} else if !op.Wake.IsZero() {
		text += ", owner = '', lease_until = 0, wake_at = CASE WHEN EXISTS (SELECT 1 FROM signals WHERE operation = $1) THEN CAST(0 AS BIGINT) ELSE $8 END"
		args = append(args, micros(op.Wake))
		t.work = true
	}
	n, err := t.exec(ctx, text+" WHERE id = $1 AND fence = $2 AND open = 1", args...)
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.New(fault.Conflict, "operation %s is another runner's by now (fence %d, not %d)", op.ID, fence, op.Fence)
	}
	t.tally.open -= 1 - openFlag(op.State)
	if state == string(op.State) {
		return nil
	}
	return t.operationNote(ctx, op, "", "", "")
}

// Signals answers the requests recorded for these operations (nil: all that
// owner leases) that no save has acted on, oldest first.
func (db *DB) Signals(ctx context.Context, owner string, ids []string) ([]operation.Signal, error) {
	if ids != nil && len(ids) == 0 {
		return nil, nil
	}
	text := "SELECT s.seq, s.operation, s.verb, s.mode, s.actor FROM signals s JOIN operations o ON o.id = s.operation WHERE o.owner = $1 AND o.open = 1"
	args := []any{owner}
	if ids != nil {
		list, more := in(2, ids)
		text, args = text+" AND o.id IN ("+list+")", append(args, more...)
	}
	var out []operation.Signal
	err := db.view(ctx, func(ctx context.Context, t *Tx) error {
		return t.each(ctx, text+" ORDER BY s.seq", args, func(r *sql.Rows) error {
			var s operation.Signal
			err := r.Scan(&s.Position, &s.Operation, &s.Verb, &s.Mode, &s.Actor)
			out = append(out, s)
			return err
		})
	})
	return out, err
}

// Wait returns soon after a commit that concerns operations, at the latest
// after max.
func (db *DB) Wait(ctx context.Context, max time.Duration) { db.work.wait(ctx, max) }

// Prune deletes at most limit final operations finished before t, with their
// decisions and what was said to them.
func (db *DB) Prune(ctx context.Context, before time.Time, limit int) (int, error) {
	n := 0
	err := db.quick(ctx, func(ctx context.Context, t *Tx) error {
		var ids []string
		err := t.each(ctx, "SELECT id FROM operations WHERE open = 0 AND finished_at < $1 ORDER BY finished_at LIMIT $2",
			[]any{micros(before), limit}, strings1(&ids))
		n = len(ids)
		for _, id := range ids {
			for _, text := range []string{
				"DELETE FROM decisions WHERE operation = $1", "DELETE FROM signals WHERE operation = $1", "DELETE FROM operations WHERE id = $1",
			} {
				if _, err := t.exec(ctx, text, id); err != nil {
					return err
				}
			}
		}
		return err
	})
	return n, err
}
