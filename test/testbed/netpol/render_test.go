package netpol

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// world has two namespaces; web and db in shop, on this node and another; a
// client in other; a pod on the host's network and one that has ended.
func world(t *testing.T, policies ...string) World {
	t.Helper()
	pod := func(namespace, name, node, ip string, ports ...corev1.ContainerPort) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": name}},
			Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Ports: ports}}},
			Status:     corev1.PodStatus{PodIP: ip, Phase: corev1.PodRunning},
		}
	}
	namespace := func(name string) *corev1.Namespace {
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"team": name}}}
	}
	host := pod("shop", "host", "here", "10.210.1.11")
	host.Spec.HostNetwork = true
	ended := pod("shop", "ended", "here", "10.1.1.9")
	ended.Status.Phase = corev1.PodSucceeded
	w := World{Node: "here", Namespaces: []*corev1.Namespace{namespace("shop"), namespace("other")},
		Pods: []*corev1.Pod{
			pod("shop", "web", "here", "10.1.1.2", corev1.ContainerPort{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}),
			pod("shop", "db", "there", "10.1.2.2", corev1.ContainerPort{Name: "http", ContainerPort: 9090}),
			pod("other", "client", "here", "10.1.1.3"), host, ended, pod("shop", "pending", "here", ""),
		}}
	for _, text := range policies {
		p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "p"}}
		if err := yaml.UnmarshalStrict([]byte(text), &p.Spec); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		w.Policies = append(w.Policies, p)
	}
	return w
}

const web = "{matchLabels: {app: web}}"

// Each case is one rule of a policy on web and what it allows web: the lines of
// its chain between "itself" and the drop.
func TestRules(t *testing.T) {
	for name, c := range map[string]struct {
		spec string
		want []string // of the chain; nil: not filtered
		in   string   // which chain
	}{
		"nothing in":                       {"{podSelector: " + web + "}", []string{}, "ingress"},
		"default types leave egress alone": {"{podSelector: " + web + ", ingress: [{}]}", nil, "egress"},
		"egress rules make egress a type":  {"{podSelector: " + web + ", egress: [{}]}", []string{""}, "egress"},
		"everyone":                         {"{podSelector: {}, ingress: [{}]}", []string{""}, "ingress"},
		"another pod's policy":             {"{podSelector: {matchLabels: {app: db}}}", nil, "ingress"},
		"pods of the own namespace": {"{podSelector: " + web + ", ingress: [{from: [{podSelector: {}}]}]}",
			[]string{"ip saddr { 10.1.1.2, 10.1.2.2 }"}, "ingress"},
		"all pods of a namespace": {"{podSelector: " + web + ", ingress: [{from: [{namespaceSelector: {matchLabels: {team: other}}}]}]}",
			[]string{"ip saddr { 10.1.1.3 }"}, "ingress"},
		"some pods of all namespaces": {"{podSelector: " + web + ", ingress: [{from: [{namespaceSelector: {}, podSelector: {matchExpressions: [{key: app, operator: In, values: [db, client]}]}}]}]}",
			[]string{"ip saddr { 10.1.1.3, 10.1.2.2 }"}, "ingress"},
		"pods that do not exist": {"{podSelector: " + web + ", ingress: [{from: [{podSelector: {matchLabels: {app: none}}}]}]}", []string{}, "ingress"},
		"a block with exceptions": {"{podSelector: " + web + ", ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.2.0.0/16, 10.1.0.0/16]}}]}]}",
			[]string{"ip saddr 10.0.0.0/8 ip saddr != 10.1.0.0/16 ip saddr != 10.2.0.0/16"}, "ingress"},
		"a block of IPv6 allows no IPv4": {"{podSelector: " + web + ", ingress: [{from: [{ipBlock: {cidr: '2001:db8::/64'}}]}]}", []string{}, "ingress"},
		"a port":                         {"{podSelector: " + web + ", ingress: [{ports: [{port: 80}]}]}", []string{"tcp dport 80"}, "ingress"},
		"a range and a protocol": {"{podSelector: " + web + ", ingress: [{ports: [{port: 5000, endPort: 5010, protocol: UDP}, {protocol: SCTP}]}]}",
			[]string{"meta l4proto sctp", "udp dport 5000-5010"}, "ingress"},
		"a port by name":                        {"{podSelector: " + web + ", ingress: [{ports: [{port: http}]}]}", []string{"tcp dport 8080"}, "ingress"},
		"a name of another protocol":            {"{podSelector: " + web + ", ingress: [{ports: [{port: http, protocol: UDP}]}]}", []string{}, "ingress"},
		"peers and ports multiply":              {"{podSelector: " + web + ", ingress: [{from: [{podSelector: {}}, {ipBlock: {cidr: 1.2.3.4/32}}], ports: [{port: 1}, {port: 2}]}]}", []string{"ip saddr 1.2.3.4/32 tcp dport 1", "ip saddr 1.2.3.4/32 tcp dport 2", "ip saddr { 10.1.1.2, 10.1.2.2 } tcp dport 1", "ip saddr { 10.1.1.2, 10.1.2.2 } tcp dport 2"}, "ingress"},
		"egress to pods":                        {"{podSelector: " + web + ", policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 5432}]}]}", []string{"ip daddr { 10.1.2.2 } tcp dport 5432"}, "egress"},
		"a name on egress is the target's":      {"{podSelector: " + web + ", policyTypes: [Egress], egress: [{ports: [{port: http}]}]}", []string{"ip daddr { 10.1.1.2 } tcp dport 8080", "ip daddr { 10.1.2.2 } tcp dport 9090"}, "egress"},
		"a name on egress to a block":           {"{podSelector: " + web + ", policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.1.2.0/24}}], ports: [{port: http}]}]}", []string{"ip daddr 10.1.2.0/24 ip daddr { 10.1.1.2 } tcp dport 8080", "ip daddr 10.1.2.0/24 ip daddr { 10.1.2.2 } tcp dport 9090"}, "egress"},
		"egress only leaves ingress unfiltered": {"{podSelector: " + web + ", policyTypes: [Egress]}", nil, "ingress"},
	} {
		t.Run(name, func(t *testing.T) {
			w := world(t, c.spec)
			table, err := Render(w)
			if err != nil {
				t.Fatal(err)
			}
			got, filtered := chain(table, c.in+"_10_1_1_2")
			if filtered != (c.want != nil) {
				t.Fatalf("filtered is %t, want %t:\n%s", filtered, c.want != nil, table)
			}
			if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("allows\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
			check(t, table)
		})
	}
}

// chain answers what a chain returns on, but the pod itself, and whether the
// chain exists and is jumped to.
func chain(table, name string) ([]string, bool) {
	_, body, ok := strings.Cut(table, " chain "+name+" {\n")
	if !ok || !strings.Contains(table, "jump "+name) {
		return nil, false
	}
	body, _, _ = strings.Cut(body, " }\n")
	var lines []string
	for _, l := range strings.Split(strings.TrimSpace(body), "\n")[2:] {
		if rule, ok := strings.CutSuffix(strings.TrimSpace(l), "return"); ok {
			lines = append(lines, strings.TrimSpace(rule))
		}
	}
	return lines, strings.HasSuffix(strings.TrimSpace(body), "drop")
}

// check has nft read the table without applying it, where there is one.
func check(t *testing.T, table string) {
	t.Helper()
	nft, err := exec.LookPath("nft")
	if err != nil || os.Geteuid() != 0 {
		return // the same tables are applied in test/testbed/real
	}
	cmd := exec.Command(nft, "--check", "-f", "-")
	cmd.Stdin = strings.NewReader(table)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("nft refuses the table: %v: %s\n%s", err, out, table)
	}
}

