package host

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// refused asserts the kind, the way to retry and a word of an error.
func refused(t *testing.T, err error, kind fault.Kind, retry fault.Retry, words ...string) {
	t.Helper()
	f := fault.Of(err)
	if f == nil || f.Kind != kind || f.Retry != retry {
		t.Errorf("%v: want kind %v, retry %v", err, kind, retry)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q lacks %q", err, w)
		}
	}
}

// freeRange finds n ports in a row that nobody uses.
func freeRange(t *testing.T, n int) (from int) {
	t.Helper()
search:
	for from = 30100; from < 32000; from += n {
		for p := range n {
			if free("127.0.0.1", from+p) != nil {
				continue search
			}
		}
		return from
	}
	t.Fatal("no free ports")
	return 0
}

func (f *fixture) withPorts(from, to int) {
	f.site.Connection = json.RawMessage(fmt.Sprintf(`{"hostId":"host-a","ports":{"from":%d,"to":%d}}`, from, to))
}

func TestPortsExhausted(t *testing.T) {
	f := newFixture(t)
	from := freeRange(t, 3)
	f.withPorts(from, from+2)
	a, b := f.Deployment("first"), f.Deployment("second") // two ports each, three there
	f.apply(t, a)
	f.ready(t, a)
	err := f.d.Apply(f.ctx(t), b)
	refused(t, err, fault.Conflict, fault.Backoff, "no free port", "all 3 ports", strconv.Itoa(from))
	if st, err := f.d.Observe(f.ctx(t), b.Ref); err != nil || st.Phase != domain.Absent {
		t.Errorf("after the refusal: %+v, %v", st, err)
	}
	if err := f.d.Delete(f.ctx(t), a.Ref); err != nil {
		t.Fatal(err)
	}
	f.apply(t, b) // there is room now
	f.ready(t, b)
}

