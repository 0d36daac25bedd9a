// Package check verifies a placement decision against the state it was made on,
// from the definitions alone: it shares no code with the search and reads only
// the public nouns. Tests run it on every decision; the service runs it on a
// plan before the plan is executed.
//
// Decision reports every Violation it finds; none means that each placed demand
// has every element on one node that satisfies it, that no node and no link is
// given out beyond its capacity less headroom, that all flows and groups hold,
// that the plan leads from what is held to what was decided, that the listed
// ledger rows are exactly those that change, with their present versions, and
// that the bound does not exceed the cost.
package check
