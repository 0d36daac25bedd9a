#!/usr/bin/env bash
# Release archives: binaries, demo and docs for amd64 and arm64, into dist/. The
# demo in them runs offline: ./demo --once.
set -euo pipefail
cd "$(dirname "$0")/.."
version=$1 ldflags=$2
mkdir -p dist
for arch in amd64 arm64; do
	name=osmoslice-$version-linux-$arch
	rm -rf "dist/$name" && mkdir -p "dist/$name"
	export CGO_ENABLED=0 GOOS=linux GOARCH=$arch
	for c in osmosliced slicectl lite-gateway lite-server; do
		go build -trimpath -ldflags "$ldflags" -o "dist/$name/$c" "./cmd/$c"
	done
	go build -trimpath -ldflags "$ldflags" -o "dist/$name/demo" ./test/demo
	go build -trimpath -ldflags "$ldflags" -o "dist/$name/devices" ./test/devices/cmd/devices
	cp -r README.md CHANGELOG.md LICENSE swagger.yaml docs examples "dist/$name/"
	tar -C dist -czf "dist/$name.tar.gz" --owner=0 --group=0 --sort=name "$name"
	rm -rf "dist/${name:?}"
	echo "dist/$name.tar.gz $(stat -c %s "dist/$name.tar.gz") bytes"
done
(cd dist && sha256sum ./*.tar.gz >SHA256SUMS)
