package gateway

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// The device protocols.
const (
	protocolMQTT = "MQTT"
	protocolHTTP = "HTTP"
	protocolCoAP = "COAP"
)

// Bounds of a device's description.
const (
	maxResources   = 1000
	maxLabels      = 64
	minSecretBytes = 8
	maxSecretBytes = 256
	minWindow      = 100 * time.Millisecond
	maxWindow      = 24 * time.Hour
)

// reservedResources would collide with the paths of a device.
var reservedResources = []string{"senml", "commands"}

// Device is one device as the REST API describes it.
type Device struct {
	Name      string            `json:"name"`
	Protocol  string            `json:"protocol"`
	Secret    string            `json:"secret,omitempty"`
	Address   string            `json:"address,omitempty"`
	Resources []Resource        `json:"resources,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
}

// Resource is one magnitude a device measures or one action it takes.
type Resource struct {
	Name      string   `json:"name"`
	Unit      string   `json:"unit,omitempty"`
	Type      string   `json:"type,omitempty"`
	Writable  bool     `json:"writable,omitempty"`
	Min       *float64 `json:"min,omitempty"`
	Max       *float64 `json:"max,omitempty"`
	Deadband  float64  `json:"deadband,omitempty"`
	Aggregate string   `json:"aggregate,omitempty"`
	Window    Duration `json:"window,omitzero"`
}

// Duration is a time.Duration that reads and writes as "60s" in JSON.
type Duration time.Duration

// MarshalJSON writes the duration in Go's notation.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// IsZero makes omitzero leave an absent duration out.
func (d Duration) IsZero() bool { return d == 0 }

// UnmarshalJSON reads Go's notation.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("duration: given %.40s, allowed: text like \"60s\"", b)
	}
	if s == "" {
		*d = 0
		return nil
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("duration: given %.40q, allowed: text like \"60s\"", s)
	}
	*d = Duration(v)
	return nil
}

// invalid is an error about one field of a request.
type invalid struct{ field, given, allowed string }

func (e *invalid) Error() string {
	return fmt.Sprintf("%s: given %s, allowed: %s", e.field, e.given, e.allowed)
}

func bad(field string, given any, allowed string) error {
	s := fmt.Sprint(given)
	if text, ok := given.(string); ok {
		s = fmt.Sprintf("%q", text)
	}
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:80], "") + "…"
	}
	return &invalid{field, s, allowed}
}

// checkName refuses what cannot be a topic level, a URL segment and part of a
// SenML name at once.
func checkName(field, name string, limit int) error {
	if !validName(name, limit) {
		return bad(field, name, fmt.Sprintf("1 to %d of A-Z a-z 0-9 . _ -, beginning with a letter or digit", limit))
	}
	return nil
}

// validName is asked for every reading: it is no regular expression because
// that showed in profiles.
func validName(name string, limit int) bool {
	if name == "" || len(name) > limit {
		return false
	}
	for i := range len(name) {
		c := name[i]
		alphanumeric := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alphanumeric && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return true
}

// validate checks a device; a missing secret is the registry's concern.
func (d *Device) validate() error {
	if err := checkName("name", d.Name, 128); err != nil {
		return err
	}
	switch d.Protocol {
	case protocolMQTT, protocolHTTP, protocolCoAP:
	default:
		return bad("protocol", d.Protocol, "MQTT, HTTP, COAP")
	}
	if n := len(d.Secret); n > 0 && n < minSecretBytes || n > maxSecretBytes || !utf8.ValidString(d.Secret) {
		return bad("secret", fmt.Sprintf("%d bytes", n), "8 to 256 bytes of UTF-8") // never the secret itself
	}
	if len(d.Address) > 512 {
		return bad("address", d.Address, "at most 512 bytes")
	}
	if len(d.Resources) > maxResources {
		return bad("resources", len(d.Resources), fmt.Sprintf("at most %d", maxResources))
	}
	if len(d.Labels) > maxLabels {
		return bad("labels", len(d.Labels), fmt.Sprintf("at most %d", maxLabels))
	}
	for k, v := range d.Labels {
		if len(k) > 128 || len(v) > 512 {
			return bad("labels", k, "keys of at most 128, values of at most 512 bytes")
		}
	}
	seen := make(map[string]bool, len(d.Resources))
	for i := range d.Resources {
		r := &d.Resources[i]
		if err := r.validate(fmt.Sprintf("resources[%d].", i)); err != nil {
			return err
		}
		if seen[r.Name] {
			return bad(fmt.Sprintf("resources[%d].name", i), r.Name, "each name once")
		}
		seen[r.Name] = true
	}
	return nil
}

func (r *Resource) validate(at string) error {
	if err := checkName(at+"name", r.Name, 64); err != nil {
		return err
	}
	if slices.Contains(reservedResources, r.Name) {
		return bad(at+"name", r.Name, "anything but senml and commands")
	}
	if len(r.Unit) > 32 || !utf8.ValidString(r.Unit) {
		return bad(at+"unit", r.Unit, "at most 32 bytes of UTF-8")
	}
	switch r.Type {
	case "", "number", "string", "boolean", "data":
	default:
		return bad(at+"type", r.Type, "number, string, boolean, data")
	}
	if r.Min != nil && r.Max != nil && *r.Min > *r.Max {
		return bad(at+"min", *r.Min, "at most max")
	}
	if math.IsNaN(r.Deadband) || r.Deadband < 0 || math.IsInf(r.Deadband, 0) {
		return bad(at+"deadband", r.Deadband, "a number from 0")
	}
	return r.validateEdge(at)
}

func (r *Resource) validateEdge(at string) error {
	switch r.Aggregate {
	case "", "mean", "min", "max", "sum", "count":
	default:
		return bad(at+"aggregate", r.Aggregate, "mean, min, max, sum, count")
	}
	window := time.Duration(r.Window)
	if r.Aggregate != "" && (window < minWindow || window > maxWindow) {
		return bad(at+"window", window, "100ms to 24h with an aggregate")
	}
	if r.Aggregate == "" && window != 0 {
		return bad(at+"window", window, "only with an aggregate")
	}
	if r.kind() != "number" && (r.Min != nil || r.Max != nil || r.Deadband != 0 || r.Aggregate != "" && r.Aggregate != "count") {
		return bad(at+"type", r.Type, "number, when there is a min, max, deadband or aggregate other than count")
	}
	return nil
}

// kind is the type with its default.
func (r *Resource) kind() string {
	if r.Type == "" {
		return "number"
	}
	return r.Type
}

// device is a registered device. It does not change: an update replaces it.
type device struct {
	Device
	resources map[string]*Resource
	gone      atomic.Bool // replaced or removed
}

func newDevice(d Device) *device {
	d.Resources = slices.Clone(d.Resources)
	d.Labels = maps.Clone(d.Labels)
	out := &device{Device: d}
	if len(d.Resources) > 0 {
		out.resources = make(map[string]*Resource, len(d.Resources))
		for i := range out.Resources {
			out.resources[out.Resources[i].Name] = &out.Resources[i]
		}
	}
	return out
}

// shown is the device as the API answers it: without its secret.
func (d *device) shown() Device {
	out := d.Device
	out.Secret = ""
	return out
}
