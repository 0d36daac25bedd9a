package acceptance

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// product registers a microElement made of one executable.
func (s *service) product(tenant, name, artefact, digest string, args ...string) {
	s.t.Helper()
	process := object{"artefact": artefact, "args": args}
	if digest != "" {
		process["sha256"] = object{"amd64": digest, "arm64": digest}
	}
	s.must(http.StatusCreated, "POST", "/products", object{
		"name": name, "tenantId": tenant, "version": "1.0.0", "elementKind": "microElement",
		"packaging":    object{"host": object{"process": process}},
		"ports":        []object{{"name": "http", "protocol": "tcp", "scheme": "http"}},
		"probe":        object{"port": "http", "path": "/healthz"},
		"requirements": object{"cpuMilli": 10, "memoryMiB": 16},
	})
}

// single is an order of one microElement.
func single(tenant, name, product string) object {
	return object{"name": name, "tenantId": tenant, "instantiate": true, "microElements": []object{{"name": "mel", "product": product}}}
}

// rollsBack expects an order to be undone, and its root cause to say each word.
func (s *service) rollsBack(o object, words ...string) {
	s.t.Helper()
	id, op := s.submit(o)
	occ := s.ended(op, 2*time.Minute)
	if occ.str("operationState") != "ROLLED_BACK" {
		s.t.Fatalf("ended %s, want ROLLED_BACK: %v", occ.str("operationState"), occ["firstRootCause"])
	}
	cause := occ.str("firstRootCause", "detail")
	for _, w := range words {
		if !strings.Contains(cause, w) {
			s.t.Errorf("root cause %q does not say %q", cause, w)
		}
	}
	s.t.Logf("root cause: %s", cause)
	if got := s.slice(id).str("state"); got == "ACTIVE" {
		s.t.Errorf("slice is %s after the rollback", got)
	}
	s.nothingLeft()
}

func TestNeverReadyIsUndoneWithItsCause(t *testing.T) {
	s := start(t, "--operations-steptimeout", "8s", "--operations-maxattempts", "2")
	tenant := s.prepare("acme")
	tool(t, "sleep")
	s.product(tenant, "sleeper", "sleep", "", "600")
	s.rollsBack(single(tenant, "never", "sleeper"), "mel", "healthz")
}

// tool puts an executable of the system among the artefacts.
func tool(t *testing.T, name string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, name), b, 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestCrashLoopIsUndoneWithItsCause(t *testing.T) {
	s := start(t, "--operations-steptimeout", "1m", "--operations-maxattempts", "2")
	tenant := s.prepare("acme")
	tool(t, "ls")
	s.product(tenant, "crasher", "ls", "", "/does/not/exist")
	s.rollsBack(single(tenant, "crash", "crasher"), "ended 6 times", "/does/not/exist")
}

func TestMissingOrWrongArtefactIsRefusedAtOnce(t *testing.T) {
	s := start(t)
	tenant := s.prepare("acme")
	s.product(tenant, "absent", "no-such-program", "")
	s.rollsBack(single(tenant, "absent", "absent"), "no-such-program")
	wrong := sha256.Sum256([]byte("another file"))
	s.product(tenant, "tampered", "lite-server", hex.EncodeToString(wrong[:]))
	s.rollsBack(single(tenant, "tampered", "tampered"), "lite-server")
}

func TestPortsExhausted(t *testing.T) {
	s := start(t, "--operations-maxattempts", "2")
	tenant := s.tenant("acme")
	s.secrets(tenant)
	s.site(tenant, "narrow", "CLOUD", 1, object{"ports": object{"from": 21990, "to": 21990}, "capacity": object{"cpu": 4000, "memory": 4096, "storage": 4096}})
	o := order(tenant, "plant")
	delete(o, "iotGateways")
	delete(o, "iotDevices")
	s.rollsBack(o, "port", "21990")
}

// killPoints are the moments at which osmosliced kills itself with signal 9:
// after the intent of the n-th step is stored, and after its effect.
func killPoints(actions []string, n int) (out []string) {
	for _, when := range []string{"after-intent", "after-effect"} {
		for _, a := range actions {
			for i := range n {
				out = append(out, fmt.Sprintf("%s:%s:%d=kill", when, a, i+1))
			}
		}
	}
	return out
}

func TestKillAtEveryStepOfCreateAndDelete(t *testing.T) {
	if testing.Short() {
		t.Skip("many restarts: part of the whole suite, not of the short one")
	}
	for phase, points := range map[string][]string{
		"create": slices.Concat(killPoints([]string{"apply"}, 3), killPoints([]string{"connect", "attach", "provision"}, 2)),
		"delete": killPoints([]string{"delete"}, 3),
	} {
		for _, point := range points {
			t.Run(phase+"/"+point, func(t *testing.T) { killAt(t, phase, point) })
		}
	}
}

