package cluster

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// A Process is named by its number and its start, so that a later process of the
// same number is not taken for it.
type Process struct {
	PID   int
	Start uint64 // clock ticks since boot
}

// Find names a running process.
func Find(pid int) (Process, error) {
	start, err := startOf(pid)
	return Process{PID: pid, Start: start}, err
}

// Alive is whether the process still runs.
func (p Process) Alive() bool {
	start, err := startOf(p.PID)
	return err == nil && start == p.Start
}

// startOf reads field 22 of /proc/PID/stat; a zombie counts as ended.
func startOf(pid int) (uint64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The command, in parentheses, may hold anything: count from its end.
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 20 {
		return 0, fmt.Errorf("/proc/%d/stat: %q", pid, b)
	}
	if string(fields[0]) == "Z" || string(fields[0]) == "X" {
		return 0, os.ErrProcessDone
	}
	return strconv.ParseUint(string(fields[19]), 10, 64)
}
