package supervise

import (
	"bytes"
	"os"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"
)

// slimAfter is when a shim gives back what only its start needed.
const slimAfter = time.Second

// slim gives memory back. The shim is the whole service's binary, whose
// packages' initialisation touched far more than a shim needs: garbage on the
// heap, and pages of the file, which stay in the page cache and come back by
// themselves when they are needed again.
func slim() {
	debug.FreeOSMemory()
	b, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return
	}
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	for _, m := range cleanMappings(b, exe) {
		// An error costs nothing but memory.
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, m.from, m.to-m.from, syscall.MADV_DONTNEED)
	}
}

type mapping struct{ from, to uintptr }

// cleanMappings are the read-only mappings of the executable no page of which
// was ever written, by the smaps of proc_pid_smaps(5): dropping any other would
// lose data, such as relocations done before it was made read-only.
func cleanMappings(smaps []byte, exe string) []mapping {
	var found []mapping
	var at mapping
	ours := false
	for line := range bytes.Lines(smaps) {
		f := bytes.Fields(line)
		switch {
		case len(f) >= 5 && bytes.IndexByte(f[0], '-') > 0:
			ours = (string(f[1]) == "r-xp" || string(f[1]) == "r--p") && bytes.HasSuffix(line, []byte(" "+exe+"\n"))
			if ours {
				at, ours = parseRange(f[0])
			}
		case ours && len(f) == 3 && string(f[0]) == "Anonymous:":
			if string(f[1]) == "0" {
				found = append(found, at)
			}
			ours = false
		}
	}
	return found
}

func parseRange(b []byte) (mapping, bool) {
	from, to, ok := bytes.Cut(b, []byte("-"))
	a, err := strconv.ParseUint(string(from), 16, strconv.IntSize)
	z, err2 := strconv.ParseUint(string(to), 16, strconv.IntSize)
	return mapping{uintptr(a), uintptr(z)}, ok && err == nil && err2 == nil && a < z
}