func TestPortInUse(t *testing.T) {
	f := newFixture(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	d := f.Deployment("fixed")
	d.Ports[0].Fixed = port
	d = hashed(d)
	refused(t, f.d.Apply(f.ctx(t), d), fault.Conflict, fault.Backoff, fmt.Sprintf("port %d", port), "in use")
	l.Close()
	f.apply(t, d)
	f.ready(t, d)
	other := f.Deployment("rival")
	other.Ports[0].Fixed = port
	refused(t, f.d.Apply(f.ctx(t), hashed(other)), fault.Conflict, fault.Backoff, "reserved by another deployment")
}

// TestPortsAreFreeForBothProtocols: a port is passed over when it is taken for
// UDP only.
func TestPortsAreFreeForBothProtocols(t *testing.T) {
	f := newFixture(t)
	from := freeRange(t, 3)
	c, err := net.ListenPacket("udp", net.JoinHostPort("127.0.0.1", strconv.Itoa(from+1)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f.withPorts(from, from+2)
	d := f.Deployment("both")
	f.apply(t, d)
	for name, at := range f.ready(t, d).Endpoints {
		if u, err := url.Parse(at); err != nil || u.Port() == strconv.Itoa(from+1) {
			t.Errorf("%s got the port in use: %s, %v", name, at, err)
		}
	}
}

func TestPortsOfAKilledServiceAreTakenBack(t *testing.T) {
	f := newFixture(t)
	from := freeRange(t, 2)
	f.withPorts(from, from+1)
	if err := os.MkdirAll(f.d.portsDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	for p := from; p <= from+1; p++ {
		if err := os.Symlink("site-1/uid1-gone/http", filepath.Join(f.d.portsDir(), strconv.Itoa(p))); err != nil {
			t.Fatal(err)
		}
	}
	d := f.Deployment("heir")
	f.apply(t, d)
	f.ready(t, d)
}

func TestPortsKeptAcrossRestartAndUpdate(t *testing.T) {
	f := newFixture(t)
	d := f.Deployment("steady")
	f.apply(t, d)
	before := f.ready(t, d)
	c := f.Change(d)
	c.Ports = append([]slice.Port{{Name: "extra", Protocol: "tcp"}}, c.Ports[0]) // one more, one less
	c.Generation, c = 2, hashed(c)
	f.apply(t, c)
	after := f.ready(t, c)
	if before.Endpoints["http"] != after.Endpoints["http"] || after.Endpoints["extra"] == "" || after.Endpoints["coap"] != "" {
		t.Errorf("%v became %v", before.Endpoints, after.Endpoints)
	}
	if links, _ := os.ReadDir(f.d.portsDir()); len(links) != 2 {
		t.Errorf("%d ports reserved, want 2", len(links))
	}
}

func TestArtefacts(t *testing.T) {
	dir, name := artefact(t)
	for _, c := range []struct {
		name  string
		p     slice.Process
		kind  fault.Kind
		words []string
	}{
		{"missing", slice.Process{Artefact: "absent"}, fault.NotFound, []string{"artefact absent is missing"}},
		{"path", slice.Process{Artefact: "../" + name}, fault.Invalid, []string{"base name"}},
		{"hidden", slice.Process{Artefact: ".profile"}, fault.Invalid, []string{"base name"}},
		{"none", slice.Process{}, fault.Invalid, []string{"base name"}},
		{"digest", slice.Process{Artefact: name, SHA256: map[string]string{runtime.GOARCH: strings.Repeat("ab", 32)}}, fault.Invalid, []string{"wrong digest", "abab"}},
		{"malformed", slice.Process{Artefact: name, SHA256: map[string]string{runtime.GOARCH: "xyz"}}, fault.Invalid, []string{"64 hexadecimal digits"}},
		{"architecture", slice.Process{Artefact: name, SHA256: map[string]string{"vax": strings.Repeat("ab", 32)}}, fault.Invalid, []string{"not made for this machine", "vax", runtime.GOARCH}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			d := f.Deployment("art")
			d.Packaging.Process = &c.p
			refused(t, f.d.Apply(f.ctx(t), hashed(d)), c.kind, fault.Never, c.words...)
		})
	}
	f := newFixture(t)
	sum, err := f.d.digests.of(open(t, filepath.Join(dir, name)))
	if err != nil {
		t.Fatal(err)
	}
	d := f.Deployment("right")
	d.Packaging.Process.SHA256 = map[string]string{runtime.GOARCH: strings.ToUpper(sum)}
	d = hashed(d)
	f.apply(t, d)
	f.ready(t, d)
}

func open(t *testing.T, path string) (*os.File, os.FileInfo) {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return f, st
}

// TestArtefactReplacedOnDisk: what runs, and its restarts, keep to the bytes
// that were ordered; a new Apply with another hash takes the new ones.
func TestArtefactReplacedOnDisk(t *testing.T) {
	f := newFixture(t)
	dir, name := artefact(t)
	raw, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	f.o.ArtefactDir = t.TempDir()
	if err := os.WriteFile(filepath.Join(f.o.ArtefactDir, "program"), raw, 0o755); err != nil {
		t.Fatal(err)
	}
	f.d = New(f.o)
	d := f.Deployment("upgraded")
	d.Packaging.Process.Artefact = "program"
	d = hashed(d)
	f.apply(t, d)
	f.ready(t, d)
	if err := os.WriteFile(filepath.Join(f.o.ArtefactDir, "program"), []byte("#!/bin/false\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	f.Disturb(t, d.Ref)
	f.until(t, d.Ref, "restarted", func(s domain.Status) bool { return s.Phase == domain.Ready && s.Restarts == 1 })
	f.apply(t, d)
	f.ready(t, d)
	c := f.Change(d)
	c.Generation = 2
	f.apply(t, c)
	st := f.until(t, c.Ref, "told", func(s domain.Status) bool { return s.Cause != "" })
	if !strings.Contains(st.Cause, "exit status 1") && !strings.Contains(st.Cause, "cannot execute") {
		t.Errorf("%+v", st)
	}
}

func TestFilesEnvironmentArguments(t *testing.T) {
	t.Setenv("OSMOSLICE_STORE", "postgres://do-not-tell")
	f := newFixture(t)
	d := f.Deployment("config")
	d.Args = append(d.Args, "-dir=${dir}", "-keep=${OTHER}")
	d = hashed(d)
	f.apply(t, d)
	st := f.ready(t, d)
	u, err := url.Parse(st.Endpoints["http"])
	if err != nil || u.Scheme != "http" || u.Hostname() != "127.0.0.1" {
		t.Fatalf("endpoints %v, %v", st.Endpoints, err)
	}
	if !strings.HasPrefix(st.Endpoints["coap"], "coap://127.0.0.1:") {
		t.Errorf("endpoints %v", st.Endpoints)
	}
	p, _ := f.d.claim(f.site)
	dir := filepath.Join(p.unit(d.Release).Dir, "work")
	env := get(t, u.String()+"/env")
	for _, want := range []string{"PORT=" + u.Port(), "CONFIG=" + dir + "/conf/app.json", "HOME=" + dir, "API_TOKEN=very-secret-token"} {
		if !strings.Contains(env, want+"\n") {
			t.Errorf("the environment lacks %s:\n%s", want, env)
		}
	}
	if strings.Contains(env, "OSMOSLICE_STORE") {
		t.Error("the service's environment reached the function")
	}
	if args := get(t, u.String()+"/args"); !strings.Contains(args, `"`+u.Host+`"`) || !strings.Contains(args, `"-dir=`+dir+`"`) || !strings.Contains(args, `"-keep=${OTHER}"`) {
		t.Errorf("arguments %s", args)
	}
	path := filepath.Join(dir, "conf/app.json")
	raw, err := os.ReadFile(path)
	want := fmt.Sprintf(`{"listen":%q,"dir":%q,"other":"${OTHER}"}`, u.Host, dir)
	if err != nil || string(raw) != want {
		t.Errorf("file %s, want %s; %v", raw, want, err)
	}
	for path, mode := range map[string]os.FileMode{path: 0o600, dir: 0o700, filepath.Dir(path): 0o700, p.unit(d.Release).Dir: 0o700, f.o.Dir: 0o700} {
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != mode {
			t.Errorf("%s: mode %v, want %v; %v", path, fi.Mode(), mode, err)
		}
	}
	record, _ := os.ReadFile(filepath.Join(p.unit(d.Release).Dir, recordFile))
	if bytes.Contains(record, []byte("very-secret-token")) {
		t.Error("the record holds a secret")
	}
	c := f.Change(d)
	c.Generation = 2
	f.apply(t, c)
	f.ready(t, c)
	if _, err := os.Stat(path); err == nil {
		t.Error("a file of the former wish is still there")
	}
}

func TestRefusedWishes(t *testing.T) {
	f := newFixture(t)
	for name, change := range map[string]func(d *domain.Deployment){
		"packaging/process": func(d *domain.Deployment) { d.Packaging.Process = nil },
		"replicas":          func(d *domain.Deployment) { d.Replicas = 2 },
		"resources":         func(d *domain.Deployment) { d.Resources.CPU = -1 },
		"ports/1/name":      func(d *domain.Deployment) { d.Ports[1].Name = "http" },
		"ports/0/protocol":  func(d *domain.Deployment) { d.Ports[0].Protocol = "sctp" },
		"ports/0/fixed":     func(d *domain.Deployment) { d.Ports[0].Fixed = 70000 },
		"probe/port":        func(d *domain.Deployment) { d.Probe.Port = "other" },
		"probe/path":        func(d *domain.Deployment) { d.Probe.Path = "healthz HTTP/1.1\r\nX: y" },
		"files":             func(d *domain.Deployment) { d.Files = map[string][]byte{"../escape": nil} },
		"args":              func(d *domain.Deployment) { d.Args = []string{"${port:none}"} },
		"env/X":             func(d *domain.Deployment) { d.Env = map[string]string{"X": "${file:none}"} },
		"files/a":           func(d *domain.Deployment) { d.Env, d.Files = nil, map[string][]byte{"a": []byte("${listen:none}")} },
		"env":               func(d *domain.Deployment) { d.Env = map[string]string{"A=B": "c"} },
		"release":           func(d *domain.Deployment) { d.Release = "../../etc" },
	} {
		d := f.Deployment("wrong")
		change(&d)
		err := f.d.Apply(f.ctx(t), hashed(d))
		refused(t, err, fault.Invalid, fault.Never)
		if fl := fault.Of(err); fl != nil && (len(fl.Params) != 1 || fl.Params[0].Field != name || fl.Params[0].Allowed == "") {
			t.Errorf("%s: %+v", name, fl.Params)
		}
	}
	d := f.Deployment("wrong")
	d.Hash = ""
	refused(t, f.d.Apply(f.ctx(t), d), fault.Invalid, fault.Never, "hash")
}

// TestNoSecretInACause: a function that prints its token as it dies.
func TestNoSecretInACause(t *testing.T) {
	f := newFixture(t)
	d := f.Deployment("leaky")
	d.Files = map[string][]byte{"admin.token": []byte("tok-1234567890\n")}
	d.Env = map[string]string{"API_KEY": "key-1234567890"}
	d.Args = []string{"exit", "1", "refused tok-1234567890 and key-1234567890"}
	d = hashed(d)
	f.apply(t, d)
	st := f.until(t, d.Ref, "told", func(s domain.Status) bool { return strings.Contains(s.Cause, "exit status 1") })
	if told := st.Cause + strings.Join(st.Evidence, " "); strings.Contains(told, "1234567890") || !strings.Contains(told, "refused ••• and •••") {
		t.Errorf("%q", told)
	}
}

// TestLinksLeadNowhere: a link which a function made does not lead the next
// Apply out of its directory.
func TestLinksLeadNowhere(t *testing.T) {
	f := newFixture(t)
	d := f.Deployment("links")
	f.apply(t, d)
	f.ready(t, d)
	outside := t.TempDir()
	p, _ := f.d.claim(f.site)
	if err := os.Symlink(outside, filepath.Join(p.unit(d.Release).Dir, "work", "sub")); err != nil {
		t.Fatal(err)
	}
	c := d
	c.Files = map[string][]byte{"sub/file": []byte("x")}
	c.Generation, c = 2, hashed(c)
	if err := f.d.Apply(f.ctx(t), c); err == nil {
		t.Error("a file was written through a link")
	}
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("written outside: %v", left)
	}
}

// TestDiskFull needs a small file system of its own, which only root can mount.
func TestDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		prerequisite(t, "root, to mount a small file system")
	}
	f := newFixture(t)
	mount := t.TempDir()
	if err := unix.Mount("none", mount, "tmpfs", 0, "size=40m,mode=700"); err != nil {
		prerequisite(t, "mount(2): "+err.Error())
	}
	t.Cleanup(func() {
		f.end(t)
		if err := unix.Unmount(mount, 0); err != nil {
			t.Error(err, unix.Unmount(mount, unix.MNT_DETACH))
		}
	})
	f.o.Dir = filepath.Join(mount, "data")
	f.d = New(f.o)
	d := f.Deployment("full")
	ballast := filepath.Join(mount, "ballast")
	fill(t, ballast)
	refused(t, f.d.Apply(f.ctx(t), d), fault.NoSpace, fault.Backoff, "the disk is full")
	os.Remove(ballast)
	f.apply(t, d)
	f.ready(t, d)

	fill(t, ballast) // a running function bears it
	f.Disturb(t, d.Ref)
	f.until(t, d.Ref, "restarted", func(s domain.Status) bool { return s.Phase == domain.Ready && s.Restarts == 1 })
	c := f.Change(d)
	c.Generation = 2
	refused(t, f.d.Apply(f.ctx(t), c), fault.NoSpace, fault.Backoff, "the disk is full")
	c.Generation = 3
	if err := f.d.Delete(f.ctx(t), c.Ref); err != nil {
		t.Errorf("Delete on a full disk: %v", err)
	}
	if left := f.Leftovers(t); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
	d.Generation = 2
	refused(t, f.d.Apply(f.ctx(t), d), fault.Conflict, fault.Never, "older")
}

// fill writes until the disk is full.
func fill(t *testing.T, path string) {
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
}

func prerequisite(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("missing prerequisite: %s", what)
	}
	t.Skipf("missing prerequisite: %s", what)
}

func get(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v", url, res.Status, err)
	}
	return string(body)
}
