package supervise

import (
	"fmt"
	"time"
)

// firstProbe and slowestProbe bound the wait between probes of a function that
// is not ready yet; missesToDegrade is how often a ready one may fail in a row.
const (
	firstProbe      = 5 * time.Millisecond
	slowestProbe    = 250 * time.Millisecond
	missesToDegrade = 3
)

// life decides what becomes of a function: it is pure, the shim acts.
type life struct {
	spec      Spec // with defaults
	phase     Phase
	since     time.Time
	cause     string    // first root cause of the present trouble
	probe     string    // what the last probe saw
	everReady bool      // under this spec
	starts    int       // runs so far
	ends      int       // runs ended since the last stable one
	probes    int       // in this run
	misses    int       // probes failed in a row
	missing   time.Time // of the first of them
}

func newLife(spec Spec, now time.Time) life {
	return life{spec: spec.filled(), phase: Starting, since: now}
}

func (l life) to(p Phase, now time.Time) life {
	if l.phase != p {
		l.phase, l.since = p, now
	}
	return l
}

// started: a run began.
func (l life) started() life {
	l.starts++
	l.probes, l.misses, l.missing, l.probe = 0, 0, time.Time{}, ""
	return l
}

// unrunnable: the executable cannot be executed; only another spec can help.
func (l life) unrunnable(why string, now time.Time) life {
	l.starts++
	l.cause = why
	return l.to(Failed, now)
}

// ended: the run ended. It answers how long to wait before the next one;
// negative: never.
func (l life) ended(e Exit, now time.Time) (life, time.Duration) {
	if e.Ran >= l.spec.Stable {
		l.ends = 0
	}
	l.ends++
	l.misses, l.missing, l.probe = 0, time.Time{}, ""
	if l.cause == "" {
		l.cause = e.String()
	}
	if l.everReady {
		return l.to(Degraded, now), l.wait()
	}
	if l.ends >= l.spec.Starts {
		l.cause = fmt.Sprintf("ended %d times without getting ready; first %s", l.ends, l.cause)
		return l.to(Failed, now), -1
	}
	return l, l.wait()
}

// wait is the backoff after l.ends ends in a row.
func (l life) wait() time.Duration {
	d := l.spec.Backoff
	for i := 1; i < l.ends && d < l.spec.MaxBackoff; i++ {
		d *= 2
	}
	return min(d, l.spec.MaxBackoff)
}

// probed: a probe was answered, ok or not; saw tells how. It answers whether
// the function hangs and must be killed.
func (l life) probed(ok bool, saw string, now time.Time) (life, bool) {
	l.probes++
	l.probe = saw
	if ok {
		l.misses, l.missing, l.cause, l.everReady = 0, time.Time{}, "", true
		return l.to(Ready, now), false
	}
	l.misses++
	if l.misses == 1 {
		l.missing = now
	}
	if l.phase == Ready && l.misses >= missesToDegrade {
		l.cause = fmt.Sprintf("%s (%d times)", saw, l.misses)
		l = l.to(Degraded, now)
	}
	return l, l.everReady && now.Sub(l.missing) >= l.spec.Probe.Hang
}

// nextProbe is how long to wait before the next probe.
func (l life) nextProbe() time.Duration {
	switch {
	case l.phase == Ready && l.misses == 0:
		return l.spec.Probe.Interval
	case l.phase == Ready:
		return min(l.spec.Probe.Interval, time.Second)
	}
	d := firstProbe
	for range l.probes {
		d = min(d*3/2, slowestProbe)
	}
	return d
}

// why is the cause to tell: the first root cause, else what keeps the function
// from being ready.
func (l life) why() string {
	if l.cause == "" && l.phase != Ready && l.probe != "" {
		return "not ready: " + l.probe
	}
	return l.cause
}
