package supervise

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/osmoslice/osmoslice/internal/fault"
)

func TestIdentityOfARecycledPID(t *testing.T) {
	c := exec.Command("/proc/self/exe", "function", "idle")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Wait()
	defer c.Process.Kill()
	id, err := identify(c.Process.Pid)
	if err != nil || !id.Alive() {
		t.Fatalf("%+v, %v", id, err)
	}
	for what, other := range map[string]Identity{
		"an earlier process of that pid": {PID: id.PID, Start: id.Start - 1, Boot: id.Boot},
		"before a reboot":                {PID: id.PID, Start: id.Start, Boot: "another"},
		"none":                           {},
		"init":                           {PID: 1, Boot: id.Boot},
	} {
		if other.PID != 1 && other.Alive() {
			t.Errorf("%s is taken for alive", what)
		}
		if err := other.signal(unix.SIGKILL); !errors.Is(err, unix.ESRCH) {
			t.Errorf("%s was signalled: %v", what, err)
		}
	}
	if !id.Alive() {
		t.Error("a stranger was killed")
	}
}

func FuzzParseStat(f *testing.F) {
	own, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(own)
	f.Add([]byte("42 (evil) S 1 (x) R 7 8 9 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 12345 0 0"))
	f.Add([]byte("42 (a b) Z 1 2 3"))
	f.Add([]byte(")"))
	f.Fuzz(func(t *testing.T, line []byte) {
		s, err := parseStat(line)
		if err == nil && bytes.IndexByte(line, s.state) < 0 {
			t.Errorf("state %q out of thin air", s.state)
		}
	})
}

