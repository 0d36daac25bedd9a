package supervise

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// SelfPath is the running binary, even when its file was replaced or removed.
const SelfPath = "/proc/self/exe"

var errHeld = errors.New("another shim serves this unit")

// Unit is one function's directory. The caller keeps two Launches, Stops or
// Removes of one unit from running at once; State may be asked at any time.
type Unit struct {
	Dir string // absolute
}

// SpecPath is where Launch writes the specification. It survives a crash of the
// service; the caller brings it to the disk if it must survive a power cut.
func (u Unit) SpecPath() string { return filepath.Join(u.Dir, specFile) }

// Launch makes the unit run exactly spec: a shim that does already is left
// alone, one that runs another spec is stopped first. It returns when the shim
// serves and has tried to start the function; State tells how that went.
// shimPath is the binary to execute as shim, usually SelfPath.
func (u Unit) Launch(ctx context.Context, shimPath string, spec Spec) error {
	spec.Version = specVersion
	for range 3 {
		st, alive, _ := u.State(ctx)
		if alive && st.Digest == spec.Digest() && st.Phase != Stopped {
			return nil
		}
		if alive {
			if err := u.Stop(ctx); err != nil {
				return err
			}
		}
		err := u.launch(ctx, shimPath, spec)
		if !errors.Is(err, errHeld) {
			return err
		}
	}
	return fault.New(fault.Conflict, "another shim keeps starting for this function").Retrying(fault.Backoff)
}

func (u Unit) launch(ctx context.Context, shimPath string, spec Spec) error {
	if err := u.write(spec); err != nil {
		return IOFault(err, "cannot write the function's specification")
	}
	return u.begin(ctx, shimPath)
}

// begin starts a shim for what is written and waits for its first word.
func (u Unit) begin(ctx context.Context, shimPath string) error {
	r, w, err := os.Pipe()
	if err != nil {
		return IOFault(err, "cannot start a shim")
	}
	defer r.Close()
	ended, err := u.exec(shimPath, w)
	_ = w.Close()
	if err != nil {
		return IOFault(err, "cannot start a shim")
	}
	err = handshake(ctx, r)
	if err != nil && ctx.Err() == nil { // it said so on its way out
		select {
		case <-ended:
		case <-time.After(time.Second):
		}
	}
	return err
}

