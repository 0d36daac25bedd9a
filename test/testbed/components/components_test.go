package components

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// A component is built once, however many ask for it, and found from then on.
func TestBuiltOnce(t *testing.T) {
	t.Setenv("OSMOSLICE_CACHE", t.TempDir())
	if _, err := Cached(Probe()); !errors.Is(err, ErrNotBuilt) || !strings.Contains(err.Error(), "go run ./test/testbed build") {
		t.Fatalf("before: got %v, want ErrNotBuilt and what to do", err)
	}
	var logs [2]bytes.Buffer
	var paths [2]string
	var both sync.WaitGroup
	for i := range 2 {
		both.Go(func() {
			var err error
			if paths[i], err = Build(t.Context(), Probe(), &logs[i]); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	if got := strings.Count(logs[0].String()+logs[1].String(), "building probe"); got != 1 {
		t.Errorf("built %d times, want once", got)
	}
	if cached, err := Cached(Probe()); err != nil || cached != paths[0] || cached != paths[1] {
		t.Errorf("cached %s, %v; built %v", cached, err, paths)
	}
	file := filepath.Join(t.TempDir(), "x")
	if err := exec.Command(paths[0], "write", file, "works").Run(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "works" {
		t.Errorf("the program wrote %q, %v", b, err)
	}
}

// What a binary is made of changes its name; tests and documents do not.
func TestHashCoversTheSources(t *testing.T) {
	folder := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("main.go", "package main")
	c := Component{Name: "x"}
	hash := func(c Component) string {
		t.Helper()
		h, err := c.hash(folder)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	last := hash(c)
	for name, changes := range map[string]bool{"main_test.go": false, "README.md": false, "go.mod": true, "go.sum": true, "other.go": true} {
		write(name, "new")
		if now := hash(c); (now != last) != changes {
			t.Errorf("%s: changes the hash is %t, want %t", name, now != last, changes)
		} else {
			last = now
		}
	}
	if c.flags = "-X a=b"; hash(c) == last {
		t.Error("flags of the linker do not change the hash")
	}
}

// A build that fails says why and leaves nothing that looks built.
func TestFailedBuildLeavesNothing(t *testing.T) {
	source, target := t.TempDir(), filepath.Join(t.TempDir(), "x")
	for name, content := range map[string]string{"go.mod": "module x\n", "main.go": "package main\nfunc main() { nonsense }\n"} {
		if err := os.WriteFile(filepath.Join(source, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	err := Component{Name: "x"}.compile(t.Context(), source, target)
	if err == nil || !strings.Contains(err.Error(), "undefined: nonsense") {
		t.Errorf("got %v, want the compiler's words", err)
	}
	if left, _ := os.ReadDir(filepath.Dir(target)); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
