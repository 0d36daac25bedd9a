package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// Tx is one transaction. It implements operation.Tx and what other packages
// declare of it; it is valid until the function it was handed to returns, and
// for one goroutine.
type Tx struct {
	db    *DB
	stmts *stmtCache
	sqltx *sql.Tx   // readers and PostgreSQL
	conn  *sql.Conn // SQLite's writer
	write bool

	now      time.Time
	pos      int64 // of this transaction's changes, 0: not taken yet
	undo     []func()
	conflict error // PostgreSQL wants the transaction run again
	work     bool  // operations or signals were written
	news     bool  // events were written
	tally    tally // SQLite's writer
	notes    notes
	seen     map[string]stored // resources as this writing transaction knows them, by id
}

// statement readies text for running. On SQLite's writer a statement is never
// interrupted: an interrupt would roll back the transactions of others that
// share the commit.
func (t *Tx) statement(ctx context.Context, text string, args []any) (context.Context, *sql.Stmt, error) {
	if err := ctx.Err(); err != nil {
		return ctx, nil, err
	}
	if t.db.opts.Record != nil {
		t.db.opts.Record(text, args)
	}
	if t.conn != nil {
		ctx = context.WithoutCancel(ctx)
	}
	s, err := t.stmts.get(ctx, text)
	if err == nil && s != nil && t.sqltx != nil {
		s = t.sqltx.StmtContext(ctx, s)
	}
	return ctx, s, err
}

// exec runs a statement and answers the number of rows it changed.
func (t *Tx) exec(ctx context.Context, text string, args ...any) (int64, error) {
	if !t.write {
		return 0, fault.New(fault.Internal, "a write inside a reading transaction")
	}
	ctx, s, err := t.statement(ctx, text, args) //nolint:sqlclosecheck // the cache or the transaction closes it
	if err != nil {
		return 0, translate(err)
	}
	var r sql.Result
	switch {
	case s != nil:
		r, err = s.ExecContext(ctx, args...)
	case t.conn != nil:
		r, err = t.conn.ExecContext(ctx, text, args...)
	default:
		r, err = t.sqltx.ExecContext(ctx, text, args...)
	}
	if err != nil {
		return 0, t.failed(err)
	}
	n, err := r.RowsAffected()
	return n, translate(err)
}

// each runs a query and calls scan for every row.
func (t *Tx) each(ctx context.Context, text string, args []any, scan func(*sql.Rows) error) error {
	ctx, s, err := t.statement(ctx, text, args) //nolint:sqlclosecheck // the cache or the transaction closes it
	if err != nil {
		return translate(err)
	}
	var rows *sql.Rows
	switch {
	case s != nil:
		rows, err = s.QueryContext(ctx, args...)
	case t.conn != nil:
		rows, err = t.conn.QueryContext(ctx, text, args...)
	default:
		rows, err = t.sqltx.QueryContext(ctx, text, args...)
	}
	if err != nil {
		return t.failed(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return t.failed(err)
		}
	}
	return t.failed(rows.Err())
}

// failed translates an error and remembers a serialisation conflict: whatever
// the caller makes of it, the transaction must run again.
func (t *Tx) failed(err error) error {
	if serialisation(err) {
		t.conflict = err
	}
	return translate(err)
}

// row reads the first row of a query into dest and answers whether there is one.
func (t *Tx) row(ctx context.Context, text string, args []any, dest ...any) (bool, error) {
	found := false
	err := t.each(ctx, text, args, func(r *sql.Rows) error {
		if found {
			return nil
		}
		found = true
		return r.Scan(dest...)
	})
	return found, err
}

// remember keeps r's head as it is, so that a transaction that comes to nothing
// leaves the caller's resource as it was (and can be run again).
func (t *Tx) remember(r slice.Resource) {
	head, was := r.Head(), *r.Head()
	t.undo = append(t.undo, func() { *head = was })
}

func (t *Tx) revert() {
	for i := len(t.undo) - 1; i >= 0; i-- {
		t.undo[i]()
	}
	t.undo = nil
}

// done rings for those who wait for what this transaction wrote.
func (t *Tx) done() {
	if t.work {
		t.db.work.ring()
	}
	if t.news {
		t.db.news.ring()
	}
}

// Write is Update, under the name operation.Transactor gives it.
func (db *DB) Write(ctx context.Context, fn func(ctx context.Context, tx operation.Tx) error) error {
	return db.update(ctx, func(ctx context.Context, t *Tx) error { return fn(ctx, t) })
}

// Update commits what fn did when it answers nil, else nothing of it. fn may be
// run more than once and must start from nothing each time; it uses tx, not db,
// which might wait for the connection that fn holds.
func (db *DB) Update(ctx context.Context, fn func(ctx context.Context, tx operation.Tx) error) error {
	return db.Write(ctx, fn)
}

// Read is View, under the name operation.Transactor gives it.
func (db *DB) Read(ctx context.Context, fn func(ctx context.Context, tx operation.Tx) error) error {
	return db.view(ctx, func(ctx context.Context, t *Tx) error { return fn(ctx, t) })
}

// View runs fn on one consistent snapshot; writes in it fail.
func (db *DB) View(ctx context.Context, fn func(ctx context.Context, tx operation.Tx) error) error {
	return db.Read(ctx, fn)
}

func (db *DB) update(ctx context.Context, fn func(ctx context.Context, t *Tx) error) error {
	return db.run(ctx, sql.LevelSerializable, fn)
}

// quick is update without conflict detection between rows, for single
// statements that carry their own conditions (claims, leases).
func (db *DB) quick(ctx context.Context, fn func(ctx context.Context, t *Tx) error) error {
	return db.run(ctx, sql.LevelReadCommitted, fn)
}

func (db *DB) run(ctx context.Context, level sql.IsolationLevel, fn func(ctx context.Context, t *Tx) error) error {
	switch {
	case db.readOnly:
		return fault.New(fault.Internal, "the store was opened for reading only")
	case db.writer != nil:
		return db.writer.update(ctx, fn)
	}
	return db.updatePostgres(ctx, level, fn)
}

func (db *DB) view(ctx context.Context, fn func(ctx context.Context, t *Tx) error) error {
	o := sql.TxOptions{ReadOnly: true}
	if !db.lite() {
		o.Isolation = sql.LevelRepeatableRead
	}
	tx, end, err := db.begin(ctx, &o)
	if err != nil {
		return err
	}
	defer end()
	defer func() { _ = tx.Rollback() }()
	return fn(ctx, &Tx{db: db, stmts: db.stmts, sqltx: tx, now: db.clock.now()})
}
