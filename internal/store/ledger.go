package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

func bind(n int) string { return "$" + strconv.Itoa(n) }

// Ledger answers the rows changed after position since (0: all) and the
// position reached. On PostgreSQL a row may come twice, never not at all.
func (t *Tx) Ledger(ctx context.Context, since int64) ([]operation.LedgerRow, int64, error) {
	position, err := t.db.dialect.reached(ctx, t)
	if err != nil {
		return nil, 0, err
	}
	var out []operation.LedgerRow
	err = t.each(ctx, "SELECT node, cpu, memory, storage, version, position FROM ledger WHERE position > $1 ORDER BY position, node",
		[]any{since}, func(r *sql.Rows) error {
			var l operation.LedgerRow
			err := r.Scan(&l.Node, &l.CPU, &l.Memory, &l.Storage, &l.Version, &l.Position)
			out = append(out, l)
			return err
		})
	if err == nil {
		err = t.linkRows(ctx, since, &out)
	}
	return out, position, err
}

// Deduct adds uses to rows. Changes of one node are taken together; nodes are
// taken in order, so that two transactions never wait for each other.
func (t *Tx) Deduct(ctx context.Context, changes []operation.LedgerChange) error {
	merged, err := merge(changes)
	if err != nil {
		return err
	}
	for _, c := range merged {
		if err := t.deduct(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// merge sums the changes of each node and sorts by node.
func merge(changes []operation.LedgerChange) ([]operation.LedgerChange, error) {
	out := slices.Clone(changes)
	slices.SortStableFunc(out, func(a, b operation.LedgerChange) int {
		if a.Node < b.Node {
			return -1
		} else if a.Node > b.Node {
			return 1
		}
		return 0
	})
	n := 0
	for _, c := range out {
		if c.Node == "" {
			return nil, fault.New(fault.Internal, "a ledger change names no node")
		}
		if n > 0 && out[n-1].Node == c.Node {
			l := &out[n-1]
			l.CPU, l.Memory, l.Storage = l.CPU+c.CPU, l.Memory+c.Memory, l.Storage+c.Storage
			if l.Expect < 0 {
				l.Expect = c.Expect
			} else if c.Expect >= 0 && c.Expect != l.Expect {
				return nil, changed(c.Node)
			}
			continue
		}
		out[n] = c
		n++
	}
	return out[:n], nil
}

func changed(node string) error {
	return fault.New(fault.Conflict, "the uses of node %s changed since the decision", node).Retrying(fault.Now)
}

func (t *Tx) deduct(ctx context.Context, c operation.LedgerChange) error {
	position, err := t.place(ctx)
	if err != nil {
		return err
	}
	cpu, memory, storage, err := t.capacity(ctx, c)
	if err != nil {
		return err
	}
	if _, err := t.exec(ctx, "INSERT INTO ledger (node, cpu, memory, storage, version, position) VALUES ($1, 0, 0, 0, 0, $2) ON CONFLICT DO NOTHING", c.Node, position); err != nil {
		return err
	}
	args := []any{c.Node, c.CPU, c.Memory, c.Storage, position}
	where := " WHERE node = $1"
	if c.Expect >= 0 {
		args = append(args, c.Expect)
		where += " AND version = " + bind(len(args))
	}
	// Only what is added can exceed; giving back always passes.
	for _, b := range []struct {
		column string
		add    int64
		bound  int64
	}{{"cpu", c.CPU, cpu}, {"memory", c.Memory, memory}, {"storage", c.Storage, storage}} {
		if b.add > 0 && b.bound >= 0 {
			args = append(args, b.bound-b.add)
			where += " AND " + b.column + " <= " + bind(len(args))
		}
	}
	n, err := t.exec(ctx, "UPDATE ledger SET cpu = cpu + $2, memory = memory + $3, storage = storage + $4, version = version + 1, position = $5"+where, args...)
	if err != nil {
		return err
	}
	if n == 0 {
		return t.why(ctx, c, cpu, memory, storage)
	}
	return nil
}

// capacity answers what the node has, -1 for without limit. A node that is gone
// takes nothing more, but gets back.
func (t *Tx) capacity(ctx context.Context, c operation.LedgerChange) (cpu, memory, storage int64, err error) {
	if c.CPU <= 0 && c.Memory <= 0 && c.Storage <= 0 {
		return -1, -1, -1, nil
	}
	r, err := t.Get(ctx, slice.KindNode, c.Node)
	if err != nil {
		if fault.Is(err, fault.NotFound) {
			err = fault.New(fault.Conflict, "node %s is gone since the decision", c.Node).Retrying(fault.Now)
		}
		return 0, 0, 0, err
	}
	n := r.(*slice.Node)
	bound := func(v int64) int64 {
		if v == 0 && n.Unlimited {
			return -1
		}
		return v
	}
	return bound(n.CPU), bound(n.Memory), bound(n.Storage), nil
}

func (t *Tx) why(ctx context.Context, c operation.LedgerChange, cpu, memory, storage int64) error {
	var l operation.LedgerRow
	if _, err := t.row(ctx, "SELECT cpu, memory, storage, version FROM ledger WHERE node = $1", []any{c.Node}, &l.CPU, &l.Memory, &l.Storage, &l.Version); err != nil {
		return err
	}
	if c.Expect >= 0 && c.Expect != l.Version {
		return changed(c.Node)
	}
	return fault.New(fault.Conflict, "node %s is full: uses %d mCPU, %d MiB memory, %d MiB storage of %d, %d, %d; %d, %d, %d more were asked",
		c.Node, l.CPU, l.Memory, l.Storage, cpu, memory, storage, c.CPU, c.Memory, c.Storage).Retrying(fault.Now)
}

// Topology answers the infrastructures, nodes and links changed after position
// since (0: all), the ids of those removed, and the position reached. On
// PostgreSQL a change may come twice, never not at all.
func (t *Tx) Topology(ctx context.Context, since int64) (rs []slice.Resource, removed []string, position int64, err error) {
	if position, err = t.db.dialect.reached(ctx, t); err != nil {
		return nil, nil, 0, err
	}
	if since > 0 {
		err = t.each(ctx, "SELECT id FROM topology WHERE position > $1 AND removed = 1 ORDER BY position, id", []any{since}, strings1(&removed))
		if err != nil {
			return nil, nil, 0, err
		}
	}
	err = t.each(ctx, "SELECT r.kind, r.doc FROM topology t JOIN resources r ON r.id = t.id WHERE t.position > $1 AND t.removed = 0 ORDER BY t.position, t.id",
		[]any{since}, func(row *sql.Rows) error {
			var kind, doc string
			if err := row.Scan(&kind, &doc); err != nil {
				return err
			}
			c, err := codecOf(slice.Kind(kind))
			if err != nil {
				return err
			}
			r, err := decode(c, doc)
			rs = append(rs, r)
			return err
		})
	return rs, removed, position, err
}

// PutTombstone keeps a leftover to be removed later, or writes one that is
// there again.
func (t *Tx) PutTombstone(ctx context.Context, s operation.Tombstone) error {
	if s.ID == "" {
		s.ID = slice.NewID()
	}
	if s.CreatedAt.IsZero() {
		s.CreatedAt = t.now
	}
	doc, err := encode(s)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, "INSERT INTO tombstones (id, infrastructure, next_at, doc) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO UPDATE SET infrastructure = excluded.infrastructure, next_at = excluded.next_at, doc = excluded.doc",
		s.ID, s.Infrastructure, micros(s.NextAt), doc)
	t.work = true
	return err
}

// TakeTombstones answers due ones, oldest first, and puts their NextAt to lease
// from now.
func (t *Tx) TakeTombstones(ctx context.Context, limit int, lease time.Duration) ([]operation.Tombstone, error) {
	now, err := t.db.dialect.now(ctx, t)
	if err != nil {
		return nil, err
	}
	out, err := t.tombstones(ctx, "SELECT doc FROM tombstones WHERE next_at <= $1 ORDER BY next_at, id LIMIT $2"+t.db.dialect.lockRows(), now, limit)
	if err != nil {
		return nil, err
	}
	for i := range out {
		out[i].NextAt = fromMicros(now + lease.Microseconds())
		doc, err := encode(out[i])
		if err != nil {
			return nil, err
		}
		if _, err := t.exec(ctx, "UPDATE tombstones SET next_at = $2, doc = $3 WHERE id = $1", out[i].ID, micros(out[i].NextAt), doc); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Tombstones answers at most limit of an infrastructure ("": of all), the next
// due first.
func (t *Tx) Tombstones(ctx context.Context, infrastructure string, limit int) ([]operation.Tombstone, error) {
	if limit <= 0 {
		limit = defaultLimit
	}
	if infrastructure == "" {
		return t.tombstones(ctx, "SELECT doc FROM tombstones ORDER BY next_at, id LIMIT $1", limit)
	}
	return t.tombstones(ctx, "SELECT doc FROM tombstones WHERE infrastructure = $1 ORDER BY next_at, id LIMIT $2", infrastructure, limit)
}

func (t *Tx) tombstones(ctx context.Context, text string, args ...any) ([]operation.Tombstone, error) {
	var out []operation.Tombstone
	err := t.each(ctx, text, args, func(r *sql.Rows) error {
		var doc string
		if err := r.Scan(&doc); err != nil {
			return err
		}
		var s operation.Tombstone
		err := json.Unmarshal([]byte(doc), &s)
		out = append(out, s)
		return err
	})
	return out, err
}

// DropTombstone ends one; one that is gone already is no error.
func (t *Tx) DropTombstone(ctx context.Context, id string) error {
	_, err := t.exec(ctx, "DELETE FROM tombstones WHERE id = $1", id)
	return err
}
