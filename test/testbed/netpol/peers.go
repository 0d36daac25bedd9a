package netpol

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// A reach is whom a rule's peers name.
type reach struct {
	anyone bool
	pods   []*corev1.Pod
	blocks []string // matches of ipBlocks
}

func (r *renderer) peers(namespace string, peers []networkingv1.NetworkPolicyPeer, d direction) (reach, error) {
	if len(peers) == 0 {
		return reach{anyone: true}, nil
	}
	var to reach
	seen := map[*corev1.Pod]bool{}
	for i, peer := range peers {
		if peer.IPBlock != nil {
			match, err := block(peer.IPBlock, d)
			if err != nil {
				return to, fmt.Errorf("peer %d: %w", i, err)
			}
			if match != "" {
				to.blocks = append(to.blocks, match)
			}
			continue
		}
		chosen, err := r.choose(namespace, peer)
		if err != nil {
			return to, fmt.Errorf("peer %d: %w", i, err)
		}
		for _, p := range chosen {
			if !seen[p] {
				seen[p] = true
				to.pods = append(to.pods, p)
			}
		}
	}
	return to, nil
}

// choose answers the pods of a peer: those of the policy's namespace, or of the
// namespaces it selects.
func (r *renderer) choose(namespace string, peer networkingv1.NetworkPolicyPeer) ([]*corev1.Pod, error) {
	inNamespace := func(n string) bool { return n == namespace }
	if peer.NamespaceSelector != nil {
		s, err := metav1.LabelSelectorAsSelector(peer.NamespaceSelector)
		if err != nil {
			return nil, fmt.Errorf("namespaceSelector: %w", err)
		}
		inNamespace = func(n string) bool {
			l, known := r.namespaces[n]
			return known && s.Matches(l)
		}
	}
	pods := labels.Everything()
	if peer.PodSelector != nil {
		var err error
		if pods, err = metav1.LabelSelectorAsSelector(peer.PodSelector); err != nil {
			return nil, fmt.Errorf("podSelector: %w", err)
		}
	}
	var all []*corev1.Pod
	for _, p := range r.pods {
		if inNamespace(p.Namespace) && pods.Matches(labels.Set(p.Labels)) {
			all = append(all, p)
		}
	}
	return all, nil
}

// block is the match of an ipBlock; empty for one of IPv6.
func block(b *networkingv1.IPBlock, d direction) (string, error) {
	cidr, err := netip.ParsePrefix(b.CIDR)
	if err != nil {
		return "", fmt.Errorf("ipBlock: %w", err)
	}
	if !cidr.Addr().Is4() {
		return "", nil
	}
	match := "ip " + d.peer + " " + cidr.Masked().String() + " "
	var except []string
	for _, e := range b.Except {
		p, err := netip.ParsePrefix(e)
		if err != nil {
			return "", fmt.Errorf("ipBlock: except: %w", err)
		}
		except = append(except, p.Masked().String())
	}
	if len(except) > 0 {
		slices.Sort(except)
		// One match each: overlapping networks do not go into one set.
		for _, e := range slices.Compact(except) {
			match += "ip " + d.peer + " != " + e + " "
		}
	}
	return match, nil
}

// combine makes one match for each way through a rule.
func combine(to reach, ports []networkingv1.NetworkPolicyPort, self *corev1.Pod, all []*corev1.Pod, d direction) []string {
	whom := slices.Clone(to.blocks)
	if to.anyone {
		whom = append(whom, "")
	}
	if len(to.pods) > 0 {
		whom = append(whom, addresses(to.pods, d))
	}
	if len(ports) == 0 {
		return whom
	}
	var lines []string
	for _, port := range ports {
		named := port.Port != nil && port.Port.Type == intstr.String
		if named && d == egress {
			lines = append(lines, namedAtPeers(to, port, all, d)...)
			continue
		}
		var match string
		if named {
			number, ok := numberOf(self, port)
			if !ok {
				continue // the pod has no such port: nothing is allowed
			}
			match = protocol(port) + " dport " + strconv.Itoa(int(number)) + " "
		} else {
			match = numbered(port)
		}
		for _, w := range whom {
			lines = append(lines, w+match)
		}
	}
	return lines
}

// namedAtPeers resolves a named port at each pod it may lead to: the same name
// may be another number there.
func namedAtPeers(to reach, port networkingv1.NetworkPolicyPort, all []*corev1.Pod, d direction) []string {
	pods := to.pods
	prefixes := []string{""}
	if to.anyone || len(to.blocks) > 0 {
		pods = all
		prefixes = to.blocks
		if to.anyone {
			prefixes = []string{""}
		}
	}
	var lines []string
	for _, p := range pods {
		number, ok := numberOf(p, port)
		if !ok {
			continue
		}
		own := addresses([]*corev1.Pod{p}, d) + protocol(port) + " dport " + strconv.Itoa(int(number)) + " "
		if slices.Contains(to.pods, p) {
			lines = append(lines, own)
			continue
		}
		for _, prefix := range prefixes {
			lines = append(lines, prefix+own)
		}
	}
	return lines
}

func addresses(pods []*corev1.Pod, d direction) string {
	all := make([]string, len(pods))
	for i, p := range pods {
		all[i] = p.Status.PodIP
	}
	slices.Sort(all)
	return "ip " + d.peer + " { " + strings.Join(slices.Compact(all), ", ") + " } "
}

func numbered(port networkingv1.NetworkPolicyPort) string {
	proto := protocol(port)
	if port.Port == nil {
		return "meta l4proto " + proto + " "
	}
	match := proto + " dport " + strconv.Itoa(port.Port.IntValue())
	if port.EndPort != nil && int(*port.EndPort) != port.Port.IntValue() {
		match += "-" + strconv.Itoa(int(*port.EndPort))
	}
	return match + " "
}

func protocol(port networkingv1.NetworkPolicyPort) string {
	if port.Protocol == nil {
		return "tcp"
	}
	return strings.ToLower(string(*port.Protocol))
}

// numberOf is a pod's port of that name and protocol.
func numberOf(p *corev1.Pod, port networkingv1.NetworkPolicyPort) (int32, bool) {
	for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
		for _, own := range c.Ports {
			proto := strings.ToLower(string(own.Protocol))
			if proto == "" {
				proto = "tcp"
			}
			if own.Name == port.Port.StrVal && proto == protocol(port) {
				return own.ContainerPort, true
			}
		}
	}
	return 0, false
}
