// Package host is the driver that runs functions as supervised processes of
// this machine: no cluster, no container runtime, no root needed.
//
// # Overview
//
// Everything lives below Options.Dir (modes 0700 and 0600):
//
//	lock                        byte-range locks: one per release and per fence
//	ports/<number>              a symbolic link naming who reserved the port
//	artefacts/<sha256>          executables in use, content-addressed
//	sites/<site>/fence.json     generations of what was deleted (tombstones)
//	sites/<site>/units/<release>/
//	    record.json             the wish in force, or being brought in or out
//	    exe                     hard link into artefacts
//	    work/                   the function's directory, with its files
//	    tmp/                    its TMPDIR
//	    …                       what supervise.Unit keeps
//
// # States
//
// A record is "applying" (intent: Apply was begun), "applied" (the wish is
// durably accepted and a shim runs it) or "deleting" (intent). No record:
// Absent. Whatever moment a service is killed at, repeating the call converges:
// an alive shim that runs the same specification is kept, any other is
// replaced. A function whose shim is gone (killed, or the machine restarted) is
// brought back when it is next observed, watched or applied.
//
// # Invariants
//
// One release is changed by one caller at a time, in this process and others
// (kernel lock). One port is reserved by one release. A generation older than
// the highest seen is refused, for FenceKept after a Delete. Files, arguments
// and environment of a function are readable by its user alone, and never
// logged. After Delete nothing of a release is left but its tombstone.
//
// # Failures
//
// Missing artefact, wrong digest, wrong placeholder: Invalid or NotFound, never
// retried. Disk full: NoSpace. No free port, port in use: Conflict with
// Backoff. A site of another host: Unavailable with Backoff, naming the host.
package host
