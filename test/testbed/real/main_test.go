// Package real_test is the test of the test bed itself, on clusters that run. It
// takes minutes, so "make testbed-test" runs it, by the variable below.
package real_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/test/testbed/bed"
)

const wanted = "OSMOSLICE_TESTBED_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(wanted) == "" {
		os.Exit(m.Run())
	}
	os.Exit(bed.Main(m, "edge", "cloud:2"))
}

// patience is for anything that has to come true, on a machine that does much
// else.
const patience = 2 * time.Minute

// A site is one cluster as these tests use it.
type site struct {
	*bed.Bed
	t    *testing.T
	name string
}

func open(t *testing.T, name string) site {
	t.Helper()
	if os.Getenv(wanted) == "" {
		t.Skipf("takes minutes: make testbed-test, or %s=1", wanted)
	}
	return site{bed.Open(t), t, name}
}

// kubectl must succeed.
func (s site) kubectl(stdin string, args ...string) string {
	s.t.Helper()
	out, err := s.Kubectl(s.t.Context(), s.name, stdin, args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// namespace makes one for the test and waits at its end until it is gone.
func (s site) namespace(name, labels string) {
	s.t.Helper()
	s.kubectl("apiVersion: v1\nkind: Namespace\nmetadata: {name: "+name+", labels: {"+labels+"}}\n", "apply", "-f", "-")
	s.t.Cleanup(func() {
		if _, err := s.Kubectl(context.Background(), s.name, "", "delete", "namespace", name, "--grace-period=1", "--timeout=120s"); err != nil {
			s.t.Error(err)
		}
	})
	s.eventually("service account of "+name, func() error {
		_, err := s.Kubectl(s.t.Context(), s.name, "", "-n", name, "get", "serviceaccount", "default")
		return err
	})
}

// ready waits for pods.
func (s site) ready(namespace string, pods ...string) {
	s.t.Helper()
	for _, p := range pods {
		s.kubectl("", "-n", namespace, "wait", "--for=condition=Ready", "pod/"+p, "--timeout="+patience.String())
	}
}

// get fetches from inside a pod.
func (s site) get(namespace, pod, url string) (string, error) {
	return s.Kubectl(s.t.Context(), s.name, "", "-n", namespace, "exec", pod, "--", "/probe", "get", url, "1s")
}

func (s site) eventually(what string, check func() error) {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// reaches waits until a pod gets an answer; blocked until it gets none, which
// means a lost packet and not a refusal.
func (s site) reaches(namespace, pod, url string) {
	s.t.Helper()
	s.eventually(pod+" reaches "+url, func() error { _, err := s.get(namespace, pod, url); return err })
}

func (s site) blocked(namespace, pod, url string) {
	s.t.Helper()
	s.eventually(pod+" is kept from "+url, func() error {
		out, err := s.get(namespace, pod, url)
		if err == nil {
			return errStillReached(out)
		}
		if !strings.Contains(err.Error(), "deadline exceeded") && !strings.Contains(err.Error(), "Client.Timeout") && !strings.Contains(err.Error(), "i/o timeout") {
			return err
		}
		return nil
	})
}

type errStillReached string

func (e errStillReached) Error() string { return "still answered: " + string(e) }

func pod(namespace, name, labels, more string) string {
	return `---
apiVersion: v1
kind: Pod
metadata: {name: ` + name + `, namespace: ` + namespace + `, labels: {` + labels + `}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: probe
    image: osmoslice/testbed-probe:1
    imagePullPolicy: IfNotPresent
    ports: [{name: http, containerPort: 8080}]
    readinessProbe: {httpGet: {path: /, port: http}, periodSeconds: 1}
` + more
}
