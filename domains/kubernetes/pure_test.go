package kubernetes

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/slice"
)

func service(kind corev1.ServiceType, change func(s *corev1.Service)) corev1.Service {
	proto := "mqtt"
	s := corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "gw", Namespace: "slice-1", Labels: map[string]string{labelExpose: "true"}},
		Spec: corev1.ServiceSpec{Type: kind, Selector: map[string]string{"a": "b"}, Ports: []corev1.ServicePort{
			{Name: "api", Port: 80, NodePort: 30080, TargetPort: intstr.FromInt32(8080), Protocol: corev1.ProtocolTCP},
			{Name: "mqtt", Port: 1883, NodePort: 31883, AppProtocol: &proto},
			{Name: "coap", Port: 5683, NodePort: 30683, Protocol: corev1.ProtocolUDP},
		}}}
	if change != nil {
		change(&s)
	}
	return s
}

func TestEndpoints(t *testing.T) {
	ports := []slice.Port{{Name: "api", Scheme: "http"}}
	for _, c := range []struct {
		name    string
		s       corev1.Service
		a       addresses
		want    string
		waiting string
	}{
		{"node port", service("NodePort", nil), addresses{node: "10.0.0.1"}, "map[api:http://10.0.0.1:30080 coap:udp://10.0.0.1:30683 mqtt:mqtt://10.0.0.1:31883]", ""},
		{"node port, advertised", service("NodePort", nil), addresses{advertise: "edge.example", node: "10.0.0.1"}, "map[api:http://edge.example:30080 coap:udp://edge.example:30683 mqtt:mqtt://edge.example:31883]", ""},
		{"node port, IPv6", service("NodePort", nil), addresses{node: "fd00::1"}, "map[api:http://[fd00::1]:30080 coap:udp://[fd00::1]:30683 mqtt:mqtt://[fd00::1]:31883]", ""},
		{"no ready node", service("NodePort", nil), addresses{}, "map[]", "no node of the cluster is ready"},
		{"cluster ip", service("ClusterIP", nil), addresses{}, "map[api:http://gw.slice-1.svc:80 coap:udp://gw.slice-1.svc:5683 mqtt:mqtt://gw.slice-1.svc:1883]", ""},
		{"load balancer", service("LoadBalancer", func(s *corev1.Service) {
			s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{Hostname: "lb.example"}}
		}), addresses{}, "map[api:http://lb.example:80 coap:udp://lb.example:5683 mqtt:mqtt://lb.example:1883]", ""},
		{"load balancer, not yet", service("LoadBalancer", nil), addresses{}, "map[]", "waits for its load balancer"},
		{"not exposed", service("NodePort", func(s *corev1.Service) { s.Labels = nil }), addresses{node: "10.0.0.1"}, "map[]", ""},
	} {
		got, waiting := endpoints([]corev1.Service{c.s}, ports, c.a)
		if fmt.Sprint(got) != c.want || (len(waiting) > 0) != (c.waiting != "") || !strings.Contains(strings.Join(waiting, " "), c.waiting) {
			t.Errorf("%s: %v, waiting %q; want %s, %q", c.name, got, waiting, c.want, c.waiting)
		}
	}
}

func TestOpenings(t *testing.T) {
	n := networks{pods: []string{"10.1.0.0/16", "fd01::/64"}, services: []string{"10.101.0.0/16"}}
	got := openings(n, []corev1.Service{service("NodePort", nil), service("NodePort", func(s *corev1.Service) { s.Labels = nil })}, "slice-1", nil)
	if len(got) != 1 {
		t.Fatalf("%d policies, want one for the exposed Service", len(got))
	}
	p := got[0].(*netv1.NetworkPolicy).Spec.Ingress[0]
	if p.Ports[0].Port.IntVal != 8080 || p.Ports[1].Port.IntVal != 1883 || *p.Ports[2].Protocol != corev1.ProtocolUDP || len(p.From) != 2 ||
		fmt.Sprint(p.From[0].IPBlock.Except) != "[10.1.0.0/16 10.101.0.0/16]" || fmt.Sprint(p.From[1].IPBlock.Except) != "[fd01::/64]" {
		t.Errorf("%+v", p)
	}
	own := policy(n, "slice-1", nil).Spec
	if len(own.Ingress) != 1 || len(own.Ingress[0].From) != 1 || own.Ingress[0].From[0].PodSelector == nil || len(own.PolicyTypes) != 2 {
		t.Errorf("the slice's own policy lets others in: %+v", own)
	}
}

func TestQuota(t *testing.T) {
	rs := []*record{{Progress: applied, Resources: domain.Resources{CPU: 100, Memory: 64}}, {Progress: applying, Resources: domain.Resources{CPU: 50, Memory: 32}},
		{Progress: deleting, Resources: domain.Resources{CPU: 1000, Memory: 1000}}}
	q := quota(rs, "ns", nil).Spec.Hard
	if cpu, memory := q["requests.cpu"], q["requests.memory"]; cpu.String() != "300m" || memory.String() != "192Mi" {
		t.Errorf("cpu %v, memory %v", cpu.String(), memory.String())
	}
	rs[0].Resources.CPU = 0
	if _, limited := quota(rs, "ns", nil).Spec.Hard["requests.cpu"]; limited {
		t.Error("what was ordered without limit has one")
	}
}

