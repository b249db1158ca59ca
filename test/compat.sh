#!/usr/bin/env bash
# Runs daemons of this version (dist/anabranch, make build) and of an older commit together.
#
#   test/compat.sh COMMIT
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# != 1 ]; then sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; fi

work=$(mktemp -d /tmp/anbc.XXXXXX)
trap 'rm -rf "$work"' EXIT
mkdir "$work/source"
git archive "$1" | tar -x -C "$work/source"
(cd "$work/source" && CGO_ENABLED=0 go build -trimpath -ldflags "-X main.version=$1" -o "$work/older" ./cmd/anabranch)
TMPDIR=$work go test -tags e2e ./test/e2e -run 'TestCompat$' -count=1 -v -args -anabranch "$PWD/dist/anabranch" -older "$work/older"
