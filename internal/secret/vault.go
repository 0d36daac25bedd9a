package secret

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"slices"
	"strconv"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// MaxValue bounds one value in bytes.
const MaxValue = 64 << 10

// Sealer is what the vault needs of a transaction beyond operation.Tx.
type Sealer interface {
	PutSealed(ctx context.Context, s slice.Sealed) error
	// Sealed answers the newest version.
	Sealed(ctx context.Context, secret string) (slice.Sealed, bool, error)
	SealedUnder(ctx context.Context, notKeyID string, limit int) ([]slice.Sealed, error)
	SealKeys(ctx context.Context) ([]string, error)
	Rewrap(ctx context.Context, old slice.Sealed, keyID string, wrapped []byte) error
	// DeleteSealed removes the versions before version; 0: all.
	DeleteSealed(ctx context.Context, secret string, version int64) error
}

// Vault seals and resolves secrets. It may be used by many goroutines.
type Vault struct {
	keys *Keys
	db   operation.Transactor
}

// New makes a vault over keys.
func New(keys *Keys, db operation.Transactor) *Vault { return &Vault{keys: keys, db: db} }

// Open makes a vault over the key file at path. A file that does not exist is
// made, unless the database holds values that need one; a file without a key
// that values need is refused.
func Open(ctx context.Context, path string, db operation.Transactor) (*Vault, error) {
	var needed []string
	err := db.Read(ctx, func(ctx context.Context, tx operation.Tx) error {
		s, err := sealer(tx)
		if err != nil {
			return err
		}
		needed, err = s.SealKeys(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	keys, err := LoadKeys(path)
	switch {
	case fault.Is(err, fault.NotFound) && len(needed) > 0:
		return nil, unusable(path, "does not exist, but the database holds secrets encrypted with it: restore it from a copy")
	case fault.Is(err, fault.NotFound):
		keys, err = CreateKeys(path)
	}
	if err != nil {
		return nil, err
	}
	for _, id := range needed {
		if _, err := keys.byID(id); err != nil {
			return nil, err
		}
	}
	return New(keys, db), nil
}

func sealer(tx operation.Tx) (Sealer, error) {
	s, ok := tx.(Sealer)
	if !ok {
		return nil, fault.New(fault.Internal, "the store keeps no secrets")
	}
	return s, nil
}

// Put stores a value under s (Name, Tenant, Owner, Description and Labels are
// read) in the caller's transaction: a new secret, or the next version when the
// tenant has one of that name. Older versions are removed.
func (v *Vault) Put(ctx context.Context, tx operation.Tx, s slice.Secret, value []byte) (*slice.Secret, error) {
	s.Generated = false
	return v.put(ctx, tx, s, value)
}

// Generate stores a random value of 256 bits (43 characters of the URL-safe
// alphabet) and answers it, for those who must be told once.
func (v *Vault) Generate(ctx context.Context, tx operation.Tx, s slice.Secret) (*slice.Secret, []byte, error) {
	s.Generated = true
	value := Random()
	out, err := v.put(ctx, tx, s, value)
	return out, value, err
}

func (v *Vault) put(ctx context.Context, tx operation.Tx, s slice.Secret, value []byte) (*slice.Secret, error) {
	rows, err := sealer(tx)
	if err != nil {
		return nil, err
	}
	if len(value) == 0 || len(value) > MaxValue {
		return nil, fault.Field("value", strconv.Itoa(len(value))+" bytes", "1 to "+strconv.Itoa(MaxValue)+" bytes")
	}
	s.ID, s.Revision, s.Version, s.Size = "", 0, 1, len(value)
	old, err := tx.ByName(ctx, slice.KindSecret, s.Tenant, "", s.Name)
	switch {
	case fault.Is(err, fault.NotFound):
		err = tx.Insert(ctx, &s)
	case err == nil:
		was := old.(*slice.Secret)
		s.Meta, s.Version = was.Meta, was.Version+1
		err = tx.Update(ctx, &s)
	}
	if err != nil {
		return nil, err
	}
	sealed, err := seal(slice.Sealed{Secret: s.ID, Version: s.Version, Tenant: s.Tenant}, value, v.keys.newest())
	if err != nil {
		return nil, err
	}
	if err := rows.PutSealed(ctx, sealed); err != nil || s.Version == 1 {
		return &s, err
	}
	return &s, rows.DeleteSealed(ctx, s.ID, s.Version)
}

// Keep seals a value of ours that is no resource, under an id that no resource
// has and for an owner; a rotation of keys takes it along. A value kept before
// under the id is replaced.
func (v *Vault) Keep(ctx context.Context, tx operation.Tx, id, owner string, value []byte) error {
	rows, err := sealer(tx)
	if err != nil {
		return err
	}
	sealed, err := seal(slice.Sealed{Secret: id, Version: 1, Tenant: owner}, value, v.keys.newest())
	if err != nil {
		return err
	}
	if err := rows.DeleteSealed(ctx, id, 0); err != nil {
		return err
	}
	return rows.PutSealed(ctx, sealed)
}

// Kept answers what Keep keeps, or fault.NotFound.
func (v *Vault) Kept(ctx context.Context, tx operation.Tx, id, owner string) ([]byte, error) {
	rows, err := sealer(tx)
	if err != nil {
		return nil, err
	}
	sealed, had, err := rows.Sealed(ctx, id)
	if err != nil {
		return nil, err
	}
	if !had {
		return nil, fault.Absent("sealed value", id)
	}
	sealed.Secret, sealed.Tenant = id, owner
	kek, err := v.keys.byID(sealed.KeyID)
	if err != nil {
		return nil, err
	}
	return open(sealed, kek)
}

// Fingerprint tells texts apart without giving a guess away: what it answers, 64
// hexadecimal digits, can be made only by who has the key file. It stays the same
// when keys are rotated.
func (v *Vault) Fingerprint(text string) string { return v.keys.fingerprint(text) }

// Random is a random printable value of 256 bits.
func Random() []byte {
	b := make([]byte, 32)
	_, _ = rand.Read(b)
	out := make([]byte, base64.RawURLEncoding.EncodedLen(len(b)))
	base64.RawURLEncoding.Encode(out, b)
	return out
}

// Find answers the secret that a reference (id or name) means for a tenant, or
// fault.NotFound.
func (v *Vault) Find(ctx context.Context, tx operation.Tx, tenant, ref string) (*slice.Secret, error) {
	r, err := tx.Get(ctx, slice.KindSecret, ref)
	if fault.Is(err, fault.NotFound) || err == nil && r.Head().Tenant != tenant {
		r, err = tx.ByName(ctx, slice.KindSecret, tenant, "", ref)
	}
	if fault.Is(err, fault.NotFound) {
		return nil, fault.Absent("Secret", ref)
	}
	if err != nil {
		return nil, err
	}
	return r.(*slice.Secret), nil
}

// Value is Resolve in a transaction of its own.
func (v *Vault) Value(ctx context.Context, tenant, ref string) (value []byte, err error) {
	err = v.db.Read(ctx, func(ctx context.Context, tx operation.Tx) error {
		value, err = v.Resolve(ctx, tx, tenant, ref)
		return err
	})
	return value, err
}

// Resolve answers the newest value of the secret that ref (id or name) means
// for a tenant. The caller clears it when it is done with it.
func (v *Vault) Resolve(ctx context.Context, tx operation.Tx, tenant, ref string) ([]byte, error) {
	rows, err := sealer(tx)
	if err != nil {
		return nil, err
	}
	s, err := v.Find(ctx, tx, tenant, ref)
	if err != nil {
		return nil, err
	}
	sealed, had, err := rows.Sealed(ctx, s.ID)
	if err != nil {
		return nil, err
	}
	if !had {
		return nil, fault.Absent("value of Secret", ref)
	}
	// The row says whose it is only where the secret says so too.
	sealed.Secret, sealed.Tenant = s.ID, s.Tenant
	kek, err := v.keys.byID(sealed.KeyID)
	if err != nil {
		return nil, err
	}
	return open(sealed, kek)
}

// Delete removes a secret with all its values in the caller's transaction;
// absent is not an error.
func (v *Vault) Delete(ctx context.Context, tx operation.Tx, tenant, ref string) error {
	rows, err := sealer(tx)
	if err != nil {
		return err
	}
	s, err := v.Find(ctx, tx, tenant, ref)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err == nil {
		err = tx.Delete(ctx, s)
	}
	if err != nil {
		return err
	}
	return rows.DeleteSealed(ctx, s.ID, 0)
}

// rewrapBatch bounds the data keys that one transaction rewraps.
const rewrapBatch = 100

// Rotate adds a key-encryption key and rewraps every data key with it; it
// answers how many. Interrupted, FinishRotation goes on.
func (v *Vault) Rotate(ctx context.Context) (int, error) {
	if err := v.keys.add(time.Now()); err != nil {
		return 0, err
	}
	return v.FinishRotation(ctx)
}

// FinishRotation rewraps what is not under the newest key yet. The values
// themselves stay as they are.
func (v *Vault) FinishRotation(ctx context.Context) (int, error) {
	to, total := v.keys.newest(), 0
	for {
		n := 0
		err := v.db.Write(ctx, func(ctx context.Context, tx operation.Tx) error {
			var err error
			n, err = v.rewrapSome(ctx, tx, to)
			return err
		})
		total += n
		if err != nil || n == 0 {
			return total, err
		}
	}
}

func (v *Vault) rewrapSome(ctx context.Context, tx operation.Tx, to key) (int, error) {
	rows, err := sealer(tx)
	if err != nil {
		return 0, err
	}
	batch, err := rows.SealedUnder(ctx, to.ID, rewrapBatch)
	if err != nil {
		return 0, err
	}
	for _, s := range batch {
		from, err := v.keys.byID(s.KeyID)
		if err != nil {
			return 0, err
		}
		wrapped, err := rewrap(s, from, to)
		if err != nil {
			return 0, err
		}
		if err := rows.Rewrap(ctx, s, to.ID, wrapped); err != nil {
			return 0, err
		}
	}
	return len(batch), nil
}

// KeyIDs answers the ids in the key file, the newest last.
func (v *Vault) KeyIDs() []string {
	v.keys.mu.RLock()
	defer v.keys.mu.RUnlock()
	out := make([]string, 0, len(v.keys.all))
	for _, k := range v.keys.all {
		out = append(out, k.ID)
	}
	return slices.Clip(out)
}
