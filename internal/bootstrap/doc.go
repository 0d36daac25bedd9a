// Package bootstrap prepares a Kubernetes cluster for osmosliced: an identity
// with the least rights that work, a policy that holds it to its own
// namespaces, optional add-ons, and the registration at the service.
//
// # Overview
//
// Objects makes what the cluster gets, as data; nothing else decides. Run brings
// it into the cluster, asks for a token, proves with it what the identity may
// and may not do, installs the add-ons, and hands the kubeconfig and the
// infrastructure to the service. Undo goes the other way.
//
// # Order and failures
//
// The policy comes before the rights that it bounds. Every step is idempotent:
// after a failure, or a kill, the same call goes on where it was, and Undo
// removes what there is. Undo first takes the infrastructure out of the service,
// which refuses while functions run there; so nothing is cut off that runs.
//
// # Invariants
//
//   - No token and no kubeconfig is printed, logged, or part of an error.
//   - The identity never has rights without the policy in force: Run ends with an
//     error unless the cluster refused it a namespace that is not its own.
package bootstrap
