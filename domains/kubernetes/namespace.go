package kubernetes

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/kube"
)

// Annotations of a slice's namespace.
const (
	annotFurniture = "osmoslice.dev/furniture" // hash of what was put in last
	annotTouched   = "osmoslice.dev/touched"   // by the last Apply
)

// networks are the address ranges of a cluster's pods and Services.
type networks struct {
	pods, services []string
}

// networks finds the ranges: the connection's, else what the cluster tells.
// Without the pods' no policy could keep two slices apart.
func (m *member) networks(ctx context.Context) (networks, error) {
	n := networks{pods: m.c.PodCIDR, services: m.c.ServiceCIDR}
	if len(n.pods) == 0 {
		nodes, err := m.nodes(ctx)
		if err != nil {
			return n, err
		}
		for _, node := range nodes {
			n.pods = append(n.pods, node.Spec.PodCIDRs...)
		}
	}
	if len(n.pods) == 0 {
		return n, fault.New(fault.Invalid, "the cluster's nodes do not tell the address ranges of pods").
			With("connection/podCIDR", "", "the ranges, as 10.244.0.0/16: without them slices cannot be kept apart")
	}
	if len(n.services) == 0 {
		n.services = m.serviceCIDRs(ctx)
	}
	n.pods, n.services = slices.Sorted(slices.Values(n.pods)), slices.Sorted(slices.Values(n.services))
	return n, nil
}

// outside is every address that is neither a pod's nor a Service's.
func (n networks) outside() []netv1.NetworkPolicyPeer {
	var out []netv1.NetworkPolicyPeer
	for _, all := range []string{"0.0.0.0/0", "::/0"} {
		b := &netv1.IPBlock{CIDR: all}
		for _, r := range slices.Concat(n.pods, n.services) {
			if p, err := netip.ParsePrefix(r); err == nil && p.Addr().Is4() == (all == "0.0.0.0/0") {
				b.Except = append(b.Except, r)
			}
		}
		out = append(out, netv1.NetworkPolicyPeer{IPBlock: b})
	}
	return out
}

// policy is the network policy of a slice's namespace: all is denied but its own
// pods, name resolution, and the way out of the cluster's networks. What comes in
// from there is let in per release, by opening.
func policy(n networks, namespace string, labels map[string]string) *netv1.NetworkPolicy {
	udp, tcp, dns := corev1.ProtocolUDP, corev1.ProtocolTCP, intstr.FromInt32(53)
	own := netv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{}}
	return &netv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Name: "slice", Namespace: namespace, Labels: labels},
		Spec: netv1.NetworkPolicySpec{
			PolicyTypes: []netv1.PolicyType{netv1.PolicyTypeIngress, netv1.PolicyTypeEgress},
			Ingress:     []netv1.NetworkPolicyIngressRule{{From: []netv1.NetworkPolicyPeer{own}}},
			Egress: []netv1.NetworkPolicyEgressRule{
				{To: append([]netv1.NetworkPolicyPeer{own}, n.outside()...)},
				{To: []netv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": "kube-system"}}}},
					Ports: []netv1.NetworkPolicyPort{{Protocol: &udp, Port: &dns}, {Protocol: &tcp, Port: &dns}}},
			},
		},
	}
}

// openings let the outside in to what a release exposes: one policy for each of
// its exposed Services.
func openings(n networks, services []corev1.Service, namespace string, labels map[string]string) []runtime.Object {
	var out []runtime.Object
	for _, s := range services {
		if s.Labels[labelExpose] != "true" || len(s.Spec.Selector) == 0 {
			continue
		}
		rule := netv1.NetworkPolicyIngressRule{From: n.outside()}
		for _, p := range s.Spec.Ports {
			target, protocol := p.TargetPort, p.Protocol
			if target == (intstr.IntOrString{}) {
				target = intstr.FromInt32(p.Port)
			}
			if protocol == "" {
				protocol = corev1.ProtocolTCP
			}
			rule.Ports = append(rule.Ports, netv1.NetworkPolicyPort{Protocol: &protocol, Port: &target})
		}
		out = append(out, &netv1.NetworkPolicy{
			TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
			ObjectMeta: metav1.ObjectMeta{Name: s.Name + "-expose", Namespace: namespace, Labels: labels},
			Spec: netv1.NetworkPolicySpec{
				PodSelector: metav1.LabelSelector{MatchLabels: s.Spec.Selector},
				PolicyTypes: []netv1.PolicyType{netv1.PolicyTypeIngress}, Ingress: []netv1.NetworkPolicyIngressRule{rule},
			},
		})
	}
	return out
}

