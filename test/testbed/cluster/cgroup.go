package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const cgroupMount = "/sys/fs/cgroup"

// cgroupName is that of a bed: who keeps it is in it, so that whoever finds it
// can tell whether it is still in use.
func cgroupName(keeper Process) string {
	return fmt.Sprintf("osmoslice-testbed-%d-%d", keeper.PID, keeper.Start)
}

var bedCgroup = regexp.MustCompile(`^osmoslice-testbed-(\d+)-(\d+)$`)

// hierarchies are the folders in which a group has to be made: the one of
// version 2, or one per controller of version 1.
func hierarchies() (folders []string, v2 bool, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(cgroupMount, &s); err != nil {
		return nil, false, fmt.Errorf("%s: %w", cgroupMount, err)
	}
	if s.Type == unix.CGROUP2_SUPER_MAGIC {
		return []string{cgroupMount}, true, nil
	}
	entries, err := os.ReadDir(cgroupMount)
	if err != nil {
		return nil, false, err
	}
	for _, e := range entries {
		if e.IsDir() { // links (cpu,cpuacct) name the same hierarchy again
			folders = append(folders, filepath.Join(cgroupMount, e.Name()))
		}
	}
	if len(folders) == 0 {
		return nil, false, fmt.Errorf("%s holds no cgroup hierarchy", cgroupMount)
	}
	return folders, false, nil
}

// makeCgroup makes group (a path like bed/node) with what its kubelet needs in
// it.
func makeCgroup(group string) error {
	folders, v2, err := hierarchies()
	if err != nil {
		return err
	}
	for _, f := range folders {
		at := f
		for part := range strings.SplitSeq(group, "/") {
			if v2 {
				if err := enableControllers(at); err != nil {
					return err
				}
			}
			parent := at
			at = filepath.Join(at, part)
			if err := os.Mkdir(at, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("cgroup: %w", err)
			}
			if !v2 {
				if err := inheritCPUSet(parent, at); err != nil {
					return err
				}
			}
		}
		if v2 {
			if err := enableControllers(at); err != nil {
				return err
			}
		}
	}
	return nil
}

// inheritCPUSet fills what a new group of version 1 leaves empty and without
// which no process can join.
func inheritCPUSet(parent, group string) error {
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		b, err := os.ReadFile(filepath.Join(parent, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // another controller's hierarchy
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(group, name), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// enableControllers lets groups below have the controllers kubelet uses.
func enableControllers(group string) error {
	has, err := os.ReadFile(filepath.Join(group, "cgroup.controllers"))
	if err != nil {
		return err
	}
	on, err := os.ReadFile(filepath.Join(group, "cgroup.subtree_control"))
	if err != nil {
		return err
	}
	for _, c := range []string{"cpuset", "cpu", "io", "memory", "hugetlb", "pids"} {
		if !slices.Contains(strings.Fields(string(has)), c) || slices.Contains(strings.Fields(string(on)), c) {
			continue
		}
		if err := os.WriteFile(filepath.Join(group, "cgroup.subtree_control"), []byte("+"+c), 0o644); err != nil {
			return fmt.Errorf("cgroup controller %s: %w", c, err)
		}
	}
	return nil
}

// removeCgroup removes a group and all below it; its processes have ended.
func removeCgroup(group string) error {
	folders, _, err := hierarchies()
	if err != nil {
		return err
	}
	var failed []error
	for _, f := range folders {
		var all []string
		err := filepath.WalkDir(filepath.Join(f, group), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				all = append(all, path)
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		})
		failed = append(failed, err)
		for _, path := range slices.Backward(all) { // the deepest first
			if err := unix.Rmdir(path); err != nil && !errors.Is(err, unix.ENOENT) {
				failed = append(failed, fmt.Errorf("cgroup %s: %w", path, err))
			}
		}
	}
	return errors.Join(failed...)
}

// SweepCgroups removes the groups of beds whose keeper has ended and answers how
// many those were.
func SweepCgroups() (int, error) {
	folders, _, err := hierarchies()
	if err != nil {
		return 0, err
	}
	stale := map[string]bool{}
	for _, f := range folders {
		entries, err := os.ReadDir(f)
		if err != nil {
			return 0, err
		}
		for _, e := range entries {
			m := bedCgroup.FindStringSubmatch(e.Name())
			if m == nil {
				continue
			}
			pid, _ := strconv.Atoi(m[1])
			start, _ := strconv.ParseUint(m[2], 10, 64)
			if !(Process{PID: pid, Start: start}).Alive() {
				stale[e.Name()] = true
			}
		}
	}
	var failed []error
	for group := range stale {
		failed = append(failed, removeCgroup(group))
	}
	return len(stale), errors.Join(failed...)
}
