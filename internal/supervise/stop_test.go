package supervise

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
)

func TestStopKillsAfterTheGrace(t *testing.T) {
	b := newBench(t, "stubborn")
	b.spec.Grace = 100 * time.Millisecond
	b.launch()
	b.deaf()
	begin := time.Now()
	b.stop()
	if d := time.Since(begin); d < 100*time.Millisecond || d > 4500*time.Millisecond { // the default is 5 s
		t.Errorf("stopped after %v, want a little over the grace of 100 ms", d)
	}
	b.nothingLeft()
}

// TestAShimWhoseUnitWasRemovedEnds: nobody asked it to stop, its directory went.
func TestAShimWhoseUnitWasRemovedEnds(t *testing.T) {
	for _, anew := range []bool{false, true} {
		t.Run(fmt.Sprintf("anew=%v", anew), func(t *testing.T) {
			t.Parallel()
			removedUnder(t, anew)
		})
	}
}

// removedUnder removes a unit under its shim; anew, another takes its place,
// which must not be touched.
func removedUnder(t *testing.T, anew bool) {
	b := serving(t, "brood")
	b.launch()
	st := b.ready()
	if err := os.RemoveAll(b.u.Dir); err != nil {
		t.Fatal(err)
	}
	if anew {
		if err := b.u.write(b.spec); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(b.u.Dir, socketFile), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for late := time.Now().Add(time.Minute); st.Shim.Alive(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("the shim lives on")
		}
	}
	if !anew {
		b.nothingLeft()
		return
	}
	if n := len(markedProcesses(b.spec.Unit)); n != 0 {
		t.Errorf("%d processes left", n)
	}
	if _, err := os.Lstat(filepath.Join(b.u.Dir, socketFile)); err != nil {
		t.Errorf("the successor's socket was removed: %v", err)
	}
	if _, err := os.Lstat(filepath.Join(b.u.Dir, stateFile)); err == nil {
		t.Error("a state was written into the successor's directory")
	}
}

// TestAGroupThatIsStillBusyGoes: the kernel lets go of a member after its end,
// and a shim whose unit was removed has nobody to sweep after it.
func TestAGroupThatIsStillBusyGoes(t *testing.T) {
	b := serving(t, "serve")
	b.launch()
	st := b.ready()
	member := exec.Command("sleep", "60")
	if err := member.Start(); err != nil {
		t.Fatal(err)
	}
	end := func() { _ = member.Process.Kill(); _ = member.Wait() }
	t.Cleanup(end)
	busy := ""
	for _, dir := range st.Cgroups {
		if put(dir, "cgroup.procs", fmt.Sprint(member.Process.Pid)) == nil {
			busy = dir
		}
	}
	if busy == "" {
		prerequisite(t, "a writable cgroup")
	}
	if err := os.RemoveAll(b.u.Dir); err != nil {
		t.Fatal(err)
	}
	left := func() bool { return len(descendants(st.Shim.PID)) > 0 }
	for late := time.Now().Add(time.Minute); left(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("the function lives on")
		}
	}
	if !st.Shim.Alive() {
		t.Errorf("the shim ended, %s is still there", busy)
	}
	end()
	for late := time.Now().Add(time.Minute); st.Shim.Alive(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("the shim lives on")
		}
	}
	b.nothingLeft()
}

func TestStopEndsAHungShim(t *testing.T) {
	b := serving(t, "serve")
	b.launch()
	st := b.ready()
	if err := syscall.Kill(st.Shim.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	b.stop()
	b.nothingLeft()
}

// TestStopEndsWhatMultiplies: processes that start others while they are killed.
func TestStopEndsWhatMultiplies(t *testing.T) {
	heads := filepath.Join(t.TempDir(), "heads")
	b := newBench(t, "hydra", heads)
	b.spec.Grace = 50 * time.Millisecond
	b.launch()
	st := b.ready()
	b.until("many", func(State) bool { return len(descendants(st.Shim.PID)) > 4 })
	b.stop()
	b.nothingLeft()
}

// TestShimKilledAtRandom kills one shim after the other at random moments of
// its life; never may two functions live.
func TestShimKilledAtRandom(t *testing.T) {
	b := serving(t, "serve")
	r := rand.New(rand.NewPCG(11, 21))
	for round := range 15 {
		done := make(chan error, 1)
		go func() { done <- b.u.Launch(t.Context(), SelfPath, b.spec) }()
		<-time.After(time.Duration(r.IntN(60)) * time.Millisecond) // the random moment
		killShims(b.u.Dir)
		<-done // an error is right: its shim was killed
		if n := len(markedProcesses(b.spec.Unit)); n > 1 {
			t.Fatalf("round %d: %d functions live", round, n)
		}
	}
	b.launch()
	b.ready()
	if n := len(markedProcesses(b.spec.Unit)); n != 1 {
		t.Errorf("%d functions live", n)
	}
}

func markedProcesses(unit string) (found []int) {
	for _, p := range processes() {
		if !p.zombie && marked(p.PID, []byte(marker+"="+unit)) {
			found = append(found, p.PID)
		}
	}
	return found
}

func TestStopHonoursItsContext(t *testing.T) {
	b := newBench(t, "stubborn")
	b.launch()
	b.deaf()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := b.u.Stop(ctx)
	if f := fault.Of(err); f == nil || f.Kind != fault.Timeout || f.Retry != fault.Backoff {
		t.Errorf("%v", err)
	}
}

func TestTerminatedShimEndsItsFunction(t *testing.T) {
	b := serving(t, "serve")
	b.launch()
	st := b.ready()
	if err := syscall.Kill(st.Shim.PID, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	b.until("stopped", func(s State) bool { return s.Phase == Stopped && !b.u.Served() })
	b.nothingLeft()
	if err := b.u.Relaunch(t.Context(), SelfPath); err != nil {
		t.Fatal(err)
	}
	b.ready()
}

// TestAShimTooLateFindsNothing: a shim that a killed service forked may start
// when the unit is removed, or made anew for another.
func TestAShimTooLateFindsNothing(t *testing.T) {
	b := serving(t, "serve")
	if err := b.u.write(b.spec); err != nil {
		t.Fatal(err)
	}
	early, err := os.OpenFile(filepath.Join(b.u.Dir, lockFile), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close() // as a shim that has opened it and not yet locked
	if err := b.u.Remove(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(SelfPath, shimFlag, b.u.Dir).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "no such file") {
		t.Errorf("a shim without a unit: %v %s", err, out)
	}
	b.launch() // made anew
	st := b.ready()
	if mine, there := early, filepath.Join(b.u.Dir, lockFile); sameFile(t, mine, there) {
		t.Error("the lock of the removed unit is the lock of the new one")
	}
	out, err = exec.Command(SelfPath, shimFlag, b.u.Dir).CombinedOutput()
	if err == nil || !strings.Contains(string(out), errHeld.Error()) {
		t.Errorf("a second shim: %v %s", err, out)
	}
	if again := b.ready(); again.Function != st.Function {
		t.Error("the function was harmed")
	}
}

func sameFile(t *testing.T, f *os.File, path string) bool {
	a, err := f.Stat()
	b, err2 := os.Stat(path)
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	return os.SameFile(a, b)
}

func TestSpecOfTheFutureIsRefused(t *testing.T) {
	b := serving(t, "serve")
	b.spec.Version = specVersion + 1
	err := b.u.launch(t.Context(), SelfPath, b.spec)
	if err == nil || !strings.Contains(err.Error(), "version 2, this shim knows up to 1") {
		t.Errorf("%v", err)
	}
}
