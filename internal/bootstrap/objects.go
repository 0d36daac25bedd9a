package bootstrap

import (
	"maps"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// owner is the value of app.kubernetes.io/managed-by on what the service makes;
// marker that on what Run makes.
const (
	owner  = "osmoslice"
	marker = "osmoslice-bootstrap"
)

// Objects are what the cluster gets, in the order in which they are applied:
// the policy stands before the rights are given.
func Objects(o Options) []*unstructured.Unstructured {
	id := o.identity()
	out := []*unstructured.Unstructured{
		object("v1", "Namespace", "", o.Namespace, map[string]any{}),
		object("v1", "ServiceAccount", o.Namespace, id, map[string]any{"automountServiceAccountToken": false}),
		object("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", "", id, map[string]any{"spec": policySpec(o)}),
		object("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding", "", id, map[string]any{
			"spec": map[string]any{"policyName": id, "validationActions": []any{"Deny"}},
		}),
		object("rbac.authorization.k8s.io/v1", "ClusterRole", "", id, map[string]any{"rules": rules()}),
		object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "", id, map[string]any{
			"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": id},
			"subjects": []any{map[string]any{"kind": "ServiceAccount", "namespace": o.Namespace, "name": id}},
		}),
	}
	return out
}

func object(version, kind, namespace, name string, content map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: maps.Clone(content)}
	u.SetAPIVersion(version)
	u.SetKind(kind)
	u.SetName(name)
	u.SetNamespace(namespace)
	labels := map[string]string{"app.kubernetes.io/managed-by": marker, "app.kubernetes.io/part-of": owner}
	if kind == "Namespace" {
		labels["pod-security.kubernetes.io/enforce"] = "restricted"
	}
	u.SetLabels(labels)
	return u
}

// rules are what the kubernetes plugin needs: to see the cluster's capacity and
// what happens to pods; to make and remove namespaces; and to keep there what
// charts consist of. It may read no log, enter no pod, and grant nothing to
// anybody. Where it may write is the policy's affair.
func rules() []any {
	look := []any{"get", "list", "watch"}
	keep := []any{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}
	rule := func(group string, verbs []any, resources ...any) any {
		return map[string]any{"apiGroups": []any{group}, "resources": resources, "verbs": verbs}
	}
	return []any{
		rule("", look, "nodes", "events", "persistentvolumes"),
		rule("", []any{"get", "list", "watch", "delete", "deletecollection"}, "pods"), // made by others only
		rule("", []any{"get", "list", "watch", "create", "update", "patch", "delete"}, "namespaces"),
		rule("", keep, "configmaps", "secrets", "services", "serviceaccounts", "persistentvolumeclaims", "resourcequotas", "limitranges"),
		rule("apps", look, "replicasets"),
		rule("apps", keep, "deployments", "statefulsets", "daemonsets"),
		rule("batch", keep, "jobs", "cronjobs"),
		rule("networking.k8s.io", keep, "networkpolicies", "ingresses"),
		rule("networking.k8s.io", look, "servicecidrs", "ingressclasses"),
		rule("policy", keep, "poddisruptionbudgets"),
		rule("autoscaling", keep, "horizontalpodautoscalers"),
		rule("discovery.k8s.io", look, "endpointslices"),
		rule("events.k8s.io", look, "events"),
		rule("storage.k8s.io", look, "storageclasses"),
		rule("metrics.k8s.io", []any{"get", "list"}, "nodes", "pods"),
	}
}
