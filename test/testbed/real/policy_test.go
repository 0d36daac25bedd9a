package real_test

import "testing"

// Denied flows are dropped and allowed ones pass, on one node and between two;
// what is denied was seen to pass before, so that the test cannot pass by
// accident.
func TestNetworkPolicies(t *testing.T) {
	cloud := open(t, "cloud")
	cloud.namespace("server", "team: server")
	cloud.namespace("client", "team: client")
	cloud.kubectl(pod("server", "web", "app: web", "  nodeSelector: {kubernetes.io/hostname: cloud-1}\n")+
		pod("server", "neighbour", "app: neighbour", "  nodeSelector: {kubernetes.io/hostname: cloud-1}\n")+
		pod("client", "near", "app: near", "  nodeSelector: {kubernetes.io/hostname: cloud-1}\n")+
		pod("client", "far", "app: far", "  nodeSelector: {kubernetes.io/hostname: cloud-2}\n")+`---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: server}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}
`, "apply", "-f", "-")
	cloud.ready("server", "web", "neighbour")
	cloud.ready("client", "near", "far")
	const url = "http://web.server"
	reach := map[string]func(string, string, string){"pass": cloud.reaches, "drop": cloud.blocked}
	flows := func(neighbour, near, far string) {
		t.Helper()
		reach[neighbour]("server", "neighbour", url)
		reach[near]("client", "near", url)
		reach[far]("client", "far", url)
	}
	flows("pass", "pass", "pass")

	apply := func(name, spec string) {
		t.Helper()
		cloud.kubectl("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: "+name+", namespace: server}\nspec: "+spec+"\n", "apply", "-f", "-")
	}
	apply("deny", "{podSelector: {}, policyTypes: [Ingress]}")
	flows("drop", "drop", "drop")

	apply("from-client", "{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {matchLabels: {team: client}}, podSelector: {matchLabels: {app: far}}}], ports: [{port: http}]}]}")
	flows("drop", "drop", "pass")

	// The other direction: names still resolve, nothing else leaves.
	cloud.kubectl(`
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: only-dns, namespace: client}
spec:
  podSelector: {matchLabels: {app: far}}
  policyTypes: [Egress]
  egress: [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}], ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]}]
`, "apply", "-f", "-")
	flows("drop", "drop", "drop")

	cloud.kubectl("", "-n", "client", "delete", "networkpolicy", "only-dns")
	cloud.kubectl("", "-n", "server", "delete", "networkpolicy", "deny", "from-client")
	flows("pass", "pass", "pass")
}
