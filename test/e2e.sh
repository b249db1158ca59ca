#!/usr/bin/env bash
# Runs the tests with real daemons: all of them, or those that are named.
#
#   test/e2e.sh              everything, on dist/anabranch (make build)
#   test/e2e.sh network      daemons in network namespaces: cut off silently, moved, among strangers
#   test/e2e.sh crash        kill -9 under load, fifty times; SEED=7 for other moments
#   test/e2e.sh amnesia      directories that are copied, put back, rolled back
#   test/e2e.sh names        names that hurt, on every way in and out
#   test/e2e.sh contact      addresses that are taken, namespaces, SIGTERM, full disks
#   test/e2e.sh presence     what is announced ends with its daemon: stopped, killed, frozen
#   test/e2e.sh load         real data sets, daemons that start from nothing, imports that are cut off
#   test/e2e.sh soak         daemons stay as large as they are, while members come and go; SOAK=1h for how long, SOAK_OUT for
#                            the folder of the samples
#   test/e2e.sh chaos        all kinds of trouble at once, and a judge of what clients saw: docs/chaos.md.
#                            SEED=7 for others, MINUTES=30 for longer, HISTORY=FILE to keep what was seen
#   test/e2e.sh openapi      requests made from /openapi.json; SEED=7 for others, RUNS=300 for more
#   test/e2e.sh typescript   the client in clients/typescript
#
# Several names may be given. Needs root, Linux, iproute2, nftables and iso-codes; the last two parts
# need only Node 18 or newer and npm. BINARY names another binary. Everything that is made is removed
# at the end, also after ^C.
set -euo pipefail
cd "$(dirname "$0")/.."

declare -A parts=(
  [network]=TestNetwork
  [crash]=TestKill
  [amnesia]='TestCopy|TestRolledBack'
  [names]='TestNames$|TestRawPaths'
  [contact]='TestSecondDaemon|TestHostNames|TestNamespaces|TestTerm|TestDiskFull'
  [presence]=TestPresence
  [load]='TestLoad|TestImport'
  [soak]=TestSoak
  [chaos]=TestChaos
)
declare -A packages=( # of Node
  [openapi]=test/openapi
  [typescript]=clients/typescript
)
if [ $# = 0 ]; then set -- "${!parts[@]}" "${!packages[@]}"; fi
pattern=
folders=()
for part in "$@"; do
  if [ -n "${packages[$part]:-}" ]; then
    folders+=("${packages[$part]}")
  elif [ -n "${parts[$part]:-}" ]; then
    pattern+="${pattern:+|}${parts[$part]}"
  else
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
  fi
done

binary=$(realpath "${BINARY:-dist/anabranch}")
work=$(mktemp -d /tmp/anbe.XXXXXX)
tests=
# shellcheck disable=SC2317 # it is called by the trap
cleanup() {
  status=$?
  trap - EXIT INT TERM
  if [ -n "$tests" ] && kill -0 "$tests" 2>/dev/null; then
    kill -TERM "$tests" # its daemons end with it
    wait "$tests" || true
  fi
  awk -v w="$work/" 'index($2, w) == 1 {print $2}' /proc/mounts | while read -r mount; do umount -l "$mount" || true; done
  if [ -n "$tests" ]; then test/netns.sh "anb$tests" down; fi
  rm -rf "$work"
  exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

for folder in ${folders[@]+"${folders[@]}"}; do
  (cd "$folder" && npm ci --no-audit --no-fund --loglevel=error && TMPDIR=$work BINARY=$binary npm test)
done
if [ -z "$pattern" ]; then exit 0; fi

go vet -tags e2e ./test/e2e
go test -tags e2e -c -o "$work/e2e" ./test/e2e
flags=()
case $pattern in
*TestChaos*) # its daemons have clocks that can be wrong
  CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -tags clockskew -o "$work/skewed" ./cmd/anabranch
  flags=(-skewed "$work/skewed" -chaos "${MINUTES:-2}m" ${HISTORY:+-history "$(realpath "$HISTORY")"})
  ;;
esac
cd test/e2e
TMPDIR=$work "$work/e2e" -test.v -test.run "$pattern" -test.timeout "${TIMEOUT:-15m}" -anabranch "$binary" -seed "${SEED:-1}" \
  -soak "${SOAK:-20s}" -soak-out "${SOAK_OUT:-}" ${flags[@]+"${flags[@]}"} &
tests=$!
cd ../..
status=0
wait "$tests" || status=$?
exit "$status"
