package charts

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"
)

// Names fit, are unique, and say whose an object is.
func TestNamesAndLabels(t *testing.T) {
	each(t, func(t *testing.T, _ string, objects []*unstructured.Unstructured) {
		seen := map[string]bool{}
		for _, o := range objects {
			id := o.GetKind() + " " + o.GetName()
			if seen[id] {
				t.Errorf("%s: twice", id)
			}
			seen[id] = true
			valid := validation.IsDNS1123Subdomain // 253 characters
			if o.GetKind() == "Service" {
				valid = validation.IsDNS1035Label
			}
			if errs := valid(o.GetName()); len(errs) > 0 {
				t.Errorf("%s: %v", id, errs)
			}
			for key, want := range map[string]string{"app.kubernetes.io/instance": release, "osmoslice.dev/release": release, "app.kubernetes.io/managed-by": "Helm"} {
				if got := o.GetLabels()[key]; got != want {
					t.Errorf("%s: label %s is %q, want %q", id, key, got, want)
				}
			}
			for key, v := range o.GetLabels() {
				if errs := validation.IsValidLabelValue(v); len(errs) > 0 {
					t.Errorf("%s: label %s: %v", id, key, errs)
				}
			}
		}
	})
}

// A Deployment that does not select its own pods is refused by Kubernetes; a
// Service that selects none is a dead end.
func TestSelectorsMeetPods(t *testing.T) {
	each(t, func(t *testing.T, _ string, objects []*unstructured.Unstructured) {
		var labels []map[string]string
		for _, o := range objects {
			for _, p := range pods(t, o) {
				want, _, _ := unstructured.NestedStringMap(o.Object, "spec", "selector", "matchLabels")
				if len(want) == 0 || !within(want, p.Labels) {
					t.Errorf("%s: selector %v, pods %v", o.GetName(), want, p.Labels)
				}
				labels = append(labels, p.Labels)
			}
		}
		for _, o := range objects {
			if o.GetKind() != "Service" {
				continue
			}
			want, _, _ := unstructured.NestedStringMap(o.Object, "spec", "selector")
			met := false
			for _, l := range labels {
				met = met || within(want, l)
			}
			if len(want) == 0 || !met {
				t.Errorf("Service %s selects %v: no pod has that", o.GetName(), want)
			}
		}
	})
}

func within(small, large map[string]string) bool {
	for k, v := range small {
		if large[k] != v {
			return false
		}
	}
	return true
}

// The ports that others reach are the endpoints of the product, unique in a
// release, with the scheme of their URL.
func TestExposedPorts(t *testing.T) {
	want := map[string]string{
		"edgex":    "app:http command:http data:http keeper:http metadata:http mqtt:tcp rest:http",
		"mainflux": "auth:http coap:coap http:http mqtt:tcp reader:http things:http users:http",
		"influxdb": "influxdb:http", "grafana": "grafana:http",
	}
	for name, ports := range want {
		objects, _, err := render(load(t, chartDir(name)), newCluster(), map[string]any{"expose": map[string]any{"type": "NodePort"}})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for _, o := range objects {
			if o.GetKind() != "Service" {
				continue
			}
			var s corev1.Service
			decode(t, o, &s)
			if exposed := o.GetLabels()["osmoslice.dev/expose"] == "true"; !exposed {
				if s.Spec.Type != corev1.ServiceTypeClusterIP {
					t.Errorf("%s: Service %s is not marked but of type %s", name, o.GetName(), s.Spec.Type)
				}
				continue
			}
			if s.Spec.Type != corev1.ServiceTypeNodePort {
				t.Errorf("%s: Service %s is of type %s, NodePort wanted", name, o.GetName(), s.Spec.Type)
			}
			for _, p := range s.Spec.Ports {
				id := p.Name + ":" + *p.AppProtocol
				if got[id] {
					t.Errorf("%s: port %s twice", name, id)
				}
				got[id] = true
			}
		}
		if g := strings.Join(sorted(got), " "); g != ports {
			t.Errorf("%s: ports %s, want %s", name, g, ports)
		}
	}
}

