// Package pgtest runs a private PostgreSQL for tests.
//
// # Overview
//
// Start makes a cluster of its own in a temporary directory with Debian's
// `postgresql` package (initdb, postgres), as an unprivileged user when the
// tests run as root, on a unix socket only, without fsync; it ends and is
// removed with the test. DSN makes a fresh database in it. Stop and Again let a
// test take the server away and bring it back.
//
// # Failures
//
// Without PostgreSQL the test is skipped and says so; with CI=true it fails.
package pgtest
