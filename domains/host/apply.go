package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/supervise"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// Apply makes the site run the deployment. It returns when the wish is durable
// and a shim has tried to start the function.
func (d *Driver) Apply(ctx context.Context, dep domain.Deployment) error {
	p, err := d.claim(dep.Site)
	if err != nil {
		return err
	}
	if err := checkRelease(dep.Release); err != nil {
		return err
	}
	lock, err := d.lock(ctx, p.owner(dep.Release))
	if err != nil {
		return err
	}
	defer lock.Release()
	u := p.unit(dep.Release)
	r, err := readRecord(u.Dir)
	if err == nil {
		err = p.guard(dep.Ref, r)
	}
	if err != nil {
		return err
	}
	if r != nil && r.Progress == deleting {
		if err := d.remove(ctx, p, dep.Release); err != nil {
			return err
		}
		r = nil
	}
	if r != nil && r.Progress == applied && r.Hash == dep.Hash {
		return d.keep(ctx, u, r, dep.Generation)
	}
	return d.replace(ctx, p, u, r, dep)
}

// keep brings a newer generation in force and sees that a shim serves; a
// function that has failed is given a new start.
func (d *Driver) keep(ctx context.Context, u supervise.Unit, r *record, generation int64) error {
	if r.Generation != generation {
		r.Generation = generation
		if err := writeRecord(u.Dir, r, true); err != nil {
			return err
		}
	}
	st, alive, _ := u.State(ctx)
	if alive && (st.Phase == supervise.Failed || st.Digest == "") { // or its shim is silent
		if err := u.Stop(ctx); err != nil {
			return err
		}
		alive = false
	}
	if alive {
		return nil
	}
	return u.Relaunch(ctx, d.o.ShimPath)
}

// replace brings in a wish that is not in force. What can be refused is refused
// before anything changes, but the fence rises even then.
func (d *Driver) replace(ctx context.Context, p place, u supervise.Unit, r *record, dep domain.Deployment) error {
	sum, err := d.refusal(ctx, p, dep)
	if err == nil {
		err = d.bring(ctx, p, u, r, dep, sum)
	}
	if err != nil && r == nil {
		if left, _ := readRecord(u.Dir); left == nil {
			_ = d.bury(ctx, p, dep.Ref) // what refused it is the error to tell
		}
	} else if err != nil && r.Generation < dep.Generation && r.Progress == applied {
		r.Generation = dep.Generation
		_ = writeRecord(u.Dir, r, true)
	}
	return err
}

// refusal checks all that can be known to be wrong beforehand, and stores the
// executable.
func (d *Driver) refusal(ctx context.Context, p place, dep domain.Deployment) (sum string, err error) {
	if err := check(dep); err != nil {
		return "", err
	}
	numbers := map[string]int{}
	for _, w := range dep.Ports {
		numbers[w.Name] = 1
	}
	if _, err := rendered(p, "/", "/tmp", dep, numbers); err != nil {
		return "", err
	}
	return d.artefact(ctx, p.connection, *dep.Packaging.Process)
}

// bring does the work. Every step can be repeated; the record says when it was
// done to its end.
func (d *Driver) bring(ctx context.Context, p place, u supervise.Unit, before *record, dep domain.Deployment, sum string) error {
	r := newRecord(p, dep)
	if before != nil {
		r.Ports, r.Endpoints, r.Files = before.Ports, before.Endpoints, before.Files
	}
	if err := d.prepare(u.Dir); err != nil {
		return err
	}
	d.o.failpoint("apply:directory")
	if before == nil { // an update keeps the old record until it can no longer fail early
		if err := writeRecord(u.Dir, r, false); err != nil {
			return err
		}
	}
	d.o.failpoint("apply:intent")
	had := r.Ports
	if before == nil || before.Progress == applying {
		had = nil // a killed service may have reserved more than it wrote down
	}
	numbers, err := d.reserve(p, dep.Release, dep.Ports, had)
	if err != nil {
		d.forget(ctx, p, u, before, dep.Release)
		return err
	}
	d.o.failpoint("apply:ports")
	w, err := rendered(p, filepath.Join(u.Dir, "work"), filepath.Join(u.Dir, "tmp"), dep, numbers)
	if err != nil {
		return err
	}
	w.complete(d.o.Restart, u.Dir, describe(*dep.Packaging.Process, sum))
	return d.switchTo(ctx, p, u, r, before, dep, w, sum, numbers)
}

// forget undoes what an Apply that cannot get its ports has begun.
func (d *Driver) forget(ctx context.Context, p place, u supervise.Unit, before *record, release string) {
	if before != nil {
		_ = d.releasePorts(p.owner(release), before.Ports)
		return
	}
	if d.releasePorts(p.owner(release), nil) == nil {
		_ = os.RemoveAll(u.Dir) // what cannot be removed is listed, and removed by Delete
	}
	_ = d.prune(ctx) // or the next Delete does
}

