package slice

import "time"

// ElementKind is what an element is for.
type ElementKind string

// The kinds of elements.
const (
	Gateway      ElementKind = "gateway"
	Server       ElementKind = "server"
	MicroElement ElementKind = "microElement"
)

// Element is one function of a slice: a gateway, a server or a further
// microElement (MEL). The API shows it as IoTGateway, IoTServer or MicroElement.
type Element struct {
	Meta
	Element ElementKind `json:"elementKind"`
	Slice   string      `json:"iotSliceId"`
	// Product is a catalogue name, Version empty for the newest.
	Product string `json:"product"`
	Version string `json:"productVersion,omitempty"`
	// Server is the name of the server a gateway or microElement feeds; empty:
	// the only server of the slice, or none.
	Server string `json:"iotServer,omitempty"`
	// MELClass is MUS (user) or MOS (operational) for a microElement.
	MELClass      string            `json:"melClass,omitempty"`
	Configuration map[string]string `json:"configuration,omitempty"`
	Args          []string          `json:"args,omitempty"`
	// SecretRefs maps a configuration name to a secret's id or name.
	SecretRefs   map[string]string `json:"secretRefs,omitempty"`
	Replicas     int               `json:"replicas,omitempty"` // 0 means 1
	Requirements *Requirements     `json:"requirements,omitempty"`
	Placement    *PlacementPolicy  `json:"placementPolicy,omitempty"`
	// CredentialsRef is the secret that administers the instance; made by the
	// service when not given.
	CredentialsRef string `json:"credentialsRef,omitempty"`

	// What the service knows of it.
	State State       `json:"state"`
	Cause string      `json:"cause,omitempty"`
	Run   *Deployment `json:"deployment,omitempty"`
	// Previous is the deployment before Run, kept while an operation may roll
	// back to it.
	Previous *Deployment `json:"previousDeployment,omitempty"`
}

// Kind maps the element's kind to its resource kind.
func (e *Element) Kind() Kind {
	switch e.Element {
	case Gateway:
		return KindIoTGateway
	case Server:
		return KindIoTServer
	}
	return KindMicroElement
}

// Parent is the slice.
func (e *Element) Parent() string { return e.Slice }

// Deployment records what was last installed for an element, and where.
type Deployment struct {
	Release        string            `json:"releaseName"`
	Infrastructure string            `json:"infrastructureId"`
	Node           string            `json:"nodeId,omitempty"`
	Product        string            `json:"product"`
	Version        string            `json:"productVersion"`
	Hash           string            `json:"specHash"`
	Endpoints      map[string]string `json:"endpoints,omitempty"`
	Requirements   Requirements      `json:"requirements"` // as deducted from the ledger
	InstalledAt    time.Time         `json:"installedAt"`
	ReadyAt        *time.Time        `json:"readyAt,omitempty"`
}

// Requirements is what an element needs of its node.
type Requirements struct {
	CPU                int64    `json:"cpuMilli,omitempty"`
	Memory             int64    `json:"memoryMiB,omitempty"`
	Storage            int64    `json:"storageMiB,omitempty"`
	Software           []string `json:"software,omitempty"`
	Things             []string `json:"things,omitempty"`
	Architectures      []string `json:"architectures,omitempty"`
	AccessTechnologies []string `json:"accessTechnologies,omitempty"`
	// MaxLatencyMS bounds the one-way latency from the devices (gateways) or
	// from the gateways feeding it (servers, microElements).
	MaxLatencyMS  float64 `json:"maxLatencyMs,omitempty"`
	BandwidthKbit int64   `json:"bandwidthKbit,omitempty"`
}
