package cluster

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/osmoslice/osmoslice/test/testbed/wan"
)

// Status is a bed as it is now.
type Status struct {
	Started  time.Time
	Clusters []ClusterStatus
	WAN      wan.State
}

// ClusterStatus is one cluster's.
type ClusterStatus struct {
	Name   string
	Server string
	Nodes  []NodeStatus
}

// NodeStatus is one node's.
type NodeStatus struct {
	Name       string
	Address    string
	Milestones []Milestone // in the order they were reached
	Failed     string      // why it ended; empty while it runs
	Memory     int64       // bytes (PSS) of all its processes, containers included; 0 where not asked for
}

// A Milestone is something a node reached. The last one is Ready.
type Milestone struct {
	Name  string
	After time.Duration // since the bed started
}

// Ready is the milestone of a node that runs pods.
const Ready = "ready"

// Ready is whether every node of every cluster is.
func (s Status) Ready() bool {
	for _, c := range s.Clusters {
		for _, n := range c.Nodes {
			if !slices.ContainsFunc(n.Milestones, func(m Milestone) bool { return m.Name == Ready }) {
				return false
			}
		}
	}
	return len(s.Clusters) > 0
}

// Failure is the first node's that ended, if one did.
func (s Status) Failure() error {
	for _, c := range s.Clusters {
		for _, n := range c.Nodes {
			if n.Failed != "" {
				return fmt.Errorf("node %s: %s", n.Name, n.Failed)
			}
		}
	}
	return nil
}

// A progress is a Status under a lock.
type progress struct {
	mu     sync.Mutex
	status Status
}

func newProgress(b Bed) *progress {
	s := Status{Started: time.Now()}
	for _, c := range b.Clusters {
		cs := ClusterStatus{Name: c.Name, Server: c.Server()}
		for _, n := range c.Nodes {
			cs.Nodes = append(cs.Nodes, NodeStatus{Name: n.Name, Address: n.Address.String()})
		}
		s.Clusters = append(s.Clusters, cs)
	}
	return &progress{status: s}
}

func (p *progress) reached(node, milestone string) {
	p.node(node, func(n *NodeStatus) {
		n.Milestones = append(n.Milestones, Milestone{Name: milestone, After: time.Since(p.status.Started)})
	})
}

func (p *progress) failed(node string, err error) {
	p.node(node, func(n *NodeStatus) { n.Failed = err.Error() })
}

func (p *progress) node(name string, f func(*NodeStatus)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.status.Clusters {
		for j := range p.status.Clusters[i].Nodes {
			if n := &p.status.Clusters[i].Nodes[j]; n.Name == name {
				f(n)
			}
		}
	}
}

func (p *progress) snapshot() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.status
	s.Clusters = slices.Clone(s.Clusters)
	for i := range s.Clusters {
		s.Clusters[i].Nodes = slices.Clone(s.Clusters[i].Nodes)
		for j := range s.Clusters[i].Nodes {
			n := &s.Clusters[i].Nodes[j]
			n.Milestones = slices.Clone(n.Milestones)
		}
	}
	return s
}
