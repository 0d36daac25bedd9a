package real_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/test/testbed/wan"
)

const nodePort = `---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: %[1]s}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{port: 80, targetPort: http, nodePort: %[2]d}]
`

// Nodes are ready, pods of both find each other by name, and each cluster is
// reached from the other and from the operator by a NodePort of any node.
func TestPodsServicesAndNodePorts(t *testing.T) {
	edge, cloud := open(t, "edge"), open(t, "cloud")
	cloud.namespace("reach", "")
	edge.namespace("reach", "")
	begin := time.Now()
	cloud.kubectl(pod("reach", "web", "app: web", "  nodeSelector: {kubernetes.io/hostname: cloud-1}\n")+
		pod("reach", "client", "app: client", "  nodeSelector: {kubernetes.io/hostname: cloud-2}\n")+fmt.Sprintf(nodePort, "reach", 30090), "apply", "-f", "-")
	cloud.ready("reach", "web", "client")
	t.Logf("apply to pods ready: %.1f s", time.Since(begin).Seconds())
	edge.kubectl(pod("reach", "client", "", ""), "apply", "-f", "-")
	edge.ready("reach", "client")

	cloud.reaches("reach", "client", "http://web.reach.svc.cluster.local")
	edge.reaches("reach", "client", "http://cloud.testbed:30090")
	for _, node := range []string{"10.210.2.11", "10.210.2.12"} {
		cloud.eventually("operator reaches the NodePort of "+node, func() error { return fetch(t.Context(), "http://"+node+":30090") })
	}
	// Within a cluster a pod is seen under its own address.
	client := strings.TrimSpace(cloud.kubectl("", "-n", "reach", "get", "pod", "client", "-o", "jsonpath={.status.podIP}"))
	if out, err := cloud.get("reach", "client", "http://web.reach"); err != nil || !strings.Contains(out, "to "+client+":") {
		t.Errorf("the server saw %q (%v), want the client's own address %s", out, err, client)
	}
	s, err := edge.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range s.Clusters {
		for _, n := range c.Nodes {
			t.Logf("node %s: ready after %.1f s, %d MiB", n.Name, n.Milestones[len(n.Milestones)-1].After.Seconds(), n.Memory>>20)
			if n.Memory < 10<<20 {
				t.Errorf("node %s: %d bytes of memory were measured", n.Name, n.Memory)
			}
		}
	}
}

func fetch(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

// A claim gets a volume that outlives its pod and goes with the claim.
func TestVolumeOutlivesItsPod(t *testing.T) {
	cloud := open(t, "cloud")
	cloud.namespace("volume", "")
	const mount = `    volumeMounts: [{name: data, mountPath: /data}]
  securityContext: {runAsUser: 65532, runAsNonRoot: true}
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
`
	cloud.kubectl(`
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: volume}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
`+pod("volume", "first", "", mount), "apply", "-f", "-")
	cloud.ready("volume", "first")
	cloud.kubectl("", "-n", "volume", "exec", "first", "--", "/probe", "write", "/data/x", "kept")
	cloud.kubectl("", "-n", "volume", "delete", "pod", "first")
	cloud.kubectl(pod("volume", "second", "", mount), "apply", "-f", "-")
	cloud.ready("volume", "second")
	if got := cloud.kubectl("", "-n", "volume", "exec", "second", "--", "/probe", "read", "/data/x"); got != "kept" {
		t.Errorf("the second pod reads %q, want what the first wrote: kept", got)
	}
	cloud.kubectl("", "-n", "volume", "delete", "pod/second", "pvc/data")
	cloud.eventually("the volume is gone", func() error {
		out, err := cloud.Kubectl(t.Context(), "cloud", "", "get", "pv", "-o", "name")
		if err == nil && out != "" {
			err = fmt.Errorf("left: %s", out)
		}
		return err
	})
}

// A partition loses packets and takes nothing else along; a link's quality is
// what was asked for.
func TestPartitionAndLink(t *testing.T) {
	edge, cloud := open(t, "edge"), open(t, "cloud")
	const edgeServer, cloudServer = "10.210.1.11:6443", "10.210.2.11:6443"
	straight := dialTime(t, edgeServer)

	edge.Partition(t, "edge", "")
	var silence net.Error
	if c, err := net.DialTimeout("tcp", edgeServer, time.Second); err == nil {
		c.Close()
		t.Error("edge answers through a partition")
	} else if !errors.As(err, &silence) || !silence.Timeout() {
		t.Errorf("a partition answers %v, want silence", err)
	}
	dialTime(t, cloudServer)
	cloud.kubectl("", "get", "--raw", "/readyz")
	edge.Heal(t, "edge", "")
	dialTime(t, edgeServer)

	const latency = 150 * time.Millisecond
	edge.Link(t, "edge", wan.Quality{Latency: latency})
	slow := dialTime(t, edgeServer)
	if slow < 2*latency {
		t.Errorf("a round trip over the link takes %s, want at least %s (it took %s before)", slow, 2*latency, straight)
	}
	edge.kubectl("", "get", "--raw", "/readyz") // TLS and HTTP pass as well
	edge.Link(t, "edge", wan.Quality{})
	edge.eventually("the link is fast again", func() error {
		if took := dialTime(t, edgeServer); took > latency {
			return fmt.Errorf("a round trip takes %s", took)
		}
		return nil
	})
	edge.Link(t, "edge", wan.Quality{Loss: 1})
	if c, err := net.DialTimeout("tcp", edgeServer, time.Second); err == nil {
		c.Close()
		t.Error("a link that loses everything lets a connection through")
	}
}

func dialTime(t *testing.T, address string) time.Duration {
	t.Helper()
	begin := time.Now()
	c, err := net.DialTimeout("tcp", address, 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	return time.Since(begin)
}
