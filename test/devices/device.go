package devices

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/osmoslice/osmoslice/internal/senml"
)

// ErrRefused says that the gateway will not take a message, now or later.
var ErrRefused = errors.New("refused by the gateway")

// ErrBusy says that the gateway asked to be left alone for a while.
var ErrBusy = errors.New("the gateway is busy")

// Format is how readings are written.
type Format string

// The formats.
const (
	JSON  Format = "json"  // SenML JSON
	CBOR  Format = "cbor"  // SenML CBOR
	Plain Format = "plain" // one message per reading, its value as text
)

// Reading is one measured value.
type Reading struct {
	Resource string
	Unit     string
	Value    any // float64, string, bool or []byte
	Time     time.Time
}

// Command is one value for a resource of the device.
type Command struct {
	ID       string
	Resource string
	Value    string // as text; JSON for HTTP and CoAP
}

// Device is a connected device.
type Device interface {
	// Send sends readings and waits until the gateway took them.
	Send(ctx context.Context, readings ...Reading) error
	// Commands receives commands and acknowledges each after handle returned,
	// until ctx ends or the connection fails.
	Commands(ctx context.Context, handle func(Command)) error
	Close()
}

// Options say which device to be and where its gateway is.
type Options struct {
	Address string // tcp://, http://, coap:// or coaps://host:port
	Name    string
	Secret  string
	Format  Format // default JSON
}

// Dial connects the device over the protocol of its gateway's address.
func Dial(ctx context.Context, o Options) (Device, error) {
	if o.Format == "" {
		o.Format = JSON
	}
	u, err := url.Parse(o.Address)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("devices: address: given %q, allowed: tcp://, http://, coap:// or coaps://host:port", o.Address)
	}
	switch u.Scheme {
	case "tcp":
		return dialMQTT(ctx, o)
	case "http", "https":
		return newHTTP(o), nil
	case "coap", "coaps":
		return dialCoAP(ctx, o, u)
	}
	return nil, fmt.Errorf("devices: address: given scheme %q, allowed: tcp, http, coap, coaps", u.Scheme)
}

// wireMessage is what one Send puts on the wire.
type wireMessage struct {
	resource string // "" for SenML
	payload  []byte
}

// encode writes readings in the device's format.
func (o Options) encode(readings []Reading) ([]wireMessage, error) {
	if o.Format == Plain {
		out := make([]wireMessage, len(readings))
		for i, r := range readings {
			text, err := plain(r.Value)
			if err != nil {
				return nil, err
			}
			out[i] = wireMessage{resource: r.Resource, payload: text}
		}
		return out, nil
	}
	pack := make(senml.Pack, len(readings))
	for i, r := range readings {
		v, ok := senml.ValueOf(r.Value)
		if !ok {
			return nil, fmt.Errorf("devices: value: given %T, allowed: float64, string, bool, []byte", r.Value)
		}
		pack[i] = senml.Record{Name: r.Resource, Unit: r.Unit, Value: v}
		if !r.Time.IsZero() {
			pack[i].Time = senml.Seconds(r.Time)
		}
	}
	pack[0].BaseName = o.Name + ":"
	var payload []byte
	var err error
	if o.Format == CBOR {
		payload, err = senml.EncodeCBOR(pack)
	} else {
		payload, err = senml.EncodeJSON(pack)
	}
	if err != nil {
		return nil, fmt.Errorf("devices: %w", err)
	}
	return []wireMessage{{payload: payload}}, nil
}

func plain(v any) ([]byte, error) {
	switch v := v.(type) {
	case float64:
		return strconv.AppendFloat(nil, v, 'g', -1, 64), nil
	case string:
		return []byte(v), nil
	case bool:
		return strconv.AppendBool(nil, v), nil
	case []byte:
		return v, nil
	}
	return nil, fmt.Errorf("devices: value: given %T, allowed: float64, string, bool, []byte", v)
}

// download is a command as HTTP and CoAP carry it.
type download struct {
	ID       string          `json:"id"`
	Resource string          `json:"resource"`
	Value    json.RawMessage `json:"value"`
	Data     string          `json:"data"`
}

func parseDownloads(body []byte) ([]Command, error) {
	var items []download
	if err := json.Unmarshal(body, &items); err != nil {
		return nil, fmt.Errorf("devices: commands: %w", err)
	}
	out := make([]Command, len(items))
	for i, d := range items {
		value := string(d.Value)
		if value == "" {
			value = d.Data
		}
		out[i] = Command{ID: d.ID, Resource: d.Resource, Value: value}
	}
	return out, nil
}

// As answers a device that uses the connection of d and says to be another:
// what an attacker with credentials of its own can try.
func As(d Device, name string) Device {
	switch d := d.(type) {
	case *coapDevice:
		other := *d
		other.options.Name = name
		return &other
	case *mqttDevice:
		return &mqttDevice{options: Options{Name: name, Format: d.options.Format}, client: d.client, lost: d.lost}
	case *httpDevice:
		other := *d
		other.options.Name = name
		return &other
	}
	return d
}
