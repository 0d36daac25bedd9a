// Package placement decides where each element of each slice runs on the
// edge–fog–cloud continuum. It is pure: state in, decision out; the same input
// gives the same plan on any machine.
//
// # Entry
//
// Decide(State, []Demand, Options) Decision. State is an immutable
// topology.Snapshot and a Ledger of what every slice holds. The given demands
// are the slices to be decided now, new or already placed; what all other
// slices hold is taken as given and never moved. Decide only reads the state.
//
// # Keeping it resident
//
//	snap, _ := topology.New(infras, between, nodes, links) // once
//	ledger := placement.NewLedger(snap)                    // once, then Restore what the store holds
//	snap, _ = snap.Apply(delta)                            // whenever facts change
//	ledger.Follow(snap)                                    // O(min(changed, held)); optional
//	d := placement.Decide(placement.State{Snapshot: snap, Ledger: ledger}, demands, opts)
//	// in the SQL transaction: check that every d.Rows[i] still has its Version, deduct, bump
//	err := ledger.Commit(d)                                // the same check in memory, then O(touched)
//
// A Ledger has one writer at a time and may not change while a Decide that
// reads it runs; guard both with one lock (a decision takes microseconds). A
// Ledger row is a node or an ordered node pair; every change of what a row
// gives out raises its version. Decision.Rows names exactly the rows the plan
// changes, with the version each had; a kept element changes none. Commit
// refuses with a fault.Conflict, retry now, naming the row, when one has moved.
// Decision.StaleFacts names nodes and links whose facts have changed since, for
// a preview that is carried out later. Prepare compiles a Demand once, so that
// deciding it again costs less.
//
// A ledger that follows the snapshot keeps, beside what it gives out of a node or
// a link, what the snapshot says of it. A committed demand that was Prepared is
// then a list of rows: while they can carry what they give out, Decide answers
// that everything stays, with its cost and bound, from those rows alone and
// without allocating. Following changes how long a decision takes, never what
// it is. What a Decision holds may be shared with later ones: read it only.
//
// Explain, WhyNot and Survivability answer questions about a decision on the
// state it was made on; Survivability tries every single loss on a copy.
//
// # Semantics
//
// An element fits a node when the node is available, allowed (kinds,
// infrastructures, nodes, area, security, labels, architecture), has its
// software, things and access technologies, and when everything placed on the
// node plus Options.Headroom stays within the node's gross capacity. A flow
// between different nodes needs a direct link within its latency bound and
// loss bound, and all bandwidth given out on the ordered pair plus headroom
// within the link's. Flows within a node are free.
//
// Continuous reasoning: an element keeps its node as long as all of that
// holds. The kept set is the largest that fits. An element outside the
// displaced set moves only if no plan was found without moving it, and is
// reported. When not everything fits, priority class, then age, then the
// number of slices served decides who waits; Decision.Waiting says why.
//
// # Failure
//
// Decide never panics on bad input: a demand that Validate refuses is Rejected
// with that error and the others are decided. A search that ends at its budget
// answers the best feasible plan so far, with its gap; a demand that was not
// placed is Waiting, with Proven telling whether no plan exists or none was
// found within the budget.
package placement
