package secret_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/secret"
	"github.com/osmoslice/osmoslice/internal/slice"
)

func write(t *testing.T, db operation.Transactor, fn func(ctx context.Context, tx operation.Tx) error) {
	t.Helper()
	if err := db.Write(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func vault(t *testing.T) (*secret.Vault, *memory, string) {
	t.Helper()
	db := newMemory()
	path := filepath.Join(t.TempDir(), "secret.key")
	v, err := secret.Open(t.Context(), path, db)
	if err != nil {
		t.Fatal(err)
	}
	return v, db, path
}

func put(t *testing.T, v *secret.Vault, db *memory, s *slice.Secret, value string) {
	t.Helper()
	write(t, db, func(ctx context.Context, tx operation.Tx) error {
		out, err := v.Put(ctx, tx, *s, []byte(value))
		if err == nil {
			*s = *out
		}
		return err
	})
}

func TestPutResolveDelete(t *testing.T) {
	v, db, _ := vault(t)
	s := &slice.Secret{Meta: slice.Meta{Tenant: "t1", Name: "pw"}}
	put(t, v, db, s, "first value")
	put(t, v, db, s, "second value")
	if s.Version != 2 || s.Size != len("second value") {
		t.Fatalf("version %d, size %d", s.Version, s.Size)
	}
	if len(db.sealed) != 1 {
		t.Fatalf("%d versions are kept, want the newest only", len(db.sealed))
	}
	for _, ref := range []string{s.ID, "pw"} {
		got, err := v.Value(t.Context(), "t1", ref)
		if err != nil || string(got) != "second value" {
			t.Fatalf("resolve %s: %q, %v", ref, got, err)
		}
		if _, err := v.Value(t.Context(), "t2", ref); !fault.Is(err, fault.NotFound) {
			t.Fatalf("another tenant resolves %s: %v", ref, err)
		}
	}
	for _, row := range db.sealed {
		if bytes.Contains(row.Ciphertext, []byte("second")) {
			t.Fatal("the stored row holds the value in clear")
		}
	}
	write(t, db, func(ctx context.Context, tx operation.Tx) error { return v.Delete(ctx, tx, "t1", s.ID) })
	if _, err := v.Value(t.Context(), "t1", s.ID); !fault.Is(err, fault.NotFound) || len(db.sealed) != 0 {
		t.Fatalf("after delete: %v, %d rows", err, len(db.sealed))
	}
}

// What is kept is sealed, replaced, another owner's to nobody, and taken along by
// a rotation.
func TestKeep(t *testing.T) {
	v, db, _ := vault(t)
	for _, value := range []string{"first answer", "second answer"} {
		write(t, db, func(ctx context.Context, tx operation.Tx) error {
			return v.Keep(ctx, tx, "answer 1", "me", []byte(value))
		})
	}
	if _, err := v.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, row := range db.sealed {
		if bytes.Contains(row.Ciphertext, []byte("answer")) {
			t.Fatal("the stored row holds the value in clear")
		}
	}
	write(t, db, func(ctx context.Context, tx operation.Tx) error {
		got, err := v.Kept(ctx, tx, "answer 1", "me")
		if err != nil || string(got) != "second answer" || len(db.sealed) != 1 {
			t.Errorf("%q, %v, %d rows", got, err, len(db.sealed))
		}
		if _, err := v.Kept(ctx, tx, "answer 1", "you"); err == nil {
			t.Error("another owner's value opens")
		}
		if _, err := v.Kept(ctx, tx, "answer 2", "me"); !fault.Is(err, fault.NotFound) {
			t.Errorf("what is not kept: %v", err)
		}
		return nil
	})
}

func TestBounds(t *testing.T) {
	v, db, _ := vault(t)
	for _, n := range []int{0, secret.MaxValue + 1} {
		err := db.Write(t.Context(), func(ctx context.Context, tx operation.Tx) error {
			_, err := v.Put(ctx, tx, slice.Secret{Meta: slice.Meta{Tenant: "t", Name: "n"}}, make([]byte, n))
			return err
		})
		if !fault.Is(err, fault.Invalid) {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
}

// Rows that are exchanged, moved or damaged never decrypt, and the error does
// not tell the value.
func TestRowsAreBound(t *testing.T) {
	v, db, _ := vault(t)
	a := &slice.Secret{Meta: slice.Meta{Tenant: "t1", Name: "a"}}
	b := &slice.Secret{Meta: slice.Meta{Tenant: "t2", Name: "b"}}
	put(t, v, db, a, "value of a")
	put(t, v, db, b, "value of b")
	good := db.row(a.ID)
	for name, change := range map[string]func(s *slice.Sealed){
		"another secret's row":   func(s *slice.Sealed) { o := db.row(b.ID); s.WrappedKey, s.Ciphertext = o.WrappedKey, o.Ciphertext },
		"another version":        func(s *slice.Sealed) { s.Version++ },
		"flipped bit in value":   func(s *slice.Sealed) { s.Ciphertext = flip(s.Ciphertext, len(s.Ciphertext)-1) },
		"flipped bit in key":     func(s *slice.Sealed) { s.WrappedKey = flip(s.WrappedKey, 20) },
		"value of b, key of a":   func(s *slice.Sealed) { s.Ciphertext = db.row(b.ID).Ciphertext },
		"truncated to the nonce": func(s *slice.Sealed) { s.Ciphertext = s.Ciphertext[:5] },
	} {
		bad := good
		change(&bad)
		db.replace(a.ID, bad)
		got, err := v.Value(t.Context(), "t1", a.ID)
		if !fault.Is(err, fault.Internal) || got != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if err != nil && strings.Contains(err.Error(), "value of") {
			t.Errorf("%s: the error tells the value: %v", name, err)
		}
	}
	db.replace(a.ID, good)
	if got, err := v.Value(t.Context(), "t1", a.ID); err != nil || string(got) != "value of a" {
		t.Fatalf("%q, %v", got, err)
	}
}

func flip(b []byte, at int) []byte {
	out := bytes.Clone(b)
	out[at] ^= 1
	return out
}

func TestRotateIsResumable(t *testing.T) {
	v, db, path := vault(t)
	var all []*slice.Secret
	for i := range 250 {
		s := &slice.Secret{Meta: slice.Meta{Tenant: "t", Name: "s" + string(rune('a'+i%26)) + strings.Repeat("x", i/26)}}
		put(t, v, db, s, "value "+s.Name)
		all = append(all, s)
	}
	db.failAfter = 2 // batches: the rotation dies in the middle
	if _, err := v.Rotate(t.Context()); err == nil {
		t.Fatal("the rotation was not interrupted")
	}
	db.failAfter = 0
	// A new process goes on with the same file.
	v2, err := secret.Open(t.Context(), path, db)
	if err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		for _, s := range all {
			if got, err := v2.Value(t.Context(), "t", s.ID); err != nil || string(got) != "value "+s.Name {
				t.Fatalf("%s: %q, %v", s.Name, got, err)
			}
		}
	}
	check()
	n, err := v2.FinishRotation(t.Context())
	if err != nil || n != 50 {
		t.Fatalf("the rest of the rotation: %d, %v; want 50", n, err)
	}
	check()
	ids := v2.KeyIDs()
	for _, row := range db.sealed {
		if row.KeyID != ids[len(ids)-1] {
			t.Fatalf("row under %s after the rotation to %s", row.KeyID, ids[len(ids)-1])
		}
	}
	// A vault that loaded the file before the rotation finds the new key.
	if got, err := v.Value(t.Context(), "t", all[0].ID); err != nil || string(got) != "value "+all[0].Name {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestFingerprint(t *testing.T) {
	v, _, path := vault(t)
	other, _, _ := vault(t)
	was := v.Fingerprint("a")
	if len(was) != 64 || was == v.Fingerprint("b") || was == other.Fingerprint("a") {
		t.Errorf("%s, another text %s, another file %s", was, v.Fingerprint("b"), other.Fingerprint("a"))
	}
	if _, err := v.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	keys, err := secret.LoadKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	if now := secret.New(keys, nil).Fingerprint("a"); now != was {
		t.Errorf("%s after a rotation, before %s", now, was)
	}
}

func TestKeyFileTrouble(t *testing.T) {
	v, db, path := vault(t)
	put(t, v, db, &slice.Secret{Meta: slice.Meta{Tenant: "t", Name: "n"}}, "value")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Fatalf("the key file is made with mode %v", info.Mode())
	}
	var f struct {
		Version int
		Keys    []map[string]any
	}
	if err := json.Unmarshal(good, &f); err != nil {
		t.Fatal(err)
	}
	keyText := f.Keys[0]["key"].(string)
	other, err := secret.CreateKeys(filepath.Join(t.TempDir(), "other.key"))
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := os.ReadFile(other.Path())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text []byte
		mode os.FileMode
		want string
	}{
		"readable by others": {good, 0o644, "can be read by others"},
		"cut off":            {good[:len(good)/2], 0o600, "is damaged"},
		"empty":              {nil, 0o600, "is damaged"},
		"a changed key":      {bytes.Replace(good, []byte(keyText[:4]), []byte("AAAA"), 1), 0o600, "does not match its checksum"},
		"another file":       {foreign, 0o600, "lacks key"},
		"missing":            {nil, 0, "does not exist, but the database holds secrets"},
	} {
		t.Run(name, func(t *testing.T) {
			_ = os.Remove(path)
			if c.mode != 0 {
				if err := os.WriteFile(path, c.text, c.mode); err != nil {
					t.Fatal(err)
				}
			}
			_, err := secret.Open(t.Context(), path, db)
			if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v; want the path and %q", err, c.want)
			}
			if strings.Contains(err.Error(), keyText) {
				t.Fatal("the error tells the key")
			}
			if c.mode == 0 {
				if _, err := os.Stat(path); err == nil {
					t.Fatal("a new key file was made over the loss of the old one")
				}
			}
		})
	}
}

// Kubernetes mounts Secrets as files of root that the pod's group may read: such
// a key file is as secret as it gets there. Our own must not be shared.
func TestKeyFileOfAnotherOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret.key")
	if _, err := secret.CreateKeys(path); err != nil {
		t.Fatal(err)
	}
	for mode, fits := range map[os.FileMode]bool{0o440: false, 0o600: true, 0o400: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := secret.LoadKeys(path); (err == nil) != fits {
			t.Errorf("our own with mode %s: %v", mode, err)
		}
	}
	if os.Geteuid() != 0 {
		return // only root can give a file away
	}
	if err := os.Chown(path, 65534, -1); err != nil {
		t.Fatal(err)
	}
	for mode, fits := range map[os.FileMode]bool{0o440: true, 0o444: false, 0o460: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := secret.LoadKeys(path); (err == nil) != fits {
			t.Errorf("another's with mode %s: %v", mode, err)
		}
	}
}

// Several processes that start at once agree on one key.
func TestCreateIsAtomic(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret.key")
	ids := make([]string, 16)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			v, err := secret.Open(t.Context(), path, newMemory())
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = v.KeyIDs()[0]
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("two keys: %s and %s", ids[0], id)
		}
	}
	left, _ := filepath.Glob(path + ".part-*")
	if len(left) != 0 {
		t.Fatalf("left behind: %v", left)
	}
}

func TestGenerate(t *testing.T) {
	v, db, _ := vault(t)
	seen := map[string]bool{}
	for i := range 20 {
		var s *slice.Secret
		var value []byte
		write(t, db, func(ctx context.Context, tx operation.Tx) (err error) {
			s, value, err = v.Generate(ctx, tx, slice.Secret{Meta: slice.Meta{Tenant: "t", Name: "g" + strings.Repeat("x", i)}})
			return err
		})
		if len(value) != 43 || seen[string(value)] || !s.Generated {
			t.Fatalf("generated %q", value)
		}
		seen[string(value)] = true
		if got, err := v.Value(t.Context(), "t", s.Name); err != nil || !bytes.Equal(got, value) {
			t.Fatalf("%q, %v", got, err)
		}
	}
}
