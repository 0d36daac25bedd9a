//go:build e2e

package acceptance

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/store/pgtest"
)

// testbed runs a command of the test bed, such as partition.
func (s *service) testbed(args ...string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bed(s.t), "bin", "testbed"), args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("testbed %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// small is an order of one server and one gateway with a device of each
// protocol: enough for every action, quick enough for many rounds.
func small(tenant, name string) object {
	o := order(tenant, name)
	gateways, devices := o["iotGateways"].([]object), o["iotDevices"].([]object)
	o["iotGateways"] = gateways[:1]
	o["iotDevices"] = slices.DeleteFunc(devices, func(d object) bool { return d["iotGateway"] != "gw-a" })
	return o
}

// running is a slice that runs, of a small order.
func (s *service) runningSlice(tenant, name string) (sliceID string) {
	s.t.Helper()
	id, op := s.submit(small(tenant, name))
	s.finishes(op)
	return id
}

// works proves a small slice end to end.
func (s *service) works(tenant, sliceID string) {
	s.t.Helper()
	name := "gw-a-mqtt:temperature"
	before, err := s.holds(tenant, sliceID, name)
	if err != nil {
		s.t.Fatal(err)
	}
	s.send(tenant, sliceID, "gw-a", 1)
	s.arrive(tenant, sliceID, "gw-a", before+1)
}

// dies waits until osmosliced has killed itself.
func (s *service) dies(point string) {
	s.t.Helper()
	select {
	case <-s.done:
	case <-time.After(3 * time.Minute):
		s.t.Fatalf("the failpoint %s was not reached: %s\n%s", point, tail(s.log.String()), pods())
	}
}

// TestKubeKillAtEveryStep: osmosliced is killed after the intent and after the
// effect of every step of create, change and delete; started again it goes on,
// and in the end the clusters hold exactly what the store says.
func TestKubeKillAtEveryStep(t *testing.T) {
	for _, c := range []struct {
		phase  string
		points []string
	}{
		{"create", slices.Concat(killPoints([]string{"apply"}, 2), killPoints([]string{"connect", "attach", "provision"}, 1))},
		{"update", killPoints([]string{"apply"}, 1)},
		{"migrate", slices.Concat(killPoints([]string{"apply", "move", "delete"}, 1))},
		{"delete", killPoints([]string{"delete"}, 2)},
	} {
		for _, point := range c.points {
			t.Run(c.phase+"/"+point, func(t *testing.T) { kubeKillAt(t, c.phase, point) })
		}
	}
}

func kubeKillAt(t *testing.T, phase, point string) {
	s, tenant := onClusters(t, "--operations-lease", "1s")
	var id, op string
	if phase != "create" {
		id = s.runningSlice(tenant, "plant")
	}
	s.kill()
	s.launch("OSMOSLICE_FAILPOINT=" + point)
	switch phase {
	case "create":
		id, op = s.submit(small(tenant, "plant"))
	case "update":
		gw := s.member(id, "iotGateways", "gw-a").str("id")
		a := s.must(http.StatusAccepted, "PATCH", "/iotGateways/"+gw, object{"requirements": object{"memoryMiB": 80}}, "Content-Type", "application/merge-patch+json")
		op = local(a.header.Get("Location"))
	case "migrate":
		server := object{"elements": []string{"gw-a"}, "target": object{"infrastructures": []string{"cloud"}}}
		gw := s.member(id, "iotGateways", "gw-a").str("id")
		s.patch("/iotGateways/"+gw, object{"placementPolicy": object{"kinds": []string{"DEVICE_EDGE", "CLOUD"}}})
		a := s.must(http.StatusAccepted, "POST", "/iotSlices/"+id+"/migrate", server)
		op = local(a.header.Get("Location"))
	case "delete":
		a := s.must(http.StatusAccepted, "DELETE", "/iotSlices/"+id+"?cascade=true", nil)
		op = local(a.header.Get("Location"))
	}
	s.dies(point)
	s.launch()
	s.finishes(op)
	if phase == "delete" {
		s.noNamespaces()
		return
	}
	s.works(tenant, id)
	s.releases(id, map[string]int{"create": 2, "update": 2, "migrate": 2}[phase])
	s.gone(id)
}

// releases counts the Helm releases of a slice in both clusters.
func (s *service) releases(sliceID string, want int) {
	s.t.Helper()
	s.eventually(time.Minute, fmt.Sprintf("%d releases", want), func() error {
		var names []string
		for _, c := range clusters {
			ns, err := namespaces(c.name, sliceID)
			if err != nil {
				return err
			}
			for _, n := range ns {
				out, err := kubectl(c.name, "get", "secrets", "-n", n, "-l", "owner=helm,status=deployed", "-o", "jsonpath={.items[*].metadata.labels.name}")
				if err != nil {
					return err
				}
				names = append(names, strings.Fields(out)...)
			}
		}
		if len(names) != want {
			return fmt.Errorf("there are %v", names)
		}
		return nil
	})
}

// helmSays watches both clusters and tells when a release has a status, which may
// last for a moment only.
func (s *service) helmSays(status string) <-chan struct{} {
	s.t.Helper()
	seen := make(chan struct{}, len(clusters))
	for _, c := range clusters {
		cmd := exec.CommandContext(s.t.Context(), "kubectl", "--context", c.name, "get", "secrets", "-A", "--watch", "-o", "name", "-l", "owner=helm,status="+status)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			s.t.Fatal(err)
		}
		go func() {
			if n, _ := out.Read(make([]byte, 1)); n > 0 {
				seen <- struct{}{}
			}
			_, _ = io.Copy(io.Discard, out)
			_ = cmd.Wait()
		}()
	}
	return seen
}

