//go:build e2e

package acceptance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/test/devices"
)

// The tests of this tag run inside a test bed with the clusters edge and cloud
// and the images of the light products ("make e2e" makes all that): kubectl
// reaches both, and NodePorts are reachable from here.

// clusters are the bed's, with the tier each stands for and the address ranges
// of their pods, which nodes with a CNI of their own do not tell.
var clusters = []struct {
	name, kind string
	latency    float64
	pods       string
}{{"edge", "DEVICE_EDGE", 1, "10.1.0.0/16"}, {"cloud", "CLOUD", 12, "10.2.0.0/16"}}

// bed is the folder of the test bed.
func bed(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("OSMOSLICE_TESTBED_DIR")
	if dir == "" {
		t.Fatal("OSMOSLICE_TESTBED_DIR names no test bed; run this by make e2e")
	}
	return dir
}

// onClusters starts a service that knows both clusters, with a tenant's secrets.
func onClusters(t *testing.T, args ...string) (s *service, tenant string) {
	t.Helper()
	s = start(t, append([]string{"--host-enabled=false", "--simulated-enabled=false"}, args...)...)
	return s, s.joinClusters("acme")
}

func (s *service) joinClusters(name string) (tenant string) {
	s.t.Helper()
	tenant = s.tenant(name)
	s.secrets(tenant)
	for _, c := range clusters {
		s.joinCluster(tenant, c.name, c.kind, c.latency, object{"kind": c.kind, "podCIDR": []string{c.pods}})
	}
	return tenant
}

// joinCluster registers a cluster of the bed as an infrastructure.
func (s *service) joinCluster(tenant, name, kind string, latency float64, connection object) {
	s.t.Helper()
	kubeconfig, err := os.ReadFile(filepath.Join(bed(s.t), "kubeconfig", name))
	if err != nil {
		s.t.Fatal(err)
	}
	s.secret(tenant, "kubeconfig-"+name, string(kubeconfig))
	s.must(http.StatusCreated, "POST", "/infrastructures", object{
		"name": name, "tenantId": tenant, "kind": kind, "plugin": "kubernetes", "connection": connection,
		"secretRefs": object{"kubeconfig": "kubeconfig-" + name}, "accessTechnologies": []string{"WIFI", "NB_IOT"}, "accessLatencyMs": latency,
	})
}

// finishes is completes with the patience that pulling up pods needs.
func (s *service) finishes(operation string) {
	s.t.Helper()
	if o := s.ended(operation, 10*time.Minute); o.str("operationState") != "COMPLETED" {
		b, _ := json.MarshalIndent(o, "", " ")
		s.t.Fatalf("%s ended %s:\n%s\n%s", operation, o.str("operationState"), tail(string(b)), pods())
	}
}

// act calls a lifecycle task and waits for its end.
func (s *service) act(sliceID, verb string, body object) {
	s.t.Helper()
	a := s.must(http.StatusAccepted, "POST", "/iotSlices/"+sliceID+"/"+verb, body)
	s.finishes(local(a.header.Get("Location")))
}

// patch changes a resource and waits for the operation, if one follows.
func (s *service) patch(path string, body object) {
	s.t.Helper()
	a, err := s.call("PATCH", path, body, "Content-Type", "application/merge-patch+json")
	switch {
	case err != nil:
		s.t.Fatal(err)
	case a.status == http.StatusAccepted:
		s.finishes(local(a.header.Get("Location")))
	case a.status != http.StatusOK:
		s.t.Fatalf("PATCH %s: status %d\n%s", path, a.status, a.body)
	}
}

// gone deletes a slice and waits until the clusters hold nothing of it.
func (s *service) gone(sliceID string) {
	s.t.Helper()
	a := s.must(http.StatusAccepted, "DELETE", "/iotSlices/"+sliceID+"?cascade=true", nil)
	s.finishes(local(a.header.Get("Location")))
	s.noNamespaces()
}

// kubectl asks a cluster of the bed.
func kubectl(cluster string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "kubectl", append([]string{"--context", cluster}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out), nil
}

