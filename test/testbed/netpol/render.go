package netpol

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// World is what rules are made from.
type World struct {
	Node       string // whose pods are filtered
	Pods       []*corev1.Pod
	Namespaces []*corev1.Namespace
	Policies   []*networkingv1.NetworkPolicy
}

// Render makes the table. The same world gives the same text, in whatever order
// its parts come. It fails on a selector that the API server would refuse.
func Render(w World) (string, error) {
	r := renderer{namespaces: map[string]labels.Set{}}
	for _, n := range w.Namespaces {
		r.namespaces[n.Name] = n.Labels
	}
	for _, p := range w.Pods {
		if addressed(p) {
			r.pods = append(r.pods, p)
		}
	}
	slices.SortFunc(r.pods, func(a, b *corev1.Pod) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	policies := slices.Clone(w.Policies)
	slices.SortFunc(policies, func(a, b *networkingv1.NetworkPolicy) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	for _, p := range r.pods {
		if p.Spec.NodeName != w.Node {
			continue
		}
		for _, d := range []direction{egress, ingress} {
			if err := r.pod(p, policies, d); err != nil {
				return "", err
			}
		}
	}
	return r.table(), nil
}

// addressed is whether a pod has an address of its own now.
func addressed(p *corev1.Pod) bool {
	return !p.Spec.HostNetwork && p.Status.PodIP != "" && !strings.Contains(p.Status.PodIP, ":") &&
		p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed
}

// A direction is seen from the filtered pod: self is its own address in a packet,
// peer the other's.
type direction struct {
	name, self, peer string
}

var (
	ingress = direction{"ingress", "daddr", "saddr"}
	egress  = direction{"egress", "saddr", "daddr"}
)

type renderer struct {
	namespaces map[string]labels.Set
	pods       []*corev1.Pod
	jumps      [2][]string // elements of the verdict maps: egress, ingress
	chains     []string
}

// pod renders what one pod may send or receive, if any policy isolates it.
func (r *renderer) pod(p *corev1.Pod, policies []*networkingv1.NetworkPolicy, d direction) error {
	isolated := false
	var lines []string
	for _, policy := range policies {
		if policy.Namespace != p.Namespace || !applies(policy, d) {
			continue
		}
		chosen, err := metav1.LabelSelectorAsSelector(&policy.Spec.PodSelector)
		if err != nil {
			return fmt.Errorf("network policy %s/%s: podSelector: %w", policy.Namespace, policy.Name, err)
		}
		if !chosen.Matches(labels.Set(p.Labels)) {
			continue
		}
		isolated = true
		more, err := r.policy(policy, p, d)
		if err != nil {
			return fmt.Errorf("network policy %s/%s: %w", policy.Namespace, policy.Name, err)
		}
		lines = append(lines, more...)
	}
	if !isolated {
		return nil
	}
	slices.Sort(lines)
	lines = slices.Compact(lines)
	chain := fmt.Sprintf("%s_%s", d.name, strings.ReplaceAll(p.Status.PodIP, ".", "_"))
	var b strings.Builder
	fmt.Fprintf(&b, " chain %s {\n  # %s/%s\n", chain, p.Namespace, p.Name)
	fmt.Fprintf(&b, "  ip %s %s return\n", d.peer, p.Status.PodIP) // itself, by a service
	for _, l := range lines {
		fmt.Fprintf(&b, "  %sreturn\n", l)
	}
	b.WriteString("  counter drop\n }\n")
	r.chains = append(r.chains, b.String())
	i := 0
	if d == ingress {
		i = 1
	}
	r.jumps[i] = append(r.jumps[i], p.Status.PodIP+" : jump "+chain)
	return nil
}

func applies(policy *networkingv1.NetworkPolicy, d direction) bool {
	types := policy.Spec.PolicyTypes
	if len(types) == 0 { // as the API server would have filled it in
		return d == ingress || len(policy.Spec.Egress) > 0
	}
	if d == ingress {
		return slices.Contains(types, networkingv1.PolicyTypeIngress)
	}
	return slices.Contains(types, networkingv1.PolicyTypeEgress)
}

// policy renders what one policy allows the pod: one match per line, each with a
// space at its end.
func (r *renderer) policy(policy *networkingv1.NetworkPolicy, self *corev1.Pod, d direction) ([]string, error) {
	var lines []string
	rule := func(peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) error {
		to, err := r.peers(policy.Namespace, peers, d)
		if err != nil {
			return err
		}
		lines = append(lines, combine(to, ports, self, r.pods, d)...)
		return nil
	}
	if d == ingress {
		for i, in := range policy.Spec.Ingress {
			if err := rule(in.From, in.Ports); err != nil {
				return nil, fmt.Errorf("ingress[%d]: %w", i, err)
			}
		}
		return lines, nil
	}
	for i, out := range policy.Spec.Egress {
		if err := rule(out.To, out.Ports); err != nil {
			return nil, fmt.Errorf("egress[%d]: %w", i, err)
		}
	}
	return lines, nil
}

// table puts everything together; declared, deleted and made anew it replaces
// whatever is there.
func (r *renderer) table() string {
	var b strings.Builder
	b.WriteString("table inet netpol\ndelete table inet netpol\ntable inet netpol {\n")
	for _, c := range r.chains {
		b.WriteString(c)
	}
	b.WriteString(" chain forward {\n  type filter hook forward priority filter; policy accept;\n  ct state established,related accept\n")
	for i, d := range []direction{egress, ingress} {
		if len(r.jumps[i]) > 0 {
			fmt.Fprintf(&b, "  ip %s vmap { %s }\n", d.self, strings.Join(r.jumps[i], ", "))
		}
	}
	b.WriteString(" }\n}\n")
	return b.String()
}
