package kubernetes

import (
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// finding is one thing that is wrong. A lower rank is nearer to the root: a pod
// that cannot be placed makes others crash, not the other way round.
type finding struct {
	rank int
	at   time.Time
	text string
}

// The ranks, from the root up.
const (
	rankQuota = iota
	rankClaim
	rankSchedule
	rankNode
	rankMount
	rankImage
	rankConfig
	rankMemory
	rankCrash
	rankProbe
)

// cause is the first root cause of what is not ready, "" when nothing tells one.
func (s *seen) cause() string {
	var all []finding
	for i := range s.deployments {
		all = append(all, s.denied(&s.deployments[i])...)
	}
	all = append(all, s.refusals()...)
	for i := range s.claims {
		all = append(all, s.claim(&s.claims[i])...)
	}
	for i := range s.pods {
		p := &s.pods[i]
		if podReady(p) || p.DeletionTimestamp != nil && p.Status.Reason != "NodeLost" || p.Status.Phase == corev1.PodSucceeded {
			continue
		}
		all = append(all, s.pod(p)...)
	}
	if len(all) == 0 {
		return ""
	}
	slices.SortStableFunc(all, func(a, b finding) int {
		if a.rank != b.rank {
			return a.rank - b.rank
		}
		return a.at.Compare(b.at)
	})
	return all[0].text
}

// denied finds why a Deployment makes no pods.
func (s *seen) denied(d *appsv1.Deployment) []finding {
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue {
			return []finding{{rankQuota, c.LastTransitionTime.Time, "Deployment " + d.Name + " cannot make pods: " + c.Message}}
		}
	}
	return nil
}

// refusals finds why StatefulSets and DaemonSets make no pods: only events say.
func (s *seen) refusals() []finding {
	var out []finding
	for _, e := range s.events {
		o := e.InvolvedObject
		if e.Reason != "FailedCreate" || o.Kind != "StatefulSet" && o.Kind != "DaemonSet" {
			continue
		}
		for _, w := range s.workloads() {
			if w.name == o.Kind+" "+o.Name && !w.ready() {
				out = append(out, finding{rankQuota, eventTime(&e), w.name + " cannot make pods: " + e.Message})
			}
		}
	}
	return out
}

func (s *seen) claim(c *corev1.PersistentVolumeClaim) []finding {
	if c.Status.Phase != corev1.ClaimPending {
		return nil
	}
	for _, e := range s.about("PersistentVolumeClaim", c.Name) {
		if e.Reason != "WaitForFirstConsumer" {
			return []finding{{rankClaim, c.CreationTimestamp.Time, fmt.Sprintf("volume claim %s is pending: %s", c.Name, e.Message)}}
		}
	}
	if c.Spec.StorageClassName == nil {
		return []finding{{rankClaim, c.CreationTimestamp.Time, fmt.Sprintf("volume claim %s is pending: it names no storage class and the cluster has no default", c.Name)}}
	}
	return nil
}

// about lists the warnings about an object, oldest first.
func (s *seen) about(kind, name string) []corev1.Event {
	var out []corev1.Event
	for _, e := range s.events {
		if e.InvolvedObject.Kind == kind && e.InvolvedObject.Name == name {
			out = append(out, e)
		}
	}
	slices.SortStableFunc(out, func(a, b corev1.Event) int { return eventTime(&a).Compare(eventTime(&b)) })
	return out
}

