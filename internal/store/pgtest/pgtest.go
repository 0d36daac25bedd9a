package pgtest

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/lib/pq" // registers the "postgres" driver
)

// Server is one private cluster.
type Server struct {
	bin, dir, data string
	cred           *syscall.Credential
	kill           chan struct{}
	exited         chan struct{}
	output         *bytes.Buffer // read after exited only
	databases      atomic.Int64
}

// Start starts a cluster that ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	bin := binaries()
	if bin == "" {
		missing(t, "PostgreSQL is not installed (initdb and postgres; Debian: apt-get install postgresql)")
	}
	dir, err := os.MkdirTemp("", "pg")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{bin: bin, dir: dir, data: filepath.Join(dir, "data")}
	t.Cleanup(func() {
		s.Stop(t)
		_ = os.RemoveAll(dir)
	})
	if os.Geteuid() == 0 {
		s.cred = unprivileged(t)
		if err := os.Chown(dir, int(s.cred.Uid), int(s.cred.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	initdb := s.command("initdb", "-D", s.data, "-U", "osmoslice", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8")
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	s.Again(t)
	return s
}

// missing skips, visibly; in CI it fails.
func missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip("SKIPPED: " + why)
}

// binaries finds the directory with the server's programs, the newest first.
func binaries() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
	if len(found) > 0 {
		return filepath.Dir(found[0])
	}
	if p, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(p)
	}
	return ""
}

func version(initdb string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(initdb))))
	return n
}

// unprivileged answers a user to run as: the server refuses root.
func unprivileged(t testing.TB) *syscall.Credential {
	t.Helper()
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uerr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gerr := strconv.ParseUint(u.Gid, 10, 32)
		if uerr == nil && gerr == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	missing(t, "PostgreSQL refuses to run as root and there is no user postgres or nobody")
	return nil
}

func (s *Server) command(program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(context.Background(), filepath.Join(s.bin, program), args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"LC_ALL=C.UTF-8", "PATH=/usr/bin:/bin", "HOME=" + s.dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred, Pdeathsig: syscall.SIGQUIT}
	return cmd
}

// Again starts the server and waits until it answers.
func (s *Server) Again(t testing.TB) {
	t.Helper()
	s.kill, s.exited, s.output = make(chan struct{}), make(chan struct{}), new(bytes.Buffer)
	started := make(chan error, 1)
	go s.run(started, s.kill, s.exited)
	if err := <-started; err != nil {
		t.Fatalf("postgres: %v", err)
	}
	db, err := sql.Open("postgres", s.dsn("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	deadline := time.Now().Add(30 * time.Second)
	for {
		if err = db.PingContext(t.Context()); err == nil {
			return
		}
		select {
		case <-s.exited:
			t.Fatalf("postgres ended\n%s", s.output)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("postgres does not answer: %v", err)
		}
	}
}

// run keeps the server on a thread of its own: the kernel ends it when that
// thread ends (Pdeathsig), so that no server outlives the tests.
func (s *Server) run(started chan<- error, kill <-chan struct{}, exited chan<- struct{}) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(exited)
	cmd := s.command("postgres", "-D", s.data, "-k", s.dir, "-c", "listen_addresses=", "-p", "5432",
		"-c", "fsync=off", "-c", "full_page_writes=off",
		"-c", "max_connections=100", "-c", "shared_buffers=64MB")
	cmd.Stdout, cmd.Stderr = s.output, s.output
	err := cmd.Start()
	started <- err
	if err != nil {
		return
	}
	over := make(chan struct{})
	go func() {
		select {
		case <-kill:
			_ = cmd.Process.Signal(syscall.SIGQUIT)
		case <-over:
		}
	}()
	_ = cmd.Wait()
	close(over)
}

// Stop ends the server at once, like a crash of its process.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if s.kill == nil {
		return
	}
	close(s.kill)
	s.kill = nil
	select {
	case <-s.exited:
	case <-time.After(20 * time.Second):
		t.Error("postgres does not end")
	}
}

func (s *Server) dsn(name string) string {
	q := url.Values{"host": {s.dir}, "sslmode": {"disable"}}
	return (&url.URL{Scheme: "postgres", User: url.User("osmoslice"), Path: "/" + name, RawQuery: q.Encode()}).String()
}

// DSN answers the DSN of a fresh, empty database.
func (s *Server) DSN(t testing.TB) string {
	t.Helper()
	db, err := sql.Open("postgres", s.dsn("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	name := fmt.Sprintf("t%d", s.databases.Add(1))
	if _, err := db.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return s.dsn(name)
}
