#!/usr/bin/env bash
# Every test but the long matrices. Skips are printed; under CI=true a test that
# lacks a prerequisite fails instead of skipping.
set -euo pipefail
cd "$(dirname "$0")/.."
# One set of flags for programs and tests: what is compiled once serves all.
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -trimpath"
report=$(mktemp -d)
trap 'rm -rf "$report"' EXIT
go build -o "$report/report" ./test/report
failed=0

step() { # step NAME COMMAND...
	local name=$1 start=$SECONDS
	shift
	echo "== $name"
	if "$@"; then
		echo "== $name: ok, $((SECONDS - start)) s"
	else
		echo "== $name: FAILED, $((SECONDS - start)) s"
		failed=1
	fi
}

tests() { # tests ARGUMENTS OF GO TEST
	go test -json "$@" | "$report/report"
}

# race runs in an environment of its own: the detector needs cgo.
race() {
	CGO_ENABLED=1 GOFLAGS="" tests -race -short -timeout 20m $(test/race-packages.sh)
}

step build make build
step vet go vet ./...
step testbed make testbed-build
step test tests -timeout 25m ./...
step race race
# A module of its own: the SDK's graph stays out of ours.
senml_export() { (cd cmd/edgex-senml-export && go vet ./... && tests ./...); }
step senml-export senml_export
standin() { (cd test/standin/programs && go vet ./...); } # likewise
step standin standin
step e2e-smoke test/e2e.sh '^TestKubeSmoke$'
[ $failed = 0 ] && echo "all tests passed"
exit $failed
