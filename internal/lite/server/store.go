package server

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the database/sql driver "sqlite"
)

// schema is created as a whole in an empty database; user_version says which
// one a file has.
//
// Points arrive in the journal, a row per group of messages, and move to the
// tree of points many at a time (flush.go).
//
// A point is keyed by (series, time, id) in a table that is its own index: one
// tree to write, and every query by series and time is one range. id, the
// arrival number, keeps readings of equal time apart. v holds the value in its
// own storage class: REAL a number, TEXT a string, INTEGER a boolean, BLOB
// data, NULL none (a sum only).
const schema = `
CREATE TABLE things(id TEXT PRIMARY KEY, name TEXT UNIQUE, key TEXT NOT NULL UNIQUE, metadata TEXT NOT NULL, created INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE channels(id TEXT PRIMARY KEY, name TEXT UNIQUE, metadata TEXT NOT NULL, created INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE links(channel TEXT NOT NULL, thing TEXT NOT NULL, PRIMARY KEY(channel, thing)) WITHOUT ROWID;
CREATE TABLE uplinks(thing TEXT NOT NULL, stream TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY(thing, stream)) WITHOUT ROWID;
CREATE TABLE series(id INTEGER PRIMARY KEY, channel TEXT NOT NULL, publisher TEXT NOT NULL, protocol TEXT NOT NULL, subtopic TEXT NOT NULL, name TEXT NOT NULL, unit TEXT NOT NULL,
	UNIQUE(channel, name, unit, publisher, protocol, subtopic));
CREATE TABLE points(series INTEGER NOT NULL, time INTEGER NOT NULL, id INTEGER NOT NULL, v, sum REAL, ut REAL, PRIMARY KEY(series, time, id)) WITHOUT ROWID;
CREATE TABLE journal(id INTEGER PRIMARY KEY, points BLOB NOT NULL);
CREATE TABLE commands(channel TEXT NOT NULL, id TEXT NOT NULL, state TEXT NOT NULL, updated INTEGER NOT NULL, expires INTEGER NOT NULL DEFAULT 0, payload BLOB, PRIMARY KEY(channel, id)) WITHOUT ROWID;
CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('arrival', 0);
PRAGMA user_version = 1;
`

// schemaVersion is the user_version this code reads and writes.
const schemaVersion = 1

// database is the file and its two sides: one connection that writes, owned by
// the writer, and a few that read.
type database struct {
	path  string
	write *sql.Conn
	read  *sql.DB
	owner *sql.DB // the pool of the one writing connection
}

// openDatabase opens or creates dir/server.db. full asks for an fsync at every
// commit; without it a power cut may lose the last commits, a crash of the
// process never does.
func openDatabase(ctx context.Context, dir string, full bool) (*database, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	path := filepath.Join(dir, "server.db")
	// Keys are in it: the file is its owner's before SQLite opens it.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	f.Close()
	d := &database{path: path}
	if err := d.connect(ctx, full); err != nil {
		return nil, fmt.Errorf("database %s: %w", path, errors.Join(err, d.close()))
	}
	return d, nil
}

func (d *database) connect(ctx context.Context, full bool) error {
	synchronous := "NORMAL"
	if full {
		synchronous = "FULL"
	}
	var err error
	d.owner, err = sql.Open("sqlite", dsn(d.path, "auto_vacuum(INCREMENTAL)", "journal_mode(WAL)",
		"synchronous("+synchronous+")", "cache_size(-4096)", "wal_autocheckpoint(4000)", "journal_size_limit(67108864)", "locking_mode(NORMAL)"))
	if err != nil {
		return err
	}
	d.owner.SetMaxOpenConns(1)
	if d.write, err = d.owner.Conn(ctx); err != nil {
		return err
	}
	if err := migrate(ctx, d.write); err != nil {
		return err
	}
	d.read, err = sql.Open("sqlite", dsn(d.path, "query_only(1)", "cache_size(-1024)"))
	if err != nil {
		return err
	}
	d.read.SetMaxOpenConns(4)
	d.read.SetMaxIdleConns(1)
	return d.read.PingContext(ctx)
}

func dsn(path string, pragmas ...string) string {
	q := url.Values{"_pragma": append([]string{"busy_timeout(5000)", "foreign_keys(0)"}, pragmas...)}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

// migrate brings the schema to schemaVersion.
func migrate(ctx context.Context, c *sql.Conn) error {
	var version int
	if err := c.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	switch version {
	case schemaVersion:
		return nil
	case 0:
		_, err := c.ExecContext(ctx, "BEGIN IMMEDIATE;"+schema+"COMMIT;")
		return err
	}
	return fmt.Errorf("schema version %d is not the %d this program knows", version, schemaVersion)
}

// close closes both sides; the last connection to close checkpoints the log.
func (d *database) close() error {
	var errs []error
	if d.read != nil {
		errs = append(errs, d.read.Close())
	}
	if d.write != nil {
		errs = append(errs, d.write.Close())
	}
	if d.owner != nil {
		errs = append(errs, d.owner.Close())
	}
	return errors.Join(errs...)
}
