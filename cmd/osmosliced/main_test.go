package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// run carries out a command line, and ends a service that serves.
func run(t *testing.T, args ...string) (out string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var b bytes.Buffer
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(&b)
	root.SetErr(&b)
	err = root.ExecuteContext(ctx)
	return b.String(), err
}

func write(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// serving runs the service until it serves, then stops it.
func serving(t *testing.T, dir string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	file := filepath.Join(t.TempDir(), "address")
	root := newRoot()
	root.SetArgs([]string{"--data-dir", dir, "--listen-address", "127.0.0.1:0", "--listen-portfile", file, "--log-level", "error", "--host-enabled", "false"})
	ended := make(chan error, 1)
	go func() { ended <- root.ExecuteContext(ctx) }()
	for {
		if _, err := os.Stat(file); err == nil {
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("it does not serve: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// Whatever is wrong at the start is said in one line that names it, with the
// exit code that --help tells; nothing half-made stays in the way.
func TestWhatIsWrongIsNamed(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	base := func(data string, more ...string) []string {
		return append([]string{"--data-dir", at(data), "--listen-address", "127.0.0.1:0", "--log-level", "error", "--host-enabled", "false"}, more...)
	}
	write(t, at("damaged/secret.key"), "garbage", 0o600)
	write(t, at("open/secret.key"), "garbage", 0o644)
	write(t, at("corrupt/osmoslice.db"), strings.Repeat("no database ", 1000), 0o600)
	for name, c := range map[string]struct {
		args []string
		code int
		says []string
	}{
		"flag":            {[]string{"--nope"}, exitUsage, []string{"--nope"}},
		"command":         {[]string{"bogus"}, exitUsage, []string{"bogus", "--help"}},
		"flag's value":    {base("a", "--limits-backlog", "many"), exitUsage, []string{"limits.backlog", "many", "whole number"}},
		"bounds":          {base("a", "--operations-lease", "0s"), exitUsage, []string{"operations.lease", `"0s"`, "greater than 0"}},
		"no file":         {base("a", "--config", at("missing.yaml")), exitUsage, []string{at("missing.yaml"), "no such file"}},
		"no YAML":         {base("a", "--config", write(t, at("bad.yaml"), "listen: {address: 1", 0o600)), exitUsage, []string{"bad.yaml", "line 1"}},
		"unknown key":     {base("a", "--config", write(t, at("key.yaml"), "lisen: {address: x}", 0o600)), exitUsage, []string{"lisen.address"}},
		"database":        {base("a", "--data-dsn", "mysql://x/y"), exitUsage, []string{"data.dsn", "mysql", "postgres://"}},
		"no database":     {base("a", "--data-dsn", "postgres://u:pass-word@127.0.0.1:1/x?sslmode=disable"), exitFailure, []string{"database does not answer", "127.0.0.1:1"}},
		"port":            {base("a", "--listen-address", l.Addr().String()), exitFailure, []string{l.Addr().String(), "in use"}},
		"TLS":             {base("b", "--tls-certfile", at("none"), "--tls-keyfile", at("none")), exitFailure, []string{"tls.certfile", at("none")}},
		"half of TLS":     {base("b", "--tls-certfile", at("none")), exitUsage, []string{"tls.keyfile"}},
		"damaged key":     {base("damaged"), exitFailure, []string{at("damaged/secret.key"), "damaged"}},
		"open key":        {base("open"), exitFailure, []string{at("open/secret.key"), "chmod 600"}},
		"corrupt file":    {base("corrupt"), exitFailure, []string{at("corrupt/osmoslice.db"), "restore it from a backup"}},
		"backup's file":   {[]string{"backup"}, exitUsage, []string{"the file to write"}},
		"nothing there":   {[]string{"backup", "--data-dir", at("none"), at("x.db")}, exitFailure, []string{at("none/osmoslice.db"), "does not exist"}},
		"no backup":       {[]string{"restore", "--data-dir", at("r"), at("bad.yaml")}, exitFailure, []string{at("bad.yaml")}},
		"data dir a file": {base("bad.yaml"), exitFailure, []string{"data.dir"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := run(t, c.args...)
			if err == nil || code(err) != c.code {
				t.Fatalf("%v, code %d; want %d", err, code(err), c.code)
			}
			for _, w := range c.says {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not say %q", err, w)
				}
			}
			if strings.Contains(err.Error(), "pass-word") {
				t.Errorf("it tells the password: %v", err)
			}
		})
	}
	serving(t, at("a")) // what failed above left nothing in the way
}

// A backup of a store restores into an empty one only, unless told otherwise, and
// a lost key file is missed at the start.
func TestBackupRestoreRotate(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	serving(t, at("one"))
	must := func(args ...string) {
		t.Helper()
		if out, err := run(t, args...); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	refused := func(word string, args ...string) {
		t.Helper()
		if _, err := run(t, args...); err == nil || !strings.Contains(err.Error(), word) {
			t.Fatalf("%v: %v, want %q", args, err, word)
		}
	}
	must("backup", "--data-dir", at("one"), at("b.db"))
	refused("no file exists", "backup", "--data-dir", at("one"), at("b.db"))
	must("restore", "--data-dir", at("two"), at("b.db"))
	refused("not empty", "restore", "--data-dir", at("two"), at("b.db"))
	must("restore", "--data-dir", at("two"), "--replace", at("b.db"))
	serving(t, at("two"))
	must("rotate-key", "--data-dir", at("one"))
	serving(t, at("one"))
}

// The effective configuration is printed with secrets masked, and later sources
// win.
func TestConfig(t *testing.T) {
	t.Setenv("OSMOSLICE_LIMITS_BACKLOG", "77")
	file := write(t, filepath.Join(t.TempDir(), "c.yaml"), "limits: {backlog: 5, rateburst: 6}\n", 0o600)
	out, err := run(t, "config", "--config", file, "--listen-address", "127.0.0.1:99", "--data-dsn", "postgres://u:pass-word@db/x?password=pass-word&sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []string{"backlog: 77", "rateburst: 6", `address: "127.0.0.1:99"`} {
		if !strings.Contains(out, w) {
			t.Errorf("%q is missing in\n%s", w, out)
		}
	}
	if strings.Contains(out, "pass-word") {
		t.Errorf("it tells the password:\n%s", out)
	}
}
