#!/usr/bin/env bash
# Runs the tests of tag e2e inside a test bed of two real clusters: what runs is
# chosen by the argument, a regular expression of test names.
set -euo pipefail
cd "$(dirname "$0")/.."
pattern=$1
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -trimpath"
make -s build images-here
work=$(mktemp -d)
export OSMOSLICE_TESTBED_DIR=$work/bed OSMOSLICE_BIN=$PWD/bin
go build -o "$work/testbed" ./test/testbed
go build -o "$work/report" ./test/report
go test -c -tags e2e -o "$work/e2e.test" ./test/acceptance
clean() {
	"$work/testbed" down >/dev/null 2>&1 || true
	rm -rf "$work"
}
trap clean EXIT
"$work/testbed" up --images dist/images edge cloud
cd test/acceptance
"$work/testbed" run -- "$work/e2e.test" -test.v=test2json -test.timeout "${E2E_TIMEOUT:-30m}" -test.run "$pattern" |
	go tool test2json -t -p github.com/osmoslice/osmoslice/test/acceptance | "$work/report"
