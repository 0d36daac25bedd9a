package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// run is one run of the function, from fork to end.
type run struct {
	number  int
	id      Identity
	started time.Time
	out     *os.File      // the shim's end of the output pipe
	copied  chan struct{} // closed when the pipe is drained
	cancel  context.CancelFunc
	ctx     context.Context
}

// start begins a run.
func (s *shim) start() {
	s.retryAt = time.Time{}
	s.log.begin()
	if s.groups.spent {
		s.removeGroups(time.Second)
		s.makeGroups(machineHierarchies())
	}
	r, err := s.fork()
	now := time.Now()
	if err != nil {
		if transient(err) {
			e := Exit{Code: -1, At: now, Tail: "cannot start: " + err.Error()}
			s.life.starts++
			s.endedWith(e)
			return
		}
		s.life = s.life.unrunnable(fmt.Sprintf("cannot execute %s: %v", filepath.Base(s.spec.Path), err), now)
		s.save()
		return
	}
	s.run = r
	s.life = s.life.started()
	r.number = s.life.starts
	s.save()
	if s.spec.Probe.Address == "" {
		s.probe.Reset(aliveFor)
	} else {
		s.probe.Reset(s.life.nextProbe())
	}
}

// transient reports whether a start that failed so may succeed later.
func transient(err error) bool {
	return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.ETXTBSY) ||
		errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE)
}

// fork starts the function in its own session and cgroup.
func (s *shim) fork() (*run, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	attr := &syscall.ProcAttr{Dir: s.spec.Dir, Env: append([]string{marker + "=" + s.spec.Unit}, s.spec.Env...),
		Files: []uintptr{null.Fd(), in.Fd(), in.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}}
	if s.groups.v2 != "" {
		if g, err := os.Open(s.groups.v2); err == nil {
			defer g.Close()
			attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, int(g.Fd())
		}
	}
	pid, err := s.forkExec(attr)
	if err != nil {
		_ = out.Close()
		return nil, err
	}
	r := &run{started: time.Now(), out: out, copied: make(chan struct{})}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	if r.id, err = identify(pid); err != nil { // a child not waited for has a stat
		r.id = Identity{PID: pid, Boot: bootID()}
	}
	go func() {
		defer close(r.copied)
		_, _ = io.Copy(onlyWriter{s.log}, out)
	}()
	return r, nil
}

// forkExec forks into the cgroups. A file just written may still look busy
// because some process forked meanwhile: that passes soon. Where a process
// cannot be born into a version 2 group (Linux before 5.7, a filter that refuses
// clone3), it is moved there at once.
func (s *shim) forkExec(attr *syscall.ProcAttr) (pid int, err error) {
	defer s.groups.enter()()
	argv := append([]string{s.spec.Path}, s.spec.Args...)
	for range 50 {
		pid, err = syscall.ForkExec(s.spec.Path, argv, attr)
		switch {
		case errors.Is(err, unix.ETXTBSY):
			<-time.After(10 * time.Millisecond)
		case attr.Sys.UseCgroupFD && cannotBeBorn(err):
			attr.Sys.UseCgroupFD = false
		case err == nil && s.groups.v2 != "" && !attr.Sys.UseCgroupFD:
			_ = put(s.groups.v2, "cgroup.procs", strconv.Itoa(pid)) // else the limits do not hold, the rest does
			return pid, nil
		default:
			return pid, err
		}
	}
	return pid, err
}

func cannotBeBorn(err error) bool {
	for _, refusal := range []error{unix.ENOSYS, unix.EINVAL, unix.E2BIG, unix.EOPNOTSUPP, unix.EPERM, unix.EBUSY, unix.EBADF, unix.ENODEV} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// onlyWriter hides all but Write, so that io.Copy uses a small buffer of its
// own and no splice.
type onlyWriter struct{ io.Writer }

// reap collects every ended child; among them may be the function itself.
func (s *shim) reap() {
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if pid <= 0 || err != nil {
			return
		}
		if s.run != nil && pid == s.run.id.PID {
			s.ended(ws)
		}
	}
}

// ended: the function's first process ended; what it left goes with it.
func (s *shim) ended(ws syscall.WaitStatus) {
	r := s.run
	s.run = nil
	r.cancel()
	if !s.stopping {
		s.killAll()
	}
	select {
	case <-r.copied:
	case <-time.After(200 * time.Millisecond): // while stopping, a descendant may hold it
	}
	_ = r.out.Close()
	e := exitOf(ws, r.started, time.Now())
	e.OOM = e.Signal == "killed" && s.groups.oomKilled()
	e.Tail = s.log.last(s.secrets)
	s.endedWith(e)
}

func (s *shim) endedWith(e Exit) {
	s.exit = &e
	if !s.evicted {
		_ = writeJSON(filepath.Join(s.dir, exitFile), e)
	}
	s.probe.Stop()
	if s.stopping {
		return
	}
	var wait time.Duration
	if s.life, wait = s.life.ended(e, e.At); wait >= 0 {
		s.retryAt = e.At.Add(wait)
		s.restart.Reset(wait)
	}
	s.save()
}

// killAll kills every process of the function and waits until none lives, for
// at most five seconds: a process in an uninterruptible call may take longer,
// then the loop comes back to it.
func (s *shim) killAll() {
	begin := time.Now()
	for wait := time.Millisecond; time.Since(begin) < 5*time.Second; wait = min(2*wait, 20*time.Millisecond) {
		left := descendants(os.Getpid())
		if len(left) == 0 {
			s.reapStopping()
			return
		}
		for _, p := range left {
			_ = p.signal(unix.SIGKILL)
		}
		if s.stopping || time.Since(begin) > 200*time.Millisecond { // they multiply: kill them at a stroke
			s.groups.kill()
		}
		s.reapStopping()
		<-time.After(wait)
	}
	if s.stopping {
		s.kill.Reset(time.Second)
	}
}

// reapStopping collects children while killAll runs.
func (s *shim) reapStopping() {
	if s.stopping || s.run != nil {
		s.reap()
		return
	}
	for { // the function itself is gone: only orphans are left
		var ws syscall.WaitStatus
		if pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil); pid <= 0 && !errors.Is(err, syscall.EINTR) {
			return
		}
	}
}

// look probes the present run in the background.
func (s *shim) look() {
	r := s.run
	if r == nil {
		return
	}
	p, running := s.spec.Probe, time.Since(r.started)
	go func() {
		ok, saw := p.look(r.ctx, running)
		select {
		case s.probed <- probeResult{r.number, ok, saw}:
		case <-r.ctx.Done():
		}
	}()
}

func (s *shim) sawProbe(r probeResult) {
	if s.run == nil || r.run != s.run.number || s.stopping {
		return
	}
	before := s.life
	var hangs bool
	s.life, hangs = s.life.probed(r.ok, r.saw, time.Now())
	if before.phase != s.life.phase || before.cause != s.life.cause {
		s.save()
	}
	if hangs {
		_, _ = s.log.Write([]byte("shim: no good answer for " + short(s.spec.Probe.Hang) + ", killed\n"))
		_ = s.run.id.signal(unix.SIGKILL)
		return
	}
	if s.spec.Probe.Address != "" {
		s.probe.Reset(s.life.nextProbe())
	}
}
