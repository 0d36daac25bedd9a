package kubernetes

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/osmoslice/osmoslice/charts"
	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/slice"
)

const someKubeconfig = `apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]
users: [{name: u, user: {token: hush}}]
`

func someSite(connection string) domain.Site {
	return domain.Site{ID: "site-1", Connection: json.RawMessage(connection), Secrets: map[string][]byte{
		"kubeconfig": []byte(someKubeconfig), "registry": []byte(`{"auths":{"registry.example":{"auth":"x"}}}`)}}
}

func someMember(t *testing.T, connection string) *member {
	t.Helper()
	m, err := New(Options{Charts: []fs.FS{charts.Files()}}).member(someSite(connection))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func someDeployment() domain.Deployment {
	return domain.Deployment{
		Ref:    domain.Ref{Slice: "01890000-0000-7000-8000-000000000001", Element: "e1", Release: "g01890000-e1", Generation: 7},
		Tenant: "acme", NodeName: "n1", Product: "lite-gateway", Version: "0.1.0",
		Packaging: slice.Packaging{Chart: &slice.Chart{Name: "lite-gateway", Version: "0.1.0", Values: json.RawMessage(`{"storage":{"persistent":false,"size":"1Gi"},"replicas":9}`)}},
		Args:      []string{"-listen=${listen:api}", "-keep=${OTHER}"},
		Env:       map[string]string{"TOKEN_FILE": "${file:admin.token}", "DATA": "${dir}/data", "PORT": "${port:mqtt}"},
		Files:     map[string][]byte{"admin.token": []byte("very-secret"), "a/b.txt": []byte("${port:api}"), "a_b.txt": nil},
		Ports:     []slice.Port{{Name: "api", Protocol: "tcp", Scheme: "http"}, {Name: "mqtt", Protocol: "tcp", Fixed: 1883}},
		Probe:     domain.Probe{Port: "api", Path: "/healthz"},
		Resources: domain.Resources{CPU: 250, Memory: 64, Storage: 512}, Hash: strings.Repeat("ab", 32),
		Labels: map[string]string{"osmoslice/name": "gate"},
	}
}

func TestPlan(t *testing.T) {
	m := someMember(t, `{"exposure":"ClusterIP","imageRegistry":"mirror.example:5000","pullSecret":"registry","nodeSelector":{"zone":"a"},"storageClass":"fast"}`)
	w, err := m.plan(someDeployment())
	if err != nil {
		t.Fatal(err)
	}
	if w.namespace != "slice-01890000000070008000000000000001" {
		t.Errorf("namespace %q", w.namespace)
	}
	for k, want := range map[string]string{"TOKEN_FILE": "/etc/osmoslice/admin.token", "DATA": "/data/data", "PORT": "1883",
		"file.admin.token": "very-secret", "file.a_b.txt": "20000", "file.a_b.txt.1": ""} {
		if got, ok := w.secret[k]; !ok || string(got) != want {
			t.Errorf("secret %s: %q, want %q", k, got, want)
		}
	}
	b, err := json.Marshal(w.values)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	if strings.Contains(text, "very-secret") {
		t.Errorf("a secret in the values: %s", text)
	}
	for _, want := range []string{`"persistent":false`, `"size":"512Mi"`, `"replicas":1`, `"-listen=0.0.0.0:20000","-keep=${OTHER}"`,
		`"registry":"mirror.example:5000"`, `"pullSecrets":["osmoslice-pull"]`, `"type":"ClusterIP"`, `"zone":"a"`, `"storageClass":"fast"`,
		`"nodeName":"n1"`, `"cpu":"250m"`, `"elementName":"gate"`, `"generation":7`, `{"key":"file.admin.token","path":"admin.token"}`,
		`{"name":"mqtt","port":1883,"protocol":"TCP","scheme":""}`, `"probe":{"path":"/healthz","port":"api"}`} {
		if !strings.Contains(text, want) {
			t.Errorf("the values lack %s:\n%s", want, text)
		}
	}
	d := someDeployment()
	d.Files["admin.token"] = []byte("another")
	other, err := m.plan(d)
	if err != nil || other.secretHash() == w.secretHash() {
		t.Errorf("another secret has the same hash; %v", err)
	}
}

func TestRefusedWishes(t *testing.T) {
	m := someMember(t, `{}`)
	for field, change := range map[string]func(d *domain.Deployment){
		"hash":                    func(d *domain.Deployment) { d.Hash = "" },
		"packaging/chart":         func(d *domain.Deployment) { d.Packaging.Chart = nil },
		"packaging/chart/name":    func(d *domain.Deployment) { d.Packaging.Chart = &slice.Chart{Name: "../etc", Version: "1"} },
		"packaging/chart/version": func(d *domain.Deployment) { d.Packaging.Chart = &slice.Chart{Name: "lite-gateway", Version: "9"} },
		"packaging/chart/values": func(d *domain.Deployment) {
			d.Packaging.Chart = &slice.Chart{Name: "lite-gateway", Version: "0.1.0", Values: json.RawMessage(`[]`)}
		},
		"replicas":         func(d *domain.Deployment) { d.Replicas = -1 },
		"resources":        func(d *domain.Deployment) { d.Resources.CPU = -1 },
		"ports/1/name":     func(d *domain.Deployment) { d.Ports[1].Name = "api" },
		"ports/0/name":     func(d *domain.Deployment) { d.Ports[0].Name = "Api" },
		"ports/0/protocol": func(d *domain.Deployment) { d.Ports[0].Protocol = "sctp" },
		"ports/1/fixed":    func(d *domain.Deployment) { d.Ports[0].Fixed, d.Ports[1].Fixed = 80, 80 },
		"probe/port":       func(d *domain.Deployment) { d.Probe.Port = "other" },
		"probe/path":       func(d *domain.Deployment) { d.Probe.Path = "healthz" },
		"files":            func(d *domain.Deployment) { d.Files = map[string][]byte{"../escape": nil} },
		"args":             func(d *domain.Deployment) { d.Args = []string{"${port:none}"} },
		"env/X":            func(d *domain.Deployment) { d.Env = map[string]string{"X": "${file:none}"} },
		"env":              func(d *domain.Deployment) { d.Env = map[string]string{"A=B": "c"} },
	} {
		d := someDeployment()
		change(&d)
		_, err := m.plan(d)
		f := fault.Of(err)
		if f == nil || f.Retry != fault.Never || len(f.Params) != 1 || f.Params[0].Field != field || f.Params[0].Allowed == "" {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestConnections(t *testing.T) {
	for field, doc := range map[string]string{
		"connection/exposure":           `{"exposure":"Ingress"}`,
		"connection/namespacePrefix":    `{"namespacePrefix":"Slice_"}`,
		"connection/kind":               `{"kind":"MOON"}`,
		"connection/podCIDR/0":          `{"podCIDR":["10.1.0.0"]}`,
		"connection/driftPolicy":        `{"driftPolicy":"ignore"}`,
		"connection/driftIgnore/0":      `{"driftIgnore":["replicas"]}`,
		"connection/pullSecret":         `{"pullSecret":"kubeconfig"}`,
		"connection/qps":                `{"qps":0}`,
		"connection/helmTimeoutSeconds": `{"helmTimeoutSeconds":1}`,
		"connection/nonsense":           `{"nonsense":1}`,
		"connection/inCluster":          `{"inCluster":true}`,
		"connection/context":            `{"context":"there"}`,
	} {
		_, err := New(Options{}).member(someSite(doc))
		f := fault.Of(err)
		if f == nil || f.Kind != fault.Invalid || len(f.Params) != 1 || f.Params[0].Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	s := someSite(`{}`)
	s.Secrets = nil
	if _, err := New(Options{}).member(s); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "secretRefs/kubeconfig") {
		t.Errorf("no kubeconfig: %v", err)
	}
}

// TestOneClientPerCluster: the same connection is the same client, a changed
// one another.
func TestOneClientPerCluster(t *testing.T) {
	d := New(Options{})
	a, err := d.member(someSite(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := d.member(someSite(`{}`)); a != b {
		t.Error("two clients of one cluster")
	}
	if b, _ := d.member(someSite(`{"qps":5}`)); a == b || d.current(a) {
		t.Error("a changed connection keeps the old client")
	}
}

func TestNamespaceNames(t *testing.T) {
	m := someMember(t, `{"namespacePrefix":"osmo-"}`)
	seen := map[string]string{}
	for _, id := range []string{"01890000-0000-7000-8000-000000000001", "Slice One", "records", strings.Repeat("x", 80), "", "a_b", "a.b"} {
		ns := m.namespace(id)
		if other, twice := seen[ns]; twice || len(ns) > 63 || !strings.HasPrefix(ns, "osmo-") || ns == m.records() {
			t.Errorf("%q: %q (also of %q)", id, ns, other)
		}
		seen[ns] = fmt.Sprintf("%q", id)
	}
}
