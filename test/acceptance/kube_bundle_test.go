//go:build e2e

package acceptance

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestKubeBundle carries an image to a node that has lost it: a bundle is made,
// and loaded into the node's containerd; a pod runs from it, pulling nothing.
func TestKubeBundle(t *testing.T) {
	s := &service{t: t}
	const cluster, image, namespace = "edge", "docker.io/osmoslice/lite-server:0.1.0", "bundle"
	socket := containerdOf(t, cluster+"-1")
	ctr := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "ctr", append([]string{"--address", socket, "-n", "k8s.io"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("ctr %s: %v: %s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	dir := t.TempDir()
	order, file := filepath.Join(dir, "order.yaml"), filepath.Join(dir, "plant.tar")
	if err := os.WriteFile(order, []byte("name: plant\niotServers:\n- {name: core, product: lite-server}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	slicectl := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), filepath.Join(os.Getenv("OSMOSLICE_BIN"), "slicectl"), args...)
		cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("slicectl %s: %v: %s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	slicectl("bundle", "create", order, "-o", file, "--images", os.Getenv("OSMOSLICE_TEST_IMAGES"))
	for _, name := range strings.Fields(ctr("images", "list", "-q")) {
		if strings.Contains(name, "osmoslice/lite-server") {
			ctr("images", "remove", "--sync", name)
		}
	}
	if strings.Contains(ctr("images", "list", "-q"), "lite-server") {
		t.Fatal("the node still has the image")
	}
	said := slicectl("bundle", "load", file, "--containerd", socket)
	if !strings.Contains(said, "containerd took 1 image") {
		t.Errorf("loading says %q", said)
	}
	if !strings.Contains(ctr("images", "list", "-q"), image+"\n") {
		t.Fatalf("containerd has no %s:\n%s", image, ctr("images", "list", "-q"))
	}
	s.kubectl(cluster, "create", "namespace", namespace)
	t.Cleanup(func() { _, _ = kubectl(cluster, "delete", "namespace", namespace, "--wait=false") })
	s.eventually(time.Minute, "a pod runs from it", func() error {
		_, err := kubectl(cluster, "run", "-n", namespace, "one", "--image", image, "--image-pull-policy=Never", "--restart=Never", "--attach", "--rm", "--quiet", "--command", "--", "/usr/local/bin/lite-server", "--version")
		return err
	})
}

// containerdOf is the socket of a node's containerd, seen through its process: one
// of that host's name, below the keeper of this bed.
func containerdOf(t *testing.T, node string) string {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		line, err := os.ReadFile(f)
		pid := filepath.Base(filepath.Dir(f))
		if err != nil || !strings.HasPrefix(string(line), "containerd\x00--config\x00/run/testbed/") || !below(pid, bed(t)) {
			continue
		}
		host, err := exec.CommandContext(t.Context(), "nsenter", "--target", pid, "--uts", "hostname").Output()
		if err == nil && strings.TrimSpace(string(host)) == node {
			return filepath.Join("/proc", pid, "root/run/containerd/containerd.sock")
		}
	}
	t.Fatalf("no containerd of node %s runs", node)
	return ""
}

// below reports whether a process descends from the keeper of a bed's folder.
func below(pid, folder string) bool {
	for pid != "0" && pid != "" {
		line, err := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
		if err != nil {
			return false
		}
		if strings.HasSuffix(string(line), "\x00keep\x00"+folder+"\x00") {
			return true
		}
		status, err := os.ReadFile(filepath.Join("/proc", pid, "status"))
		if err != nil {
			return false
		}
		_, rest, _ := strings.Cut(string(status), "PPid:")
		parent, _, _ := strings.Cut(rest, "\n")
		pid = strings.TrimSpace(parent)
	}
	return false
}