func TestParseStatCountsAfterTheName(t *testing.T) {
	s, err := parseStat([]byte("42 (evil) S 1 (x)) R 7 8 9 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 12345 0 0\n"))
	if err != nil || s.state != 'R' || s.ppid != 7 || s.session != 9 || s.start != 12345 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestHierarchies(t *testing.T) {
	for name, c := range map[string]struct{ mounts, cgroup, want string }{
		"version 2, own directory": {
			"31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate",
			"0::/system.slice/osmosliced.service",
			"[] /sys/fs/cgroup/system.slice/osmosliced.service"},
		"version 2 in a namespace": {
			"31 23 0:28 / /sys/fs/cgroup ro - cgroup2 cgroup rw",
			"0::/",
			"[] /sys/fs/cgroup"},
		"version 2, moved above its namespace": {
			"31 23 0:28 /../.. /sys/fs/cgroup ro - cgroup2 cgroup rw",
			"0::/../../x",
			"[] /sys/fs/cgroup"},
		"version 2, a part of the tree mounted": {
			"31 23 0:28 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw",
			"0::/docker/abc/inner",
			"[] /sys/fs/cgroup/inner"},
		"version 1 and hybrid": {
			"32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" +
				"33 31 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n" +
				"34 31 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
			"5:cpu,cpuacct:/user\n1:name=systemd:/init\n0::/",
			"[cpu cpuacct] /sys/fs/cgroup/cpu,cpuacct/user; [name=systemd] /sys/fs/cgroup/systemd/init; [] /sys/fs/cgroup/unified"},
		"none":     {"22 27 0:21 / /proc rw,relatime - proc proc rw", "", ""},
		"nonsense": {"a b c\n\n - cgroup2\n", "::\nx", ""},
	} {
		var got []string
		for _, h := range hierarchies(strings.NewReader(c.mounts), strings.NewReader(c.cgroup)) {
			got = append(got, fmt.Sprintf("%v %s", h.controllers, h.own))
		}
		if s := strings.Join(got, "; "); s != c.want {
			t.Errorf("%s: %s, want %s", name, s, c.want)
		}
	}
}

func TestGroupCandidatesAreNearestFirst(t *testing.T) {
	h := hierarchy{point: "/sys/fs/cgroup", own: "/sys/fs/cgroup/a/b"}
	got := strings.Join(h.candidates("u"), " ")
	if want := "/sys/fs/cgroup/a/b/osmoslice-u /sys/fs/cgroup/a/osmoslice-u /sys/fs/cgroup/osmoslice-u"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestLimitsWithoutCgroups: where nothing can be made it is said.
func TestLimitsWithoutCgroups(t *testing.T) {
	hs := []hierarchy{{point: "/proc/none", own: "/proc/none"}, {controllers: []string{"cpu"}, point: "/proc/none", own: "/proc/none"}}
	l := Limits{CPU: 250, Memory: 64}
	g := planGroups("u", l, hs)
	g.make("u", l, hs)
	got := strings.Join(g.notes, "; ")
	want := "cpu limit 250 m not enforced: no writable cgroup with the cpu controller; memory limit 64 MiB not enforced: no writable cgroup with the memory controller"
	if got != want || len(g.made()) != 0 {
		t.Errorf("%s, made %v", got, g.made())
	}
}

// TestLimitsInVersion2 lays out a tree as a delegated one looks: the nearest
// directory has no controllers, its parent has them.
func TestLimitsInVersion2(t *testing.T) {
	point := t.TempDir()
	h := hierarchy{point: point, own: filepath.Join(point, "service", "inner")}
	near, far := filepath.Join(h.own, "osmoslice-u"), filepath.Join(point, "service", "osmoslice-u")
	lay(t, near, map[string]string{"cgroup.controllers": "pids\n"})
	lay(t, far, map[string]string{"cgroup.controllers": "cpu memory pids\n", "cpu.max": "", "memory.max": "", "memory.swap.max": "",
		"memory.oom.group": "", "memory.events": "low 0\noom 1\noom_kill 0\n"})
	l := Limits{CPU: 250, Memory: 64}
	g := planGroups("u", l, []hierarchy{h})
	g.make("u", l, []hierarchy{h})
	if g.v2 != far {
		t.Fatalf("made at %s, want %s", g.v2, far)
	}
	if got, want := strings.Join(g.notes, "; "), "cpu limit 250 m by cgroup v2; memory limit 64 MiB by cgroup v2"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for file, want := range map[string]string{"cpu.max": "25000 100000", "memory.max": "67108864", "memory.swap.max": "0", "memory.oom.group": "1"} {
		if got, err := os.ReadFile(filepath.Join(far, file)); err != nil || string(got) != want {
			t.Errorf("%s: %s, want %s, %v", file, got, want, err)
		}
	}
	if g.oomKilled() {
		t.Error("killed, although nothing was")
	}
	lay(t, far, map[string]string{"memory.events": "oom_kill 2\n"})
	if !g.oomKilled() || g.oomKilled() {
		t.Error("a kill counts once")
	}
}

// TestMovedIntoItsGroup: a kernel that refuses to let the function be born into
// its group (here because that is an ordinary directory) is not the end of it.
func TestMovedIntoItsGroup(t *testing.T) {
	b := newBench(t, "idle")
	group := t.TempDir()
	lay(t, group, map[string]string{"cgroup.procs": ""})
	dir, err := os.Open(group)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	s := &shim{spec: b.spec, groups: &groups{v2: group}}
	attr := &syscall.ProcAttr{Env: b.spec.Env, Sys: &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}}
	pid, err := s.forkExec(attr)
	if err != nil {
		t.Fatal(err)
	}
	p, _ := os.FindProcess(pid)
	p.Kill()
	p.Wait()
	if got, _ := os.ReadFile(filepath.Join(group, "cgroup.procs")); string(got) != strconv.Itoa(pid) {
		t.Errorf("the group holds %q, want %d", got, pid)
	}
}

func lay(t *testing.T, dir string, files map[string]string) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLogProperties: the files hold an unbroken end of what was written, within
// their bounds, whatever the chunks.
func TestLogProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		limit, keep := rapid.Int64Range(1, 50).Draw(rt, "max"), rapid.IntRange(1, 4).Draw(rt, "keep")
		var all []byte
		l := newLogFile(dir, limit, keep)
		for range rapid.IntRange(0, 12).Draw(rt, "writes") {
			chunk := rapid.SliceOfN(rapid.Byte(), 0, 120).Draw(rt, "chunk")
			all = append(all, chunk...)
			if n, err := l.Write(chunk); n != len(chunk) || err != nil {
				rt.Fatalf("%d, %v", n, err)
			}
			if rapid.Bool().Draw(rt, "reopen") {
				l.f.Close()
				l = newLogFile(dir, limit, keep)
			}
		}
		var held []byte
		for i := keep - 1; i >= 0; i-- {
			name := l.path
			if i > 0 {
				name += "." + strconv.Itoa(i)
			}
			b, err := os.ReadFile(name)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				rt.Fatal(err)
			}
			if int64(len(b)) > limit {
				rt.Fatalf("%s holds %d bytes, %d allowed", name, len(b), limit)
			}
			held = append(held, b...)
		}
		if files, _ := filepath.Glob(l.path + "*"); len(files) > keep {
			rt.Fatalf("%d files, %d allowed", len(files), keep)
		}
		if !bytes.HasSuffix(all, held) || int64(len(held)) < min(int64(len(all)), limit*int64(keep-1)) {
			rt.Fatalf("held %q of %q", held, all)
		}
	})
}

func TestLogWithoutSpaceDropsAndCounts(t *testing.T) {
	l := newLogFile("/proc/none", 100, 2)
	n, err := l.Write([]byte("lost"))
	if n != 4 || err != nil || l.lost() != 4 || l.last(nil) != "lost" {
		t.Errorf("%d, %v, lost %d, tail %q", n, err, l.lost(), l.last(nil))
	}
}

