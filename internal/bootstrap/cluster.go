package bootstrap

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// Cluster is one cluster, with the rights of whoever's kubeconfig it is.
type Cluster struct {
	config  *rest.Config
	core    kubernetes.Interface
	dynamic dynamic.Interface
	mapper  meta.ResettableRESTMapper
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
	c.QPS, c.Burst, c.UserAgent = 50, 100, "slicectl"
	c.Timeout, c.WarningHandler = 30*time.Second, rest.NoWarnings{}
	core, err := kubernetes.NewForConfig(c)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the kubeconfig makes no client").Because(err)
	}
	dyn, err := dynamic.NewForConfig(c)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the kubeconfig makes no client").Because(err)
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(core.Discovery()))
	return &Cluster{config: c, core: core, dynamic: dyn, mapper: mapper}, nil
}

// Host is the API server's address.
func (c *Cluster) Host() string { return c.config.Host }

// version refuses clusters without the policies that the identity is held by.
func (c *Cluster) version() error {
	v, err := c.core.Discovery().ServerVersion()
	if err != nil {
		return translate(err, "the cluster at %s does not tell its version", c.Host())
	}
	minor, err := strconv.Atoi(strings.TrimRight(v.Minor, "+"))
	if err != nil || v.Major == "1" && minor < 30 {
		return fault.New(fault.Invalid, "the cluster is too old").With("cluster", "Kubernetes "+v.GitVersion, "1.30 or newer: ValidatingAdmissionPolicy is needed")
	}
	return nil
}

func (c *Cluster) resource(u *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	gvk := u.GroupVersionKind()
	m, err := c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return nil, translate(err, "the cluster does not know %s", gvk.Kind)
	}
	r := c.dynamic.Resource(m.Resource)
	if m.Scope.Name() == meta.RESTScopeNameNamespace {
		return r.Namespace(u.GetNamespace()), nil
	}
	return r, nil
}

// apply makes an object be as u says and reports whether it was absent before.
func (c *Cluster) apply(ctx context.Context, u *unstructured.Unstructured, dryRun bool) (created bool, err error) {
	r, err := c.resource(u)
	if err != nil {
		return false, err
	}
	_, err = r.Get(ctx, u.GetName(), metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return false, translate(err, "%s %s cannot be read", u.GetKind(), u.GetName())
	}
	created = err != nil
	o := metav1.ApplyOptions{FieldManager: marker, Force: true}
	if dryRun {
		o.DryRun = []string{metav1.DryRunAll}
	}
	_, err = r.Apply(ctx, u.GetName(), u, o)
	return created, translate(err, "%s %s cannot be applied", u.GetKind(), u.GetName())
}

// remove deletes an object that Run made; absent is no error, and one that bears
// another's mark is left alone.
func (c *Cluster) remove(ctx context.Context, u *unstructured.Unstructured) (removed bool, err error) {
	r, err := c.resource(u)
	if fault.Is(err, fault.NotFound) {
		return false, nil // the kind has gone, and its objects with it
	}
	if err != nil {
		return false, err
	}
	live, err := r.Get(ctx, u.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, translate(err, "%s %s cannot be read", u.GetKind(), u.GetName())
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
	return true, translate(err, "%s %s cannot be deleted", u.GetKind(), u.GetName())
}

// token asks for a token of the identity; the cluster says how long it holds.
func (c *Cluster) token(ctx context.Context, o Options) (token string, until time.Time, err error) {
	seconds := int64(o.TokenLife / time.Second)
	t, err := c.core.CoreV1().ServiceAccounts(o.Namespace).CreateToken(ctx, o.identity(),
		&authv1.TokenRequest{Spec: authv1.TokenRequestSpec{ExpirationSeconds: &seconds}}, metav1.CreateOptions{})
	if err != nil {
		return "", time.Time{}, translate(err, "no token for service account %s", o.identity())
	}
	return t.Status.Token, t.Status.ExpirationTimestamp.Time, nil
}

// spaces are the namespaces that a service with this prefix made.
func (c *Cluster) spaces(ctx context.Context, prefix string) ([]corev1.Namespace, error) {
	list, err := c.core.CoreV1().Namespaces().List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/managed-by=" + owner})
	if err != nil {
		return nil, translate(err, "the namespaces cannot be listed")
	}
	var out []corev1.Namespace
	for _, ns := range list.Items {
		if strings.HasPrefix(ns.Name, prefix) {
			out = append(out, ns)
		}
	}
	return out, nil
}

// translate classifies an error of the API server, nil for nil.
func translate(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	kind := fault.Internal
	var urlErr *url.Error
	var netErr net.Error
	switch {
	case apierrors.IsUnauthorized(err):
		kind = fault.Unauthenticated
	case apierrors.IsForbidden(err):
		kind = fault.Forbidden
	case apierrors.IsNotFound(err), meta.IsNoMatchError(err):
		kind = fault.NotFound
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		kind = fault.Conflict
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		kind = fault.Invalid
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &urlErr), errors.As(err, &netErr):
		kind = fault.Unavailable
	}
	return fault.New(kind, format, args...).Because(err)
}
