// Package topology holds the nouns of the places where functions can run:
// infrastructures, their nodes and the links between them, and the immutable
// Snapshot that every placement decision is made on.
//
// # Model
//
// Nodes are grouped by infrastructure. What a node can reach, and how well, is
// stated hierarchically, as FogMon measures it: a Path within an infrastructure
// (Infrastructure.Intra), a Path between two infrastructures (GroupLink), and
// exact exceptions for single node pairs (Link). An exact Link overrides the
// group's Path; a Link that is Down removes it. Where nothing is stated there
// is no link: links are direct and directed, they are never routed or summed.
// A node always reaches itself.
//
// # Units
//
// CPU in milli-cores, memory and storage in MiB, bandwidth in kbit/s, latency
// in milliseconds, loss as a fraction 0..1. A capacity of Infinite or more is
// without limit. The engine only adds and compares capacities, so a caller
// that replays foreign facts may use any finer unit, consistently.
//
// # Snapshots
//
// A Snapshot is immutable and safe for concurrent use. Apply answers a new one
// that shares all that did not change (pages of nodes and rows of links are
// copied on write), at a cost that grows with the delta. Revisions of one
// lineage count up by one. A node keeps its index for the life of the lineage,
// also when it is removed and added again, so a ledger may be kept by index.
//
// Invariants: every Link and GroupLink names known ends; ids are unique; all
// quantities are finite and not negative. New and Apply refuse anything else
// with a fault.Invalid error that names the field, what was given and what is
// allowed, and change nothing.
package topology
