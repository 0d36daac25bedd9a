package app

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/osmoslice/osmoslice/internal/actor"
	"github.com/osmoslice/osmoslice/internal/bundle/oci"
	"github.com/osmoslice/osmoslice/internal/config"
	"github.com/osmoslice/osmoslice/internal/fulfilment"
	"github.com/osmoslice/osmoslice/internal/imageindex/registrytest"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// bareCluster is an API server with nodes of one architecture that lets itself
// be asked, and notes whatever would change something.
type bareCluster struct {
	*httptest.Server
	arch string

	mu      sync.Mutex
	changes []string
}

func newCluster(t *testing.T, arch string) *bareCluster {
	t.Helper()
	c := &bareCluster{arch: arch}
	c.Server = httptest.NewTLSServer(http.HandlerFunc(c.serve))
	t.Cleanup(c.Close)
	return c
}

func (c *bareCluster) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.HasSuffix(r.URL.Path, "/selfsubjectaccessreviews"):
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","status":{"allowed":true}}`)
	case r.Method != http.MethodGet:
		c.mu.Lock()
		defer c.mu.Unlock()
		c.changes = append(c.changes, r.Method+" "+r.URL.Path)
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403}`)
	case r.URL.Path == "/api/v1/nodes":
		fmt.Fprintf(w, `{"apiVersion":"v1","kind":"NodeList","items":[{"metadata":{"name":"n1","uid":"u1"},"spec":{"podCIDRs":["10.1.0.0/24"]},
			"status":{"nodeInfo":{"architecture":%q},"allocatable":{"cpu":"4","memory":"8Gi","ephemeral-storage":"50Gi"},
			"conditions":[{"type":"Ready","status":"True"}]}}]}`, c.arch)
	default:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
	}
}

func (c *bareCluster) changed() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changes
}

func (c *bareCluster) kubeconfig() string {
	ca := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Raw}))
	return fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: x, contexts: [{name: x, context: {cluster: x, user: x}}],
clusters: [{name: x, cluster: {server: %q, certificate-authority-data: %s}}], users: [{name: x, user: {token: t}}]}`, c.URL, ca)
}

// bench is a service with a cluster registered, and a product of one image.
type bench struct {
	t      *testing.T
	app    *App
	ctx    context.Context
	tenant string
}

func newBench(t *testing.T, imageDir string, c *bareCluster, connection string, secrets map[string]string) *bench {
	t.Helper()
	conf := config.Default()
	conf.Data.Dir, conf.Host.Enabled, conf.Simulated.Dir, conf.Kubernetes.ImageDir = t.TempDir(), false, "-", imageDir
	conf, err := conf.Resolved()
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(t.Context(), conf, Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, app: a, ctx: actor.With(t.Context(), actor.Service("test"))}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { _ = a.runner.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait(); _ = a.close(context.WithoutCancel(ctx)) })

	b.tenant = b.create(&slice.Tenant{Meta: slice.Meta{Name: "acme"}}).Head().ID
	secrets["kubeconfig"] = c.kubeconfig()
	refs := map[string]string{}
	for name, value := range secrets {
		res, err := a.service.PutSecret(b.ctx, slice.Meta{Name: "c-" + name, Tenant: b.tenant}, []byte(value), fulfilment.Options{})
		if err != nil {
			t.Fatal(err)
		}
		refs[name] = res.Resource.Head().ID
	}
	v := &slice.Infrastructure{Tier: "NETWORK_EDGE", Plugin: "kubernetes", Connection: json.RawMessage(connection), SecretRefs: refs}
	v.Name, v.Tenant = "pi-farm", b.tenant
	id := b.create(v).Head().ID
	if got, err := a.service.Discover(b.ctx, id); err != nil || got.State != slice.Active {
		t.Fatalf("%+v, %v", got, err)
	}
	p := &slice.Product{Version: "1", Element: slice.MicroElement, Packaging: map[string]slice.Packaging{"kubernetes": {Chart: &slice.Chart{
		Name: "microelement", Version: "0.1.0", Values: json.RawMessage(`{"images":{"main":{"reference":"acme/${config:IMAGE}"}}}`)}}}}
	p.Name, p.Tenant = "firmware", slice.System
	b.create(p)
	return b
}

func (b *bench) create(r slice.Resource) slice.Resource {
	b.t.Helper()
	res, err := b.app.service.Create(b.ctx, r, fulfilment.Options{})
	if err != nil {
		b.t.Fatalf("%s: %v", r.Kind(), err)
	}
	return res.Resource
}

