//go:build cluster

package kubernetes

import (
	"encoding/json"
	"net/http"
	"os"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fulfilment/catalogue"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// liteVariable says that the cluster's nodes have the images of lite-gateway
// and lite-server.
const liteVariable = "OSMOSLICE_TEST_LITE_IMAGES"

// lite is the wish for one of our products as the catalogue packages it.
func (f *fixture) lite(t *testing.T, product string) domain.Deployment {
	t.Helper()
	for _, p := range catalogue.Products() {
		if p.Name != product {
			continue
		}
		d := f.Deployment(product)
		d.Product, d.Version, d.Packaging, d.Ports, d.Args = p.Name, p.Version, p.Packaging["kubernetes"], p.Ports, nil
		d.Env, d.Files = map[string]string{}, map[string][]byte{"admin.token": []byte("a-token-of-some-length")}
		for k, v := range p.Configuration {
			d.Env[k] = v
		}
		if product == "lite-gateway" {
			d.Env["LITE_GATEWAY_NAME"] = "gate"
		}
		d.Probe = domain.Probe{Port: p.Probe.Port, Path: p.Probe.Path}
		d.Resources = domain.Resources{CPU: p.Requirements.CPU, Memory: p.Requirements.Memory, Storage: p.Requirements.Storage}
		return hashed(d)
	}
	t.Fatalf("no product %s", product)
	return domain.Deployment{}
}

// TestLiteProducts: our products as the catalogue has them, on a cluster: ready
// with their volumes, every port reached from outside, data kept over a change.
func TestLiteProducts(t *testing.T) {
	if os.Getenv(liteVariable) == "" {
		t.Skip("the nodes have no images of the light products: set " + liteVariable)
	}
	for _, product := range []string{"lite-gateway", "lite-server"} {
		t.Run(product, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			d := f.lite(t, product)
			start := time.Now()
			f.apply(t, d)
			applied := time.Since(start)
			st := f.ready(t, d)
			t.Logf("applied in %v, ready after %v: %v", applied.Round(time.Millisecond), time.Since(start).Round(time.Millisecond), st.Endpoints)
			client := http.Client{Timeout: 5 * time.Second}
			f.within(t, "it is reached from outside", func() bool { // the node's proxy learns of a ready pod a moment later
				resp, err := client.Get(st.Endpoints["api"] + "/healthz")
				if err != nil {
					return false
				}
				resp.Body.Close()
				return resp.StatusCode == http.StatusOK
			})
			m, err := f.d.member(f.site)
			if err != nil {
				t.Fatal(err)
			}
			claims := func() (uids []string) {
				l, err := m.k.Core.CoreV1().PersistentVolumeClaims(m.namespace(d.Slice)).List(f.ctx(t), metav1.ListOptions{})
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range l.Items {
					uids = append(uids, string(c.UID))
				}
				return uids
			}
			before := claims()
			c := d
			c.Files = map[string][]byte{"admin.token": []byte("another-token-of-some-length")}
			c = hashed(c)
			c.Generation++
			f.apply(t, c)
			after := f.ready(t, c)
			if now := claims(); len(before) != 1 || len(now) != 1 || now[0] != before[0] || after.Endpoints["api"] != st.Endpoints["api"] {
				t.Errorf("claims %v became %v, endpoints %v became %v", before, now, st.Endpoints, after.Endpoints)
			}
			f.end(t, c)
		})
	}
}

// TestPreview: what a change of version and size would change, with nothing changed.
func TestPreview(t *testing.T) {
	f := newFixture(t)
	d := f.Deployment("preview")
	f.apply(t, d)
	f.ready(t, d)
	c := d
	c.Replicas, c.Version = 2, "2"
	c.Packaging = slice.Packaging{Chart: &slice.Chart{Name: "microelement", Version: "0.1.0",
		Values: json.RawMessage(`{"images":{"main":{"reference":"docker.io/osmoslice/testbed-probe:2"}},"graceSeconds":1}`)}}
	c = hashed(c)
	got, err := f.d.Preview(f.ctx(t), c)
	if err != nil {
		t.Fatal(err)
	}
	want := map[domain.Difference]bool{
		{Object: "values", Field: "images/main/reference", Before: `"docker.io/osmoslice/testbed-probe:1"`, After: `"docker.io/osmoslice/testbed-probe:2"`}:                                            true,
		{Object: "values", Field: "osmoslice/version", Before: `"1"`, After: `"2"`}:                                                                                                                    true,
		{Object: "values", Field: "replicas", Before: "1", After: "2"}:                                                                                                                                 true,
		{Object: "Deployment " + d.Release + "-main", Field: "spec/replicas", Before: "1", After: "2"}:                                                                                                 true,
		{Object: "Deployment " + d.Release + "-main", Field: "spec/template/spec/containers/0/image", Before: `"docker.io/osmoslice/testbed-probe:1"`, After: `"docker.io/osmoslice/testbed-probe:2"`}: true,
	}
	for _, x := range got {
		if !want[x] {
			t.Errorf("unexpected: %+v", x)
		}
		delete(want, x)
	}
	for x := range want {
		t.Errorf("missing: %+v", x)
	}
	if st := f.ready(t, d); st.Restarts != 0 {
		t.Error("the preview changed something")
	}
	f.end(t, d)
}
