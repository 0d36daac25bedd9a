#!/usr/bin/env bash
# The packages that "make test" runs under the race detector: those with tests
# whose own code starts goroutines or locks. "make race" runs all: with them
# store, fulfilment and the light server, whose tests spend their time inside
# the translated SQLite, some twenty times slower under the detector.
set -euo pipefail
go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.Dir}} {{.ImportPath}}{{end}}' ./internal/... ./domains/... |
	grep -vE '/internal/(store|fulfilment|lite/server)$' |
	while read -r dir path; do
		if grep -lE 'sync\.|\bgo func|\.Go\(' "$dir"/*.go | grep -qv _test.go; then echo "$path"; fi
	done
