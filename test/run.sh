#!/usr/bin/env bash
# Every test but the long matrices. Skips are printed; under CI=true a test that
# lacks a prerequisite fails instead.
set -euo pipefail
cd "$(dirname "$0")/.."
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT
failed=0

step() { # step NAME COMMAND...
	local name=$1 start=$SECONDS
	shift
	echo "== $name"
	if "$@" 2>&1 | tee "$log/out"; then
		echo "== $name: ok, $((SECONDS - start)) s"
	else
		echo "== $name: FAILED, $((SECONDS - start)) s"
		failed=1
	fi
	grep -hE '^ *--- SKIP' "$log/out" >>"$log/skips" || true
}

step build make build
step vet go vet ./...
step test go test -timeout 25m -p 2 ./...
step race env CGO_ENABLED=1 go test -race -short -timeout 15m $(test/race-packages.sh)

if [ -s "$log/skips" ]; then
	echo "== skipped:" && cat "$log/skips"
	[ "${CI:-}" != true ] || { echo "a skip is a failure here"; failed=1; }
fi
exit $failed
