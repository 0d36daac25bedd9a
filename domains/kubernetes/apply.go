package kubernetes

import (
	"context"
	"errors"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/kube"
	"github.com/osmoslice/osmoslice/internal/kube/helm"
)

// Apply makes the cluster run the deployment. It returns when every object of
// the release is there; whether it is ready is Observe's answer.
func (d *Driver) Apply(ctx context.Context, dep domain.Deployment) error {
	m, err := d.enter(ctx, dep.Ref)
	if err != nil {
		return err
	}
	w, refused := m.plan(dep)
	h, err := m.hold(ctx, 0, dep.Ref, func(r *record) {
		inForce := r.Progress == applied && r.Hash == dep.Hash
		if refused == nil && !inForce && r.Progress != deleting {
			w.intend(r, applying)
		}
	})
	if err != nil {
		return err
	}
	d.o.failpoint("apply:intent")
	if refused != nil { // the fence has risen all the same
		return h.end(refused, func(*record) {})
	}
	if h.before != nil && h.before.Progress == applied && h.before.Hash == dep.Hash {
		if lost, err := m.keep(h.ctx, h.r); !lost {
			return h.end(err, func(*record) {})
		}
	}
	inventory, err := m.bring(h, w)
	cause := ""
	if err != nil {
		cause = fault.Of(err).Error()
	}
	return h.end(err, func(r *record) {
		r.Cause = cause
		if err == nil {
			w.intend(r, applied)
			r.Inventory, r.Cause = inventory, ""
			m.look.forget(dep.Release)
		}
	})
}

func firstNonEmpty(s ...string) string {
	i := slices.IndexFunc(s, func(v string) bool { return v != "" })
	if i < 0 {
		return ""
	}
	return s[i]
}

// intend writes the wish into a record.
func (w *wish) intend(r *record, p progress) {
	d := w.dep
	n := int64(max(d.Replicas, 1))
	r.Progress, r.Hash, r.Slice, r.Element, r.Namespace, r.Tenant = p, d.Hash, d.Slice, d.Element, w.namespace, d.Tenant
	r.Node, r.Chart, r.Ports = firstNonEmpty(d.NodeName, d.Node), w.chart.Name+"-"+w.chart.Version, d.Ports
	r.Resources = domain.Resources{CPU: n * d.Resources.CPU, Memory: n * d.Resources.Memory, Storage: n * d.Resources.Storage}
}

// keep sees to a wish that is in force: what is missing is brought back, what
// has failed is started afresh. Nothing else is touched. lost tells that the
// release as a whole has gone, with its namespace perhaps.
func (m *member) keep(ctx context.Context, r *record) (lost bool, err error) {
	ns, err := m.k.Core.CoreV1().Namespaces().Get(ctx, r.Namespace, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && ns.DeletionTimestamp != nil {
		return true, nil
	}
	if err != nil {
		return false, kube.Fault(err, "namespace %s cannot be read", r.Namespace)
	}
	d, err := m.deviation(ctx, r)
	switch {
	case fault.Is(err, fault.NotFound), err == nil && d.lost:
		return true, nil
	case err == nil && len(d.found) > 0:
		err = m.mend(ctx, r, d)
	}
	if err != nil {
		return false, err
	}
	return false, m.restart(ctx, r)
}

// restart starts the pods of a release that has failed afresh.
func (m *member) restart(ctx context.Context, r *record) error {
	s, err := m.see(ctx, r)
	if err != nil {
		return err
	}
	if st, err := m.judge(ctx, r, s); err != nil || st.Phase != domain.Failed {
		return err
	}
	for _, p := range s.pods {
		if podReady(&p) {
			continue
		}
		if err := m.k.Core.CoreV1().Pods(p.Namespace).Delete(ctx, p.Name, metav1.DeleteOptions{}); err != nil {
			return kube.Fault(err, "pod %s cannot be started afresh", p.Name)
		}
	}
	return nil
}

// bring does the work. Every step can be repeated.
func (m *member) bring(h *hold, w *wish) ([]object, error) {
	ctx, cancel := context.WithTimeout(h.ctx, m.c.helmTimeout())
	defer cancel()
	if h.before != nil && h.before.Progress == deleting { // finish what was begun
		if err := m.remove(ctx, h.before); err != nil {
			return nil, err
		}
		if err := h.save(ctx, func(r *record) { w.intend(r, applying) }); err != nil {
			return nil, err
		}
	}
	ns, err := m.reserve(ctx, w)
	if err != nil {
		return nil, err
	}
	m.d.o.failpoint("apply:namespace")
	if err := sideBySide([]func() error{
		func() error { return m.furnish(ctx, ns, w.labels, w.pull) },
		func() error { return m.configure(ctx, w) },
	}, "namespace "+w.namespace+" cannot be made ready"); err != nil {
		return nil, err
	}
	m.d.o.failpoint("apply:secret")
	out, err := m.helm.Converge(ctx, helm.Wish{Name: w.dep.Release, Namespace: w.namespace, Chart: w.chart, Values: w.values, Labels: w.labels})
	m.recovered(w.dep.Release, out)
	if err != nil {
		return nil, original(err, out.Cause)
	}
	m.d.o.failpoint("apply:release")
	return m.expose(ctx, w, out.Manifest)
}

// original keeps the first cause of a release that failed before.
func original(err error, cause string) error {
	f := fault.Of(err)
	if cause == "" || strings.Contains(f.Error(), cause) {
		return err
	}
	return fault.New(f.Kind, "%s; first: %s", f.Detail, cause).Because(errors.Unwrap(f)).Retrying(f.Retry)
}

// recovered logs what had to be put right.
func (m *member) recovered(release string, out helm.Outcome) {
	for _, s := range out.Steps {
		if s.Action == helm.Unlock || s.Action == helm.Purge || s.Action == helm.Rollback {
			m.d.o.Logger.Info("release recovered", "release", release, "site", m.site.Name, "action", string(s.Action), "reason", s.Reason)
		}
	}
}

// configure writes the configuration Secret, before anything that reads it.
func (m *member) configure(ctx context.Context, w *wish) error {
	_, err := m.applyOne(ctx, &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: w.secretName(), Namespace: w.namespace, Labels: ours(w.labels)},
		Type:       corev1.SecretTypeOpaque, Data: w.secret,
	})
	return err
}

// ours are the labels of what the driver makes beside the chart.
func ours(labels map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range labels {
		out[k] = v
	}
	out["app.kubernetes.io/managed-by"] = kube.FieldOwner
	return out
}

func (m *member) applyOne(ctx context.Context, o runtime.Object) (*unstructured.Unstructured, error) {
	u, err := plain(o)
	if err != nil {
		return nil, err
	}
	return m.k.Apply(ctx, u)
}

// expose lets the outside in where the release's Services say so, and answers
// the inventory of its objects.
func (m *member) expose(ctx context.Context, w *wish, manifest string) ([]object, error) {
	objects, err := kube.Objects(manifest)
	if err != nil {
		return nil, err
	}
	inventory := make([]object, 0, len(objects))
	for i := range objects {
		inventory = append(inventory, object{Kind: objects[i].GetKind(), Name: objects[i].GetName()})
	}
	services, err := servicesOf(objects)
	if err != nil {
		return nil, err
	}
	n, err := m.networks(ctx)
	if err != nil {
		return nil, err
	}
	return inventory, m.applyAll(ctx, openings(n, services, w.namespace, ours(w.labels)))
}
