package supervise

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var epoch = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// TestLifeProperties drives a life through random runs and probes.
func TestLifeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := Spec{Backoff: 10 * time.Millisecond, MaxBackoff: 500 * time.Millisecond, Stable: time.Second,
			Starts: rapid.IntRange(1, 5).Draw(t, "starts"), Probe: Probe{Hang: 300 * time.Millisecond}}
		now := epoch
		l := newLife(spec, now)
		var unstable int       // ends in a row
		var last time.Duration // the wait before
		everReady := false
		for range rapid.IntRange(1, 30).Draw(t, "runs") {
			l = l.started()
			begin := now
			trouble := l.cause
			for range rapid.IntRange(0, 8).Draw(t, "probes") {
				now = now.Add(time.Duration(rapid.IntRange(1, 400).Draw(t, "ms")) * time.Millisecond)
				ok := rapid.Bool().Draw(t, "ok")
				was := l
				var hangs bool
				l, hangs = l.probed(ok, "saw", now)
				everReady = everReady || ok
				switch {
				case ok && (l.phase != Ready || l.cause != "" || hangs):
					t.Fatalf("a good probe left %+v, hangs %v", l, hangs)
				case !ok && was.phase == Starting && l.phase != Starting:
					t.Fatalf("starting became %s by a bad probe", l.phase)
				case hangs && (!everReady || now.Sub(l.missing) < spec.Probe.Hang):
					t.Fatalf("killed too early: %+v", l)
				}
				if ok {
					trouble = ""
				}
				if d := l.nextProbe(); d <= 0 || d > l.spec.Probe.Interval {
					t.Fatalf("next probe in %v", d)
				}
			}
			now = now.Add(time.Duration(rapid.IntRange(1, 900).Draw(t, "rest")) * time.Millisecond)
			e := Exit{Code: rapid.IntRange(0, 255).Draw(t, "code"), Ran: now.Sub(begin)}
			degradedBefore := l.cause
			var wait time.Duration
			l, wait = l.ended(e, now)
			if e.Ran >= spec.Stable {
				unstable, last = 0, 0
			}
			unstable++
			if !everReady && unstable >= spec.Starts {
				if l.phase != Failed || wait >= 0 || !strings.Contains(l.cause, "exit status") {
					t.Fatalf("never ready, ended %d times: %+v, wait %v", unstable, l, wait)
				}
				return
			}
			if l.phase == Failed || wait < spec.Backoff || wait > spec.MaxBackoff || wait < last {
				t.Fatalf("ended %d times: phase %s, wait %v after %v", unstable, l.phase, wait, last)
			}
			if everReady != (l.phase == Degraded) {
				t.Fatalf("ready before: %v, phase %s", everReady, l.phase)
			}
			if trouble != "" && l.cause != trouble || degradedBefore != "" && l.cause != degradedBefore || l.cause == "" {
				t.Fatalf("the first cause %q became %q", trouble, l.cause)
			}
			last, now = wait, now.Add(wait)
		}
	})
}

func TestProbesAreQuickAtFirst(t *testing.T) {
	l := newLife(Spec{}, epoch).started()
	var sum time.Duration
	for sum < 100*time.Millisecond {
		sum += l.nextProbe()
		l, _ = l.probed(false, "no", epoch)
	}
	if l.probes < 6 {
		t.Errorf("only %d probes in the first 100 ms", l.probes)
	}
}

func TestExitInWords(t *testing.T) {
	for want, e := range map[string]Exit{
		"exit status 3 after 12ms: no such file": {Code: 3, Ran: 12 * time.Millisecond, Tail: "no such file"},
		"signal: killed after 2m0s":              {Code: -1, Signal: "killed", Ran: 2 * time.Minute},
		"killed: out of memory after 1.5s":       {Code: -1, Signal: "killed", OOM: true, Ran: 1500 * time.Millisecond},
	} {
		if got := e.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestEvidence(t *testing.T) {
	s := State{Function: Identity{PID: 4711}, Started: epoch, Probe: "GET /healthz 200", Limits: []string{"limit"}, Dropped: 5,
		Exit: &Exit{Code: 1, At: epoch.Add(-time.Minute), Ran: time.Second}}
	got := strings.Join(s.Evidence(epoch.Add(12*time.Second)), "; ")
	want := "pid 4711 alive 12s; GET /healthz 200; last run ended 1m12s ago: exit status 1 after 1s; limit; 5 bytes of output dropped: no space"
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	s = State{RetryAt: epoch.Add(time.Second)}
	if got := s.Evidence(epoch)[0]; got != "not running, next start in 1s" {
		t.Error(got)
	}
}
