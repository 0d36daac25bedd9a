package bootstrap

import (
	"context"
	_ "embed"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// AddonNamespace is where add-ons that are charts are installed.
const AddonNamespace = "osmoslice-addons"

// Releases installs charts that come with slicectl.
type Releases interface {
	// Render is what Install would apply, without asking the cluster.
	Render(chart, release, namespace string, values map[string]any) ([]*unstructured.Unstructured, error)
	// Install installs or upgrades and waits until all is ready.
	Install(ctx context.Context, chart, release, namespace string, values map[string]any) error
	// Uninstall removes a release; absent is no error.
	Uninstall(ctx context.Context, release, namespace string) (removed bool, err error)
}

// charted are the add-ons that are charts, with their values.
func charted() map[string]map[string]any {
	return map[string]map[string]any{
		"influxdb": {},
		"grafana":  {"influxdb": map[string]any{"release": "influxdb"}},
	}
}

// plain is the add-on made of objects of the whole cluster.
const plain = "local-path"

//go:embed localpath.yaml
var localPath string

// Addons are the names of all add-ons.
func Addons() []string { return append([]string{plain}, slices.Sorted(maps.Keys(charted()))...) }

// localPathObjects read the manifest of the local-path provisioner.
func localPathObjects() ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	for doc := range documents(localPath) {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(doc), &u.Object); err != nil {
			return nil, fault.New(fault.Internal, "the manifest of add-on %s is wrong", plain).Because(err)
		}
		labels := u.GetLabels()
		if labels == nil {
			labels = map[string]string{}
		}
		labels["app.kubernetes.io/managed-by"], labels["app.kubernetes.io/part-of"] = marker, owner
		u.SetLabels(labels)
		out = append(out, u)
	}
	return out, nil
}

func addonSpace() *unstructured.Unstructured {
	return object("v1", "Namespace", "", AddonNamespace, map[string]any{})
}

func preview(name string, r Releases) ([]*unstructured.Unstructured, error) {
	if name == plain {
		return localPathObjects()
	}
	if r == nil {
		return nil, fault.New(fault.Internal, "add-on %s needs Helm", name)
	}
	objects, err := r.Render(name, name, AddonNamespace, charted()[name])
	return append([]*unstructured.Unstructured{addonSpace()}, objects...), err
}

func (w Work) install(ctx context.Context, name string) error {
	if name == plain {
		objects, err := localPathObjects()
		if err != nil {
			return err
		}
		return w.applyAll(ctx, objects)
	}
	if w.Releases == nil {
		return fault.New(fault.Internal, "add-on %s needs Helm", name)
	}
	if err := w.applyAll(ctx, []*unstructured.Unstructured{addonSpace()}); err != nil {
		return err
	}
	if err := w.Releases.Install(ctx, name, name, AddonNamespace, charted()[name]); err != nil {
		return err
	}
	w.say("add-on %s runs in namespace %s", name, AddonNamespace)
	return nil
}

func (w Work) uninstall(ctx context.Context, name string) error {
	if name == plain {
		objects, err := localPathObjects()
		if err != nil {
			return err
		}
		slices.Reverse(objects)
		for _, u := range objects {
			removed, err := w.Cluster.remove(ctx, u)
			if err != nil {
				return err
			}
			w.tell(removed, u.GetKind(), u.GetName())
		}
		return nil
	}
	if w.Releases != nil {
		removed, err := w.Releases.Uninstall(ctx, name, AddonNamespace)
		if err != nil {
			return err
		}
		w.tell(removed, "add-on", name)
	}
	if last := slices.Max(slices.Collect(maps.Keys(charted()))); name != last {
		return nil
	}
	removed, err := w.Cluster.remove(ctx, addonSpace())
	w.tell(removed, "Namespace", AddonNamespace)
	return err
}
