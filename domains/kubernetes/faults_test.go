//go:build cluster

package kubernetes

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
)

func (f *fixture) ctx(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), f.Patience())
	t.Cleanup(cancel)
	return ctx
}

func (f *fixture) apply(t testing.TB, d domain.Deployment) {
	t.Helper()
	if err := f.d.Apply(f.ctx(t), d); err != nil {
		t.Fatal(err)
	}
}

// end deletes and waits until nothing is left.
func (f *fixture) end(t testing.TB, ds ...domain.Deployment) {
	t.Helper()
	for _, d := range ds {
		d.Generation = 1 << 40
		if err := f.d.Delete(f.ctx(t), d.Ref); err != nil {
			t.Error(err)
		}
	}
	f.within(t, "nothing is left", func() bool { return len(f.Leftovers(t)) == 0 })
}

func (f *fixture) within(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(f.Patience())
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", f.Patience(), what)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (f *fixture) until(t testing.TB, ref domain.Ref, what string, ok func(domain.Status) bool) domain.Status {
	t.Helper()
	var st domain.Status
	f.within(t, what, func() (done bool) {
		var err error
		if st, err = f.d.Observe(f.ctx(t), ref); err != nil {
			t.Fatal(err)
		}
		return ok(st)
	})
	return st
}

func (f *fixture) ready(t testing.TB, d domain.Deployment) domain.Status {
	t.Helper()
	return f.until(t, d.Ref, d.Release+" is ready", func(st domain.Status) bool { return st.Phase == domain.Ready && st.Hash == d.Hash })
}

// killedWish is what a process that is to be killed shall do.
type killedWish struct {
	Deployment domain.Deployment
	Delete     bool
	Point      string
}

const killedVariable = "OSMOSLICE_TEST_KILLED_AT"

func TestMain(m *testing.M) {
	raw := os.Getenv(killedVariable)
	if raw == "" {
		os.Exit(m.Run())
	}
	var w killedWish
	if err := json.Unmarshal([]byte(raw), &w); err != nil {
		panic(err)
	}
	o := fixtureOptions()
	o.failpoint = func(point string) {
		if point == w.Point {
			os.Exit(137) // as kill -9: nothing is given back
		}
	}
	d, ctx := New(o), context.Background()
	var err error
	if w.Delete {
		err = d.Delete(ctx, w.Deployment.Ref)
	} else {
		err = d.Apply(ctx, w.Deployment)
	}
	if err != nil {
		os.Stderr.WriteString(err.Error())
	}
	os.Exit(0)
}

// killed runs a call in a process of its own, which dies at a point.
func (f *fixture) killed(t *testing.T, w killedWish) {
	t.Helper()
	raw, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), killedVariable+"="+string(raw))
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 137 {
		t.Fatalf("not killed at %s: %v %s", w.Point, err, out)
	}
}

// TestKilledAtEveryStep: the service dies at every point of Apply and Delete;
// repeating the call leads where it should have led.
func TestKilledAtEveryStep(t *testing.T) {
	for _, point := range []string{"apply:intent", "apply:namespace", "apply:secret", "apply:release"} {
		t.Run(strings.ReplaceAll(point, ":", " "), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			d := f.Deployment("killed")
			f.killed(t, killedWish{Deployment: d, Point: point})
			if st := f.until(t, d.Ref, "pending", func(domain.Status) bool { return true }); st.Phase != domain.Pending {
				t.Errorf("after the kill: %+v", st)
			}
			d.Generation++
			f.apply(t, d)
			if st := f.ready(t, d); st.Restarts != 0 {
				t.Errorf("%d restarts", st.Restarts)
			}
			f.end(t, d)
		})
	}
	for _, point := range []string{"delete:intent", "delete:release", "delete:removed", "delete:buried"} {
		t.Run(strings.ReplaceAll(point, ":", " "), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			d := f.Deployment("killed")
			f.apply(t, d)
			f.ready(t, d)
			d.Generation++
			f.killed(t, killedWish{Deployment: d, Delete: true, Point: point})
			f.end(t, d)
		})
	}
}