func (s *service) kubectl(cluster string, args ...string) string {
	s.t.Helper()
	out, err := kubectl(cluster, args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// pods tells what both clusters run, for failures.
func pods() string {
	var all strings.Builder
	for _, c := range clusters {
		for _, args := range [][]string{{"get", "pods", "-A", "-o", "wide"}, {"get", "events", "-A", "--sort-by=.lastTimestamp"}} {
			out, err := kubectl(c.name, args...)
			fmt.Fprintf(&all, "%s: %v\n%s\n", c.name, err, out[max(0, len(out)-3000):])
		}
	}
	return all.String()
}

// namespaces are those of a slice's functions at a cluster; every slice's when
// its id is empty.
func namespaces(cluster, sliceID string) ([]string, error) {
	selector := "osmoslice.dev/slice"
	if sliceID != "" {
		selector += "=" + sliceID
	}
	out, err := kubectl(cluster, "get", "namespaces", "-l", selector, "-o", "jsonpath={.items[*].metadata.name}")
	return strings.Fields(out), err
}

func (s *service) namespace(cluster, sliceID string) string {
	s.t.Helper()
	ns, err := namespaces(cluster, sliceID)
	if err != nil || len(ns) != 1 {
		s.t.Fatalf("slice %s has the namespaces %v at %s, want one (%v)", sliceID, ns, cluster, err)
	}
	return ns[0]
}

// noNamespaces waits until no cluster holds anything of a slice.
func (s *service) noNamespaces() {
	s.t.Helper()
	s.eventually(4*time.Minute, "nothing of a slice is left", func() error {
		for _, c := range clusters {
			ns, err := namespaces(c.name, "")
			if err != nil {
				return err
			}
			if len(ns) > 0 {
				return fmt.Errorf("namespaces of slices at %s: %v", c.name, ns)
			}
		}
		return nil
	})
}

// member answers one member of a slice by name.
func (s *service) member(sliceID, collection, name string) object {
	s.t.Helper()
	for _, o := range s.members(sliceID, collection) {
		if o.str("name") == name {
			return o
		}
	}
	s.t.Fatalf("slice %s has no %s %q", sliceID, collection, name)
	return nil
}

func (s *service) endpoint(sliceID, collection, name, port string) string {
	s.t.Helper()
	o := s.member(sliceID, collection, name)
	e := o.str("deployment", "endpoints", port)
	if e == "" {
		s.t.Fatalf("%s tells no endpoint %q: %v", name, port, o["deployment"])
	}
	return e
}

// at is the infrastructure where a member runs.
func (s *service) at(sliceID, collection, name string) string {
	s.t.Helper()
	id := s.member(sliceID, collection, name).str("deployment", "infrastructureId")
	return s.must(http.StatusOK, "GET", "/infrastructures/"+id, nil).object(s.t).str("name")
}

// southbound is a gateway's endpoint for a device's protocol.
var southbound = map[string]string{"MQTT": "mqtt", "HTTP": "http", "COAP": "coaps"}

// send has every device of a gateway send n readings as its protocol does.
func (s *service) send(tenant, sliceID, gateway string, n int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for protocol, port := range southbound {
		address, left := s.endpoint(sliceID, "iotGateways", gateway, port), n
		err := poll(time.Minute, func() error {
			d, err := devices.Dial(ctx, devices.Options{Address: address, Name: gateway + "-" + strings.ToLower(protocol), Secret: "device-secret-of-" + tenant})
			if err != nil {
				return err
			}
			defer d.Close()
			for ; left > 0; left-- {
				if err := d.Send(ctx, devices.Reading{Resource: "temperature", Unit: "Cel", Value: float64(20 + left), Time: time.Now()}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			s.t.Fatalf("%s at %s: %v\n%s", protocol, address, err, pods())
		}
	}
}

// holds asks the slice's server how many readings of a name it has.
func (s *service) holds(tenant, sliceID, name string) (int, error) {
	api := s.endpoint(sliceID, "iotServers", "core", "api")
	get := func(path string, into any) error {
		req, err := http.NewRequest(http.MethodGet, api+path, nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer admin-token-of-"+tenant)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s", path, resp.Status)
		}
		return json.NewDecoder(resp.Body).Decode(into)
	}
	var list struct{ Channels []struct{ ID string } }
	if err := get("/channels?limit=100", &list); err != nil {
		return 0, err
	}
	total := 0
	for _, c := range list.Channels {
		var page struct{ Messages []struct{ Count int } }
		q := url.Values{"aggregate": {"count"}, "name": {name}, "from": {strconv.FormatInt(time.Now().Add(-time.Hour).Unix(), 10)}}
		if err := get("/channels/"+c.ID+"/messages?"+q.Encode(), &page); err != nil {
			return 0, err
		}
		for _, m := range page.Messages {
			total += m.Count
		}
	}
	return total, nil
}

// arrive waits until the server in the other cluster holds n readings of every
// device of a gateway.
func (s *service) arrive(tenant, sliceID, gateway string, n int) {
	s.t.Helper()
	for protocol := range southbound {
		name := gateway + "-" + strings.ToLower(protocol) + ":temperature"
		s.eventually(time.Minute, fmt.Sprintf("%d readings of %s at the server", n, name), func() error {
			got, err := s.holds(tenant, sliceID, name)
			if err == nil && got != n {
				err = fmt.Errorf("it holds %d", got)
			}
			return err
		})
	}
}

// ask fetches a URL from inside a slice's namespace, as a pod of the slice that
// would do harm: it wears the labels of the slice's own pods.
func (s *service) ask(cluster, sliceID, address string) error {
	s.t.Helper()
	ns := s.namespace(cluster, sliceID)
	pod := fmt.Sprintf("ask-%d", time.Now().UnixNano())
	manifest := object{"apiVersion": "v1", "kind": "Pod",
		"metadata": object{"name": pod, "namespace": ns, "labels": object{"osmoslice.dev/slice": sliceID}},
		"spec": object{"restartPolicy": "Never", "automountServiceAccountToken": false,
			"securityContext": object{"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": object{"type": "RuntimeDefault"}},
			"containers": []object{{"name": "ask", "image": "osmoslice/testbed-probe:1", "imagePullPolicy": "IfNotPresent",
				"command":         []string{"/probe", "get", address, "5s"},
				"securityContext": object{"allowPrivilegeEscalation": false, "capabilities": object{"drop": []string{"ALL"}}},
				"resources":       object{"requests": object{"cpu": "1m", "memory": "8Mi"}, "limits": object{"cpu": "100m", "memory": "32Mi"}},
			}}}}
	b, err := json.Marshal(manifest)
	if err != nil {
		s.t.Fatal(err)
	}
	file := filepath.Join(s.t.TempDir(), pod+".json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.kubectl(cluster, "create", "-f", file)
	defer func() { _, _ = kubectl(cluster, "delete", "pod", "-n", ns, pod, "--wait=false") }()
	var phase string
	s.eventually(time.Minute, "the asking pod's end", func() error {
		phase = s.kubectl(cluster, "get", "pod", "-n", ns, pod, "-o", "jsonpath={.status.phase}")
		if phase != "Succeeded" && phase != "Failed" {
			return fmt.Errorf("it is %s", phase)
		}
		return nil
	})
	if phase == "Succeeded" {
		return nil
	}
	return errors.New(s.kubectl(cluster, "logs", "-n", ns, pod))
}
