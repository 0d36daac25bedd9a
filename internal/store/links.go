package store

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
)

// linkRows adds the link rows changed after position since.
func (t *Tx) linkRows(ctx context.Context, since int64, out *[]operation.LedgerRow) error {
	return t.each(ctx, "SELECT from_node, to_node, kbit, version, position FROM link_ledger WHERE position > $1 ORDER BY position, from_node, to_node",
		[]any{since}, func(r *sql.Rows) error {
			var l operation.LedgerRow
			err := r.Scan(&l.Node, &l.To, &l.Kbit, &l.Version, &l.Position)
			*out = append(*out, l)
			return err
		})
}

// Holdings answers what holder holds of links, by their ends.
func (t *Tx) Holdings(ctx context.Context, holder string) ([]operation.LinkHolding, error) {
	var out []operation.LinkHolding
	err := t.each(ctx, "SELECT from_node, to_node, kbit FROM link_holdings WHERE holder = $1 ORDER BY from_node, to_node",
		[]any{holder}, func(r *sql.Rows) error {
			h := operation.LinkHolding{Most: -1, Expect: -1}
			err := r.Scan(&h.From, &h.To, &h.Kbit)
			out = append(out, h)
			return err
		})
	return out, err
}

func byEnds(a, b operation.LinkHolding) int {
	return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
}

// HoldLinks makes links all that holder holds. Rows are taken in order, so that
// two transactions never wait for each other.
func (t *Tx) HoldLinks(ctx context.Context, holder string, links []operation.LinkHolding) error {
	have, err := t.Holdings(ctx, holder)
	if err != nil {
		return err
	}
	before := map[[2]string]int64{}
	for _, h := range have {
		before[[2]string{h.From, h.To}] = h.Kbit
	}
	want := slices.Clone(links)
	slices.SortStableFunc(want, byEnds)
	for k, h := range want {
		if holder == "" || h.From == "" || h.To == "" || h.Kbit < 0 || k > 0 && byEnds(want[k-1], h) == 0 {
			return fault.New(fault.Internal, "a holding of the link from %q to %q is not valid", h.From, h.To)
		}
	}
	named := len(want)
	for _, h := range have { // what is no longer wanted, in its place among the rows
		if _, found := slices.BinarySearchFunc(want[:named], h, byEnds); !found {
			h.Kbit = 0
			want = append(want, h)
		}
	}
	slices.SortFunc(want, byEnds)
	for _, h := range want {
		was := before[[2]string{h.From, h.To}]
		if h.Kbit == was {
			continue
		}
		if err := t.hold(ctx, holder, h, h.Kbit-was); err != nil {
			return err
		}
	}
	return nil
}

// hold adds kbit, or takes it away, and writes the holding.
func (t *Tx) hold(ctx context.Context, holder string, h operation.LinkHolding, add int64) error {
	position, err := t.place(ctx)
	if err != nil {
		return err
	}
	if _, err := t.exec(ctx, "INSERT INTO link_ledger (from_node, to_node, kbit, version, position) VALUES ($1, $2, 0, 0, $3) ON CONFLICT DO NOTHING", h.From, h.To, position); err != nil {
		return err
	}
	args := []any{h.From, h.To, add, position}
	where := " WHERE from_node = $1 AND to_node = $2"
	if add > 0 && h.Expect >= 0 {
		args = append(args, h.Expect)
		where += " AND version = " + bind(len(args))
	}
	if add > 0 && h.Most >= 0 {
		args = append(args, h.Most-add)
		where += " AND kbit <= " + bind(len(args))
	}
	n, err := t.exec(ctx, "UPDATE link_ledger SET kbit = kbit + $3, version = version + 1, position = $4"+where, args...)
	if err != nil {
		return err
	}
	if n == 0 {
		return t.whyLink(ctx, h, add)
	}
	if h.Kbit == 0 {
		_, err = t.exec(ctx, "DELETE FROM link_holdings WHERE holder = $1 AND from_node = $2 AND to_node = $3", holder, h.From, h.To)
		return err
	}
	_, err = t.exec(ctx, "INSERT INTO link_holdings (holder, from_node, to_node, kbit) VALUES ($1, $2, $3, $4) ON CONFLICT (holder, from_node, to_node) DO UPDATE SET kbit = excluded.kbit",
		holder, h.From, h.To, h.Kbit)
	return err
}

func (t *Tx) whyLink(ctx context.Context, h operation.LinkHolding, add int64) error {
	var kbit, version int64
	if _, err := t.row(ctx, "SELECT kbit, version FROM link_ledger WHERE from_node = $1 AND to_node = $2", []any{h.From, h.To}, &kbit, &version); err != nil {
		return err
	}
	if h.Expect >= 0 && h.Expect != version {
		return fault.New(fault.Conflict, "the uses of the link from %s to %s changed since the decision", h.From, h.To).Retrying(fault.Now)
	}
	return fault.New(fault.Conflict, "the link from %s to %s is full: %d of %d kbit/s are given out; %d more were asked", h.From, h.To, kbit, h.Most, add).Retrying(fault.Now)
}

// Now is the database's clock.
func (t *Tx) Now(ctx context.Context) (time.Time, error) {
	us, err := t.db.dialect.now(ctx, t)
	return fromMicros(us), err
}

// SetDeadline makes id due at a time, the zero time never.
func (t *Tx) SetDeadline(ctx context.Context, id string, at time.Time) error {
	var err error
	if at.IsZero() {
		_, err = t.exec(ctx, "DELETE FROM deadlines WHERE id = $1", id)
	} else {
		_, err = t.exec(ctx, "INSERT INTO deadlines (id, at) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET at = excluded.at", id, micros(at))
	}
	return err
}

// Due answers at most limit ids whose deadline has come, the longest due first.
func (t *Tx) Due(ctx context.Context, limit int) ([]string, error) {
	now, err := t.db.dialect.now(ctx, t)
	if err != nil {
		return nil, err
	}
	var out []string
	err = t.each(ctx, "SELECT id FROM deadlines WHERE at <= $1 ORDER BY at, id LIMIT $2", []any{now, limit}, strings1(&out))
	return out, err
}
