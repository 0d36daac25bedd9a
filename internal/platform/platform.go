package platform

import (
	"context"
	"time"
)

// Access says how to reach one running instance of a product: the endpoints
// its deployment published and the secret that administers it.
type Access struct {
	// Endpoints maps an endpoint name of the product (for the light products
	// "api", "mqtt", "http", "coap") to its URL, as seen from the service.
	Endpoints map[string]string
	// Token administers the instance (bearer token, or the product's own
	// user:password form, as the adapter documents).
	Token string
}

// Protocol is a device protocol.
type Protocol string

// The device protocols of the northbound model.
const (
	MQTT Protocol = "MQTT"
	HTTP Protocol = "HTTP"
	CoAP Protocol = "COAP"
)

// Device is one device as a gateway product must know it.
type Device struct {
	Name      string   // unique on the gateway, the key of idempotency
	Protocol  Protocol // exactly one southbound protocol
	Address   string   // host:port or URL where commands reach the device; empty when it connects itself (MQTT, CoAP observe, HTTP poll)
	Secret    string   // the device's own credential: MQTT password, HTTP bearer, CoAP DTLS-PSK key
	Resources []Resource
	Labels    map[string]string
}

// Resource is one magnitude a device measures or one action it takes.
type Resource struct {
	Name     string // SenML name below the device
	Unit     string // SenML unit (RFC 8428 §12.1), empty when none
	Type     string // "number", "string", "boolean" or "data"
	Writable bool   // true for actions: commands may set it
	// Min and Max bound accepted readings; nil means unbounded.
	Min, Max *float64
	// Deadband suppresses a reading that differs by less than this from the
	// last one passed on; 0 passes everything.
	Deadband float64
	// Aggregate is "", "mean", "min", "max", "sum" or "count" over tumbling
	// windows of length Window.
	Aggregate string
	Window    time.Duration
}

// Result is the outcome for one item of a batch; Err is nil on success.
type Result struct {
	Name string
	Err  error
}

// Uplink is where and as whom a gateway delivers its readings. It is what
// Server.Connect returns and Gateway.Attach takes.
type Uplink struct {
	Protocol Protocol // MQTT or HTTP
	Address  string   // tcp://host:port, ssl://host:port or http(s)://host:port/path
	Topic    string   // MQTT topic, empty for HTTP
	// ClientID, Username and Password authenticate the gateway at the server.
	ClientID, Username, Password string
	// DownTopic, when not empty, is where the server publishes commands for
	// the gateway.
	DownTopic string
	// Sources are the channels of others that the client may read, as the
	// server names them (Linker).
	Sources []string
}

// Command is one value sent down to a device's resource.
type Command struct {
	ID       string // chosen by the caller, the key of idempotency
	Device   string
	Resource string
	Value    any // float64, string, bool or []byte
}

// CommandState is how far a command came.
type CommandState string

// The states of a command; DELIVERED, FAILED and EXPIRED are final.
const (
	CommandPending   CommandState = "PENDING"
	CommandDelivered CommandState = "DELIVERED"
	CommandFailed    CommandState = "FAILED"
	CommandExpired   CommandState = "EXPIRED"
)

// Gateway is what an IoT gateway product can do. Implementations are safe for
// concurrent use and hold no state about instances.
type Gateway interface {
	// Health answers nil when the instance accepts devices and readings.
	Health(ctx context.Context, a Access) error
	// Provision creates or updates devices by name. Devices not listed are
	// left alone.
	Provision(ctx context.Context, a Access, devices []Device) ([]Result, error)
	// Deprovision removes devices by name and cuts their sessions at once.
	Deprovision(ctx context.Context, a Access, names []string) ([]Result, error)
	// Attach makes the instance deliver to u from now on, without restart.
	Attach(ctx context.Context, a Access, u Uplink) error
	// Detach stops delivery; readings wait in the gateway if it can queue.
	Detach(ctx context.Context, a Access) error
}

// Commander is the optional ability of a gateway to send commands down.
type Commander interface {
	// Send submits a command and answers its state.
	Send(ctx context.Context, a Access, c Command) (CommandState, error)
	// CommandState answers how far the command with this id came.
	CommandState(ctx context.Context, a Access, id string) (CommandState, error)
}

// Mover is the optional ability to carry a gateway's whole state (registry,
// credentials, queue) from one instance to another.
type Mover interface {
	Export(ctx context.Context, a Access) ([]byte, error)
	Import(ctx context.Context, a Access, state []byte) error
}

// Server is what an IoT server product can do.
type Server interface {
	// Health answers nil when the instance accepts and answers messages.
	Health(ctx context.Context, a Access) error
	// Connect makes the server ready for one gateway (client, channel, link,
	// by the gateway's name) and answers where it shall deliver. Repeating it
	// answers the same client and channel.
	Connect(ctx context.Context, a Access, gateway string) (Uplink, error)
	// Disconnect undoes Connect and revokes its key at once.
	Disconnect(ctx context.Context, a Access, gateway string) error
}

// Linker is the optional ability of a server to let one client read what
// another delivers: a microElement the readings of gateways.
type Linker interface {
	// Link lets reader, a name given to Connect, read what source, another,
	// delivers, and answers the channel to read. Source need not be connected
	// yet.
	Link(ctx context.Context, a Access, reader, source string) (channel string, err error)
}

// Reading is one value as a server keeps it.
type Reading struct {
	Name  string  // full SenML name, "device:resource"
	Unit  string  // SenML unit, "" when none
	Time  float64 // seconds since 1970
	Value any     // float64, string, bool or []byte
}

// ProbeDevice is the device that a Prober sends its reading as.
const ProbeDevice = "osmoslice-probe"

// ProbeName is the SenML name of its reading.
const ProbeName = ProbeDevice + ":value"

// Prober is the optional ability of a gateway to prove the path from a device
// to a server. Together with a Reader at the other end it shows that readings
// arrive, and not only that both ends answer.
type Prober interface {
	// Probe registers ProbeDevice and sends value as one reading through the
	// southbound side, as a device would; a server then has it as ProbeName.
	// Deprovision of ProbeDevice undoes it.
	Probe(ctx context.Context, a Access, value float64) error
}

// Reader is the optional ability of a server to tell what it was delivered.
type Reader interface {
	// Read answers readings of one name that a gateway, by the name given to
	// Connect, delivered: newest first, at most limit.
	Read(ctx context.Context, a Access, gateway, name string, limit int) ([]Reading, error)
}
