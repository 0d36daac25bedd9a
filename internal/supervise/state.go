package supervise

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Phase is how far a function is.
type Phase string

// The phases; see the package comment.
const (
	Starting Phase = "starting"
	Ready    Phase = "ready"
	Degraded Phase = "degraded"
	Failed   Phase = "failed"
	Stopped  Phase = "stopped"
)

// State is what a shim says of its function.
type State struct {
	Version  int       `json:"version"`
	Phase    Phase     `json:"phase"`
	Digest   string    `json:"digest"` // of the Spec in force
	Unit     string    `json:"unit"`
	Shim     Identity  `json:"shim"`
	Function Identity  `json:"function"`          // zero pid: none runs
	Started  time.Time `json:"started,omitzero"`  // of the present run
	Since    time.Time `json:"since"`             // of the phase
	Restarts int       `json:"restarts"`          // since the shim's first start
	Probe    string    `json:"probe,omitempty"`   // what the last probe saw
	Cause    string    `json:"cause,omitempty"`   // first root cause while not ready
	RetryAt  time.Time `json:"retryAt,omitzero"`  // of the next start while none runs
	Exit     *Exit     `json:"exit,omitempty"`    // how the function last ended
	Limits   []string  `json:"limits,omitempty"`  // what is enforced, and what is not
	Cgroups  []string  `json:"cgroups,omitempty"` // directories made for the unit
	Dropped  int64     `json:"dropped,omitempty"` // bytes of output that found no space
}

// Exit is how a run of the function ended.
type Exit struct {
	Code   int           `json:"code"`             // -1 when killed by a signal
	Signal string        `json:"signal,omitempty"` // "killed"
	At     time.Time     `json:"at"`
	Ran    time.Duration `json:"ran"`
	OOM    bool          `json:"oom,omitempty"`  // the memory limit killed it
	Tail   string        `json:"tail,omitempty"` // its last lines of output
}

func exitOf(ws syscall.WaitStatus, started, now time.Time) Exit {
	e := Exit{Code: ws.ExitStatus(), At: now, Ran: now.Sub(started)}
	if ws.Signaled() {
		e.Code, e.Signal = -1, ws.Signal().String()
	}
	return e
}

// String tells status, duration and the last output: "exit status 3 after
// 12ms: cannot open configuration".
func (e Exit) String() string {
	what := fmt.Sprintf("exit status %d", e.Code)
	switch {
	case e.OOM:
		what = "killed: out of memory"
	case e.Signal != "":
		what = "signal: " + e.Signal
	}
	what += " after " + short(e.Ran)
	if e.Tail != "" {
		what += ": " + e.Tail
	}
	return what
}

// Evidence is what was seen of the function, one sentence each.
func (s State) Evidence(now time.Time) []string {
	var ev []string
	switch {
	case s.Function.PID > 0:
		ev = append(ev, fmt.Sprintf("%s alive %s", s.Function, short(now.Sub(s.Started))))
	case !s.RetryAt.IsZero():
		ev = append(ev, "not running, next start in "+short(max(0, s.RetryAt.Sub(now))))
	default:
		ev = append(ev, "not running")
	}
	if s.Probe != "" {
		ev = append(ev, s.Probe)
	}
	if s.Exit != nil {
		ev = append(ev, fmt.Sprintf("last run ended %s ago: %s", short(now.Sub(s.Exit.At)), s.Exit))
	}
	ev = append(ev, s.Limits...)
	if s.Dropped > 0 {
		ev = append(ev, fmt.Sprintf("%d bytes of output dropped: no space", s.Dropped))
	}
	return ev
}

// short writes a duration with about two digits.
func short(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

func readState(dir string) (State, error) {
	b, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		return State{}, err
	}
	var s State
	if err := json.Unmarshal(b, &s); err != nil {
		return State{}, fmt.Errorf("%s: %w", stateFile, err)
	}
	return s, nil
}

// WriteFile replaces the file at path by b at once, mode 0600, so that a reader
// sees the old content or the new and a crash leaves one of them. With durable
// it survives a power cut as well. A path has one writer at a time: the new
// content waits beside it under one name, so that a killed writer's is used up
// by the next.
func WriteFile(path string, b []byte, durable bool) error {
	next := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil && durable {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		_ = os.Remove(next)
		return err
	}
	if durable {
		err = Sync(filepath.Dir(path))
	}
	return err
}

// Sync brings a file or a directory's entries to the disk.
func Sync(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

func writeJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return WriteFile(path, b, false)
}
