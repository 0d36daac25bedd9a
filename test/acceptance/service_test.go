// Package acceptance runs the shipped binaries as a stranger would: over the
// public API and the command line only, on an empty data directory, and then
// does to them what happens in the field.
package acceptance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// bin is the folder of the binaries under test, built once by TestMain.
var bin string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "osmoslice-acceptance-bin-")
	if err != nil {
		panic(err)
	}
	bin = dir
	code := 1
	if err := buildAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

func buildAll(dir string) error {
	for _, c := range []string{"osmosliced", "slicectl", "lite-gateway", "lite-server"} {
		cmd := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, c), "../../cmd/"+c)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w\n%s", c, err, out)
		}
	}
	return nil
}

// service is one osmosliced with its data directory; it may be killed and
// started again.
type service struct {
	t    *testing.T
	dir  string // data directory
	bin  string
	args []string
	env  []string
	cmd  *exec.Cmd
	done chan struct{}
	log  *syncBuffer
	url  string
	key  string
	as   *syscall.Credential // nil: whoever runs the test
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// start runs osmosliced on a new data directory; at the test's end it is
// stopped and nothing of it may be left.
func start(t *testing.T, args ...string) *service {
	t.Helper()
	s := &service{t: t, dir: filepath.Join(t.TempDir(), "data"), bin: filepath.Join(bin, "osmosliced"), args: args, log: &syncBuffer{}}
	t.Cleanup(func() {
		s.kill()
		s.sweep()
		if t.Failed() {
			t.Logf("osmosliced said:\n%s", s.log)
		}
	})
	s.launch()
	return s
}

func (s *service) launch(env ...string) {
	s.t.Helper()
	if err := s.tryLaunch(env...); err != nil {
		s.t.Fatal(err)
	}
}

func (s *service) tryLaunch(env ...string) error {
	ports := filepath.Join(filepath.Dir(s.dir), "address")
	os.Remove(ports)
	args := append([]string{"--data-dir", s.dir, "--listen-address", "127.0.0.1:0", "--listen-portfile", ports, "--log-level", "info", "--limits-ratepersecond", "0"}, s.args...)
	s.cmd = exec.Command(s.bin, args...)
	s.cmd.Env = append(append(os.Environ(), s.env...), env...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: s.as}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	s.done = done
	cmd := s.cmd
	go func() { _ = cmd.Wait(); close(done) }()
	return poll(time.Minute, func() error {
		if s.exited() {
			return stop{fmt.Errorf("osmosliced ended: %s", tail(s.log.String()))}
		}
		b, err := os.ReadFile(ports)
		if err != nil {
			return err
		}
		s.url = "http://" + strings.TrimSpace(string(b))
		if s.key == "" { // a second replica is given the first one's
			key, err := os.ReadFile(filepath.Join(s.dir, "admin.key"))
			if err != nil {
				return err
			}
			s.key = strings.TrimSpace(string(key))
		}
		resp, err := http.Get(s.url + "/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("readyz answers %s", resp.Status)
		}
		return nil
	})
}

func (s *service) exited() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// kill is kill -9 of osmosliced alone, then waiting for its end.
func (s *service) kill() {
	if s.cmd != nil && s.cmd.Process != nil && !s.exited() {
		_ = s.cmd.Process.Kill()
		<-s.done
	}
}

// terminate asks nicely and answers how long it took.
func (s *service) terminate() time.Duration {
	s.t.Helper()
	from := time.Now()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(40 * time.Second):
		s.t.Fatal("osmosliced did not end within 40 s of SIGTERM")
	}
	return time.Since(from)
}

// processes lists what runs on behalf of this service's data directory besides
// osmosliced itself, as "pid command line", with the variable that names a light
// product's data, if there is one.
func (s *service) processes() (out []string) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		pid := filepath.Base(d)
		if s.cmd != nil && s.cmd.Process != nil && pid == fmt.Sprint(s.cmd.Process.Pid) {
			continue
		}
		line, _ := os.ReadFile(filepath.Join(d, "cmdline"))
		env, _ := os.ReadFile(filepath.Join(d, "environ"))
		cwd, _ := os.Readlink(filepath.Join(d, "cwd"))
		if strings.Contains(string(line), s.dir) || strings.Contains(string(env), s.dir) || strings.HasPrefix(cwd, s.dir) {
			out = append(out, pid+" "+strings.ReplaceAll(string(line), "\x00", " ")+product(string(env)))
		}
	}
	return out
}

// product is what a function's environment says it is.
func product(env string) string {
	for _, v := range strings.Split(env, "\x00") {
		for variable, name := range map[string]string{"LITE_GATEWAY_NAME=": "lite-gateway", "LITE_SERVER_DATA=": "lite-server"} {
			if strings.HasPrefix(v, variable) {
				return name + " " + v
			}
		}
	}
	return ""
}

// running lists the functions of a product.
func (s *service) running(word string) (out []string) {
	for _, p := range s.processes() {
		if strings.Contains(p, word) && !strings.Contains(p, "--shim") {
			out = append(out, p)
		}
	}
	slices.Sort(out)
	return out
}

// sweep ends what a failed test left running on the data directory.
func (s *service) sweep() {
	for range 3 {
		for _, p := range s.processes() {
			var pid int
			if _, err := fmt.Sscan(p, &pid); err == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}
}

// stop ends a poll at once.
type stop struct{ error }

// poll repeats f until it answers nil or the deadline has come.
func poll(within time.Duration, f func() error) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		var s stop
		if err == nil || errors.As(err, &s) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("after %v: %w", within, err)
		case <-tick.C:
		}
	}
}

func (s *service) eventually(within time.Duration, what string, f func() error) {
	s.t.Helper()
	if err := poll(within, f); err != nil {
		s.t.Fatalf("%s: %v", what, err)
	}
}

// object is any JSON object.
type object map[string]any

func (o object) str(path ...string) string {
	var v any = map[string]any(o)
	for _, p := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return ""
		}
		v = m[p]
	}
	s, _ := v.(string)
	return s
}

// answer is what the API said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) object(t *testing.T) object {
	t.Helper()
	var o object
	if err := json.Unmarshal(a.body, &o); err != nil {
		t.Fatalf("status %d, not an object: %v\n%s", a.status, err, a.body)
	}
	return o
}

// call sends a request below /iotslice/v1; headers come in pairs.
func (s *service) call(method, path string, body any, headers ...string) (answer, error) {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, s.url+"/iotslice/v1"+path, r)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, b}, err
}

// must is call that fails the test unless the status is want.
func (s *service) must(want int, method, path string, body any, headers ...string) answer {
	s.t.Helper()
	a, err := s.call(method, path, body, headers...)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	if a.status != want {
		s.t.Fatalf("%s %s: status %d, want %d\n%s", method, path, a.status, want, a.body)
	}
	return a
}

func tail(s string) string { return s[max(0, len(s)-2000):] }
