package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// bound is the additional authenticated data: every part with its length, so
// that no two different lists give the same bytes.
func bound(purpose string, s slice.Sealed, more ...string) []byte {
	var out []byte
	for _, part := range append([]string{"osmoslice secret 1", purpose, s.Secret, s.Tenant}, more...) {
		out = binary.BigEndian.AppendUint32(out, uint32(len(part)))
		out = append(out, part...)
	}
	return binary.BigEndian.AppendUint64(out, uint64(s.Version))
}

// lock encrypts with AES-256-GCM; a random 96-bit nonce comes first (NIST SP
// 800-38D §8.2.2).
func lock(with, plain, aad []byte) ([]byte, error) {
	gcm, err := newGCM(with)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, gcm.NonceSize(), gcm.NonceSize()+len(plain)+gcm.Overhead())
	_, _ = rand.Read(nonce)
	return gcm.Seal(nonce, nonce, plain, aad), nil
}

func unlock(with, sealed, aad []byte) ([]byte, error) {
	gcm, err := newGCM(with)
	if err != nil {
		return nil, err
	}
	n := gcm.NonceSize()
	if len(sealed) < n {
		return nil, fault.New(fault.Internal, "a stored secret is damaged")
	}
	return gcm.Open(nil, sealed[:n], sealed[n:], aad)
}

func newGCM(with []byte) (cipher.AEAD, error) {
	b, err := aes.NewCipher(with)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}

// seal encrypts value; s says whose it is.
func seal(s slice.Sealed, value []byte, kek key) (slice.Sealed, error) {
	dataKey := make([]byte, keySize)
	_, _ = rand.Read(dataKey)
	defer clear(dataKey)
	s.KeyID = kek.ID
	var err error
	if s.Ciphertext, err = lock(dataKey, value, bound("value", s)); err != nil {
		return s, err
	}
	s.WrappedKey, err = lock(kek.Key, dataKey, bound("key", s, kek.ID))
	return s, err
}

// open decrypts; the errors of the cipher say nothing of the value.
func open(s slice.Sealed, kek key) ([]byte, error) {
	dataKey, err := unlock(kek.Key, s.WrappedKey, bound("key", s, kek.ID))
	if err != nil {
		return nil, damaged(s, err)
	}
	defer clear(dataKey)
	value, err := unlock(dataKey, s.Ciphertext, bound("value", s))
	if err != nil {
		return nil, damaged(s, err)
	}
	return value, nil
}

// rewrap answers the data key under another key-encryption key.
func rewrap(s slice.Sealed, from, to key) ([]byte, error) {
	dataKey, err := unlock(from.Key, s.WrappedKey, bound("key", s, from.ID))
	if err != nil {
		return nil, damaged(s, err)
	}
	defer clear(dataKey)
	return lock(to.Key, dataKey, bound("key", s, to.ID))
}

func damaged(s slice.Sealed, err error) error {
	return fault.New(fault.Internal, "secret %s version %d does not decrypt with key %s: the row or the key is damaged", s.Secret, s.Version, s.KeyID).Because(err)
}
