package store_test

import (
	"path/filepath"
	"testing"

	"github.com/osmoslice/osmoslice/internal/store"
	"github.com/osmoslice/osmoslice/internal/store/pgtest"
	"github.com/osmoslice/osmoslice/internal/store/storetest"
)

func open(t testing.TB, dsn string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), dsn, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func TestSQLite(t *testing.T) {
	target := func(t testing.TB) string { return "sqlite://" + filepath.Join(t.TempDir(), "store.db") }
	storetest.Run(t, storetest.Harness{
		Fresh: func(t testing.TB) (*store.DB, *store.DB) {
			db := open(t, target(t))
			return db, db
		},
		Target: target,
		Open:   open,
	})
}

func TestPostgres(t *testing.T) {
	server := pgtest.Start(t)
	storetest.Run(t, storetest.Harness{
		Fresh: func(t testing.TB) (*store.DB, *store.DB) {
			dsn := server.DSN(t)
			return open(t, dsn), open(t, dsn)
		},
		Target: server.DSN,
		Open:   open,
	})
}
