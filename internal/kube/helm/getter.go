package helm

import (
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/osmoslice/osmoslice/internal/kube"
)

// getter gives Helm the connections of a cluster, bound to a context.
type getter struct {
	cluster   *kube.Cluster
	config    *rest.Config
	namespace string
}

// ToRESTConfig is the bound configuration.
func (g getter) ToRESTConfig() (*rest.Config, error) { return rest.CopyConfig(g.config), nil }

// ToDiscoveryClient is the cluster's, which remembers.
func (g getter) ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error) {
	return g.cluster.Disco, nil
}

// ToRESTMapper is the cluster's.
func (g getter) ToRESTMapper() (meta.RESTMapper, error) { return g.cluster.Mapper, nil }

// ToRawKubeConfigLoader only knows the namespace.
func (g getter) ToRawKubeConfigLoader() clientcmd.ClientConfig {
	return clientcmd.NewDefaultClientConfig(*api.NewConfig(), &clientcmd.ConfigOverrides{Context: api.Context{Namespace: g.namespace}})
}
