package charts

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// previous are objects that an earlier version of a chart left in a cluster, in
// testdata/previous/CHART-VERSION.yaml: those whose content, or whose fields
// that cannot be changed, an upgrade meets.
func previous(t *testing.T, chartName string) []*unstructured.Unstructured {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "previous", chartName+"-*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("chart %s: no earlier version (%v)", chartName, err)
	}
	var all []*unstructured.Unstructured
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for doc := range strings.SplitSeq(string(raw), "---\n") {
			o := &unstructured.Unstructured{}
			if err := yaml.UnmarshalStrict([]byte(doc), &o.Object); err != nil {
				t.Fatalf("%s: %v", f, err)
			}
			if len(o.Object) > 0 {
				all = append(all, o)
			}
		}
	}
	return all
}

// An upgrade keeps every password and changes no field that Kubernetes refuses
// to change.
func TestUpgradeFromEarlierVersions(t *testing.T) {
	for _, name := range []string{"edgex", "mainflux", "influxdb", "grafana"} {
		t.Run(name, func(t *testing.T) {
			before := previous(t, name)
			after, _, err := render(load(t, chartDir(name)), newCluster(before...), nil)
			if err != nil {
				t.Fatal(err)
			}
			now := map[string]*unstructured.Unstructured{}
			for _, o := range after {
				now[o.GetKind()+" "+o.GetName()] = o
			}
			secrets := 0
			for _, old := range before {
				id := old.GetKind() + " " + old.GetName()
				o := now[id]
				if o == nil {
					if old.GetKind() == "PersistentVolumeClaim" || old.GetKind() == "Secret" {
						t.Errorf("%s is gone: what it holds would be deleted", id)
					}
					continue
				}
				for _, path := range immutable[old.GetKind()] {
					was, _, _ := unstructured.NestedFieldNoCopy(old.Object, path...)
					is, _, _ := unstructured.NestedFieldNoCopy(o.Object, path...)
					if w, i := text(t, was), text(t, is); w != i {
						t.Errorf("%s: %s was\n%sand is\n%s", id, strings.Join(path, "."), w, i)
					}
				}
				if old.GetKind() == "Secret" {
					secrets++
				}
			}
			if secrets == 0 {
				t.Error("the earlier version left no Secret: nothing was compared")
			}
		})
	}
}

// immutable are fields by kind that an update may not change, or that hold what
// must be kept.
var immutable = map[string][][]string{
	"Secret":                {{"data"}, {"type"}},
	"Deployment":            {{"spec", "selector"}},
	"PersistentVolumeClaim": {{"spec", "accessModes"}, {"spec", "storageClassName"}, {"spec", "resources"}},
	"Service":               {{"spec", "clusterIP"}},
}

func text(t *testing.T, v any) string {
	t.Helper()
	raw, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// The administrator of Mainflux comes from the installer's Secret, wherever the
// colon of a password stands, and a Secret without it is said.
func TestMainfluxAdministrator(t *testing.T) {
	c := load(t, chartDir("mainflux"))
	secret := func(data map[string]any) *cluster {
		o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Secret", "data": data}}
		o.SetName("rel-config")
		o.SetNamespace(namespace)
		return newCluster(o)
	}
	values := map[string]any{"config": map[string]any{"secretName": "rel-config", "hash": "1", "env": false,
		"files": []any{map[string]any{"key": "file.admin", "path": "admin"}}}}
	encode := base64.StdEncoding.EncodeToString
	objects, _, err := render(c, secret(map[string]any{"file.admin": encode([]byte("a@b.c:p:q r"))}), values)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, o := range objects {
		if o.GetKind() == "Secret" {
			data, _, _ := unstructured.NestedStringMap(o.Object, "data")
			for _, key := range []string{"admin-email", "admin-password"} {
				raw, _ := base64.StdEncoding.DecodeString(data[key])
				got += string(raw) + "|"
			}
		}
	}
	if got != "a@b.c|p:q r|" {
		t.Errorf("administrator %s", got)
	}
	for what, data := range map[string]map[string]any{
		"no such entry":          {"other": encode([]byte("x"))},
		"allowed: user:password": {"file.admin": encode([]byte("nocolon"))},
	} {
		if _, _, err := render(c, secret(data), values); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v: %v, wanted: %s", runtime.DeepCopyJSON(data), err, what)
		}
	}
}
