package edgex

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/platform"
)

// nameRE is what is a name in EdgeX's paths, in MQTT topics and in SenML alike.
var nameRE = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

const nameAllowed = "1 to 128 of A-Z a-z 0-9 . _ -, beginning with a letter or digit"

// specLabel starts the label that holds the digest of what a device was made of.
const specLabel = "osmoslice-spec="

// allCommand reads every magnitude at once: a device may publish a JSON object
// to its topic.
const allCommand = "all"

func profileName(device string) string { return "osmoslice-" + device }

// The wire forms of metadata.
type (
	profileRequest struct {
		APIVersion string  `json:"apiVersion"`
		Profile    profile `json:"profile"`
	}
	profile struct {
		Name         string           `json:"name"`
		Manufacturer string           `json:"manufacturer"`
		Model        string           `json:"model"`
		Labels       []string         `json:"labels"`
		Resources    []deviceResource `json:"deviceResources"`
		Commands     []deviceCommand  `json:"deviceCommands,omitempty"`
	}
	deviceResource struct {
		Name       string             `json:"name"`
		Properties resourceProperties `json:"properties"`
		Tags       map[string]any     `json:"tags,omitempty"`
	}
	resourceProperties struct {
		ValueType string   `json:"valueType"`
		ReadWrite string   `json:"readWrite"`
		Units     string   `json:"units,omitempty"`
		Minimum   *float64 `json:"minimum,omitempty"`
		Maximum   *float64 `json:"maximum,omitempty"`
		MediaType string   `json:"mediaType,omitempty"`
	}
	deviceCommand struct {
		Name       string              `json:"name"`
		ReadWrite  string              `json:"readWrite"`
		Operations []resourceOperation `json:"resourceOperations"`
	}
	resourceOperation struct {
		Resource string `json:"deviceResource"`
	}
	deviceRequest struct {
		APIVersion string `json:"apiVersion"`
		Device     device `json:"device"`
	}
	device struct {
		Name        string                    `json:"name"`
		Admin       string                    `json:"adminState"`
		Operating   string                    `json:"operatingState"`
		Labels      []string                  `json:"labels"`
		ServiceName string                    `json:"serviceName"`
		ProfileName string                    `json:"profileName"`
		Protocols   map[string]map[string]any `json:"protocols"`
	}
)

// pair is one device as EdgeX takes it.
type pair struct {
	profile profileRequest
	device  deviceRequest
	spec    string // its label
}

// translate makes the pair, or the fault that names what EdgeX cannot take.
func translate(d platform.Device) (pair, error) {
	p := pair{
		profile: profileRequest{apiVersion, profile{Name: profileName(d.Name), Manufacturer: "osmoslice", Model: string(d.Protocol), Labels: []string{"osmoslice"}}},
		device:  deviceRequest{apiVersion, device{Name: d.Name, Admin: "UNLOCKED", Operating: "UP", ProfileName: profileName(d.Name)}},
	}
	if !nameRE.MatchString(d.Name) {
		return p, fault.Field("name", d.Name, nameAllowed)
	}
	if err := p.protocol(d); err != nil {
		return p, err
	}
	if len(d.Resources) == 0 {
		return p, fault.Field("resources", "none", "at least one magnitude or action: an EdgeX profile without any is refused")
	}
	readable := []resourceOperation{}
	for _, r := range d.Resources {
		w, err := translateResource(r)
		if err != nil {
			return p, err
		}
		p.profile.Profile.Resources = append(p.profile.Profile.Resources, w)
		readable = append(readable, resourceOperation{r.Name})
	}
	taken := slices.ContainsFunc(d.Resources, func(r platform.Resource) bool { return r.Name == allCommand })
	if len(readable) > 1 && !taken {
		p.profile.Profile.Commands = []deviceCommand{{allCommand, "R", readable}}
	}
	labels := []string{"osmoslice"}
	for _, k := range slices.Sorted(maps.Keys(d.Labels)) {
		labels = append(labels, k+"="+d.Labels[k])
	}
	p.device.Device.Labels = labels
	b, err := json.Marshal([]any{p.profile, p.device})
	if err != nil {
		return p, fault.New(fault.Invalid, "device %q cannot be written", d.Name).Because(err)
	}
	sum := sha256.Sum256(b)
	p.spec = specLabel + hex.EncodeToString(sum[:8])
	p.device.Device.Labels = append(labels, p.spec)
	return p, nil
}

// protocol chooses the device service and what it wants to know.
func (p *pair) protocol(d platform.Device) error {
	switch d.Protocol {
	case platform.MQTT:
		p.device.Device.ServiceName = deviceMQTT
		p.device.Device.Protocols = map[string]map[string]any{"mqtt": {"CommandTopic": "command/" + d.Name}}
	case platform.HTTP:
		p.device.Device.ServiceName = deviceREST
		p.device.Device.Protocols = map[string]map[string]any{"other": {}} // it only posts
		if d.Address == "" {
			return nil
		}
		host, port, path, err := restAddress(d.Address)
		if err != nil {
			return err
		}
		p.device.Device.Protocols = map[string]map[string]any{"REST": {"Host": host, "Port": port, "Path": path}}
	default:
		return fault.Field("protocol", string(d.Protocol), "MQTT or HTTP: EdgeX's CoAP device service is not installed with it")
	}
	return nil
}

// restAddress takes host:port or a URL apart, as device-rest wants it.
func restAddress(raw string) (host, port, path string, err error) {
	if !strings.Contains(raw, "://") {
		raw = "http://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" {
		return "", "", "", fault.Field("address", raw, "host:port or http://host:port/path")
	}
	port = u.Port()
	if port == "" {
		port = "80"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || net.ParseIP(u.Hostname()) == nil && !nameRE.MatchString(u.Hostname()) {
		return "", "", "", fault.Field("address", raw, "host:port or http://host:port/path")
	}
	return u.Hostname(), port, strings.Trim(u.Path, "/"), nil
}

// translateResource: bounds are EdgeX's own for what is written to a device; for
// readings, which it does not check, they and the rest go along as tags.
func translateResource(r platform.Resource) (deviceResource, error) {
	w := deviceResource{Name: r.Name, Properties: resourceProperties{ReadWrite: "R", Units: r.Unit}}
	if !nameRE.MatchString(r.Name) {
		return w, fault.Field("resources/name", r.Name, nameAllowed)
	}
	if r.Writable {
		w.Properties.ReadWrite = "RW"
	}
	tags := map[string]any{}
	switch r.Type {
	case "number", "":
		w.Properties.ValueType, w.Properties.Minimum, w.Properties.Maximum = "Float64", r.Min, r.Max
		if r.Min != nil {
			tags["min"] = *r.Min
		}
		if r.Max != nil {
			tags["max"] = *r.Max
		}
		if r.Deadband > 0 {
			tags["deadband"] = r.Deadband
		}
		if r.Aggregate != "" && r.Window > 0 {
			tags["aggregate"], tags["window"] = r.Aggregate, r.Window.Seconds()
		}
	case "string":
		w.Properties.ValueType = "String"
	case "boolean":
		w.Properties.ValueType = "Bool"
	case "data":
		w.Properties.ValueType, w.Properties.MediaType = "Binary", "application/octet-stream"
	default:
		return w, fault.Field("resources/type", r.Type, "number, string, boolean or data")
	}
	if len(tags) > 0 {
		w.Tags = tags
	}
	return w, nil
}