// quota bounds what a slice may ask for: twice what was ordered of each
// resource, so that an update may start the new before it ends the old. What was
// ordered without limit has none.
func quota(rs []*record, namespace string, labels map[string]string) *corev1.ResourceQuota {
	var cpu, memory int64
	for _, r := range rs {
		if r.Progress == deleted || r.Progress == deleting {
			continue
		}
		if r.Resources.CPU == 0 {
			cpu = -1
		}
		if r.Resources.Memory == 0 {
			memory = -1
		}
		if cpu >= 0 {
			cpu += r.Resources.CPU
		}
		if memory >= 0 {
			memory += r.Resources.Memory
		}
	}
	hard := corev1.ResourceList{"count/services": *resource.NewQuantity(200, resource.DecimalSI), "pods": *resource.NewQuantity(int64(100*max(1, len(rs))), resource.DecimalSI)}
	if cpu > 0 {
		hard["requests.cpu"] = *resource.NewMilliQuantity(2*cpu, resource.DecimalSI)
	}
	if memory > 0 {
		hard["requests.memory"] = *resource.NewQuantity(2*memory<<20, resource.BinarySI)
	}
	return &corev1.ResourceQuota{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ResourceQuota"},
		ObjectMeta: metav1.ObjectMeta{Name: "slice", Namespace: namespace, Labels: labels},
		Spec:       corev1.ResourceQuotaSpec{Hard: hard},
	}
}

// furniture is what a slice's namespace holds besides its functions.
func furniture(n networks, rs []*record, namespace string, labels map[string]string, pull []byte) []runtime.Object {
	no := false
	out := []runtime.Object{
		&corev1.ServiceAccount{ // the slice's own; the cluster gives it no rights, and pods no token of it
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
			ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: namespace, Labels: labels}, AutomountServiceAccountToken: &no,
		},
		policy(n, namespace, labels),
		quota(rs, namespace, labels),
		&corev1.LimitRange{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "LimitRange"},
			ObjectMeta: metav1.ObjectMeta{Name: "slice", Namespace: namespace, Labels: labels},
			Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{Type: corev1.LimitTypeContainer,
				DefaultRequest: corev1.ResourceList{"cpu": resource.MustParse("10m"), "memory": resource.MustParse("32Mi")},
				Default:        corev1.ResourceList{"memory": resource.MustParse("512Mi")}}}},
		},
	}
	if pull != nil {
		out = append(out, &corev1.Secret{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
			ObjectMeta: metav1.ObjectMeta{Name: pullSecretName, Namespace: namespace, Labels: labels},
			Type:       corev1.SecretTypeDockerConfigJson, Data: map[string][]byte{corev1.DockerConfigJsonKey: pull},
		})
	}
	return out
}

// reserve makes the namespace, whose record exists, and changes its resourceVersion, so that nobody
// who saw it without this release removes it. One that is going is waited for.
func (m *member) reserve(ctx context.Context, w *wish) (*corev1.Namespace, error) {
	api := m.k.Core.CoreV1().Namespaces()
	labels := spaceLabels(w.labels)
	touched := fmt.Sprintf("%s/%d/%d", w.dep.Release, w.dep.Generation, time.Now().UnixNano())
	for {
		ns, err := api.Apply(ctx, applycorev1.Namespace(w.namespace).WithLabels(labels).WithAnnotations(map[string]string{annotTouched: touched}),
			metav1.ApplyOptions{FieldManager: kube.FieldOwner, Force: true})
		if err != nil {
			return nil, kube.Fault(err, "namespace %s cannot be made", w.namespace)
		}
		if ns.DeletionTimestamp == nil {
			return ns, nil
		}
		if err := m.gone(ctx, ns); err != nil {
			return nil, err
		}
	}
}

