package kubernetes

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"iter"
	"log/slog"
	"maps"
	"regexp"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/kube"
	"github.com/osmoslice/osmoslice/internal/kube/helm"
)

// Name is the plugin's name.
const Name = "kubernetes"

// FenceKept is how long the generation of a deleted release is remembered.
const FenceKept = 2 * time.Hour

// Options configure the driver.
type Options struct {
	// Charts holds a directory per chart; later ones win.
	Charts []fs.FS
	// Exec lists the credential plugins a kubeconfig may run, as whole command lines.
	Exec []string
	// Insecure accepts kubeconfigs that skip the proof of who the server is.
	Insecure bool
	// InCluster lets connection data use the service account of the service's pod.
	InCluster bool
	// Images looks up what images run on; nil: nodes that have them are all that
	// is known. AskRegistries lets it ask whatever registry a chart names, not
	// only a site's own mirror.
	Images        ImageIndex
	AskRegistries bool
	Logger        *slog.Logger // nil: none

	failpoint func(string) // of tests: called between the steps of Apply and Delete
}

// Driver drives Kubernetes clusters. It is safe for concurrent use.
type Driver struct {
	o     Options
	id    string // of this process, as a holder of records
	locks keyed

	mu      sync.Mutex
	members map[string]*member // by site id
	charts  map[string]*helm.Chart
}

var (
	_ domain.Driver    = (*Driver)(nil)
	_ domain.Inventory = (*Driver)(nil)
	_ domain.Watcher   = (*Driver)(nil)
	_ domain.Lister    = (*Driver)(nil)
	_ domain.Checker   = (*Driver)(nil)
)

// New makes the driver. It asks nothing of any cluster.
func New(o Options) *Driver {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.failpoint == nil {
		o.failpoint = func(string) {}
	}
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails
	return &Driver{o: o, id: hex.EncodeToString(b), members: map[string]*member{}, charts: map[string]*helm.Chart{}}
}

// Plugin is the driver with the schema of its connection data.
func Plugin(o Options) domain.Plugin {
	return domain.Plugin{Name: Name, Version: "1", Schema: json.RawMessage(schemaJSON), Driver: New(o)}
}

// member is one cluster as this driver acts on it.
type member struct {
	d           *Driver
	site        domain.Site
	c           connection
	k           *kube.Cluster
	helm        *helm.Client
	fingerprint string
	look        looks
	names       nameCache
	nodeFact    fact[[]corev1.Node]
	rangeFact   fact[[]string]
}

// member finds or makes the client of a site's cluster; new connection data
// make a new one.
func (d *Driver) member(s domain.Site) (*member, error) {
	mark := fingerprint(s)
	d.mu.Lock()
	defer d.mu.Unlock()
	if m := d.members[s.ID]; m != nil && m.fingerprint == mark {
		return m, nil
	}
	c, err := connect(s)
	if err != nil {
		return nil, err
	}
	cfg, err := c.config(s, d.o)
	if err != nil {
		return nil, err
	}
	k, err := kube.Connect(cfg, kube.Options{QPS: c.QPS, Burst: c.Burst})
	if err != nil {
		return nil, err
	}
	m := &member{d: d, site: s, c: c, k: k, helm: helm.New(k), fingerprint: mark}
	d.members[s.ID] = m
	return m, nil
}

// current reports whether m is still the client of its site.
func (d *Driver) current(m *member) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.members[m.site.ID] == m
}

var releaseName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,51}[a-z0-9]$`)

func checkRelease(release string) error {
	if !releaseName.MatchString(release) {
		return fault.Field("release", release, "2 to 53 characters of [a-z0-9-], starting with a letter, ending with a letter or digit")
	}
	return nil
}

// enter begins a call about a release.
func (d *Driver) enter(ctx context.Context, ref domain.Ref) (*member, error) {
	if err := ctx.Err(); err != nil {
		return nil, fault.Of(err)
	}
	if err := checkRelease(ref.Release); err != nil {
		return nil, err
	}
	return d.member(ref.Site)
}

// keyed is a set of locks by name.
type keyed struct {
	mu sync.Mutex
	m  map[string]*keyedLock
}

type keyedLock struct {
	held  chan struct{}
	users int
}

// lock waits for a name; the answer gives it back.
func (k *keyed) lock(ctx context.Context, name string) (unlock func(), err error) {
	k.mu.Lock()
	if k.m == nil {
		k.m = map[string]*keyedLock{}
	}
	l := k.m[name]
	if l == nil {
		l = &keyedLock{held: make(chan struct{}, 1)}
		k.m[name] = l
	}
	l.users++
	k.mu.Unlock()
	leave := func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(k.m, name)
		}
	}
	select {
	case l.held <- struct{}{}:
		return func() { <-l.held; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, fault.Of(ctx.Err())
	}
}

func mapsKeys[M ~map[string]V, V any](m M) iter.Seq[string] { return maps.Keys(m) }
