package host

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/supervise"
)

// FenceKept is how long the generation of a deleted release is remembered.
const FenceKept = 2 * time.Hour

// Options configure the driver; only Dir is required.
type Options struct {
	Dir string // where everything is kept; made when absent
	// ArtefactDir holds the executables; empty: the folder of the running binary.
	ArtefactDir string
	// ArtefactDirs are further folders that connection data may name.
	ArtefactDirs []string
	// ShimPath is executed as shim; empty: the running binary. Its main (or
	// TestMain) calls supervise.ShimMain first.
	ShimPath string
	// HostID names this machine; empty: derived from /etc/machine-id, else made
	// once and kept in Dir.
	HostID string
	// Restart, when not zero, replaces the supervisor's default restart times.
	Restart Restart
	Logger  *slog.Logger `json:"-"` // nil: none

	failpoint func(string) // of tests: called between the steps of Apply and Delete
}

// Restart sets how functions are started again; zero fields keep the defaults
// of supervise.Spec.
type Restart struct {
	Backoff, MaxBackoff, Stable, Grace, Hang time.Duration
	Starts                                   int
}

// Driver runs functions as processes of this machine.
type Driver struct {
	o       Options
	digests digests
	id      sync.Mutex // guards o.HostID while it is found out
}

var (
	_ domain.Driver    = (*Driver)(nil)
	_ domain.Inventory = (*Driver)(nil)
	_ domain.Watcher   = (*Driver)(nil)
	_ domain.Lister    = (*Driver)(nil)
	_ domain.Checker   = (*Driver)(nil)
)

// New makes the driver. It touches nothing: directories are made when needed,
// and what cannot be made is the fault of the call that needs it.
func New(o Options) *Driver {
	if abs, err := filepath.Abs(o.Dir); err == nil {
		o.Dir = abs
	}
	if o.ArtefactDir == "" {
		if exe, err := os.Executable(); err == nil {
			o.ArtefactDir = filepath.Dir(exe)
		}
	}
	if o.ShimPath == "" {
		o.ShimPath = supervise.SelfPath
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.failpoint == nil {
		o.failpoint = func(string) {}
	}
	dirs := []string{filepath.Clean(o.ArtefactDir)}
	for _, d := range o.ArtefactDirs {
		dirs = append(dirs, filepath.Clean(d))
	}
	o.ArtefactDirs = dirs
	return &Driver{o: o}
}

// Plugin is the driver with the schema of its connection data.
func Plugin(o Options) domain.Plugin {
	return domain.Plugin{Name: "host", Version: "1", Schema: json.RawMessage(schema), Driver: New(o)}
}

// machineID is where machine-id(5) is; tests have machines without one.
var machineID = "/etc/machine-id"

// HostID names this machine. Derived from /etc/machine-id it is a digest: the
// machine id itself is not to be told to others (machine-id(5)).
func (d *Driver) HostID() (string, error) {
	d.id.Lock()
	defer d.id.Unlock()
	if d.o.HostID != "" {
		return d.o.HostID, nil
	}
	if b, err := os.ReadFile(machineID); err == nil && len(strings.TrimSpace(string(b))) >= 32 {
		sum := sha256.Sum256([]byte("osmoslice host " + strings.TrimSpace(string(b))))
		d.o.HostID = hex.EncodeToString(sum[:8])
		return d.o.HostID, nil
	}
	id, err := d.madeID()
	if err == nil {
		d.o.HostID = id
	}
	return id, err
}

// madeID reads or makes the id of a machine that has none of its own.
func (d *Driver) madeID() (string, error) {
	lock, err := d.lock(context.Background(), "host-id")
	if err != nil {
		return "", err
	}
	defer lock.Release()
	path := filepath.Join(d.o.Dir, "host-id")
	if b, err := os.ReadFile(path); err == nil && len(bytes.TrimSpace(b)) > 0 {
		return string(bytes.TrimSpace(b)), nil
	}
	b := make([]byte, 8)
	rand.Read(b)
	id := hex.EncodeToString(b)
	if err := supervise.WriteFile(path, []byte(id), true); err != nil {
		return "", supervise.IOFault(err, "cannot keep this host's id")
	}
	return id, nil
}

// place is one site as this driver acts on it.
type place struct {
	site domain.Site
	connection
	dir string // sites/<site>
}

// claim reads the connection data and refuses the site of another host.
func (d *Driver) claim(s domain.Site) (place, error) {
	c, err := connect(s, d.o.ArtefactDirs)
	if err != nil {
		return place{}, err
	}
	if c.HostID != "" {
		mine, err := d.HostID()
		if err != nil {
			return place{}, err
		}
		if c.HostID != mine {
			return place{}, fault.New(fault.Unavailable, "infrastructure %q belongs to host %q, this replica runs on host %q",
				s.Name, c.HostID, mine).Retrying(fault.Backoff)
		}
	}
	return place{site: s, connection: c, dir: filepath.Join(d.o.Dir, "sites", fileName(s.ID))}, nil
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

// fileName is a name for id that is safe as a file's, and the only one for it.
func fileName(id string) string {
	if plainName.MatchString(id) {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "=" + hex.EncodeToString(sum[:16])
}

var releaseName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,52}$`)

func checkRelease(release string) error {
	if !releaseName.MatchString(release) {
		return fault.Field("release", release, "at most 53 characters of [a-z0-9-], starting with a letter")
	}
	return nil
}

func (p place) units() string { return filepath.Join(p.dir, "units") }

func (p place) unit(release string) supervise.Unit {
	return supervise.Unit{Dir: filepath.Join(p.units(), release)}
}

// owner names a release among all of this driver's.
func (p place) owner(release string) string { return filepath.Base(p.dir) + "/" + release }

// prepare makes a directory.
func (d *Driver) prepare(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return supervise.IOFault(err, "cannot make the host domain's directory")
	}
	return nil
}

// lock excludes every other caller that names the same thing.
func (d *Driver) lock(ctx context.Context, name string) (*supervise.Lock, error) {
	if err := ctx.Err(); err != nil {
		return nil, fault.Of(err)
	}
	if err := d.prepare(d.o.Dir); err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(name))
	offset := int64(binary.BigEndian.Uint64(sum[:8]) >> 2)
	return supervise.TakeLock(ctx, filepath.Join(d.o.Dir, "lock"), offset)
}

// Check proves that this replica can act on the site.
func (d *Driver) Check(ctx context.Context, s domain.Site) error {
	p, err := d.claim(s)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fault.Of(err)
	}
	if err := d.prepare(p.units()); err != nil {
		return err
	}
	probe := filepath.Join(p.dir, ".check")
	if err := os.WriteFile(probe, []byte("ok"), 0o600); err != nil {
		return supervise.IOFault(err, "cannot write to the host domain's directory")
	}
	_ = os.Remove(probe)
	dir := d.artefactDir(p.connection)
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return fault.New(fault.Invalid, "the artefact folder cannot be read").Because(errors.Unwrap(err)).
			With("connection/artefacts", dir, "an existing folder")
	}
	return nil
}

func (d *Driver) artefactDir(c connection) string {
	if c.Artefacts != "" {
		return filepath.Clean(c.Artefacts)
	}
	return d.o.ArtefactDir
}
