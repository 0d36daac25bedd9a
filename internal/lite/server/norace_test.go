//go:build !race

package server

// scale divides the amounts of tests: see race_test.go.
const scale = 1
