package kube

import (
	"context"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// FieldOwner is the field manager of everything this service applies.
const FieldOwner = "osmoslice"

// Options bound the requests to one cluster; zero fields take the defaults.
type Options struct {
	QPS     float64       // requests per second; 100
	Burst   int           // requests at once; 200
	Timeout time.Duration // without an answer; 15 s
}

// Cluster is the one client of one cluster, safe for concurrent use.
type Cluster struct {
	config *rest.Config // transport and credentials included
	rt     http.RoundTripper

	Core    kubernetes.Interface
	Dynamic dynamic.Interface
	Disco   discovery.CachedDiscoveryInterface
	Mapper  meta.ResettableRESTMapper
}

// InCluster is the configuration of a pod's service account.
func InCluster() (*rest.Config, error) {
	c, err := rest.InClusterConfig()
	if err != nil {
		return nil, fault.Field("connection/inCluster", "true", "only where the service runs as a pod").Because(err)
	}
	return c, nil
}

// Connect makes the client. Nothing is asked of the cluster yet.
func Connect(c *rest.Config, o Options) (*Cluster, error) {
	if o.QPS <= 0 {
		o.QPS = 100
	}
	if o.Burst <= 0 {
		o.Burst = 200
	}
	if o.Timeout <= 0 {
		o.Timeout = 15 * time.Second
	}
	c = rest.CopyConfig(c)
	c.Timeout = 0 // of watches too; the gate bounds the others
	rt, err := rest.TransportFor(c)
	if err != nil {
		return nil, fault.Field("kubeconfig", "credentials that cannot be used", "a valid certificate, key and authority").Because(err)
	}
	rt = &gate{next: rt, timeout: o.Timeout}
	k := &Cluster{rt: rt, config: &rest.Config{
		Host: c.Host, APIPath: c.APIPath, Transport: rt, UserAgent: FieldOwner,
		QPS: float32(o.QPS), Burst: o.Burst, RateLimiter: flowcontrol.NewTokenBucketRateLimiter(float32(o.QPS), o.Burst),
		WarningHandler: rest.NoWarnings{},
	}}
	client := &http.Client{Transport: rt}
	core, err := kubernetes.NewForConfigAndClient(k.config, client)
	if err != nil {
		return nil, fault.Field("kubeconfig", c.Host, "the address of an API server").Because(err)
	}
	k.Core = core
	if k.Dynamic, err = dynamic.NewForConfigAndClient(k.config, client); err != nil {
		return nil, fault.Field("kubeconfig", c.Host, "the address of an API server").Because(err)
	}
	k.Disco = memory.NewMemCacheClient(core.Discovery())
	k.Mapper = restmapper.NewDeferredDiscoveryRESTMapper(k.Disco)
	return k, nil
}

// Within is a configuration of the same connections, limits and credentials,
// for a library that takes no context: its requests end with ctx, and none
// begins after.
func (k *Cluster) Within(ctx context.Context) *rest.Config {
	c := rest.CopyConfig(k.config)
	c.Transport = &within{next: k.rt, ctx: ctx}
	return c
}

// Host is the address of the API server.
func (k *Cluster) Host() string { return k.config.Host }