// TestWedgedReleases: Helm was killed by others in the middle, and its record
// says so.
func TestWedgedReleases(t *testing.T) {
	f := newFixture(t)
	d := f.Deployment("wedged")
	f.apply(t, d)
	f.ready(t, d)
	m, err := f.d.member(f.site)
	if err != nil {
		t.Fatal(err)
	}
	ns := m.namespace(d.Slice)
	for _, status := range []string{"pending-upgrade", "pending-rollback", "failed", "uninstalling"} {
		if err := mark(f.ctx(t), m, ns, d.Release, status); err != nil {
			t.Fatal(err)
		}
		d = f.Change(d)
		d.Env["STATUS"] = status
		d = hashed(d)
		d.Generation++
		f.apply(t, d)
		f.ready(t, d)
	}
	if err := mark(f.ctx(t), m, ns, d.Release, "pending-install"); err != nil {
		t.Fatal(err)
	}
	f.end(t, d)
}

// mark rewrites the status in Helm's newest record of a release.
func mark(ctx context.Context, m *member, namespace, release, status string) error {
	api := m.k.Core.CoreV1().Secrets(namespace)
	list, err := api.List(ctx, metav1.ListOptions{LabelSelector: "owner=helm,name=" + release})
	if err != nil || len(list.Items) == 0 {
		return fmt.Errorf("no record: %w", err)
	}
	s := slices.MaxFunc(list.Items, func(a, b corev1.Secret) int {
		number := func(s corev1.Secret) (n int) { _, _ = fmt.Sscan(s.Labels["version"], &n); return n }
		return number(a) - number(b)
	})
	packed, err := base64.StdEncoding.DecodeString(string(s.Data["release"]))
	if err != nil {
		return err
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return err
	}
	var doc map[string]any
	if err := json.NewDecoder(z).Decode(&doc); err != nil {
		return err
	}
	doc["info"].(map[string]any)["status"] = status
	raw, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	s.Data["release"] = []byte(base64.StdEncoding.EncodeToString(raw))
	s.Labels["status"] = status
	_, err = api.Update(ctx, &s, metav1.UpdateOptions{})
	return err
}

// drifting is a release whose objects are edited by hand, and a watch that hears
// of it.
type drifting struct {
	*fixture
	d     domain.Deployment
	m     *member
	ns    string
	ended chan error // of the watch
	stop  context.CancelFunc
}

func newDrifting(t *testing.T) *drifting {
	f := newFixture(t)
	x := &drifting{fixture: f, d: f.Deployment("drift"), ended: make(chan error, 1)}
	f.apply(t, x.d)
	f.ready(t, x.d)
	var err error
	if x.m, err = f.d.member(f.site); err != nil {
		t.Fatal(err)
	}
	x.ns = x.m.namespace(x.d.Slice)
	var watch context.Context
	watch, x.stop = context.WithCancel(f.ctx(t))
	t.Cleanup(x.stop)
	changed := make(chan domain.Ref, 256)
	go func() { x.ended <- f.d.Watch(watch, f.site, changed) }()
	<-changed // the watch has begun
	return x
}

// told waits until a repair is told, and all is well again.
func (x *drifting) told(t *testing.T, what string) {
	t.Helper()
	x.until(t, x.d.Ref, what+" told as repaired", func(st domain.Status) bool {
		return strings.Contains(strings.Join(st.Evidence, "\n"), "drift repaired: ")
	})
	x.ready(t, x.d)
}

// TestDrift: what was edited or deleted by hand comes back, and is told.
func TestDrift(t *testing.T) {
	x := newDrifting(t)
	x.release(t)
	x.policies(t)
	x.namespace(t)
	x.configuration(t)
	x.reported(t)
	x.end(t, x.d)
}

