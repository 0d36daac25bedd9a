// Package operation is the engine of lifecycle operations: what an operation is
// as data, what it becomes when something happens (Next, pure), and the Runner
// that carries it out.
//
// # Overview
//
// An Operation is planned once it is claimed; its plan is a DAG of Steps. The
// Runner saves the intent of a step (state RUNNING) before it asks the Executor
// to act, and saves the outcome afterwards; outcomes and the intents they
// release share a save. A step that is accepted but not ready holds no goroutine
// and no worker: it is looked at again by a timer, or when a watch says so.
//
// # States
//
//	STARTING     → PROCESSING | ROLLED_BACK
//	PROCESSING   → COMPLETED | PARTIALLY_COMPLETED | FAILED_TEMP
//	FAILED_TEMP  → PROCESSING (retry, continue) | ROLLING_BACK | FAILED
//	ROLLING_BACK → ROLLED_BACK | FAILED_TEMP
//
// (ETSI NFV-SOL003.) A step goes WAITING → RUNNING → DONE | FAILED | ABANDONED,
// back to WAITING for another attempt; compensation takes it UNDOING → UNDONE |
// ABANDONED. Retry plans anew and keeps what is done; continue repeats the failed
// steps of the plan in force.
//
// # Invariants
//
// Nothing is called ROLLED_BACK before compensation is over. Steps are undone in
// the reverse order of their dependencies, those included whose outcome is not
// known. With time passing alone, every operation ends: Deadline, HoldUntil and
// RollbackDeadline bound the three open phases. A save carries the fence of the
// claim; a runner that lost it stops at once, and the generation it hands to
// drivers (Call.Generation) is below its successor's. Two calls for one step
// never run at the same time in one runner.
//
// # Failures
//
// A step fails as its fault.Error says: Now is repeated at once, Backoff with
// growing pauses, Never not at all. A store that does not answer stops nothing
// that runs; outcomes are saved when it is back, if the lease still holds. A
// site that does not answer fills only its own slots.
//
// For tests, OSMOSLICE_FAILPOINT="after-intent:apply:2=kill" kills the process
// the second time it passes that point; see ParseFailpoints.
package operation
