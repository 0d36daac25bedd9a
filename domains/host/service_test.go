package host

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/domain"
)

// order is what a service process of a test is to do.
type order struct {
	Options   Options
	Failpoint string // where it is killed
	Wishes    []domain.Deployment
	Delete    bool
	Forever   bool // apply and delete in turn until killed
}

// service is a process with a driver, as the real service is one. It says
// "done" or what went wrong, then waits to be killed.
func service(file string) {
	var o order
	raw, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(raw, &o)
	}
	if err != nil {
		panic(err)
	}
	o.Options.failpoint = func(at string) {
		if at == o.Failpoint {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	d := New(o.Options)
	err = o.carryOut(d)
	for o.Forever && err == nil {
		fmt.Println("turn")
		o.Delete = !o.Delete
		err = o.carryOut(d)
	}
	if err != nil {
		fmt.Println(err)
	} else {
		fmt.Println("done")
	}
	io.Copy(io.Discard, os.Stdin) // until the test ends
	os.Exit(0)
}

func (o order) carryOut(d *Driver) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, w := range o.Wishes {
		var err error
		if o.Delete {
			err = d.Delete(ctx, w.Ref)
		} else {
			err = d.Apply(ctx, w)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// serviceProcess starts a service; its output is read line by line.
func serviceProcess(t testing.TB, o order, attr *syscall.SysProcAttr) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	return startService(t, "/proc/self/exe", o, attr)
}

func startService(t testing.TB, bin string, o order, attr *syscall.SysProcAttr) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "order.json")
	raw, err := json.Marshal(o)
	if err == nil {
		err = os.WriteFile(file, raw, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "service", file)
	cmd.SysProcAttr, cmd.Stderr = attr, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Process.Kill(); cmd.Wait() })
	return cmd, bufio.NewScanner(out)
}

// options of the fixture as they cross to another process; the artefact folder
// is told because /proc/self/exe has none.
func (f *fixture) options(t testing.TB) Options {
	o := f.o
	o.ArtefactDir, _ = artefact(t)
	o.Logger = nil
	return o
}

