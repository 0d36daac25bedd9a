// Package kubernetes is the domain plugin for Kubernetes clusters: one
// infrastructure is one cluster, one deployment is one Helm release.
//
// # What is where in a cluster
//
//	<prefix>records         namespace with one ConfigMap per release: the record
//	<prefix><slice's uid>   the slice's namespace: quota, limits, network policies
//	  <release>-config      Secret: environment and files of the function
//	  sh.helm.release.v1.…  Helm's records
//	  …                     the chart's objects
//
// The record is the wish in force, the fence and the lock in one object with
// optimistic concurrency. It outlives the release for FenceKept.
//
// # How a wish comes into force
//
// Apply takes the record (raising its generation, excluding every other
// replica), writes "applying", makes the namespace, its furniture and the
// configuration Secret, brings the release to the wish with package kube/helm,
// and writes "applied" with the inventory of objects. It does not wait for
// readiness. Killed at any point, it is repeated by whoever asked: what Helm
// left pending is unlocked, and every other step is idempotent. Delete runs the
// other way; with the last release the namespace goes.
//
// # Invariants
//
//   - No write of an older generation follows a newer one: the record is compared
//     and swapped, its holder's requests end when its lease does, and a newer
//     asker raises the generation before it waits for the holder.
//   - No secret reaches Helm's values, a record, an event or a cause.
//   - Observe reads a release's objects anew, never from a cache (what is the
//     same for the whole cluster, its nodes and address ranges, may be 5 s old);
//     an unreachable cluster is Unavailable with Backoff, and costs only its own
//     callers time.
//   - What the driver puts around a release (the namespace's rules, quota, limits,
//     policies, account, pull secret) is held to like the release itself: edited
//     or deleted by hand, it is brought back or told, as the site's policy says.
//   - A namespace is removed only with the resourceVersion at which it had no
//     other release; an Apply changes the resourceVersion first.
package kubernetes
