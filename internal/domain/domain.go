package domain

import (
	"context"
	"encoding/json"
	"time"

	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/topology"
)

// Site is a registered infrastructure as its driver must know it. Connection
// is the plugin's own connection data, valid against the plugin's JSON Schema.
// Secrets are the resolved values of the secret references in it, by name;
// they are never stored or logged by a driver.
type Site struct {
	ID         string
	Name       string
	Connection json.RawMessage
	Secrets    map[string][]byte
}

// Ref names one deployment for ever.
type Ref struct {
	Site    Site
	Slice   string // slice id
	Element string // element id
	// Release is unique at the site: at most 53 characters of [a-z0-9-],
	// starting with a letter, containing the slice's uid.
	Release string
	// Generation is the fence token of the asking operation.
	Generation int64
}

// Deployment is the whole wish for one function.
type Deployment struct {
	Ref
	Tenant    string
	Node      string // node id chosen by the placer, empty: the driver's choice
	NodeName  string
	Product   string
	Version   string
	Packaging slice.Packaging
	Replicas  int // 0 means 1
	Args      []string
	Env       map[string]string
	// Files are written beside the function with mode 0600, path relative to
	// its working directory; they hold configuration and secrets.
	Files     map[string][]byte
	Ports     []slice.Port
	Resources Resources
	Probe     Probe
	Labels    map[string]string
	// Hash is the SHA-256 (hex) of everything above except Generation; Status
	// echoes the hash in force, so that drift shows.
	Hash string
}

// Resources is what one replica needs. Zero means unlimited.
type Resources struct {
	CPU     int64 `json:"cpu"`     // milli-cores
	Memory  int64 `json:"memory"`  // MiB
	Storage int64 `json:"storage"` // MiB
}

// Probe says how readiness is proved: an HTTP GET answering 2xx, or a TCP
// connect when Path is empty. The zero Probe holds when the process lives.
type Probe struct {
	Port     string        `json:"port,omitempty"`
	Path     string        `json:"path,omitempty"`
	Interval time.Duration `json:"interval,omitempty"` // 0: the driver's default
	Timeout  time.Duration `json:"timeout,omitempty"`
}

// Phase is how far a deployment is.
type Phase string

// The phases; see the package comment for their order.
const (
	Absent   Phase = "ABSENT"
	Pending  Phase = "PENDING"
	Starting Phase = "STARTING"
	Ready    Phase = "READY"
	Degraded Phase = "DEGRADED"
	Failed   Phase = "FAILED"
)

// Status is what a site says of one deployment.
type Status struct {
	Phase      Phase
	Generation int64  // in force at the site
	Hash       string // of the deployment in force
	// Endpoints maps a port's name to a URL at which others reach it.
	Endpoints  map[string]string
	Node       string   // node id or name where it runs
	Evidence   []string // what was seen: "pid 4711 alive 12 s", "GET /healthz 200"
	ObservedAt time.Time
	Cause      string // first root cause when Degraded or Failed
	Restarts   int
}

// Driver installs functions at the sites of one technology.
type Driver interface {
	Apply(ctx context.Context, d Deployment) error
	Delete(ctx context.Context, ref Ref) error // absent is not an error
	Observe(ctx context.Context, ref Ref) (Status, error)
}

// Inventory is the optional ability to tell a site's nodes.
type Inventory interface {
	Nodes(ctx context.Context, s Site) ([]topology.Node, error)
}

// Watcher is the optional ability to tell changes instead of being polled.
// Watch sends the Ref of whatever may have changed until ctx ends; it may send
// too much, never too little.
type Watcher interface {
	Watch(ctx context.Context, s Site, changed chan<- Ref) error
}

// Lister is the optional ability to tell every deployment at a site, owned
// labels included; the service finds orphans with it.
type Lister interface {
	List(ctx context.Context, s Site) ([]Ref, error)
}

// Checker is the optional ability to prove that a site can be reached with its
// connection data, at registration.
type Checker interface {
	Check(ctx context.Context, s Site) error
}

// Previewer is the optional ability to tell what Apply would change at a site,
// changing nothing. No secret is told.
type Previewer interface {
	Preview(ctx context.Context, d Deployment) ([]Difference, error)
}

// Difference is one field that Apply would change.
type Difference struct {
	Object string // "values", "Deployment gateway-main"
	Field  string // "spec/replicas"; empty: the whole object
	Before string // JSON; empty: it is not there
	After  string // JSON; empty: it would go
}

// ImageTeller is the optional ability to tell, before anything is placed, on
// which architectures the images of a function run. It ends with ctx. What
// cannot be found out is told as not known, never left out.
type ImageTeller interface {
	Images(ctx context.Context, s Site, p slice.Packaging) ([]Image, error)
}

// Image is one image of a function, as its site would pull it.
type Image struct {
	Name string `json:"image"` // with registry, repository and tag
	// Architectures (GOARCH words) on which it is known to run, sorted.
	Architectures []string `json:"architectures,omitempty"`
	// Known tells that Architectures are all there are; else it may run on
	// others, too, and Unknown says why that is not known.
	Known   bool   `json:"known"`
	Unknown string `json:"unknown,omitempty"`
	// From is who says so: a registry, an archive, a node that has it.
	From string `json:"from,omitempty"`
}

// Plugin is a driver with its name and the JSON Schema of its connection data.
type Plugin struct {
	Name    string // "host", "kubernetes", "simulated"
	Version string // of the schema
	Schema  json.RawMessage
	Driver  Driver
}
