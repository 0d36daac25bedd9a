package bed

import (
	"context"
	"os"
	"testing"

	"github.com/osmoslice/osmoslice/test/testbed/cluster"
	"github.com/osmoslice/osmoslice/test/testbed/components"
)

// APIServer starts a control plane for the test and answers the path of its
// kubeconfig (user admin, group system:masters). It ends with the test.
func APIServer(t testing.TB, options ...cluster.ControlPlaneOption) (kubeconfig string) {
	t.Helper()
	binary := Binary(t, components.Kubernetes())
	// Not t.TempDir: the store writes until it has ended, which comes first.
	dir, err := os.MkdirTemp("", "osmoslice-apiserver-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p, err := cluster.StartControlPlane(context.Background(), binary, dir, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p.Kubeconfig
}

// Binary is the path of a component that was built; the test is skipped, or fails
// under CI=true, where it was not.
func Binary(t testing.TB, c components.Component) string {
	t.Helper()
	path, err := components.Cached(c)
	if err != nil {
		missing(t, err)
	}
	return path
}

// missing skips the test, or fails it where everything has to be there.
func missing(t testing.TB, why error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("CI=true and a prerequisite is missing: %v", why)
	}
	t.Skip(why)
}
