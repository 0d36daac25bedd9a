package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// DirVariable is in the environment of every command Enter runs: the bed's
// folder.
const DirVariable = "OSMOSLICE_TESTBED_DIR"

// Inside is whether this process is in the bed's WAN, so that the clusters'
// addresses mean something to it.
func Inside(dir Dir) bool {
	k, err := dir.Running()
	if err != nil {
		return false
	}
	mine, err1 := os.Readlink("/proc/self/ns/net")
	wan, err2 := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", k.Init.PID))
	return err1 == nil && err2 == nil && mine == wan
}

// Enter becomes the command, inside the bed's WAN: it has the machine's files
// and processes, but the network of the operator, at the address Operator, and
// its own loopback. kubectl is in its PATH and KUBECONFIG has every cluster as a
// context. Enter returns only on failure.
func Enter(dir Dir, command []string) error {
	k, err := dir.Running()
	if err != nil {
		return err
	}
	path := dir.Bin() + ":" + os.Getenv("PATH")
	if err := os.Setenv("PATH", path); err != nil {
		return err
	}
	program, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", k.Init.PID))
	if err != nil {
		return fmt.Errorf("the bed's network: %w", err)
	}
	// The thread that changes over is the one that becomes the command.
	runtime.LockOSThread()
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the bed's network: %w", err)
	}
	return syscall.Exec(program, command, environment(dir))
}

func environment(dir Dir) []string {
	own := map[string]string{DirVariable: string(dir), "KUBECONFIG": dir.Kubeconfig("all")}
	var all []string
	for _, kv := range os.Environ() {
		k, _, _ := strings.Cut(kv, "=")
		if _, replaced := own[k]; !replaced {
			all = append(all, kv)
		}
	}
	for k, v := range own {
		all = append(all, k+"="+v)
	}
	return all
}
