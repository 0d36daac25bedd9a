package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// onClusters is the demo's ground when it is a test bed of two Kubernetes
// clusters: edge and cloud, reached by kubectl under these contexts.
func (d *demo) onClusters() bool { return d.bed != "" }

// registerClusters registers both, their kubeconfigs kept as secrets.
func (d *demo) registerClusters(ctx context.Context) error {
	d.title("Register two real Kubernetes clusters: a device edge and a cloud")
	for _, c := range []struct{ site, cluster, kind, latency, pods string }{
		{"hall", "edge", "DEVICE_EDGE", "1", "10.1.0.0/16"}, {"region", "cloud", "CLOUD", "15", "10.2.0.0/16"},
	} {
		err := d.all(ctx,
			[]string{"secret", "create", "kubeconfig-" + c.site, "--from-file", filepath.Join(d.bed, "kubeconfig", c.cluster)},
			[]string{"infrastructure", "create", c.site, "--kind", c.kind, "--plugin", "kubernetes", "--access", "WIFI,NB_IOT", "--access-latency", c.latency,
				"--connection", `{"podCIDR":["` + c.pods + `"]}`, "--set", "secretRefs.kubeconfig=kubeconfig-" + c.site})
		if err != nil {
			return err
		}
	}
	return nil
}

// kubectl asks a cluster of the bed.
func kubectl(ctx context.Context, cluster string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "kubectl", append([]string{"--context", cluster}, args...)...).Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		err = fmt.Errorf("kubectl %s: %s", strings.Join(args, " "), failed.Stderr)
	}
	return strings.TrimSpace(string(out)), err
}

// healPod kills a gateway's pod and waits until another one serves.
func (d *demo) healPod(ctx context.Context) error {
	d.title("Kill a gateway's pod")
	var gateway struct{ ID string }
	if err := d.ask(ctx, &gateway, "gateway", "get", "hall-a", "--slice", "plant-1"); err != nil {
		return err
	}
	pod := func() (namespace, name, ready string, err error) {
		out, err := kubectl(ctx, "edge", "get", "pods", "-A", "-l", "osmoslice.dev/element="+gateway.ID, "-o",
			`jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name} {.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}`)
		f := strings.Fields(out)
		if err == nil && len(f) != 3 {
			err = fmt.Errorf("expected one pod of hall-a, found %q", out)
		}
		if err != nil {
			return "", "", "", err
		}
		return f[0], f[1], f[2], nil
	}
	namespace, before, _, err := pod()
	if err != nil {
		return err
	}
	from := time.Now()
	if _, err := kubectl(ctx, "edge", "delete", "pod", "-n", namespace, before, "--grace-period=0", "--force", "--wait=false"); err != nil {
		return err
	}
	api, err := d.endpoint(ctx, "hall-a", "api")
	if err != nil {
		return err
	}
	var after string
	err = until(ctx, time.Minute, "hall-a is not back", func() error {
		_, name, ready, err := pod()
		if err != nil {
			return err
		}
		if name == before || ready != "True" {
			return fmt.Errorf("pod %s is ready: %s", name, ready)
		}
		after = name
		return answers(api + "/healthz")
	})
	if err != nil {
		return err
	}
	d.say("%s is gone; %s is ready after %v, devices and queue as they were", before, after, time.Since(from).Round(10*time.Millisecond))
	return nil
}

// left tells what the clusters still hold of slices.
func (d *demo) left(ctx context.Context) error {
	for _, cluster := range []string{"edge", "cloud"} {
		out, err := kubectl(ctx, cluster, "get", "namespaces", "-l", "osmoslice.dev/slice", "-o", "name")
		if err != nil {
			return err
		}
		if out != "" {
			return fmt.Errorf("%s holds %s", cluster, out)
		}
	}
	return nil
}
