package store

import (
	"context"
	"os"
	"path/filepath"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// OpenReadOnly opens a store for reading and Backup, also while another process
// serves it; it takes no lock and changes nothing. A schema of another release
// is refused.
func OpenReadOnly(ctx context.Context, dsn string, o Options) (*DB, error) {
	db := &DB{opts: o, log: o.Log, readOnly: true}
	scheme, path, err := parseDSN(dsn)
	if err == nil && scheme == "postgres" {
		db.dialect = postgresDialect{}
		_, err = db.openPool(ctx, dsn)
	} else if err == nil {
		db.dialect = sqliteDialect{}
		err = db.openExisting(path)
	}
	if err == nil {
		var version int64
		err = translate(db.readers.QueryRowContext(ctx, "SELECT max(version_id) FROM goose_db_version").Scan(&version))
		if err == nil && version != schemaVersion() {
			err = fault.New(fault.Unavailable, "the database has schema %d, this program knows %d: use the release that serves it", version, schemaVersion())
		}
	}
	if err != nil {
		_ = db.Close()
		return nil, inFile(db.path, err)
	}
	return db, nil
}

// openExisting opens a file for reading that must be there.
func (db *DB) openExisting(path string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return translate(err)
	}
	if _, err := os.Stat(abs); err != nil {
		return fault.New(fault.NotFound, "database file %s does not exist", abs).Because(err)
	}
	db.path = abs
	return db.openReaders(abs, []string{"busy_timeout(10000)"})
}
