// Package supervise runs one function under one shim, so that the function
// outlives the service which started it. It needs Linux.
//
// # Overview
//
// A Unit is a directory (mode 0700) which holds everything about one function:
//
//	spec.json   what to run (written by the caller of Launch, mode 0600)
//	lock        held by the shim as long as it lives
//	state.json  what the shim last said (State)
//	exit.json   how the function last ended (Exit)
//	ctl         the shim's control socket
//	log/        the function's output, rotated and bounded
//
// The shim is the same binary executed again with the hidden arguments
// "--shim DIR"; a command (and the TestMain of a test) therefore calls ShimMain
// first of all. A running shim needs nothing of the file it was started from:
// replacing the binary on disk (by rename) leaves it alone, and newer services
// talk to older shims over the versioned control protocol.
//
// # States
//
// Starting → Ready when the probe holds; Ready → Degraded when it fails three
// times in a row or the function ends; Degraded → Ready when it holds again; a
// function that ends is started again after an exponential backoff, which is
// forgotten after a stable time. A function that ended Spec.Starts times without
// once being ready, or cannot be executed at all, is Failed: the shim stays and
// tells why. Stopped is said by a shim that ended the function on demand. A shim
// whose directory was removed ends, and its function with it.
//
// # Invariants
//
// At most one shim serves a unit: it holds the kernel's lock on the file
// "lock", which no crash leaves behind. A function never outlives its shim
// (parent death signal); what its descendants leave behind is swept by the next
// shim or by Stop: descendants are found by the subreaper's process tree, by
// cgroup, by session and by the marker OSMOSLICE_UNIT in their environment. A
// process is named by pid, start time and boot id, so a recycled pid is never
// taken for it. After Stop no process, socket or cgroup of the unit is left.
//
// # Failures
//
// A full disk never blocks a function: its output is dropped and counted, and
// the state stays readable over the control socket. Limits that the machine
// cannot enforce are said in State.Limits. A function that detaches (forks and
// lets its first process end) is taken as ended.
package supervise
