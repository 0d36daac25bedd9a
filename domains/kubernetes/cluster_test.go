//go:build cluster

package kubernetes

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/osmoslice/osmoslice/charts"
	"github.com/osmoslice/osmoslice/domains/domaintest"
	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// kubeconfigVariable names a cluster to test on: one of the test bed, whose
// nodes have the image osmoslice/testbed-probe:1 and run on this machine.
const kubeconfigVariable = "OSMOSLICE_TEST_KUBECONFIG"

// podRangeVariable is the cluster's pod network, where its nodes do not tell.
const podRangeVariable = "OSMOSLICE_TEST_POD_CIDR"

func podRange() string { return firstNonEmpty(os.Getenv(podRangeVariable), "10.1.0.0/16") }

func kubeconfigOf(t testing.TB) []byte {
	t.Helper()
	path := os.Getenv(kubeconfigVariable)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("missing prerequisite: %s names no kubeconfig: %v", kubeconfigVariable, err)
	}
	return raw
}

// fixture is a driver on a cluster that is reached through a proxy of the test.
type fixture struct {
	d     *Driver
	o     Options
	site  domain.Site
	slice string
	proxy *proxy
	tag   string
}

func newFixture(t *testing.T) *fixture {
	raw := kubeconfigOf(t)
	b := make([]byte, 5)
	_, _ = rand.Read(b)
	f := &fixture{tag: hex.EncodeToString(b), o: Options{Charts: []fs.FS{charts.Files()}}}
	f.slice = "slice" + f.tag
	f.proxy = newProxy(t, raw)
	f.site = domain.Site{ID: "site-" + f.tag, Name: "edge", Connection: json.RawMessage(`{"kind":"NETWORK_EDGE","podCIDR":["` + podRange() + `"]}`),
		Secrets: map[string][]byte{"kubeconfig": f.proxy.kubeconfig}}
	f.d = New(f.o)
	t.Cleanup(func() { f.forget(t) })
	return f
}

// forget removes what a test leaves by contract: the records.
func (f *fixture) forget(t testing.TB) {
	f.proxy.restore()
	m, err := f.d.member(f.site)
	if err != nil {
		t.Error(err)
		return
	}
	err = m.k.Core.CoreV1().ConfigMaps(m.records()).DeleteCollection(context.Background(), metav1.DeleteOptions{},
		metav1.ListOptions{LabelSelector: labelSite + "=" + f.site.ID})
	if err != nil {
		t.Error(err)
	}
}

func (f *fixture) Driver() domain.Driver   { return f.d }
func (f *fixture) Patience() time.Duration { return 2 * time.Minute }

func (f *fixture) Deployment(name string) domain.Deployment {
	return hashed(domain.Deployment{
		Ref:    domain.Ref{Site: f.site, Slice: f.slice, Element: "element-" + name, Release: "m" + f.tag + "-" + name, Generation: 1},
		Tenant: "acme", Product: "probe", Version: "1",
		Packaging: slice.Packaging{Chart: &slice.Chart{Name: "microelement", Version: "0.1.0",
			Values: json.RawMessage(`{"images":{"main":{"reference":"docker.io/osmoslice/testbed-probe:1"}},"graceSeconds":1}`)}},
		Args:      []string{"serve", "${listen:http}"},
		Env:       map[string]string{"PORT": "${port:http}", "API_TOKEN": "very-secret-token"},
		Files:     map[string][]byte{"conf/app.json": []byte(`{"listen":"${listen:http}","dir":"${dir}"}`)},
		Ports:     []slice.Port{{Name: "http", Protocol: "tcp", Scheme: "http"}},
		Probe:     domain.Probe{Port: "http", Path: "/"},
		Resources: domain.Resources{CPU: 10, Memory: 32},
		Labels:    map[string]string{"osmoslice/name": name},
	})
}

// hashed sets the hash, as the service does.
func hashed(d domain.Deployment) domain.Deployment {
	g := d.Generation
	d.Generation, d.Hash = 0, ""
	s := d.Site
	d.Site = domain.Site{ID: s.ID}
	b, err := json.Marshal(d)
	if err != nil {
		panic(err)
	}
	d.Site, d.Generation, d.Hash = s, g, fmt.Sprintf("%x", sha256.Sum256(b))
	return d
}

func (f *fixture) Change(d domain.Deployment) domain.Deployment {
	d.Env = map[string]string{"CHANGED": "yes"}
	return hashed(d)
}

