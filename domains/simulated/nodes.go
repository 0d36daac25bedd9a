package simulated

import (
	"crypto/sha256"
	"fmt"

	"github.com/osmoslice/osmoslice/internal/topology"
)

// node is one place of a site with what is free on it.
type node struct {
	spec *NodeSpec
	name string
	cap  topology.Capacity
	used topology.Capacity
}

// defaultNode serves a script without nodes: it takes whatever is named.
var defaultNode = NodeSpec{Name: "node-1", Arch: "amd64"}

// expand lists the nodes of a script by name.
func (s *Script) expand() []*node {
	specs := s.Nodes
	if len(specs) == 0 {
		specs = []NodeSpec{defaultNode}
	}
	var nodes []*node
	for i := range specs {
		spec := &specs[i]
		limit := topology.Unlimited()
		for to, v := range map[*int64]*int64{&limit.CPU: spec.CPU, &limit.Memory: spec.Memory, &limit.Storage: spec.Storage} {
			if v != nil {
				*to = *v
			}
		}
		if spec.Count == 0 {
			nodes = append(nodes, &node{spec: spec, name: spec.Name, cap: limit})
		}
		for n := range spec.Count {
			nodes = append(nodes, &node{spec: spec, name: fmt.Sprintf("%s-%d", spec.Name, n+1), cap: limit})
		}
	}
	return nodes
}

func (n *node) fits(c topology.Capacity) bool {
	return n.used.CPU+c.CPU <= n.cap.CPU && n.used.Memory+c.Memory <= n.cap.Memory && n.used.Storage+c.Storage <= n.cap.Storage
}

func (n *node) add(c topology.Capacity, sign int64) {
	n.used.CPU += sign * c.CPU
	n.used.Memory += sign * c.Memory
	n.used.Storage += sign * c.Storage
}

// short says what is missing, for people.
func (n *node) short(c topology.Capacity) string {
	return fmt.Sprintf("node %s: needs %d milli-cores, %d MiB memory, %d MiB storage; free %d, %d, %d", n.name,
		c.CPU, c.Memory, c.Storage, n.cap.CPU-n.used.CPU, n.cap.Memory-n.used.Memory, n.cap.Storage-n.used.Storage)
}

// nodeID is the same for ever: a version 8 UUID (RFC 9562 §5.8) of site and
// name.
func nodeID(site, name string) string {
	b := sha256.Sum256([]byte("osmoslice/simulated\x00" + site + "\x00" + name))
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// topologyNode is how the service sees a node.
func (n *node) topologyNode(site string, kind topology.Kind, lost bool) topology.Node {
	if kind == "" {
		kind = topology.Cloud
	}
	t := topology.Node{
		ID: nodeID(site, n.name), Name: n.name, Infrastructure: site, Kind: kind, Arch: n.spec.Arch,
		Capacity: n.cap, Software: n.spec.Software, Things: n.spec.Things,
		AccessTechnologies: n.spec.AccessTechnologies, Labels: n.spec.Labels,
		SecurityLevel: n.spec.SecurityLevel, Location: n.spec.Location, Area: n.spec.Area,
		EnergyPerCPU: n.spec.EnergyPerCPU, PricePerCPU: n.spec.PricePerCPU,
	}
	if lost {
		t.Unavailable, t.Reason = true, "the node is lost"
	}
	return t
}
