package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// Keep runs a bed until ctx or the bed ends, and clears the cgroups away. It is
// the outermost process: the bed is below it in namespaces of its own.
// executable is this program.
func Keep(ctx context.Context, dir Dir, executable string) error {
	// The children's death signal hangs on this thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	self, err := Find(os.Getpid())
	if err != nil {
		return err
	}
	group := cgroupName(self)
	defer removeCgroupSoon(group)
	cmd := exec.Command(executable, "init", executable, "supervise", string(dir), group)
	cmd.SysProcAttr = die(syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the bed: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	inside, err := Find(cmd.Process.Pid)
	if err == nil {
		err = writeJSON(dir.join("keeper.json"), Keeper{Keeper: self, Init: inside, Cgroup: group})
	}
	if err == nil {
		select {
		case err = <-ended:
			return err
		case <-ctx.Done():
		}
	}
	// Process 1 takes all of its namespace along, and is only gone when all is.
	return errors.Join(err, cmd.Process.Kill(), ignoreExit(<-ended))
}

func ignoreExit(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}

// removeCgroupSoon removes a group whose processes are on their way out.
func removeCgroupSoon(group string) {
	deadline := time.Now().Add(10 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := removeCgroup(group)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			fmt.Fprintln(os.Stderr, "left behind, the next up or down removes it:", err)
			return
		}
		<-tick.C
	}
}

// Down ends the bed of the folder, if one runs, clears what beds that were killed
// have left, and removes the folder.
func Down(ctx context.Context, dir Dir) error {
	var k Keeper
	if err := readJSON(dir.join("keeper.json"), &k); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	// The keeper first, politely: it waits for the bed and clears the cgroups.
	if k.Keeper.PID != 0 && k.Keeper.Alive() {
		if err := syscall.Kill(k.Keeper.PID, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	if err := awaitEnd(ctx, k.Keeper, k.Init); err != nil {
		return err
	}
	if _, err := SweepCgroups(); err != nil {
		return err
	}
	return dir.remove()
}

// awaitEnd waits for the processes and kills those that do not end by themselves.
func awaitEnd(ctx context.Context, all ...Process) error {
	kill := time.After(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		alive := 0
		for _, p := range all {
			if p.PID != 0 && p.Alive() {
				alive++
			}
		}
		if alive == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-kill:
			for _, p := range all {
				if p.PID != 0 && p.Alive() {
					if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
						return err
					}
				}
			}
		case <-tick.C:
		}
	}
}

// remove deletes what a bed wrote, and the folder when nothing else is in it.
func (d Dir) remove() error {
	if err := d.removeBut(""); err != nil {
		return err
	}
	entries, err := os.ReadDir(string(d))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil || len(entries) > 0 {
		return err
	}
	return os.Remove(filepath.Clean(string(d)))
}

// removeBut deletes what a bed wrote but one thing.
func (d Dir) removeBut(kept string) error {
	for _, name := range []string{"bed.json", "keeper.json", "control.sock", "kubeconfig", "log", "node", "pki", "bin", "images"} {
		if name == kept {
			continue
		}
		if err := os.RemoveAll(d.join(name)); err != nil {
			return err
		}
	}
	return nil
}
