//go:build e2e

package acceptance

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/mqtt"
	"github.com/osmoslice/osmoslice/internal/platform"
	"github.com/osmoslice/osmoslice/internal/platform/mainflux"
)

// TestProducts is the chain of the products of others: EdgeX at the edge, Mainflux
// in the cloud, a device of MQTT and one of HTTP, readings end to end, and all of
// it away again. Which images they run is the bed's affair: the real ones, or
// stand-ins.
func TestProducts(t *testing.T) {
	s, tenant := onClusters(t, "--operations-steptimeout", "10m", "--operations-deadline", "30m")
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
	began := time.Now()
	id, op := s.submit(o)
	end := s.ended(op, 35*time.Minute)
	if end.str("operationState") != "COMPLETED" {
		t.Fatalf("ended %s: %s\n%s\n%s", end.str("operationState"), end.str("firstRootCause", "detail"), pods(), logs())
	}
	t.Logf("order to running and proven: %s", time.Since(began).Round(time.Second))
	for cluster, want := range map[string]int{"edge": 9, "cloud": 12} {
		s.confined(cluster, id, want)
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

// pod is what is looked at of one.
type pod struct {
	Metadata struct{ Name string }
	Spec     struct {
		AutomountServiceAccountToken *bool
		SecurityContext              struct {
			RunAsUser    int
			RunAsNonRoot bool
		}
		Containers []struct {
			Name            string
			SecurityContext struct {
				ReadOnlyRootFilesystem bool
				Capabilities           struct{ Drop []string }
			}
		}
	}
	Status struct {
		ContainerStatuses []struct {
			Name         string
			Ready        bool
			RestartCount int
		}
	}
}

// confined checks that all pods of a slice's functions at a cluster are ready,
// run as somebody who is not root, and cannot write to their root.
func (s *service) confined(cluster, sliceID string, want int) {
	s.t.Helper()
	var list struct{ Items []pod }
	s.eventually(2*time.Minute, fmt.Sprintf("%d pods are ready at %s", want, cluster), func() error {
		list.Items = nil
		raw, err := kubectl(cluster, "get", "pods", "-n", s.namespace(cluster, sliceID), "-o", "json")
		if err == nil {
			err = json.Unmarshal([]byte(raw), &list)
		}
		if err == nil && len(list.Items) != want {
			err = fmt.Errorf("there are %d", len(list.Items))
		}
		for _, p := range list.Items {
			for _, c := range p.Status.ContainerStatuses {
				if !c.Ready {
					err = fmt.Errorf("%s, %s is not", p.Metadata.Name, c.Name)
				}
			}
		}
		return err
	})
	for _, p := range list.Items {
		if token := p.Spec.AutomountServiceAccountToken; !p.Spec.SecurityContext.RunAsNonRoot || p.Spec.SecurityContext.RunAsUser == 0 || token == nil || *token {
			s.t.Errorf("%s: user %d, non-root %v, a token: %v", p.Metadata.Name, p.Spec.SecurityContext.RunAsUser, p.Spec.SecurityContext.RunAsNonRoot, token == nil || *token)
		}
		for _, c := range p.Spec.Containers {
			if !c.SecurityContext.ReadOnlyRootFilesystem || !slices.Contains(c.SecurityContext.Capabilities.Drop, "ALL") {
				s.t.Errorf("%s, %s may write to its root, or has capabilities", p.Metadata.Name, c.Name)
			}
		}
		for _, c := range p.Status.ContainerStatuses {
			if c.RestartCount > 0 {
				s.t.Logf("%s, %s: %d restarts", p.Metadata.Name, c.Name, c.RestartCount)
			}
		}
	}
}

// logs are the last lines of everything that a slice runs, for failures.
func logs() string {
	var all strings.Builder
	for _, c := range clusters {
		list, err := namespaces(c.name, "")
		if err != nil {
			continue
		}
		for _, ns := range list {
			names, err := kubectl(c.name, "get", "pods", "-n", ns, "-o", "name")
			if err != nil {
				continue
			}
			for _, p := range strings.Fields(names) {
				out, err := kubectl(c.name, "logs", "-n", ns, p, "--all-containers", "--tail", "8")
				fmt.Fprintf(&all, "== %s %s: %v\n%s\n", c.name, p, err, out)
			}
		}
	}
	return all.String()
}
