package edgex

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/platform"
	"github.com/osmoslice/osmoslice/internal/platform/httpcall"
)

// The export service and where its settings are in the keeper.
const (
	exportService = "app-senml-export"
	kvs           = "/api/v3/kvs/key/"
	writable      = kvs + "edgex/v4/" + exportService + "/Writable/"
	secretKey     = writable + "InsecureSecrets/mqtt/SecretData"
	parametersKey = writable + "Pipeline/Functions/MQTTExport/Parameters"
)

// nowhere stands where an address, topic or credential stands while the gateway
// is detached: the keeper takes no empty values.
const nowhere = "none"

type exportParameters struct {
	BrokerAddress string `json:"BrokerAddress"`
	Topic         string `json:"Topic"`
	AuthMode      string `json:"AuthMode"`
	ClientID      string `json:"ClientId"`
}

// Attach tells the export service where to deliver. Credentials come first, so
// that it never greets the new server with the old ones for long.
func (g *Gateway) Attach(ctx context.Context, a platform.Access, u platform.Uplink) error {
	address, err := url.Parse(u.Address)
	switch {
	case u.Protocol != platform.MQTT:
		return fault.Field("uplink/protocol", string(u.Protocol), "MQTT: the export service delivers in no other way")
	case err != nil || address.Host == "" || address.Scheme != "tcp" && address.Scheme != "ssl":
		return fault.Field("uplink/address", u.Address, "tcp://host:port or ssl://host:port")
	case u.Topic == "":
		return fault.Field("uplink/topic", "", "an MQTT topic")
	}
	p := exportParameters{
		BrokerAddress: u.Address, Topic: strings.TrimSuffix(u.Topic, "/{seq}"), AuthMode: "usernamepassword", ClientID: u.ClientID,
	}
	err = g.client.Patiently(ctx, func(ctx context.Context) error {
		there, err := g.exportStarted(ctx, a)
		if err == nil && !there {
			return httpcall.Passing(fault.New(fault.Unavailable, "%s's export service %s has not started yet", product, exportService))
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := g.putSecret(ctx, a, u.Username, u.Password); err != nil {
		return err
	}
	return g.put(ctx, a, parametersKey+"?flatten=true", p)
}

// Detach has the export service keep what it gets, and forget the server and its
// credentials. One that never started has nothing to forget.
func (g *Gateway) Detach(ctx context.Context, a platform.Access) error {
	there, err := g.exportStarted(ctx, a)
	if err != nil || !there {
		return err
	}
	if err := g.put(ctx, a, parametersKey+"?flatten=true", exportParameters{nowhere, nowhere, nowhere, nowhere}); err != nil {
		return err
	}
	return g.putSecret(ctx, a, nowhere, nowhere)
}

// putSecret writes one key after the other. The keeper tells services of a change
// under the key that was written, and they take no notice of a key that they do
// not find with that value: of an object that was spread over several keys, only
// who watches exactly its key learns, as the export does its parameters.
func (g *Gateway) putSecret(ctx context.Context, a platform.Access, username, password string) error {
	if err := g.put(ctx, a, secretKey+"/username", username); err != nil {
		return err
	}
	return g.put(ctx, a, secretKey+"/password", password)
}

// exportStarted reports whether the service's settings are in the keeper.
func (g *Gateway) exportStarted(ctx context.Context, a platform.Access) (bool, error) {
	o, _, err := g.want(ctx, a, httpcall.Call{Endpoint: "keeper", Method: http.MethodGet, Path: parametersKey}, http.StatusNotFound)
	return o.Status == http.StatusOK, err
}

// put writes a key, or with ?flatten=true the members of value below it.
func (g *Gateway) put(ctx context.Context, a platform.Access, key string, value any) error {
	_, _, err := g.want(ctx, a, httpcall.Call{
		Endpoint: "keeper", Method: http.MethodPut, Path: key, Body: map[string]any{"value": value},
	})
	return err
}
