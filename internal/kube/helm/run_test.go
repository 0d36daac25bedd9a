package helm

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chartutil"
	hkube "helm.sh/helm/v3/pkg/kube"
	kubefake "helm.sh/helm/v3/pkg/kube/fake"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage"
	"helm.sh/helm/v3/pkg/storage/driver"

	"github.com/osmoslice/osmoslice/internal/fault"
)

var at = time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)

// chartFiles is a chart of one ConfigMap and one Deployment.
func chartFiles() fstest.MapFS {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	return fstest.MapFS{
		"demo/Chart.yaml":         file("apiVersion: v2\nname: demo\nversion: 1.2.3\n"),
		"demo/values.yaml":        file("replicas: 1\n"),
		"demo/values.schema.json": file(`{"type":"object","properties":{"replicas":{"type":"integer"}}}`),
		"demo/templates/all.yaml": file(`apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}}
data: {replicas: "{{ .Values.replicas }}"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec: {replicas: {{ .Values.replicas }}, template: {metadata: {}}}
`),
		"demo/testdata/golden.yaml": file("not: part"),
	}
}

func loaded(t *testing.T) *Chart {
	t.Helper()
	c, err := Load(chartFiles(), "demo")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// failing is a cluster that refuses what it is told to.
type failing struct {
	kubefake.PrintingKubeClient
	update error
}

func (f *failing) Update(_, target hkube.ResourceList, _ bool) (*hkube.Result, error) {
	return &hkube.Result{Updated: target}, f.update
}

func memory(t *testing.T) (*run, *failing) {
	k := &failing{PrintingKubeClient: kubefake.PrintingKubeClient{Out: io.Discard}}
	r := &run{ctx: t.Context()}
	mem := driver.NewMemory()
	mem.SetNamespace("ns")
	r.cfg = &action.Configuration{Releases: storage.Init(mem), KubeClient: k, Capabilities: chartutil.DefaultCapabilities.Copy(), Log: r.say}
	return r, k
}

func wish(t *testing.T, replicas any) Wish {
	return Wish{Name: "rel", Namespace: "ns", Chart: loaded(t), Values: map[string]any{"replicas": replicas}, Labels: map[string]string{"owner": "me"}}
}

func actions(out Outcome) string {
	var s []string
	for _, x := range out.Steps {
		s = append(s, string(x.Action))
	}
	return strings.Join(s, " ")
}

func (r *run) mustConverge(t *testing.T, w Wish, want string) Outcome {
	t.Helper()
	out, err := r.converge(w)
	if err != nil {
		t.Fatal(err)
	}
	if got := actions(out); got != want {
		t.Fatalf("steps %q, want %q", got, want)
	}
	return out
}

func TestConverge(t *testing.T) {
	r, _ := memory(t)
	out := r.mustConverge(t, wish(t, 1), "install")
	if !strings.Contains(out.Manifest, "owner: me") || strings.Count(out.Manifest, "owner: me") != 3 || strings.Count(out.Manifest, "namespace: ns") != 2 {
		t.Errorf("labels on two objects and a pod template, and a namespace, wanted:\n%s", out.Manifest)
	}
	r.mustConverge(t, wish(t, 1), "")
	if out := r.mustConverge(t, wish(t, 2), "upgrade"); out.Revision != 2 {
		t.Errorf("%+v", out)
	}
	r.mustConverge(t, wish(t, 1), "rollback")
	if err := r.purge("rel"); err != nil {
		t.Fatal(err)
	}
	r.mustConverge(t, wish(t, 1), "install")
}

func TestConvergeAfterFailures(t *testing.T) {
	r, k := memory(t)
	r.mustConverge(t, wish(t, 1), "install")
	rel, err := r.cfg.Releases.Last("rel")
	if err != nil {
		t.Fatal(err)
	}
	rel.SetStatus(release.StatusFailed, "no room")
	if err := r.cfg.Releases.Update(rel); err != nil {
		t.Fatal(err)
	}
	if out := r.mustConverge(t, wish(t, 1), "upgrade"); out.Cause != "no room" {
		t.Errorf("the first cause is lost: %q", out.Cause)
	}
	k.update = errors.New("denied")
	if _, err := r.converge(wish(t, 2)); err == nil {
		t.Fatal("no error")
	}
	k.update = nil
	r.mustConverge(t, wish(t, 1), "rollback") // what worked is back, from the record
	r.mustConverge(t, wish(t, 2), "upgrade")
}

// TestConvergeAfterKill: whatever Helm was doing when it was killed.
func TestConvergeAfterKill(t *testing.T) {
	for status, want := range map[release.Status]string{
		release.StatusPendingInstall: "unlock upgrade", release.StatusPendingUpgrade: "unlock upgrade",
		release.StatusPendingRollback: "unlock upgrade", release.StatusUninstalling: "purge install",
	} {
		r, _ := memory(t)
		r.mustConverge(t, wish(t, 1), "install")
		rel, err := r.cfg.Releases.Last("rel")
		if err != nil {
			t.Fatal(err)
		}
		rel.SetStatus(status, "under way")
		if err := r.cfg.Releases.Update(rel); err != nil {
			t.Fatal(err)
		}
		out := r.mustConverge(t, wish(t, 1), want)
		if status.IsPending() && !strings.Contains(out.Cause, "interrupted while "+status.String()) {
			t.Errorf("%s: cause %q", status, out.Cause)
		}
	}
}

func TestRefusals(t *testing.T) {
	r, _ := memory(t)
	_, err := r.converge(wish(t, "many"))
	if f := fault.Of(err); f.Kind != fault.Invalid || f.Retry != fault.Never {
		t.Errorf("values against the schema: %v", err)
	}
	if s, _ := r.state("rel"); len(s) != 0 {
		t.Errorf("recorded all the same: %+v", s)
	}
	w := wish(t, 1)
	w.Namespace = "ns"
	fsys := chartFiles()
	fsys["demo/templates/all.yaml"].Data = []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: kube-system}\n")
	if w.Chart, err = Load(fsys, "demo"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.converge(w); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "kube-system/x") {
		t.Errorf("an object of another namespace: %v", err)
	}
}

func TestDigest(t *testing.T) {
	c := loaded(t)
	v := func(generation, replicas int) map[string]any {
		return map[string]any{"osmoslice": map[string]any{"generation": generation, "hash": "h"}, "replicas": replicas}
	}
	if c.Digest(v(1, 1)) != c.Digest(v(2, 1)) || c.Digest(v(1, 1)) == c.Digest(v(1, 2)) {
		t.Error("the generation is no part of the digest, all else is")
	}
	other := chartFiles()
	other["demo/testdata/golden.yaml"].Data = []byte("changed: true")
	same, err := Load(other, "demo")
	if err != nil || same.Digest(nil) != c.Digest(nil) {
		t.Errorf("a golden file is part of the chart: %v", err)
	}
	other["demo/values.yaml"].Data = []byte("replicas: 2\n")
	if changed, err := Load(other, "demo"); err != nil || changed.Digest(nil) == c.Digest(nil) {
		t.Errorf("a changed chart has the same digest: %v", err)
	}
}
