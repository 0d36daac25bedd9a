package placement

import (
	"slices"
	"strings"
	"time"

	"github.com/osmoslice/osmoslice/internal/topology"
)

// ElementKind is what an element is.
type ElementKind string

// The element kinds.
const (
	Gateway      ElementKind = "gateway"
	Server       ElementKind = "server"
	MicroElement ElementKind = "microElement"
)

// Demand is one slice to be placed: a graph of elements and flows.
type Demand struct {
	ID        string    `json:"id"`
	Tenant    string    `json:"tenant,omitempty"`
	Priority  int       `json:"priority,omitempty"`    // class; a higher one is served first
	Submitted time.Time `json:"submittedAt,omitempty"` // within a class the older is served first
	Elements  []Element `json:"elements"`
	Flows     []Flow    `json:"flows,omitempty"`

	compiled *compiled
}

// Element is one function of a slice that needs a node.
type Element struct {
	ID           string       `json:"id"` // unique in its demand
	Name         string       `json:"name,omitempty"`
	Kind         ElementKind  `json:"kind,omitempty"`
	Requirements Requirements `json:"requirements"`
	// LatencyMS is how near it must be to those who use it from outside the
	// topology, as devices do; 0: they do not care. It draws the element to the
	// edge; where it may be because of it, the membrane says.
	LatencyMS float64 `json:"latencyMs,omitempty"`
	// The membrane: where the element may be. Empty means anywhere.
	AllowedKinds           []topology.Kind `json:"allowedKinds,omitempty"`
	AllowedInfrastructures []string        `json:"allowedInfrastructures,omitempty"` // ids
	AllowedNodes           []string        `json:"allowedNodes,omitempty"`           // ids: a pin
	Area                   string          `json:"area,omitempty"`                   // residency: the node's area must be it or within it ("EU" holds "EU/IT")
	// Groups of elements of the same demand, by a free name.
	Affinity     []string `json:"affinity,omitempty"`     // all members of a group on one node
	AntiAffinity []string `json:"antiAffinity,omitempty"` // all members on different nodes
	Redundancy   []string `json:"redundancy,omitempty"`   // all members in different infrastructures (nodes, when those have none)
}

// Requirements is what an element needs of its node.
type Requirements struct {
	CPU      int64    `json:"cpu,omitempty"`     // milli-cores
	Memory   int64    `json:"memory,omitempty"`  // MiB
	Storage  int64    `json:"storage,omitempty"` // MiB
	Software []string `json:"software,omitempty"`
	Things   []string `json:"things,omitempty"`
	Arch     []string `json:"arch,omitempty"` // any of these; empty: any
	// Images are what is known of the images it runs: on a node of their
	// infrastructure it must have one of their architectures.
	Images             []Image           `json:"images,omitempty"`
	AccessTechnologies []string          `json:"accessTechnologies,omitempty"`
	Labels             map[string]string `json:"labels,omitempty"` // every one equal on the node
	SecurityLevel      int               `json:"securityLevel,omitempty"`
}

// Image says which architectures an image is there for, at the nodes of one
// infrastructure. A node that tells no architecture is not held to it.
type Image struct {
	Name           string   `json:"image"`
	Infrastructure string   `json:"infrastructure"` // id
	Arch           []string `json:"arch"`           // GOARCH words; empty: none at all
}

// runsOn reports whether the image has nothing against a node.
func (i *Image) runsOn(n *topology.Node) bool {
	return i.Infrastructure != n.Infrastructure || n.Arch == "" || slices.Contains(i.Arch, n.Arch)
}

// offer is what it is there for, for people.
func (i *Image) offer() string {
	if len(i.Arch) == 0 {
		return "for no architecture"
	}
	return "only for " + strings.Join(i.Arch, ", ")
}

// Hardware is the part of the requirements that is given out and deducted.
func (r Requirements) Hardware() topology.Capacity {
	return topology.Capacity{CPU: r.CPU, Memory: r.Memory, Storage: r.Storage}
}

// Flow is directed traffic between two elements of a demand, or between an
// element and a fixed node (the one a device is attached to).
type Flow struct {
	From          string  `json:"from,omitempty"`         // element id
	FromNode      string  `json:"fromNode,omitempty"`     // instead of From: a node id
	To            string  `json:"to,omitempty"`           // element id
	ToNode        string  `json:"toNode,omitempty"`       // instead of To: a node id
	MaxLatencyMS  float64 `json:"maxLatencyMs,omitempty"` // 0: no bound
	MaxLoss       float64 `json:"maxLoss,omitempty"`      // 0: no bound
	BandwidthKbit int64   `json:"bandwidthKbit,omitempty"`
}
