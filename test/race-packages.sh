#!/usr/bin/env bash
# The packages whose code is concurrent, by their own imports: the race detector
# runs on these in "make test", on all in "make race".
set -euo pipefail
go list -f '{{if .TestGoFiles}}{{.ImportPath}}{{else if .XTestGoFiles}}{{.ImportPath}}{{end}}' ./internal/... ./domains/...
