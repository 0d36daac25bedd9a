package app

import (
	"context"
	"fmt"
	"io"

	"github.com/osmoslice/osmoslice/internal/config"
	"github.com/osmoslice/osmoslice/internal/secret"
	"github.com/osmoslice/osmoslice/internal/store"
)

// Backup writes a consistent copy of the configured store, live or not, to a
// new file.
func Backup(ctx context.Context, c config.Config, file string, out io.Writer) error {
	db, err := store.OpenReadOnly(ctx, c.Data.DSN, store.Options{})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if err := db.Backup(ctx, file); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "backup written to %s; secrets in it are encrypted, keep %s with it but apart\n", file, c.Data.KeyFile)
	return err
}

// Restore fills the configured store from a backup; one that holds something is
// refused unless replace is set.
func Restore(ctx context.Context, c config.Config, file string, replace bool, out io.Writer) error {
	if err := makeDataDir(c.Data.Dir); err != nil {
		return err
	}
	if err := store.Restore(ctx, file, c.Data.DSN, replace, store.Options{}); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "restored from %s; the key file of that time must be at %s\n", file, c.Data.KeyFile)
	return err
}

// RotateKey adds a key to the key file and wraps all secrets with it. With
// SQLite the service must not be running.
func RotateKey(ctx context.Context, c config.Config, out io.Writer) error {
	db, err := store.Open(ctx, c.Data.DSN, store.Options{Synchronous: c.Data.Synchronous})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	vault, err := secret.Open(ctx, c.Data.KeyFile, db)
	if err != nil {
		return err
	}
	n, err := vault.Rotate(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%d secrets wrapped with the new key in %s\n", n, c.Data.KeyFile)
	return err
}
