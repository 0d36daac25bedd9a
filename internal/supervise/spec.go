package supervise

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// specVersion is the newest version of Spec and State this code writes; it
// reads every older one.
const specVersion = 1

// Spec says what a shim runs and how. The zero value of every optional field
// means its default.
type Spec struct {
	Version int    `json:"version"`
	Unit    string `json:"unit"` // names the unit among all of this machine: marker and cgroup
	Path    string `json:"path"` // of the executable, absolute
	// Args follow the executable's name; Env is the whole environment but for
	// the marker; Dir is the working directory.
	Args   []string `json:"args,omitempty"`
	Env    []string `json:"env,omitempty"`
	Dir    string   `json:"dir"`
	Probe  Probe    `json:"probe"`
	Limits Limits   `json:"limits"`
	// Backoff is the wait before the first restart (100 ms); it doubles up to
	// MaxBackoff (30 s) and starts afresh after the function lived Stable (60 s).
	Backoff    time.Duration `json:"backoff,omitempty"`
	MaxBackoff time.Duration `json:"maxBackoff,omitempty"`
	Stable     time.Duration `json:"stable,omitempty"`
	// Starts is how often a function is tried that never gets ready (6).
	Starts int `json:"starts,omitempty"`
	// Grace is the time between SIGTERM and SIGKILL (5 s).
	Grace time.Duration `json:"grace,omitempty"`
	// LogBytes bounds one log file (1 MiB), LogFiles their number (3).
	LogBytes int64 `json:"logBytes,omitempty"`
	LogFiles int   `json:"logFiles,omitempty"`
	// Secrets are values that must not be quoted in a root cause, besides those
	// in Env whose names say so.
	Secrets []string `json:"secrets,omitempty"`
	// Extra is whatever else must cause a new start when it changes, such as
	// the digest of the files beside the function.
	Extra string `json:"extra,omitempty"`
}

// Probe says how readiness is proved: an HTTP GET of Path answering 2xx, a TCP
// connect when Path is empty, being alive for 50 ms when Address is empty.
type Probe struct {
	Address  string        `json:"address,omitempty"` // host:port
	Path     string        `json:"path,omitempty"`
	Interval time.Duration `json:"interval,omitempty"` // once ready: 5 s
	Timeout  time.Duration `json:"timeout,omitempty"`  // 2 s
	// Hang is how long the probe of a once ready function may fail before the
	// function is started again (30 s).
	Hang time.Duration `json:"hang,omitempty"`
}

// Limits of one function with all its descendants. Zero means none.
type Limits struct {
	CPU    int64 `json:"cpu,omitempty"`    // milli-cores
	Memory int64 `json:"memory,omitempty"` // MiB
}

// Digest is the SHA-256 (hex) of the spec: a running shim whose State echoes it
// runs exactly this.
func (s Spec) Digest() string {
	s.Version = specVersion
	b, err := json.Marshal(s)
	if err != nil { // no field of Spec can fail to marshal
		panic(err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// UnitName derives the name of the unit in dir: the same directory has the same
// name for ever, two directories never share one.
func UnitName(dir string) string {
	sum := sha256.Sum256([]byte(filepath.Clean(dir)))
	return hex.EncodeToString(sum[:8])
}

// filled puts the defaults in.
func (s Spec) filled() Spec {
	orDuration(&s.Backoff, 100*time.Millisecond)
	orDuration(&s.MaxBackoff, 30*time.Second)
	orDuration(&s.Stable, time.Minute)
	orDuration(&s.Grace, 5*time.Second)
	orDuration(&s.Probe.Interval, 5*time.Second)
	orDuration(&s.Probe.Timeout, 2*time.Second)
	orDuration(&s.Probe.Hang, 30*time.Second)
	if s.Starts <= 0 {
		s.Starts = 6
	}
	if s.LogBytes <= 0 {
		s.LogBytes = 1 << 20
	}
	if s.LogFiles <= 0 {
		s.LogFiles = 3
	}
	return s
}

func orDuration(d *time.Duration, otherwise time.Duration) {
	if *d <= 0 {
		*d = otherwise
	}
}

func readSpec(dir string) (Spec, error) {
	b, err := os.ReadFile(filepath.Join(dir, specFile))
	if err != nil {
		return Spec{}, err
	}
	var s Spec
	if err := json.Unmarshal(b, &s); err != nil {
		return Spec{}, fmt.Errorf("%s: %w", specFile, err)
	}
	if s.Version > specVersion {
		return Spec{}, fmt.Errorf("%s has version %d, this shim knows up to %d", specFile, s.Version, specVersion)
	}
	return s, nil
}
