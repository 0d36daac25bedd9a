package supervise

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// marker is the environment variable by which a unit's processes are known
// even when their shim is gone.
const marker = "OSMOSLICE_UNIT"

type process struct {
	Identity
	ppid, session int
	zombie        bool
}

// processes are all processes of this machine that /proc shows.
func processes() []process {
	d, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	ps := make([]process, 0, len(names))
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil {
			ps = append(ps, process{Identity{pid, s.start, bootID()}, s.ppid, s.session, s.state == 'Z' || s.state == 'X'})
		}
	}
	return ps
}

// descendants are the living processes below pid. With pid a subreaper none
// escapes by being orphaned.
func descendants(pid int) []process {
	below := map[int][]process{}
	for _, p := range processes() {
		below[p.ppid] = append(below[p.ppid], p)
	}
	var found []process
	for next := []int{pid}; len(next) > 0; next = next[1:] {
		for _, p := range below[next[0]] {
			next = append(next, p.PID)
			if !p.zombie {
				found = append(found, p)
			}
		}
	}
	return found
}

// remains are the living processes of a unit whose shim is gone: members of
// its cgroups, of the session its function led, and whoever carries its marker.
func remains(s State) []Identity {
	member := map[int]bool{}
	for _, dir := range s.Cgroups {
		for _, pid := range groupMembers(dir) {
			member[pid] = true
		}
	}
	leads := s.Function.Alive()
	mark := []byte(marker + "=" + s.Unit)
	self := os.Getpid()
	var found []Identity
	for _, p := range processes() {
		if p.zombie || p.PID == self {
			continue
		}
		if member[p.PID] || (leads && p.session == s.Function.PID) || marked(p.PID, mark) {
			found = append(found, p.Identity)
		}
	}
	return found
}

// marked reports whether the environment the process was executed with holds
// the mark; of another user's process that cannot be known, and it is not ours.
func marked(pid int, mark []byte) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil || !bytes.Contains(b, mark) {
		return false
	}
	for kv := range bytes.SplitSeq(b, []byte{0}) {
		if bytes.Equal(kv, mark) {
			return true
		}
	}
	return false
}

// sweep kills what is left of a unit whose shim is gone and removes its
// cgroups. Whoever calls it holds the unit's lock.
func sweep(s State, within time.Duration) error {
	if s.Unit == "" {
		return nil
	}
	deadline := time.Now().Add(within)
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		for _, dir := range s.Cgroups {
			killGroup(dir)
		}
		left := remains(s)
		for _, id := range left {
			if err := id.signal(unix.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return err
			}
		}
		gone := true
		for _, dir := range s.Cgroups {
			gone = removeGroup(dir) && gone
		}
		if len(left) == 0 && gone {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.New("processes or cgroups of the unit do not go away")
		}
		<-time.After(wait)
	}
}
