package cluster

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// addMemory measures every node: the proportional set size of all that descends
// from its process 1, so that what processes share is counted once.
func (s *supervisor) addMemory(status *Status) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return
	}
	parent := map[int]int{}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			if p, err := parentOf(pid); err == nil {
				parent[pid] = p
			}
		}
	}
	memory := map[int]int64{}
	for pid := range parent {
		size := proportionalSize(pid)
		for p := pid; p > 1; p = parent[p] {
			memory[p] += size
		}
	}
	for i := range status.Clusters {
		for j := range status.Clusters[i].Nodes {
			n := &status.Clusters[i].Nodes[j]
			n.Memory = memory[s.inits[n.Name]]
		}
	}
}

func parentOf(pid int) (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 2 {
		return 0, fmt.Errorf("/proc/%d/stat: %q", pid, b)
	}
	return strconv.Atoi(string(fields[1]))
}

// proportionalSize is 0 for a process that is gone.
func proportionalSize(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(b) {
		fields := bytes.Fields(line)
		if len(fields) >= 2 && string(fields[0]) == "Pss:" {
			kib, _ := strconv.ParseInt(string(fields[1]), 10, 64)
			return kib << 10
		}
	}
	return 0
}
