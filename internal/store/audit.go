package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// KindAudit names the list of audit records in page markers.
const KindAudit slice.Kind = "auditRecords"

var auditAttrs = map[string]string{
	"tenantId": "tenant", "resourceId": "resource", "resourceKind": "kind", "actorId": "actor", "action": "action",
}

var auditDrivers = drivers{"resource", "actor", "tenant"}

// Audits answers a page of audit records, newest first; the query's Parent is
// the id of the resource they are about. A page ends with Marker(KindAudit, id).
func (t *Tx) Audits(ctx context.Context, q operation.Query) ([]slice.AuditRecord, error) {
	q.Kind = KindAudit
	l, err := compile(q, auditAttrs, "resource")
	if err != nil {
		return nil, err
	}
	l.newest = true
	var first any = int64(math.MaxInt64)
	if l.after != "" {
		seq, err := strconv.ParseInt(l.after, 10, 64)
		if err != nil {
			return nil, fault.New(fault.Malformed, "the page marker is not valid").With("nextpage_opaque_marker", q.After, "the marker of a previous page")
		}
		first, l.after = seq, ""
	}
	b := l.branches(t.db.dialect, "SELECT seq, doc, before, after FROM audit WHERE seq < $1", []any{first}, auditDrivers)[0]
	return t.audits(ctx, b.text.String(), b.args)
}

// AuditRecord answers one record of these tenants (nil: all), or fault.NotFound.
func (t *Tx) AuditRecord(ctx context.Context, id int64, tenants []string) (slice.AuditRecord, error) {
	out, err := t.audits(ctx, "SELECT seq, doc, before, after FROM audit WHERE seq = $1", []any{id})
	if err != nil {
		return slice.AuditRecord{}, err
	}
	for _, r := range out {
		ok := tenants == nil
		for _, tenant := range tenants {
			ok = ok || tenant == r.Tenant
		}
		if ok {
			return r, nil
		}
	}
	return slice.AuditRecord{}, fault.Absent("AuditRecord", strconv.FormatInt(id, 10))
}

func (t *Tx) audits(ctx context.Context, text string, args []any) ([]slice.AuditRecord, error) {
	var out []slice.AuditRecord
	err := t.each(ctx, text, args, func(r *sql.Rows) error {
		var a slice.AuditRecord
		var seq int64
		var doc, before, after string
		if err := r.Scan(&seq, &doc, &before, &after); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(doc), &a); err != nil {
			return err
		}
		a.ID = seq
		if before != "" {
			a.Before = json.RawMessage(before)
		}
		if after != "" {
			a.After = json.RawMessage(after)
		}
		out = append(out, a)
		return nil
	})
	return out, err
}

// Audits is Tx.Audits in a transaction of its own.
func (db *DB) Audits(ctx context.Context, q operation.Query) (out []slice.AuditRecord, err error) {
	err = db.view(ctx, func(ctx context.Context, t *Tx) error {
		out, err = t.Audits(ctx, q)
		return err
	})
	return out, err
}

// Retention says how long records are kept; zero keeps for ever.
type Retention struct {
	Operations, Events, Audit, Idempotency time.Duration
}

// pruneBatch bounds the rows that one transaction removes.
const pruneBatch = 500

// Retain removes what is older than r says and answers how many records went.
// Events without a position are never removed.
func (db *DB) Retain(ctx context.Context, r Retention) (int, error) {
	now, err := db.Now(ctx)
	if err != nil {
		return 0, err
	}
	total := 0
	for _, d := range []struct {
		keep  time.Duration
		prune func(context.Context, time.Time, int) (int, error)
	}{{r.Operations, db.Prune}, {r.Events, db.pruneEvents}, {r.Audit, db.pruneAudit}, {r.Idempotency, db.pruneKeys}} {
		for d.keep > 0 {
			n, err := d.prune(ctx, now.Add(-d.keep), pruneBatch)
			total += n
			if err != nil {
				return total, err
			}
			if n < pruneBatch {
				break
			}
		}
	}
	return total, nil
}

func (db *DB) pruneEvents(ctx context.Context, before time.Time, limit int) (int, error) {
	return db.removeSome(ctx, "DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE at < $1 AND position IS NOT NULL ORDER BY at LIMIT $2)", micros(before), limit)
}

func (db *DB) pruneKeys(ctx context.Context, before time.Time, limit int) (int, error) {
	const old = "FROM idempotency WHERE created_at < $1 ORDER BY created_at LIMIT $2"
	var n int64
	err := db.quick(ctx, func(ctx context.Context, t *Tx) error {
		// What AnswerID names goes first, while the rows tell which.
		if _, err := t.exec(ctx, "DELETE FROM secret_values WHERE secret IN (SELECT 'answer ' || tenant || ' ' || key "+old+")", micros(before), limit); err != nil {
			return err
		}
		var err error
		n, err = t.exec(ctx, "DELETE FROM idempotency WHERE (tenant, key) IN (SELECT tenant, key "+old+")", micros(before), limit)
		return err
	})
	return int(n), err
}

func (db *DB) removeSome(ctx context.Context, text string, args ...any) (int, error) {
	var n int64
	err := db.quick(ctx, func(ctx context.Context, t *Tx) error {
		var err error
		n, err = t.exec(ctx, text, args...)
		return err
	})
	return int(n), err
}

// pruneAudit says in the same transaction what may go, else the trigger refuses.
func (db *DB) pruneAudit(ctx context.Context, before time.Time, limit int) (int, error) {
	var n int64
	err := db.quick(ctx, func(ctx context.Context, t *Tx) error {
		if _, err := t.exec(ctx, "INSERT INTO audit_retention (before) VALUES ($1)", micros(before)); err != nil {
			return err
		}
		var err error
		n, err = t.exec(ctx, "DELETE FROM audit WHERE seq IN (SELECT seq FROM audit WHERE at < $1 ORDER BY at LIMIT $2)", micros(before), limit)
		if err != nil {
			return err
		}
		_, err = t.exec(ctx, "DELETE FROM audit_retention")
		return err
	})
	return int(n), err
}