func TestLastLines(t *testing.T) {
	for in, want := range map[string]string{
		"":                        "",
		"a\n\n  b \x1b[31mc\n":    "a | b  [31mc",
		"1\n2\n3\n4\n5\n":         "2 | 3 | 4 | 5",
		"\xff\n":                  "\uFFFD",
		strings.Repeat("é", 1000): "…" + strings.Repeat("é", 200),
	} {
		if got := lastLines(in, 4, 400); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestProbe(t *testing.T) {
	for answer, want := range map[string]string{
		"HTTP/1.1 204 No Content\r\n\r\n":                    "true GET /h 204",
		"HTTP/1.0 503 Busy\r\n\r\n":                          "false GET /h 503",
		"HTTP/1.1 302 Found\r\n\r\n":                         "false GET /h 302",
		"SSH-2.0-OpenSSH\r\n":                                "false GET /h: no HTTP answer",
		"HTTP/1.1 abc\r\n":                                   "false GET /h: no HTTP status",
		"HTTP/1.1 200 " + strings.Repeat("x", 1000) + "\r\n": "true GET /h 200",
		"": "false GET /h: no answer in time",
	} {
		at := answering(t, answer)
		patience := time.Minute
		if answer == "" {
			patience = 100 * time.Millisecond
		}
		ok, saw := Probe{Address: at, Path: "/h", Timeout: patience}.look(t.Context(), time.Second)
		if got := fmt.Sprint(ok, " ", saw); got != want {
			t.Errorf("%.30q: %s, want %s", answer, got, want)
		}
	}
	at := answering(t, "")
	if ok, saw := (Probe{Address: at, Timeout: time.Minute}).look(t.Context(), time.Second); !ok || saw != "connect "+at+" ok" {
		t.Errorf("%v %s", ok, saw)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if ok, _ := (Probe{Address: at, Timeout: time.Second}).look(ctx, time.Second); ok {
		t.Error("a cancelled probe holds")
	}
}

// answering is the address of a listener that says answer to whoever asks, and
// keeps the connection.
func answering(t *testing.T, answer string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			c.Write([]byte(answer))
		}
	}()
	return l.Addr().String()
}

func TestLockExcludes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	a, err := TakeLock(t.Context(), path, 1)
	if err != nil {
		t.Fatal(err)
	}
	b, err := TakeLock(t.Context(), path, 2) // another byte
	if err != nil {
		t.Fatal(err)
	}
	b.Release()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := TakeLock(ctx, path, 1); !fault.Is(err, fault.Timeout) {
		t.Errorf("%v, want a timeout", err)
	}
	a.Release()
	c, err := TakeLock(t.Context(), path, 1)
	if err != nil {
		t.Fatal(err)
	}
	c.Release()
}

func TestIOFault(t *testing.T) {
	for err, want := range map[error]string{
		unix.ENOSPC:                "no-space backoff",
		unix.EDQUOT:                "no-space backoff",
		os.ErrPermission:           "unavailable never",
		unix.EROFS:                 "unavailable never",
		unix.EMFILE:                "unavailable backoff",
		errors.New("other"):        "internal backoff",
		context.Canceled:           "unavailable backoff",
		fault.New(fault.Gone, "x"): "gone never",
	} {
		f := IOFault(fmt.Errorf("wrapped: %w", err), "cannot write")
		if got := f.Kind.String() + " " + f.Retry.String(); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
}

func TestCleanMappings(t *testing.T) {
	var smaps strings.Builder
	for _, m := range []struct{ head, anonymous string }{
		{"00400000-00401000 r-xp 00000000 fe:00 1 /bin/with space", "0"},
		{"00401000-00402000 r--p 00001000 fe:00 1                                  /bin/with space", "0"},
		{"00402000-00403000 r--p 00001000 fe:00 1                                  /bin/with space", "4"}, // relocated
		{"00403000-00404000 rw-p 00002000 fe:00 1                                  /bin/with space", "0"},
		{"00404000-00405000 rw-p 00000000 00:00 0", "0"},
		{"00405000-00406000 r-xp 00000000 fe:00 2                                  /lib/other.so", "0"},
		{"7ffe0000-7fff0000 rw-p 00000000 00:00 0                                  [stack]", "0"},
		{"non-sense r-xp 0 0 0 /bin/with space", "0"},
	} {
		fmt.Fprintf(&smaps, "%s\nSize: 4 kB\nRss: 4 kB\nAnonymous: %s kB\nVmFlags: rd ex mr\n", m.head, m.anonymous)
	}
	got := fmt.Sprint(cleanMappings([]byte(smaps.String()), "/bin/with space"))
	if want := fmt.Sprint([]mapping{{0x400000, 0x401000}, {0x401000, 0x402000}}); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestSlimShimServesOn: a shim that gave its memory back still does its work.
func TestSlimShimServesOn(t *testing.T) {
	b := serving(t, "serve")
	b.launch()
	st := b.ready()
	kib := func(field string) int {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", st.Shim.PID))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(raw), field+":")
		n, _ := strconv.Atoi(strings.Fields(rest)[0])
		return n
	}
	b.until("slimmer", func(State) bool { return kib("VmRSS")+1<<10 < kib("VmHWM") })
	b.ready()
	t.Logf("resident: %d KiB at most, %d KiB now", kib("VmHWM"), kib("VmRSS"))
}
