// Package domaintest is the contract of package domain as tests: Exercise runs
// it on a driver. A driver's own test builds a Fixture and calls Exercise; the
// abilities a technology lends to a test (break a function, kill it, restart
// the service, cut the site off, list what is left) are optional interfaces,
// and a driver that implements an optional interface of package domain (Lister,
// Inventory, Watcher, Checker) is held to that contract as well.
//
// Every subtest gets a fresh Fixture, deletes what it deployed and then, where
// the fixture is an Auditor, asserts that nothing is left at the site. Nothing
// sleeps: the suite waits for conditions, for at most Patience.
package domaintest
