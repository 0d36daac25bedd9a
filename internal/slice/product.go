package slice

import "encoding/json"

// Product is a catalogue entry at one version: what a gateway, server or
// microElement is made of, per driver. Name and version together are unique.
type Product struct {
	Meta
	Version string      `json:"version"`
	Element ElementKind `json:"elementKind"`
	// Platform names the adapter that talks to its API ("lite", "edgex",
	// "mainflux"), empty when nothing needs to be told to it.
	Platform string `json:"platform,omitempty"`
	// Packaging by driver name ("host", "kubernetes", "simulated").
	Packaging map[string]Packaging `json:"packaging"`
	// Configuration is the template: environment variable to value, where
	// ${port:NAME}, ${listen:NAME}, ${dir}, ${file:NAME}, ${secret:NAME} and
	// ${config:NAME} stand for what is only known at installation.
	Configuration map[string]string `json:"configuration,omitempty"`
	// Files is the template of files, by relative path.
	Files map[string]string `json:"files,omitempty"`
	// ConfigurationSchema is a JSON Schema for an element's configuration.
	ConfigurationSchema json.RawMessage `json:"configurationSchema,omitempty"`
	Ports               []Port          `json:"ports,omitempty"`
	Probe               *ProbeSpec      `json:"probe,omitempty"`
	Requirements        Requirements    `json:"requirements"`
	Protocols           []string        `json:"protocols,omitempty"`
	// Images by name, for container drivers.
	Images map[string]string `json:"images,omitempty"`
	State  State             `json:"state,omitempty"`
}

// ProbeSpec is the catalogue's readiness probe; times in seconds.
type ProbeSpec struct {
	Port            string  `json:"port,omitempty"`
	Path            string  `json:"path,omitempty"`
	IntervalSeconds float64 `json:"intervalSeconds,omitempty"`
	TimeoutSeconds  float64 `json:"timeoutSeconds,omitempty"`
}

// Kind is KindProduct.
func (*Product) Kind() Kind { return KindProduct }

// Parent is "".
func (*Product) Parent() string { return "" }

// Packaging says what a function is made of for one driver; a driver reads its
// own part.
type Packaging struct {
	Process *Process        `json:"process,omitempty"`
	Chart   *Chart          `json:"chart,omitempty"`
	Extra   json.RawMessage `json:"extra,omitempty"` // for drivers of others
}

// Process is an executable artefact.
type Process struct {
	// Artefact is the file's base name in the artefact folder.
	Artefact string `json:"artefact"`
	// SHA256 is the expected digest (hex) by architecture ("amd64", "arm64",
	// "arm"); an architecture without entry is accepted unchecked only when the
	// map is empty.
	SHA256 map[string]string `json:"sha256,omitempty"`
	Args   []string          `json:"args,omitempty"`
}

// Chart is a Helm chart.
type Chart struct {
	Name    string          `json:"name"`
	Version string          `json:"version"`
	Values  json.RawMessage `json:"values,omitempty"`
}

// Port is a named listening port. The driver chooses the number unless Fixed;
// the function learns it from the environment variable or argument where the
// placeholder ${port:NAME} stands, and the world from Status.Endpoints.
type Port struct {
	Name     string `json:"name"`
	Protocol string `json:"protocol"`         // "tcp" or "udp"
	Scheme   string `json:"scheme,omitempty"` // of the endpoint URL: "http", "tcp", "coap", …
	Fixed    int    `json:"fixed,omitempty"`  // 0: the driver's choice
}
