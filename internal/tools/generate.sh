#!/usr/bin/env bash
# Writes api/restapi, api/client and models anew from swagger.yaml. All three
# are generated whole: what no longer stands in swagger.yaml disappears.
set -euo pipefail
cd "$(dirname "$0")/../.."

bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
go build -modfile=internal/tools/go.mod -o "$bin/swagger" github.com/go-swagger/go-swagger/cmd/swagger

"$bin/swagger" validate swagger.yaml
rm -rf api/restapi api/client models
mkdir -p api/restapi api/client models
"$bin/swagger" generate server -q -f swagger.yaml -t . -s api/restapi -m models -A osmoslice \
  --exclude-main --principal any -C api/layout.yaml
"$bin/swagger" generate client -q -f swagger.yaml -t . -c api/client -m models --skip-models -A osmoslice