// switchTo ends the old function, puts the new one's files in place, starts it,
// and only then says so for ever.
func (d *Driver) switchTo(ctx context.Context, p place, u supervise.Unit, r, before *record, dep domain.Deployment, w wish, sum string, numbers map[string]int) error {
	oldFiles := r.Files
	r.Ports, r.Endpoints, r.Files = numbers, p.endpoints(dep.Ports, numbers), sortedKeys(w.files)
	st, alive, _ := u.State(ctx)
	if !alive || st.Digest != w.spec.Digest() || st.Phase == supervise.Failed {
		if before != nil {
			if err := writeRecord(u.Dir, r, false); err != nil {
				return err
			}
		}
		d.o.failpoint("apply:before-stop")
		if err := u.Stop(ctx); err != nil {
			return err
		}
		d.o.failpoint("apply:stopped")
		if err := writeFiles(u.Dir, w.files, oldFiles); err != nil {
			return err
		}
		if err := d.linkStored(ctx, p, u.Dir, *dep.Packaging.Process, sum); err != nil {
			return err
		}
		d.o.failpoint("apply:files")
	}
	wait := syncAll(unitFiles(u.Dir, r.Files)...) // meanwhile the shim starts
	err := u.Launch(ctx, d.o.ShimPath, w.spec)
	if err == nil {
		err = syncAll(u.SpecPath(), u.Dir)()
	}
	if serr := wait(); err == nil {
		err = serr
	}
	if err != nil {
		return err
	}
	d.o.failpoint("apply:launched")
	return d.settle(ctx, p, u, r, before != nil)
}

// settle gives back what the wish before needed and this one does not, and
// writes the record that makes the wish durable.
func (d *Driver) settle(ctx context.Context, p place, u supervise.Unit, r *record, update bool) error {
	if err := d.releasePorts(p.owner(r.Release), r.Ports); err != nil {
		return err
	}
	if update {
		if err := d.prune(ctx); err != nil {
			return err
		}
	}
	r.Progress = applied
	wait := syncAll(p.units())
	err := writeRecord(u.Dir, r, true)
	if serr := wait(); err == nil {
		err = serr
	}
	d.o.failpoint("apply:done")
	return err
}

