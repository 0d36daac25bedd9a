package slice

import (
	"encoding/json"
	"time"
)

// Infrastructure is a registered place where functions can run (ETSI NFVI-PoP,
// MEC host), with the plugin that installs there.
type Infrastructure struct {
	Meta
	// SharedWith lists tenants that may use it besides its owner; ["*"] is all.
	SharedWith []string `json:"sharedWith,omitempty"`
	Provider   string   `json:"provider,omitempty"`
	Address    string   `json:"address,omitempty"`
	// Tier is DEVICE_EDGE, NETWORK_EDGE, FOG, CLOUD, ACCESS, TRANSPORT or CORE.
	Tier     string `json:"kind"`
	Mobility string `json:"mobility,omitempty"` // FIXED (default) or MOBILE
	// Plugin is a domain plugin's name; Connection its connection data, valid
	// against the plugin's JSON Schema; SecretRefs the secrets it needs.
	Plugin             string            `json:"plugin"`
	Connection         json.RawMessage   `json:"connection,omitempty"`
	SecretRefs         map[string]string `json:"secretRefs,omitempty"`
	Capabilities       []string          `json:"capabilities,omitempty"`
	AccessTechnologies []string          `json:"accessTechnologies,omitempty"`
	Area               string            `json:"area,omitempty"`
	SecurityLevel      int               `json:"securityLevel,omitempty"`
	PricePerCPUHour    float64           `json:"pricePerCpuHour,omitempty"`
	// AccessLatencyMS is the one-way latency from the devices' access network;
	// IntraLatencyMS and IntraBandwidthKbit hold between its nodes.
	AccessLatencyMS    float64 `json:"accessLatencyMs,omitempty"`
	IntraLatencyMS     float64 `json:"intraLatencyMs,omitempty"`
	IntraBandwidthKbit int64   `json:"intraBandwidthKbit,omitempty"`
	// Concurrency bounds the steps that run at it side by side; 0: default.
	Concurrency int `json:"concurrency,omitempty"`
	// Cordoned keeps new functions away.
	Cordoned bool `json:"cordoned,omitempty"`

	State     State      `json:"state"` // ACTIVE, INACTIVE (does not answer), DESIGNED (not asked yet)
	Cause     string     `json:"cause,omitempty"`
	CheckedAt *time.Time `json:"checkedAt,omitempty"`
}

// Kind is KindInfrastructure.
func (*Infrastructure) Kind() Kind { return KindInfrastructure }

// Parent is "".
func (*Infrastructure) Parent() string { return "" }

// Node is one place below an infrastructure.
type Node struct {
	Meta
	Infrastructure string       `json:"infrastructureId"`
	IP             string       `json:"ipAddress,omitempty"`
	MAC            string       `json:"macAddress,omitempty"`
	Location       *Geolocation `json:"geolocation,omitempty"`
	Tags           []string     `json:"tags,omitempty"`
	// DeviceType is MCU, MPU, VM or PHYSICAL.
	DeviceType   string `json:"deviceType,omitempty"`
	Architecture string `json:"architecture,omitempty"` // amd64, arm64, arm, …
	// Capacity; zero fields are unlimited only when Unlimited is set.
	CPU       int64 `json:"cpuMilli"`
	Memory    int64 `json:"memoryMiB"`
	Storage   int64 `json:"storageMiB"`
	Unlimited bool  `json:"unlimited,omitempty"`

	Things             []string `json:"things,omitempty"`
	Software           []string `json:"software,omitempty"`
	AccessTechnologies []string `json:"accessTechnologies,omitempty"`
	SecurityLevel      int      `json:"securityLevel,omitempty"`
	EnergyPerCPU       float64  `json:"energyPerCpu,omitempty"` // W per core
	PricePerCPUHour    float64  `json:"pricePerCpuHour,omitempty"`
	Cordoned           bool     `json:"cordoned,omitempty"`
	// Origin is "declared" (by API) or "discovered" (by the driver).
	Origin string `json:"origin,omitempty"`
	State  State  `json:"state"`
	Cause  string `json:"cause,omitempty"`
}

// Kind is KindNode.
func (*Node) Kind() Kind { return KindNode }

// Parent is the infrastructure.
func (n *Node) Parent() string { return n.Infrastructure }

// Geolocation is WGS 84 degrees.
type Geolocation struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
}

// Link is a directed link between two nodes, or between two infrastructures,
// by id. It lives below the infrastructure of its From end.
type Link struct {
	Meta
	Infrastructure string  `json:"infrastructureId"`
	From           string  `json:"from"`
	To             string  `json:"to"`
	Level          string  `json:"level"` // NODE or INFRASTRUCTURE
	LatencyMS      float64 `json:"latencyMs"`
	BandwidthKbit  int64   `json:"bandwidthKbit"`
	Loss           float64 `json:"loss,omitempty"` // 0…1
}

// Kind is KindLink.
func (*Link) Kind() Kind { return KindLink }

// Parent is the infrastructure.
func (l *Link) Parent() string { return l.Infrastructure }
