package store

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

func TestReadOnlyBesideTheLiveStore(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	path := filepath.Join(dir, "live.db")
	if _, err := OpenReadOnly(ctx, path, Options{}); !fault.Is(err, fault.NotFound) {
		t.Fatalf("absent file: %v", err)
	}
	live, err := Open(ctx, path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	insert := func(db *DB, name string) error {
		return db.Update(ctx, func(ctx context.Context, tx operation.Tx) error {
			return tx.Insert(ctx, &slice.Tenant{Meta: slice.Meta{Tenant: slice.System, Name: name}})
		})
	}
	if err := insert(live, "one"); err != nil {
		t.Fatal(err)
	}
	beside, err := OpenReadOnly(ctx, path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer beside.Close()
	copied := filepath.Join(dir, "copy.db")
	if err := beside.Backup(ctx, copied); err != nil {
		t.Fatal(err)
	}
	if err := insert(live, "two"); err != nil {
		t.Errorf("the live store after the backup: %v", err)
	}
	into := filepath.Join(dir, "into.db")
	if err := Restore(ctx, copied, into, false, Options{}); err != nil {
		t.Fatal(err)
	}
	again, err := Open(ctx, into, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	err = again.View(ctx, func(ctx context.Context, tx operation.Tx) error {
		_, err := tx.ByName(ctx, slice.KindTenant, slice.System, "", "one")
		return err
	})
	if err != nil {
		t.Errorf("restored: %v", err)
	}
}
