package bootstrap

import "fmt"

// policySpec holds the identity to its own namespaces: RBAC knows no "names that
// begin with", so that a right to make namespaces would be one on all of them.
//
// A namespace is its own when its name has the prefix, it carries the service's
// label, and pods in it are held to the restricted standard. The first two are
// asked of every write in it as well, so that a namespace of somebody else that
// happens to have the prefix stays out of reach.
func policySpec(o Options) map[string]any {
	const label = "app.kubernetes.io/managed-by"
	isNamespace := `request.resource.group == "" && request.resource.resource == "namespaces"`
	carries := func(object, label, value string) string {
		return fmt.Sprintf(`(has(%s.metadata.labels) && %q in %s.metadata.labels && %s.metadata.labels[%q] == %q)`, object, label, object, object, label, value)
	}
	validation := func(expression, message string) any {
		return map[string]any{"expression": expression, "message": message, "reason": "Forbidden"}
	}
	return map[string]any{
		"failurePolicy": "Fail",
		"matchConstraints": map[string]any{
			"resourceRules": []any{map[string]any{
				"apiGroups": []any{"*"}, "apiVersions": []any{"*"}, "resources": []any{"*/*"},
				"operations": []any{"CREATE", "UPDATE", "DELETE", "CONNECT"}, "scope": "*",
			}},
		},
		"matchConditions": []any{
			map[string]any{"name": "is-osmosliced", "expression": fmt.Sprintf("request.userInfo.username == %q", username(o))},
			// Questions about one's own rights change nothing.
			map[string]any{"name": "changes-something", "expression": `!(request.resource.group in ["authorization.k8s.io", "authentication.k8s.io"])`},
		},
		"variables": []any{
			map[string]any{"name": "isNamespace", "expression": isNamespace},
			map[string]any{"name": "space", "expression": `variables.isNamespace ? ` +
				`(request.operation == "CREATE" ? object.metadata.name : request.name) : (has(request.namespace) ? request.namespace : "")`},
		},
		"validations": []any{
			validation(fmt.Sprintf(`variables.space.startsWith(%q)`, o.Prefix),
				fmt.Sprintf("osmosliced may only change namespaces whose names begin with %s", o.Prefix)),
			validation(`!variables.isNamespace || request.operation == "DELETE" || (`+
				carries("object", label, owner)+` && `+carries("object", "pod-security.kubernetes.io/enforce", "restricted")+`)`,
				"a namespace of osmosliced carries "+label+"="+owner+" and pod-security.kubernetes.io/enforce=restricted"),
			validation(`!variables.isNamespace || request.operation == "CREATE" || `+carries("oldObject", label, owner),
				"this namespace was not made by osmosliced"),
			validation(`variables.isNamespace || namespaceObject == null || `+carries("namespaceObject", label, owner),
				"this namespace was not made by osmosliced"),
		},
	}
}

func username(o Options) string { return "system:serviceaccount:" + o.Namespace + ":" + o.identity() }