// spaceLabels are those of a slice's namespace and furniture: the owner's, and
// the rule that its pods must obey.
func spaceLabels(labels map[string]string) map[string]string {
	out := map[string]string{"app.kubernetes.io/managed-by": kube.FieldOwner, "app.kubernetes.io/name": "slice",
		"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"}
	for _, k := range []string{labelSite, labelSlice, labelTenant} {
		out[k] = labels[k]
	}
	return out
}

// furnitureLabels are those of a namespace without the rule for pods.
func furnitureLabels(labels map[string]string) map[string]string {
	own := spaceLabels(labels)
	maps.DeleteFunc(own, func(k, _ string) bool { return strings.HasPrefix(k, "pod-security") })
	return own
}

// gone waits until a namespace that is being removed is no more.
func (m *member) gone(ctx context.Context, ns *corev1.Namespace) error {
	tick := time.NewTicker(leasePoll)
	defer tick.Stop()
	for {
		now, err := m.k.Core.CoreV1().Namespaces().Get(ctx, ns.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && now.UID != ns.UID {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			return kube.Fault(err, "namespace %s cannot be read", ns.Name)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fault.New(fault.Conflict, "namespace %s is still being removed: %s", ns.Name, terminating(ns)).Retrying(fault.Backoff)
		}
	}
}

// terminating says why a namespace is not gone yet.
func terminating(ns *corev1.Namespace) string {
	var why []string
	for _, c := range ns.Status.Conditions {
		if c.Status == corev1.ConditionTrue {
			why = append(why, c.Message)
		}
	}
	if len(why) == 0 {
		return "no reason given"
	}
	return strings.Join(why, "; ")
}

// furnish puts the furniture in, unless the namespace says it is there.
func (m *member) furnish(ctx context.Context, ns *corev1.Namespace, labels map[string]string, pull []byte) error {
	n, err := m.networks(ctx)
	if err != nil {
		return err
	}
	rs, err := m.list(ctx, labelSpace+"="+ns.Name+","+labelState+"=live")
	if err != nil {
		return err
	}
	objects := furniture(n, rs, ns.Name, furnitureLabels(labels), pull)
	b, err := json.Marshal(objects)
	if err != nil {
		return fault.New(fault.Internal, "the namespace's furniture cannot be written").Because(err)
	}
	sum := sha256.Sum256(b)
	hash := hex.EncodeToString(sum[:16])
	if ns.Annotations[annotFurniture] == hash {
		return nil
	}
	if err := m.applyAll(ctx, objects); err != nil {
		return err
	}
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, annotFurniture, hash)
	_, err = m.k.Core.CoreV1().Namespaces().Patch(ctx, ns.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: kube.FieldOwner})
	return kube.Fault(err, "namespace %s cannot be marked", ns.Name)
}

// applyAll applies objects side by side.
func (m *member) applyAll(ctx context.Context, objects []runtime.Object) error {
	errs := make(chan error, len(objects))
	for _, o := range objects {
		go func() {
			u, err := plain(o)
			if err == nil {
				_, err = m.k.Apply(ctx, u)
			}
			errs <- err
		}()
	}
	var first error
	for range objects {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// plain is an object without its type, as server-side apply wants it.
func plain(o runtime.Object) (*unstructured.Unstructured, error) {
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return nil, fault.New(fault.Internal, "an object cannot be written").Because(err)
	}
	u := &unstructured.Unstructured{Object: m}
	unstructured.RemoveNestedField(u.Object, "status")
	unstructured.RemoveNestedField(u.Object, "metadata", "creationTimestamp")
	return u, nil
}
