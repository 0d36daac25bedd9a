package kubernetes

import (
	"context"
	"fmt"
	"slices"
	"strings"

	authv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/kube"
	"github.com/osmoslice/osmoslice/internal/topology"
)

// Nodes tells the cluster's nodes that the connection selects: what they can
// give (allocatable), their architecture, why one takes no pods, and the images
// that are there already, as software "image:<reference>".
func (d *Driver) Nodes(ctx context.Context, s domain.Site) ([]topology.Node, error) {
	if err := ctx.Err(); err != nil {
		return nil, fault.Of(err)
	}
	m, err := d.member(s)
	if err != nil {
		return nil, err
	}
	selector := labels.SelectorFromSet(m.c.NodeSelector).String()
	list, err := m.k.Core.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, kube.Fault(err, "the nodes cannot be listed")
	}
	out := make([]topology.Node, 0, len(list.Items))
	for i := range list.Items {
		out = append(out, m.node(&list.Items[i]))
	}
	slices.SortFunc(out, func(a, b topology.Node) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// toldLabels are those of a node that placing may speak of.
var toldLabels = []string{"topology.kubernetes.io/region", "topology.kubernetes.io/zone", "node.kubernetes.io/instance-type", "kubernetes.io/os"}

func (m *member) node(n *corev1.Node) topology.Node {
	a := n.Status.Allocatable
	out := topology.Node{
		ID: string(n.UID), Name: n.Name, Infrastructure: m.site.ID, Kind: m.c.Kind, Arch: n.Status.NodeInfo.Architecture,
		Capacity: topology.Capacity{CPU: a.Cpu().MilliValue(), Memory: a.Memory().Value() >> 20, Storage: a.StorageEphemeral().Value() >> 20},
		Software: images(n), Labels: map[string]string{},
	}
	for _, k := range toldLabels {
		if v := n.Labels[k]; v != "" {
			out.Labels[k] = v
		}
	}
	ready, why := nodeReady(n)
	out.Unavailable, out.Reason = !ready, why
	return out
}

// imagesTold is how many images of a node are told at most; imageLength how long
// one may be to be told as software.
const (
	imagesTold  = 40
	imageLength = 127
)

// images are the references by name (not by digest) of what a node has, in
// alphabetical order.
func images(n *corev1.Node) []string {
	var out []string
	for _, img := range n.Status.Images {
		for _, name := range img.Names {
			if text := "image:" + name; !strings.Contains(name, "@") && len(text) <= imageLength {
				out = append(out, text)
			}
		}
	}
	slices.Sort(out)
	out = slices.Compact(out)
	return out[:min(len(out), imagesTold)]
}

// nodeReady reports whether a node takes pods without special tolerations, and
// if not, why.
func nodeReady(n *corev1.Node) (bool, string) {
	if n.Spec.Unschedulable {
		return false, "cordoned"
	}
	for _, t := range n.Spec.Taints {
		if t.Effect == corev1.TaintEffectNoSchedule || t.Effect == corev1.TaintEffectNoExecute {
			return false, "tainted " + t.ToString()
		}
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			if c.Status == corev1.ConditionTrue {
				return true, ""
			}
			return false, firstNonEmpty(c.Message, c.Reason, "not ready")
		}
	}
	return false, "it has not reported yet"
}

// right is one thing the service must be allowed to do.
type right struct{ verb, group, resource string }

// rights are the least that this plugin works with.
var rights = []right{
	{"create", "", "namespaces"}, {"patch", "", "namespaces"}, {"delete", "", "namespaces"},
	{"list", "", "nodes"}, {"create", "", "secrets"}, {"list", "", "secrets"}, {"create", "", "configmaps"}, {"update", "", "configmaps"},
	{"create", "apps", "deployments"}, {"patch", "apps", "deployments"}, {"delete", "apps", "deployments"}, {"list", "apps", "deployments"},
	{"create", "", "services"}, {"create", "", "persistentvolumeclaims"}, {"patch", "networking.k8s.io", "networkpolicies"},
	{"patch", "", "resourcequotas"}, {"patch", "", "limitranges"}, {"patch", "", "serviceaccounts"},
	{"watch", "", "pods"}, {"list", "", "pods"}, {"delete", "", "pods"}, {"list", "", "events"},
}

// Check proves that the cluster answers, lets this service do what it must, and
// tells the networks without which slices cannot be kept apart.
func (d *Driver) Check(ctx context.Context, s domain.Site) error {
	if err := ctx.Err(); err != nil {
		return fault.Of(err)
	}
	m, err := d.member(s)
	if err != nil {
		return err
	}
	missing := make([]string, len(rights))
	calls := make([]func() error, len(rights))
	for i, r := range rights {
		calls[i] = func() error {
			review, err := m.k.Core.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authv1.SelfSubjectAccessReview{
				Spec: authv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authv1.ResourceAttributes{
					Namespace: m.records(), Verb: r.verb, Group: r.group, Resource: r.resource}}}, metav1.CreateOptions{})
			if err == nil && !review.Status.Allowed {
				missing[i] = r.verb + " " + r.resource
			}
			return err
		}
	}
	if err := sideBySide(calls, "the cluster cannot be asked for the rights of its credentials"); err != nil {
		return err
	}
	missing = slices.DeleteFunc(missing, func(s string) bool { return s == "" })
	if len(missing) > 0 {
		return fault.New(fault.Forbidden, "the credentials of the cluster may not %s", strings.Join(missing, ", ")).
			With("secretRefs/"+kubeconfigSecret, fmt.Sprintf("%d rights are missing", len(missing)), "credentials with the rights of the bootstrap")
	}
	_, err = m.networks(ctx)
	return err
}
