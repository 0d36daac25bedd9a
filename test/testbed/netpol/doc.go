// Package netpol enforces NetworkPolicies on one node by nftables: the plugins
// that connect pods (ptp, bridge) enforce nothing.
//
// Render is pure: pods, namespaces and policies in, one whole nftables table
// out. Enforce watches the cluster and replaces the table, in one transaction,
// whenever it changes; so there is no moment without rules, and rules of what is
// gone go with it.
//
// Each node filters what enters and leaves its own pods, in the forward hook:
// behind the translation of service addresses, before that of sources. What
// does not pass there is what policies do not concern: the node's own traffic to
// its pods (probes), and pods on the host's network. Supported is all of
// networking.k8s.io/v1: both directions, pod and namespace selectors, ipBlock
// with except, ports by number, range and name, TCP, UDP and SCTP.
//
// Known limits: a connection that exists when a policy begins to forbid it goes
// on; a pod is filtered once its address is known to the API server, some
// milliseconds after it got it; IPv4 only.
package netpol
