// Package simulated is a real domain driver whose sites exist only in memory
// or in a log file. It keeps the whole contract of package domain (fences,
// idempotence, inventory, watching, listing) and adds what no real site can
// offer: behaviour by script. It serves scale tests, fault tests and what-if
// questions; whole slices run on it, because Platform plays the products too.
//
// # Scripts
//
// A Script says what a site is made of and how it behaves: nodes and their
// capacity, how long calls and functions take, which calls fail (by kind, after
// the first N, so many times, with a probability), which losses there are
// (partitioned, dead, a node lost), now or at times since the site was first
// seen. It comes, in the order of precedence, from the Go interface
// (Driver.Script), from the script file of Options (by the site's name), or
// from the infrastructure's connection data (schema.json), which an API client
// may change at any time. Draws are made from the script's seed, the site's
// name and a counter, so that the same calls in the same order see the same
// failures.
//
// # States
//
// Time passes by asking: a deployment stores when it will be ready (or gone),
// and Observe compares that with the clock. Nothing runs while nobody asks: a
// site costs about two kilobytes and no goroutine. A site is partitioned (it
// cannot be asked, functions run on) or dead (they stop, and restart when it
// comes back). A function on a lost node is Degraded until the node is back or
// it is applied elsewhere. A function that no node has room for is Pending.
//
// # Durability
//
// With Options.Dir every site is one append-only log of JSON lines,
// <dir>/<site id>.jsonl, replayed on first use; it survives the process at any
// point, and several processes may share the directory (every change is made
// under the file's lock, on what the others wrote). Lines are written but not
// flushed to the device: a kill loses nothing, a power cut may. Without Dir the
// world ends with the process.
//
// # Invariants
//
// A node never holds more than its capacity. A change is in the log before the
// call answers. Of secrets (device credentials, uplink passwords) only a
// SHA-256 is kept.
//
// # Failures
//
// Connection data that is wrong is fault.Invalid naming the field. A site that
// is partitioned or dead is fault.Unavailable with Backoff. An older generation
// is fault.Conflict. A scripted failure is what the script says.
package simulated
