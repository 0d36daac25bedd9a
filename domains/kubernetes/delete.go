package kubernetes

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/kube"
)

// Delete removes a release and all that belongs to it; what is absent leaves
// only its generation behind. Pods end in the background.
func (d *Driver) Delete(ctx context.Context, ref domain.Ref) error {
	m, err := d.enter(ctx, ref)
	if err != nil {
		return err
	}
	h, err := m.hold(ctx, 0, ref, func(r *record) {
		if r.Progress != deleted {
			r.Progress, r.Hash = deleting, ""
		}
	})
	if err != nil {
		return err
	}
	d.o.failpoint("delete:intent")
	if h.r.Progress == deleted { // perhaps killed before it tidied up
		namespace := h.r.Namespace
		if err := h.end(nil, func(*record) {}); err != nil || namespace == "" {
			return err
		}
		return m.tidy(ctx, namespace)
	}
	run, cancel := context.WithTimeout(h.ctx, m.c.helmTimeout())
	err = m.remove(run, h.r)
	cancel()
	d.o.failpoint("delete:removed")
	namespace := h.r.Namespace
	err = h.end(err, func(r *record) {
		if err == nil {
			*r = record{Release: r.Release, Slice: r.Slice, Element: r.Element, Namespace: r.Namespace, Generation: r.Generation,
				Progress: deleted, At: time.Now().UTC(), version: r.version}
		}
	})
	m.look.forget(ref.Release)
	if err != nil {
		return err
	}
	d.o.failpoint("delete:buried")
	return m.tidy(ctx, namespace)
}

// swept are the kinds that a release may have left, whatever Helm's record says
// of it: those of charts, and what the driver made beside.
var swept = []schema.GroupVersionResource{
	{Group: "apps", Version: "v1", Resource: "deployments"}, {Group: "apps", Version: "v1", Resource: "statefulsets"},
	{Group: "apps", Version: "v1", Resource: "daemonsets"}, {Group: "batch", Version: "v1", Resource: "jobs"},
	{Version: "v1", Resource: "configmaps"}, {Version: "v1", Resource: "secrets"}, {Version: "v1", Resource: "persistentvolumeclaims"},
	{Version: "v1", Resource: "serviceaccounts"}, {Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"},
	{Group: "policy", Version: "v1", Resource: "poddisruptionbudgets"},
}

// remove takes a release and everything with its label away. It may be repeated.
func (m *member) remove(ctx context.Context, r *record) error {
	if r.Namespace == "" {
		return nil // the wish was refused before anything was made
	}
	if err := m.helm.Remove(ctx, r.Namespace, r.Release); err != nil {
		return err
	}
	m.d.o.failpoint("delete:release")
	errs := make(chan error, len(swept)+1)
	background := metav1.DeletePropagationBackground
	for _, kind := range swept {
		go func() {
			err := m.k.Dynamic.Resource(kind).Namespace(r.Namespace).DeleteCollection(ctx, metav1.DeleteOptions{PropagationPolicy: &background},
				metav1.ListOptions{LabelSelector: "app.kubernetes.io/instance=" + r.Release})
			if apierrors.IsNotFound(err) {
				err = nil
			}
			errs <- kube.Fault(err, "%s of release %s cannot be removed", kind.Resource, r.Release)
		}()
	}
	go func() { errs <- m.sweepServices(ctx, r) }()
	var first error
	for range len(swept) + 1 {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// sweepServices removes Services one by one: older clusters delete no
// collection of them.
func (m *member) sweepServices(ctx context.Context, r *record) error {
	api := m.k.Core.CoreV1().Services(r.Namespace)
	left, err := api.List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/instance=" + r.Release})
	if err != nil {
		return kube.Fault(err, "services of release %s cannot be listed", r.Release)
	}
	for _, s := range left.Items {
		if err := api.Delete(ctx, s.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return kube.Fault(err, "service %s cannot be removed", s.Name)
		}
	}
	return nil
}

// tidy removes a slice's namespace with its last release, and tombstones that
// have served their time.
func (m *member) tidy(ctx context.Context, namespace string) error {
	if namespace != "" {
		if err := m.vacate(ctx, namespace); err != nil {
			return err
		}
	}
	old, err := m.list(ctx, labelState+"=deleted")
	if err != nil {
		return err
	}
	for _, r := range old {
		if time.Since(r.At) < FenceKept {
			continue
		}
		pre := &metav1.Preconditions{ResourceVersion: &r.version}
		err := m.k.Core.CoreV1().ConfigMaps(m.records()).Delete(ctx, r.Release, metav1.DeleteOptions{Preconditions: pre})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return kube.Fault(err, "an old record cannot be removed")
		}
	}
	return nil
}

// vacate removes a namespace that holds no release. One that was touched since
// it was looked at is looked at again: by an Apply, whose record is there then,
// or by the end of a neighbour.
func (m *member) vacate(ctx context.Context, namespace string) error {
	for {
		if err := m.tryVacate(ctx, namespace); !apierrors.IsConflict(err) {
			return kube.Fault(err, "namespace %s cannot be removed", namespace)
		}
	}
}

func (m *member) tryVacate(ctx context.Context, namespace string) error {
	api := m.k.Core.CoreV1().Namespaces()
	ns, err := api.Get(ctx, namespace, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && ns.DeletionTimestamp != nil {
		return nil
	}
	if err != nil {
		return kube.Fault(err, "namespace %s cannot be read", namespace)
	}
	// Of every site: two infrastructures may be the same cluster.
	left, err := m.k.Core.CoreV1().ConfigMaps(m.records()).List(ctx, metav1.ListOptions{LabelSelector: labelSpace + "=" + namespace + "," + labelState + "=live", Limit: 1})
	if err != nil {
		return kube.Fault(err, "the records cannot be listed")
	}
	if len(left.Items) > 0 {
		return m.shrink(ctx, ns)
	}
	err = api.Delete(ctx, namespace, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &ns.UID, ResourceVersion: &ns.ResourceVersion}})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// shrink fits the quota to the releases that stay.
func (m *member) shrink(ctx context.Context, ns *corev1.Namespace) error {
	var pull []byte
	if p := m.c.PullSecret; p != "" {
		pull = m.site.Secrets[p]
	}
	return m.furnish(ctx, ns, ns.Labels, pull)
}