func eventTime(e *corev1.Event) time.Time {
	for _, t := range []time.Time{e.FirstTimestamp.Time, e.EventTime.Time, e.CreationTimestamp.Time} {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

// pod finds what keeps a pod from being ready.
func (s *seen) pod(p *corev1.Pod) []finding {
	name, born := "pod "+p.Name, p.CreationTimestamp.Time
	for _, c := range p.Status.Conditions {
		switch {
		case c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse:
			return []finding{{rankSchedule, born, name + " cannot be scheduled: " + c.Message}}
		case c.Type == corev1.PodReady && c.Reason == "NodeNotReady", p.Status.Reason == "NodeLost":
			return []finding{{rankNode, born, fmt.Sprintf("node %s of %s does not answer", p.Spec.NodeName, name)}}
		}
	}
	if p.Status.Phase == corev1.PodFailed && p.Status.Reason != "" {
		return []finding{{rankNode, born, fmt.Sprintf("%s was ended: %s: %s", name, p.Status.Reason, p.Status.Message)}}
	}
	for _, statuses := range [][]corev1.ContainerStatus{p.Status.InitContainerStatuses, p.Status.ContainerStatuses} {
		for i := range statuses {
			if f := s.container(p, &statuses[i]); f != nil {
				return []finding{*f}
			}
		}
	}
	return s.unhealthy(p)
}

var imageReasons = []string{"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError", "RegistryUnavailable"}

func (s *seen) container(p *corev1.Pod, c *corev1.ContainerStatus) *finding {
	name := fmt.Sprintf("container %s of pod %s", c.Name, p.Name)
	born := p.CreationTimestamp.Time
	if t := c.LastTerminationState.Terminated; t != nil && c.State.Running == nil {
		return s.ended(p, c, t)
	}
	if t := c.State.Terminated; t != nil && t.ExitCode != 0 {
		return s.ended(p, c, t)
	}
	w := c.State.Waiting
	if w == nil {
		if t := c.LastTerminationState.Terminated; t != nil && !c.Ready {
			return s.ended(p, c, t)
		}
		return nil
	}
	switch {
	case slices.Contains(imageReasons, w.Reason):
		why := w.Message
		for _, e := range s.about("Pod", p.Name) {
			if e.Reason == "Failed" || e.Reason == "InspectFailed" || e.Reason == "ErrImageNeverPull" {
				why = e.Message
				break
			}
		}
		return &finding{rankImage, born, fmt.Sprintf("%s: image %s: %s: %s", name, c.Image, w.Reason, why)}
	case w.Reason == "ContainerCreating", w.Reason == "PodInitializing":
		for _, e := range s.about("Pod", p.Name) {
			if e.Reason == "FailedMount" || e.Reason == "FailedAttachVolume" || e.Reason == "FailedCreatePodSandBox" {
				return &finding{rankMount, born, fmt.Sprintf("pod %s: %s: %s", p.Name, e.Reason, e.Message)}
			}
		}
		return nil
	case w.Reason != "":
		return &finding{rankConfig, born, fmt.Sprintf("%s: %s: %s", name, w.Reason, w.Message)}
	}
	return nil
}

// ended tells how a container that does not run any more ended.
func (s *seen) ended(p *corev1.Pod, c *corev1.ContainerStatus, t *corev1.ContainerStateTerminated) *finding {
	name := fmt.Sprintf("container %s of pod %s", c.Name, p.Name)
	if t.Reason == "OOMKilled" {
		limit := ""
		for _, spec := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
			if q, ok := spec.Resources.Limits[corev1.ResourceMemory]; ok && spec.Name == c.Name {
				limit = ", its limit is " + q.String()
			}
		}
		return &finding{rankMemory, t.StartedAt.Time, name + " was killed for want of memory (OOMKilled)" + limit}
	}
	text := fmt.Sprintf("%s ended with exit status %d", name, t.ExitCode)
	if t.Signal != 0 {
		text = fmt.Sprintf("%s was ended by signal %d", name, t.Signal)
	}
	if t.Reason != "" && t.Reason != "Error" && t.Reason != "Completed" {
		text += " (" + t.Reason + ")"
	}
	if c.RestartCount > 0 {
		text += fmt.Sprintf(", restarted %d times", c.RestartCount)
	}
	if last := firstNonEmpty(strings.TrimSpace(t.Message), s.logs[p.Name+"/"+c.Name]); last != "" {
		text += ": " + last
	}
	return &finding{rankCrash, t.StartedAt.Time, text}
}

// unhealthy tells what a probe saw of a pod that runs and is not ready.
func (s *seen) unhealthy(p *corev1.Pod) []finding {
	for _, e := range s.about("Pod", p.Name) {
		if e.Reason == "Unhealthy" {
			return []finding{{rankProbe, eventTime(&e), fmt.Sprintf("pod %s is not ready: %s", p.Name, e.Message)}}
		}
	}
	return nil
}

// hopelessStarts is after how many ends without once being ready only a new
// Apply can help.
const hopelessStarts = 6

// hopeless reports whether a container crashes again and again.
func (s *seen) hopeless() bool {
	for i := range s.pods {
		for _, c := range slices.Concat(s.pods[i].Status.InitContainerStatuses, s.pods[i].Status.ContainerStatuses) {
			if c.RestartCount >= hopelessStarts && !c.Ready && c.LastTerminationState.Terminated != nil {
				return true
			}
		}
	}
	return false
}
