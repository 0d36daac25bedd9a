// Package script runs slicectl's commands, written down as scripts, against
// the real service on simulated infrastructures.
package script

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/osmoslice/osmoslice/internal/app"
	"github.com/osmoslice/osmoslice/internal/cli"
	"github.com/osmoslice/osmoslice/internal/config"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"slicectl": func() {
		os.Exit(cli.Run(context.Background(), os.Args[1:], cli.Env{
			In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, Home: os.Getenv("HOME"),
		}))
	}})
}

// TestScripts gives every script a service of its own, with three simulated
// infrastructures that every tenant may use, and the admin's key.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata", RequireExplicitExec: true, RequireUniqueNames: true,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits},
		Setup: func(env *testscript.Env) error {
			server, key, stop, err := serve(filepath.Join(env.WorkDir, ".data"))
			if err != nil {
				return err
			}
			env.Defer(stop)
			env.Setenv("HOME", filepath.Join(env.WorkDir, ".home"))
			env.Setenv("SERVER", server)
			env.Setenv("KEY_FILE", key)
			env.Setenv("SLICECTL_SERVER", server)
			env.Setenv("SLICECTL_KEY_FILE", key)
			return nil
		},
	})
}

// serve starts a service and answers its URL and the file of its first key.
func serve(dir string) (server, keyFile string, stop func(), err error) {
	c := config.Default()
	c.Listen.Address, c.Data.Dir, c.Host.Enabled = "127.0.0.1:0", dir, false
	c.Data.Synchronous = "normal"
	c.Limits.RatePerSecond = 0
	c.Operations.MaxAttempts = 2 // failures are scripted, not waited out
	if c, err = c.Resolved(); err != nil {
		return "", "", nil, err
	}
	a, err := app.New(context.Background(), c, app.Options{})
	if err != nil {
		return "", "", nil, err
	}
	if err := a.Start(context.Background()); err != nil {
		return "", "", nil, err
	}
	return a.URL(), filepath.Join(dir, app.AdminKeyFile), func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = a.Stop(ctx)
	}, nil
}

// exits runs a command and wants an exit code: exits 9 slicectl slice heal s1.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARGS…")
	}
	got := 0
	if e, ok := errors.AsType[*exec.ExitError](ts.Exec(args[1], args[2:]...)); ok {
		got = e.ExitCode()
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("%v: exit code %d, want %s", args[1:], got, args[0])
	}
}
