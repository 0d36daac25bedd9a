// Package cluster runs real Kubernetes clusters on one Linux machine, each node
// in namespaces of its own, so that nothing of the machine changes and
// everything ends together.
//
// # Processes
//
//	keeper                    outside; waits, then clears the cgroups away
//	└ init                    process 1 of the bed: PID, network and mount namespace
//	  └ supervisor            the WAN: bridges, links, partitions, control socket
//	    └ init                process 1 of a node: PID, network, mount, UTS and IPC namespace
//	      └ node              containerd, control plane (first node), kubelet, kube-proxy, agents
//
// Whatever kills a process above kills all below it: each is started with a
// parent death signal, and the end of process 1 of a PID namespace is the end of
// all in it. That holds for kill -9, for containers and for whatever a container
// did. What then remains is files: the cgroups, removed by the keeper or, where
// the keeper itself was killed, by the next Up or Down; and the folder of the
// bed, removed by Down.
//
// # Network
//
//	10.210.0.1          the operator: the WAN namespace, where "testbed run" puts a command
//	10.210.N.0/24       the nodes of the N-th cluster, from .11; .1 is their gateway in the WAN
//	10.N.I.0/24         the pods of its I-th node
//	10.(100+N).0.0/16   its services; .0.10 is its DNS
//
// The addresses exist only in namespaces of the bed: any number of beds live side
// by side. Between nodes of one cluster lies a bridge; between clusters, and to the
// operator, the WAN routes, cuts (package wan) and slows down. Pods of one
// cluster see each other's own addresses; what leaves a cluster has its node's.
//
// # What is changed outside
//
// Nothing under /run, /etc, /var or /opt; no sysctl (what kubelet would write is
// a private file bound over it), no rule, route or device of the machine's own
// network, no mount others see. While a bed runs there is one cgroup per
// hierarchy, osmoslice-testbed-PID-START.
package cluster
