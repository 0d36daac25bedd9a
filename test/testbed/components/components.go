// Package components builds the programs the test bed is made of, each from its
// nested module, once: a build is kept in a cache under the hash of everything
// it was made from, so that a change of sources, requirements, Go or
// architecture makes a new one and nothing else does.
//
// The cache is $OSMOSLICE_CACHE, else osmoslice below the user's cache folder
// ($XDG_CACHE_HOME or ~/.cache).
package components

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A Component is one program.
type Component struct {
	// Name is that of the program and of its folder below test/testbed, which is
	// a module of its own or a package that uses the standard library only.
	Name  string
	flags string // for the linker
	slow  string // what to expect of the first build, for the progress line
}

// kubernetesVersion is the version the binary says it has, that of its go.mod.
const kubernetesVersion = "1.36.3"

// Kubernetes is the multi-call binary of control plane, kubelet, kube-proxy and
// kubectl.
func Kubernetes() Component {
	minor := strings.Split(kubernetesVersion, ".")[1]
	x := func(k, v string) string { return " -X k8s.io/component-base/version." + k + "=" + v }
	return Component{Name: "kubernetes", slow: "8 to 10 minutes on two free cores",
		flags: x("gitVersion", "v"+kubernetesVersion) + x("gitMajor", "1") + x("gitMinor", minor) +
			x("gitTreeState", "clean") + x("gitCommit", "testbed") + " -X k8s.io/client-go/pkg/version.gitVersion=v" + kubernetesVersion}
}

// CoreDNS is the clusters' DNS server.
func CoreDNS() Component {
	return Component{Name: "coredns", slow: "about a minute"}
}

// Kwok plays the kubelets of any number of nodes that do not exist.
func Kwok() Component {
	return Component{Name: "kwok", slow: "about a minute"}
}

// Probe is the small program of test pods: pause, server and client.
func Probe() Component { return Component{Name: "probe"} }

// All are all components, those first that the clusters need.
func All() []Component { return []Component{Probe(), CoreDNS(), Kubernetes(), Kwok()} }

// Find answers the component of that name.
func Find(name string) (Component, bool) {
	for _, c := range All() {
		if c.Name == name {
			return c, true
		}
	}
	return Component{}, false
}

// Names are those of all components.
func Names() []string {
	var names []string
	for _, c := range All() {
		names = append(names, c.Name)
	}
	return names
}

// ErrNotBuilt is what Cached answers for a component that Build would compile.
var ErrNotBuilt = errors.New("not built yet")

// CacheDir is the folder of everything the test bed keeps between runs.
func CacheDir() (string, error) {
	if dir := os.Getenv("OSMOSLICE_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no folder for the cache (set OSMOSLICE_CACHE): %w", err)
	}
	return filepath.Join(dir, "osmoslice"), nil
}

// Cached is the path of the component's binary if it was built before, and
// ErrNotBuilt otherwise.
func Cached(c Component) (string, error) {
	path, _, err := c.locate()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is %w: run \"go run ./test/testbed build\" (the first time takes %s)", c.Name, ErrNotBuilt, c.expect())
	}
	return path, nil
}

// Build answers the path of the component's binary and compiles it first if the
// cache does not hold it. Two builds of one component at the same time are one:
// the second waits. Progress goes to log.
func Build(ctx context.Context, c Component, log io.Writer) (string, error) {
	path, source, err := c.locate()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(ctx, path+".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	fmt.Fprintf(log, "building %s, once (%s)\n", c.Name, c.expect())
	begin := time.Now()
	if err := c.compile(ctx, source, path); err != nil {
		return "", err
	}
	fmt.Fprintf(log, "built %s in %s\n", c.Name, time.Since(begin).Round(time.Second))
	return path, nil
}

func (c Component) expect() string {
	if c.slow == "" {
		return "a few seconds"
	}
	return c.slow
}

// compile leaves the whole program at path or nothing.
func (c Component) compile(ctx context.Context, source, path string) error {
	fresh := path + ".new"
	defer os.Remove(fresh)
	cmd := exec.CommandContext(ctx, "go", "build", "-C", source, "-buildvcs=false",
		"-ldflags", strings.TrimSpace("-s -w "+c.flags), "-o", fresh, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod=readonly")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", c.Name, err, out.Bytes())
	}
	return os.Rename(fresh, path)
}

// locate is where the binary is or would be, and its source.
func (c Component) locate() (path, source string, err error) {
	cache, err := CacheDir()
	if err != nil {
		return "", "", err
	}
	root, err := ModuleRoot()
	if err != nil {
		return "", "", err
	}
	source = filepath.Join(root, "test", "testbed", c.Name)
	sum, err := c.hash(source)
	if err != nil {
		return "", "", err
	}
	return filepath.Join(cache, "testbed", c.Name+"-"+sum[:16], c.Name), source, nil
}

// hash covers every file the binary is made of, by the sums in go.sum also those
// of other modules, and what compiles it.
func (c Component) hash(source string) (string, error) {
	var files []string
	err := filepath.WalkDir(source, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name := d.Name()
		if name == "go.mod" || name == "go.sum" || strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("sources of %s: %w", c.Name, err)
	}
	slices.Sort(files)
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOOS, runtime.GOARCH, c.flags)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return "", err
		}
		rel, err := filepath.Rel(source, f)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n", filepath.ToSlash(rel), len(b))
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// ModuleRoot is the folder of this module's go.mod, searched upwards from the
// working directory: "go run" and "go test" are both started below it.
func ModuleRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(b, []byte("module github.com/osmoslice/osmoslice\n")) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%s is not inside the sources of Osmoslice, which the test bed is built from", start)
		}
	}
}
