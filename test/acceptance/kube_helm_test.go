//go:build e2e

package acceptance

import (
	"context"
	"encoding/base64"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/osmoslice/osmoslice/charts"
	"github.com/osmoslice/osmoslice/internal/kube"
	"github.com/osmoslice/osmoslice/internal/kube/helm"
)

// nodeOf is the address of the cluster cloud's node.
const nodeOf = "10.210.2.11"

// byHelm installs our charts at the cluster cloud as Helm does, in a namespace of
// the restricted kind that goes with the test.
type byHelm struct {
	s         *service
	client    *helm.Client
	namespace string
}

func newByHelm(t *testing.T, namespace string) *byHelm {
	t.Helper()
	s := &service{t: t}
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(bed(t), "kubeconfig", "cloud"))
	if err != nil {
		t.Fatal(err)
	}
	k, err := kube.Connect(config, kube.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.kubectl("cloud", "create", "namespace", namespace)
	s.kubectl("cloud", "label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
	t.Cleanup(func() { _, _ = kubectl("cloud", "delete", "namespace", namespace, "--wait=false") })
	return &byHelm{s, helm.New(k), namespace}
}

// converge installs or upgrades a release and waits until all of it is rolled out.
func (b *byHelm) converge(release, chart string, values map[string]any) {
	b.s.t.Helper()
	c, err := helm.Load(charts.Files(), chart)
	if err != nil {
		b.s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if _, err := b.client.Converge(ctx, helm.Wish{Name: release, Namespace: b.namespace, Chart: c, Values: values}); err != nil {
		b.s.t.Fatal(err)
	}
	for _, d := range strings.Fields(b.get("deployments", "-l", "app.kubernetes.io/instance="+release, "-o", "name")) {
		b.s.eventually(5*time.Minute, d+" is rolled out", func() error {
			_, err := kubectl("cloud", "rollout", "status", "-n", b.namespace, d, "--timeout=50s")
			return err
		})
	}
}

// get asks for objects of the namespace.
func (b *byHelm) get(args ...string) string {
	b.s.t.Helper()
	return b.s.kubectl("cloud", append([]string{"get", "-n", b.namespace}, args...)...)
}

// nodePort is where a Service's first port is reached.
func (b *byHelm) nodePort(service string) string {
	b.s.t.Helper()
	return nodeOf + ":" + b.get("service", service, "-o", "jsonpath={.spec.ports[0].nodePort}")
}

func (b *byHelm) secret(name, key string) string {
	b.s.t.Helper()
	raw, err := base64.StdEncoding.DecodeString(b.get("secret", name, "-o", "jsonpath={.data."+strings.ReplaceAll(key, ".", `\.`)+"}"))
	if err != nil {
		b.s.t.Fatal(err)
	}
	return strings.TrimSpace(string(raw))
}
