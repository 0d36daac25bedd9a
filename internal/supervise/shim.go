package supervise

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
)

// The files of a unit.
const (
	specFile   = "spec.json"
	lockFile   = "lock"
	stateFile  = "state.json"
	exitFile   = "exit.json"
	socketFile = "ctl"
	logDir     = "log"
	crashFile  = "shim.log"
)

// shimFlag is the hidden first argument which makes a binary a shim.
const shimFlag = "--shim"

// ShimMain runs the shim when args (os.Args) ask for one and reports whether
// they did; the caller then ends. It is called first thing in main.
func ShimMain(args []string) (handled bool) {
	if len(args) != 3 || args[1] != shimFlag {
		return false
	}
	unix.Umask(0o077)
	runtime.LockOSThread() // the function dies with the thread that forks it
	debug.SetGCPercent(20)
	hand := os.NewFile(3, "handshake")
	if err := runShim(args[2], hand); err != nil {
		_, _ = fmt.Fprintln(hand, "error: "+err.Error())
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

// shim serves one unit. All its fields belong to the loop.
type shim struct {
	dir     string
	lock    *Lock
	spec    Spec // with defaults
	digest  string
	life    life
	self    Identity
	log     *logFile
	secrets []string
	groups  *groups
	run     *run // nil: none runs
	exit    *Exit
	retryAt time.Time

	chld     chan os.Signal
	term     chan os.Signal
	calls    chan call
	probed   chan probeResult
	restart  *time.Timer
	probe    *time.Timer
	kill     *time.Timer // end of the grace period
	stopping bool
	evicted  bool   // the directory is gone or another's
	waiting  []call // for the end
}

type probeResult struct {
	run int
	ok  bool
	saw string
}

func runShim(dir string, hand *os.File) error {
	lock, err := holdUnit(dir)
	if err != nil {
		return err
	}
	defer runtime.KeepAlive(lock) // the kernel lets go of it when this process is gone
	spec, err := readSpec(dir)
	if err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("cannot become subreaper: %w", err)
	}
	s := newShim(dir, spec)
	s.lock = lock
	if s.self, err = identify(os.Getpid()); err != nil {
		return err
	}
	if err := s.inherit(); err != nil {
		return err
	}
	l, err := listen(dir)
	if err != nil {
		return fmt.Errorf("cannot open the control socket: %w", err)
	}
	go serve(l, s.calls)
	s.prepare()
	s.start()
	_, _ = fmt.Fprintln(hand, "ready")
	_ = hand.Close()
	s.loop()
	return s.leave(l)
}

// holdUnit takes the unit's lock, or tells that another shim has it.
func holdUnit(dir string) (*Lock, error) {
	path := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if err := setLock(f, unix.F_WRLCK, 0); err != nil {
		_ = f.Close()
		return nil, errHeld
	}
	mine, err := f.Stat()
	there, err2 := os.Stat(path)
	if err != nil || err2 != nil || !os.SameFile(mine, there) {
		_ = f.Close() // the unit was removed, perhaps made anew, meanwhile
		return nil, errors.New("the unit is gone")
	}
	return &Lock{f}, nil
}

func newShim(dir string, spec Spec) *shim {
	s := &shim{dir: dir, spec: spec.filled(), digest: spec.Digest(), life: newLife(spec, time.Now()), secrets: append(secretsIn(spec.Env), spec.Secrets...),
		chld: make(chan os.Signal, 1), term: make(chan os.Signal, 1),
		calls: make(chan call), probed: make(chan probeResult, 1),
		restart: stopped(), probe: stopped(), kill: stopped()}
	s.log = newLogFile(filepath.Join(dir, logDir), s.spec.LogBytes, s.spec.LogFiles)
	signal.Notify(s.chld, unix.SIGCHLD)
	signal.Notify(s.term, unix.SIGTERM)
	// Not Ignore: the function would inherit that.
	signal.Notify(make(chan os.Signal, 1), unix.SIGHUP, unix.SIGINT, unix.SIGQUIT)
	return s
}

func stopped() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// inherit sweeps what a killed predecessor left and takes over its count of
// restarts. A control socket is such a trace too: on a full disk the state may
// be missing or old.
func (s *shim) inherit() error {
	before, err := readState(s.dir)
	known := err == nil && before.Digest == s.digest
	if known {
		s.exit = before.Exit
		s.life.starts = before.Restarts + 1 // the run that was lost
	}
	_, trace := os.Lstat(filepath.Join(s.dir, socketFile))
	if trace != nil && (errors.Is(err, os.ErrNotExist) || before.Phase == Stopped) {
		return nil
	}
	if before.Unit == "" {
		before = State{Unit: s.spec.Unit, Cgroups: planGroups(s.spec.Unit, s.spec.Limits, machineHierarchies()).all}
	}
	if err := sweep(before, 5*time.Second); err != nil {
		return err
	}
	if known && (before.Phase == Ready || before.Phase == Degraded) {
		s.life.everReady = true
		s.life = s.life.to(Degraded, time.Now())
		s.life.cause = "the shim was killed or the machine restarted"
	}
	return nil
}

// prepare makes the cgroups, once they are written down.
func (s *shim) prepare() {
	hs := machineHierarchies()
	s.groups = planGroups(s.spec.Unit, s.spec.Limits, hs)
	s.save()
	s.makeGroups(hs)
}

func (s *shim) makeGroups(hs []hierarchy) {
	s.groups.make(s.spec.Unit, s.spec.Limits, hs)
	s.groups.oomKilled() // kills of an earlier life do not count
}

// homeless is how often a shim looks for its unit; missed twice in a row it is
// gone, removed by someone who stopped nobody, and the shim ends.
const homeless = 2 * time.Second

// loop acts until the function was stopped on demand.
func (s *shim) loop() {
	settled := time.NewTimer(slimAfter)
	home := time.NewTicker(homeless)
	missed := 0
	for !s.done() {
		select {
		case <-settled.C:
			slim()
		case <-home.C:
			if missed = s.missing(missed); missed == 2 {
				s.stop(s.spec.Grace)
			}
		case <-s.chld:
			s.reap()
		case <-s.restart.C:
			s.start()
		case <-s.probe.C:
			s.look()
		case r := <-s.probed:
			s.sawProbe(r)
		case c := <-s.calls:
			s.answer(c)
		case <-s.term:
			s.stop(s.spec.Grace)
		case <-s.kill.C:
			s.killAll()
		}
	}
}

// missing counts on when the unit's directory is not there, or is another's.
func (s *shim) missing(missed int) int {
	there, err := os.Lstat(filepath.Join(s.dir, lockFile))
	if err == nil && !s.lock.is(there) {
		s.groups = &groups{} // they have the successor's name
		s.evicted = true
		return missed + 1
	}
	if errors.Is(err, os.ErrNotExist) {
		s.evicted = true
		return missed + 1
	}
	s.evicted = false
	return 0
}

// done reports whether nothing of the function is left after a stop.
func (s *shim) done() bool {
	return s.stopping && s.run == nil && len(descendants(os.Getpid())) == 0
}

func (s *shim) answer(c call) {
	switch c.Op {
	case "status":
		c.reply <- answer{State: s.state()}
	case "stop":
		s.waiting = append(s.waiting, c)
		grace := c.Grace
		if grace <= 0 {
			grace = s.spec.Grace
		}
		s.stop(grace)
	default:
		c.reply <- answer{Error: "unknown operation " + c.Op}
	}
}

// stop asks every process of the function to end and sets the time to kill.
func (s *shim) stop(grace time.Duration) {
	s.restart.Stop()
	s.probe.Stop()
	if !s.stopping {
		s.stopping = true
		for _, p := range descendants(os.Getpid()) {
			_ = p.signal(unix.SIGTERM)
		}
	}
	s.kill.Reset(grace)
}

// leave says the last word: no process is left, now no cgroup, no socket.
func (s *shim) leave(l net.Listener) error {
	last := s.state()
	patience := 5 * time.Second
	if s.evicted { // nobody waits for it, and nobody sweeps after it
		patience = time.Minute
	}
	if s.removeGroups(patience) {
		last.Cgroups = nil
	}
	last.Phase, last.Since = Stopped, time.Now()
	if !s.evicted {
		_ = writeJSON(filepath.Join(s.dir, stateFile), last)
	}
	_ = l.Close()
	if !s.evicted {
		_ = os.Remove(filepath.Join(s.dir, socketFile))
	}
	for _, c := range s.waiting {
		c.reply <- answer{State: last}
	}
	return nil
}

// removeGroups collects what ended and removes the cgroups. A process that ended
// is a member until the kernel let go of it, and then nobody may come to sweep:
// a shim whose directory was removed is alone.
func (s *shim) removeGroups(within time.Duration) bool {
	deadline := time.Now().Add(within)
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		s.reap()
		if s.groups.remove() {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
		<-time.After(wait)
	}
}

// state is the truth of now.
func (s *shim) state() State {
	st := State{Version: specVersion, Phase: s.life.phase, Digest: s.digest, Unit: s.spec.Unit,
		Shim: s.self, Since: s.life.since, Restarts: max(0, s.life.starts-1), Probe: s.life.probe,
		Cause: s.life.why(), RetryAt: s.retryAt, Exit: s.exit, Dropped: s.log.lost()}
	if s.groups != nil {
		st.Limits, st.Cgroups = s.groups.notes, s.groups.all
	}
	if s.run != nil {
		st.Function, st.Started = s.run.id, s.run.started
	}
	return st
}

// save writes the state for whoever finds no shim to ask, and to wake watchers.
// On a full disk the control socket still tells.
func (s *shim) save() { _ = writeJSON(filepath.Join(s.dir, stateFile), s.state()) }
