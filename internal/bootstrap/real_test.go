package bootstrap

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/test/testbed/bed"
)

// realCluster is a real API server that ends with the test.
func realCluster(t *testing.T) *Cluster {
	t.Helper()
	c, err := Open(bed.APIServer(t), "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// notebook is a Service that remembers.
type notebook struct {
	secrets map[string][]byte
	sites   map[string]map[string]any
	fail    map[string]error // by method
	order   []string
}

func newNotebook() *notebook {
	return &notebook{secrets: map[string][]byte{}, sites: map[string]map[string]any{}, fail: map[string]error{}}
}

func (n *notebook) did(what string) error {
	n.order = append(n.order, what)
	return n.fail[what]
}

func (n *notebook) KeepSecret(_ context.Context, name string, value []byte) error {
	if err := n.did("keep"); err != nil {
		return err
	}
	n.secrets[name] = value
	return nil
}

func (n *notebook) DropSecret(_ context.Context, name string) (bool, error) {
	_, had := n.secrets[name]
	delete(n.secrets, name)
	return had, n.did("drop")
}

func (n *notebook) Register(_ context.Context, body map[string]any) error {
	if err := n.did("register"); err != nil {
		return err
	}
	n.sites[fmt.Sprint(body["name"])] = body
	return nil
}

func (n *notebook) Forget(_ context.Context, name string) (bool, error) {
	if err := n.did("forget"); err != nil {
		return false, err
	}
	_, had := n.sites[name]
	delete(n.sites, name)
	return had, nil
}

// On a real API server: the cluster is prepared twice, used with the rights that
// were given and no others, and all is undone.
func TestOnARealCluster(t *testing.T) {
	cluster := realCluster(t)
	t.Run("life", func(t *testing.T) { wholeLife(t, cluster) })
	t.Run("goes on after a failure", func(t *testing.T) { goesOn(t, cluster) })
}

func wholeLife(t *testing.T, cluster *Cluster) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	prefix := fmt.Sprintf("bt%d-", time.Now().UnixNano()%1e9)
	o := Options{Name: "edge", Prefix: prefix, Namespace: "sys-" + strings.TrimSuffix(prefix, "-"), TokenLife: time.Hour}
	service := newNotebook()
	var said []string
	w := Work{Cluster: cluster, Service: service, Say: func(f string, a ...any) { said = append(said, fmt.Sprintf(f, a...)) }}
	t.Cleanup(func() {
		_ = w.Undo(context.Background(), o)
		for _, name := range []string{prefix + "a", prefix + "foreign"} {
			_ = cluster.Core.CoreV1().Namespaces().Delete(context.Background(), name, metav1.DeleteOptions{})
		}
	})
	for range 2 {
		if err := w.Run(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	config := service.secrets["edge-kubeconfig"]
	rest, err := clientcmd.RESTConfigFromKubeConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(strings.Join(said, "\n"), rest.BearerToken) {
		t.Error("the token was told")
	}
	identity, err := connect(rest)
	if err != nil {
		t.Fatal(err)
	}
	checkRights(ctx, t, cluster, identity, prefix)

	if err := w.Undo(ctx, o); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), prefix+"a") {
		t.Fatalf("undone under a slice: %v", err)
	}
	if service.sites["edge"] == nil {
		t.Error("the registration went although the cluster's part could not")
	}
	if err := cluster.Core.CoreV1().Namespaces().Delete(ctx, prefix+"a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := w.Undo(ctx, o); err != nil {
		t.Fatal(err)
	}
	checkGone(ctx, t, cluster, identity, service, o)
}

func space(name string, labels map[string]string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
}

// checkRights does as the service what it must be able to do, and what it must not.
func checkRights(ctx context.Context, t *testing.T, admin, identity *Cluster, prefix string) {
	t.Helper()
	own := map[string]string{"app.kubernetes.io/managed-by": owner, "pod-security.kubernetes.io/enforce": "restricted"}
	spaces := identity.Core.CoreV1().Namespaces()
	may := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	mayNot := func(what string, err error) {
		t.Helper()
		if !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v, a refusal is wanted", what, err)
		}
	}
	_, err := spaces.Create(ctx, space(prefix+"a", own), metav1.CreateOptions{})
	may("make its namespace", err)
	_, err = identity.Core.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	may("see nodes", err)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}}
	_, err = identity.Core.CoreV1().Secrets(prefix+"a").Create(ctx, secret, metav1.CreateOptions{})
	may("make a secret in its namespace", err)
	one := int32(0)
	labels := map[string]string{"a": "b"}
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "d"}, Spec: appsv1.DeploymentSpec{Replicas: &one,
		Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}}}
	_, err = identity.Core.AppsV1().Deployments(prefix+"a").Create(ctx, deployment, metav1.CreateOptions{})
	may("make a deployment in its namespace", err)
	may("delete it", identity.Core.AppsV1().Deployments(prefix+"a").Delete(ctx, "d", metav1.DeleteOptions{}))

	_, err = spaces.Create(ctx, space("x-"+prefix+"c", own), metav1.CreateOptions{})
	mayNot("make another namespace", err)
	_, err = spaces.Create(ctx, space(prefix+"b", map[string]string{"app.kubernetes.io/managed-by": owner}), metav1.CreateOptions{})
	mayNot("make a namespace that is not restricted", err)
	_, err = identity.Core.CoreV1().Secrets("default").Create(ctx, secret, metav1.CreateOptions{})
	mayNot("make a secret elsewhere", err)
	mayNot("delete kube-public", spaces.Delete(ctx, "kube-public", metav1.DeleteOptions{}))
	loose := []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"privileged"}}}`)
	_, err = spaces.Patch(ctx, prefix+"a", "application/merge-patch+json", loose, metav1.PatchOptions{})
	mayNot("loosen its namespace", err)
	_, err = identity.Core.RbacV1().RoleBindings(prefix+"a").Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "r"},
		RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "cluster-admin", APIGroup: "rbac.authorization.k8s.io"}}, metav1.CreateOptions{})
	mayNot("grant rights", err)
	mayNot("take the policy away", identity.Core.AdmissionregistrationV1().ValidatingAdmissionPolicies().Delete(ctx, "osmosliced-"+strings.TrimSuffix(prefix, "-"), metav1.DeleteOptions{}))

	// A namespace of somebody else that has the prefix by chance.
	if _, err := admin.Core.CoreV1().Namespaces().Create(ctx, space(prefix+"foreign", nil), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err = identity.Core.CoreV1().Secrets(prefix+"foreign").Create(ctx, secret, metav1.CreateOptions{})
	mayNot("make a secret in a namespace that it did not make", err)
	mayNot("delete that namespace", spaces.Delete(ctx, prefix+"foreign", metav1.DeleteOptions{}))
	take := []byte(`{"metadata":{"labels":{"app.kubernetes.io/managed-by":"osmoslice","pod-security.kubernetes.io/enforce":"restricted"}}}`)
	_, err = spaces.Patch(ctx, prefix+"foreign", "application/merge-patch+json", take, metav1.PatchOptions{})
	mayNot("make that namespace its own", err)
}

func checkGone(ctx context.Context, t *testing.T, cluster, identity *Cluster, service *notebook, o Options) {
	t.Helper()
	if len(service.secrets) != 0 || len(service.sites) != 0 {
		t.Errorf("left at the service: %v %v", service.secrets, service.sites)
	}
	o, err := o.Complete()
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range Objects(o) {
		r, err := cluster.resource(u)
		if err != nil {
			t.Fatal(err)
		}
		gone := func() bool {
			live, err := r.Get(ctx, u.GetName(), metav1.GetOptions{})
			return apierrors.IsNotFound(err) || err == nil && live.GetDeletionTimestamp() != nil
		}
		if !gone() {
			t.Errorf("%s %s is left", u.GetKind(), u.GetName())
		}
	}
	deadline := time.Now().Add(time.Minute) // a token is checked against its account, with a cache
	for {
		_, err := identity.Core.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
		if err != nil || time.Now().After(deadline) {
			if err == nil {
				t.Error("the token still does")
			}
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// Each way to fail in the middle is gone on from by the same call.
func goesOn(t *testing.T, cluster *Cluster) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	prefix := fmt.Sprintf("bf%d-", time.Now().UnixNano()%1e9)
	o := Options{Name: "edge", Prefix: prefix, Namespace: "sys-" + strings.TrimSuffix(prefix, "-"), TokenLife: time.Hour}
	service := newNotebook()
	w := Work{Cluster: cluster, Service: service}
	t.Cleanup(func() { _ = w.Undo(context.Background(), o) })
	for _, step := range []string{"keep", "register"} {
		service.fail[step] = fault.New(fault.Unavailable, "not now")
		if err := w.Run(ctx, o); !fault.Is(err, fault.Unavailable) {
			t.Fatalf("%s fails: %v", step, err)
		}
		delete(service.fail, step)
	}
	if err := w.Run(ctx, o); err != nil {
		t.Fatal(err)
	}
	service.fail["forget"] = fault.New(fault.Conflict, "functions run there")
	if err := w.Undo(ctx, o); !fault.Is(err, fault.Conflict) {
		t.Fatalf("undone against the service: %v", err)
	}
	if _, err := cluster.Core.CoreV1().ServiceAccounts(o.Namespace).Get(ctx, "osmosliced-"+strings.TrimSuffix(prefix, "-"), metav1.GetOptions{}); err != nil {
		t.Errorf("the identity went although the service refused: %v", err)
	}
	if !slices.Contains(service.order, "forget") {
		t.Error("the service was not asked")
	}
}
