package kubernetes

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/kube"
)

// Observe tells what the cluster says of a deployment, read anew. What was
// changed by hand is brought back on the way, or told, as the site's policy has
// it: the wish in force is durable, so this needs no fence.
func (d *Driver) Observe(ctx context.Context, ref domain.Ref) (domain.Status, error) {
	none := domain.Status{}
	m, err := d.enter(ctx, ref)
	if err != nil {
		return none, err
	}
	r, err := m.read(ctx, ref.Release)
	if err != nil {
		return none, err
	}
	if r == nil || r.Progress != applied {
		return m.unsettled(ctx, r)
	}
	drift, err := m.drift(ctx, r)
	if err != nil {
		return none, err
	}
	s, err := m.see(ctx, r)
	if err != nil {
		return none, err
	}
	st, err := m.judge(ctx, r, s)
	if err != nil {
		return none, err
	}
	drift.tell(&st)
	return st, nil
}

// unsettled is the status without a wish in force.
func (m *member) unsettled(ctx context.Context, r *record) (domain.Status, error) {
	st := domain.Status{Phase: domain.Absent, ObservedAt: time.Now()}
	switch {
	case r == nil:
		st.Evidence = []string{"no record of such a deployment in the cluster"}
	case r.Progress == deleting:
		st.Phase, st.Generation, st.Cause = domain.Degraded, r.Generation, "being deleted"
		st.Evidence = []string{"a deletion has begun and not ended"}
	case r.Progress == applying:
		st.Phase, st.Generation, st.Cause = domain.Pending, r.Generation, r.Cause
		st.Evidence = []string{"an apply has begun and not ended"}
	default:
		return m.farewell(ctx, r, st)
	}
	return st, nil
}

// farewell looks whether anything of a deleted release still runs.
func (m *member) farewell(ctx context.Context, r *record, st domain.Status) (domain.Status, error) {
	if r.Namespace == "" {
		st.Evidence = []string{"deleted before anything was made"}
		return st, nil
	}
	pods, err := m.k.Core.CoreV1().Pods(r.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labelRelease + "=" + r.Release})
	if err != nil {
		return domain.Status{}, kube.Fault(err, "the pods of release %s cannot be listed", r.Release)
	}
	if len(pods.Items) == 0 {
		st.Evidence = []string{fmt.Sprintf("deleted %v ago, no pod is left", age(r.At))}
		return st, nil
	}
	st.Phase, st.Generation, st.Cause = domain.Degraded, r.Generation, "being deleted"
	for _, p := range pods.Items {
		text := "pod " + p.Name + " is ending"
		if p.DeletionTimestamp != nil {
			text += fmt.Sprintf(" since %v on node %s", age(p.DeletionTimestamp.Add(-seconds(p.DeletionGracePeriodSeconds))), p.Spec.NodeName)
		}
		st.Evidence = append(st.Evidence, text)
	}
	return st, nil
}

func seconds(n *int64) time.Duration {
	if n == nil {
		return 0
	}
	return time.Duration(*n) * time.Second
}

// age is how long ago, in whole seconds.
func age(t time.Time) time.Duration { return max(0, time.Since(t)).Truncate(time.Second) }

// seen is what there is of a release at one moment.
type seen struct {
	at          time.Time
	deployments []appsv1.Deployment
	sets        []appsv1.StatefulSet
	daemons     []appsv1.DaemonSet
	pods        []corev1.Pod
	services    []corev1.Service
	claims      []corev1.PersistentVolumeClaim
	events      []corev1.Event    // only where something is not ready
	logs        map[string]string // "pod/container" of those that crashed: last lines
	secrets     []string          // that no cause may hold
}

