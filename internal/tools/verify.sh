#!/usr/bin/env bash
# Fails when what is generated or formatted differs from what its source says.
# It works on a copy, so that a run changes nothing here.
set -euo pipefail
cd "$(dirname "$0")/../.."
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' f; do [ -e "$f" ] && printf '%s\0' "$f"; done |
	tar --null -T - -cf - | tar -xf - -C "$copy"

failed=0
complain() { echo "verify: $1" >&2; failed=1; }

unformatted=$(cd "$copy" && gofmt -l $(git -C "$OLDPWD" ls-files '*.go' 2>/dev/null | grep -vE '^(api|models)/' | while read -r f; do [ -e "$f" ] && echo "$f"; done) || true)
[ -z "$unformatted" ] || complain "not gofmt'ed: $unformatted"

(cd "$copy" && internal/tools/generate.sh >/dev/null 2>"$copy/.generate.err") || { cat "$copy/.generate.err" >&2; complain "generation failed"; }
for tree in api models; do
	diff -rq "$tree" "$copy/$tree" >&2 || complain "$tree/ is not what swagger.yaml generates: run make generate"
done

cp go.mod "$copy/.go.mod" && cp go.sum "$copy/.go.sum"
(cd "$copy" && go mod tidy 2>/dev/null) || complain "go mod tidy failed"
cmp -s go.mod "$copy/go.mod" && cmp -s go.sum "$copy/go.sum" || complain "go.mod or go.sum is not tidy: run go mod tidy"
go mod verify >/dev/null || complain "a module differs from its checksum"

base=$(git describe --tags --abbrev=0 2>/dev/null || true)
if [ -n "$base" ] && git cat-file -e "$base:swagger.yaml" 2>/dev/null; then
	git show "$base:swagger.yaml" >"$copy/released.yaml"
	go tool -modfile=internal/tools/go.mod swagger diff --break "$copy/released.yaml" swagger.yaml || complain "swagger.yaml breaks the API of $base"
fi
[ $failed = 0 ] && echo "verify: clean"
exit $failed