// Policies add up: what one allows no other takes away.
func TestPoliciesAddUp(t *testing.T) {
	table, err := Render(world(t, "{podSelector: {}}", "{podSelector: "+web+", ingress: [{ports: [{port: 80}]}]}", "{podSelector: {}, ingress: [{ports: [{port: 443}]}]}"))
	if err != nil {
		t.Fatal(err)
	}
	got, _ := chain(table, "ingress_10_1_1_2")
	if strings.Join(got, ";") != "tcp dport 443;tcp dport 80" {
		t.Errorf("allows %q, want ports 443 and 80", got)
	}
}

// Only this node's pods with an address of their own are filtered; the order of
// the parts does not matter; without policies nothing is.
func TestTable(t *testing.T) {
	w := world(t, "{podSelector: {}}", "{podSelector: {}, egress: [{to: [{podSelector: {}}]}]}")
	want, err := Render(w)
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"10_1_2_2", "10_1_1_3", "10_210_1_11", "10_1_1_9"} {
		if strings.Contains(want, "chain ingress_"+address) {
			t.Errorf("%s is filtered here:\n%s", address, want)
		}
	}
	for range 20 {
		rand.Shuffle(len(w.Pods), func(i, j int) { w.Pods[i], w.Pods[j] = w.Pods[j], w.Pods[i] })
		if got, err := Render(w); err != nil || got != want {
			t.Fatalf("in another order (%v):\n%s\nwant\n%s", err, got, want)
		}
	}
	empty, err := Render(World{Node: "here"})
	if err != nil || strings.Contains(empty, "drop") || strings.Contains(empty, "vmap") {
		t.Errorf("without policies (%v):\n%s", err, empty)
	}
	check(t, empty)
}

func TestRefusesABrokenSelector(t *testing.T) {
	_, err := Render(world(t, "{podSelector: {}, ingress: [{from: [{podSelector: {matchExpressions: [{key: a, operator: Perhaps}]}}]}]}"))
	if err == nil || !strings.Contains(err.Error(), "network policy shop/p: ingress[0]: peer 0: podSelector") {
		t.Errorf("got %v, want the policy, rule and peer named", err)
	}
}