// release: objects of the chart.
func (x *drifting) release(t *testing.T) {
	ctx, main, name := x.ctx(t), x.m.k.Core.AppsV1().Deployments(x.ns), x.d.Release+"-main"
	if _, err := main.Patch(ctx, name, types.MergePatchType, []byte(`{"spec":{"replicas":3}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	x.told(t, "replicas")
	if dep, err := main.Get(ctx, name, metav1.GetOptions{}); err != nil || *dep.Spec.Replicas != 1 {
		t.Errorf("replicas were not brought back: %v", err)
	}
	if err := main.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	x.told(t, "a deleted Deployment")
	if err := x.m.k.Core.CoreV1().Services(x.ns).Delete(ctx, x.d.Release, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	x.told(t, "a deleted Service")
}

// policies: what is around the release comes back in the same way.
func (x *drifting) policies(t *testing.T) {
	ctx, policies := x.ctx(t), x.m.k.Core.NetworkingV1().NetworkPolicies(x.ns)
	for _, name := range []string{"slice", x.d.Release + "-expose"} {
		if err := policies.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		x.told(t, "the deleted NetworkPolicy "+name)
		if _, err := policies.Get(ctx, name, metav1.GetOptions{}); err != nil {
			t.Errorf("NetworkPolicy %s: %v", name, err)
		}
	}
	before, err := policies.Get(ctx, "slice", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := policies.Patch(ctx, "slice", types.MergePatchType, []byte(`{"spec":{"ingress":[{}]}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	x.told(t, "an opened NetworkPolicy")
	if p, err := policies.Get(ctx, "slice", metav1.GetOptions{}); err != nil || !reflect.DeepEqual(p.Spec, before.Spec) {
		t.Errorf("the policy was not closed again: %v", err)
	}
}

// namespace: its quota and its pod security.
func (x *drifting) namespace(t *testing.T) {
	ctx, quotas, spaces := x.ctx(t), x.m.k.Core.CoreV1().ResourceQuotas(x.ns), x.m.k.Core.CoreV1().Namespaces()
	before, err := quotas.Get(ctx, "slice", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := quotas.Patch(ctx, "slice", types.MergePatchType, []byte(`{"spec":{"hard":{"pods":"9999"}}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	x.m.look.spoken(x.d.Release) // as the minute does
	x.told(t, "a changed quota")
	if q, err := quotas.Get(ctx, "slice", metav1.GetOptions{}); err != nil || !q.Spec.Hard.Pods().Equal(*before.Spec.Hard.Pods()) {
		t.Errorf("the quota was not brought back: %v", err)
	}
	const security = "pod-security.kubernetes.io/enforce"
	strict, err := spaces.Get(ctx, x.ns, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := spaces.Patch(ctx, x.ns, types.MergePatchType, []byte(`{"metadata":{"labels":{"`+security+`":"privileged"}}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	x.m.look.spoken(x.d.Release)
	x.told(t, "a loosened pod security")
	if now, err := spaces.Get(ctx, x.ns, metav1.GetOptions{}); err != nil || now.Labels[security] != strict.Labels[security] {
		t.Errorf("the pod security is %q, was %q: %v", now.Labels[security], strict.Labels[security], err)
	}
}

// configuration: what only the wish knows is told, and applying it again brings
// it back.
func (x *drifting) configuration(t *testing.T) {
	ctx, secrets, name := x.ctx(t), x.m.k.Core.CoreV1().Secrets(x.ns), x.d.Release+"-config"
	if err := secrets.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	x.m.look.spoken(x.d.Release)
	x.until(t, x.d.Ref, "the lost configuration is told", func(st domain.Status) bool {
		return st.Phase == domain.Degraded && strings.Contains(st.Cause, name+" is missing")
	})
	x.d.Generation++
	x.apply(t, x.d)
	x.ready(t, x.d)
	if _, err := secrets.Get(ctx, name, metav1.GetOptions{}); err != nil {
		t.Errorf("the configuration was not brought back: %v", err)
	}
}

// reported: a site whose policy is to tell, and to leave it.
func (x *drifting) reported(t *testing.T) {
	x.site.Connection = json.RawMessage(strings.Replace(string(x.site.Connection), "{", `{"driftPolicy":"report",`, 1))
	x.d.Site = x.site
	m, err := x.fixture.d.member(x.site)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-x.ended; err != nil {
		t.Errorf("a watch whose connection is no longer the site's: %v", err)
	}
	x.stop()
	if _, err := m.k.Core.AppsV1().Deployments(x.ns).Patch(x.ctx(t), x.d.Release+"-main", types.MergePatchType, []byte(`{"spec":{"replicas":2}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	x.until(t, x.d.Ref, "drift reported", func(st domain.Status) bool {
		m.look.spoken(x.d.Release)
		return st.Phase == domain.Degraded && strings.Contains(st.Cause, "spec/replicas is not 1")
	})
}

// TestRootCauses: what a real cluster says of wishes that cannot be fulfilled.
func TestRootCauses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(d *domain.Deployment)
		words  []string
	}{
		"image": {func(d *domain.Deployment) {
			d.Packaging.Chart.Values = json.RawMessage(`{"images":{"main":{"reference":"docker.io/osmoslice/no-such-image:1"}}}`)
		}, []string{"no-such-image:1", "Image"}},
		"room":  {func(d *domain.Deployment) { d.Resources.CPU = 1_000_000 }, []string{"cannot be scheduled", "Insufficient cpu"}},
		"node":  {func(d *domain.Deployment) { d.NodeName = "nowhere" }, []string{"cannot be scheduled", "node"}},
		"probe": {func(d *domain.Deployment) { d.Args = []string{"serve", "127.0.0.1:1"} }, []string{"exit status"}},
		"claim": {func(d *domain.Deployment) {
			d.Packaging.Chart.Values = json.RawMessage(`{"images":{"main":{"reference":"docker.io/osmoslice/testbed-probe:1"}},"storage":{"persistent":true},"storageClass":"no-such-class"}`)
		}, []string{"no-such-class"}},
		"memory": {func(d *domain.Deployment) { d.Args = []string{"read", "/dev/zero"} }, []string{"OOMKilled", "its limit is 32Mi"}},
		"secret": {func(d *domain.Deployment) { d.Args = []string{"read", "very-secret-token"} }, []string{"exit status 1", "•••"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			d := f.Deployment("cause")
			chart := *d.Packaging.Chart
			d.Packaging.Chart = &chart
			c.change(&d)
			d = hashed(d)
			f.apply(t, d)
			st := f.until(t, d.Ref, "a cause with "+strings.Join(c.words, ", "), func(st domain.Status) bool {
				for _, w := range c.words {
					if !strings.Contains(st.Cause, w) {
						return false
					}
				}
				return true
			})
			if strings.Contains(st.Cause, "very-secret-token") {
				t.Errorf("a secret is told: %s", st.Cause)
			}
			t.Logf("%s: %s", st.Phase, st.Cause)
			f.end(t, d)
		})
	}
}

// TestRootCausesBesideTheRelease: a quota of the cluster's owner, and a volume
// that cannot be mounted.
func TestRootCausesBesideTheRelease(t *testing.T) {
	because := func(f *fixture, d domain.Deployment, words ...string) {
		t.Helper()
		st := f.until(t, d.Ref, "a cause with "+strings.Join(words, ", "), func(st domain.Status) bool {
			return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(st.Cause, w) })
		})
		t.Logf("%s: %s", st.Phase, st.Cause)
	}
	t.Run("quota", func(t *testing.T) {
		f := newFixture(t)
		one, two := f.Deployment("fits"), f.Deployment("exceeds")
		f.apply(t, one)
		m, err := f.d.member(f.site)
		if err != nil {
			t.Fatal(err)
		}
		q := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "owner"}, Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"pods": resource.MustParse("1")}}}
		if _, err := m.k.Core.CoreV1().ResourceQuotas(m.namespace(f.slice)).Create(f.ctx(t), q, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		f.ready(t, one)
		f.apply(t, two)
		because(f, two, "cannot make pods", "exceeded quota: owner")
		f.end(t, one, two)
	})
	t.Run("mount", func(t *testing.T) {
		f := newFixture(t)
		d := f.Deployment("mount")
		o := f.o
		o.failpoint = func(point string) {
			if point != "apply:secret" { // it is there, and nothing has mounted it
				return
			}
			m, err := f.d.member(f.site)
			if err == nil {
				err = m.k.Core.CoreV1().Secrets(m.namespace(f.slice)).Delete(f.ctx(t), d.Release+"-config", metav1.DeleteOptions{})
			}
			if err != nil {
				t.Error(err)
			}
		}
		if err := New(o).Apply(f.ctx(t), d); err != nil {
			t.Fatal(err)
		}
		because(f, d, "FailedMount", d.Release+"-config")
		f.end(t, d)
	})
}

// TestIsolation: two slices in one cluster do not reach each other, a slice
// reaches itself, and both are reached from outside.
func TestIsolation(t *testing.T) {
	a, b := newFixture(t), newFixture(t)
	one, two := a.Deployment("isolated"), b.Deployment("isolated")
	a.apply(t, one)
	b.apply(t, two)
	a.ready(t, one)
	b.ready(t, two)
	server := a.see(t, one.Ref)
	address := "http://" + server.pods[0].Status.PodIP + ":20000/"
	service := "http://" + server.services[0].Spec.ClusterIP + ":20000/"
	get := func(f *fixture, name, url string) domain.Deployment {
		d := f.Deployment(name)
		d.Args, d.Ports, d.Probe = []string{"get", url, "3s"}, nil, domain.Probe{}
		d.Env, d.Files = nil, nil
		d = hashed(d)
		f.apply(t, d)
		return d
	}
	inside, foreign, byService := get(a, "inside", address), get(b, "foreign", address), get(b, "service", service)
	ended := func(f *fixture, d domain.Deployment, code int32) {
		t.Helper()
		f.until(t, d.Ref, d.Release+" has ended", func(domain.Status) bool {
			for _, p := range f.see(t, d.Ref).pods {
				for _, c := range p.Status.ContainerStatuses {
					for _, end := range []*corev1.ContainerStateTerminated{c.State.Terminated, c.LastTerminationState.Terminated} {
						if end != nil && end.ExitCode == code {
							return true
						}
						if end != nil && end.ExitCode != code && c.RestartCount > 3 {
							t.Fatalf("%s: exit status %d: %s", d.Release, end.ExitCode, end.Message)
						}
					}
				}
			}
			return false
		})
	}
	ended(a, inside, 0)
	ended(b, foreign, 1)
	ended(b, byService, 1)
	a.end(t, one, inside)
	b.end(t, two, foreign, byService)
}

// TestLostNamespace: somebody removed a slice's namespace; applying again brings
// everything back.
func TestLostNamespace(t *testing.T) {
	f := newFixture(t)
	d := f.Deployment("orphan")
	f.apply(t, d)
	m, err := f.d.member(f.site)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.k.Core.CoreV1().Namespaces().Delete(f.ctx(t), m.namespace(d.Slice), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	d.Generation++
	err = f.d.Apply(f.ctx(t), d)
	for deadline := time.Now().Add(f.Patience()); err != nil && fault.Of(err).Retry != fault.Never && time.Now().Before(deadline); {
		time.Sleep(500 * time.Millisecond)
		err = f.d.Apply(f.ctx(t), d)
	}
	if err != nil {
		t.Fatal(err)
	}
	f.ready(t, d)
	_, err = m.k.Core.CoreV1().Namespaces().Get(f.ctx(t), m.namespace(d.Slice), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		t.Error("ready without a namespace")
	}
	f.end(t, d)
}
