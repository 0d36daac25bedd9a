package host

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/supervise"
)

// check refuses a deployment this driver cannot run.
func check(dep domain.Deployment) error {
	if dep.Packaging.Process == nil {
		return fault.Field("packaging/process", "none", "an executable artefact: the host domain runs processes")
	}
	if dep.Hash == "" {
		return fault.Field("hash", "", "the digest of the deployment")
	}
	if dep.Replicas > 1 {
		return fault.Field("replicas", strconv.Itoa(dep.Replicas), "1: a host runs one process per element")
	}
	if r := dep.Resources; r.CPU < 0 || r.Memory < 0 || r.Storage < 0 {
		return fault.Field("resources", fmt.Sprintf("%+v", r), "quantities of 0 or more")
	}
	names := map[string]bool{}
	for i, w := range dep.Ports {
		at := fmt.Sprintf("ports/%d", i)
		switch {
		case w.Name == "" || strings.ContainsAny(w.Name, "/}\x00") || names[w.Name]:
			return fault.Field(at+"/name", w.Name, "a name used once, without / and }")
		case w.Protocol != "tcp" && w.Protocol != "udp":
			return fault.Field(at+"/protocol", w.Protocol, "tcp or udp")
		case w.Fixed < 0 || w.Fixed > 65535:
			return fault.Field(at+"/fixed", strconv.Itoa(w.Fixed), "0 to 65535")
		}
		names[w.Name] = true
	}
	if dep.Probe.Port != "" && !names[dep.Probe.Port] {
		return fault.Field("probe/port", dep.Probe.Port, "the name of one of the deployment's ports")
	}
	if dep.Probe.Path != "" && (dep.Probe.Port == "" || !strings.HasPrefix(dep.Probe.Path, "/") || strings.ContainsAny(dep.Probe.Path, " \r\n")) {
		return fault.Field("probe/path", dep.Probe.Path, "a path that starts with /, together with a port")
	}
	for k, v := range dep.Env {
		if k == "" || strings.ContainsAny(k, "=\x00") || strings.Contains(v, "\x00") {
			return fault.Field("env", k, "a name without =, a value without NUL")
		}
	}
	for name := range dep.Files {
		if !filepath.IsLocal(name) || filepath.Clean(name) == "." {
			return fault.Field("files", name, "a path inside the function's directory")
		}
	}
	return nil
}

// wish is a deployment with every placeholder filled in.
type wish struct {
	spec  supervise.Spec
	files map[string][]byte
}

// rendered fills the placeholders for a function in dir.
func rendered(p place, dir, tmp string, dep domain.Deployment, numbers map[string]int) (w wish, err error) {
	f := filler{dir: dir, listen: p.Listen, ports: numbers, files: dep.Files}
	if w.spec.Args, err = f.args(dep); err != nil {
		return w, err
	}
	if w.spec.Env, err = f.env(dep, tmp); err != nil {
		return w, err
	}
	if w.files, err = f.contents(dep); err != nil {
		return w, err
	}
	w.spec.Dir, w.spec.Secrets = dir, oneLiners(w.files)
	w.spec.Limits = supervise.Limits{CPU: dep.Resources.CPU, Memory: dep.Resources.Memory}
	w.spec.Probe = supervise.Probe{Path: dep.Probe.Path, Interval: dep.Probe.Interval, Timeout: dep.Probe.Timeout}
	if n := numbers[dep.Probe.Port]; n != 0 {
		w.spec.Probe.Address = net.JoinHostPort(dialable(p.Listen), strconv.Itoa(n))
	}
	return w, nil
}

// oneLiners are the contents of the files that hold a single short line, as the
// files of passwords, tokens and keys do: no root cause may quote them.
func oneLiners(files map[string][]byte) []string {
	var lines []string
	for _, name := range sortedKeys(files) {
		line := strings.TrimSpace(string(files[name]))
		if len(line) >= 8 && len(line) <= 512 && !strings.Contains(line, "\n") {
			lines = append(lines, line)
		}
	}
	return lines
}

// dialable is the address to probe a listener at.
func dialable(listen string) string {
	if ip := net.ParseIP(listen); ip != nil && ip.IsUnspecified() {
		return "localhost"
	}
	return listen
}

// complete adds what depends on the unit. The digest of files and executable
// makes a change of either a change of the specification.
func (w *wish) complete(rs Restart, dir, exe string) {
	h := sha256.New()
	for _, name := range sortedKeys(w.files) {
		fmt.Fprintf(h, "%q %d ", name, len(w.files[name]))
		h.Write(w.files[name])
	}
	w.spec.Extra = exe + " files " + hex.EncodeToString(h.Sum(nil))
	w.spec.Unit = supervise.UnitName(dir)
	w.spec.Path = filepath.Join(dir, "exe")
	w.spec.Backoff, w.spec.MaxBackoff, w.spec.Stable = rs.Backoff, rs.MaxBackoff, rs.Stable
	w.spec.Grace, w.spec.Starts, w.spec.Probe.Hang = rs.Grace, rs.Starts, rs.Hang
}
