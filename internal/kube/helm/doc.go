// Package helm is the only place that knows the Helm SDK. It brings one release
// to a wished state and says what it found on the way; it does not wait for
// anything to become ready, and it keeps nothing itself: the state is what Helm
// recorded in the cluster.
//
// # How a release is brought to its wish
//
// Determine the state (the recorded revisions) → choose the next step (Next, a
// pure function) → run it → record → repeat. A revision is recognised by its
// digest, the SHA-256 of chart and values, kept as a label of its record.
//
//	nothing recorded                    → install
//	pending-*, uninstalling             → unlock: whoever worked on it is dead (the
//	                                      caller excludes all others), its cause kept
//	uninstalled, uninstalling           → purge, then as new
//	failed or deployed, another digest  → rollback, if a former revision that worked
//	                                      is the wish; else upgrade
//	deployed, the wish's digest         → done
//
// # Invariants
//
//   - The caller excludes others from a release; Helm's own lock is then only ever
//     held by the dead.
//   - Every object carries the wish's labels, pod templates too, and lies in the
//     release's namespace; a chart with an object of the whole cluster is refused.
//   - Cancelling the context ends the requests; the release is then left pending or
//     failed, which the next call recovers from.
//   - An install or upgrade that failed does not uninstall anything.
package helm
