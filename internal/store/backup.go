package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// tables lists what a backup holds, in the order of copying. Leases are of the
// moment and stay behind.
var tables = []string{
	"resources", "key_hashes", "counters", "topology", "operations", "signals", "decisions",
	"ledger", "link_ledger", "link_holdings", "deadlines", "tombstones", "audit", "events", "idempotency", "secret_values",
}

// Backup writes a consistent copy of a live store to a new file, a SQLite
// database of the same schema whatever the source, mode 0600. Secret values in
// it are as encrypted as in the store; the key file is not in it. Writers go on
// meanwhile.
func (db *DB) Backup(ctx context.Context, file string) error {
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return fault.Field("file", file, "a path where no file exists")
	}
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".part-*") // 0600
	if err != nil {
		return backupFault(file, err)
	}
	part := f.Name()
	defer func() {
		_ = os.Remove(part)
		_ = os.Remove(part + "-wal")
		_ = os.Remove(part + "-shm")
	}()
	if err := f.Close(); err != nil {
		return backupFault(file, err)
	}
	if db.path != "" {
		err = db.vacuumInto(ctx, part)
	} else {
		err = db.exportTo(ctx, part)
	}
	if err != nil {
		return inFile(file, err)
	}
	if err := syncFile(part); err != nil {
		return backupFault(file, err)
	}
	// Link, not rename: a file that came meanwhile is not overwritten.
	if err := os.Link(part, file); err != nil {
		return backupFault(file, err)
	}
	return syncFile(filepath.Dir(file))
}

func backupFault(file string, err error) error {
	f := fault.Of(fileFault(file, err))
	f.Detail = strings.Replace(f.Detail, "database file", "backup file", 1)
	return f
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (db *DB) vacuumInto(ctx context.Context, part string) error {
	live, err := sql.Open("sqlite", sqliteDSN(db.path, "busy_timeout(10000)"))
	if err != nil {
		return translate(err)
	}
	defer func() { _ = live.Close() }()
	_, err = live.ExecContext(ctx, "VACUUM INTO $1", part)
	return translate(err)
}

// exportTo copies one snapshot of PostgreSQL.
func (db *DB) exportTo(ctx context.Context, part string) error {
	to, err := sql.Open("sqlite", sqliteDSN(part, "journal_mode(DELETE)", "synchronous(OFF)"))
	if err != nil {
		return translate(err)
	}
	defer func() { _ = to.Close() }()
	to.SetMaxOpenConns(1)
	if err := migrate(ctx, to, sqliteDialect{}); err != nil {
		return err
	}
	from, err := db.readers.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return translate(err)
	}
	defer func() { _ = from.Rollback() }()
	out, err := to.BeginTx(ctx, nil)
	if err != nil {
		return translate(err)
	}
	defer func() { _ = out.Rollback() }()
	if err := copyTables(ctx, from, out); err != nil {
		return err
	}
	var fence int64
	if err := from.QueryRowContext(ctx, "SELECT last_value FROM fences").Scan(&fence); err != nil {
		return translate(err)
	}
	if _, err := out.ExecContext(ctx, "UPDATE counters SET value = $1 WHERE name = 'fence'", fence); err != nil {
		return translate(err)
	}
	if err := settle(ctx, out); err != nil {
		return err
	}
	return translate(out.Commit())
}

// settle makes a SQLite copy whole: events that waited for the sequencer get
// their position, and the position counter passes all that were given.
func settle(ctx context.Context, tx *sql.Tx) error {
	for _, text := range []string{
		"UPDATE events SET position = (SELECT value FROM counters WHERE name = 'events') + w.n FROM (SELECT seq, row_number() OVER (ORDER BY seq) AS n FROM events WHERE position IS NULL) w WHERE events.seq = w.seq",
		"UPDATE counters SET value = max(value, (SELECT coalesce(max(position), 0) FROM events)) WHERE name = 'events'",
		"UPDATE counters SET value = max(value, (SELECT coalesce(max(position), 0) FROM ledger), (SELECT coalesce(max(position), 0) FROM link_ledger), (SELECT coalesce(max(position), 0) FROM topology)) WHERE name = 'positions'",
		"UPDATE operations SET owner = '', lease_until = 0",
	} {
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return translate(err)
		}
	}
	return nil
}

func copyTables(ctx context.Context, from, to *sql.Tx) error {
	for _, table := range tables {
		if err := copyTable(ctx, from, to, table); err != nil {
			return fmt.Errorf("table %s: %w", table, err)
		}
	}
	return nil
}

