package store

import (
	"context"
	"database/sql"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
)

// Options tune a store. The zero value is the safe default.
type Options struct {
	// Synchronous is SQLite's: FULL (default), NORMAL (a power cut may undo the
	// last commits, never tear one) or EXTRA.
	Synchronous string
	// MaxBatch bounds the transactions that share one SQLite commit; 0: 256.
	MaxBatch int
	// Readers bounds the transactions side by side: those that read (SQLite; 0: 8)
	// or all (PostgreSQL; 0: 16). Up to four more connections prepare statements.
	Readers int
	// Record, when set, hears every statement as it is run. Calls may come from
	// several goroutines.
	Record func(sql string, args []any)
	// Log takes what has no caller to be told; nil: slog.Default.
	Log *slog.Logger
}

// DB is an open store. Its methods may be used by many goroutines.
type DB struct {
	dialect  dialect
	opts     Options
	path     string // SQLite's file
	readOnly bool
	log      *slog.Logger
	readers  *sql.DB // PostgreSQL: all connections
	// slots bounds the transactions on readers, below its connections: preparing
	// a statement takes a connection beside the transaction's own.
	slots   chan struct{}
	stmts   *stmtCache
	writer  *writer       // SQLite only
	retry   chan struct{} // PostgreSQL: held by the one that runs again and again
	side    *sql.DB       // PostgreSQL: reads outside the caller's transaction
	clock   clock
	open    openCount
	work    bell   // operations or signals may be there
	duties  duties // SQLite
	news    bell   // events may be there
	closers []func() error
	once    sync.Once
}

var (
	_ operation.Store      = (*DB)(nil)
	_ operation.Transactor = (*DB)(nil)
	_ operation.Tx         = (*Tx)(nil)
)

// Open opens the store that dsn names and brings its schema up to date:
// `sqlite:///dir/file.db` or a plain path, or `postgres://user@host/name?sslmode=…`.
func Open(ctx context.Context, dsn string, o Options) (*DB, error) {
	db := &DB{opts: o, log: o.Log}
	if db.log == nil {
		db.log = slog.Default()
	}
	scheme, path, err := parseDSN(dsn)
	if err != nil {
		return nil, err
	}
	if scheme == "postgres" {
		err = db.openPostgres(ctx, dsn)
	} else {
		err = db.openSQLite(ctx, path)
	}
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	return db, nil
}

// lite reports whether the store is SQLite.
func (db *DB) lite() bool { return db.dialect.name() == "sqlite" }

// parseDSN answers "postgres", or "sqlite" and the file's path.
func parseDSN(dsn string) (scheme, path string, err error) {
	allowed := "a path, sqlite:///path/file.db or postgres://user@host/database"
	name, _, found := strings.Cut(dsn, "://")
	switch {
	case dsn == "":
		return "", "", fault.Field("database", dsn, allowed)
	case !found:
		return "sqlite", filepath.Clean(dsn), nil
	case name == "postgres" || name == "postgresql":
		return "postgres", "", nil
	case name == "sqlite" || name == "file":
		u, err := url.Parse(dsn)
		if err != nil || u.Host != "" || u.Path == "" || u.RawQuery != "" {
			return "", "", fault.Field("database", dsn, "sqlite:///absolute/path/file.db")
		}
		return "sqlite", filepath.Clean(u.Path), nil
	}
	return "", "", fault.Field("database", name+"://…", allowed)
}

// spare are the connections beyond slots.
const spare = 4

// pool bounds the connections of readers.
func (db *DB) pool(readers *sql.DB, standard int) {
	n := db.opts.Readers
	if n <= 0 {
		n = standard
	}
	readers.SetMaxOpenConns(n + spare)
	readers.SetMaxIdleConns(n + spare)
	db.readers, db.slots = readers, make(chan struct{}, n)
	db.stmts = newStmtCache(func(ctx context.Context, text string) (*sql.Stmt, error) { return readers.PrepareContext(ctx, text) })
	db.closers = append(db.closers, func() error { db.stmts.close(); return readers.Close() })
}

// begin begins a transaction on readers when there is a slot; end gives it back.
func (db *DB) begin(ctx context.Context, o *sql.TxOptions) (tx *sql.Tx, end func(), err error) {
	select {
	case db.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, fault.Of(ctx.Err())
	}
	end = func() { <-db.slots }
	if tx, err = db.readers.BeginTx(ctx, o); err != nil {
		end()
		return nil, nil, translate(err)
	}
	return tx, end, nil
}

// Close waits for the running transactions and closes the store.
func (db *DB) Close() error {
	var first error
	db.once.Do(func() {
		for i := len(db.closers) - 1; i >= 0; i-- {
			if err := db.closers[i](); err != nil && first == nil {
				first = err
			}
		}
	})
	return first
}

// Ping answers whether the store can be read now.
func (db *DB) Ping(ctx context.Context) error {
	var one int
	return translate(db.readers.QueryRowContext(ctx, "SELECT 1").Scan(&one))
}

// Dialect is "sqlite" or "postgres".
func (db *DB) Dialect() string { return db.dialect.name() }

// Now is the database's clock.
func (db *DB) Now(ctx context.Context) (time.Time, error) {
	if db.lite() {
		return db.clock.now(), nil
	}
	var us int64
	err := db.view(ctx, func(ctx context.Context, t *Tx) error {
		var err error
		us, err = db.dialect.now(ctx, t)
		return err
	})
	return fromMicros(us), err
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
