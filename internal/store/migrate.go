package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/osmoslice/osmoslice/internal/fault"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// Migrations are numbered files. NNNNN_name.sql is for every dialect, with
// {words} in it replaced; NNNNN_name.sqlite.sql and NNNNN_name.postgres.sql are
// for one. A release only expands the schema; what it no longer needs is
// contracted by a later one, so that two releases can run side by side.
//
//go:embed migrations/*.sql
var migrations embed.FS

// steps lists the files of each version.
var steps = [][]string{
	{"00001_base.sql", "00001_audit"},
	{"00002_links.sql"},
}

// schemaVersion is the version this program works with.
func schemaVersion() int64 { return int64(len(steps)) }

// provider reads the migrations for a dialect. Replicas that start together
// wait for each other (a session lock on PostgreSQL).
func provider(db *sql.DB, d dialect) (*goose.Provider, error) {
	var all []*goose.Migration
	for i, files := range steps {
		text, err := script(files, d)
		if err != nil {
			return nil, err
		}
		up := &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, text)
			return err
		}}
		all = append(all, goose.NewGoMigration(int64(i+1), up, nil))
	}
	o := []goose.ProviderOption{
		goose.WithGoMigrations(all...),
		goose.WithDisableGlobalRegistry(true),
		goose.WithSlog(slog.New(slog.NewTextHandler(io.Discard, nil))),
	}
	kind := goose.DialectSQLite3
	if d.name() == "postgres" {
		kind = goose.DialectPostgres
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 600)) // look again every second
		if err != nil {
			return nil, err
		}
		o = append(o, goose.WithSessionLocker(locker))
	}
	return goose.NewProvider(kind, db, nil, o...)
}

// script joins the files of one version for a dialect.
func script(files []string, d dialect) (string, error) {
	var all strings.Builder
	for _, name := range files {
		if !strings.HasSuffix(name, ".sql") {
			name += "." + d.name() + ".sql"
		}
		text, err := migrations.ReadFile("migrations/" + name)
		if err != nil {
			return "", err
		}
		all.Write(text)
	}
	text := all.String()
	for word, meaning := range d.words() {
		text = strings.ReplaceAll(text, word, meaning)
	}
	return text, nil
}

// migrate brings the schema up to date and refuses one of a newer program.
func migrate(ctx context.Context, db *sql.DB, d dialect) error {
	p, err := provider(db, d)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return translate(fmt.Errorf("migrations: %w", err))
	}
	at, err := p.GetDBVersion(ctx)
	if err != nil {
		return translate(err)
	}
	if at > schemaVersion() {
		return fault.New(fault.Unavailable,
			"the database has schema %d of a newer release; this one knows %d: install the newer release", at, schemaVersion())
	}
	return nil
}
