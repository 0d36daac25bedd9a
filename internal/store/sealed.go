package store

import (
	"context"
	"database/sql"

	"github.com/osmoslice/osmoslice/internal/slice"
)

const sealedColumns = "secret, version, tenant, key_id, wrapped_key, ciphertext"

// PutSealed stores one version of a secret's value.
func (t *Tx) PutSealed(ctx context.Context, s slice.Sealed) error {
	_, err := t.exec(ctx, "INSERT INTO secret_values ("+sealedColumns+") VALUES ($1, $2, $3, $4, $5, $6)",
		s.Secret, s.Version, s.Tenant, s.KeyID, s.WrappedKey, s.Ciphertext)
	return err
}

// Sealed answers the newest version of a secret's value and whether there is
// one.
func (t *Tx) Sealed(ctx context.Context, secret string) (slice.Sealed, bool, error) {
	out, err := t.sealed(ctx, "SELECT "+sealedColumns+" FROM secret_values WHERE secret = $1 ORDER BY version DESC LIMIT 1", secret)
	if err != nil || len(out) == 0 {
		return slice.Sealed{}, false, err
	}
	return out[0], true, nil
}

// SealedUnder answers at most limit values whose data key is not wrapped by the
// key-encryption key.
func (t *Tx) SealedUnder(ctx context.Context, notKeyID string, limit int) ([]slice.Sealed, error) {
	return t.sealed(ctx, "SELECT "+sealedColumns+" FROM secret_values WHERE key_id < $1 OR key_id > $1 LIMIT $2", notKeyID, limit)
}

// Rewrap replaces the wrapped data key of a value, unless somebody else did.
func (t *Tx) Rewrap(ctx context.Context, old slice.Sealed, keyID string, wrapped []byte) error {
	_, err := t.exec(ctx, "UPDATE secret_values SET key_id = $4, wrapped_key = $5 WHERE secret = $1 AND version = $2 AND key_id = $3",
		old.Secret, old.Version, old.KeyID, keyID, wrapped)
	return err
}

// DeleteSealed removes all versions of a secret's value older than version; 0
// removes all.
func (t *Tx) DeleteSealed(ctx context.Context, secret string, version int64) error {
	var err error
	if version == 0 {
		_, err = t.exec(ctx, "DELETE FROM secret_values WHERE secret = $1", secret)
	} else {
		_, err = t.exec(ctx, "DELETE FROM secret_values WHERE secret = $1 AND version < $2", secret, version)
	}
	return err
}

func (t *Tx) sealed(ctx context.Context, text string, args ...any) ([]slice.Sealed, error) {
	var out []slice.Sealed
	err := t.each(ctx, text, args, func(r *sql.Rows) error {
		var s slice.Sealed
		err := r.Scan(&s.Secret, &s.Version, &s.Tenant, &s.KeyID, &s.WrappedKey, &s.Ciphertext)
		out = append(out, s)
		return err
	})
	return out, err
}

// SealKeys answers the ids of the key-encryption keys in use.
func (t *Tx) SealKeys(ctx context.Context) ([]string, error) {
	var out []string
	err := t.each(ctx, "SELECT DISTINCT key_id FROM secret_values", nil, strings1(&out))
	return out, err
}
