package charts

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// withoutProbes run once and then sleep: nothing can be asked of them.
var withoutProbes = []string{"common-config"}

var (
	imageRE = regexp.MustCompile(`^[a-z0-9.-]+(:[0-9]+)?/[a-z0-9._/-]+:[A-Za-z0-9][A-Za-z0-9._-]*(@sha256:[0-9a-f]{64})?$`)
	// secretNameRE names what must never be a plain value.
	secretNameRE = regexp.MustCompile(`(?i)(pass|password|secret|token|private_?key|dsn)$`)
)

func pods(t *testing.T, o *unstructured.Unstructured) []corev1.PodTemplateSpec {
	t.Helper()
	switch o.GetKind() {
	case "Deployment":
		var d appsv1.Deployment
		decode(t, o, &d)
		return []corev1.PodTemplateSpec{d.Spec.Template}
	case "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod", "ReplicaSet":
		t.Errorf("%s %s: this test does not look at its kind yet", o.GetKind(), o.GetName())
	}
	return nil
}

// decode fails on fields that Kubernetes does not know.
func decode(t *testing.T, o *unstructured.Unstructured, into any) {
	t.Helper()
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, into, true); err != nil {
		t.Errorf("%s %s: %v", o.GetKind(), o.GetName(), err)
	}
}

func yes(b *bool) bool { return b != nil && *b }
func no(b *bool) bool  { return b != nil && !*b }

func TestEveryPodIsRestricted(t *testing.T) {
	seen := 0
	each(t, func(t *testing.T, chartName string, objects []*unstructured.Unstructured) {
		for _, o := range objects {
			for _, p := range pods(t, o) {
				seen++
				s := p.Spec
				// Only the service itself talks to its cluster.
				own := chartName == "osmoslice" && strings.HasSuffix(t.Name(), "/production") // inCluster
				if !no(s.AutomountServiceAccountToken) && !own {
					t.Errorf("%s: a service account token is mounted", o.GetName())
				}
				if !no(s.EnableServiceLinks) {
					t.Errorf("%s: enableServiceLinks is on: Services become environment variables", o.GetName())
				}
				sc := s.SecurityContext
				if sc == nil || !yes(sc.RunAsNonRoot) || sc.SeccompProfile == nil || sc.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
					t.Errorf("%s: pod security context %+v", o.GetName(), sc)
				}
				if s.HostNetwork || s.HostPID || s.HostIPC {
					t.Errorf("%s: uses the node's namespaces", o.GetName())
				}
				for _, v := range s.Volumes {
					if v.HostPath != nil {
						t.Errorf("%s: volume %s is a path of the node", o.GetName(), v.Name)
					}
				}
				for _, c := range s.InitContainers {
					checkContainer(t, o.GetName(), c, false)
				}
				for _, c := range s.Containers {
					checkContainer(t, o.GetName(), c, !slices.Contains(withoutProbes, c.Name))
				}
			}
		}
	})
	if seen < 30 {
		t.Errorf("only %d pods seen", seen)
	}
}

func checkContainer(t *testing.T, owner string, c corev1.Container, probed bool) {
	t.Helper()
	say := func(format string, args ...any) {
		t.Helper()
		t.Errorf(owner+"/"+c.Name+": "+format, args...)
	}
	sc := c.SecurityContext
	if sc == nil || !yes(sc.RunAsNonRoot) || !yes(sc.ReadOnlyRootFilesystem) || !no(sc.AllowPrivilegeEscalation) ||
		sc.Capabilities == nil || !slices.Equal(sc.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(sc.Capabilities.Add) > 0 {
		say("security context %+v", sc)
	}
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		request, limit := c.Resources.Requests[name], c.Resources.Limits[name]
		if request.IsZero() || limit.IsZero() || request.Cmp(limit) > 0 {
			say("%s: request %s, limit %s", name, request.String(), limit.String())
		}
	}
	if probed && (c.StartupProbe == nil || c.ReadinessProbe == nil || c.LivenessProbe == nil) {
		say("a probe is missing")
	}
	if !imageRE.MatchString(c.Image) || strings.Contains(c.Image, ":latest") {
		say("image %s is not pinned", c.Image)
	}
	for _, e := range c.Env {
		if e.Value != "" && secretNameRE.MatchString(e.Name) {
			say("%s has a plain value", e.Name)
		}
	}
	for _, a := range append(slices.Clone(c.Command), c.Args...) {
		if secretNameRE.MatchString(strings.SplitN(a, "=", 2)[0]) && strings.Contains(a, "=") {
			say("argument %q carries a secret", a)
		}
	}
}