func (f *fixture) Break(d domain.Deployment) (domain.Deployment, string) {
	d.Args = []string{"read", "/no/such/file"}
	return hashed(d), "exit status 1"
}

func (f *fixture) Impossible(d domain.Deployment) domain.Deployment {
	c := *d.Packaging.Chart
	c.Name = "no-such-chart"
	d.Packaging.Chart = &c
	return hashed(d)
}

func (f *fixture) Reopen(testing.TB) domain.Driver {
	f.d = New(f.o)
	return f.d
}

func (f *fixture) see(t testing.TB, ref domain.Ref) *seen {
	t.Helper()
	m, err := f.d.member(f.site)
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.see(context.Background(), &record{Release: ref.Release, Namespace: m.namespace(ref.Slice)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (f *fixture) Incarnation(t testing.TB, ref domain.Ref) string {
	var ids []string
	for _, p := range f.see(t, ref).pods {
		if p.DeletionTimestamp == nil {
			ids = append(ids, fmt.Sprintf("%s/%d", p.UID, p.Status.ContainerStatuses[0].RestartCount))
		}
	}
	slices.Sort(ids)
	return strings.Join(ids, " ")
}

// Disturb kills the function's process: the nodes of the test bed run on this machine.
func (f *fixture) Disturb(t testing.TB, ref domain.Ref) {
	t.Helper()
	for _, p := range f.see(t, ref).pods {
		uid := strings.ReplaceAll(string(p.UID), "-", "")
		dirs, err := os.ReadDir("/proc")
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range dirs {
			group, _ := os.ReadFile("/proc/" + d.Name() + "/cgroup")
			line, _ := os.ReadFile("/proc/" + d.Name() + "/cmdline")
			flat := strings.NewReplacer("-", "", "_", "").Replace(string(group))
			if strings.Contains(flat, uid) && bytes.Contains(line, []byte("serve")) {
				var pid int
				if _, err := fmt.Sscan(d.Name(), &pid); err == nil && syscall.Kill(pid, syscall.SIGKILL) == nil {
					return
				}
			}
		}
	}
	t.Fatalf("no process of %s on this machine", ref.Release)
}

func (f *fixture) Cut(testing.TB) func() {
	f.proxy.cut()
	return f.proxy.restore
}

// Leftovers lists the namespaces of the fixture's slice, and what is in them.
func (f *fixture) Leftovers(t testing.TB) []string {
	m, err := f.d.member(f.site)
	if err != nil {
		t.Fatal(err)
	}
	list, err := m.k.Core.CoreV1().Namespaces().List(context.Background(), metav1.ListOptions{LabelSelector: labelSite + "=" + f.site.ID})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, ns := range list.Items {
		out = append(out, ns.Name+": "+terminating(&ns))
	}
	return out
}

func TestContract(t *testing.T) {
	domaintest.Exercise(t, func(t *testing.T) domaintest.Fixture { return newFixture(t) })
}

// proxy passes connections to the API server on, until it is cut.
type proxy struct {
	kubeconfig []byte
	target     string

	mu    sync.Mutex
	off   bool
	conns map[net.Conn]bool
}

func newProxy(t *testing.T, raw []byte) *proxy {
	t.Helper()
	c, err := clientcmd.Load(raw)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p := &proxy{conns: map[net.Conn]bool{}}
	for _, cluster := range c.Clusters {
		u, err := url.Parse(cluster.Server)
		if err != nil {
			t.Fatal(err)
		}
		p.target = u.Host
		cluster.TLSServerName = u.Hostname()
		cluster.Server = "https://" + l.Addr().String()
	}
	if p.kubeconfig, err = clientcmd.Write(*c); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go p.pass(in)
		}
	}()
	return p
}

func (p *proxy) pass(in net.Conn) {
	defer in.Close()
	p.mu.Lock()
	off := p.off
	if !off {
		p.conns[in] = true
	}
	p.mu.Unlock()
	if off {
		return
	}
	out, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer out.Close()
	go func() { _, _ = io.Copy(out, in); out.Close() }()
	_, _ = io.Copy(in, out)
	p.mu.Lock()
	delete(p.conns, in)
	p.mu.Unlock()
}

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.off = true
	for c := range p.conns {
		c.Close()
	}
}

func (p *proxy) restore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.off = false
}