// order asks for a slice with one element of an image.
func (b *bench) order(image string, dry bool) fulfilment.Result {
	b.t.Helper()
	o := fulfilment.SliceOrder{Instantiate: true, MicroElements: []slice.Element{{Product: "firmware", Configuration: map[string]string{"IMAGE": image}}}}
	o.Slice.Name, o.Slice.Tenant, o.MicroElements[0].Name = "plant-"+slice.NewID(), b.tenant, "fw"
	res, err := b.app.service.CreateSlice(b.ctx, o, fulfilment.Options{DryRun: dry})
	if err != nil {
		b.t.Fatal(err)
	}
	return res
}

func (b *bench) ended(id string) *operation.Operation {
	b.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		op, err := b.app.service.Operation(b.ctx, id)
		if err != nil {
			b.t.Fatal(err)
		}
		if op.State.Final() {
			return op
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("still %s", op.State)
		}
	}
}

// refusedAll wants an image refused by preview and order, for this reason, and
// nothing done about it.
func (b *bench) refusedAll(c *bareCluster, image, reason string) {
	b.t.Helper()
	if p := b.order(image, true).Preview; p.Feasible || !strings.Contains(p.Reason, reason) {
		b.t.Errorf("previewed: feasible %v, %q, want %q", p.Feasible, p.Reason, reason)
	}
	op := b.ended(b.order(image, false).Operation.ID)
	if op.State != operation.RolledBack || op.RootCause == nil || !strings.Contains(op.RootCause.Detail, reason) {
		b.t.Errorf("ordered: %s, %+v, want %q", op.State, op.RootCause, reason)
	}
	if did := c.changed(); len(did) > 0 {
		b.t.Errorf("the cluster was changed: %v", did)
	}
}

// notes are what a preview says of an image.
func (b *bench) notes(image string) string {
	b.t.Helper()
	p := b.order(image, true).Preview
	var doc struct {
		Images []map[string]any `json:"images"`
	}
	if err := json.Unmarshal(p.Decision, &doc); err != nil || !p.Feasible || len(doc.Images) != 1 {
		b.t.Fatalf("%v, feasible %v (%s), %s", err, p.Feasible, p.Reason, p.Decision)
	}
	i := doc.Images[0]
	return fmt.Sprintln(i["element"], i["image"], i["architectures"], i["known"], i["from"], i["note"])
}

// What an image is not there for is refused before anything is installed; what
// is not known of it is said.
func TestArchitecturesAreCheckedBeforePlacing(t *testing.T) {
	t.Run("archives", func(t *testing.T) {
		dir, c := t.TempDir(), newCluster(t, "amd64")
		for name, archs := range map[string][]string{"acme/pi:1": {"arm64"}, "acme/both:1": {"amd64", "arm64"}} {
			if err := oci.WriteArchive(filepath.Join(dir, archs[0]+".tar"), map[string]v1.ImageIndex{name: registrytest.Index(t, archs...)}); err != nil {
				t.Fatal(err)
			}
		}
		b := newBench(t, dir, c, `{}`, map[string]string{})
		b.refusedAll(c, "pi:1", "pi-farm: image docker.io/acme/pi:1 is there only for arm64 (archive arm64.tar); its nodes are amd64")
		if got, want := b.notes("both:1"), "fw docker.io/acme/both:1 [amd64 arm64] true archive amd64.tar <nil>\n"; got != want {
			t.Errorf("said %q, want %q", got, want)
		}
		if got := b.notes("other:1"); !strings.Contains(got, "it is not known whether docker.io/acme/other:1 runs on amd64: no archive at hand holds it") {
			t.Errorf("said %q of what nobody knows", got)
		}
	})
	t.Run("registry", func(t *testing.T) {
		r, c := registrytest.New(t, true), newCluster(t, "amd64")
		r.Hold(t, "iot/acme/pi", "1", registrytest.Index(t, "arm64"), true)
		r.Hold(t, "iot/acme/both", "1", registrytest.Index(t, "amd64", "arm64"), false)
		mirror := r.Host() + "/iot"
		b := newBench(t, "", c, `{"imageRegistry":"`+mirror+`","pullSecret":"pull"}`,
			map[string]string{"pull": string(registrytest.PullSecret(r.Host(), registrytest.User, registrytest.Password))})
		b.refusedAll(c, "pi:1", "image "+mirror+"/acme/pi:1 is there only for arm64 (registry "+r.Host()+"); its nodes are amd64")
		if got, want := b.notes("both:1"), "fw "+mirror+"/acme/both:1 [amd64 arm64] true registry "+r.Host()+" <nil>\n"; got != want {
			t.Errorf("said %q, want %q", got, want)
		}
		r.Close()
		if got := b.notes("late:1"); !strings.Contains(got, "it is not known whether "+mirror+"/acme/late:1 runs on amd64: registry "+r.Host()+" cannot be asked") {
			t.Errorf("said %q of a registry that is gone", got)
		}
	})
}
