package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/osmoslice/osmoslice/test/testbed/netpol"
	"github.com/osmoslice/osmoslice/test/testbed/volumes"
)

// A node is what runs inside one node's namespaces.
type node struct {
	nodeOrder
	client   kubernetes.Interface
	reached  func(milestone string)
	archives []*os.File
	ended    chan error // a component that cannot be kept running
}

// RunNode runs a node as told on in until ctx ends; milestones are lines on out.
func RunNode(ctx context.Context, in io.Reader, out io.Writer) error {
	n := &node{ended: make(chan error, 8), reached: func(m string) { fmt.Fprintln(out, m) }}
	if err := json.NewDecoder(in).Decode(&n.nodeOrder); err != nil {
		return fmt.Errorf("order of the supervisor: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := n.openArchives(); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(n.Node.Name)); err != nil {
		return err
	}
	if err := mountAll(n.Dir, n.Node.Name); err != nil {
		return err
	}
	if err := n.network(ctx); err != nil {
		return fmt.Errorf("network: %w", err)
	}
	if err := n.writeFiles(); err != nil {
		return err
	}
	n.reached("network")
	if err := n.startAll(ctx); err != nil {
		return err
	}
	n.reached(Ready)
	select {
	case err := <-n.ended:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (n *node) first() bool { return n.Node.Index == 1 }

func (n *node) pki(name string) string { return filepath.Join(bedFolder, "pki", n.Cluster.Name, name) }

// openArchives opens them where they are, before mounts hide it.
func (n *node) openArchives() error {
	for _, path := range n.Bed.Images {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		n.archives = append(n.archives, f)
	}
	return nil
}

// startAll starts everything in the order that gets pods running soonest.
func (n *node) startAll(ctx context.Context) error {
	n.keep(ctx, "containerd", "containerd", "--config", "/run/testbed/containerd.toml")
	if n.first() {
		n.keep(ctx, "controlplane", kubernetesBinary, "controlplane", "--data", filepath.Join(bedFolder, "node", n.Node.Name, "store"),
			"--pki", n.pki(""), "--bind", "0.0.0.0", "--port", "6443", "--advertise", n.Node.Address.String(),
			"--service-cidr", n.Cluster.Services.String(), "--cluster-cidr", n.Cluster.Pods.String(),
			"--controllers", "*,bootstrap-signer-controller,token-cleaner-controller")
	}
	if err := n.importArchives(ctx); err != nil {
		return err
	}
	n.reached("images")
	config, err := clientcmd.BuildConfigFromFlags("", n.pki("admin.kubeconfig"))
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 50, 100
	if n.client, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	if err := n.await(ctx, n.serverReady); err != nil {
		return fmt.Errorf("API server: %w", err)
	}
	n.reached("api-server")
	n.keep(ctx, "kubelet", kubernetesBinary, "kubelet", "--config", "/run/testbed/kubelet.yaml", "--kubeconfig", n.pki("kubelet-"+n.Node.Name+".kubeconfig"),
		"--hostname-override", n.Node.Name, "--node-ip", n.Node.Address.String(),
		"--node-labels", "topology.kubernetes.io/zone="+n.Cluster.Name, "--v", "1")
	n.keep(ctx, "kube-proxy", kubernetesBinary, "kube-proxy", "--config", "/run/testbed/kube-proxy.yaml")
	n.watch(ctx)
	if n.first() {
		if err := n.applyManifests(ctx); err != nil {
			return err
		}
	}
	if err := n.await(ctx, n.nodeReady); err != nil {
		return fmt.Errorf("node: %w", err)
	}
	n.reached("node-ready")
	if err := n.await(ctx, n.dnsReady); err != nil {
		return fmt.Errorf("DNS: %w", err)
	}
	return nil
}

// watch runs what this process itself does for the cluster.
func (n *node) watch(ctx context.Context) {
	for name, f := range map[string]func() error{
		"netpol":  func() error { return netpol.Enforce(ctx, n.client, n.Node.Name, netpol.Apply) },
		"volumes": func() error { return volumes.Provision(ctx, n.client, n.Node.Name, Provisioner, volumesFolder) },
	} {
		go func() {
			if err := f(); err != nil && ctx.Err() == nil {
				n.ended <- fmt.Errorf("%s: %w", name, err)
			}
		}()
	}
}

func (n *node) importArchives(ctx context.Context) error {
	if err := n.await(ctx, func(ctx context.Context) error {
		return run(ctx, "ctr", "--address", containerdSocket, "version")
	}); err != nil {
		return fmt.Errorf("containerd: %w", err)
	}
	for _, f := range n.archives {
		cmd := command(ctx, "ctr", "--address", containerdSocket, "--namespace", "k8s.io", "images", "import", "-")
		cmd.Stdin = f
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("import of %s: %w: %s", f.Name(), err, strings.TrimSpace(string(out)))
		}
		f.Close()
	}
	return nil
}

func (n *node) applyManifests(ctx context.Context) error {
	text, err := render(n.Bed, n.Cluster)
	if err != nil {
		return err
	}
	return n.await(ctx, func(ctx context.Context) error {
		_, err := output(ctx, text, kubernetesBinary, "kubectl", "--kubeconfig", n.pki("admin.kubeconfig"), "apply", "--server-side", "-f", "-")
		return err
	})
}

// startTimeout is for a step of the start on a machine that does much else.
const startTimeout = 5 * time.Minute

// await repeats a check until it passes; it fails with the check's last error.
func (n *node) await(ctx context.Context, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case err := <-n.ended:
			return err
		case <-tick.C:
		}
	}
}
