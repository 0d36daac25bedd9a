package charts

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	"sigs.k8s.io/yaml"
)

// "helm lint", without a complaint above information.
func TestLint(t *testing.T) {
	for _, name := range products() {
		for setting, values := range settings(t, name) {
			l := lint.AllWithKubeVersion(chartDir(name), values, namespace, &chartutil.KubeVersion{Version: "v1.36.3", Major: "1", Minor: "36"})
			for _, m := range l.Messages {
				if m.Severity > support.InfoSev {
					t.Errorf("%s/%s: %s", name, setting, m)
				}
			}
		}
	}
}

// A wrong value is refused, and the refusal names its field.
func TestWrongValuesAreRefused(t *testing.T) {
	common := map[string]string{
		"surprise: 1":                                    "surprise",
		"osmoslice: {owner: me}":                         "owner",
		"config: {env: perhaps}":                         "env",
		"config: {files: [{key: a}]}":                    "path",
		"replicas: -1":                                   "replicas",
		"replicas: two":                                  "replicas",
		"expose: {type: HostPort}":                       "type",
		"image: {pullPolicy: Sometimes}":                 "pullPolicy",
		"image: {registry: 'https://x/y'}":               "registry",
		"image: {pullSecrets: [{name: a}]}":              "pullSecrets",
		"storage: {size: many}":                          "size",
		"nodeSelector: {a: 1}":                           "nodeSelector",
		"architecture: vax":                              "architecture",
		"ports: [{name: a, port: 70000}]":                "port",
		"args: [1]":                                      "args",
		"size: huge":                                     "size",
		"sizes: {edge: {service: {requests: {cpu: x}}}}": "cpu",
	}
	own := map[string]map[string]string{
		"edgex":    {"logLevel: loud": "logLevel", "images: {keeper: {repository: a/b, tag: latest}}": "tag", "senml: {enabled: 1}": "enabled"},
		"mainflux": {"admin: {email: nobody}": "email", "images: {auth: {repository: a/b, tag: '1', digest: 'sha256:1'}}": "digest", "admin: {password: p}": "password"},
		"influxdb": {"retention: long": "retention", "database: '1; DROP'": "database", "mainflux: {release: A_B}": "release"},
		"grafana":  {"influxdb: {release: 'a b'}": "release", "images: {grafana: {tag: 'a b'}}": "tag"},
	}
	for name, wrong := range own {
		c := load(t, chartDir(name))
		for _, set := range []map[string]string{common, wrong} {
			for text, field := range set {
				values := map[string]any{}
				if err := yaml.Unmarshal([]byte(text), &values); err != nil {
					t.Fatal(err)
				}
				_, _, err := render(c, newCluster(), values)
				if err == nil || !strings.Contains(err.Error(), field) {
					t.Errorf("%s with %s: %v; a refusal that names %s is wanted", name, text, err, field)
				}
			}
		}
	}
}

// What the driver writes is taken by every chart alike: the schemas agree on it.
func TestDriverValuesAreTheSameEverywhere(t *testing.T) {
	shared := []string{"osmoslice", "config", "replicas", "resources", "ports", "probe", "args", "expose", "image",
		"storageClass", "storage", "nodeSelector", "nodeName", "architecture"}
	first := map[string]string{}
	for _, name := range []string{"edgex", "mainflux", "influxdb", "grafana"} {
		raw, err := os.ReadFile(filepath.Join(chartDir(name), "values.schema.json"))
		if err != nil {
			t.Fatal(err)
		}
		var s struct {
			Properties map[string]any `json:"properties"`
		}
		if err := yaml.Unmarshal(raw, &s); err != nil {
			t.Fatal(err)
		}
		for _, key := range shared {
			part, err := yaml.Marshal(s.Properties[key])
			if err != nil || s.Properties[key] == nil {
				t.Fatalf("%s: %s: %v", name, key, err)
			}
			if was, ok := first[key]; ok && was != string(part) {
				t.Errorf("%s: %s is described otherwise than in edgex", name, key)
			}
			first[key] = string(part)
		}
	}
}

// values.yaml documents every value: the schema knows no other.
func TestSchemasAndDefaultsMatch(t *testing.T) {
	for _, name := range products() {
		c := load(t, chartDir(name))
		var s struct {
			Properties map[string]any `json:"properties"`
		}
		if err := yaml.Unmarshal(c.Schema, &s); err != nil {
			t.Fatal(err)
		}
		known := slices.DeleteFunc(sorted(s.Properties), func(k string) bool { return k == "global" })
		if written := sorted(c.Values); !slices.Equal(known, written) {
			t.Errorf("%s: the schema knows %v, values.yaml has %v", name, known, written)
		}
	}
}