// see reads the objects of a release side by side.
func (m *member) see(ctx context.Context, r *record) (*seen, error) {
	s := &seen{at: time.Now()}
	opts := metav1.ListOptions{LabelSelector: labelRelease + "=" + r.Release}
	ns, apps, core := r.Namespace, m.k.Core.AppsV1(), m.k.Core.CoreV1()
	kinds := map[string]bool{}
	for _, o := range r.Inventory {
		kinds[o.Kind] = true
	}
	calls := []func() error{
		func() error { l, err := core.Pods(ns).List(ctx, opts); return into(&s.pods, l, err) },
		func() error { l, err := core.Services(ns).List(ctx, opts); return into(&s.services, l, err) },
	}
	if kinds["Deployment"] {
		calls = append(calls, func() error { l, err := apps.Deployments(ns).List(ctx, opts); return into(&s.deployments, l, err) })
	}
	if kinds["StatefulSet"] {
		calls = append(calls, func() error { l, err := apps.StatefulSets(ns).List(ctx, opts); return into(&s.sets, l, err) })
	}
	if kinds["DaemonSet"] {
		calls = append(calls, func() error { l, err := apps.DaemonSets(ns).List(ctx, opts); return into(&s.daemons, l, err) })
	}
	return s, sideBySide(calls, "the objects of release "+r.Release+" cannot be listed")
}

// into takes the items out of a list that was read.
func into[T any, L interface {
	*corev1.PodList | *corev1.ServiceList | *corev1.EventList | *corev1.PersistentVolumeClaimList |
		*appsv1.DeploymentList | *appsv1.StatefulSetList | *appsv1.DaemonSetList
}](to *[]T, list L, err error) error {
	if err != nil {
		return err
	}
	switch l := any(list).(type) {
	case *corev1.PodList:
		*to, _ = any(l.Items).([]T)
	case *corev1.ServiceList:
		*to, _ = any(l.Items).([]T)
	case *corev1.EventList:
		*to, _ = any(l.Items).([]T)
	case *corev1.PersistentVolumeClaimList:
		*to, _ = any(l.Items).([]T)
	case *appsv1.DeploymentList:
		*to, _ = any(l.Items).([]T)
	case *appsv1.StatefulSetList:
		*to, _ = any(l.Items).([]T)
	case *appsv1.DaemonSetList:
		*to, _ = any(l.Items).([]T)
	}
	return nil
}

// sideBySide makes calls at once and answers the first error as a fault.
func sideBySide(calls []func() error, what string) error {
	errs := make(chan error, len(calls))
	for _, call := range calls {
		go func() { errs <- call() }()
	}
	var first error
	for range calls {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return kube.Fault(first, "%s", what)
}

// judge makes a status of what was seen, and finds out why what is not ready is not.
func (m *member) judge(ctx context.Context, r *record, s *seen) (domain.Status, error) {
	addresses, err := m.addresses(ctx, s)
	if err != nil {
		return domain.Status{}, err
	}
	st := s.status(r, addresses)
	if st.Phase == domain.Ready {
		return st, nil
	}
	if !m.puzzling(r, s) {
		return st, nil
	}
	if err := m.investigate(ctx, r, s); err != nil {
		return domain.Status{}, err
	}
	cause := s.cause()
	m.look.explained(r.Release, cause != "")
	if cause != "" && (st.Cause == "" || st.Phase == domain.Failed) {
		st.Cause = blot(cause, s.secrets)
	}
	if st.Phase == domain.Starting && s.hopeless() {
		st.Phase = domain.Failed
	}
	return st, nil
}

// puzzling reports whether a release that is not ready is worth asking why: its
// pods tell of something wrong, there are none, or it has been on its way for
// some time. A start that goes as it should costs the cluster no such questions.
func (m *member) puzzling(r *record, s *seen) bool {
	return s.hopeless() || s.cause() != "" || len(s.pods) == 0 && time.Since(r.At) > time.Second ||
		time.Since(r.At) > explainAfter && m.look.unexplained(r.Release)
}

// investigate reads what explains a release that is not ready: events, claims,
// and the last words of containers that ended.
func (m *member) investigate(ctx context.Context, r *record, s *seen) error {
	core := m.k.Core.CoreV1()
	calls := []func() error{
		func() error {
			l, err := core.Events(r.Namespace).List(ctx, metav1.ListOptions{FieldSelector: "type=Warning", Limit: 500})
			return into(&s.events, l, err)
		},
		func() error {
			l, err := core.PersistentVolumeClaims(r.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/instance=" + r.Release})
			return into(&s.claims, l, err)
		},
		func() error { s.logs = m.lastWords(ctx, s.pods); return nil },
		func() (err error) { s.secrets, err = m.secretsOf(ctx, r); return err },
	}
	return sideBySide(calls, "the reasons of release "+r.Release+" cannot be read")
}
