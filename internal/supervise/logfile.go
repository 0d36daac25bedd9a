package supervise

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// tailBytes is how much of the last output a root cause may quote.
const tailBytes = 2048

// logFile takes a function's output: files of bounded size, and the tail in
// memory. It never fails: output that finds no space is dropped and counted.
type logFile struct {
	mu      sync.Mutex
	path    string // of the newest file; older ones are path.1, path.2, …
	max     int64
	keep    int
	f       *os.File
	size    int64
	tail    []byte
	dropped int64
}

func newLogFile(dir string, max int64, keep int) *logFile {
	_ = os.MkdirAll(dir, 0o700) // a failure shows as dropped output
	return &logFile{path: filepath.Join(dir, "function.log"), max: max, keep: keep}
}

// Write takes all of b.
func (l *logFile) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail = append(l.tail, b...)
	if n := len(l.tail); n > tailBytes {
		l.tail = slices.Delete(l.tail, 0, n-tailBytes)
	}
	for rest := b; len(rest) > 0; {
		if !l.ready() {
			l.dropped += int64(len(rest))
			break
		}
		part := rest[:min(int64(len(rest)), l.max-l.size)]
		n, err := l.f.Write(part)
		l.size += int64(n)
		rest = rest[n:]
		if err != nil {
			l.dropped += int64(len(rest))
			break
		}
	}
	return len(b), nil
}

// ready opens or rotates so that at least one byte fits.
func (l *logFile) ready() bool {
	if l.f != nil && l.size < l.max {
		return true
	}
	if l.f == nil {
		if !l.open(os.O_APPEND) {
			return false
		}
		if l.size < l.max {
			return true
		}
	}
	_ = l.f.Close()
	l.f = nil
	for i := l.keep - 1; i >= 1; i-- {
		older, newer := fmt.Sprintf("%s.%d", l.path, i), l.path
		if i > 1 {
			newer = fmt.Sprintf("%s.%d", l.path, i-1)
		}
		_ = os.Rename(newer, older) // absent at first
	}
	return l.open(os.O_TRUNC)
}

func (l *logFile) open(how int) bool {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|how, 0o600)
	if err != nil {
		return false
	}
	l.f, l.size = f, 0
	if st, err := f.Stat(); err == nil {
		l.size = st.Size()
	}
	return true
}

// begin forgets the tail: a new run begins.
func (l *logFile) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail = l.tail[:0]
}

// last is the last few lines written, in one line, with the given secrets
// blotted out.
func (l *logFile) last(secrets []string) string {
	l.mu.Lock()
	s := string(l.tail)
	l.mu.Unlock()
	for _, secret := range secrets {
		s = strings.ReplaceAll(s, secret, "•••")
	}
	return lastLines(s, 4, 400)
}

// lastLines joins the last n non-empty lines of s, at most about max bytes.
func lastLines(s string, n, max int) string {
	var lines []string
	for line := range strings.Lines(strings.ToValidUTF8(s, "\uFFFD")) {
		line = strings.Map(printable, strings.TrimSpace(line))
		if line != "" {
			lines = append(lines, line)
		}
	}
	s = strings.Join(lines[len(lines)-min(n, len(lines)):], " | ")
	if len(s) > max {
		s = "…" + strings.ToValidUTF8(s[len(s)-max:], "")
	}
	return s
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}

func (l *logFile) lost() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dropped
}

// secretsIn are the values of an environment which its names call secret; the
// name of a file that holds one is none.
func secretsIn(env []string) []string {
	var secrets []string
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		name = strings.ToUpper(name)
		secret := slices.ContainsFunc([]string{"SECRET", "PASSWORD", "PASSWD", "TOKEN", "KEY", "CREDENTIAL", "DSN"},
			func(word string) bool { return strings.Contains(name, word) })
		named := strings.HasSuffix(name, "_FILE") || strings.HasSuffix(name, "_PATH") || strings.HasSuffix(name, "_DIR")
		if secret && !named && len(value) >= 4 {
			secrets = append(secrets, value)
		}
	}
	return secrets
}
