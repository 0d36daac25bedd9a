//go:build e2e

package acceptance

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/osmoslice/osmoslice/charts"
	"github.com/osmoslice/osmoslice/internal/kube"
	"github.com/osmoslice/osmoslice/internal/kube/helm"
)

// TestItself installs the service by its own chart: two replicas and a PostgreSQL
// as pods, asked through their Service, upgraded while they are asked, and taken
// away again.
func TestItself(t *testing.T) {
	s := &service{t: t}
	const cluster, namespace, release = "cloud", "itself", "osmo"
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(bed(t), "kubeconfig", cluster))
	if err != nil {
		t.Fatal(err)
	}
	k, err := kube.Connect(config, kube.Options{})
	if err != nil {
		t.Fatal(err)
	}
	client := helm.New(k)
	chart, err := helm.Load(charts.Files(), "osmoslice")
	if err != nil {
		t.Fatal(err)
	}
	s.kubectl(cluster, "create", "namespace", namespace)
	s.kubectl(cluster, "label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
	t.Cleanup(func() { _, _ = kubectl(cluster, "delete", "namespace", namespace, "--wait=false") })
	values := map[string]any{"size": "edge", "postgresql": map[string]any{"enabled": true}, "service": map[string]any{"type": "NodePort"}}
	converge := func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		if _, err := client.Converge(ctx, helm.Wish{Name: release, Namespace: namespace, Chart: chart, Values: values}); err != nil {
			t.Fatal(err)
		}
		for _, d := range []string{"db", "service"} {
			if _, err := kubectl(cluster, "rollout", "status", "-n", namespace, "deployment/"+release+"-"+d, "--timeout=50s"); err != nil {
				s.eventually(5*time.Minute, d+" is rolled out", func() error {
					_, err := kubectl(cluster, "rollout", "status", "-n", namespace, "deployment/"+release+"-"+d, "--timeout=40s")
					return err
				})
			}
		}
		if n := s.kubectl(cluster, "get", "deployment", "-n", namespace, release+"-service", "-o", "jsonpath={.status.readyReplicas}"); n != "2" {
			t.Fatalf("%s replicas are ready, want 2\n%s", n, pods())
		}
	}
	converge()
	port := s.kubectl(cluster, "get", "service", "-n", namespace, release+"-service", "-o", "jsonpath={.spec.ports[0].nodePort}")
	key, err := base64.StdEncoding.DecodeString(s.kubectl(cluster, "get", "secret", "-n", namespace, release+"-secrets", "-o", `jsonpath={.data.admin\.key}`))
	if err != nil {
		t.Fatal(err)
	}
	s.url, s.key = fmt.Sprintf("http://10.210.2.11:%s", port), strings.TrimSpace(string(key))
	id := s.tenant("acme")
	answered, failed := s.askedWhile(func() {
		values["settings"] = map[string]any{"log": map[string]any{"level": "debug"}}
		converge()
	}, "/tenants/"+id)
	t.Logf("%d requests answered during the upgrade, %d failed", answered, failed)
	if answered == 0 || failed > 0 {
		t.Errorf("an upgrade is noticed: %d requests answered, %d failed", answered, failed)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	if err := client.Remove(ctx, namespace, release); err != nil {
		t.Fatal(err)
	}
	s.eventually(2*time.Minute, "nothing but the kept secret is left", func() error {
		out, err := kubectl(cluster, "get", "deployments,pods,services,configmaps,persistentvolumeclaims,poddisruptionbudgets,networkpolicies,secrets",
			"-n", namespace, "-l", "app.kubernetes.io/instance="+release, "-o", "name")
		if err == nil && strings.TrimSpace(out) != "secret/"+release+"-secrets" {
			err = fmt.Errorf("there is %s", out)
		}
		return err
	})
}

// askedWhile asks for a path ten times a second while do runs.
func (s *service) askedWhile(do func(), path string) (answered, failed int) {
	done, counted := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(counted)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			if a, err := s.call("GET", path, nil); err == nil && a.status == http.StatusOK {
				answered++
			} else {
				failed++
				fmt.Fprintln(os.Stderr, "during the upgrade:", a.status, err)
			}
		}
	}()
	do()
	close(done)
	<-counted
	return answered, failed
}
