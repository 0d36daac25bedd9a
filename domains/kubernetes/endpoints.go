package kubernetes

import (
	"context"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/osmoslice/osmoslice/internal/slice"
)

// addresses is at what others reach a cluster's Services.
type addresses struct {
	advertise string // of the connection: instead of all others
	node      string // of a ready node
}

// addresses finds out what the Services seen need.
func (m *member) addresses(ctx context.Context, s *seen) (addresses, error) {
	a := addresses{advertise: m.c.Advertise}
	for _, svc := range s.services {
		if a.advertise != "" || a.node != "" || svc.Spec.Type != corev1.ServiceTypeNodePort || svc.Labels[labelExpose] != "true" {
			continue
		}
		nodes, err := m.nodes(ctx)
		if err != nil {
			return a, err
		}
		a.node = nodeAddress(nodes)
	}
	return a, nil
}

// nodeAddress is that of the first ready node by name: it stays the same while
// the node does. An external address comes before an internal one.
func nodeAddress(nodes []corev1.Node) string {
	nodes = slices.Clone(nodes)
	slices.SortFunc(nodes, func(a, b corev1.Node) int { return strings.Compare(a.Name, b.Name) })
	for _, n := range nodes {
		if ready, _ := nodeReady(&n); !ready {
			continue
		}
		for _, kind := range []corev1.NodeAddressType{corev1.NodeExternalIP, corev1.NodeInternalIP, corev1.NodeExternalDNS, corev1.NodeHostName} {
			for _, a := range n.Status.Addresses {
				if a.Type == kind && a.Address != "" {
					return a.Address
				}
			}
		}
	}
	return ""
}

// endpoints reads them off the exposed Services, by port name. What a Service
// does not tell yet is in waiting.
func endpoints(services []corev1.Service, ports []slice.Port, a addresses) (out map[string]string, waiting []string) {
	schemes := map[string]string{}
	for _, p := range ports {
		schemes[p.Name] = p.Scheme
	}
	out = map[string]string{}
	for _, s := range services {
		if s.Labels[labelExpose] != "true" {
			continue
		}
		for _, p := range s.Spec.Ports {
			host, number, why := at(&s, &p, a)
			if why != "" {
				waiting = append(waiting, why)
				continue
			}
			scheme := firstNonEmpty(schemes[p.Name], appProtocol(&p), strings.ToLower(string(p.Protocol)), "tcp")
			u := url.URL{Scheme: scheme, Host: net.JoinHostPort(host, strconv.Itoa(int(number)))}
			out[p.Name] = u.String()
		}
	}
	return out, waiting
}

func appProtocol(p *corev1.ServicePort) string {
	if p.AppProtocol == nil || strings.Contains(*p.AppProtocol, "/") {
		return ""
	}
	return *p.AppProtocol
}

// at is host and number of a Service's port, or why there are none yet.
func at(s *corev1.Service, p *corev1.ServicePort, a addresses) (host string, number int32, why string) {
	switch s.Spec.Type {
	case corev1.ServiceTypeNodePort:
		host = firstNonEmpty(a.advertise, a.node)
		if p.NodePort == 0 {
			return "", 0, "service " + s.Name + " has no node port yet"
		}
		if host == "" {
			return "", 0, "no node of the cluster is ready to be the address of service " + s.Name
		}
		return host, p.NodePort, ""
	case corev1.ServiceTypeLoadBalancer:
		for _, in := range s.Status.LoadBalancer.Ingress {
			if host = firstNonEmpty(a.advertise, in.IP, in.Hostname); host != "" {
				return host, p.Port, ""
			}
		}
		return "", 0, "service " + s.Name + " waits for its load balancer"
	}
	return firstNonEmpty(a.advertise, s.Name+"."+s.Namespace+".svc"), p.Port, ""
}
