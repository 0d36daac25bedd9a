// Command demo is the main job, from an empty data directory to a running slice
// with real readings, through the public API and the command line only. What it
// prints it has just seen.
//
//	demo [--once] [--bin DIR]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo: "+err.Error())
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	once := flag.Bool("once", false, "tear everything down at the end")
	bin := flag.String("bin", filepath.Dir(exe), "folder of osmosliced, slicectl, lite-gateway and lite-server")
	dir := flag.String("dir", "", "folder for the demo's state (default: a new temporary one)")
	bed := flag.String("clusters", "", "folder of a test bed with the clusters edge and cloud, instead of this machine; then the demo must run inside it")
	flag.Parse()
	if *dir == "" {
		if *dir, err = os.MkdirTemp("", "osmoslice-demo-"); err != nil {
			return err
		}
	} else if err := os.MkdirAll(*dir, 0o700); err != nil {
		return err
	}
	d := &demo{shell: shell{out: os.Stdout, bin: *bin, from: time.Now()}, dir: *dir, bed: *bed}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if err := d.play(ctx); err != nil {
		return errors.Join(err, d.tearDown())
	}
	if *once {
		return d.finish(ctx)
	}
	d.leave()
	return nil
}

// finish ends the slice, the service and the state, and looks for leftovers.
func (d *demo) finish(ctx context.Context) error {
	d.title("Tear down")
	if err := d.slicectl(ctx, "slice", "delete", "plant-1", "--cascade", "--wait"); err != nil {
		return errors.Join(err, d.tearDown())
	}
	err := until(ctx, time.Minute, "functions of the slice are left", func() error {
		if d.onClusters() {
			return d.left(ctx)
		}
		if left := d.processes(""); len(left) > 0 {
			return fmt.Errorf("%v", left)
		}
		return nil
	})
	if err = errors.Join(err, d.stopService()); err != nil {
		return errors.Join(err, d.tearDown())
	}
	if err := os.RemoveAll(d.dir); err != nil {
		return err
	}
	d.say("no function and no file is left; all of it took %.1f s", time.Since(d.from).Seconds())
	return nil
}

// tearDown is for a demo that failed: it ends what it started, the service's
// functions included, and keeps nothing.
func (d *demo) tearDown() error {
	err := d.stopService()
	for _, p := range d.processes("") {
		err = errors.Join(err, syscall.Kill(p, syscall.SIGKILL))
	}
	if d.log != nil {
		if b, e := os.ReadFile(d.log.Name()); e == nil {
			fmt.Fprintf(os.Stderr, "\nosmosliced said:\n%s", b[max(0, len(b)-4000):])
		}
	}
	return errors.Join(err, os.RemoveAll(d.dir))
}

// leave tells what to try next.
func (d *demo) leave() {
	d.title("The service goes on (pid %d). Try next:", d.service.Process.Pid)
	fmt.Fprintf(d.out, `
  export PATH=%s:$PATH SLICECTL_CONFIG=%s
  slicectl slice list
  slicectl slice placement plant-1
  slicectl device list --slice plant-1
  slicectl event --follow
  slicectl gateway get hall-a --slice plant-1 -o yaml
  %s/docs                                 # the API, in a browser

  When you have seen enough:
  slicectl slice delete plant-1 --cascade --wait && kill %d && rm -rf %s
`, d.bin, d.config(), d.url, d.service.Process.Pid, d.dir)
}
