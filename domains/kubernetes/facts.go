package kubernetes

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osmoslice/osmoslice/internal/kube"
)

// factsKept is how old what is known of a cluster as a whole may be: the same
// for every release, and read for every step of each otherwise.
const factsKept = 5 * time.Second

// fact is one thing known of a cluster.
type fact[T any] struct {
	mu   sync.Mutex
	v    T
	read time.Time
}

// get answers what is known, or reads it.
func (f *fact[T]) get(read func() (T, error)) (T, error) {
	f.mu.Lock()
	v, known := f.v, time.Since(f.read) < factsKept
	f.mu.Unlock()
	if known {
		return v, nil
	}
	at := time.Now()
	v, err := read()
	if err != nil {
		return v, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.v, f.read = v, at
	return v, nil
}

// nodes are the cluster's, all of them; not to be changed.
func (m *member) nodes(ctx context.Context) ([]corev1.Node, error) {
	return m.nodeFact.get(func() ([]corev1.Node, error) {
		list, err := m.k.Core.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		if err != nil {
			return nil, kube.Fault(err, "the nodes cannot be listed")
		}
		return list.Items, nil
	})
}

// serviceCIDRs are the address ranges of Services; none from an older cluster, or
// without the right to know: those of pods are what matters.
func (m *member) serviceCIDRs(ctx context.Context) []string {
	out, err := m.rangeFact.get(func() ([]string, error) {
		list, err := m.k.Core.NetworkingV1().ServiceCIDRs().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		if err != nil {
			return nil, err
		}
		var out []string
		for _, s := range list.Items {
			out = append(out, s.Spec.CIDRs...)
		}
		return out, nil
	})
	if err != nil {
		return nil
	}
	return out
}
