package store

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// OpenReadOnly opens a store that another process may be writing, for reading
// and Backup only: a SQLite file without taking its lock and without migrating
// it. What writes to it fails.
func OpenReadOnly(ctx context.Context, dsn string, o Options) (*DB, error) {
	scheme, path, err := parseDSN(dsn)
	if err != nil {
		return nil, err
	}
	if scheme == "postgres" {
		return Open(ctx, dsn, o)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, translate(err)
	}
	if _, err := os.Stat(abs); err != nil {
		return nil, fault.New(fault.NotFound, "no database at %s", abs).Because(err)
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	db := &DB{dialect: sqliteDialect{}, opts: o, log: o.Log, path: abs}
	if err := db.openReaders(abs, []string{"busy_timeout(10000)"}); err != nil {
		_ = db.Close()
		return nil, err
	}
	return db, nil
}
