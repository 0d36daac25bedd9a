package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// die makes a child end with its parent, whatever ends that. The parent's thread
// counts, so whoever starts children by it has to hold on to its thread.
func die(flags uintptr) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Cloneflags: flags}
}

// Init is process 1 of a PID namespace: it makes the namespace's mounts its own,
// starts the command and takes what orphans leave, until the command ends. With
// it ends everything in the namespace.
func Init(command []string) error {
	if os.Getpid() != 1 {
		return errors.New("init is for process 1 of a namespace of the test bed")
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	// Process 1 gets no signal it does not ask for; the parent sends SIGKILL.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	child, err := os.StartProcess(command[0], command, &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	if err != nil {
		return err
	}
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if pid == child.Pid {
			if status.ExitStatus() != 0 {
				return fmt.Errorf("%s ended: status %d, signal %d", strings.Join(command[1:], " "), status.ExitStatus(), status.Signal())
			}
			return nil
		}
	}
}

// run executes one short command; its output is part of the error.
func run(ctx context.Context, name string, args ...string) error {
	_, err := output(ctx, "", name, args...)
	return err
}

// output is run with input and the standard output back.
func output(ctx context.Context, input, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(input)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(errs.String()+out.String()))
	}
	return out.String(), nil
}
