package bootstrap

import (
	"context"
	"io/fs"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/kube"
	"github.com/osmoslice/osmoslice/internal/kube/helm"
)

// charts is Releases by Helm.
type charts struct {
	files   fs.FS
	cluster *Cluster // nil: it only renders
}

var _ Releases = charts{}

// Charts makes Releases of the charts in files; with a nil cluster it renders
// and no more.
func Charts(files fs.FS, c *Cluster) Releases { return charts{files, c} }

// Render implements Releases.
func (r charts) Render(chart, release, namespace string, values map[string]any) ([]*unstructured.Unstructured, error) {
	c, err := helm.Load(r.files, chart)
	if err != nil {
		return nil, err
	}
	text, err := c.Render(release, namespace, values)
	if err != nil {
		return nil, err
	}
	var out []*unstructured.Unstructured
	for doc := range documents(text) {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(doc), &u.Object); err != nil {
			return nil, fault.New(fault.Internal, "chart %s renders no YAML", chart).Because(err)
		}
		if len(u.Object) == 0 {
			continue
		}
		u.SetNamespace(namespace)
		hide(u)
		out = append(out, u)
	}
	return out, nil
}

// hide takes generated values out of a Secret: those of a rendering are never
// used, and would only look as if they were.
func hide(u *unstructured.Unstructured) {
	if data, ok := u.Object["data"].(map[string]any); ok && u.GetKind() == "Secret" {
		for key := range data {
			data[key] = "" // generated in the cluster
		}
	}
}

// Install implements Releases.
func (r charts) Install(ctx context.Context, chart, release, namespace string, values map[string]any) error {
	c, err := helm.Load(r.files, chart)
	if err != nil {
		return err
	}
	labels := map[string]string{"app.kubernetes.io/instance": release, "osmoslice.dev/release": release}
	if _, err := helm.New(r.cluster.Cluster).Converge(ctx, helm.Wish{Name: release, Namespace: namespace, Chart: c, Values: values, Labels: labels}); err != nil {
		return err
	}
	return r.ready(ctx, release, namespace)
}

// Uninstall implements Releases.
func (r charts) Uninstall(ctx context.Context, release, namespace string) (bool, error) {
	client := helm.New(r.cluster.Cluster)
	state, err := client.State(ctx, namespace, release)
	if err != nil || len(state) == 0 {
		return false, err
	}
	return true, client.Remove(ctx, namespace, release)
}

const readyWait = 5 * time.Minute

// ready waits until every Deployment of a release is available.
func (r charts) ready(ctx context.Context, release, namespace string) error {
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		list, err := r.cluster.Core.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/instance=" + release})
		if err != nil {
			return kube.Fault(err, "the deployments of release %s cannot be listed", release)
		}
		waiting := notAvailable(list.Items)
		if waiting == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fault.New(fault.Timeout, "release %s is not ready: %s", release, waiting)
		case <-tick.C:
		}
	}
}

// notAvailable says what the first deployment waits for; empty: for nothing.
func notAvailable(list []appsv1.Deployment) string {
	for _, d := range list {
		why := "no pod yet"
		done := d.Status.ObservedGeneration >= d.Generation
		for _, c := range d.Status.Conditions {
			if c.Type == appsv1.DeploymentAvailable {
				done, why = done && c.Status == corev1.ConditionTrue, c.Message
			}
		}
		if !done || d.Status.UpdatedReplicas < 1 || d.Status.AvailableReplicas < 1 {
			return d.Name + ": " + why
		}
	}
	return ""
}
