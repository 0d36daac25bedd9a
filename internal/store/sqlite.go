package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/osmoslice/osmoslice/internal/fault"

	_ "modernc.org/sqlite" // registers the "sqlite" driver
)

// sqliteDialect is one file and one process.
type sqliteDialect struct{}

func (sqliteDialect) name() string { return "sqlite" }

func (sqliteDialect) now(_ context.Context, t *Tx) (int64, error) {
	return micros(t.db.clock.now()), nil
}

func (sqliteDialect) words() map[string]string {
	return map[string]string{"{key}": "TEXT", "{serial}": "INTEGER PRIMARY KEY AUTOINCREMENT", "{blob}": "BLOB"}
}

func (sqliteDialect) plain(column string) string { return "+" + column }

func (sqliteDialect) contains(column, placeholder string) string {
	return "instr(" + column + ", " + placeholder + ") > 0"
}

// position: there is one writer, so a counter is enough.
func (sqliteDialect) position(ctx context.Context, t *Tx) (int64, error) {
	return t.count(ctx, "positions")
}

func (sqliteDialect) reached(ctx context.Context, t *Tx) (int64, error) {
	var n int64
	_, err := t.row(ctx, "SELECT value FROM counters WHERE name = $1", []any{"positions"}, &n)
	return n, err
}

func (sqliteDialect) fence(ctx context.Context, t *Tx) (int64, error) { return t.count(ctx, "fence") }

func (sqliteDialect) sequenced() bool { return true }

func (sqliteDialect) lockRows() string { return "" }

// count takes the next value of a counter.
func (t *Tx) count(ctx context.Context, name string) (int64, error) {
	var n int64
	_, err := t.row(ctx, "UPDATE counters SET value = value + 1 WHERE name = $1 RETURNING value", []any{name}, &n)
	return n, err
}

func sqliteDSN(path string, pragmas ...string) string {
	q := url.Values{"_pragma": pragmas}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

func (db *DB) openSQLite(ctx context.Context, path string) error {
	db.dialect = sqliteDialect{}
	abs, err := filepath.Abs(path)
	if err != nil {
		return translate(err)
	}
	mode := strings.ToUpper(db.opts.Synchronous)
	if mode == "" {
		mode = "FULL"
	}
	if allowed := []string{"NORMAL", "FULL", "EXTRA"}; !slices.Contains(allowed, mode) {
		return fault.Field("synchronous", db.opts.Synchronous, strings.Join(allowed, ", "))
	}
	if err := db.lockFile(abs); err != nil {
		return err
	}
	db.path = abs
	common := []string{"busy_timeout(10000)", "temp_store(2)"}
	wdb, err := sql.Open("sqlite", sqliteDSN(abs, append([]string{"journal_mode(WAL)", "synchronous(" + mode + ")", "wal_autocheckpoint(4000)", "cache_size(-16000)"}, common...)...))
	if err != nil {
		return translate(err)
	}
	wdb.SetMaxOpenConns(1)
	db.closers = append(db.closers, wdb.Close)
	if err := checkSQLite(ctx, wdb, abs); err != nil {
		return err
	}
	if err := migrate(ctx, wdb, db.dialect); err != nil {
		return inFile(abs, err)
	}
	if err := db.startWriter(ctx, wdb); err != nil {
		return inFile(abs, err)
	}
	return db.openReaders(abs, common)
}

// openReaders opens the pool that only reads.
func (db *DB) openReaders(abs string, common []string) error {
	rdb, err := sql.Open("sqlite", sqliteDSN(abs, append([]string{"query_only(1)", "cache_size(-4000)"}, common...)...))
	if err != nil {
		return translate(err)
	}
	db.pool(rdb, 8)
	return nil
}

// startWriter takes the one writing connection, and the leases of a dead
// process: the lock on the file says that there is no other.
func (db *DB) startWriter(ctx context.Context, wdb *sql.DB) error {
	conn, err := wdb.Conn(ctx)
	if err != nil {
		return translate(err)
	}
	max := db.opts.MaxBatch
	if max <= 0 {
		max = 256
	}
	w := &writer{db: db, conn: conn, max: max}
	w.stmts = newStmtCache(func(ctx context.Context, text string) (*sql.Stmt, error) { return conn.PrepareContext(ctx, text) })
	db.closers = append(db.closers, w.close)
	if _, err := conn.ExecContext(ctx, "UPDATE operations SET owner = '', lease_until = 0 WHERE open = 1 AND owner <> ''"); err != nil {
		return translate(err)
	}
	err = conn.QueryRowContext(ctx, "SELECT value, (SELECT count(*) FROM operations WHERE open = 1) FROM counters WHERE name = 'events'").
		Scan(&w.tally.events, &w.tally.open)
	if err != nil {
		return translate(err)
	}
	db.writer = w
	return nil
}

// lockFile keeps other processes from serving the same file.
func (db *DB) lockFile(abs string) error {
	f, err := os.OpenFile(abs+".lock", os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return fileFault(abs, err)
	}
	db.closers = append(db.closers, f.Close)
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return fault.New(fault.Unavailable, "database file %s is in use by another process", abs)
		}
		return fileFault(abs, err)
	}
	return nil
}

// checkSQLite opens the file, sees that it is a database that can be written,
// and that only its owner can read it.
func checkSQLite(ctx context.Context, wdb *sql.DB, abs string) error {
	if f, err := os.OpenFile(abs, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return fileFault(abs, err)
	} else if err := f.Close(); err != nil {
		return fileFault(abs, err)
	}
	var tables int
	err := wdb.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables)
	return inFile(abs, translate(err))
}

// inFile names the file in a translated error.
func inFile(path string, err error) error {
	if err == nil || path == "" || strings.Contains(err.Error(), path) {
		return err
	}
	f := fault.Of(err)
	out := *f
	out.Detail = fmt.Sprintf("database file %s: %s", path, f.Detail)
	return &out
}