func TestNodes(t *testing.T) {
	m := someMember(t, `{"kind":"FOG"}`)
	n := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "pi-1", UID: "u1", Labels: map[string]string{"topology.kubernetes.io/zone": "z", "other": "x"}},
		Status: corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{Architecture: "arm64"},
			Allocatable: corev1.ResourceList{"cpu": resource.MustParse("3920m"), "memory": resource.MustParse("3Gi"), "ephemeral-storage": resource.MustParse("10Gi")},
			Images:      []corev1.ContainerImage{{Names: []string{"docker.io/a/b@sha256:00", "docker.io/a/b:1"}}, {Names: []string{"docker.io/a/b:1"}}},
			Conditions:  []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}}}
	got := m.node(&n)
	if err := got.Validate("node"); err != nil || got.Unavailable || got.Arch != "arm64" || got.Capacity.CPU != 3920 || got.Capacity.Memory != 3072 ||
		got.Capacity.Storage != 10240 || fmt.Sprint(got.Software) != "[image:docker.io/a/b:1]" || len(got.Labels) != 1 || got.Kind != "FOG" {
		t.Errorf("%+v, %v", got, err)
	}
	for reason, change := range map[string]func(n *corev1.Node){
		"cordoned":            func(n *corev1.Node) { n.Spec.Unschedulable = true },
		"tainted k=v:NoSched": func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{{Key: "k", Value: "v", Effect: "NoSchedule"}} },
		"kubelet stopped": func(n *corev1.Node) {
			n.Status.Conditions[0].Status, n.Status.Conditions[0].Message = "Unknown", "kubelet stopped posting"
		},
		"not reported yet": func(n *corev1.Node) { n.Status.Conditions = nil },
	} {
		c := *n.DeepCopy()
		change(&c)
		if got := m.node(&c); !got.Unavailable || !strings.Contains(got.Reason, reason) {
			t.Errorf("%s: %+v", reason, got)
		}
	}
}

// A start that goes as it should is not asked why it is not ready yet; one that
// has something wrong is at once, and one that takes long is now and then.
func TestPuzzling(t *testing.T) {
	m := someMember(t, `{}`)
	young, old := time.Now(), time.Now().Add(-time.Hour)
	starting := aPod("a", waiting("ContainerCreating", ""))
	m.look.due("r")
	for name, c := range map[string]struct {
		at   time.Time
		pods []corev1.Pod
		want bool
	}{
		"on its way":          {young, []corev1.Pod{starting}, false},
		"no image":            {young, []corev1.Pod{aPod("a", waiting("ErrImagePull", "x"))}, true},
		"crashed":             {young, []corev1.Pod{aPod("a", crashed("Error", 1, 1, ""))}, true},
		"no pods at all":      {young.Add(-2 * time.Second), nil, true},
		"no pods yet":         {young, nil, false},
		"on its way for long": {old, []corev1.Pod{starting}, true},
	} {
		if got := m.puzzling(&record{Release: "r", At: c.at}, &seen{pods: c.pods}); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	long := func() bool { return m.puzzling(&record{Release: "r", At: old}, &seen{pods: []corev1.Pod{starting}}) }
	m.look.explained("r", false)
	if long() {
		t.Error("asked again at once although there was no answer")
	}
	m.look.explained("r", true)
	if !long() {
		t.Error("not asked again although there was an answer")
	}
}

// A holder's sign of life in a record is no news; its end, or a newer wish, is.
func TestSignsOfLifeAreNoNews(t *testing.T) {
	w := &watching{m: someMember(t, `{}`), refs: map[string]domain.Ref{}, pending: map[string]domain.Ref{}, wake: make(chan struct{}, 1)}
	h := w.handler("configmaps")
	meta := func(version, ref, state string) *metav1.PartialObjectMetadata {
		return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "r", ResourceVersion: version,
			Labels: map[string]string{labelRelease: "r", labelState: state}, Annotations: map[string]string{annotRef: ref}}}
	}
	one, two := `{"slice":"s","generation":1}`, `{"slice":"s","generation":2}`
	for name, c := range map[string]struct {
		to   *metav1.PartialObjectMetadata
		news bool
	}{
		"sign of life": {meta("2", one, "live"), false},
		"newer wish":   {meta("2", two, "live"), true},
		"deleted":      {meta("2", one, "deleted"), true},
	} {
		w.pending = map[string]domain.Ref{}
		h.OnUpdate(meta("1", one, "live"), c.to)
		if got := len(w.pending) > 0; got != c.news {
			t.Errorf("%s: told %v, want %v", name, got, c.news)
		}
	}
	// What is around the releases of a slice concerns each of them, and no other.
	w.refs = map[string]domain.Ref{"a": {Slice: "s"}, "b": {Slice: "s"}, "c": {Slice: "other"}}
	w.pending = map[string]domain.Ref{}
	around := w.aroundHandler("networkpolicies")
	gone := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "slice", Labels: map[string]string{labelSlice: "s"}}}
	around.OnDelete(gone)
	if len(w.pending) != 2 || w.pending["c"].Slice != "" {
		t.Errorf("told %v", w.pending)
	}
}
