package edgex

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/platform"
	"github.com/osmoslice/osmoslice/internal/platform/httpcall"
)

const (
	product    = "EdgeX"
	apiVersion = "v3" // of the REST interfaces of EdgeX 3 and 4
)

// The device services that take devices, by protocol.
const (
	deviceMQTT = "device-mqtt"
	deviceREST = "device-rest"
)

// Gateway adapts EdgeX.
type Gateway struct{ client httpcall.Client }

var (
	_ platform.Gateway   = (*Gateway)(nil)
	_ platform.Commander = (*Gateway)(nil)
	_ platform.Prober    = (*Gateway)(nil)
)

// NewGateway answers an adapter that uses c, http.DefaultClient when nil.
func NewGateway(c *http.Client) *Gateway {
	return &Gateway{httpcall.Client{HTTP: c, Product: product}}
}

// outcome is one item of a 207, or the whole of another answer.
type outcome struct {
	Status  int    `json:"statusCode"`
	Message string `json:"message"`
}

// starting reports an answer that a product gives only while it starts, or while
// one of its services restarts.
func (o outcome) starting() bool {
	return o.Status >= 502 || o.Status == http.StatusBadRequest &&
		strings.HasPrefix(o.Message, "device service '") && strings.HasSuffix(o.Message, "does not exists")
}

// fault classifies an outcome that is no success. 500 is what metadata says of
// wrong protocol properties, and nothing that waiting mends.
func (g *Gateway) fault(o outcome) *fault.Error {
	f := g.client.Refused(o.Status, o.Message)
	if o.Status == http.StatusInternalServerError && strings.Contains(o.Message, "validation failed") {
		f = fault.New(fault.Invalid, "%s answered %d: %s", product, o.Status, httpcall.Shorten(o.Message))
	}
	return f
}

// call sends one request that answers for itself and gives its outcome; a
// starting product is waited for.
func (g *Gateway) call(ctx context.Context, a platform.Access, c httpcall.Call) (o outcome, body []byte, err error) {
	err = g.client.Patiently(ctx, func(ctx context.Context) error {
		ans, err := g.client.Do(ctx, a, c)
		if err != nil {
			return err
		}
		o, body = outcome{ans.Status, ans.Said()}, ans.Body
		if o.starting() {
			return httpcall.Passing(g.fault(o))
		}
		return nil
	})
	return o, body, err
}

// want is call for those who accept 2xx or one of fine.
func (g *Gateway) want(ctx context.Context, a platform.Access, c httpcall.Call, fine ...int) (outcome, []byte, error) {
	o, body, err := g.call(ctx, a, c)
	if err != nil || o.Status/100 == 2 {
		return o, body, err
	}
	for _, s := range fine {
		if o.Status == s {
			return o, body, nil
		}
	}
	return o, body, g.fault(o)
}

// post sends a batch to metadata and answers each item's outcome. A whole
// answer that is no 207 is an error; it is repeated while the product starts.
func (g *Gateway) post(ctx context.Context, a platform.Access, path string, items []any) ([]outcome, error) {
	o, body, err := g.call(ctx, a, httpcall.Call{Endpoint: "metadata", Method: http.MethodPost, Path: path, Body: items})
	if err != nil {
		return nil, err
	}
	if o.Status != http.StatusMultiStatus {
		return nil, g.fault(o)
	}
	var out []outcome
	if err := json.Unmarshal(body, &out); err != nil || len(out) != len(items) {
		return nil, fault.New(fault.Unavailable, "%s answered %d outcomes for %d items", product, len(out), len(items)).Retrying(fault.Backoff)
	}
	return out, nil
}

func byName(kind, name string) string {
	return "/api/v3/" + kind + "/name/" + url.PathEscape(name)
}

// Health answers nil when every service that has an endpoint answers, and both
// device services are known to metadata: before that it refuses their devices.
func (g *Gateway) Health(ctx context.Context, a platform.Access) error {
	for _, endpoint := range []string{"keeper", "metadata", "data", "command", "rest", "app"} {
		if a.Endpoints[endpoint] == "" && endpoint != "keeper" && endpoint != "metadata" {
			continue
		}
		ans, err := g.client.Do(ctx, a, httpcall.Call{Endpoint: endpoint, Method: http.MethodGet, Path: "/api/v3/ping"})
		if err != nil {
			return err
		}
		if !ans.OK() {
			return fault.New(fault.Unavailable, "%s's %s answered %d to a ping", product, endpoint, ans.Status).Retrying(fault.Backoff)
		}
	}
	for _, service := range []string{deviceMQTT, deviceREST} {
		ans, err := g.client.Do(ctx, a, httpcall.Call{Endpoint: "metadata", Method: http.MethodGet, Path: byName("deviceservice", service)})
		if err != nil {
			return err
		}
		if !ans.OK() {
			return fault.New(fault.Unavailable, "%s's metadata answered %d for %s, which is not registered yet", product, ans.Status, service).Retrying(fault.Backoff)
		}
	}
	return nil
}
