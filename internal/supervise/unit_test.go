package supervise

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestLaunchReadyStop(t *testing.T) {
	b := serving(t, "serve")
	b.launch()
	st := b.ready()
	if !st.Function.Alive() || !st.Shim.Alive() || st.Digest != b.spec.Digest() || st.Restarts != 0 {
		t.Errorf("%+v", st)
	}
	if s, err := readStat(st.Shim.PID); err != nil || s.session != st.Shim.PID {
		t.Errorf("the shim leads no session of its own: %+v, %v", s, err)
	}
	b.launch() // the same again
	if again := b.ready(); again.Function != st.Function || again.Shim != st.Shim {
		t.Errorf("launching the same again: %v became %v", st.Function, again.Function)
	}
	b.stop()
	b.nothingLeft()
	last, alive, err := b.u.State(t.Context())
	if alive || err != nil || last.Phase != Stopped || last.Function.PID != 0 {
		t.Errorf("after stop: %+v, alive %v, %v", last, alive, err)
	}
	b.stop() // of what does not run
}

// TestSignalsAreTheFunctionsOwn: what the shim does with signals is not handed
// down.
func TestSignalsAreTheFunctionsOwn(t *testing.T) {
	b := newBench(t, "")
	b.spec.Path, b.spec.Args = "/bin/sleep", []string{"1000"}
	if _, err := os.Stat(b.spec.Path); err != nil {
		prerequisite(t, err.Error())
	}
	b.launch()
	st := b.ready()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", st.Function.PID))
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"SigIgn", "SigBlk"} {
		// What the tests themselves were started with is nobody's doing here.
		if more := signalMask(t, raw, field) &^ signalMask(t, own, field); more != 0 {
			t.Errorf("the function begins with %s %016x more than was handed down", field, more)
		}
	}
}

func signalMask(t *testing.T, status []byte, field string) (mask uint64) {
	t.Helper()
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, field+":"); ok {
			if _, err := fmt.Sscanf(strings.TrimSpace(text), "%x", &mask); err != nil {
				t.Fatal(err)
			}
			return mask
		}
	}
	t.Fatalf("no %s in\n%s", field, status)
	return 0
}

func TestAnotherSpecReplaces(t *testing.T) {
	b := serving(t, "serve")
	b.launch()
	before := b.ready()
	b.spec.Env = append(b.spec.Env, "MORE=yes")
	b.launch()
	after := b.ready()
	if after.Function == before.Function || before.Function.Alive() || after.Digest != b.spec.Digest() {
		t.Errorf("%+v became %+v", before, after)
	}
}

