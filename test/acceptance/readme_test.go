package acceptance

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The README's tour works when pasted.
func TestReadmeTour(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, tour, ok := strings.Cut(string(readme), "## Five minutes\n\n```console\n")
	tour, _, also := strings.Cut(tour, "```")
	if !ok || !also {
		t.Fatal("README.md has no tour below \"## Five minutes\"")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	// The binaries under test stand for make build.
	tour = strings.Replace(tour, "make build\nexport PATH=$PWD/bin:$PATH\n", "export PATH="+bin+":$PATH\n", 1)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-m")
	cmd.Dir, cmd.Stdin = root, strings.NewReader("set -e\n"+tour)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"accepted":1`, "press:temperature", "21.5", "COMPLETED", "no difference"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the tour did not print %q", want)
		}
	}
}

// The demo, once, says that it left nothing behind, and leaves nothing behind.
func TestDemoOnce(t *testing.T) {
	demo := filepath.Join(bin, "demo")
	if out, err := exec.Command("go", "build", "-trimpath", "-o", demo, "../demo").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	dir := filepath.Join(t.TempDir(), "demo")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, demo, "--once", "--bin", bin, "--dir", dir).CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the demo's folder is still there: %v", err)
	}
	s := &service{t: t, dir: dir}
	if left := s.processes(); len(left) > 0 {
		t.Errorf("processes left: %q", left)
		s.sweep()
	}
}
