package kubernetes

import (
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/osmoslice/osmoslice/internal/domain"
)

// workload is how far one Deployment, StatefulSet or DaemonSet has come.
type workload struct {
	name            string // "Deployment gateway"
	want, available int32
	current         bool // the rollout of the wish has ended
	once            bool // and everything was ready then
	late            bool // the rollout's deadline has passed
	since           time.Time
}

func (w workload) ready() bool { return w.current && w.available >= w.want }

func (w workload) String() string {
	text := fmt.Sprintf("%s: %d of %d ready", w.name, w.available, w.want)
	if !w.current {
		text += ", rolling out"
	}
	if !w.since.IsZero() {
		text += fmt.Sprintf(", for %v", age(w.since))
	}
	return text
}

func one(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}

func deployment(d *appsv1.Deployment) workload {
	st := d.Status
	w := workload{name: "Deployment " + d.Name, want: one(d.Spec.Replicas), available: st.AvailableReplicas}
	w.current = st.ObservedGeneration >= d.Generation && st.UpdatedReplicas >= w.want && st.Replicas == st.UpdatedReplicas
	for _, c := range st.Conditions {
		switch c.Type {
		case appsv1.DeploymentProgressing:
			w.late = c.Reason == "ProgressDeadlineExceeded"
			w.once = c.Reason == "NewReplicaSetAvailable" && w.current
		case appsv1.DeploymentAvailable:
			w.since = c.LastTransitionTime.Time
		}
	}
	return w
}

func statefulSet(s *appsv1.StatefulSet) workload {
	st := s.Status
	w := workload{name: "StatefulSet " + s.Name, want: one(s.Spec.Replicas), available: st.AvailableReplicas}
	w.current = st.ObservedGeneration >= s.Generation && st.UpdatedReplicas >= w.want && st.Replicas == w.want
	w.once = st.ObservedGeneration >= s.Generation && st.CurrentRevision == st.UpdateRevision && st.CurrentRevision != "" && st.CurrentReplicas >= w.want
	return w
}

func daemonSet(d *appsv1.DaemonSet) workload {
	st := d.Status
	w := workload{name: "DaemonSet " + d.Name, want: st.DesiredNumberScheduled, available: st.NumberAvailable}
	w.current = st.ObservedGeneration >= d.Generation && st.UpdatedNumberScheduled >= w.want
	w.once = w.current && st.NumberAvailable >= w.want
	return w
}

func (s *seen) workloads() []workload {
	var out []workload
	for i := range s.deployments {
		out = append(out, deployment(&s.deployments[i]))
	}
	for i := range s.sets {
		out = append(out, statefulSet(&s.sets[i]))
	}
	for i := range s.daemons {
		out = append(out, daemonSet(&s.daemons[i]))
	}
	return out
}

// missing lists what the inventory has and the cluster has not, of the kinds
// that are always looked at.
func (s *seen) missing(r *record) []string {
	there := map[object]bool{}
	for i := range s.deployments {
		there[object{"Deployment", s.deployments[i].Name}] = true
	}
	for i := range s.sets {
		there[object{"StatefulSet", s.sets[i].Name}] = true
	}
	for i := range s.daemons {
		there[object{"DaemonSet", s.daemons[i].Name}] = true
	}
	for i := range s.services {
		there[object{"Service", s.services[i].Name}] = true
	}
	var out []string
	for _, o := range r.Inventory {
		switch o.Kind {
		case "Deployment", "StatefulSet", "DaemonSet", "Service":
			if !there[o] {
				out = append(out, o.Kind+" "+o.Name+" is missing")
			}
		}
	}
	return out
}

// status judges what was seen; it asks nobody.
func (s *seen) status(r *record, addresses addresses) domain.Status {
	st := domain.Status{Generation: r.Generation, Hash: r.Hash, Node: s.node(r), ObservedAt: s.at, Phase: domain.Ready}
	var waiting []string
	st.Endpoints, waiting = endpoints(s.services, r.Ports, addresses)
	once, late := true, false
	for _, w := range s.workloads() {
		st.Evidence = append(st.Evidence, w.String())
		once, late = once && w.once, late || w.late
		if !w.ready() {
			st.Phase = domain.Starting
		}
	}
	if missing := s.missing(r); len(missing) > 0 {
		st.Phase, st.Cause, once = domain.Degraded, strings.Join(missing, ", "), true
	}
	if st.Phase == domain.Ready && len(waiting) > 0 {
		st.Phase, st.Cause = domain.Starting, waiting[0]
	}
	for i := range s.pods {
		p := &s.pods[i]
		for _, c := range p.Status.ContainerStatuses {
			st.Restarts += int(c.RestartCount)
		}
		if podReady(p) {
			st.Evidence = append(st.Evidence, fmt.Sprintf("pod %s ready on node %s since %v", p.Name, p.Spec.NodeName, age(readySince(p))))
		}
	}
	switch {
	case st.Phase == domain.Starting && once && len(waiting) == 0:
		st.Phase = domain.Degraded
	case st.Phase == domain.Starting && late:
		st.Phase = domain.Failed
	}
	if st.Phase == domain.Starting && len(s.pods) > 0 && !s.scheduled() {
		st.Phase = domain.Pending
	}
	return st
}

// scheduled reports whether any pod has a node.
func (s *seen) scheduled() bool {
	for i := range s.pods {
		if s.pods[i].Spec.NodeName != "" {
			return true
		}
	}
	return false
}

// node is where the release runs: of a ready pod, else of any that has one.
func (s *seen) node(r *record) string {
	node := ""
	for i := range s.pods {
		p := &s.pods[i]
		if p.Spec.NodeName == "" || p.DeletionTimestamp != nil {
			continue
		}
		if podReady(p) {
			return p.Spec.NodeName
		}
		if node == "" {
			node = p.Spec.NodeName
		}
	}
	return firstNonEmpty(node, r.Node)
}

func podReady(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue && p.DeletionTimestamp == nil
		}
	}
	return false
}

func readySince(p *corev1.Pod) time.Time {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.LastTransitionTime.Time
		}
	}
	return time.Now()
}
