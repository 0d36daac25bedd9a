package bed

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/osmoslice/osmoslice/test/testbed/cluster"
	"github.com/osmoslice/osmoslice/test/testbed/components"
	"github.com/osmoslice/osmoslice/test/testbed/wan"
)

// whyNot carries from Main to Open why there is no bed.
const whyNot = "OSMOSLICE_TESTBED_MISSING"

// Main is for TestMain: it answers the exit code of the tests, run inside a bed
// with the clusters, each given as NAME or NAME:NODES.
func Main(m *testing.M, clusters ...string) int {
	if !flag.Parsed() {
		flag.Parse()
	}
	dir := cluster.Dir(os.Getenv(cluster.DirVariable))
	if dir != "" && cluster.Inside(dir) {
		return m.Run()
	}
	if err := possible(); err != nil {
		os.Setenv(whyNot, err.Error())
		return m.Run()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code, err := inside(ctx, dir, clusters)
	if err != nil {
		fmt.Fprintln(os.Stderr, "test bed:", err)
		return 1
	}
	return code
}

// possible is why no bed can be started, or nil.
func possible() error {
	if testing.Short() {
		return errors.New("-short: clusters take their time to start")
	}
	if f := flag.Lookup("test.list"); f != nil && f.Value.String() != "" {
		return errors.New("tests are only listed")
	}
	if err := cluster.Missing(); err != nil {
		return err
	}
	for _, c := range []components.Component{components.Kubernetes(), components.CoreDNS()} {
		if _, err := components.Cached(c); err != nil {
			return err
		}
	}
	return nil
}

// inside runs this test binary again in a bed: in the one of dir if it runs, else
// in one of its own that ends with it.
func inside(ctx context.Context, dir cluster.Dir, clusters []string) (int, error) {
	work, err := os.MkdirTemp("", "osmoslice-testbed-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(work)
	program, err := buildProgram(ctx, work)
	if err != nil {
		return 0, err
	}
	if dir == "" {
		dir = cluster.Dir(filepath.Join(work, "bed"))
		up := exec.CommandContext(ctx, program, append([]string{"up", "--dir", string(dir)}, clusters...)...)
		up.Stdout, up.Stderr = os.Stderr, os.Stderr
		up.Cancel = func() error { return up.Process.Signal(syscall.SIGTERM) }
		defer cluster.Down(context.WithoutCancel(ctx), dir)
		if err := up.Run(); err != nil {
			return 0, fmt.Errorf("up %s: %w", strings.Join(clusters, " "), err)
		}
	} else if err := holds(dir, clusters); err != nil {
		return 0, err
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, program, append([]string{"run", "--dir", string(dir), "--", self}, os.Args[1:]...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}

// buildProgram compiles testbed itself.
func buildProgram(ctx context.Context, folder string) (string, error) {
	root, err := components.ModuleRoot()
	if err != nil {
		return "", err
	}
	program := filepath.Join(folder, "testbed")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", program, "./test/testbed")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./test/testbed: %w: %s", err, out)
	}
	return program, nil
}

// holds is whether the bed that runs has the clusters the tests want.
func holds(dir cluster.Dir, wanted []string) error {
	b, err := dir.Bed()
	if err != nil {
		return err
	}
	plan, err := cluster.Plan(wanted...)
	if err != nil {
		return err
	}
	nodes := map[string]int{}
	for _, c := range b.Clusters {
		nodes[c.Name] = len(c.Nodes)
	}
	for _, c := range plan {
		if nodes[c.Name] < len(c.Nodes) {
			return fmt.Errorf("the bed in %s has %d nodes in cluster %s, the tests want %d", dir, nodes[c.Name], c.Name, len(c.Nodes))
		}
	}
	return nil
}

// A Bed is the bed a test runs in.
type Bed struct {
	Dir    cluster.Dir
	client *cluster.Client
}

// Open answers the bed Main has started; without one it skips the test, or fails
// it under CI=true (-short apart).
func Open(t testing.TB) *Bed {
	t.Helper()
	if why := os.Getenv(whyNot); why != "" {
		if testing.Short() {
			t.Skip(why)
		}
		missing(t, errors.New(why))
	}
	dir := cluster.Dir(os.Getenv(cluster.DirVariable))
	if dir == "" {
		t.Fatal("bed.Open without bed.Main in TestMain")
	}
	client, err := cluster.Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	return &Bed{Dir: dir, client: client}
}

// Kubeconfig is the path of a cluster's kubeconfig (group system:masters).
func (b *Bed) Kubeconfig(name string) string { return b.Dir.Kubeconfig(name) }

// Kubectl runs kubectl on a cluster and answers its standard output and what went
// wrong, the error output included.
func (b *Bed) Kubectl(ctx context.Context, name, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(b.Dir.Bin(), "kubectl"), append([]string{"--kubeconfig", b.Kubeconfig(name)}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return out.String(), nil
}

// LoadImages imports OCI archives into the clusters, or into all.
func (b *Bed) LoadImages(ctx context.Context, files []string, clusters ...string) error {
	return b.client.LoadImages(ctx, files, clusters...)
}

// Partition cuts a cluster off from another, or, from empty, from everything,
// the test included; it is healed at the end of the test at the latest.
func (b *Bed) Partition(t testing.TB, name, from string) {
	t.Helper()
	if err := b.client.Partition(context.Background(), name, from); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Heal(t, name, from) })
}

// Heal undoes Partition.
func (b *Bed) Heal(t testing.TB, name, from string) {
	t.Helper()
	if err := b.client.Heal(context.Background(), name, from); err != nil {
		t.Error(err)
	}
}

// Link gives a cluster's link a quality until the end of the test.
func (b *Bed) Link(t testing.TB, name string, q wan.Quality) {
	t.Helper()
	if err := b.client.Link(context.Background(), name, q); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.client.Link(context.Background(), name, wan.Quality{}); err != nil {
			t.Error(err)
		}
	})
}

// Status is the bed's, with the memory of each node.
func (b *Bed) Status(ctx context.Context) (cluster.Status, error) { return b.client.Status(ctx, true) }
