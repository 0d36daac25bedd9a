//go:build race

package server

import "flag"

// scale divides the amounts of tests that are only about amounts: under the
// race detector the database, which is Go code, takes many times as long.
const scale = 8

func init() { _ = flag.Set("rapid.checks", "10") }
