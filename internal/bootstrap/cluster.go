package bootstrap

import (
	"context"
	"strconv"
	"strings"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/kube"
)

// Cluster is one cluster, with the rights of whoever's kubeconfig it is.
type Cluster struct {
	*kube.Cluster
	config *rest.Config
}

// Open reads a kubeconfig file as kubectl does, the named context or the current
// one. Nothing is asked of the cluster yet.
func Open(file, kubeContext string) (*Cluster, error) {
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: file}
	c, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: kubeContext}).ClientConfig()
	if err != nil {
		if kubeContext != "" && strings.Contains(err.Error(), "does not exist") {
			return nil, fault.Field("context", kubeContext, "a context of "+file)
		}
		return nil, fault.New(fault.Invalid, "kubeconfig %s cannot be used: %s", file, firstLine(err))
	}
	return connect(c)
}

// firstLine keeps an error short: those of kubeconfigs may quote the file.
func firstLine(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	if len(text) > 200 {
		text = text[:200] + "…"
	}
	return text
}

func connect(c *rest.Config) (*Cluster, error) {
	c = rest.CopyConfig(c)
	c.UserAgent, c.WarningHandler = "slicectl", rest.NoWarnings{}
	k, err := kube.Connect(c, kube.Options{Timeout: 30 * time.Second})
	if err != nil {
		return nil, err
	}
	return &Cluster{config: c, Cluster: k}, nil
}

// version refuses clusters without the policies that the identity is held by.
func (c *Cluster) version() error {
	v, err := c.Core.Discovery().ServerVersion()
	if err != nil {
		return kube.Fault(err, "the cluster at %s does not tell its version", c.Host())
	}
	minor, err := strconv.Atoi(strings.TrimRight(v.Minor, "+"))
	if err != nil || v.Major == "1" && minor < 30 {
		return fault.New(fault.Invalid, "the cluster is too old").With("cluster", "Kubernetes "+v.GitVersion, "1.30 or newer: ValidatingAdmissionPolicy is needed")
	}
	return nil
}

func (c *Cluster) resource(u *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	gvk := u.GroupVersionKind()
	m, err := c.Mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return nil, kube.Fault(err, "the cluster does not know %s", gvk.Kind)
	}
	r := c.Dynamic.Resource(m.Resource)
	if m.Scope.Name() == meta.RESTScopeNameNamespace {
		return r.Namespace(u.GetNamespace()), nil
	}
	return r, nil
}

// apply makes an object be as u says and reports whether it was absent before.
func (c *Cluster) apply(ctx context.Context, u *unstructured.Unstructured) (created bool, err error) {
	live, err := c.Live(ctx, u)
	if err != nil {
		return false, err
	}
	_, err = c.Apply(ctx, u)
	return live == nil, err
}

// remove deletes an object that Run made; absent is no error, and one that bears
// another's mark is left alone.
func (c *Cluster) remove(ctx context.Context, u *unstructured.Unstructured) (removed bool, err error) {
	live, err := c.Live(ctx, u)
	if err != nil || live == nil {
		return false, err
	}
	r, err := c.resource(u)
	if err != nil {
		return false, err
	}
	if live.GetLabels()["app.kubernetes.io/managed-by"] != u.GetLabels()["app.kubernetes.io/managed-by"] {
		return false, nil
	}
	uid := live.GetUID()
	policy := metav1.DeletePropagationForeground
	err = r.Delete(ctx, u.GetName(), metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}, PropagationPolicy: &policy})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return true, kube.Fault(err, "%s %s cannot be deleted", u.GetKind(), u.GetName())
}

// token asks for a token of the identity; the cluster says how long it holds.
func (c *Cluster) token(ctx context.Context, o Options) (token string, until time.Time, err error) {
	seconds := int64(o.TokenLife / time.Second)
	t, err := c.Core.CoreV1().ServiceAccounts(o.Namespace).CreateToken(ctx, o.identity(),
		&authv1.TokenRequest{Spec: authv1.TokenRequestSpec{ExpirationSeconds: &seconds}}, metav1.CreateOptions{})
	if err != nil {
		return "", time.Time{}, kube.Fault(err, "no token for service account %s", o.identity())
	}
	return t.Status.Token, t.Status.ExpirationTimestamp.Time, nil
}

// spaces are the namespaces that a service with this prefix made.
func (c *Cluster) spaces(ctx context.Context, prefix string) ([]corev1.Namespace, error) {
	list, err := c.Core.CoreV1().Namespaces().List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/managed-by=" + owner})
	if err != nil {
		return nil, kube.Fault(err, "the namespaces cannot be listed")
	}
	var out []corev1.Namespace
	for _, ns := range list.Items {
		if strings.HasPrefix(ns.Name, prefix) {
			out = append(out, ns)
		}
	}
	return out, nil
}
