package host

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/domains/domaintest"
	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/supervise"
)

func TestContract(t *testing.T) {
	domaintest.Exercise(t, func(t *testing.T) domaintest.Fixture { return newFixture(t) })
}

// fixture is a driver with a directory of its own and a site on this machine.
type fixture struct {
	o        Options
	d        *Driver
	site     domain.Site
	releases map[string]bool // ever wished
}

var (
	_ domaintest.Breaker   = (*fixture)(nil)
	_ domaintest.Refused   = (*fixture)(nil)
	_ domaintest.Disturber = (*fixture)(nil)
	_ domaintest.Reopener  = (*fixture)(nil)
	_ domaintest.Witness   = (*fixture)(nil)
	_ domaintest.Cutter    = (*fixture)(nil)
	_ domaintest.Auditor   = (*fixture)(nil)
)

// newFixture's directory has a path longer than a socket address has room for.
func newFixture(t testing.TB) *fixture {
	t.Helper()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 25))
	f := &fixture{releases: map[string]bool{}, o: Options{Dir: dir, HostID: "host-a", Restart: Restart{Backoff: 10 * time.Millisecond, Grace: 2 * time.Second}},
		site: domain.Site{ID: "site-1", Name: "edge", Connection: json.RawMessage(`{"hostId":"host-a"}`)}}
	f.d = New(f.o)
	t.Cleanup(func() { f.end(t) })
	return f
}

// end deletes whatever a test left and asserts that nothing else remains.
func (f *fixture) end(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	f.site.Connection = json.RawMessage(`{"hostId":"host-a"}`)
	f.d = New(f.o)
	refs, err := f.d.List(ctx, f.site)
	if err != nil {
		t.Error(err)
	}
	for _, ref := range refs {
		ref.Generation = 1 << 40
		if err := f.d.Delete(ctx, ref); err != nil {
			t.Errorf("Delete(%s): %v", ref.Release, err)
		}
	}
	if left := f.Leftovers(t); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}

func (f *fixture) Driver() domain.Driver { return f.d }

// artefact is this test binary.
func artefact(t testing.TB) (dir, name string) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(exe), filepath.Base(exe)
}

func (f *fixture) Deployment(name string) domain.Deployment {
	_, exe := filepath.Split(os.Args[0])
	f.releases["uid1-"+name] = true
	return hashed(domain.Deployment{
		Ref:       domain.Ref{Site: f.site, Slice: "slice-1", Element: "element-" + name, Release: "uid1-" + name, Generation: 1},
		Tenant:    "acme",
		Packaging: slice.Packaging{Process: &slice.Process{Artefact: exe, Args: []string{"function"}}},
		Args:      []string{"serve", "${listen:http}"},
		Env:       map[string]string{"PORT": "${port:http}", "CONFIG": "${file:conf/app.json}", "API_TOKEN": "very-secret-token"},
		Files:     map[string][]byte{"conf/app.json": []byte(`{"listen":"${listen:http}","dir":"${dir}","other":"${OTHER}"}`)},
		Ports:     []slice.Port{{Name: "http", Protocol: "tcp", Scheme: "http"}, {Name: "coap", Protocol: "udp", Scheme: "coap"}},
		Probe:     domain.Probe{Port: "http", Path: "/healthz"},
		Labels:    map[string]string{"product": "test"},
	})
}

// hashed sets the hash, as the service does.
func hashed(d domain.Deployment) domain.Deployment {
	g := d.Generation
	d.Generation, d.Hash = 0, ""
	b, err := json.Marshal(d)
	if err != nil {
		panic(err)
	}
	d.Generation, d.Hash = g, fmt.Sprintf("%x", sha256.Sum256(b))
	return d
}

func (f *fixture) Change(d domain.Deployment) domain.Deployment {
	d.Env = map[string]string{"CHANGED": "yes"}
	d.Files = map[string][]byte{"other.txt": []byte("x")}
	return hashed(d)
}

func (f *fixture) Break(d domain.Deployment) (domain.Deployment, string) {
	d.Args = []string{"exit", "3", "cannot open the configuration"}
	return hashed(d), "exit status 3"
}

func (f *fixture) Impossible(d domain.Deployment) domain.Deployment {
	p := *d.Packaging.Process
	p.Artefact = "no-such-program"
	d.Packaging.Process = &p
	return hashed(d)
}

func (f *fixture) pid(t testing.TB, ref domain.Ref) int {
	t.Helper()
	p, err := f.d.claim(ref.Site)
	if err != nil {
		t.Fatal(err)
	}
	st, _, err := p.unit(ref.Release).State(t.Context())
	if err != nil || st.Function.PID == 0 {
		t.Fatalf("no function: %+v, %v", st, err)
	}
	return st.Function.PID
}

func (f *fixture) Disturb(t testing.TB, ref domain.Ref) {
	if err := syscall.Kill(f.pid(t, ref), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) Reopen(testing.TB) domain.Driver {
	f.d = New(f.o)
	return f.d
}

func (f *fixture) Incarnation(t testing.TB, ref domain.Ref) string {
	return strconv.Itoa(f.pid(t, ref))
}

// Cut makes this replica run on another host than the site's.
func (f *fixture) Cut(testing.TB) func() {
	f.d.o.HostID = "host-b"
	return func() { f.d.o.HostID = "host-a" }
}

// Leftovers are the files below the driver's directory but for locks, fences
// and empty directories, the processes that carry a unit's marker or serve as a
// shim below the directory, and cgroups.
func (f *fixture) Leftovers(t testing.TB) []string {
	var left []string
	filepath.WalkDir(f.o.Dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil
		}
		rel, _ := filepath.Rel(f.o.Dir, path)
		if rel != "lock" && e.Name() != "fence.json" {
			left = append(left, rel)
		}
		return nil
	})
	if units, _ := filepath.Glob(filepath.Join(f.o.Dir, "sites/*/units/*")); len(units) > 0 {
		left = append(left, units...)
	}
	left = append(left, f.cgroups()...)
	return append(left, processesOf(t, f.o.Dir)...)
}

// cgroups are the groups of any release of the fixture.
func (f *fixture) cgroups() []string {
	names := map[string]bool{}
	for release := range f.releases {
		p := place{dir: filepath.Join(f.o.Dir, "sites", f.site.ID)}
		names["osmoslice-"+supervise.UnitName(p.unit(release).Dir)] = true
	}
	var found []string
	filepath.WalkDir("/sys/fs/cgroup", func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() && names[e.Name()] {
			found = append(found, path)
		}
		return nil
	})
	return found
}

// processesOf are the living processes whose command line or environment names
// the directory: shims, and functions by their HOME.
func processesOf(t testing.TB, dir string) []string {
	var found []string
	procs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range procs {
		if filepath.Base(p) == strconv.Itoa(os.Getpid()) {
			continue
		}
		cmd, _ := os.ReadFile(p + "/cmdline")
		env, _ := os.ReadFile(p + "/environ")
		if bytes.Contains(cmd, []byte(dir)) || bytes.Contains(env, []byte("HOME="+dir)) {
			found = append(found, filepath.Base(p)+": "+string(bytes.ReplaceAll(cmd, []byte{0}, []byte{' '})))
		}
	}
	return found
}
