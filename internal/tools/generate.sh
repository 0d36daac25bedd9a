#!/usr/bin/env bash
# Writes api/restapi, api/client and models anew from swagger.yaml. All three
# are generated whole: what no longer stands in swagger.yaml disappears.
set -euo pipefail
cd "$(dirname "$0")/../.."

bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
go build -modfile=internal/tools/go.mod -o "$bin/swagger" github.com/go-swagger/go-swagger/cmd/swagger

"$bin/swagger" validate swagger.yaml
# Generated aside and then put in place, so that a failure leaves what there was.
mkdir -p "$bin/tree/api/restapi" "$bin/tree/api/client" "$bin/tree/models"
cp go.mod "$bin/tree/"
cp api/layout.yaml "$bin/tree/api/"
"$bin/swagger" generate server -q -f swagger.yaml -t "$bin/tree" -s api/restapi -m models -A osmoslice \
  --exclude-main --principal any -C api/layout.yaml
"$bin/swagger" generate client -q -f swagger.yaml -t "$bin/tree" -c api/client -m models --skip-models -A osmoslice
for tree in api/restapi api/client models; do
  rm -rf "$tree" && mv "$bin/tree/$tree" "$tree"
done
