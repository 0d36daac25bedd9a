package cluster

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// Operator is the address of the WAN namespace itself.
const Operator = "10.210.0.1"

// A Cluster is one planned cluster: names and addresses, nothing that runs.
type Cluster struct {
	Name     string
	Index    int // from 1; chooses all addresses
	Network  netip.Prefix
	Gateway  netip.Addr
	Pods     netip.Prefix
	Services netip.Prefix
	DNS      netip.Addr
	Nodes    []Node
}

// A Node is one node of a cluster; the first holds the control plane.
type Node struct {
	Name    string
	Index   int // from 1
	Address netip.Addr
	Pods    netip.Prefix
}

const (
	maxClusters = 90
	maxNodes    = 100
)

var clusterName = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,30}[a-z0-9])?$`)

// Plan lays out clusters given as NAME or NAME:NODES, one node by default.
func Plan(wanted ...string) ([]Cluster, error) {
	if len(wanted) == 0 {
		return nil, errors.New("no cluster is named: give one or more, as in edge cloud:2")
	}
	if len(wanted) > maxClusters {
		return nil, fmt.Errorf("%d clusters: at most %d have addresses", len(wanted), maxClusters)
	}
	var all []Cluster
	seen := map[string]bool{}
	for i, w := range wanted {
		name, count, counted := strings.Cut(w, ":")
		nodes := 1
		if counted {
			n, err := strconv.Atoi(count)
			if err != nil || n < 1 || n > maxNodes {
				return nil, fmt.Errorf("cluster %q: %q is no number of nodes from 1 to %d", name, count, maxNodes)
			}
			nodes = n
		}
		if !clusterName.MatchString(name) {
			return nil, fmt.Errorf("cluster %q: a name is up to 32 lower case letters, digits and dashes, a letter first", name)
		}
		if seen[name] {
			return nil, fmt.Errorf("cluster %q is named twice", name)
		}
		seen[name] = true
		all = append(all, layOut(name, i+1, nodes))
	}
	return all, nil
}

func layOut(name string, index, nodes int) Cluster {
	n := byte(index)
	c := Cluster{
		Name: name, Index: index,
		Network:  netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 210, n, 0}), 24),
		Gateway:  netip.AddrFrom4([4]byte{10, 210, n, 1}),
		Pods:     netip.PrefixFrom(netip.AddrFrom4([4]byte{10, n, 0, 0}), 16),
		Services: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 100 + n, 0, 0}), 16),
		DNS:      netip.AddrFrom4([4]byte{10, 100 + n, 0, 10}),
	}
	for i := 1; i <= nodes; i++ {
		c.Nodes = append(c.Nodes, Node{
			Name: fmt.Sprintf("%s-%d", name, i), Index: i,
			Address: netip.AddrFrom4([4]byte{10, 210, n, byte(10 + i)}),
			Pods:    netip.PrefixFrom(netip.AddrFrom4([4]byte{10, n, byte(i), 0}), 24),
		})
	}
	return c
}

// Server is where the cluster's API server listens.
func (c Cluster) Server() string { return "https://" + c.Nodes[0].Address.String() + ":6443" }

// bridge is the name of the cluster's bridge in the WAN.
func (c Cluster) bridge() string { return fmt.Sprintf("c%d", c.Index) }
