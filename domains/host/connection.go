package host

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/topology"
)

//go:embed schema.json
var schema []byte

// connection is the connection data of a site, see schema.json.
type connection struct {
	HostID    string            `json:"hostId"`
	Advertise string            `json:"advertise"`
	Listen    string            `json:"listen"`
	Ports     *portRange        `json:"ports"`
	Artefacts string            `json:"artefacts"`
	Kind      topology.Kind     `json:"kind"`
	Capacity  topology.Capacity `json:"capacity"`
	LatencyMS *float64          `json:"latencyMs"`
}

// portRange is inclusive at both ends. The default lies below the range from
// which Linux takes the ports of outgoing connections (32768 and up).
type portRange struct {
	From int `json:"from"`
	To   int `json:"to"`
}

var defaultPorts = portRange{From: 20000, To: 29999}

// connect reads a site's connection data and refuses what the schema does; an
// absent document is the empty one.
func connect(s domain.Site, allowed []string) (connection, error) {
	var c connection
	if raw := bytes.TrimSpace(s.Connection); len(raw) > 0 && !bytes.Equal(raw, []byte("null")) {
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&c); err != nil {
			return c, unreadable(err)
		}
		if _, err := dec.Token(); !errors.Is(err, io.EOF) {
			return c, fault.Field("connection", "more than one document", "one JSON object")
		}
	}
	if c.Advertise == "" {
		c.Advertise = "127.0.0.1"
	}
	if c.Listen == "" {
		c.Listen = c.Advertise
	}
	if c.Ports == nil {
		c.Ports = &defaultPorts
	}
	if c.Kind == "" {
		c.Kind = topology.Cloud
	}
	return c, c.validate(allowed)
}

// unreadable translates a decoder's error into one that names the field.
func unreadable(err error) error {
	var t *json.UnmarshalTypeError
	if errors.As(err, &t) {
		field := "connection"
		if t.Field != "" {
			field += "/" + strings.ReplaceAll(t.Field, ".", "/")
		}
		return fault.Field(field, t.Value, t.Type.String())
	}
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		field = strings.Trim(field, `"`)
		return fault.Field("connection/"+field, field, "no such field; see the schema of the host domain")
	}
	return fault.Field("connection", err.Error(), "a JSON object")
}

func (c connection) validate(allowed []string) error {
	for field, v := range map[string]string{"advertise": c.Advertise, "listen": c.Listen} {
		if !address(v) {
			return fault.Field("connection/"+field, v, "an IP address or host name without port")
		}
	}
	if p := c.Ports; p.From < 1 || p.To > 65535 || p.From > p.To {
		return fault.Field("connection/ports", fmt.Sprintf("%d to %d", p.From, p.To), "1 <= from <= to <= 65535")
	}
	if !slices.Contains(topology.Kinds(), c.Kind) {
		return fault.Field("connection/kind", string(c.Kind), fmt.Sprint(topology.Kinds()))
	}
	for field, n := range map[string]int64{"cpu": c.Capacity.CPU, "memory": c.Capacity.Memory, "storage": c.Capacity.Storage} {
		if n < 0 || n > topology.Infinite {
			return fault.Field("connection/capacity/"+field, strconv.FormatInt(n, 10), fmt.Sprintf("1 to %d", topology.Infinite))
		}
	}
	if l := c.LatencyMS; l != nil && (*l < 0 || math.IsInf(*l, 0)) {
		return fault.Field("connection/latencyMs", fmt.Sprint(*l), "milliseconds, 0 or more")
	}
	if len(c.HostID) > 128 {
		return fault.Field("connection/hostId", c.HostID, "at most 128 characters")
	}
	if c.Artefacts != "" && !slices.Contains(allowed, filepath.Clean(c.Artefacts)) {
		return fault.Field("connection/artefacts", c.Artefacts, "a folder which the service's configuration allows")
	}
	return nil
}

func address(s string) bool {
	return len(s) > 0 && len(s) <= 253 && !strings.ContainsFunc(s, func(r rune) bool {
		switch {
		case r >= '0' && r <= '9', r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r == '.', r == ':', r == '-':
			return false
		}
		return true
	})
}
