package bootstrap

import (
	"context"
	"io/fs"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/osmoslice/osmoslice/internal/fault"
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
	text, err := helm.Render(r.files, chart, release, namespace, values)
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
	return helm.Installer{Config: r.cluster.config, Charts: r.files}.Install(ctx, chart, release, namespace, values)
}

// Uninstall implements Releases.
func (r charts) Uninstall(_ context.Context, release, namespace string) (bool, error) {
	return helm.Installer{Config: r.cluster.config, Charts: r.files}.Uninstall(release, namespace)
}
