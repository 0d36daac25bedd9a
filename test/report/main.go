// Command report reads the output of "go test -json" and prints what a person
// wants: a line per package, the whole output of what failed, every skip with
// its reason, and the sums. It exits 1 when something failed or nothing ran.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
)

// event is one line of test2json.
type event struct {
	Action     string
	Package    string
	ImportPath string // of build-output
	Test       string
	Elapsed    float64
	Output     string
}

type tally struct {
	out                     io.Writer
	passed, failed, skipped int
	lines                   map[string][]string // of tests under way
	skips                   []string
}

func main() {
	t := &tally{out: os.Stdout, lines: map[string][]string{}}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 64<<20)
	for in.Scan() {
		var e event
		if json.Unmarshal(in.Bytes(), &e) != nil {
			fmt.Fprintln(t.out, in.Text()) // not an event: the toolchain's own words
			continue
		}
		t.take(e)
	}
	if err := in.Err(); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
	os.Exit(t.close())
}

func (t *tally) take(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output":
		t.lines[key] = append(t.lines[key], e.Output)
	case "build-output":
		fmt.Fprint(t.out, e.Output)
	case "pass", "fail", "skip":
		t.ended(e, key)
		delete(t.lines, key)
	}
}

func (t *tally) ended(e event, key string) {
	if e.Test == "" {
		t.pack(e, key)
		return
	}
	switch e.Action {
	case "pass":
		t.passed++
	case "fail":
		t.failed++
		fmt.Fprint(t.out, strings.Join(t.lines[key], ""))
	case "skip":
		t.skipped++
		t.skips = append(t.skips, e.Package+" "+e.Test+": "+reason(t.lines[key]))
	}
}

func (t *tally) pack(e event, key string) {
	switch e.Action {
	case "fail":
		t.failed++
		for _, under := range t.underWay(e.Package) { // a panic or a timeout is told there
			fmt.Fprint(t.out, strings.Join(t.lines[under], ""))
			delete(t.lines, under)
		}
		fmt.Fprint(t.out, strings.Join(t.lines[key], ""))
		fmt.Fprintf(t.out, "FAIL %s %.1f s\n", e.Package, e.Elapsed)
	case "pass":
		fmt.Fprintf(t.out, "ok   %s %.1f s\n", e.Package, e.Elapsed)
	}
}

// underWay are the tests of a package that have not ended.
func (t *tally) underWay(pack string) []string {
	var keys []string
	for key := range t.lines {
		if test, ok := strings.CutPrefix(key, pack+" "); ok && test != "" {
			keys = append(keys, key)
		}
	}
	sort.Strings(keys)
	return keys
}

// reason is what a test said when it skipped itself.
func reason(lines []string) string {
	for i := len(lines) - 1; i >= 0; i-- {
		if text := strings.TrimSpace(lines[i]); text != "" && !strings.HasPrefix(text, "---") && !strings.HasPrefix(text, "===") {
			return text
		}
	}
	return "no reason given"
}

func (t *tally) close() int {
	sort.Strings(t.skips)
	for _, s := range t.skips {
		fmt.Fprintln(t.out, "skipped:", s)
	}
	fmt.Fprintf(t.out, "%d passed, %d failed, %d skipped\n", t.passed, t.failed, t.skipped)
	if t.failed > 0 || t.passed == 0 {
		return 1
	}
	return 0
}
