package lite

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/platform"
)

// batchDevices is how many devices one request carries, well within what a
// gateway takes at once.
const batchDevices = 1000

// Gateway adapts the light gateway.
type Gateway struct{ client client }

var (
	_ platform.Gateway   = (*Gateway)(nil)
	_ platform.Commander = (*Gateway)(nil)
	_ platform.Mover     = (*Gateway)(nil)
)

// NewGateway answers an adapter that uses c, http.DefaultClient when nil.
func NewGateway(c *http.Client) *Gateway {
	if c == nil {
		c = http.DefaultClient
	}
	return &Gateway{client{http: c, product: "light gateway"}}
}

// Health answers nil when the gateway takes readings.
func (g *Gateway) Health(ctx context.Context, a platform.Access) error {
	_, err := g.client.do(ctx, a, call{method: http.MethodGet, path: "/healthz"})
	return err
}

// device and resource are the gateway's wire form of a device.
type device struct {
	Name      string            `json:"name"`
	Protocol  string            `json:"protocol"`
	Secret    string            `json:"secret,omitempty"`
	Address   string            `json:"address,omitempty"`
	Resources []resource        `json:"resources,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
}

type resource struct {
	Name      string   `json:"name"`
	Unit      string   `json:"unit,omitempty"`
	Type      string   `json:"type,omitempty"`
	Writable  bool     `json:"writable,omitempty"`
	Min       *float64 `json:"min,omitempty"`
	Max       *float64 `json:"max,omitempty"`
	Deadband  float64  `json:"deadband,omitempty"`
	Aggregate string   `json:"aggregate,omitempty"`
	Window    string   `json:"window,omitempty"`
}

func wireDevice(d platform.Device) device {
	out := device{Name: d.Name, Protocol: string(d.Protocol), Secret: d.Secret, Address: d.Address, Labels: d.Labels}
	for _, r := range d.Resources {
		w := resource{
			Name: r.Name, Unit: r.Unit, Type: r.Type, Writable: r.Writable, Min: r.Min, Max: r.Max,
			Deadband: r.Deadband, Aggregate: r.Aggregate,
		}
		if r.Window > 0 {
			w.Window = r.Window.String()
		}
		out.Resources = append(out.Resources, w)
	}
	return out
}

// itemStatus is the outcome of one item of a batch.
type itemStatus struct {
	Name   string `json:"name"`
	Status int    `json:"status"`
	Error  string `json:"error"`
}

// Provision creates or updates devices. When a batch fails as a whole, the
// results of those before it come with the error.
func (g *Gateway) Provision(ctx context.Context, a platform.Access, devices []platform.Device) ([]platform.Result, error) {
	wire := make([]device, len(devices))
	for i, d := range devices {
		wire[i] = wireDevice(d)
	}
	return inBatches(wire, func(part []device) ([]platform.Result, error) {
		var statuses []itemStatus
		_, err := g.client.do(ctx, a, call{method: http.MethodPut, path: "/devices", body: part, into: &statuses})
		if err != nil {
			return nil, err
		}
		return g.results(len(part), func(i int) string { return part[i].Name }, statuses, 0)
	})
}

// Deprovision removes devices; one that is not there is removed.
func (g *Gateway) Deprovision(ctx context.Context, a platform.Access, names []string) ([]platform.Result, error) {
	return inBatches(names, func(part []string) ([]platform.Result, error) {
		var statuses []itemStatus
		_, err := g.client.do(ctx, a, call{method: http.MethodPost, path: "/devices/delete", body: part, into: &statuses})
		if err != nil {
			return nil, err
		}
		return g.results(len(part), func(i int) string { return part[i] }, statuses, http.StatusNotFound)
	})
}

func inBatches[T any](items []T, send func([]T) ([]platform.Result, error)) ([]platform.Result, error) {
	results := make([]platform.Result, 0, len(items))
	for len(items) > 0 {
		n := min(batchDevices, len(items))
		part, err := send(items[:n])
		if err != nil {
			return results, err
		}
		results = append(results, part...)
		items = items[n:]
	}
	return results, nil
}

// results pairs the statuses with what was asked; fine is a further status
// that counts as success.
func (g *Gateway) results(n int, name func(int) string, statuses []itemStatus, fine int) ([]platform.Result, error) {
	if len(statuses) != n {
		return nil, fault.New(fault.Unavailable, "the light gateway answered %d outcomes for %d devices", len(statuses), n)
	}
	out := make([]platform.Result, n)
	for i, st := range statuses {
		out[i].Name = name(i)
		if st.Status/100 == 2 || st.Status == fine {
			continue
		}
		err := statusFault(g.client.product, st.Status, st.Error)
		if st.Status == http.StatusInsufficientStorage {
			err.Retry = fault.Never // too many devices: waiting does not help
		}
		out[i].Err = err
	}
	return out, nil
}

// uplink is the gateway's wire form of an uplink.
type uplink struct {
	Protocol  string `json:"protocol"`
	Address   string `json:"address"`
	Topic     string `json:"topic,omitempty"`
	ClientID  string `json:"client_id,omitempty"`
	Username  string `json:"username,omitempty"`
	Password  string `json:"password,omitempty"`
	DownTopic string `json:"down_topic,omitempty"`
}

// Attach makes the gateway deliver to u, and thaws it if it was exported.
func (g *Gateway) Attach(ctx context.Context, a platform.Access, u platform.Uplink) error {
	_, err := g.client.do(ctx, a, call{method: http.MethodPut, path: "/uplink", body: uplink{
		Protocol: string(u.Protocol), Address: u.Address, Topic: u.Topic, ClientID: u.ClientID,
		Username: u.Username, Password: u.Password, DownTopic: u.DownTopic,
	}})
	if err == nil {
		_, err = g.client.do(ctx, a, call{method: http.MethodDelete, path: "/freeze"})
	}
	return err
}

// Detach stops delivery; readings wait in the gateway's queue.
func (g *Gateway) Detach(ctx context.Context, a platform.Access) error {
	_, err := g.client.do(ctx, a, call{method: http.MethodDelete, path: "/uplink"})
	return gone(err)
}

// gone takes "not found" for done.
func gone(err error) error {
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

// command is the gateway's wire form of a command.
type command struct {
	ID       string `json:"id"`
	Device   string `json:"device,omitempty"`
	Resource string `json:"resource,omitempty"`
	Value    any    `json:"value,omitempty"`
	Data     string `json:"data,omitempty"`
	State    string `json:"state,omitempty"`
}

// Send submits a command; one with the same id and content is not sent again.
func (g *Gateway) Send(ctx context.Context, a platform.Access, c platform.Command) (platform.CommandState, error) {
	wire := command{ID: c.ID, Device: c.Device, Resource: c.Resource}
	switch v := c.Value.(type) {
	case float64, string, bool:
		wire.Value = v
	case []byte:
		wire.Data = base64.StdEncoding.EncodeToString(v)
	default:
		return "", fault.Field("value", fmt.Sprintf("%T", c.Value), "a number, string, boolean or bytes")
	}
	var told command
	_, err := g.client.do(ctx, a, call{method: http.MethodPost, path: "/commands", body: wire, into: &told})
	return platform.CommandState(told.State), err
}

// CommandState answers how far a command came.
func (g *Gateway) CommandState(ctx context.Context, a platform.Access, id string) (platform.CommandState, error) {
	var told command
	_, err := g.client.do(ctx, a, call{method: http.MethodGet, path: "/commands/" + url.PathEscape(id), into: &told})
	return platform.CommandState(told.State), err
}

// stateMark begins an exported state; the stream's name and a newline follow,
// then the gateway's archive.
const stateMark = "osmoslice-lite-gateway-state/1 "

// stats is what is read of GET /stats.
type stats struct {
	Stream string `json:"stream"`
	Queued int64  `json:"queued"`
}

func (g *Gateway) stats(ctx context.Context, a platform.Access) (stats, error) {
	var s stats
	_, err := g.client.do(ctx, a, call{method: http.MethodGet, path: "/stats", into: &s})
	return s, err
}

// Export freezes the gateway and answers its whole state. It stays frozen until
// Attach: what it would take from now on could not follow the state.
func (g *Gateway) Export(ctx context.Context, a platform.Access) ([]byte, error) {
	if _, err := g.client.do(ctx, a, call{method: http.MethodPut, path: "/freeze"}); err != nil {
		return nil, err
	}
	s, err := g.stats(ctx, a)
	if err != nil {
		return nil, err
	}
	ans, err := g.client.do(ctx, a, call{method: http.MethodGet, path: "/state", limit: maxState})
	if err != nil {
		return nil, err
	}
	return append([]byte(stateMark+s.Stream+"\n"), ans.raw...), nil
}

// Import gives the gateway an exported state. It replaces registered devices,
// never readings that wait: those make it a conflict.
func (g *Gateway) Import(ctx context.Context, a platform.Access, state []byte) error {
	header, archive, ok := bytes.Cut(state, []byte("\n"))
	stream, marked := strings.CutPrefix(string(header), stateMark)
	if !ok || !marked {
		return fault.New(fault.Invalid, "the state is not one of a light gateway")
	}
	now, err := g.stats(ctx, a)
	if err != nil {
		return err
	}
	if now.Stream == stream {
		return nil
	}
	path := "/state"
	if now.Queued == 0 {
		path += "?replace=true"
	}
	_, err = g.client.do(ctx, a, call{method: http.MethodPut, path: path, raw: archive, contentType: "application/x-tar"})
	return err
}
