package bed_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/osmoslice/osmoslice/test/testbed/bed"
)

// A real API server validates and defaults; a fake does neither.
func TestAPIServerValidatesAndDefaults(t *testing.T) {
	config, err := clientcmd.BuildConfigFromFlags("", bed.APIServer(t))
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	dryRun := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	pods := client.CoreV1().Pods(metav1.NamespaceDefault)
	good := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
	made, err := pods.Create(t.Context(), good, dryRun)
	if err != nil {
		t.Fatal(err)
	}
	if made.Spec.RestartPolicy != corev1.RestartPolicyAlways || made.Spec.ServiceAccountName != "default" {
		t.Errorf("restartPolicy %q, serviceAccountName %q: want the defaults Always, default", made.Spec.RestartPolicy, made.Spec.ServiceAccountName)
	}
	bad := good.DeepCopy()
	bad.Spec.RestartPolicy = "Sometimes"
	if _, err := pods.Create(t.Context(), bad, dryRun); !errors.IsInvalid(err) {
		t.Errorf("restartPolicy Sometimes: got %v, want it refused as invalid", err)
	}
	if _, err := pods.Get(t.Context(), "p", metav1.GetOptions{}); !errors.IsNotFound(err) {
		t.Errorf("after a dry run: got %v, want not found", err)
	}
}
