// Package storetest is the conformance suite of stores: whatever the database,
// the same promises hold, also under concurrency.
//
// # Overview
//
// Run takes a Harness that opens fresh stores, and, where replicas can share a
// database, a second handle on the same one. Every check makes a store of its
// own, says what it promises, and waits for conditions with a deadline, never
// for a time.
package storetest
