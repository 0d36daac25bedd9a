#!/usr/bin/env bash
# Runs a command inside a test bed of two real clusters, edge and cloud, that
# hold the images of the light products: test/on-clusters.sh COMMAND...
# OSMOSLICE_BIN names the folder of the shipped programs, OSMOSLICE_TESTBED_DIR
# the bed's. IMAGES may name a folder of further OCI archives, MORE_IMAGES further
# programs of ours to make images of. The bed and all
# that ran in it end with the command.
set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -trimpath"
make build
work=$(mktemp -d)
export OSMOSLICE_TESTBED_DIR=$work/bed OSMOSLICE_BIN=$PWD/bin
clean() {
	[ ! -x "$work/testbed" ] || "$work/testbed" down >"$work/down.log" 2>&1 || cat "$work/down.log"
	rm -rf "$work"
}
trap clean EXIT
go build -o "$work/testbed" ./test/testbed
# The charts name the images of the version that they belong to.
version=$(sed -n 's/^version: *//p' charts/lite-gateway/Chart.yaml)
go run ./internal/bundle/images --out "$work/images" --arch "$(go env GOARCH)" --version "$version" lite-gateway lite-server ${MORE_IMAGES:-}
[ -z "${IMAGES:-}" ] || ln -s "$(realpath "$IMAGES")"/* "$work/images/"
"$work/testbed" up --images "$work/images" edge cloud
"$work/testbed" run -- "$@"
