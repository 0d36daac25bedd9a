package supervise

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// hierarchy is one mounted cgroup tree as this process sees it.
type hierarchy struct {
	controllers []string // of version 1; empty: version 2
	point       string   // where it is mounted
	own         string   // this process's directory in it
}

// hierarchies reads proc_pid_mountinfo(5) and cgroups(7) /proc/PID/cgroup.
func hierarchies(mountinfo, cgroup io.Reader) []hierarchy {
	paths := map[string]string{} // controller ("" for version 2) -> path
	for sc := bufio.NewScanner(cgroup); sc.Scan(); {
		if f := strings.SplitN(sc.Text(), ":", 3); len(f) == 3 {
			for c := range strings.SplitSeq(f[1], ",") {
				paths[c] = f[2]
			}
		}
	}
	var found []hierarchy
	for sc := bufio.NewScanner(mountinfo); sc.Scan(); {
		before, after, ok := strings.Cut(sc.Text(), " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 5 || len(g) < 3 || (g[0] != "cgroup" && g[0] != "cgroup2") {
			continue
		}
		h := hierarchy{point: f[4]}
		path := paths[""]
		if g[0] == "cgroup" {
			for c := range strings.SplitSeq(g[2], ",") {
				if p, ok := paths[c]; ok {
					h.controllers, path = append(h.controllers, c), p
				}
			}
			if len(h.controllers) == 0 {
				continue
			}
		}
		h.own = h.point
		if rest, ok := strings.CutPrefix(path, f[3]); ok && !strings.Contains(path, "..") {
			h.own = filepath.Join(h.point, rest)
		}
		found = append(found, h)
	}
	return found
}

func machineHierarchies() []hierarchy {
	m, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	defer m.Close()
	c, err := os.Open("/proc/self/cgroup")
	if err != nil {
		return nil
	}
	defer c.Close()
	return hierarchies(m, c)
}

// candidates are the directories a unit's group may be made at, nearest first.
func (h hierarchy) candidates(unit string) []string {
	var dirs []string
	for dir := h.own; ; dir = filepath.Dir(dir) {
		dirs = append(dirs, filepath.Join(dir, "osmoslice-"+unit))
		if dir == h.point || len(dir) <= len(h.point) {
			return dirs
		}
	}
}

// groups are the cgroups of one unit.
type groups struct {
	v2    string   // directory, empty: none
	v1    []string // directories
	home  []string // where the shim's own threads belong, one for each of v1
	all   []string // every directory that may have been made
	notes []string // what is enforced, and what is not
	oom   string   // file that counts kills for want of memory
	kills int
	spent bool // killed as a whole: Linux lets no new process into such a group
}

// planGroups lists every directory makeGroups may make, so that it can be
// written down before the first is made.
func planGroups(unit string, l Limits, hs []hierarchy) *groups {
	g := &groups{}
	for _, h := range hs {
		if len(h.controllers) == 0 || wants(h.controllers, l) {
			g.all = append(g.all, h.candidates(unit)...)
		}
	}
	return g
}

func wants(controllers []string, l Limits) bool {
	return l.CPU > 0 && slices.Contains(controllers, "cpu") || l.Memory > 0 && slices.Contains(controllers, "memory")
}

// make makes the groups and sets the limits; what cannot be had is noted.
func (g *groups) make(unit string, l Limits, hs []hierarchy) {
	*g = groups{all: g.all}
	var cpu, memory bool
	for _, h := range hs {
		if len(h.controllers) > 0 {
			continue
		}
		if g.v2 = makeGroup2(h.candidates(unit), l); g.v2 != "" {
			cpu = l.CPU > 0 && setCPU2(g.v2, l.CPU) == nil
			memory = l.Memory > 0 && g.setMemory2(l.Memory) == nil
			g.note(cpu, memory, "cgroup v2", l)
			break
		}
	}
	for _, h := range hs {
		c, m := l.CPU > 0 && !cpu && slices.Contains(h.controllers, "cpu"), l.Memory > 0 && !memory && slices.Contains(h.controllers, "memory")
		if !c && !m {
			continue
		}
		dir := ""
		if put(h.own, "tasks", strconv.Itoa(unix.Gettid())) == nil { // a thread that enters must come back
			dir = makeGroup1(h.candidates(unit))
		}
		if dir == "" {
			continue
		}
		g.v1, g.home = append(g.v1, dir), append(g.home, h.own)
		c = c && setCPU1(dir, l.CPU) == nil
		m = m && g.setMemory1(dir, l.Memory) == nil
		g.note(c, m, "cgroup v1", l)
		cpu, memory = cpu || c, memory || m
	}
	if l.CPU > 0 && !cpu {
		g.notes = append(g.notes, fmt.Sprintf("cpu limit %d m not enforced: no writable cgroup with the cpu controller", l.CPU))
	}
	if l.Memory > 0 && !memory {
		g.notes = append(g.notes, fmt.Sprintf("memory limit %d MiB not enforced: no writable cgroup with the memory controller", l.Memory))
	}
}

func (g *groups) note(cpu, memory bool, by string, l Limits) {
	if cpu {
		g.notes = append(g.notes, fmt.Sprintf("cpu limit %d m by %s", l.CPU, by))
	}
	if memory {
		g.notes = append(g.notes, fmt.Sprintf("memory limit %d MiB by %s", l.Memory, by))
	}
}