func TestLaunchedAtOnceRunsOnce(t *testing.T) {
	b := serving(t, "serve")
	if err := b.u.write(b.spec); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 5 { // as services do that were killed between fork and lock
		wg.Go(func() {
			if err := b.u.begin(t.Context(), SelfPath); err != nil && !errors.Is(err, errHeld) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	b.ready()
	if n := len(markedProcesses(b.spec.Unit)); n != 1 {
		t.Errorf("%d functions run", n)
	}
}

func TestKilledFunctionIsRestarted(t *testing.T) {
	b := serving(t, "serve")
	b.launch()
	before := b.ready()
	if err := syscall.Kill(before.Function.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	after := b.until("restarted", func(s State) bool { return s.Phase == Ready && s.Restarts == 1 })
	if after.Function == before.Function || after.Exit == nil || after.Exit.Signal != "killed" {
		t.Errorf("%+v", after)
	}
	var e Exit
	raw, err := os.ReadFile(filepath.Join(b.u.Dir, exitFile))
	if err != nil || json.Unmarshal(raw, &e) != nil || e.Signal != "killed" {
		t.Errorf("exit file: %s, %v", raw, err)
	}
}

func TestCrashLoopFailsWithItsFirstCause(t *testing.T) {
	b := newBench(t, "exit", "3", "cannot open", "the configuration")
	b.spec.Probe.Address = freeAddress(t)
	b.spec.Starts = 3
	b.launch()
	st := b.until("failed", func(s State) bool { return s.Phase == Failed })
	for _, want := range []string{"3 times", "exit status 3", "cannot open the configuration"} {
		if !strings.Contains(st.Cause, want) {
			t.Errorf("cause %q lacks %q", st.Cause, want)
		}
	}
	if st.Restarts != 2 || st.Function.PID != 0 {
		t.Errorf("%+v", st)
	}
	b.spec.Args = []string{"function", "idle"}
	b.spec.Probe = Probe{}
	b.launch() // another spec is another chance
	b.ready()
}

func TestSecretsAreBlottedOut(t *testing.T) {
	b := newBench(t, "exit", "1", "denied for hunter2hunter2 and bearer-of-it by /etc/token")
	b.spec.Env = append(b.spec.Env, "DB_PASSWORD=hunter2hunter2", "TOKEN_FILE=/etc/token")
	b.spec.Secrets = []string{"bearer-of-it"}
	b.spec.Probe.Address = freeAddress(t)
	b.spec.Starts = 1
	b.launch()
	st := b.until("failed", func(s State) bool { return s.Phase == Failed })
	if !strings.Contains(st.Cause, "denied for ••• and ••• by /etc/token") {
		t.Errorf("cause %q", st.Cause)
	}
}

func TestWhatCannotBeExecutedFailsAtOnce(t *testing.T) {
	b := newBench(t, "idle")
	b.spec.Path = filepath.Join(t.TempDir(), "absent")
	b.launch()
	st := b.until("failed", func(s State) bool { return s.Phase == Failed })
	if !strings.Contains(st.Cause, "cannot execute absent") || !strings.Contains(st.Cause, "no such file") {
		t.Errorf("cause %q", st.Cause)
	}
}

func TestNeverReadyTellsWhy(t *testing.T) {
	b := newBench(t, "idle")
	b.spec.Probe = Probe{Address: freeAddress(t), Path: "/healthz"}
	b.launch()
	st := b.until("telling why", func(s State) bool { return s.Cause != "" })
	if st.Phase != Starting || st.Cause != "not ready: GET /healthz: connection refused" {
		t.Errorf("%s %q", st.Phase, st.Cause)
	}
}

func TestHungFunctionIsRestarted(t *testing.T) {
	b := serving(t, "serve")
	b.spec.Probe.Timeout, b.spec.Probe.Hang = 30*time.Millisecond, 400*time.Millisecond
	b.launch()
	before := b.ready()
	ask200(t, "http://"+b.addr+"/hang")
	st := b.until("degraded", func(s State) bool { return s.Phase == Degraded })
	if !strings.Contains(st.Cause, "GET /healthz: no answer in time") {
		t.Errorf("cause %q", st.Cause)
	}
	after := b.until("restarted", func(s State) bool { return s.Phase == Ready && s.Restarts == 1 })
	if after.Function == before.Function {
		t.Error("the same process")
	}
}

func TestDescendantsEndWithTheFunction(t *testing.T) {
	for _, how := range []string{"stop", "kill of the function", "kill of the shim"} {
		t.Run(how, func(t *testing.T) {
			b := serving(t, "brood")
			b.launch()
			before := b.ready()
			brood := descendants(before.Function.PID)
			if len(brood) != 3 {
				t.Fatalf("%d descendants, want 3", len(brood))
			}
			switch how {
			case "stop":
				b.stop()
			case "kill of the function":
				syscall.Kill(before.Function.PID, syscall.SIGKILL)
				b.until("restarted", func(s State) bool { return s.Phase == Ready && s.Restarts == 1 })
			case "kill of the shim":
				kill(t, before.Shim)
				if err := b.u.Relaunch(t.Context(), SelfPath); err != nil {
					t.Fatal(err)
				}
				b.until("brought back", func(s State) bool { return s.Phase == Ready && s.Restarts == 1 })
			}
			for _, p := range brood {
				if p.Alive() {
					t.Errorf("%v outlives its function", p.Identity)
				}
			}
			if before.Function.Alive() {
				t.Error("the function still lives")
			}
		})
	}
}

// kill kills a shim and waits until the kernel let go of its lock.
func kill(t testing.TB, id Identity) {
	t.Helper()
	if err := id.signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for late := time.Now().Add(time.Minute); id.Alive(); time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("%v does not die", id)
		}
	}
}

func TestFunctionDiesWithItsShim(t *testing.T) {
	b := serving(t, "serve")
	b.launch()
	st := b.ready()
	kill(t, st.Shim)
	for late := time.Now().Add(time.Minute); st.Function.Alive(); time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("the function outlives its shim")
		}
	}
	if _, alive, _ := b.u.State(t.Context()); alive {
		t.Error("a dead shim counts as alive")
	}
}

