// Package domain is the port to the places where functions run. A domain
// plugin (domains/host, domains/kubernetes, domains/simulated) implements
// Driver for one technology; nothing here knows one.
//
// # Contract
//
// A Deployment is one function of one slice at one site; its Ref names it for
// ever: the release name contains the slice's uid, so that a late delete cannot
// hit a successor. Apply and Delete are idempotent and return as soon as the
// site has durably accepted the wish; readiness is read by Observe. Each carries
// the fence token of the operation that asks as its Generation: a driver
// remembers the highest it has seen for a release, past Delete as well for at
// least an hour, and refuses an older one with fault.Conflict, so that a paused
// replica cannot bring back what its successor deleted. Applying the same
// Deployment with a newer Generation changes nothing but the generation; only
// what has Failed is started afresh.
//
// Status.Phase moves Absent → Pending → Starting → Ready; Ready → Degraded and
// back; any → Failed when only a new Apply can help. A site that cannot be asked
// is an error (fault.Unavailable, Retry Backoff), never a Phase: absence of
// evidence is not evidence of absence.
//
// Every driver passes domaintest.Exercise.
package domain
