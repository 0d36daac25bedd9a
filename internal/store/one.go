package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// One is Tx.Get without a transaction: one statement sees one state by itself,
// and beginning and ending a transaction costs more than it.
func (db *DB) One(ctx context.Context, kind slice.Kind, id string) (slice.Resource, error) {
	c, err := codecOf(kind)
	if err != nil {
		return nil, err
	}
	select {
	case db.slots <- struct{}{}:
		defer func() { <-db.slots }()
	case <-ctx.Done():
		return nil, fault.Of(ctx.Err())
	}
	if db.lite() {
		// Watching the caller's context takes goroutines that cost more than the
		// look into one file.
		ctx = context.WithoutCancel(ctx)
	}
	args := []any{id, string(kind)}
	if db.opts.Record != nil {
		db.opts.Record(oneResource, args)
	}
	s, err := db.stmts.get(ctx, oneResource) //nolint:sqlclosecheck // the cache closes it
	if err != nil {
		return nil, translate(err)
	}
	var row *sql.Row
	if s != nil {
		row = s.QueryRowContext(ctx, args...)
	} else {
		row = db.readers.QueryRowContext(ctx, oneResource, args...)
	}
	var doc string
	switch err := row.Scan(&doc); {
	case errors.Is(err, sql.ErrNoRows):
		return nil, fault.Absent(c.noun, id)
	case err != nil:
		return nil, translate(err)
	}
	return decode(c, doc)
}
