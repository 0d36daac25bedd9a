#!/usr/bin/env bash
# Takes the pages of /docs from the published package swagger-ui-dist, at the
# exact version below, and keeps only the files that are served, compressed.
set -euo pipefail
cd "$(dirname "$0")/../rest/assets"

version=5.35.0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
(cd "$tmp" && npm pack --silent "swagger-ui-dist@$version" >/dev/null && tar -xzf swagger-ui-dist-"$version".tgz)
for f in swagger-ui-bundle.js swagger-ui.css favicon-32x32.png; do
	gzip -9nc "$tmp/package/$f" >"$f.gz"
done
cat "$tmp"/package/{LICENSE,NOTICE,swagger-ui-bundle.js.LICENSE.txt} | gzip -9nc >LICENSE.txt.gz
