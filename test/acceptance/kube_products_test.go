//go:build e2e

package acceptance

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/mqtt"
	"github.com/osmoslice/osmoslice/internal/platform"
	"github.com/osmoslice/osmoslice/internal/platform/mainflux"
)

// TestProducts is the chain of the products of others, with their real images:
// EdgeX at the edge, Mainflux in the cloud, a device of MQTT and one of HTTP,
// readings end to end, and all of it away again.
func TestProducts(t *testing.T) {
	s, tenant := onClusters(t, "--operations-steptimeout", "5m", "--operations-deadline", "20m")
	o := object{
		"name": "plant", "tenantId": tenant, "instantiate": true,
		"iotServers":  []object{{"name": "cloud", "product": "mainflux", "credentialsRef": "admin", "placementPolicy": object{"kinds": []string{"CLOUD"}}}},
		"iotGateways": []object{{"name": "edge", "product": "edgex", "iotServer": "cloud", "placementPolicy": object{"kinds": []string{"DEVICE_EDGE"}}}},
	}
	var list []object
	for name, protocol := range map[string]string{"m-1": "MQTT", "h-1": "HTTP"} {
		list = append(list, object{"name": name, "iotGateway": "edge", "protocol": protocol, "magnitudes": []object{{"name": "temperature", "unit": "Cel"}}})
	}
	o["iotDevices"] = list
	id, op := s.submit(o)
	end := s.ended(op, 20*time.Minute)
	if end.str("operationState") != "COMPLETED" {
		t.Fatalf("ended %s: %s\n%s", end.str("operationState"), end.str("firstRootCause", "detail"), pods())
	}
	s.measure(id, 21.5)
	for _, device := range []string{"m-1", "h-1"} {
		s.reads(tenant, id, device+":temperature", 21.5)
	}
	s.gone(id)
}

// measure has both devices send a temperature to EdgeX as its devices do.
func (s *service) measure(sliceID string, value float64) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	err := poll(time.Minute, func() error {
		c, err := mqtt.Dial(ctx, mqtt.ClientOptions{Address: s.endpoint(sliceID, "iotGateways", "edge", "mqtt"), ClientID: "m-1"})
		if err != nil {
			return err
		}
		defer c.Close()
		return c.Publish(ctx, "incoming/data/m-1/temperature", 1, fmt.Append(nil, value))
	})
	if err != nil {
		s.t.Fatal(err)
	}
	at := s.endpoint(sliceID, "iotGateways", "edge", "rest") + "/api/v3/resource/h-1/temperature"
	err = poll(time.Minute, func() error {
		resp, err := http.Post(at, "text/plain", strings.NewReader(fmt.Sprint(value)))
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("device-rest answers %s", resp.Status)
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// reads waits until Mainflux answers a reading.
func (s *service) reads(tenant, sliceID, name string, value float64) {
	s.t.Helper()
	server := s.member(sliceID, "iotServers", "cloud")
	a := platform.Access{Token: "admin-token-of-" + tenant, Endpoints: map[string]string{}}
	endpoints, _ := server["deployment"].(map[string]any)["endpoints"].(map[string]any)
	for k, v := range endpoints {
		a.Endpoints[k], _ = v.(string)
	}
	s.eventually(2*time.Minute, name+" at the server", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		got, err := mainflux.NewServer(nil).Read(ctx, a, "edge", name, 1)
		if err == nil && (len(got) != 1 || got[0].Value != value || got[0].Unit != "Cel") {
			err = fmt.Errorf("it answers %+v", got)
		}
		return err
	})
}
