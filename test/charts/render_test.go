package charts

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"sigs.k8s.io/yaml"
)

const (
	release   = "rel-0000000000000000000000000000000000000000-abcdef01" // as long as a release's name may be
	namespace = "slice-a"
)

// cluster answers lookups of templates: objects that an earlier release left.
type cluster struct{ client dynamic.Interface }

func newCluster(objects ...*unstructured.Unstructured) *cluster {
	var kept []runtime.Object
	for _, o := range objects {
		kept = append(kept, o)
	}
	secrets := map[schema.GroupVersionResource]string{{Version: "v1", Resource: "secrets"}: "SecretList"}
	return &cluster{dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), secrets, kept...)}
}

// GetClientFor is Helm's way to a resource.
func (c *cluster) GetClientFor(_, kind string) (dynamic.NamespaceableResourceInterface, bool, error) {
	if kind != "Secret" {
		return nil, false, fmt.Errorf("templates look up %s: only Secrets are kept", kind)
	}
	return c.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "secrets"}), true, nil
}

func load(t *testing.T, dir string) *chart.Chart {
	t.Helper()
	c, err := loader.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// render makes what an installation of the chart would apply, checked against
// its schema, and the notes.
func render(c *chart.Chart, on *cluster, values map[string]any) ([]*unstructured.Unstructured, string, error) {
	caps := chartutil.DefaultCapabilities.Copy()
	caps.KubeVersion = chartutil.KubeVersion{Version: "v1.36.3", Major: "1", Minor: "36"}
	full, err := chartutil.ToRenderValues(c, values, chartutil.ReleaseOptions{Name: release, Namespace: namespace, IsInstall: true, Revision: 1}, caps)
	if err != nil {
		return nil, "", err
	}
	files, err := engine.RenderWithClientProvider(c, full, on)
	if err != nil {
		return nil, "", err
	}
	var objects []*unstructured.Unstructured
	notes := ""
	for _, name := range sorted(files) {
		if strings.HasSuffix(name, "NOTES.txt") {
			notes = files[name]
			continue
		}
		for _, doc := range regexp.MustCompile(`(?m)^---$`).Split(files[name], -1) {
			o := &unstructured.Unstructured{}
			if err := yaml.UnmarshalStrict([]byte(doc), &o.Object); err != nil {
				return nil, "", fmt.Errorf("%s: %w\n%s", name, err, doc)
			}
			if len(o.Object) > 0 {
				if !strings.HasPrefix(o.GetKind(), "Cluster") && !strings.HasPrefix(o.GetKind(), "ValidatingAdmission") {
					o.SetNamespace(namespace)
				}
				objects = append(objects, o)
			}
		}
	}
	return objects, notes, nil
}

func sorted[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// settings are the ways a chart is installed that the tests look at.
func settings(t *testing.T, chartName string) map[string]map[string]any {
	t.Helper()
	out := map[string]map[string]any{"default": {}}
	if chartName == "osmoslice" { // it must be told where its database is
		out["default"]["postgresql"] = map[string]any{"enabled": true}
	}
	files, err := filepath.Glob(filepath.Join("testdata", "values", chartName, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no settings for chart %s (%v)", chartName, err)
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		values := map[string]any{}
		if err := yaml.UnmarshalStrict(raw, &values); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		out[strings.TrimSuffix(filepath.Base(f), ".yaml")] = values
	}
	return out
}

// products are the charts that this package answers for.
func products() []string { return []string{"edgex", "mainflux", "influxdb", "grafana", "osmoslice"} }

func chartDir(name string) string { return filepath.Join("..", "..", "charts", name) }

// each runs a check on every chart in every setting.
func each(t *testing.T, check func(t *testing.T, chartName string, objects []*unstructured.Unstructured)) {
	t.Helper()
	for _, name := range products() {
		c := load(t, chartDir(name))
		for setting, values := range settings(t, name) {
			t.Run(name+"/"+setting, func(t *testing.T) {
				objects, _, err := render(c, newCluster(), values)
				if err != nil {
					t.Fatal(err)
				}
				check(t, name, objects)
			})
		}
	}
}