// References to Secrets, ConfigMaps and claims lead somewhere.
func TestReferencesAreMet(t *testing.T) {
	each(t, func(t *testing.T, chartName string, objects []*unstructured.Unstructured) {
		have := map[string]map[string]bool{}
		for _, o := range objects {
			keys := map[string]bool{}
			for _, field := range []string{"data", "stringData"} {
				data, _, _ := unstructured.NestedMap(o.Object, field)
				for k := range data {
					keys[k] = true
				}
			}
			have[o.GetKind()+" "+o.GetName()] = keys
		}
		met := func(kind, name, key string) {
			t.Helper()
			keys, ok := have[kind+" "+name]
			if !ok && !foreign(chartName, name) {
				t.Errorf("%s %s is not part of the release", kind, name)
			} else if ok && key != "" && !keys[key] {
				t.Errorf("%s %s has no entry %s", kind, name, key)
			}
		}
		for _, o := range objects {
			for _, p := range pods(t, o) {
				for _, c := range append(p.Spec.InitContainers, p.Spec.Containers...) {
					for _, e := range c.Env {
						if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
							met("Secret", e.ValueFrom.SecretKeyRef.Name, e.ValueFrom.SecretKeyRef.Key)
						}
					}
				}
				for _, v := range p.Spec.Volumes {
					switch {
					case v.ConfigMap != nil:
						met("ConfigMap", v.ConfigMap.Name, "")
						for _, i := range v.ConfigMap.Items {
							met("ConfigMap", v.ConfigMap.Name, i.Key)
						}
					case v.Secret != nil:
						met("Secret", v.Secret.SecretName, "")
					case v.PersistentVolumeClaim != nil:
						met("PersistentVolumeClaim", v.PersistentVolumeClaim.ClaimName, "")
					}
				}
			}
		}
	})
}

// foreign are what other releases or the operator bring.
func foreign(chartName, name string) bool {
	switch chartName {
	case "grafana":
		return strings.HasPrefix(name, "other-")
	case "osmoslice":
		return strings.HasPrefix(name, "my-")
	}
	return false
}

// No password is written down: generated ones differ from render to render.
func TestPasswordsAreGenerated(t *testing.T) {
	each(t, func(t *testing.T, chartName string, first []*unstructured.Unstructured) {
		again, _, err := render(load(t, chartDir(chartName)), newCluster(), settings(t, chartName)[filepath.Base(t.Name())])
		if err != nil {
			t.Fatal(err)
		}
		for i, o := range first {
			if o.GetKind() != "Secret" {
				continue
			}
			data, _, _ := unstructured.NestedStringMap(o.Object, "data")
			other, _, _ := unstructured.NestedStringMap(again[i].Object, "data")
			for key, v := range data {
				raw, err := base64.StdEncoding.DecodeString(v)
				if err != nil {
					t.Errorf("%s/%s: %v", o.GetName(), key, err)
				}
				if key != "admin-email" && (len(raw) < 32 || v == other[key]) {
					t.Errorf("%s/%s: %d characters, the same each time: %v", o.GetName(), key, len(raw), v == other[key])
				}
			}
		}
	})
}

// What all product charts share is one text.
func TestSharedPartsAreEqual(t *testing.T) {
	for file, charts := range map[string][]string{
		"templates/_osmoslice.tpl":  {"edgex", "mainflux", "influxdb", "grafana", "osmoslice"},
		"templates/_postgresql.tpl": {"edgex", "mainflux", "osmoslice"},
	} {
		var first []byte
		for _, c := range charts {
			raw, err := os.ReadFile(filepath.Join(chartDir(c), file))
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = raw
			} else if string(raw) != string(first) {
				t.Errorf("charts/%s/%s differs from that of charts/%s", c, file, charts[0])
			}
		}
	}
}

// Dashboards and data sources are what Grafana reads.
func TestProvisioning(t *testing.T) {
	objects, _, err := render(load(t, chartDir("grafana")), newCluster(), map[string]any{
		"influxdb": map[string]any{"release": "other-influx"}, "mainflux": map[string]any{"release": "other-mf"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if o.GetKind() != "ConfigMap" {
			continue
		}
		data, _, _ := unstructured.NestedStringMap(o.Object, "data")
		var sources struct {
			Datasources []struct{ UID, URL, Type string } `json:"datasources"`
		}
		if err := yaml.Unmarshal([]byte(data["datasources.yaml"]), &sources); err != nil || len(sources.Datasources) != 2 {
			t.Fatalf("data sources %+v, %v", sources, err)
		}
		known := map[string]string{}
		for _, s := range sources.Datasources {
			known[s.UID] = s.Type
		}
		for _, file := range []string{"readings-influxdb.json", "readings-mainflux.json"} {
			var d struct {
				Panels []struct {
					Title      string                     `json:"title"`
					Datasource struct{ UID, Type string } `json:"datasource"`
				} `json:"panels"`
			}
			if err := yaml.Unmarshal([]byte(data[file]), &d); err != nil || len(d.Panels) < 3 {
				t.Fatalf("%s: %d panels, %v", file, len(d.Panels), err)
			}
			for _, p := range d.Panels {
				if known[p.Datasource.UID] != p.Datasource.Type {
					t.Errorf("%s: panel %q reads data source %+v, which is not provisioned", file, p.Title, p.Datasource)
				}
			}
		}
		return
	}
	t.Error("no ConfigMap")
}
