package pki_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/osmoslice/osmoslice/test/testbed/pki"
)

// A server with the API server's certificate knows each client by its kubeconfig:
// user and groups as Kubernetes reads them.
func TestClientsAreKnown(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := r.TLS.PeerCertificates[0].Subject
		fmt.Fprint(w, s.CommonName, s.Organization)
	}))
	cluster := pki.Cluster{Name: "edge", Server: "https://" + server.Listener.Addr().String(), Addresses: []net.IP{net.IPv4(10, 1, 2, 3)},
		Nodes: []pki.Node{{Name: "edge-1", Address: net.IPv4(10, 1, 2, 4)}}}
	if err := pki.Write(dir, cluster); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "apiserver.crt"), filepath.Join(dir, "apiserver.key"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	server.StartTLS()
	defer server.Close()
	for name, want := range map[string]string{
		"admin": "admin[system:masters]", "scheduler": "system:kube-scheduler[]", "controller-manager": "system:kube-controller-manager[]",
		"proxy": "system:kube-proxy[]", "kubelet-edge-1": "system:node:edge-1[system:nodes]",
	} {
		config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(dir, name+".kubeconfig"))
		if err != nil {
			t.Fatal(err)
		}
		client, err := rest.HTTPClientFor(config)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Get(config.Host)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		b, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if string(b) != want {
			t.Errorf("%s is known as %s, want %s", name, b, want)
		}
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"10.1.2.3", "127.0.0.1", "kubernetes.default.svc", "localhost"} {
		if err := leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
}

func TestKeysAreTheOwners(t *testing.T) {
	dir := t.TempDir()
	if err := pki.Write(dir, pki.Cluster{Name: "x", Server: "https://x"}); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if i, err := f.Info(); err != nil || i.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f.Name(), i.Mode(), err)
		}
	}
}
