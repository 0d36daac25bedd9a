package bootstrap

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	shipped "github.com/osmoslice/osmoslice/charts"
	"github.com/osmoslice/osmoslice/internal/fault"
)

func TestWrongOptionsNameTheirField(t *testing.T) {
	for field, o := range map[string]Options{
		"name":      {},
		"kind":      {Name: "a", Tier: "EDGE"},
		"prefix":    {Name: "a", Prefix: "slices"},
		"namespace": {Name: "a", Namespace: "slice-system"},
		"tokenLife": {Name: "a", TokenLife: time.Minute},
		"server":    {Name: "a", Server: "10.0.0.1:6443"},
		"addon":     {Name: "a", Addons: []string{"mysql"}},
	} {
		_, err := o.Complete()
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// The policy is there before the rights, and taken away after them.
func TestPolicyBeforeRights(t *testing.T) {
	o, err := Options{Name: "edge"}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, u := range Objects(o) {
		kinds = append(kinds, u.GetKind())
		if u.GetLabels()["app.kubernetes.io/managed-by"] != marker {
			t.Errorf("%s %s does not say who made it", u.GetKind(), u.GetName())
		}
	}
	if at := slices.Index(kinds, "ValidatingAdmissionPolicyBinding"); at < 0 || at > slices.Index(kinds, "ClusterRoleBinding") {
		t.Errorf("order %v", kinds)
	}
}

// The rights hold no escalation: nothing that makes others act for it.
func TestRightsAreLeast(t *testing.T) {
	for _, r := range rules() {
		rule, _ := r.(map[string]any)
		groups, _ := rule["apiGroups"].([]any)
		resources, _ := rule["resources"].([]any)
		verbs, _ := rule["verbs"].([]any)
		for _, list := range [][]any{groups, resources, verbs} {
			if slices.Contains(list, any("*")) {
				t.Errorf("%v: everything", rule)
			}
		}
		for _, verb := range []any{"bind", "escalate", "impersonate"} {
			if slices.Contains(verbs, verb) {
				t.Errorf("%v: %s", rule, verb)
			}
		}
		if slices.Contains(groups, any("rbac.authorization.k8s.io")) || slices.Contains(groups, any("admissionregistration.k8s.io")) {
			t.Errorf("%v: grants rights", rule)
		}
		for _, res := range []any{"pods/exec", "pods/attach", "pods/portforward", "serviceaccounts/token", "nodes/proxy"} {
			if slices.Contains(resources, res) {
				t.Errorf("%v: %s", rule, res)
			}
		}
		if slices.Contains(resources, any("pods")) && slices.Contains(verbs, any("create")) {
			t.Errorf("%v: makes pods directly", rule)
		}
	}
}

// A kubeconfig that the service gets points to no file and runs no program.
func TestKubeconfigStandsAlone(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, []byte("-----BEGIN CERTIFICATE-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := Options{Name: "edge", Server: "https://edge.example:6443"}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := kubeconfig(&rest.Config{Host: "https://127.0.0.1:1", BearerToken: "admins", TLSClientConfig: rest.TLSClientConfig{CAFile: ca}}, o, "token-1")
	if err != nil {
		t.Fatal(err)
	}
	c, err := clientcmd.Load(raw)
	if err != nil {
		t.Fatal(err)
	}
	cluster, user := c.Clusters["edge"], c.AuthInfos[o.identity()]
	if cluster == nil || user == nil || cluster.Server != "https://edge.example:6443" || cluster.CertificateAuthority != "" ||
		string(cluster.CertificateAuthorityData) != "-----BEGIN CERTIFICATE-----\n" || user.Token != "token-1" || user.Exec != nil {
		t.Errorf("%s", raw)
	}
	if strings.Contains(string(raw), "admins") {
		t.Error("the operator's own token went along")
	}
}

// What is shown before is all there will be: every object, add-ons included,
// and no secret.
func TestPreviewShowsEverything(t *testing.T) {
	o := Options{Name: "edge", Addons: Addons()}
	text, err := Preview(o, Charts(shipped.Files(), nil))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for doc := range documents(text) {
		_, doc, _ = strings.Cut(doc, "\n")
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(doc), &u.Object); err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		seen[u.GetKind()]++
	}
	for kind, least := range map[string]int{"Namespace": 3, "ServiceAccount": 2, "ValidatingAdmissionPolicy": 1, "ClusterRoleBinding": 2,
		"Deployment": 3, "StorageClass": 1, "Secret": 2, "Service": 2, "PersistentVolumeClaim": 2} {
		if seen[kind] < least {
			t.Errorf("%d of kind %s, want at least %d", seen[kind], kind, least)
		}
	}
	if !strings.Contains(text, "plugin: kubernetes") || !strings.Contains(text, "kubeconfig: edge-kubeconfig") {
		t.Error("the registration is not shown")
	}
	again, err := Preview(o, Charts(shipped.Files(), nil))
	if err != nil || again != text {
		t.Errorf("it shows something else each time (%v): a generated secret?", err)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte("apiVersion: v1\nkind: Config\nusers: [{name: u, user: {token: s3cret}}]\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\ncontexts: [{name: a, context: {cluster: c, user: u}}]\ncurrent-context: a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file, "b"); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "context") {
		t.Errorf("an absent context: %v", err)
	}
	c, err := Open(file, "a")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.version(); !fault.Is(err, fault.Unavailable) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("nobody there: %v", err)
	}
	if err := os.WriteFile(file, []byte("users: [{name: u, user: {token: s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file, ""); !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("broken: %v", err)
	}
}
