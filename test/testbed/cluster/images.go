package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// loadImages imports archives into nodes side by side.
func (s *supervisor) loadImages(ctx context.Context, r imagesRequest) error {
	for _, name := range r.Clusters {
		if !slices.ContainsFunc(s.bed.Clusters, func(c Cluster) bool { return c.Name == name }) {
			return fmt.Errorf("no cluster %q", name)
		}
	}
	var waiting []chan error
	for _, c := range s.bed.Clusters {
		if len(r.Clusters) > 0 && !slices.Contains(r.Clusters, c.Name) {
			continue
		}
		for _, n := range c.Nodes {
			// A node's containerd is seen from here through its process 1.
			socket := fmt.Sprintf("/proc/%d/root%s", s.inits[n.Name], containerdSocket)
			done := make(chan error, 1)
			waiting = append(waiting, done)
			go func() { done <- importImages(ctx, socket, n.Name, r.Files) }()
		}
	}
	var all []error
	for _, w := range waiting {
		all = append(all, <-w)
	}
	return errors.Join(all...)
}

// importImages imports archives one after the other.
func importImages(ctx context.Context, socket, node string, files []string) error {
	for _, f := range files {
		if err := run(ctx, "ctr", "--address", socket, "--namespace", "k8s.io", "images", "import", f); err != nil {
			return fmt.Errorf("node %s: import of %s: %w", node, f, err)
		}
	}
	return nil
}
