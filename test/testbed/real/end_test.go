package real_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/osmoslice/osmoslice/test/testbed/cluster"
)

// kill -9 of the keeper ends containers and all, the next down removes what is
// left on disk and in cgroups, and the machine is as it was; a second bed lives
// beside the first meanwhile.
func TestKilledBedLeavesNothing(t *testing.T) {
	s := open(t, "edge")
	before := machine(t)
	// A path longer than a socket's may be.
	dir := cluster.Dir(filepath.Join(t.TempDir(), strings.Repeat("long", 30)))
	testbed := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(filepath.Join(s.Dir.Bin(), "testbed"), append(args, "--dir", string(dir))...).CombinedOutput(); err != nil {
			t.Fatalf("testbed %s: %v: %s", strings.Join(args, " "), err, out)
		}
	}
	testbed("up", "edge")
	testbed("kubectl", "edge", "run", "p", "--image=osmoslice/testbed-probe:1")
	testbed("kubectl", "edge", "wait", "--for=condition=Ready", "pod/p", "--timeout=2m")
	k, err := dir.Running()
	if err != nil {
		t.Fatal(err)
	}
	inside := processesOf(t, k.Init.PID)
	if len(inside) < 10 {
		t.Fatalf("only %d processes are in the bed", len(inside))
	}
	if err := syscall.Kill(k.Keeper.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.eventually("all processes of the bed end", func() error {
		for _, p := range inside {
			if p.Alive() {
				return errStillReached("process")
			}
		}
		return nil
	})
	testbed("down")
	if _, err := os.Stat(string(dir)); !os.IsNotExist(err) {
		t.Errorf("the bed's folder: %v, want it gone", err)
	}
	if left, err := filepath.Glob("/sys/fs/cgroup/*/" + k.Cgroup); err != nil || len(left) > 0 {
		t.Errorf("cgroups left: %v, %v", left, err)
	}
	if after := machine(t); after != before {
		t.Errorf("the machine is\n%s\nand was\n%s", after, before)
	}
	s.kubectl("", "get", "nodes") // the other bed goes on
}

// processesOf are all below process 1 of a bed.
func processesOf(t *testing.T, root int) []cluster.Process {
	t.Helper()
	out, err := exec.Command("ps", "-e", "-o", "pid=,ppid=").Output()
	if err != nil {
		t.Fatal(err)
	}
	children := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) == 2 {
			children[f[1]] = append(children[f[1]], f[0])
		}
	}
	return descend(t, children, root)
}

// machine is what a bed must leave alone: folders, mounts and settings. Devices
// and rules are those of this test's own network, the first bed's.
func machine(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, args := range [][]string{
		{"ls", "/run", "/var/lib", "/opt", "/etc"}, {"cat", "/proc/self/mounts"}, {"ip", "link"},
		{"sysctl", "-n", "vm.overcommit_memory", "vm.panic_on_oom", "kernel.panic", "kernel.panic_on_oops", "kernel.keys.root_maxkeys"},
	} {
		out, err := exec.Command(args[0], args[1:]...).Output()
		if err != nil {
			t.Fatalf("%s: %v", strings.Join(args, " "), err)
		}
		all.Write(out)
	}
	return all.String()
}

func descend(t *testing.T, children map[string][]string, root int) []cluster.Process {
	t.Helper()
	var all []cluster.Process
	for _, c := range children[strconv.Itoa(root)] {
		pid, err := strconv.Atoi(c)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := cluster.Find(pid); err == nil {
			all = append(all, p)
		}
		all = append(all, descend(t, children, pid)...)
	}
	return all
}