// TestKubeKillInsideHelm: osmosliced is killed while Helm says that a release is
// being installed or upgraded: the wedged release is recovered.
func TestKubeKillInsideHelm(t *testing.T) {
	for _, status := range []string{"pending-install", "pending-upgrade"} {
		t.Run(status, func(t *testing.T) {
			s, tenant := onClusters(t, "--operations-lease", "1s")
			var id, op string
			seen := s.helmSays(status) // long before, so that nothing is missed
			if status == "pending-upgrade" {
				id = s.runningSlice(tenant, "plant")
			}
			if status == "pending-install" {
				id, op = s.submit(small(tenant, "plant"))
			} else {
				gw := s.member(id, "iotGateways", "gw-a").str("id")
				a := s.must(http.StatusAccepted, "PATCH", "/iotGateways/"+gw, object{"requirements": object{"memoryMiB": 80}}, "Content-Type", "application/merge-patch+json")
				op = local(a.header.Get("Location"))
			}
			select {
			case <-seen:
			case <-time.After(time.Minute):
				t.Errorf("no release was seen %s: nothing was killed inside Helm", status)
			}
			s.kill()
			s.launch()
			s.finishes(op)
			s.works(tenant, id)
			s.gone(id)
		})
	}
}

// TestKubePartitionInInstall: the edge is cut off in the middle of an install;
// the operation waits and completes when the edge is back.
func TestKubePartitionInInstall(t *testing.T) {
	s, tenant := onClusters(t)
	id, op := s.submit(small(tenant, "plant"))
	s.eventually(time.Minute, "something at the edge", func() error {
		ns, err := namespaces("edge", id)
		if err == nil && len(ns) == 0 {
			err = fmt.Errorf("no namespace yet")
		}
		return err
	})
	s.testbed("partition", "edge")
	healed := false
	defer func() {
		if !healed {
			s.testbed("heal", "edge")
		}
	}()
	// One dead cluster never delays another: a slice of the cloud alone is quick.
	o := small(tenant, "cloudy")
	delete(o, "iotGateways")
	delete(o, "iotDevices")
	from := time.Now()
	other, op2 := s.submit(o)
	s.finishes(op2)
	t.Logf("a slice of the living cluster took %v beside the dead one", time.Since(from).Round(10*time.Millisecond))
	s.testbed("heal", "edge")
	healed = true
	s.finishes(op)
	s.works(tenant, id)
	s.act(other, "terminate", object{})
	s.gone(id)
}

// TestKubePartitionInDelete: a slice is deleted while the edge cannot be
// reached: the deletion ends as orphaned, and its tombstone runs when the edge
// is back.
func TestKubePartitionInDelete(t *testing.T) {
	s, tenant := onClusters(t, "--operations-steptimeout", "10s", "--operations-maxattempts", "2")
	id := s.runningSlice(tenant, "plant")
	s.testbed("partition", "edge")
	healed := false
	defer func() {
		if !healed {
			s.testbed("heal", "edge")
		}
	}()
	a := s.must(http.StatusAccepted, "DELETE", "/iotSlices/"+id+"?cascade=true", nil)
	end := s.ended(local(a.header.Get("Location")), 5*time.Minute)
	if end.str("operationState") != "COMPLETED" || !strings.EqualFold(end.str("outcome"), "orphaned") {
		t.Errorf("the deletion ended %s, outcome %q", end.str("operationState"), end.str("outcome"))
	}
	s.eventually(time.Minute, "the living cluster is rid of it", func() error { // pods end in the background
		ns, err := namespaces("cloud", id)
		if err == nil && len(ns) > 0 {
			err = fmt.Errorf("there are %v", ns)
		}
		return err
	})
	s.testbed("heal", "edge")
	healed = true
	s.noNamespaces()
}