func killAt(t *testing.T, phase, point string) {
	s := start(t, "--operations-lease", "1s")
	tenant := s.prepare("acme")
	fail := "OSMOSLICE_FAILPOINT=" + point
	var id, op string
	if phase == "delete" {
		id, op = s.submit(order(tenant, "plant"))
		s.completes(op)
	}
	s.kill()
	s.launch(fail)
	if phase == "create" {
		id, op = s.submit(order(tenant, "plant"))
	} else {
		a := s.must(http.StatusAccepted, "DELETE", "/iotSlices/"+id+"?cascade=true", nil)
		op = local(a.header.Get("Location"))
	}
	select {
	case <-s.done:
	case <-time.After(2 * time.Minute):
		t.Fatalf("the failpoint %s was not reached: %s", point, tail(s.log.String()))
	}
	s.launch()
	s.completes(op)
	if phase == "create" {
		if g, srv := s.running("lite-gateway"), s.running("lite-server"); len(g) != 2 || len(srv) != 1 {
			t.Fatalf("after %s runs %q and %q, want two gateways and one server", point, g, srv)
		}
		s.remove(id)
	}
	s.nothingLeft()
}

func TestFunctionsOutliveTheServiceAndAreAdoptedByItsUpgrade(t *testing.T) {
	s := start(t)
	tenant := s.prepare("acme")
	id, op := s.submit(order(tenant, "plant"))
	s.completes(op)
	before := s.running("lite-")
	old := s.bin
	s.bin = filepath.Join(t.TempDir(), "osmosliced")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-X github.com/osmoslice/osmoslice/internal/version.Version=v99", "-o", s.bin, "../../cmd/osmosliced")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// The upgrade takes the old file's place, as a package manager would do it.
	b, err := os.ReadFile(s.bin)
	if err != nil {
		t.Fatal(err)
	}
	original, err := os.ReadFile(old)
	if err != nil {
		t.Fatal(err)
	}
	replace(t, old, b)
	t.Cleanup(func() { replace(t, old, original) })
	s.bin = old
	s.terminateAndLaunch()
	if after := s.running("lite-"); !slices.Equal(before, after) {
		t.Fatalf("functions before the upgrade %q, after %q", before, after)
	}
	s.eventually(90*time.Second, "slice active again", func() error {
		if st := s.slice(id).str("state"); st != "ACTIVE" {
			return fmt.Errorf("slice is %s", st)
		}
		return nil
	})
	s.remove(id)
	s.nothingLeft()
}

func (s *service) terminateAndLaunch() {
	s.t.Helper()
	s.t.Logf("SIGTERM took %v", s.terminate())
	s.launch()
}

func replace(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", b, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestWithoutRootAndCgroups(t *testing.T) {
	if os.Getuid() != 0 {
		t.Log("this suite already runs without root; the order's test has shown it")
		return
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for p := dir; p != "/" && p != os.TempDir(); p = filepath.Dir(p) {
		_ = os.Chmod(p, 0o777)
	}
	if err := os.Chmod(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	s := &service{t: t, dir: filepath.Join(dir, "data"), bin: filepath.Join(bin, "osmosliced"), log: &syncBuffer{}}
	s.as = &syscall.Credential{Uid: 65534, Gid: 65534, NoSetGroups: true}
	t.Cleanup(func() { s.kill(); s.sweep() })
	s.launch()
	tenant := s.prepare("acme")
	id, op := s.submit(order(tenant, "plant"))
	s.completes(op)
	s.remove(id)
	s.nothingLeft()
}

func TestDiskFull(t *testing.T) {
	if os.Getuid() != 0 {
		skip(t, "mounting a small file system needs root")
	}
	mount := t.TempDir()
	if err := syscall.Mount("tmpfs", mount, "tmpfs", 0, "size=64m"); err != nil {
		skip(t, "mounting a small file system: "+err.Error())
	}
	t.Cleanup(func() { _ = syscall.Unmount(mount, syscall.MNT_DETACH) })
	s := &service{t: t, dir: filepath.Join(mount, "data"), bin: filepath.Join(bin, "osmosliced"), log: &syncBuffer{}}
	t.Cleanup(func() { s.kill(); s.sweep() })
	s.launch()
	tenant := s.prepare("acme")
	id, op := s.submit(order(tenant, "before"))
	s.completes(op)

	fill := filepath.Join(mount, "fill")
	f, err := os.Create(fill)
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 1<<16)
	for err == nil {
		_, err = f.Write(block)
	}
	f.Close()
	a, err := s.call("POST", "/iotSlices", order(tenant, "during"))
	if err != nil {
		t.Fatalf("no answer with a full disk: %v", err)
	}
	if a.status != http.StatusInsufficientStorage && a.status != http.StatusAccepted {
		t.Errorf("a full disk is answered %d %s", a.status, a.body)
	}
	t.Logf("full disk: %d %s", a.status, a.body)
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	if a.status == http.StatusAccepted {
		s.ended(local(a.header.Get("Location")), time.Minute)
	}
	if got := s.slice(id).str("state"); got != "ACTIVE" {
		t.Errorf("the slice ordered before is %s", got)
	}
	after, op := s.submit(order(tenant, "after"))
	s.completes(op)
	s.remove(after)
	s.remove(id)
}

// skip is visible, and a failure where the whole suite is promised.
func skip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}
