package secret

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
)

const keySize = 32 // AES-256

// Keys are the key-encryption keys of a key file, the newest last.
type Keys struct {
	path string
	mu   sync.RWMutex
	all  []key
}

type key struct {
	ID        string    `json:"id"`
	Key       []byte    `json:"key"`
	CreatedAt time.Time `json:"createdAt"`
	// Check is the SHA-256 of id and key, hex: damage shows when the file is
	// read, not when a secret is needed.
	Check string `json:"check"`
}

type keyFile struct {
	Version int   `json:"version"`
	Keys    []key `json:"keys"`
}

func (k key) check() string {
	h := sha256.New()
	h.Write([]byte(k.ID + "\x00"))
	h.Write(k.Key)
	return hex.EncodeToString(h.Sum(nil))
}

func newKey(now time.Time) key {
	id := make([]byte, 8)
	k := key{Key: make([]byte, keySize), CreatedAt: now.UTC().Truncate(time.Second)}
	_, _ = rand.Read(id) // crypto/rand.Read never fails
	_, _ = rand.Read(k.Key)
	k.ID = hex.EncodeToString(id)
	k.Check = k.check()
	return k
}

// LoadKeys reads a key file. One that does not exist is fault.NotFound.
func LoadKeys(path string) (*Keys, error) {
	k := &Keys{path: path}
	return k, k.reload()
}

// CreateKeys makes a key file with one new key. A file that is there already is
// read instead: of several who create at once, one wins and all use its keys.
func CreateKeys(path string) (*Keys, error) {
	k := &Keys{path: path, all: []key{newKey(time.Now())}}
	part, err := k.writePart()
	if err != nil {
		return nil, err
	}
	defer os.Remove(part)
	if err := os.Link(part, path); errors.Is(err, fs.ErrExist) {
		return LoadKeys(path)
	} else if err != nil {
		return nil, unusable(path, "cannot be made").Because(err)
	}
	return k, syncDir(path)
}

func unusable(path, why string) *fault.Error {
	return fault.New(fault.Unavailable, "key file %s %s", path, why)
}

func (k *Keys) reload() error {
	all, err := readKeys(k.path)
	if err != nil {
		return err
	}
	k.mu.Lock()
	k.all = all
	k.mu.Unlock()
	return nil
}

func readKeys(path string) ([]key, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.New(fault.NotFound, "key file %s does not exist", path)
	case err != nil:
		return nil, unusable(path, "cannot be read").Because(err)
	case !info.Mode().IsRegular():
		return nil, unusable(path, "is no regular file")
	case shared(info):
		return nil, unusable(path, "can be read by others: give it mode 0600 (chmod 600) and change what it protected").
			With("mode", info.Mode().Perm().String(), "-rw-------")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, unusable(path, "cannot be read").Because(err)
	}
	var f keyFile
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	// The decoder's words may quote the file: they are not passed on.
	if d.Decode(&f) != nil || f.Version != 1 || len(f.Keys) == 0 {
		return nil, unusable(path, "is damaged: restore it from a copy")
	}
	for _, one := range f.Keys {
		if len(one.Key) != keySize || one.ID == "" || one.Check != one.check() {
			return nil, unusable(path, "is damaged (a key does not match its checksum): restore it from a copy")
		}
	}
	return f.Keys, nil
}

// shared reports whether a key file can be read by more than this process. One
// that its owner, another user, gave to our group to read is not: Kubernetes
// mounts Secrets so.
func shared(info fs.FileInfo) bool {
	beyond := info.Mode().Perm() & 0o077
	if beyond == 0o040 {
		st, ok := info.Sys().(*syscall.Stat_t)
		return !ok || int(st.Uid) == os.Geteuid()
	}
	return beyond != 0
}

// writePart writes the keys to a new file beside the key file.
func (k *Keys) writePart() (string, error) {
	text, err := json.MarshalIndent(keyFile{Version: 1, Keys: k.all}, "", "  ")
	if err != nil {
		return "", err
	}
	f, err := os.CreateTemp(filepath.Dir(k.path), filepath.Base(k.path)+".part-*") // mode 0600
	if err != nil {
		return "", unusable(k.path, "cannot be written").Because(err)
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		_ = os.Remove(f.Name())
		return "", unusable(k.path, "cannot be written").Because(err)
	}
	return f.Name(), nil
}

func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err == nil {
		err = errors.Join(d.Sync(), d.Close())
	}
	if err != nil {
		return unusable(path, "cannot be made durable").Because(err)
	}
	return nil
}

// add makes a key, durable before it is used.
func (k *Keys) add(now time.Time) error {
	unlock, err := k.exclude()
	if err != nil {
		return err
	}
	defer unlock()
	if err := k.reload(); err != nil {
		return err
	}
	k.mu.RLock()
	next := &Keys{path: k.path, all: append(append([]key(nil), k.all...), newKey(now))}
	k.mu.RUnlock()
	part, err := next.writePart()
	if err != nil {
		return err
	}
	if err := os.Rename(part, k.path); err != nil {
		_ = os.Remove(part)
		return unusable(k.path, "cannot be replaced").Because(err)
	}
	k.mu.Lock()
	k.all = next.all
	k.mu.Unlock()
	return syncDir(k.path)
}

// exclude keeps other processes from adding a key at the same time, which
// would lose one of the two.
func (k *Keys) exclude() (func(), error) {
	f, err := os.OpenFile(k.path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, unusable(k.path, "cannot be locked").Because(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, unusable(k.path, "cannot be locked").Because(err)
	}
	return func() { _ = f.Close() }, nil
}

// newest is the key that encrypts.
func (k *Keys) newest() key {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.all[len(k.all)-1]
}

// fingerprint is the HMAC-SHA256 (RFC 2104) of a text, hex, under a key drawn
// from the file's first, which rotation leaves in its place.
func (k *Keys) fingerprint(text string) string {
	k.mu.RLock()
	first := k.all[0].Key
	k.mu.RUnlock()
	sum := func(with []byte, text string) []byte {
		h := hmac.New(sha256.New, with)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	return hex.EncodeToString(sum(sum(first, "fingerprint"), text))
}

// byID finds a key; one that another process has added is read from the file.
func (k *Keys) byID(id string) (key, error) {
	for try := range 2 {
		k.mu.RLock()
		for _, one := range k.all {
			if one.ID == id {
				k.mu.RUnlock()
				return one, nil
			}
		}
		k.mu.RUnlock()
		if try == 0 {
			if err := k.reload(); err != nil {
				return key{}, err
			}
		}
	}
	return key{}, unusable(k.path, "lacks key "+id+", which secrets are encrypted with: restore the file that has it")
}

// Path is the key file's.
func (k *Keys) Path() string { return k.path }