// TestKubeDrift: objects that somebody deleted or edited by hand come back.
func TestKubeDrift(t *testing.T) {
	s, tenant := onClusters(t)
	id := s.runningSlice(tenant, "plant")
	ns := s.namespace("edge", id)
	workload := s.kubectl("edge", "get", "deployments,statefulsets", "-n", ns, "-o", "name")
	service := s.kubectl("edge", "get", "services", "-n", ns, "-l", "osmoslice.dev/expose=true", "-o", "name")
	workload, service = strings.Fields(workload)[0], strings.Fields(service)[0]
	s.kubectl("edge", "delete", "-n", ns, service)
	s.kubectl("edge", "scale", "-n", ns, workload, "--replicas=0")
	s.eventually(3*time.Minute, "repair", func() error {
		if _, err := kubectl("edge", "get", "-n", ns, service); err != nil {
			return err
		}
		out, err := kubectl("edge", "get", "-n", ns, workload, "-o", "jsonpath={.status.readyReplicas}")
		if err == nil && strings.TrimSpace(out) != "1" {
			err = fmt.Errorf("%s has %q ready replicas", workload, out)
		}
		return err
	})
	s.eventually(2*time.Minute, "slice active again", func() error {
		if st := s.slice(id).str("state"); st != "ACTIVE" {
			return fmt.Errorf("the slice is %s: %s", st, s.slice(id).str("cause"))
		}
		return nil
	})
	s.works(tenant, id)
	s.gone(id)
}

// TestKubeReplicas: two services on one PostgreSQL share the clusters; one is
// killed in the middle, the other goes on.
func TestKubeReplicas(t *testing.T) {
	db := pgtest.Start(t)
	args := []string{"--data-dsn", db.DSN(t), "--data-keyfile", filepath.Join(t.TempDir(), "secret.key"), "--operations-lease", "5s"}
	a, tenant := onClusters(t, args...)
	b := &service{t: t, dir: filepath.Join(t.TempDir(), "data"), bin: a.bin, args: a.args, log: &syncBuffer{}, key: a.key}
	t.Cleanup(func() {
		b.kill()
		if t.Failed() {
			t.Logf("the second replica said:\n%s", b.log)
		}
	})
	b.launch()
	var ids, ops []string
	for i := range 3 {
		id, op := a.submit(small(tenant, fmt.Sprintf("plant-%d", i)))
		ids, ops = append(ids, id), append(ops, op)
	}
	b.eventually(time.Minute, "something at a cluster", func() error {
		ns, err := namespaces("cloud", "")
		if err == nil && len(ns) == 0 {
			err = fmt.Errorf("no namespace yet")
		}
		return err
	})
	a.kill()
	from := time.Now()
	for _, op := range ops {
		b.finishes(op)
	}
	t.Logf("three slices completed %v after the kill of a replica", time.Since(from).Round(10*time.Millisecond))
	for _, id := range ids {
		b.works(tenant, id)
	}
	for _, id := range ids {
		x := b.must(http.StatusAccepted, "DELETE", "/iotSlices/"+id+"?cascade=true", nil)
		b.finishes(local(x.header.Get("Location")))
	}
	b.noNamespaces()
	if _, err := os.Stat(a.dir); err != nil {
		t.Error(err)
	}
}

// TestKubeMissingImage: an image that is not there is the first root cause, and
// the order is undone.
func TestKubeMissingImage(t *testing.T) {
	s, tenant := onClusters(t, "--operations-steptimeout", "1m", "--operations-maxattempts", "1")
	s.must(http.StatusCreated, "POST", "/products", object{
		"name": "absent", "version": "1.0.0", "tenantId": tenant, "elementKind": "microElement",
		"packaging": object{"kubernetes": object{"chart": object{"name": "microelement", "version": "0.1.0", "values": object{"images": object{"main": object{"repository": "osmoslice/no-such-image", "tag": "1"}}}}}},
	})
	id, op := s.submit(single(tenant, "absent", "absent"))
	end := s.ended(op, 5*time.Minute)
	cause := end.str("firstRootCause", "detail")
	if end.str("operationState") != "ROLLED_BACK" || !strings.Contains(cause, "no-such-image") {
		t.Errorf("ended %s: %s", end.str("operationState"), cause)
	}
	t.Logf("root cause: %s", cause)
	s.noNamespaces()
	s.must(http.StatusNoContent, "DELETE", "/iotSlices/"+id, nil)
}
