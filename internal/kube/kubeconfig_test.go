package kube

import (
	"fmt"
	"strings"
	"testing"

	"github.com/osmoslice/osmoslice/internal/fault"
)

func kubeconfig(cluster, user string) []byte {
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: c, user: u}}, {name: torn, context: {cluster: none, user: u}}]
clusters: [{name: c, cluster: {%s}}]
users: [{name: u, user: {%s}}]
`, cluster, user)
}

func TestKubeconfig(t *testing.T) {
	const server, token = "server: 'https://10.0.0.1:6443'", "token: hush-hush"
	exec := "exec: {apiVersion: client.authentication.k8s.io/v1, command: gke-gcloud-auth-plugin, interactiveMode: Never%s}"
	allow := Rules{Exec: []string{"gke-gcloud-auth-plugin", "aws eks get-token"}}
	for _, c := range []struct {
		name, cluster, user, context string
		rules                        Rules
		field                        string // "" accepts
	}{
		{"token", server, token, "", Rules{}, ""},
		{"named context", server, token, "here", Rules{}, ""},
		{"no such context", server, token, "there", Rules{}, "connection/context"},
		{"torn context", server, token, "torn", Rules{}, "kubeconfig/contexts/torn/cluster"},
		{"no server", "", token, "", Rules{}, "kubeconfig/clusters/c/server"},
		{"plain http", "server: 'http://10.0.0.1'", token, "", Rules{}, "kubeconfig/clusters/c/server"},
		{"authority file", server + ", certificate-authority: /etc/passwd", token, "", Rules{}, "kubeconfig/clusters/c/certificate-authority"},
		{"skip tls", server + ", insecure-skip-tls-verify: true", token, "", Rules{}, "kubeconfig/clusters/c/insecure-skip-tls-verify"},
		{"skip tls allowed", server + ", insecure-skip-tls-verify: true", token, "", Rules{Insecure: true}, ""},
		{"proxy", server + ", proxy-url: 'http://10.0.0.2'", token, "", Rules{}, "kubeconfig/clusters/c/proxy-url"},
		{"token file", server, "tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token", "", Rules{}, "kubeconfig/users/u/tokenFile"},
		{"certificate file", server, "client-certificate: /etc/x.pem", "", Rules{}, "kubeconfig/users/u/client-certificate"},
		{"key file", server, "client-key: /etc/x.pem", "", Rules{}, "kubeconfig/users/u/client-key"},
		{"auth provider", server, "auth-provider: {name: gcp}", "", Rules{}, "kubeconfig/users/u/auth-provider"},
		{"exec", server, fmt.Sprintf(exec, ""), "", Rules{}, "kubeconfig/users/u/exec"},
		{"exec allowed", server, fmt.Sprintf(exec, ""), "", allow, ""},
		{"exec with other arguments", server, fmt.Sprintf(exec, ", args: [--evil]"), "", allow, "kubeconfig/users/u/exec"},
		{"exec with environment", server, fmt.Sprintf(exec, ", env: [{name: LD_PRELOAD, value: /tmp/x.so}]"), "", allow, "kubeconfig/users/u/exec/env"},
	} {
		cfg, err := Kubeconfig(kubeconfig(c.cluster, c.user), c.context, c.rules)
		if c.field == "" {
			if err != nil || cfg.Host == "" {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		f := fault.Of(err)
		if f == nil || f.Kind != fault.Invalid || len(f.Params) != 1 || f.Params[0].Field != c.field || f.Params[0].Allowed == "" {
			t.Errorf("%s: %v, want the field %s", c.name, err, c.field)
		} else if strings.Contains(f.Error(), "hush") {
			t.Errorf("%s: tells a credential: %v", c.name, f)
		}
	}
	if _, err := Kubeconfig([]byte("\x00{"), "", Rules{}); !fault.Is(err, fault.Invalid) {
		t.Errorf("garbage: %v", err)
	}
}