// makeGroup2 makes the group where most of the wanted controllers are at hand,
// nearest first.
func makeGroup2(candidates []string, l Limits) string {
	best, most := "", -1
	for _, dir := range candidates {
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			continue
		}
		n, all := controllersAt(dir, l)
		if n < all { // fails where the parent holds processes
			parent := filepath.Join(filepath.Dir(dir), "cgroup.subtree_control")
			for _, c := range []string{"+cpu", "+memory"} {
				_ = os.WriteFile(parent, []byte(c), 0)
			}
			n, all = controllersAt(dir, l)
		}
		if n <= most {
			_ = os.Remove(dir)
			continue
		}
		if best != "" {
			_ = os.Remove(best)
		}
		if best, most = dir, n; n == all {
			break
		}
	}
	return best
}

func controllersAt(dir string, l Limits) (have, wanted int) {
	b, _ := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	at := strings.Fields(string(b))
	for c, n := range map[string]int64{"cpu": l.CPU, "memory": l.Memory} {
		if n > 0 {
			wanted++
			if slices.Contains(at, c) {
				have++
			}
		}
	}
	return have, wanted
}

func makeGroup1(candidates []string) string {
	for _, dir := range candidates {
		if err := os.Mkdir(dir, 0o755); err == nil || errors.Is(err, os.ErrExist) {
			return dir
		}
	}
	return ""
}

// put is os.WriteFile for the control files of a cgroup: they exist already.
func put(dir, file, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

const cpuPeriod = 100_000 // µs

func quota(milli int64) int64 { return max(milli*cpuPeriod/1000, 1000) }

func setCPU2(dir string, milli int64) error {
	return put(dir, "cpu.max", fmt.Sprintf("%d %d", quota(milli), cpuPeriod))
}

func setCPU1(dir string, milli int64) error {
	return errors.Join(put(dir, "cpu.cfs_period_us", strconv.Itoa(cpuPeriod)),
		put(dir, "cpu.cfs_quota_us", strconv.FormatInt(quota(milli), 10)))
}

func (g *groups) setMemory2(mib int64) error {
	_ = put(g.v2, "memory.swap.max", "0")  // absent without swap accounting
	_ = put(g.v2, "memory.oom.group", "1") // since Linux 4.19
	g.oom = filepath.Join(g.v2, "memory.events")
	return put(g.v2, "memory.max", strconv.FormatInt(mib<<20, 10))
}

func (g *groups) setMemory1(dir string, mib int64) error {
	limit := strconv.FormatInt(mib<<20, 10)
	err := put(dir, "memory.limit_in_bytes", limit)
	_ = put(dir, "memory.memsw.limit_in_bytes", limit) // absent without swap accounting
	g.oom = filepath.Join(dir, "memory.oom_control")
	return err
}

// enter moves the calling thread into the version 1 groups, so that a process
// it forks is born there; the answer brings the thread back. The caller is
// locked to its thread.
func (g *groups) enter() (leave func()) {
	tid := strconv.Itoa(unix.Gettid())
	for _, dir := range g.v1 {
		_ = put(dir, "tasks", tid)
	}
	return func() {
		for _, dir := range g.home {
			_ = put(dir, "tasks", tid)
		}
	}
}

// kill kills every member, now and for ever: the groups must be made anew
// before the next run, because the kernel kills a process that is born into a
// version 2 group which was killed since its parent looked (kill_seq).
func (g *groups) kill() {
	for _, dir := range g.made() {
		killGroup(dir)
	}
	g.spent = true
}

// remove removes the groups and reports whether they are gone; those that are
// not it still knows.
func (g *groups) remove() bool {
	gone := true
	for _, dir := range g.made() {
		gone = removeGroup(dir) && gone
	}
	if gone {
		*g = groups{all: g.all}
	}
	return gone
}

func (g *groups) made() []string {
	if g.v2 == "" {
		return g.v1
	}
	return append([]string{g.v2}, g.v1...)
}

// oomKilled reports whether the memory limit killed since the last call.
func (g *groups) oomKilled() bool {
	if g.oom == "" {
		return false
	}
	b, _ := os.ReadFile(g.oom)
	for line := range bytes.Lines(b) {
		if f := strings.Fields(string(line)); len(f) == 2 && f[0] == "oom_kill" {
			n, _ := strconv.Atoi(f[1])
			was := g.kills
			g.kills = n
			return n > was
		}
	}
	return false
}

func groupMembers(dir string) []int {
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return nil
	}
	var pids []int
	for f := range bytes.FieldsSeq(b) {
		if pid, err := strconv.Atoi(string(f)); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// killGroup kills every process in the group at dir: at once where the kernel
// can (Linux 5.14), else one by one.
func killGroup(dir string) {
	if put(dir, "cgroup.kill", "1") == nil {
		return
	}
	for _, pid := range groupMembers(dir) {
		if pid != os.Getpid() {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// removeGroup removes the group at dir and answers whether it is gone.
func removeGroup(dir string) bool {
	err := os.Remove(dir) // rmdir: the files in it are the kernel's
	return err == nil || errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENOTDIR)
}
