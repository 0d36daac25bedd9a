package kubernetes

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var born = metav1.NewTime(time.Now().Add(-time.Minute))

func aPod(name string, statuses ...corev1.ContainerStatus) corev1.Pod {
	p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: born}, Spec: corev1.PodSpec{NodeName: "n1"},
		Status: corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: statuses}}
	for _, c := range statuses {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: c.Name, Image: c.Image,
			Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"memory": resource.MustParse("64Mi")}}})
	}
	return p
}

func waiting(reason, message string) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: "main", Image: "x:1", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
}

// crashed waits for its next start after it ended.
func crashed(reason string, code, restarts int32, message string) corev1.ContainerStatus {
	c := waiting("CrashLoopBackOff", "back-off 40s restarting failed container")
	c.RestartCount = restarts
	c.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{Reason: reason, ExitCode: code, Message: message, StartedAt: born}
	return c
}

func warning(kind, name, reason, message string, after time.Duration) corev1.Event {
	return corev1.Event{InvolvedObject: corev1.ObjectReference{Kind: kind, Name: name}, Reason: reason, Message: message,
		FirstTimestamp: metav1.NewTime(born.Add(after))}
}

func condition(p corev1.Pod, c corev1.PodCondition) corev1.Pod {
	p.Status.Conditions = append(p.Status.Conditions, c)
	return p
}

// TestCause: what a cluster tells of a release that is not ready, and the one
// root cause that is told of it.
func TestCause(t *testing.T) {
	unscheduled := condition(aPod("a"), corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/1 nodes are available: 1 Insufficient memory."})
	lost := condition(aPod("a", corev1.ContainerStatus{Name: "main"}), corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse, Reason: "NodeNotReady"})
	evicted := aPod("a")
	evicted.Status.Phase, evicted.Status.Reason, evicted.Status.Message = corev1.PodFailed, "Evicted", "The node was low on resource: memory."
	initial := aPod("a", waiting("PodInitializing", ""))
	initial.Status.InitContainerStatuses = []corev1.ContainerStatus{crashed("Error", 7, 2, "no database")}
	ready := condition(aPod("b", corev1.ContainerStatus{Name: "main", Ready: true}), corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue})
	running := aPod("a", corev1.ContainerStatus{Name: "main", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}})
	pendingClaim := corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data", CreationTimestamp: born}, Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending}}
	named := pendingClaim
	class := "local"
	named.Spec.StorageClassName = &class
	denied := appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "gw"}}
	denied.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: `pods "gw" is forbidden: exceeded quota: slice`}}
	set := appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "db"}}

	for _, c := range []struct {
		name string
		s    seen
		want string // all of these words, "" none
	}{
		{"nothing to tell", seen{}, ""},
		{"all ready", seen{pods: []corev1.Pod{ready}}, ""},
		{"ErrImageNeverPull", seen{pods: []corev1.Pod{aPod("a", waiting("ErrImageNeverPull", "Container image is not present"))}}, "pod a|image x:1|ErrImageNeverPull|not present"},
		{"ImagePullBackOff tells the first failure", seen{pods: []corev1.Pod{aPod("a", waiting("ImagePullBackOff", "Back-off pulling image"))},
			events: []corev1.Event{warning("Pod", "a", "Failed", "Error: ImagePullBackOff", 9*time.Second), warning("Pod", "a", "Failed", "Failed to pull image: not found", time.Second)}}, "ImagePullBackOff|not found"},
		{"crash loop", seen{pods: []corev1.Pod{aPod("a", crashed("Error", 3, 4, "cannot open configuration"))}}, "container main of pod a|exit status 3|restarted 4 times|cannot open configuration"},
		{"crash loop, last words from the log", seen{pods: []corev1.Pod{aPod("a", crashed("Error", 3, 4, ""))}, logs: map[string]string{"a/main": "panic: boom"}}, "exit status 3|panic: boom"},
		{"out of memory", seen{pods: []corev1.Pod{aPod("a", crashed("OOMKilled", 137, 1, ""))}}, "want of memory|OOMKilled|64Mi"},
		{"unschedulable", seen{pods: []corev1.Pod{unscheduled}}, "pod a cannot be scheduled|Insufficient memory"},
		{"failed mount", seen{pods: []corev1.Pod{aPod("a", waiting("ContainerCreating", ""))}, events: []corev1.Event{warning("Pod", "a", "FailedMount", `secret "x" not found`, 0)}}, "pod a|FailedMount|not found"},
		{"creating as usual", seen{pods: []corev1.Pod{aPod("a", waiting("ContainerCreating", ""))}}, ""},
		{"wrong configuration", seen{pods: []corev1.Pod{aPod("a", waiting("CreateContainerConfigError", `secret "x" not found`))}}, "CreateContainerConfigError|not found"},
		{"quota exceeded", seen{deployments: []appsv1.Deployment{denied}}, "Deployment gw cannot make pods|exceeded quota"},
		{"quota exceeded, StatefulSet", seen{sets: []appsv1.StatefulSet{set}, events: []corev1.Event{warning("StatefulSet", "db", "FailedCreate", "exceeded quota", 0)}}, "StatefulSet db cannot make pods|exceeded quota"},
		{"claim without a class", seen{claims: []corev1.PersistentVolumeClaim{pendingClaim}, pods: []corev1.Pod{unscheduled}}, "volume claim data is pending|no default"},
		{"claim that cannot be provisioned", seen{claims: []corev1.PersistentVolumeClaim{named}, pods: []corev1.Pod{unscheduled}, events: []corev1.Event{warning("PersistentVolumeClaim", "data", "ProvisioningFailed", `storageclass "local" not found`, 0)}}, "volume claim data is pending|not found"},
		{"claim that waits for its pod is no cause", seen{claims: []corev1.PersistentVolumeClaim{named}, pods: []corev1.Pod{unscheduled}}, "cannot be scheduled"},
		{"init container", seen{pods: []corev1.Pod{initial}}, "exit status 7|no database"},
		{"node lost", seen{pods: []corev1.Pod{lost}}, "node n1|does not answer"},
		{"evicted", seen{pods: []corev1.Pod{evicted}}, "Evicted|low on resource"},
		{"probe", seen{pods: []corev1.Pod{running}, events: []corev1.Event{warning("Pod", "a", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", 0)}}, "pod a is not ready|503"},
		{"the database that cannot be placed, not what crashes without it", seen{pods: []corev1.Pod{aPod("z", crashed("Error", 1, 9, "no database")), unscheduled}}, "pod a cannot be scheduled"},
		{"of two crashes the older", seen{pods: []corev1.Pod{older(aPod("new", crashed("Error", 2, 1, "")), 0), older(aPod("old", crashed("Error", 1, 1, "")), time.Hour)}}, "pod old"},
	} {
		got := c.s.cause()
		if c.want == "" && got != "" {
			t.Errorf("%s: %q, want none", c.name, got)
		}
		for word := range strings.SplitSeq(c.want, "|") {
			if !strings.Contains(got, word) {
				t.Errorf("%s: %q lacks %q", c.name, got, word)
			}
		}
	}
}

func older(p corev1.Pod, by time.Duration) corev1.Pod {
	p.Status.ContainerStatuses[0].LastTerminationState.Terminated.StartedAt = metav1.NewTime(born.Add(-by))
	return p
}

func TestBlot(t *testing.T) {
	if got := blot("token hunter22hunter22\nsecond", []string{"hunter22hunter22"}); got != "token ••• / second" {
		t.Errorf("%q", got)
	}
}