// unitFiles are the executable, the files and their directories.
func unitFiles(dir string, files []string) []string {
	paths := []string{filepath.Join(dir, "exe"), filepath.Join(dir, "work")}
	for _, name := range files {
		path := filepath.Join(dir, "work", name)
		paths = append(paths, path, filepath.Dir(path))
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// syncAll begins to bring all paths to the disk, side by side so that one
// commit of the file system's journal serves many; wait waits for it.
func syncAll(paths ...string) (wait func() error) {
	errs := make(chan error, len(paths))
	for _, path := range paths {
		go func() { errs <- supervise.Sync(path) }()
	}
	return func() error {
		var err error
		for range paths {
			if e := <-errs; err == nil {
				err = e
			}
		}
		if err != nil {
			return supervise.IOFault(err, "cannot bring the function's files to the disk")
		}
		return nil
	}
}

func newRecord(p place, dep domain.Deployment) *record {
	return &record{Progress: applying, Generation: dep.Generation, Hash: dep.Hash, Site: p.site.ID, Slice: dep.Slice,
		Element: dep.Element, Release: dep.Release, Tenant: dep.Tenant, Node: dep.Node, Product: dep.Product,
		Labels: dep.Labels, Storage: dep.Resources.Storage}
}

// check refuses a deployment this driver cannot run.
func check(dep domain.Deployment) error {
	if dep.Packaging.Process == nil {
		return fault.Field("packaging/process", "none", "an executable artefact: the host domain runs processes")
	}
	if dep.Hash == "" {
		return fault.Field("hash", "", "the digest of the deployment")
	}
	if dep.Replicas > 1 {
		return fault.Field("replicas", strconv.Itoa(dep.Replicas), "1: a host runs one process per element")
	}
	if r := dep.Resources; r.CPU < 0 || r.Memory < 0 || r.Storage < 0 {
		return fault.Field("resources", fmt.Sprintf("%+v", r), "quantities of 0 or more")
	}
	names := map[string]bool{}
	for i, w := range dep.Ports {
		at := fmt.Sprintf("ports/%d", i)
		switch {
		case w.Name == "" || strings.ContainsAny(w.Name, "/}\x00") || names[w.Name]:
			return fault.Field(at+"/name", w.Name, "a name used once, without / and }")
		case w.Protocol != "tcp" && w.Protocol != "udp":
			return fault.Field(at+"/protocol", w.Protocol, "tcp or udp")
		case w.Fixed < 0 || w.Fixed > 65535:
			return fault.Field(at+"/fixed", strconv.Itoa(w.Fixed), "0 to 65535")
		}
		names[w.Name] = true
	}
	if dep.Probe.Port != "" && !names[dep.Probe.Port] {
		return fault.Field("probe/port", dep.Probe.Port, "the name of one of the deployment's ports")
	}
	if dep.Probe.Path != "" && (dep.Probe.Port == "" || !strings.HasPrefix(dep.Probe.Path, "/") || strings.ContainsAny(dep.Probe.Path, " \r\n")) {
		return fault.Field("probe/path", dep.Probe.Path, "a path that starts with /, together with a port")
	}
	for k, v := range dep.Env {
		if k == "" || strings.ContainsAny(k, "=\x00") || strings.Contains(v, "\x00") {
			return fault.Field("env", k, "a name without =, a value without NUL")
		}
	}
	for name := range dep.Files {
		if !filepath.IsLocal(name) || filepath.Clean(name) == "." {
			return fault.Field("files", name, "a path inside the function's directory")
		}
	}
	return nil
}

// wish is a deployment with every placeholder filled in.
type wish struct {
	spec  supervise.Spec
	files map[string][]byte
}

// rendered fills the placeholders for a function in dir.
func rendered(p place, dir, tmp string, dep domain.Deployment, numbers map[string]int) (w wish, err error) {
	f := filler{dir: dir, listen: p.Listen, ports: numbers, files: dep.Files}
	if w.spec.Args, err = f.args(dep); err != nil {
		return w, err
	}
	if w.spec.Env, err = f.env(dep, tmp); err != nil {
		return w, err
	}
	if w.files, err = f.contents(dep); err != nil {
		return w, err
	}
	w.spec.Dir = dir
	w.spec.Limits = supervise.Limits{CPU: dep.Resources.CPU, Memory: dep.Resources.Memory}
	w.spec.Probe = supervise.Probe{Path: dep.Probe.Path, Interval: dep.Probe.Interval, Timeout: dep.Probe.Timeout}
	if n := numbers[dep.Probe.Port]; n != 0 {
		w.spec.Probe.Address = net.JoinHostPort(dialable(p.Listen), strconv.Itoa(n))
	}
	return w, nil
}

// dialable is the address to probe a listener at.
func dialable(listen string) string {
	if ip := net.ParseIP(listen); ip != nil && ip.IsUnspecified() {
		return "localhost"
	}
	return listen
}

// complete adds what depends on the unit. The digest of files and executable
// makes a change of either a change of the specification.
func (w *wish) complete(rs Restart, dir, exe string) {
	h := sha256.New()
	for _, name := range sortedKeys(w.files) {
		fmt.Fprintf(h, "%q %d ", name, len(w.files[name]))
		h.Write(w.files[name])
	}
	w.spec.Extra = exe + " files " + hex.EncodeToString(h.Sum(nil))
	w.spec.Unit = supervise.UnitName(dir)
	w.spec.Path = filepath.Join(dir, "exe")
	w.spec.Backoff, w.spec.MaxBackoff, w.spec.Stable = rs.Backoff, rs.MaxBackoff, rs.Stable
	w.spec.Grace, w.spec.Starts, w.spec.Probe.Hang = rs.Grace, rs.Starts, rs.Hang
}

// writeFiles makes the function's directories, removes the files of the wish
// before and writes those of this one. The root keeps it inside, whatever links
// the function may have made.
func writeFiles(unit string, files map[string][]byte, old []string) error {
	for _, dir := range []string{"work", "tmp"} {
		if err := os.MkdirAll(filepath.Join(unit, dir), 0o700); err != nil {
			return supervise.IOFault(err, "cannot make the function's directory")
		}
	}
	root, err := os.OpenRoot(filepath.Join(unit, "work"))
	if err != nil {
		return supervise.IOFault(err, "cannot open the function's directory")
	}
	defer root.Close()
	for _, name := range old {
		if _, still := files[name]; !still {
			if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return supervise.IOFault(err, "cannot remove file "+name)
			}
		}
	}
	for _, name := range sortedKeys(files) {
		if dir := filepath.Dir(name); dir != "." {
			err = root.MkdirAll(dir, 0o700)
		}
		if err == nil {
			root.Remove(name) // its mode may be wider, or it may be a link
			err = root.WriteFile(name, files[name], 0o600)
		}
		if err != nil {
			return supervise.IOFault(err, "cannot write file "+name)
		}
	}
	return nil
}
