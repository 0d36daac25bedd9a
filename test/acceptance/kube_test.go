//go:build e2e

package acceptance

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestKubeSmoke is the main job on real clusters: an order becomes pods, device
// readings sent into the edge cluster are read back from the cloud cluster, and
// a second slice beside it cannot be reached from the first.
func TestKubeSmoke(t *testing.T) {
	s, tenant := onClusters(t)
	id, op := s.submit(order(tenant, "plant"))
	other, op2 := s.submit(order(tenant, "other"))
	s.finishes(op)
	s.finishes(op2)
	for _, gw := range []string{"gw-a", "gw-b"} {
		if at := s.at(id, "iotGateways", gw); at != "edge" {
			t.Errorf("%s runs at %s, want edge", gw, at)
		}
		s.send(tenant, id, gw, 5)
		s.arrive(tenant, id, gw, 5)
	}
	if at := s.at(id, "iotServers", "core"); at != "cloud" {
		t.Errorf("the server runs at %s, want cloud", at)
	}
	s.isolated(id, other)
	s.act(id, "terminate", nil)
	if got := s.slice(id).str("state"); got == "ACTIVE" {
		t.Errorf("the slice is %s after its termination", got)
	}
	s.send(tenant, other, "gw-a", 2) // it did not suffer
	s.arrive(tenant, other, "gw-a", 2)
	s.must(http.StatusNoContent, "DELETE", "/iotSlices/"+id, nil)
	s.gone(other)
}

// isolated: a pod in a slice's namespace reaches the slice's own gateway, and
// not the other slice's, neither by its Service nor by its pod.
func (s *service) isolated(mine, other string) {
	s.t.Helper()
	service := func(sliceID string) string {
		ns := s.namespace("edge", sliceID)
		out := s.kubectl("edge", "get", "services", "-n", ns, "-l", "osmoslice.dev/expose=true", "-o",
			`jsonpath={range .items[*]}{.spec.clusterIP}{" "}{.spec.ports[?(@.name=="api")].port}{"\n"}{end}`)
		f := strings.Fields(out)
		if len(f) < 2 {
			s.t.Fatalf("no Service with a port api in %s: %q", ns, out)
		}
		return fmt.Sprintf("http://%s:%s/healthz", f[0], f[1])
	}
	if err := s.ask("edge", mine, service(mine)); err != nil {
		s.t.Fatalf("a slice does not reach its own gateway: %v", err)
	}
	if err := s.ask("edge", mine, service(other)); err == nil {
		s.t.Errorf("a slice reaches the other slice's gateway")
	}
	if err := s.ask("edge", mine, "http://kubernetes.default.svc/"); err == nil {
		s.t.Errorf("a slice reaches the cluster's API")
	}
}

// TestKubeChanges: a running slice is scaled, moved to the cloud and back with
// its devices and readings, and changed, one thing after the other.
func TestKubeChanges(t *testing.T) {
	s, tenant := onClusters(t)
	id, op := s.submit(order(tenant, "plant"))
	s.finishes(op)
	s.send(tenant, id, "gw-a", 3)
	s.arrive(tenant, id, "gw-a", 3)

	gw := s.member(id, "iotGateways", "gw-a").str("id")
	s.patch("/iotGateways/"+gw, object{"placementPolicy": object{"kinds": []string{"DEVICE_EDGE", "CLOUD"}}})
	for k, site := range []string{"cloud", "edge"} {
		s.act(id, "migrate", object{"elements": []string{"gw-a"}, "target": object{"infrastructures": []string{site}}})
		if at := s.at(id, "iotGateways", "gw-a"); at != site {
			t.Fatalf("gw-a runs at %s after its migration to %s", at, site)
		}
		s.send(tenant, id, "gw-a", 2)
		s.arrive(tenant, id, "gw-a", 3+2*(k+1))
	}

	s.patch("/iotGateways/"+gw, object{"requirements": object{"memoryMiB": 96}})
	ns := s.namespace("edge", id)
	if limits := s.kubectl("edge", "get", "pods", "-n", ns, "-l", "osmoslice.dev/element="+gw, "-o", "jsonpath={.items[*].spec.containers[*].resources.limits.memory}"); !strings.Contains(limits, "96Mi") {
		t.Errorf("after the change gw-a's memory limit is %q, want 96Mi", limits)
	}
	s.send(tenant, id, "gw-a", 1)
	s.arrive(tenant, id, "gw-a", 8)
	s.gone(id)
}
