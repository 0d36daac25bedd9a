package topology

import "slices"

// Kind is the tier of the continuum that a node belongs to.
type Kind string

// The kinds, from the things to the core.
const (
	DeviceEdge  Kind = "DEVICE_EDGE"
	NetworkEdge Kind = "NETWORK_EDGE"
	Fog         Kind = "FOG"
	Cloud       Kind = "CLOUD"
	Access      Kind = "ACCESS"
	Transport   Kind = "TRANSPORT"
	Core        Kind = "CORE"
)

var kinds = []Kind{DeviceEdge, NetworkEdge, Fog, Cloud, Access, Transport, Core}

// Kinds lists every kind, from the things to the core.
func Kinds() []Kind { return slices.Clone(kinds) }

// Infinite stands for a capacity without limit. It is exact in a JSON number.
const Infinite int64 = 1 << 52

// Capacity is hardware: what a node has, or what an element needs.
type Capacity struct {
	CPU     int64 `json:"cpu"`     // milli-cores
	Memory  int64 `json:"memory"`  // MiB
	Storage int64 `json:"storage"` // MiB
}

// Unlimited is a node's hardware without limit.
func Unlimited() Capacity { return Capacity{CPU: Infinite, Memory: Infinite, Storage: Infinite} }

// Location is where a node stands (WGS 84 degrees).
type Location struct {
	Lat float64 `json:"lat"`
	Lon float64 `json:"lon"`
}

// Node is a machine, cluster node or device on which elements can run.
type Node struct {
	ID                 string            `json:"id"`
	Name               string            `json:"name,omitempty"`
	Infrastructure     string            `json:"infrastructure,omitempty"` // id; empty: a group of its own without group paths
	Kind               Kind              `json:"kind"`
	Arch               string            `json:"arch,omitempty"` // GOARCH word: amd64, arm64, arm
	Capacity           Capacity          `json:"capacity"`       // gross: what may be given out in total
	Software           []string          `json:"software,omitempty"`
	Things             []string          `json:"things,omitempty"`
	AccessTechnologies []string          `json:"accessTechnologies,omitempty"`
	Labels             map[string]string `json:"labels,omitempty"`
	SecurityLevel      int               `json:"securityLevel,omitempty"`
	Location           *Location         `json:"location,omitempty"`
	Area               string            `json:"area,omitempty"`         // residency area, e.g. "EU/IT"; a parent contains its children by "/"
	EnergyPerCPU       float64           `json:"energyPerCpu,omitempty"` // watts per core in use
	PricePerCPU        float64           `json:"pricePerCpu,omitempty"`  // price units per core and hour
	Unavailable        bool              `json:"unavailable,omitempty"`
	Reason             string            `json:"reason,omitempty"` // why it is unavailable
}

// Path is how well one end reaches the other, in one direction.
type Path struct {
	LatencyMS     float64 `json:"latencyMs"`
	BandwidthKbit int64   `json:"bandwidthKbit"`
	Loss          float64 `json:"loss,omitempty"`
}

// Link is an exact, directed statement about two nodes; it overrides what their
// infrastructures state.
type Link struct {
	From          string  `json:"from"`
	To            string  `json:"to"`
	LatencyMS     float64 `json:"latencyMs"`
	BandwidthKbit int64   `json:"bandwidthKbit"`
	Loss          float64 `json:"loss,omitempty"`
	Down          bool    `json:"down,omitempty"` // known not to work; hides the group's path
}

// Path is the link's quality without its ends.
func (l Link) Path() Path {
	return Path{LatencyMS: l.LatencyMS, BandwidthKbit: l.BandwidthKbit, Loss: l.Loss}
}

// Infrastructure is what placing needs to know of a registered place.
type Infrastructure struct {
	ID    string `json:"id"`
	Name  string `json:"name,omitempty"`
	Intra *Path  `json:"intra,omitempty"` // between any two of its nodes; nil: not linked
}

// GroupLink is the path from any node of one infrastructure to any of another.
type GroupLink struct {
	From string `json:"from"`
	To   string `json:"to"`
	Path Path   `json:"path"`
}
