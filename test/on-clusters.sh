#!/usr/bin/env bash
# Runs a command inside a test bed of two real clusters, edge and cloud, that
# hold the images of the light products: test/on-clusters.sh COMMAND...
# OSMOSLICE_BIN names the folder of the shipped programs, OSMOSLICE_TESTBED_DIR
# the bed's. MORE_IMAGES may name further programs of ours to make images of, and
# PRODUCT_IMAGES a folder of archives with the images of EdgeX and Mainflux, or
# "standin" for stand-ins; PRODUCT_CHARTS names further charts that they are for. The command finds all archives in OSMOSLICE_TEST_IMAGES.
# The bed and all that ran in it end with it.
set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -trimpath"
work=$(mktemp -d)
export OSMOSLICE_TESTBED_DIR=$work/bed OSMOSLICE_BIN=$PWD/bin
clean() {
	[ ! -x "$work/testbed" ] || "$work/testbed" down >"$work/down.log" 2>&1 || cat "$work/down.log"
	rm -rf "$work"
}
trap clean EXIT
# First, since an image may be missing.
case "${PRODUCT_IMAGES:-}" in
"") ;;
standin)
	printf '\n%s\n%s\n\n' '*** STAND-INS for the images of EdgeX and Mainflux: this tries charts, adapters and networks,' \
		'*** not the products (docs/e2e.md). IMAGES=DIR runs the real ones.' >&2
	go run ./test/productimages --standin --charts "edgex,mainflux${PRODUCT_CHARTS:-}" --out "$work/images" >/dev/null
	;;
*) go run ./test/productimages --from "$PRODUCT_IMAGES" --out "$work/images" ;;
esac
make build
go build -o "$work/testbed" ./test/testbed
# The charts name the images of the version that they belong to.
version=$(sed -n 's/^version: *//p' charts/lite-gateway/Chart.yaml)
go run ./internal/bundle/images --out "$work/images" --arch "$(go env GOARCH)" --version "$version" lite-gateway lite-server ${MORE_IMAGES:-}
export OSMOSLICE_TEST_IMAGES=$work/images
"$work/testbed" up --images "$work/images" edge cloud
"$work/testbed" run -- "$@"
