package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/supervise"
)

// digests remembers the digest of a file for as long as the file looks the same.
type digests struct{ m sync.Map } // fileKey -> string

type fileKey struct {
	dev, ino     uint64
	size         int64
	mtime, ctime syscall.Timespec
}

func keyOf(st os.FileInfo) (fileKey, bool) {
	s, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return fileKey{}, false
	}
	return fileKey{uint64(s.Dev), s.Ino, s.Size, s.Mtim, s.Ctim}, true //nolint:unconvert // Dev has 32 bits on some machines
}

// expected is the digest the catalogue states for this machine; empty: any.
func expected(pr slice.Process) (string, error) {
	if len(pr.SHA256) == 0 {
		return "", nil
	}
	sum, ok := pr.SHA256[runtime.GOARCH]
	if !ok {
		archs := slices.Sorted(maps.Keys(pr.SHA256))
		return "", fault.New(fault.Invalid, "artefact %s is not made for this machine", pr.Artefact).
			With("packaging/process/sha256", runtime.GOARCH, "one of the architectures "+strings.Join(archs, ", "))
	}
	sum = strings.ToLower(sum)
	if b, err := hex.DecodeString(sum); err != nil || len(b) != sha256.Size {
		return "", fault.Field("packaging/process/sha256/"+runtime.GOARCH, sum, "64 hexadecimal digits")
	}
	return sum, nil
}

// artefact makes sure that the executable is in the content-addressed store and
// answers its digest: what is stored is a copy, so that replacing or editing the
// original harms no running function.
func (d *Driver) artefact(ctx context.Context, c connection, pr slice.Process) (sum string, err error) {
	if pr.Artefact == "" || filepath.Base(pr.Artefact) != pr.Artefact || strings.HasPrefix(pr.Artefact, ".") {
		return "", fault.Field("packaging/process/artefact", pr.Artefact, "the base name of a file")
	}
	want, err := expected(pr)
	if err != nil {
		return "", err
	}
	if want != "" && d.stored(want) {
		return want, nil
	}
	src, err := os.Open(filepath.Join(d.artefactDir(c), pr.Artefact))
	if err != nil {
		return "", fault.New(fault.NotFound, "artefact %s is missing in the artefact folder", pr.Artefact).Because(err)
	}
	defer src.Close()
	st, err := src.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return "", fault.New(fault.Invalid, "artefact %s is not a regular file", pr.Artefact)
	}
	if sum, err = d.digests.of(src, st); err != nil {
		return "", supervise.IOFault(err, "cannot read artefact "+pr.Artefact)
	}
	if want != "" && sum != want {
		return "", fault.New(fault.Invalid, "artefact %s has the wrong digest", pr.Artefact).
			With("packaging/process/sha256/"+runtime.GOARCH, sum, want)
	}
	return sum, d.store(ctx, src, sum, pr.Artefact)
}

func (g *digests) of(f *os.File, st os.FileInfo) (string, error) {
	key, ok := keyOf(st)
	if sum, hit := g.m.Load(key); ok && hit {
		return sum.(string), nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	sum := hex.EncodeToString(h.Sum(nil))
	if ok {
		g.m.Store(key, sum)
	}
	return sum, nil
}

func (d *Driver) storePath(sum string) string { return filepath.Join(d.o.Dir, "artefacts", sum) }

func (d *Driver) stored(sum string) bool {
	st, err := os.Stat(d.storePath(sum))
	return err == nil && st.Mode().IsRegular()
}

// storeLock names the lock of who adds to the store or removes from it.
const storeLock = "artefacts"

// store copies src under its digest, which is checked again while copying.
func (d *Driver) store(ctx context.Context, src *os.File, sum, name string) error {
	if d.stored(sum) {
		return nil
	}
	lock, err := d.lock(ctx, storeLock)
	if err != nil {
		return err
	}
	defer lock.Release()
	if d.stored(sum) { // by another meanwhile
		return nil
	}
	dir := filepath.Dir(d.storePath(sum))
	if err := d.prepare(dir); err != nil {
		return err
	}
	if _, err := src.Seek(0, io.SeekStart); err != nil {
		return supervise.IOFault(err, "cannot read artefact "+name)
	}
	tmp, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return supervise.IOFault(err, "cannot store artefact "+name)
	}
	defer os.Remove(tmp.Name())
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(tmp, h), src)
	err = errors.Join(err, tmp.Chmod(0o500), tmp.Close())
	if err != nil {
		return supervise.IOFault(err, "cannot store artefact "+name)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != sum {
		return fault.New(fault.Conflict, "artefact %s changed while it was copied", name).Retrying(fault.Now)
	}
	if err := os.Rename(tmp.Name(), d.storePath(sum)); err != nil {
		return supervise.IOFault(err, "cannot store artefact "+name)
	}
	return nil
}

// linkStored links the executable into a unit's directory, and stores it anew
// when its last other user just went away with it.
func (d *Driver) linkStored(ctx context.Context, p place, dir string, pr slice.Process, sum string) error {
	err := d.link(dir, sum)
	for range 3 {
		if err == nil || fault.Of(err).Retry != fault.Now {
			break
		}
		if _, err = d.artefact(ctx, p.connection, pr); err == nil {
			err = d.link(dir, sum)
		}
	}
	return err
}

// link puts the stored executable into a unit's directory. The answer wants a
// repetition when the stored one is not there.
func (d *Driver) link(dir, sum string) error {
	to := filepath.Join(dir, "exe")
	tmp := filepath.Join(dir, ".exe-new")
	_ = os.Remove(tmp)
	if err := os.Link(d.storePath(sum), tmp); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return fault.New(fault.Conflict, "the executable was removed meanwhile").Because(err).Retrying(fault.Now)
		}
		return supervise.IOFault(err, "cannot link the executable")
	}
	if err := os.Rename(tmp, to); err != nil {
		return supervise.IOFault(err, "cannot link the executable")
	}
	_ = os.Remove(tmp) // rename does nothing when both are the same file already
	return nil
}

// prune removes every stored executable that no unit links to, and what a
// killed service left half copied. An Apply between storing and linking stores
// again.
func (d *Driver) prune(ctx context.Context) error {
	dir := filepath.Join(d.o.Dir, "artefacts")
	lock, err := d.lock(ctx, storeLock)
	if err != nil {
		return err
	}
	defer lock.Release()
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		st, serr := e.Info()
		if serr != nil {
			continue
		}
		if s, ok := st.Sys().(*syscall.Stat_t); ok && s.Nlink == 1 {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	if err != nil {
		return supervise.IOFault(err, "cannot remove executables no longer used")
	}
	return nil
}

func describe(pr slice.Process, sum string) string {
	return fmt.Sprintf("%s@sha256:%s", pr.Artefact, sum)
}
