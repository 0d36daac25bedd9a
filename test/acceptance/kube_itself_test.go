//go:build e2e

package acceptance

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// TestItself installs the service by its own chart: two replicas and a PostgreSQL
// as pods, asked through their Service, upgraded while they are asked, and taken
// away again.
func TestItself(t *testing.T) {
	b := newByHelm(t, "itself")
	s := b.s
	const release = "osmo"
	values := map[string]any{"size": "edge", "postgresql": map[string]any{"enabled": true}, "service": map[string]any{"type": "NodePort"}}
	converge := func() {
		t.Helper()
		b.converge(release, "osmoslice", values)
		if n := b.get("deployment", release+"-service", "-o", "jsonpath={.status.readyReplicas}"); n != "2" {
			t.Fatalf("%s replicas are ready, want 2\n%s", n, pods())
		}
	}
	converge()
	s.url, s.key = "http://"+b.nodePort(release+"-service"), b.secret(release+"-secrets", "admin.key")
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
	if err := b.client.Remove(ctx, b.namespace, release); err != nil {
		t.Fatal(err)
	}
	s.eventually(2*time.Minute, "nothing but the kept secret is left", func() error {
		out, err := kubectl("cloud", "get", "deployments,pods,services,configmaps,persistentvolumeclaims,poddisruptionbudgets,networkpolicies,secrets",
			"-n", b.namespace, "-l", "app.kubernetes.io/instance="+release, "-o", "name")
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