func TestProtocolOfTheFuture(t *testing.T) {
	b := serving(t, "serve")
	b.launch()
	b.ready()
	if _, err := ask(t.Context(), b.u.Dir, request{Op: "dance"}); err == nil || !strings.Contains(err.Error(), "unknown operation dance") {
		t.Errorf("%v", err)
	}
	b.ready() // unharmed
}

func TestOutputIsKept(t *testing.T) {
	b := newBench(t, "chatty", "20000")
	b.spec.LogBytes, b.spec.LogFiles = 64<<10, 3
	b.launch()
	b.ready()
	newest := filepath.Join(b.u.Dir, logDir, "function.log")
	for late := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		raw, _ := os.ReadFile(newest)
		if strings.HasSuffix(string(raw), "line 19999 of the output\n") {
			break
		}
		if time.Now().After(late) {
			t.Fatal("the last line is not there")
		}
	}
	files, _ := filepath.Glob(newest + "*")
	var total int64
	for _, f := range files {
		st, err := os.Stat(f)
		if err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", f, st.Mode(), err)
		}
		total += st.Size()
	}
	if len(files) != 3 || total > 3*64<<10 {
		t.Errorf("%d files of %d bytes, want 3 of at most %d", len(files), total, 3*64<<10)
	}
}

func TestLimits(t *testing.T) {
	b := newBench(t, "hog", "300")
	b.spec.Limits = Limits{CPU: 500, Memory: 120}
	b.spec.Starts = 1
	b.spec.Probe.Address = freeAddress(t)
	b.launch()
	st := b.until("settled", func(s State) bool { return len(s.Limits) > 0 && (s.Phase == Failed || s.Function.PID > 0) })
	if strings.Contains(strings.Join(st.Limits, " "), "not enforced") {
		prerequisite(t, "cgroups with the cpu and memory controllers: "+strings.Join(st.Limits, "; "))
	}
	st = b.until("killed", func(s State) bool { return s.Phase == Failed })
	if !st.Exit.OOM || !strings.Contains(st.Cause, "out of memory") {
		t.Errorf("%+v cause %q", st.Exit, st.Cause)
	}
	if want := []string{"cpu limit 500 m by", "memory limit 120 MiB by"}; len(st.Limits) != 2 ||
		!strings.HasPrefix(st.Limits[0], want[0]) && !strings.HasPrefix(st.Limits[1], want[0]) {
		t.Errorf("limits %q", st.Limits)
	}
}

// prerequisite skips, or fails where everything must run.
func prerequisite(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("missing prerequisite: %s", what)
	}
	t.Skipf("missing prerequisite: %s", what)
}

func TestShimsEnvironmentAndArgumentsHoldNothing(t *testing.T) {
	t.Setenv("OSMOSLICE_STORE_PASSWORD", "do-not-tell")
	b := serving(t, "serve")
	b.spec.Env = append(b.spec.Env, "FUNCTION_SECRET=nor-this")
	b.launch()
	st := b.ready()
	for _, id := range []Identity{st.Shim, st.Function} {
		env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", id.PID))
		args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", id.PID))
		if strings.Contains(string(env)+string(args), "do-not-tell") || strings.Contains(string(args), "nor-this") {
			t.Errorf("%v tells a secret", id)
		}
	}
	for _, name := range []string{specFile, stateFile, lockFile, crashFile} {
		if fi, err := os.Stat(filepath.Join(b.u.Dir, name)); err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, fi.Mode(), err)
		}
	}
}
