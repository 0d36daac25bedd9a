package supervise

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// Identity names a process for ever: a pid alone may be recycled.
type Identity struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks after boot, proc_pid_stat(5) field 22
	Boot  string `json:"boot"`  // /proc/sys/kernel/random/boot_id
}

var bootID = sync.OnceValue(func() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	return string(bytes.TrimSpace(b))
})

// procStat is what this package needs of /proc/PID/stat.
type procStat struct {
	state   byte
	ppid    int
	session int
	start   uint64
}

// parseStat reads a line of proc_pid_stat(5). The command's name may hold
// spaces and brackets, so fields are counted after the last ')'.
func parseStat(line []byte) (procStat, error) {
	i := bytes.LastIndexByte(line, ')')
	f := bytes.Fields(line[i+1:])
	if i < 0 || len(f) < 20 || len(f[0]) != 1 {
		return procStat{}, errors.New("malformed process state")
	}
	var s procStat
	s.state = f[0][0]
	var errs [3]error
	s.ppid, errs[0] = strconv.Atoi(string(f[1]))
	s.session, errs[1] = strconv.Atoi(string(f[3]))
	s.start, errs[2] = strconv.ParseUint(string(f[19]), 10, 64)
	return s, errors.Join(errs[:]...)
}

func readStat(pid int) (procStat, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return procStat{}, err
	}
	return parseStat(b)
}

// identify names the process which has the pid now.
func identify(pid int) (Identity, error) {
	s, err := readStat(pid)
	if err != nil {
		return Identity{}, err
	}
	return Identity{PID: pid, Start: s.start, Boot: bootID()}, nil
}

// Alive reports whether the very process named by id runs (a zombie does not).
func (id Identity) Alive() bool {
	if id.PID <= 0 || id.Boot != bootID() {
		return false
	}
	s, err := readStat(id.PID)
	return err == nil && s.start == id.Start && s.state != 'Z' && s.state != 'X'
}

// String is "pid 4711".
func (id Identity) String() string { return fmt.Sprintf("pid %d", id.PID) }

// signal sends sig to the very process named by id, and to no successor of its
// pid: the descriptor pins the process while its identity is checked.
func (id Identity) signal(sig unix.Signal) error {
	if id.PID <= 1 || id.Boot != bootID() {
		return unix.ESRCH
	}
	fd, err := unix.PidfdOpen(id.PID, 0)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		if !id.Alive() {
			return unix.ESRCH
		}
		return unix.Kill(id.PID, sig)
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if s, err := readStat(id.PID); err != nil || s.start != id.Start {
		return unix.ESRCH
	}
	return unix.PidfdSendSignal(fd, sig, nil, 0)
}
