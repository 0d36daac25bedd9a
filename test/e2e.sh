#!/usr/bin/env bash
# Runs the tests of tag e2e whose names match the argument on two real clusters.
set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -trimpath"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
go test -c -tags e2e -o "$work/e2e.test" ./test/acceptance
go build -o "$work/report" ./test/report
go build -o "$work/test2json" cmd/test2json
# The status of the tests, not of those who read along, decides.
test/on-clusters.sh bash -o pipefail -c 'cd test/acceptance && "$1" -test.v=test2json -test.timeout "$2" -test.run "$3" | "$4" -t -p github.com/osmoslice/osmoslice/test/acceptance | "$5"' \
	e2e "$work/e2e.test" "${E2E_TIMEOUT:-40m}" "$1" "$work/test2json" "$work/report"
