package kube

import (
	"net/url"
	"slices"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// Rules say what a kubeconfig may ask of this process.
type Rules struct {
	// Exec lists the credential plugins that may be run, each the whole command
	// line: "gke-gcloud-auth-plugin", "/usr/bin/aws eks get-token --cluster-name edge".
	Exec []string
	// Insecure accepts insecure-skip-tls-verify.
	Insecure bool
}

// Kubeconfig reads the kubeconfig of a tenant and answers the configuration of
// the named context, or of its current one. Errors are Invalid and name the
// field; they never quote a credential.
func Kubeconfig(raw []byte, context string, r Rules) (*rest.Config, error) {
	c, err := clientcmd.Load(raw)
	if err != nil {
		return nil, fault.Field("kubeconfig", "a text that cannot be read", "a kubeconfig, YAML or JSON")
	}
	name := context
	if name == "" {
		name = c.CurrentContext
	}
	ctx, ok := c.Contexts[name]
	if !ok {
		return nil, fault.Field("connection/context", name, "a context of the kubeconfig: "+strings.Join(keys(c.Contexts), ", "))
	}
	cluster, ok := c.Clusters[ctx.Cluster]
	if !ok {
		return nil, fault.Field("kubeconfig/contexts/"+name+"/cluster", ctx.Cluster, "a cluster of the kubeconfig")
	}
	user, ok := c.AuthInfos[ctx.AuthInfo]
	if !ok {
		user = &api.AuthInfo{}
	}
	if err := r.cluster("kubeconfig/clusters/"+ctx.Cluster, cluster); err != nil {
		return nil, err
	}
	if err := r.user("kubeconfig/users/"+ctx.AuthInfo, user); err != nil {
		return nil, err
	}
	cfg, err := clientcmd.NewNonInteractiveClientConfig(*c, name, &clientcmd.ConfigOverrides{}, nil).ClientConfig()
	if err != nil {
		return nil, fault.Field("kubeconfig", "a context that cannot be used", "a complete context").Because(err)
	}
	return cfg, nil
}

func keys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func (r Rules) cluster(at string, c *api.Cluster) error {
	u, err := url.Parse(c.Server)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !r.Insecure):
		return fault.Field(at+"/server", c.Server, "an https:// URL")
	case c.CertificateAuthority != "":
		return fault.Field(at+"/certificate-authority", c.CertificateAuthority, "certificate-authority-data: files of the service are not read")
	case c.InsecureSkipTLSVerify && !r.Insecure:
		return fault.Field(at+"/insecure-skip-tls-verify", "true", "false, with certificate-authority-data; the operator may allow it")
	case c.ProxyURL != "":
		return fault.Field(at+"/proxy-url", c.ProxyURL, "no proxy")
	}
	return nil
}

func (r Rules) user(at string, u *api.AuthInfo) error {
	for _, f := range []struct{ field, given, instead string }{
		{"client-certificate", u.ClientCertificate, "client-certificate-data"},
		{"client-key", u.ClientKey, "client-key-data"},
		{"tokenFile", u.TokenFile, "token"},
	} {
		if f.given != "" {
			return fault.Field(at+"/"+f.field, f.given, f.instead+": files of the service are not read")
		}
	}
	if u.AuthProvider != nil {
		return fault.Field(at+"/auth-provider", u.AuthProvider.Name, "a token, a client certificate or an allowed exec plugin")
	}
	if u.Exec == nil {
		return nil
	}
	line := strings.Join(append([]string{u.Exec.Command}, u.Exec.Args...), " ")
	if !slices.Contains(r.Exec, line) {
		return fault.Field(at+"/exec", line, "a command line which the service's configuration allows")
	}
	if len(u.Exec.Env) > 0 {
		return fault.Field(at+"/exec/env", u.Exec.Env[0].Name, "no environment: the operator's is used")
	}
	u.Exec.InteractiveMode = api.NeverExecInteractiveMode
	return nil
}
