package charts

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/osmoslice/osmoslice/test/testbed/bed"
)

// A real API server takes every object of every render (server-side dry run,
// unknown fields refused), and finds every pod template fit for the restricted
// Pod Security standard.
func TestAcceptedByAnAPIServer(t *testing.T) {
	s := newAPI(t, bed.APIServer(t))
	each(t, func(t *testing.T, _ string, objects []*unstructured.Unstructured) {
		for _, o := range objects {
			o := o.DeepCopy()
			if o.GetNamespace() != "" {
				o.SetNamespace(s.namespace)
			}
			if err := s.dryRun(o); err != nil {
				t.Errorf("%s %s: %v", o.GetKind(), o.GetName(), err)
			}
		}
	})
}

// api is one namespace of a real cluster, and what its server warned of.
type api struct {
	client    dynamic.Interface
	mapper    meta.RESTMapper
	namespace string
	warned    []string
}

// HandleWarningHeader implements rest.WarningHandler.
func (s *api) HandleWarningHeader(_ int, _ string, text string) {
	if text != "" {
		s.warned = append(s.warned, text)
	}
}

func newAPI(t *testing.T, file string) *api {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", file)
	if err != nil {
		t.Fatal(err)
	}
	s := &api{namespace: fmt.Sprintf("charts-%d", time.Now().UnixNano())}
	config.WarningHandler, config.QPS, config.Burst = s, 500, 500
	d, err := discovery.NewDiscoveryClientForConfig(rest.CopyConfig(config))
	if err != nil {
		t.Fatal(err)
	}
	s.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(d))
	if s.client, err = dynamic.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	ns := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace"}}
	ns.SetName(s.namespace)
	ns.SetLabels(map[string]string{"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"})
	spaces, err := s.resource(ns)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := spaces.Create(context.Background(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = spaces.Delete(context.Background(), s.namespace, metav1.DeleteOptions{}) })
	return s
}

func (s *api) resource(o *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	gvk := o.GroupVersionKind()
	m, err := s.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return nil, err
	}
	r := s.client.Resource(m.Resource)
	if m.Scope.Name() == meta.RESTScopeNameNamespace {
		return r.Namespace(o.GetNamespace()), nil
	}
	return r, nil
}

func (s *api) dryRun(o *unstructured.Unstructured) error {
	r, err := s.resource(o)
	if meta.IsNoMatchError(err) && strings.HasPrefix(o.GetAPIVersion(), "monitoring.coreos.com/") {
		return nil // the kind comes with the Prometheus operator
	}
	if err != nil {
		return err
	}
	s.warned = nil
	_, err = r.Create(context.Background(), o, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict})
	if err == nil && len(s.warned) > 0 {
		err = fmt.Errorf("warnings: %s", strings.Join(s.warned, "; "))
	}
	return err
}
