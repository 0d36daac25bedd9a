package charts

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/osmoslice/osmoslice/internal/bootstrap"
	"github.com/osmoslice/osmoslice/internal/config"
	"github.com/osmoslice/osmoslice/internal/secret"
)

func trial() map[string]any {
	return map[string]any{"postgresql": map[string]any{"enabled": true}}
}

func find(t *testing.T, objects []*unstructured.Unstructured, kind string) *unstructured.Unstructured {
	t.Helper()
	for _, o := range objects {
		if o.GetKind() == kind {
			return o
		}
	}
	t.Fatalf("no %s", kind)
	return nil
}

// The secrets that the chart makes are what osmosliced takes, and an upgrade
// keeps them.
func TestServiceSecrets(t *testing.T) {
	c := load(t, chartDir("osmoslice"))
	objects, _, err := render(c, newCluster(), trial())
	if err != nil {
		t.Fatal(err)
	}
	made := find(t, objects, "Secret")
	data, _, _ := unstructured.NestedStringMap(made.Object, "data")
	keyFile, err := base64.StdEncoding.DecodeString(data["secret.key"])
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "secret.key")
	if err := os.WriteFile(path, keyFile, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := secret.LoadKeys(path); err != nil {
		t.Errorf("osmosliced refuses the key file: %v", err)
	}
	admin, _ := base64.StdEncoding.DecodeString(data["admin.key"])
	if !strings.HasPrefix(string(admin), "osm_") || len(admin) != 47 {
		t.Errorf("admin key of %d characters", len(admin))
	}
	again, _, err := render(c, newCluster(made), trial())
	if err != nil {
		t.Fatal(err)
	}
	kept, _, _ := unstructured.NestedStringMap(find(t, again, "Secret").Object, "data")
	if !reflect.DeepEqual(data, kept) {
		t.Error("an upgrade changes the secrets")
	}
}

// The configuration that the chart writes is one that osmosliced takes.
func TestServiceConfiguration(t *testing.T) {
	for setting, values := range settings(t, "osmoslice") {
		objects, _, err := render(load(t, chartDir("osmoslice")), newCluster(), values)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			text, ok, _ := unstructured.NestedString(o.Object, "data", "config.yaml")
			if !ok {
				continue
			}
			path := filepath.Join(t.TempDir(), "config.yaml")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			c, err := config.Load(path, nil, nil)
			if err != nil {
				t.Fatalf("%s: %v", setting, err)
			}
			if c.Data.DSN == "" || c.Data.KeyFile != "/secrets/secret.key" || c.Host.Enabled || setting == "production" && (c.Log.Level != "debug" || c.TLS.CertFile == "") {
				t.Errorf("%s: %+v", setting, c)
			}
			if strings.Contains(text, "password:") {
				t.Errorf("%s: a password in the configuration", setting)
			}
		}
	}
}

func TestServiceRefusals(t *testing.T) {
	c := load(t, chartDir("osmoslice"))
	for what, values := range map[string]map[string]any{
		"database.dsn": {},
		"dsn":          {"database": map[string]any{"dsn": "postgres://u:secret@h/d"}},
		"replicas":     {"replicas": 0, "postgresql": map[string]any{"enabled": true}},
		"ingress.host": {"ingress": map[string]any{"enabled": true}, "postgresql": map[string]any{"enabled": true}},
		"settings":     {"settings": map[string]any{"log": "debug"}, "postgresql": map[string]any{"enabled": true}},
	} {
		if _, _, err := render(c, newCluster(), values); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// In its own cluster the service has the rights of a bootstrapped one, and the
// same policy holds it.
func TestInClusterRightsAreThoseOfBootstrap(t *testing.T) {
	values := trial()
	values["inCluster"] = map[string]any{"enabled": true, "prefix": "site-"}
	objects, _, err := render(load(t, chartDir("osmoslice")), newCluster(), values)
	if err != nil {
		t.Fatal(err)
	}
	o, err := bootstrap.Options{Name: "own", Prefix: "site-"}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range bootstrap.Objects(o) {
		switch want.GetKind() {
		case "ClusterRole":
			if got := find(t, objects, "ClusterRole"); !reflect.DeepEqual(got.Object["rules"], want.Object["rules"]) {
				t.Errorf("rules\n%swant\n%s", text(t, got.Object["rules"]), text(t, want.Object["rules"]))
			}
		case "ValidatingAdmissionPolicy":
			got, mine := text(t, find(t, objects, "ValidatingAdmissionPolicy").Object["spec"]), text(t, want.Object["spec"])
			got = strings.ReplaceAll(got, namespace+":"+release+"-service", o.Namespace+":osmosliced-site")
			if got != mine {
				t.Errorf("policy\n%swant\n%s", got, mine)
			}
		}
	}
}
