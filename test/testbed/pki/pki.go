// Package pki makes what one small cluster needs to trust itself: a certificate
// authority, a certificate per component, the key of the service accounts and a
// kubeconfig per client, as files of one folder.
//
//	ca.crt ca.key               the authority
//	apiserver.crt/.key          the server's, for its names and addresses
//	kubelet-client.crt/.key     the server as a client of kubelets
//	front-proxy.crt/.key        the server as a client of extension servers
//	sa.key sa.pub               signs and proves service account tokens
//	NAME.kubeconfig             admin, controller-manager, scheduler, proxy
//	kubelet-NODE.*              a node's certificate (server and client) and kubeconfig
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// validity is longer than any bed lives.
const validity = 365 * 24 * time.Hour

// A Node gets its own kubelet identity.
type Node struct {
	Name    string
	Address net.IP
}

// A Cluster says for whom a folder is made.
type Cluster struct {
	Name      string   // of the cluster, its context in the kubeconfigs
	Server    string   // URL at which clients reach the API server
	Addresses []net.IP // of the API server, the service address of "kubernetes" included
	Nodes     []Node
}

// Write fills dir, which it makes; keys are readable by the owner only.
func Write(dir string, c Cluster) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	a, err := newAuthority(c.Name)
	if err != nil {
		return err
	}
	files := map[string][]byte{"ca.crt": a.certPEM, "ca.key": a.keyPEM}
	if err := serviceAccountKeys(files); err != nil {
		return err
	}
	for _, i := range identities(c) {
		cert, key, err := a.issue(i)
		if err != nil {
			return fmt.Errorf("certificate of %s: %w", i.file, err)
		}
		files[i.file+".crt"], files[i.file+".key"] = cert, key
		if i.client {
			files[i.file+".kubeconfig"] = Kubeconfig(c.Name, c.Server, a.certPEM, cert, key)
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// An identity is one certificate; Kubernetes reads the user from its common name
// and the groups from its organizations.
type identity struct {
	file      string
	user      string
	groups    []string
	names     []string
	addresses []net.IP
	client    bool // gets a kubeconfig
}

func identities(c Cluster) []identity {
	masters := []string{"system:masters"}
	all := []identity{
		{file: "apiserver", user: "kube-apiserver", addresses: append([]net.IP{net.IPv4(127, 0, 0, 1)}, c.Addresses...),
			names: []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost"}},
		{file: "kubelet-client", user: "kube-apiserver-kubelet-client", groups: masters},
		{file: "front-proxy", user: "front-proxy"},
		{file: "admin", user: "admin", groups: masters, client: true},
		{file: "controller-manager", user: "system:kube-controller-manager", client: true},
		{file: "scheduler", user: "system:kube-scheduler", client: true},
		{file: "proxy", user: "system:kube-proxy", client: true},
	}
	for _, n := range c.Nodes {
		all = append(all, identity{file: "kubelet-" + n.Name, user: "system:node:" + n.Name, groups: []string{"system:nodes"},
			names: []string{n.Name}, addresses: []net.IP{n.Address}, client: true})
	}
	return all
}

type authority struct {
	cert            *x509.Certificate
	key             *ecdsa.PrivateKey
	certPEM, keyPEM []byte
}

func newAuthority(cluster string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "testbed-" + cluster},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(validity),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	keyPEM, err := encodeKey(key)
	return &authority{cert: cert, key: key, certPEM: encode("CERTIFICATE", der), keyPEM: keyPEM}, err
}

func (a *authority) issue(i identity) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: i.user, Organization: i.groups},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(validity),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    i.names, IPAddresses: i.addresses,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	keyPEM, err = encodeKey(key)
	return encode("CERTIFICATE", der), keyPEM, err
}

func serviceAccountKeys(files map[string][]byte) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if files["sa.key"], err = encodeKey(key); err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	files["sa.pub"] = encode("PUBLIC KEY", public)
	return err
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	return encode("EC PRIVATE KEY", der), err
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// Kubeconfig is a whole kubeconfig, its one context named as the cluster, with
// everything inside it: it works wherever it is copied to.
func Kubeconfig(cluster, server string, ca, cert, key []byte) []byte {
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: %[1]s
  cluster:
    server: %[2]s
    certificate-authority-data: %[3]s
users:
- name: %[1]s
  user:
    client-certificate-data: %[4]s
    client-key-data: %[5]s
contexts:
- name: %[1]s
  context: {cluster: %[1]s, user: %[1]s}
current-context: %[1]s
`, cluster, server, b64(ca), b64(cert), b64(key))
}