// copyTable replaces the rows of a table by those of another of the same
// columns, a batch per statement.
func copyTable(ctx context.Context, from, to *sql.Tx, table string) error {
	if _, err := to.ExecContext(ctx, "DELETE FROM "+table); err != nil {
		return translate(err)
	}
	rows, err := from.QueryContext(ctx, "SELECT * FROM "+table)
	if err != nil {
		return translate(err)
	}
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	if err != nil {
		return translate(err)
	}
	head := "INSERT INTO " + table + " (" + strings.Join(names, ", ") + ") VALUES "
	args := make([]any, 0, insertBatch*len(names))
	flush := func() error {
		if len(args) == 0 {
			return nil
		}
		_, err := to.ExecContext(ctx, head+values(len(args)/len(names), len(names)), args...)
		args = args[:0]
		return translate(err)
	}
	for rows.Next() {
		row := make([]any, len(names))
		at := make([]any, len(names))
		for i := range row {
			at[i] = &row[i]
		}
		if err := rows.Scan(at...); err != nil {
			return translate(err)
		}
		if args = append(args, row...); len(args) == cap(args) {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := rows.Err(); err != nil {
		return translate(err)
	}
	return flush()
}

// Restore fills the store named by dsn with a backup, all or nothing. A store
// that holds something is refused unless overwrite is set. It must not be in
// use.
func Restore(ctx context.Context, file, dsn string, overwrite bool, o Options) error {
	source, remove, err := openBackup(ctx, file)
	if err != nil {
		return err
	}
	defer remove()
	db, err := Open(ctx, dsn, o)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	from, err := source.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return translate(err)
	}
	defer func() { _ = from.Rollback() }()
	pool := db.readers
	if db.writer != nil {
		if pool, err = sql.Open("sqlite", sqliteDSN(db.path, "busy_timeout(10000)", "synchronous(FULL)")); err != nil {
			return translate(err)
		}
		defer func() { _ = pool.Close() }()
	}
	to, err := pool.BeginTx(ctx, nil)
	if err != nil {
		return translate(err)
	}
	defer func() { _ = to.Rollback() }()
	if err := db.fill(ctx, from, to, overwrite); err != nil {
		return err
	}
	return translate(to.Commit())
}

func (db *DB) fill(ctx context.Context, from, to *sql.Tx, overwrite bool) error {
	if !overwrite {
		var n int
		err := to.QueryRowContext(ctx, "SELECT (SELECT count(*) FROM resources) + (SELECT count(*) FROM operations) + (SELECT count(*) FROM audit)").Scan(&n)
		if err != nil {
			return translate(err)
		}
		if n > 0 {
			return fault.New(fault.Conflict, "the database is not empty (%d resources, operations and audit records): restoring would lose them", n)
		}
	}
	if _, err := to.ExecContext(ctx, "INSERT INTO audit_retention (before) VALUES (9223372036854775807)"); err != nil {
		return translate(err)
	}
	if err := copyTables(ctx, from, to); err != nil {
		return err
	}
	after := []string{"DELETE FROM audit_retention", "DELETE FROM leases"}
	if db.writer == nil {
		after = append(after,
			// Positions are transaction ids here; all that is restored is old.
			"UPDATE topology SET position = 1", "UPDATE ledger SET position = 1", "UPDATE link_ledger SET position = 1",
			"SELECT setval('fences', greatest(1, (SELECT value FROM counters WHERE name = 'fence')))",
			"SELECT setval(pg_get_serial_sequence('signals', 'seq'), coalesce((SELECT max(seq) FROM signals), 0) + 1)",
			"SELECT setval(pg_get_serial_sequence('audit', 'seq'), coalesce((SELECT max(seq) FROM audit), 0) + 1)",
			"SELECT setval(pg_get_serial_sequence('events', 'seq'), coalesce((SELECT max(seq) FROM events), 0) + 1)")
	}
	for _, text := range after {
		if _, err := to.ExecContext(ctx, text); err != nil {
			return translate(err)
		}
	}
	return nil
}

// openBackup opens a copy of a backup, brought to this program's schema.
func openBackup(ctx context.Context, file string) (*sql.DB, func(), error) {
	dir, err := os.MkdirTemp("", "restore")
	if err != nil {
		return nil, nil, translate(err)
	}
	remove := func() { _ = os.RemoveAll(dir) }
	copied := filepath.Join(dir, "backup.db")
	if err := copyFile(file, copied); err != nil {
		remove()
		return nil, nil, backupFault(file, err)
	}
	db, err := sql.Open("sqlite", sqliteDSN(copied))
	if err != nil {
		remove()
		return nil, nil, translate(err)
	}
	db.SetMaxOpenConns(1)
	remove = func() { _ = db.Close(); _ = os.RemoveAll(dir) }
	if err := checkBackup(ctx, db, file); err != nil {
		remove()
		return nil, nil, err
	}
	return db, remove, nil
}

// checkBackup sees that a file is a whole backup of ours.
func checkBackup(ctx context.Context, db *sql.DB, file string) error {
	var verdict string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return backupFault(file, err)
	}
	if verdict != "ok" {
		return fault.New(fault.Invalid, "backup file %s is corrupt: %s", file, verdict)
	}
	var version int64
	if err := db.QueryRowContext(ctx, "SELECT max(version_id) FROM goose_db_version").Scan(&version); err != nil || version == 0 {
		return fault.New(fault.Invalid, "file %s is no backup of this service", file)
	}
	if err := migrate(ctx, db, sqliteDialect{}); err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return translate(err)
	}
	defer func() { _ = tx.Rollback() }()
	if err := settle(ctx, tx); err != nil {
		return err
	}
	return translate(tx.Commit())
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
