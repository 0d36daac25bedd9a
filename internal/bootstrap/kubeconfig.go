package bootstrap

import (
	"os"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// kubeconfig is what the service gets: one context, one token, nothing that
// points to a file or a program.
func kubeconfig(c *rest.Config, o Options, token string) ([]byte, error) {
	ca := c.CAData
	if len(ca) == 0 && c.CAFile != "" {
		var err error
		if ca, err = os.ReadFile(c.CAFile); err != nil {
			return nil, fault.New(fault.Invalid, "the kubeconfig's certificate-authority cannot be read").Because(err)
		}
	}
	server := o.Server
	if server == "" {
		server = c.Host
	}
	cluster := &api.Cluster{Server: server, CertificateAuthorityData: ca, TLSServerName: c.ServerName, InsecureSkipTLSVerify: c.Insecure}
	out := api.Config{
		Clusters:  map[string]*api.Cluster{o.Name: cluster},
		AuthInfos: map[string]*api.AuthInfo{o.identity(): {Token: token}},
		Contexts:  map[string]*api.Context{o.Name: {Cluster: o.Name, AuthInfo: o.identity()}}, CurrentContext: o.Name,
	}
	raw, err := clientcmd.Write(out)
	if err != nil {
		return nil, fault.New(fault.Internal, "a kubeconfig cannot be written").Because(err)
	}
	return raw, nil
}

// as is the cluster seen with the service's identity, at the address that the
// operator uses.
func (c *Cluster) as(token string) (*Cluster, error) {
	return connect(&rest.Config{Host: c.config.Host, BearerToken: token,
		TLSClientConfig: rest.TLSClientConfig{CAData: c.config.CAData, CAFile: c.config.CAFile, ServerName: c.config.ServerName, Insecure: c.config.Insecure}})
}
