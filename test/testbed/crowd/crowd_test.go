package crowd_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/osmoslice/osmoslice/test/testbed/bed"
	"github.com/osmoslice/osmoslice/test/testbed/components"
	"github.com/osmoslice/osmoslice/test/testbed/crowd"
)

// Nodes that do not exist get ready, and the real scheduler puts pods on them.
func TestNodesAndPods(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: a control plane takes its time to start")
	}
	binary := bed.Binary(t, components.Kwok())
	kubeconfig := bed.APIServer(t)
	c, err := crowd.Start(t.Context(), binary, kubeconfig, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	if err := c.Nodes(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	if err := c.Pods(t.Context(), 20); err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	pods, err := client.CoreV1().Pods(metav1.NamespaceDefault).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	on := map[string]int{}
	for _, p := range pods.Items {
		if p.Status.Phase != corev1.PodRunning {
			t.Errorf("pod %s is %s", p.Name, p.Status.Phase)
		}
		on[p.Spec.NodeName]++
	}
	// The scheduler owes no even spread: a node is tainted until it is seen ready.
	if len(pods.Items) != 20 || len(on) < 2 || on[""] > 0 {
		t.Errorf("%d pods on %d nodes, want 20 spread over several of 5: %v", len(pods.Items), len(on), on)
	}
}
