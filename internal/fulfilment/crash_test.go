package fulfilment_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/fulfilment"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// childVariable makes the test binary a runner on the world of a directory: it
// works until nothing is open, or until its failpoint kills it.
const childVariable = "FULFILMENT_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		os.Exit(child(dir))
	}
	os.Exit(m.Run())
}

// fatal is a testing.TB for a child, which has no test.
type fatal struct {
	testing.TB
	clean []func()
}

func (f *fatal) Helper()           {}
func (f *fatal) Cleanup(fn func()) { f.clean = append(f.clean, fn) }
func (f *fatal) Fatal(args ...any) {
	fmt.Fprintln(os.Stderr, args...)
	os.Exit(3)
}

func child(dir string) int {
	w := openWorld(&fatal{}, dir, quick())
	w.run()
	deadline := time.Now().Add(3 * time.Minute)
	for time.Now().Before(deadline) {
		open := 0
		err := w.db.Read(w.ctx, func(ctx context.Context, tx operation.Tx) (err error) {
			open, err = tx.Open(ctx)
			return err
		})
		if err == nil && open == 0 {
			w.close()
			return 0
		}
		time.Sleep(2 * time.Millisecond)
	}
	return 4
}

// scenario prepares a world with one operation waiting, and answers its id.
type scenario struct {
	name    string
	prepare func(w *world) string
	actions []string // in the order of their first call, with counts
}

func scenarios() []scenario {
	return []scenario{
		{"create", prepareCreate, []string{"apply:1", "apply:2", "connect:1", "attach:1", "provision:1"}},
		{"update", prepareUpdate, []string{"apply:1", "apply:2", "connect:1", "attach:1", "delete:1"}},
		{"delete", prepareDelete, []string{"delete:1", "delete:2"}},
	}
}

func prepareCreate(w *world) string {
	w.tenancy("site-a", "site-b")
	res, err := w.svc.CreateSlice(w.ctx, w.order("one"), fulfilment.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	return res.Operation.ID
}

// prepareUpdate changes a running slice: a changed gateway, one more of them,
// and a microElement that goes.
func prepareUpdate(w *world) string {
	w.tenancy("site-a", "site-b")
	stop := w.run()
	o := w.order("one")
	o.MicroElements = []slice.Element{{Meta: slice.Meta{Name: "filter"}, Product: "process", Configuration: map[string]string{"ARTEFACT": "filter"}}}
	res, err := w.svc.CreateSlice(w.ctx, o, fulfilment.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	if op := w.ended(res.Operation.ID); op.State != operation.Completed {
		w.t.Fatal(op.State, op.RootCause)
	}
	stop()
	o = w.order("one")
	o.Gateways[0].Configuration = map[string]string{"LITE_GATEWAY_LOG_LEVEL": "debug"}
	o.Gateways = append(o.Gateways, slice.Element{Meta: slice.Meta{Name: "edge-2"}, Product: "lite-gateway"})
	up, err := w.svc.Converge(w.ctx, o, fulfilment.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	return up.Operation.ID
}

func prepareDelete(w *world) string {
	w.tenancy("site-a", "site-b")
	stop := w.run()
	res, err := w.svc.CreateSlice(w.ctx, w.order("one"), fulfilment.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	if op := w.ended(res.Operation.ID); op.State != operation.Completed {
		w.t.Fatal(op.State, op.RootCause)
	}
	stop()
	del, err := w.svc.Delete(w.ctx, slice.KindIoTSlice, res.Resource.Head().ID, fulfilment.Options{Cascade: true})
	if err != nil {
		w.t.Fatal(err)
	}
	return del.Operation.ID
}

// TestKilledAtEveryStep kills the process after the intent, after the effect and
// after the outcome of every step; after the restart the operation completes,
// and the sites hold exactly what the store says.
func TestKilledAtEveryStep(t *testing.T) {
	for _, sc := range scenarios() {
		template := t.TempDir()
		w := openWorld(t, template, quick())
		id := sc.prepare(w)
		w.close()
		points := []string{"after-claim:1"}
		for _, a := range sc.actions {
			for _, p := range []string{"after-intent", "after-effect", "after-outcome"} {
				points = append(points, p+":"+a)
			}
		}
		for _, p := range points {
			t.Run(sc.name+"/"+p, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				copyTree(t, template, dir)
				killed(t, dir, p)
				w := openWorld(t, dir, quick())
				w.run()
				if op := w.ended(id); op.State != operation.Completed {
					t.Fatalf("%s: %+v", op.State, op.RootCause)
				}
				w.agree()
			})
		}
	}
}

// TestKilledWhileRollingBack kills the process in the middle of compensation.
func TestKilledWhileRollingBack(t *testing.T) {
	template := t.TempDir()
	w := openWorld(t, template, quick())
	w.tenancy("site-a", "site-b")
	o := w.order("one")
	o.MicroElements = []slice.Element{{Meta: slice.Meta{Name: "broken"}, Product: "process", Configuration: map[string]string{"X": "${uplink:MISSING}"}}}
	res, err := w.svc.CreateSlice(w.ctx, o, fulfilment.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.close()
	for _, p := range []string{
		"after-intent:undo-delete:1", "after-effect:undo-delete:1", "after-outcome:undo-delete:1",
		"after-intent:undo-delete:2", "after-effect:undo-delete:2",
	} {
		t.Run(p, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			copyTree(t, template, dir)
			killed(t, dir, p)
			w := openWorld(t, dir, quick())
			w.run()
			if op := w.ended(res.Operation.ID); op.State != operation.RolledBack {
				t.Fatalf("%s: %+v", op.State, op.RootCause)
			}
			w.agree()
		})
	}
}

// killed runs a child on dir until its failpoint kills it.
func killed(t *testing.T, dir, point string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childVariable+"="+dir, operation.FailpointVariable+"="+point+"=kill")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("the child ended by itself (%v) without passing %s: %s", err, point, out)
	}
	if s, ok := exit.Sys().(syscall.WaitStatus); !ok || s.Signal() != syscall.SIGKILL {
		t.Fatalf("the child was not killed: %v: %s", err, out)
	}
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		if d.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}