func (u Unit) write(spec Spec) error {
	if err := os.MkdirAll(u.Dir, 0o700); err != nil {
		return err
	}
	l, err := os.OpenFile(filepath.Join(u.Dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_ = l.Close()
	b, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	return WriteFile(filepath.Join(u.Dir, specFile), b, false)
}

// exec starts the shim in its own session, with an environment that holds
// nothing of the service's: no secret, no address of its store. The channel
// closes when the shim ended.
func (u Unit) exec(shimPath string, hand *os.File) (ended <-chan struct{}, err error) {
	crash, err := os.OpenFile(filepath.Join(u.Dir, crashFile), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer crash.Close()
	cmd := exec.CommandContext(context.Background(), shimPath) // outlives whoever asked for it
	cmd.Args = []string{"osmosliced", shimFlag, u.Dir}
	cmd.Dir = "/"
	cmd.Env = append(inherited("PATH", "TZ", "LANG", "GOCOVERDIR", "GORACE"), "GOMAXPROCS=2", "GOMEMLIMIT=16MiB", "GOGC=20")
	cmd.Stdout, cmd.Stderr = crash, crash
	cmd.ExtraFiles = []*os.File{hand}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	done := make(chan struct{})
	go func() { // the shim outlives us, or we collect it
		defer close(done)
		_ = cmd.Wait()
	}()
	return done, nil
}

func inherited(names ...string) []string {
	var env []string
	for _, name := range names {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// handshake waits for the shim's first word.
func handshake(ctx context.Context, r *os.File) error {
	defer context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Now()) })()
	line, err := bufio.NewReader(r).ReadString('\n')
	line = strings.TrimSpace(line)
	why, failed := strings.CutPrefix(line, "error: ")
	switch {
	case line == "ready":
		return nil
	case failed && why == errHeld.Error():
		return errHeld
	case failed && strings.Contains(why, unix.ENOSPC.Error()):
		return fault.New(fault.NoSpace, "the shim cannot work: the disk is full").Retrying(fault.Backoff)
	case failed:
		return fault.New(fault.Internal, "the shim ended: %s", why).Retrying(fault.Backoff)
	case ctx.Err() != nil:
		return fault.Of(ctx.Err())
	}
	return fault.New(fault.Internal, "the shim ended before it served").Because(err).Retrying(fault.Backoff)
}

// State is what the unit's shim says, and whether one lives. Without a shim it
// is the last thing said; a unit never launched answers os.ErrNotExist. A shim
// that lives and gives no answer for a second is Degraded, with no Digest.
func (u Unit) State(ctx context.Context) (st State, alive bool, err error) {
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for wait := time.Millisecond; ; wait = min(2*wait, 20*time.Millisecond) {
		if !u.Served() {
			st, err = readState(u.Dir)
			return st, false, err
		}
		if st, err = ask(short, u.Dir, request{Op: "status"}); err == nil {
			return st, true, nil
		}
		select {
		case <-time.After(wait): // it is just coming, or going
		case <-short.Done():
			return u.silent(ctx)
		}
	}
}

// silent is the state of a shim that gives no answer.
func (u Unit) silent(ctx context.Context) (State, bool, error) {
	if ctx.Err() != nil {
		return State{}, true, fault.Of(ctx.Err())
	}
	st, err := readState(u.Dir)
	if errors.Is(err, os.ErrNotExist) {
		st, err = State{}, nil
	}
	st.Phase, st.Digest, st.Cause = Degraded, "", "the function's shim does not answer"
	return st, true, err
}

// Stop ends the function: SIGTERM, after the spec's grace SIGKILL, then its
// shim and whatever they left. A unit that does not run is not an error.
func (u Unit) Stop(ctx context.Context) error {
	grace := Spec{}.filled().Grace
	if spec, err := readSpec(u.Dir); err == nil {
		grace = spec.filled().Grace
	}
	if err := u.endShim(ctx, grace); err != nil {
		return err
	}
	st, err := readState(u.Dir)
	_, trace := os.Lstat(filepath.Join(u.Dir, socketFile))
	if trace != nil && (errors.Is(err, os.ErrNotExist) || st.Phase == Stopped && len(st.Cgroups) == 0) {
		return nil // it left in order, or never came
	}
	if st.Unit == "" {
		st.Unit = UnitName(u.Dir)
	}
	// On a full disk the state may be older than the groups.
	st.Cgroups = append(st.Cgroups, planGroups(st.Unit, Limits{1, 1}, machineHierarchies()).all...)
	if err := sweep(st, 5*time.Second); err != nil {
		return IOFault(err, "cannot end every process of the function")
	}
	_ = os.Remove(filepath.Join(u.Dir, socketFile))
	return nil
}

// endShim asks the shim to stop and waits until it let go of the unit. One that
// does not answer, or takes far longer than it may, is killed.
func (u Unit) endShim(ctx context.Context, grace time.Duration) error {
	lock := filepath.Join(u.Dir, lockFile)
	patience := time.Now().Add(2 * time.Second) // to open its socket
	st, _ := readState(u.Dir)                   // its process ends a moment after its lock
	for wait := time.Millisecond; lockHeld(lock) || st.Shim.Alive(); wait = min(2*wait, 20*time.Millisecond) {
		err := u.askToStop(ctx, grace)
		if ctx.Err() != nil {
			return fault.Of(ctx.Err())
		}
		if errors.Is(err, os.ErrDeadlineExceeded) || err != nil && time.Now().After(patience) {
			killShims(u.Dir)
		}
		select {
		case <-ctx.Done():
			return fault.Of(ctx.Err())
		case <-time.After(wait):
		}
	}
	return nil
}

// askToStop makes sure that the shim listens before it grants it the grace.
func (u Unit) askToStop(ctx context.Context, grace time.Duration) error {
	short, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if _, err := ask(short, u.Dir, request{Op: "status"}); err != nil {
		return err
	}
	long, cancel := context.WithTimeout(ctx, grace+6*time.Second)
	defer cancel()
	_, err := ask(long, u.Dir, request{Op: "stop", Grace: grace})
	return err
}

// killShims kills every process that was executed as shim of dir.
func killShims(dir string) {
	for _, p := range processes() {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(p.PID) + "/cmdline")
		if err != nil || p.PID == os.Getpid() {
			continue
		}
		if args := strings.Split(string(b), "\x00"); len(args) >= 3 && args[1] == shimFlag && args[2] == dir {
			_ = p.signal(unix.SIGKILL)
		}
	}
}

// Relaunch brings back the shim of a unit that was launched before and whose
// shim is gone.
func (u Unit) Relaunch(ctx context.Context, shimPath string) error {
	spec, err := readSpec(u.Dir)
	if err != nil {
		return IOFault(err, "cannot read the function's specification")
	}
	return u.Launch(ctx, shimPath, spec)
}

// Remove stops the unit and removes its directory, the entry named last at the
// end. It holds the unit's lock meanwhile, so that a shim which is late to start
// finds nothing to serve.
func (u Unit) Remove(ctx context.Context, last string) error {
	if _, err := os.Lstat(u.Dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for {
		if err := u.Stop(ctx); err != nil {
			return err
		}
		lock, err := holdUnit(u.Dir)
		if errors.Is(err, errHeld) && ctx.Err() == nil {
			continue // a late one: stop it too
		}
		if lock != nil {
			defer lock.Release()
		}
		if err := u.removeDir(last); err != nil {
			return IOFault(err, "cannot remove the function's directory")
		}
		return nil
	}
}

func (u Unit) removeDir(last string) error {
	entries, err := os.ReadDir(u.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == last {
			continue
		}
		if err := os.RemoveAll(filepath.Join(u.Dir, e.Name())); err != nil {
			return err
		}
	}
	return os.RemoveAll(u.Dir)
}

// Served reports whether a shim lives for the unit.
func (u Unit) Served() bool { return lockHeld(filepath.Join(u.Dir, lockFile)) }
