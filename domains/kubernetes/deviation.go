package kubernetes

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/kube"
)

// deviation is how the cluster differs from what is in force for a release.
type deviation struct {
	found []kube.Difference
	// release: an object of Helm's record is concerned. around are the objects
	// that the driver put beside it, as they shall be. lost: the configuration is
	// gone, which only who knows it can bring back.
	release bool
	around  []*unstructured.Unstructured
	lost    bool
}

// deviation compares what belongs to a release with what it should be: every
// object of Helm's record, and what the driver has put around it. A release that
// Helm does not know is NotFound.
func (m *member) deviation(ctx context.Context, r *record) (deviation, error) {
	manifest, _, err := m.helm.Manifest(ctx, r.Namespace, r.Release)
	if err != nil {
		return deviation{}, err
	}
	objects, err := kube.Objects(manifest)
	if err != nil {
		return deviation{}, err
	}
	around, err := m.around(ctx, r, objects)
	if err != nil {
		return deviation{}, err
	}
	all := make([]*unstructured.Unstructured, 0, len(objects)+len(around))
	for i := range objects {
		all = append(all, &objects[i])
	}
	all = append(all, around...)
	parts := make([][]kube.Difference, len(all))
	calls := make([]func() error, len(all))
	for i := range all {
		calls[i] = func() error {
			live, err := m.k.Live(ctx, all[i])
			if err != nil {
				return err
			}
			parts[i], err = kube.Compare(all[i], live, m.c.DriftIgnore)
			return err
		}
	}
	if err := sideBySide(calls, "the objects of release "+r.Release+" cannot be compared"); err != nil {
		return deviation{}, err
	}
	var d deviation
	for i, p := range parts {
		d.found = append(d.found, p...)
		switch {
		case len(p) == 0:
		case i < len(objects):
			d.release = true
		case all[i].GetKind() == "Secret" && all[i].GetName() != pullSecretName:
			d.lost = true
		default:
			d.around = append(d.around, all[i])
		}
	}
	return d, nil
}

// around is what the driver has put beside a release: the rules of its
// namespace, the namespace's furniture, the openings of its Services, and its
// configuration (that it is there). While somebody works in the namespace there
// is nothing to hold it to but the release's own.
func (m *member) around(ctx context.Context, r *record, objects []unstructured.Unstructured) ([]*unstructured.Unstructured, error) {
	ns, err := m.k.Core.CoreV1().Namespaces().Get(ctx, r.Namespace, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && ns.DeletionTimestamp != nil {
		return nil, nil // the release's own objects tell that
	}
	if err != nil {
		return nil, kube.Fault(err, "namespace %s cannot be read", r.Namespace)
	}
	n, err := m.networks(ctx)
	if err != nil {
		return nil, err
	}
	labels := map[string]string{labelSite: labelValue(m.site.ID), labelSlice: labelValue(r.Slice), labelTenant: firstNonEmpty(labelValue(r.Tenant), ns.Labels[labelTenant])}
	services, err := servicesOf(objects)
	if err != nil {
		return nil, err
	}
	own := map[string]string{"app.kubernetes.io/instance": r.Release, labelRelease: r.Release, labelElement: labelValue(r.Element)}
	for k, v := range labels {
		own[k] = v
	}
	wanted := openings(n, services, r.Namespace, ours(own))
	wanted = append(wanted, &corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: r.Release + "-config", Namespace: r.Namespace}})
	rs, err := m.list(ctx, labelSpace+"="+r.Namespace+","+labelState+"=live")
	if err != nil {
		return nil, err
	}
	if settled(rs) {
		var pull []byte
		if p := m.c.PullSecret; p != "" {
			pull = m.site.Secrets[p]
		}
		wanted = append(wanted, furniture(n, rs, r.Namespace, furnitureLabels(labels), pull)...)
		wanted = append(wanted, &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
			ObjectMeta: metav1.ObjectMeta{Name: r.Namespace, Labels: spaceLabels(labels)}})
	}
	out := make([]*unstructured.Unstructured, 0, len(wanted))
	for _, o := range wanted {
		u, err := plain(o)
		if err != nil {
			return nil, err
		}
		unstructured.RemoveNestedField(u.Object, "spec", "finalizers")
		out = append(out, u)
	}
	return out, nil
}

// settled reports whether nobody works on any of the releases.
func settled(rs []*record) bool {
	for _, r := range rs {
		if r.Progress != applied || r.Holder != "" {
			return false
		}
	}
	return true
}

// servicesOf are the Services among objects.
func servicesOf(objects []unstructured.Unstructured) ([]corev1.Service, error) {
	var out []corev1.Service
	for i := range objects {
		u := &objects[i]
		if u.GetKind() != "Service" {
			continue
		}
		var s corev1.Service
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &s); err != nil {
			return nil, fault.New(fault.Invalid, "the chart's Service %s is not a proper object", u.GetName()).Because(err)
		}
		out = append(out, s)
	}
	return out, nil
}

// mend brings back what a deviation names.
func (m *member) mend(ctx context.Context, r *record, d deviation) error {
	if d.release {
		if err := m.helm.Repair(ctx, r.Namespace, r.Release); err != nil {
			return err
		}
	}
	calls := make([]func() error, len(d.around))
	for i, u := range d.around {
		calls[i] = func() error { _, err := m.k.Apply(ctx, u); return err }
	}
	if err := sideBySide(calls, "what is around release "+r.Release+" cannot be brought back"); err != nil {
		return err
	}
	if d.lost {
		return fault.New(fault.Conflict, "the configuration of release %s is gone; only applying it again brings it back", r.Release)
	}
	return nil
}
