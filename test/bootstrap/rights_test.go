package bootstrap

import (
	"context"
	"encoding/json"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/charts"
	"github.com/osmoslice/osmoslice/domains/kubernetes"
	"github.com/osmoslice/osmoslice/internal/bootstrap"
	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/test/testbed/bed"
)

// service keeps what bootstrap tells it.
type service struct {
	kubeconfig []byte
	site       map[string]any
}

func (s *service) KeepSecret(_ context.Context, _ string, value []byte) error {
	s.kubeconfig = value
	return nil
}

func (s *service) Register(_ context.Context, body map[string]any) error {
	s.site = body
	return nil
}

func (s *service) DropSecret(context.Context, string) (bool, error) { return true, nil }
func (s *service) Forget(context.Context, string) (bool, error)     { return true, nil }

// The plugin does with the identity all that it does: it sees the cluster,
// installs every chart that comes along, looks, lists, and removes. Its pods
// stay pending, for there is no node; what it may do is asked all the same.
func TestRightsAreEnough(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	cluster, err := bootstrap.Open(bed.APIServer(t), "")
	if err != nil {
		t.Fatal(err)
	}
	s := &service{}
	o := bootstrap.Options{Name: "edge", Prefix: "iot-", Connection: map[string]any{"podCIDR": []any{"10.1.0.0/16"}, "exposure": "NodePort"}}
	if err := (bootstrap.Work{Cluster: cluster, Service: s}).Run(ctx, o); err != nil {
		t.Fatal(err)
	}
	connection, err := json.Marshal(s.site["connection"])
	if err != nil {
		t.Fatal(err)
	}
	d := kubernetes.New(kubernetes.Options{Charts: []fs.FS{charts.Files()}})
	site := domain.Site{ID: "site-1", Name: "edge", Connection: connection, Secrets: map[string][]byte{"kubeconfig": s.kubeconfig}}
	if err := d.Check(ctx, site); err != nil {
		t.Errorf("check: %v", err)
	}
	if _, err := d.Nodes(ctx, site); err != nil {
		t.Errorf("nodes: %v", err)
	}
	for _, product := range []string{"edgex", "mainflux", "influxdb", "grafana"} {
		install(ctx, t, d, site, product)
	}
	refs, err := d.List(ctx, site)
	if err != nil || len(refs) != 4 {
		t.Fatalf("%d deployments are listed, %v", len(refs), err)
	}
	for _, ref := range refs {
		ref.Generation = 2
		if err := d.Delete(ctx, ref); err != nil {
			t.Errorf("delete %s: %v", ref.Release, err)
		}
	}
}

// install applies a product as the service does, changes it, and looks at it.
func install(ctx context.Context, t *testing.T, d *kubernetes.Driver, site domain.Site, product string) {
	t.Helper()
	ref := domain.Ref{Site: site, Slice: "slice1", Element: "element-" + product, Release: "rel-" + product, Generation: 1}
	dep := domain.Deployment{Ref: ref, Tenant: "acme", Product: product, Version: "1", Hash: strings.Repeat("a", 64),
		Packaging: slice.Packaging{Chart: &slice.Chart{Name: product, Version: "0.1.0"}},
		Files:     map[string][]byte{"admin": []byte("root@plant.example:a-long-password")},
		Resources: domain.Resources{CPU: 1000, Memory: 1024, Storage: 1024},
	}
	for _, hash := range []string{"a", "b"} {
		dep.Hash = strings.Repeat(hash, 64)
		if err := d.Apply(ctx, dep); err != nil {
			t.Fatalf("%s: %v", product, err)
		}
	}
	status, err := d.Observe(ctx, ref)
	if err != nil || status.Phase == domain.Absent || status.Phase == domain.Failed || strings.Contains(strings.ToLower(status.Cause), "forbidden") {
		t.Errorf("%s: %+v, %v", product, status, err)
	}
}