func (f *fixture) ctx(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func (f *fixture) apply(t testing.TB, d domain.Deployment) {
	t.Helper()
	if err := f.d.Apply(f.ctx(t), d); err != nil {
		t.Fatalf("Apply: %v", err)
	}
}

func (f *fixture) until(t testing.TB, ref domain.Ref, what string, ok func(domain.Status) bool) domain.Status {
	t.Helper()
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	late := time.After(time.Minute)
	for {
		st, err := f.d.Observe(f.ctx(t), ref)
		if err != nil {
			t.Fatalf("Observe: %v", err)
		}
		if ok(st) {
			return st
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("never %s: %+v", what, st)
		}
	}
}

func (f *fixture) ready(t testing.TB, d domain.Deployment) domain.Status {
	t.Helper()
	return f.until(t, d.Ref, "ready", func(st domain.Status) bool { return st.Phase == domain.Ready && st.Hash == d.Hash })
}

// functions counts the living functions of a release.
func (f *fixture) functions(t testing.TB, release string) int {
	n := 0
	for _, p := range processesOf(t, f.o.Dir) {
		if strings.Contains(p, " function ") && strings.Contains(p, release) {
			n++
		}
	}
	return n
}

func TestAdoptedAfterKill9OfTheService(t *testing.T) {
	f := newFixture(t)
	d := f.Deployment("adopted")
	cmd, out := serviceProcess(t, order{Options: f.options(t), Wishes: []domain.Deployment{d}}, nil)
	if !out.Scan() || out.Text() != "done" {
		t.Fatalf("the service said %q", out.Text())
	}
	before := f.ready(t, d)
	pid := f.pid(t, d.Ref)
	cmd.Process.Kill()
	cmd.Wait()
	after := f.ready(t, d)
	f.apply(t, d)
	if now := f.pid(t, d.Ref); now != pid || after.Restarts != 0 || after.Endpoints["http"] != before.Endpoints["http"] {
		t.Errorf("pid %d became %d, %d restarts, %s became %s", pid, now, after.Restarts, before.Endpoints["http"], after.Endpoints["http"])
	}
	if n := f.functions(t, d.Release); n != 1 {
		t.Errorf("%d functions run", n)
	}
}

// TestAdoptedAcrossAnUpgradeOfTheBinary: the service's binary is replaced on
// disk while its shims run; the new one adopts them and can end them.
func TestAdoptedAcrossAnUpgradeOfTheBinary(t *testing.T) {
	f := newFixture(t)
	dir, name := artefact(t)
	raw, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(t.TempDir(), "osmosliced")
	install := func(b []byte) {
		if err := os.WriteFile(bin+".new", b, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(bin+".new", bin); err != nil {
			t.Fatal(err)
		}
	}
	d := f.Deployment("upgrade")
	run := func(o order) {
		o.Options = f.options(t)
		cmd, out := startService(t, bin, o, nil)
		if !out.Scan() || out.Text() != "done" {
			t.Fatalf("the service said %q", out.Text())
		}
		cmd.Process.Kill()
		cmd.Wait()
	}
	install(raw)
	run(order{Wishes: []domain.Deployment{d}})
	f.ready(t, d)
	pid := f.pid(t, d.Ref)
	install(append(raw, 0)) // another binary of the same behaviour
	newer := d
	newer.Generation = 2
	run(order{Wishes: []domain.Deployment{newer}})
	if st := f.ready(t, newer); f.pid(t, d.Ref) != pid || st.Restarts != 0 || st.Generation != 2 {
		t.Errorf("pid %d became %d: %+v", pid, f.pid(t, d.Ref), st)
	}
	if err := os.Remove(bin); err != nil { // not even the file is needed
		t.Fatal(err)
	}
	f.Disturb(t, d.Ref)
	f.until(t, d.Ref, "restarted", func(s domain.Status) bool { return s.Phase == domain.Ready && s.Restarts == 1 })
	install(append(raw, 0, 0))
	run(order{Wishes: []domain.Deployment{newer}, Delete: true})
	if left := f.Leftovers(t); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}

var applyPoints = []string{"apply:directory", "apply:intent", "apply:ports", "apply:before-stop", "apply:stopped", "apply:files", "apply:launched", "apply:done"}

var deletePoints = []string{"delete:begin", "delete:buried", "delete:intent", "delete:stopped", "delete:ports", "delete:removed"}

// killedAt runs a service that is killed at the point.
func (f *fixture) killedAt(t *testing.T, point string, o order) {
	t.Helper()
	o.Options, o.Failpoint = f.options(t), point
	cmd, out := serviceProcess(t, o, nil)
	if out.Scan() {
		t.Fatalf("not killed at %s, the service said %q", point, out.Text())
	}
	cmd.Wait()
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || ws.Signal() != syscall.SIGKILL {
		t.Fatalf("the service ended by itself: %v", cmd.ProcessState)
	}
}

// TestKilledAnywhere kills the service at every point of Apply (of a new
// release and of a changed one) and Delete, and then repeats the call, or
// deletes instead.
func TestKilledAnywhere(t *testing.T) {
	for _, point := range append(append([]string{}, applyPoints...), deletePoints...) {
		for _, fresh := range []bool{true, false} {
			for _, repeat := range []bool{true, false} {
				deleting := strings.HasPrefix(point, "delete:")
				if deleting && fresh {
					continue
				}
				t.Run(fmt.Sprintf("%s fresh=%v repeat=%v", point, fresh, repeat), func(t *testing.T) {
					t.Parallel()
					f := newFixture(t)
					f.killedOnce(t, point, fresh, repeat, deleting)
				})
			}
		}
	}
}

func (f *fixture) killedOnce(t *testing.T, point string, fresh, repeat, deleting bool) {
	d := f.Deployment("victim")
	if !fresh {
		f.apply(t, d)
		f.ready(t, d)
		if !deleting {
			d = f.Change(d)
		}
		d.Generation++
	}
	f.killedAt(t, point, order{Wishes: []domain.Deployment{d}, Delete: deleting})
	if _, err := f.d.Observe(f.ctx(t), d.Ref); err != nil {
		t.Errorf("Observe after the kill: %v", err)
	}
	if repeat {
		f.apply(t, d) // of a deletion: wanted again
		f.ready(t, d)
		if n := f.functions(t, d.Release); n != 1 {
			t.Errorf("%d functions run", n)
		}
	}
	if err := f.d.Delete(f.ctx(t), d.Ref); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	if st, err := f.d.Observe(f.ctx(t), d.Ref); err != nil || st.Phase != domain.Absent {
		t.Errorf("%+v, %v", st, err)
	}
	if left := f.Leftovers(t); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}

// TestKilledAtRandom kills a service that applies and deletes in turn at random
// moments, and its successors.
func TestKilledAtRandom(t *testing.T) {
	f := newFixture(t)
	r := rand.New(rand.NewPCG(4, 2))
	wishes := []domain.Deployment{f.Deployment("one"), f.Deployment("two")}
	for range 12 {
		cmd, out := serviceProcess(t, order{Options: f.options(t), Wishes: wishes, Forever: true}, nil)
		if out.Scan(); out.Text() != "turn" {
			t.Fatalf("the service said %q", out.Text())
		}
		<-time.After(time.Duration(r.IntN(120)) * time.Millisecond) // the random moment
		cmd.Process.Kill()
		cmd.Wait()
		for _, w := range wishes {
			if n := f.functions(t, w.Release); n > 1 {
				t.Fatalf("%d functions of %s run", n, w.Release)
			}
		}
	}
	for _, w := range wishes {
		f.apply(t, w)
		f.ready(t, w)
		if n := f.functions(t, w.Release); n != 1 {
			t.Errorf("%d functions of %s run", n, w.Release)
		}
	}
}

// TestTwoServicesStartOne lets processes apply the same wish at once.
func TestTwoServicesStartOne(t *testing.T) {
	f := newFixture(t)
	d := f.Deployment("shared")
	var outs []*bufio.Scanner
	for range 3 {
		_, out := serviceProcess(t, order{Options: f.options(t), Wishes: []domain.Deployment{d}}, nil)
		outs = append(outs, out)
	}
	for _, out := range outs {
		if !out.Scan() || out.Text() != "done" {
			t.Errorf("a service said %q", out.Text())
		}
	}
	if st := f.ready(t, d); st.Restarts != 0 {
		t.Errorf("%d restarts", st.Restarts)
	}
	if n := f.functions(t, d.Release); n != 1 {
		t.Errorf("%d functions run", n)
	}
}

func TestShimsKilled(t *testing.T) {
	f := newFixture(t)
	d := f.Deployment("orphan")
	f.apply(t, d)
	f.ready(t, d)
	changed := make(chan domain.Ref, 64)
	ctx, cancel := context.WithCancel(f.ctx(t))
	ended := make(chan error, 1)
	go func() { ended <- f.d.Watch(ctx, f.site, changed) }()
	for round := range 3 {
		p, _ := f.d.claim(f.site)
		st, _, err := p.unit(d.Release).State(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(st.Shim.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		back := f.until(t, d.Ref, "brought back", func(s domain.Status) bool {
			return s.Phase == domain.Ready && s.Restarts == round+1
		})
		if n := f.functions(t, d.Release); n != 1 {
			t.Errorf("%d functions run: %+v", n, back)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestWatchBringsBack lets nobody observe: the watch alone finds the loss.
func TestWatchBringsBack(t *testing.T) {
	f := newFixture(t)
	d := f.Deployment("watched")
	f.apply(t, d)
	f.ready(t, d)
	changed := make(chan domain.Ref, 64)
	ctx, cancel := context.WithCancel(f.ctx(t))
	ended := make(chan error, 1)
	go func() { ended <- f.d.Watch(ctx, f.site, changed) }()
	<-changed // the first round told what is there
	p, _ := f.d.claim(f.site)
	u := p.unit(d.Release)
	st, _, _ := u.State(ctx)
	syscall.Kill(st.Shim.PID, syscall.SIGKILL)
	for now := st; now.Shim == st.Shim || now.Function.PID == 0; now, _, _ = u.State(ctx) {
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("never brought back: %+v", now)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestWithoutRoot runs everything as nobody, who may make no cgroup.
func TestWithoutRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("not root: every test of this package shows it")
	}
	f := newFixture(t)
	open := t.TempDir()
	dir, name := artefact(t)
	raw, err := os.ReadFile(filepath.Join(dir, name))
	if err == nil {
		err = os.WriteFile(filepath.Join(open, name), raw, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	f.o.Dir = filepath.Join(open, "data")
	if err := os.Mkdir(f.o.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var attr *syscall.SysProcAttr
	if os.Geteuid() == 0 {
		if err := os.Chown(f.o.Dir, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		attr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	for _, p := range []string{open, filepath.Dir(open)} { // both made by this test
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for p := filepath.Dir(filepath.Dir(open)); attr != nil; p = filepath.Dir(p) {
		if st, err := os.Stat(p); err != nil || st.Mode().Perm()&0o001 == 0 {
			prerequisite(t, "a temporary directory that others may enter, unlike "+p)
		}
		if p == "/" {
			break
		}
	}
	f.d = New(f.o)
	d := f.Deployment("humble")
	d.Resources = domain.Resources{CPU: 200, Memory: 64, Storage: 10}
	d = hashed(d)
	o := f.options(t)
	o.ArtefactDir = open
	run := func(del bool) {
		_, out := serviceProcess(t, order{Options: o, Wishes: []domain.Deployment{d}, Delete: del}, attr)
		if !out.Scan() || out.Text() != "done" {
			t.Fatalf("the service said %q", out.Text())
		}
	}
	run(false)
	st := f.ready(t, d)
	evidence := strings.Join(st.Evidence, "; ")
	for _, limit := range []string{"cpu limit 200 m", "memory limit 64 MiB", "storage limit 10 MiB"} {
		delegated := attr == nil && strings.Contains(evidence, limit+" by cgroup")
		if !strings.Contains(evidence, limit+" not enforced") && !delegated {
			t.Errorf("evidence %q is silent on the %s", evidence, limit)
		}
	}
	if fi, err := os.Stat(fmt.Sprintf("/proc/%d", f.pid(t, d.Ref))); err != nil || os.Geteuid() == 0 && fi.Sys().(*syscall.Stat_t).Uid != 65534 {
		t.Errorf("the function does not run as nobody: %v", err)
	}
	run(true)
	if left := f.Leftovers(t); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}
