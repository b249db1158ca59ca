#!/usr/bin/env bash
# Builds the project's image and runs three containers on a bridge network, told nothing but the
# cluster key: they have to find each other by mDNS, be healthy, agree, survive a cut and a restart.
#
#   test/container.sh [DIRECTORY]   the source to build from; default is this repository
#
# Needs a docker daemon (DOCKER_HOST is honoured) with golang:1.26-bookworm, pulled or local, and jq.
# IMAGE names an image to test as it is instead of building one. Everything that it makes in docker is named
# anb-PID-… and is removed at the end; the image anabranch:dev stays.
set -euo pipefail
source=${1:-$(dirname "$0")/..}
docker=${DOCKER:-docker}
name=anb-$$
image=${IMAGE:-anabranch:dev}
volumes=()

cleanup() {
  status=$?
  for i in 1 2 3; do
    if [ $status -ne 0 ]; then $docker logs --tail 20 "$name-$i" 2>&1 | sed "s/^/$i: /" || true; fi
    $docker rm -f "$name-$i" >/dev/null 2>&1 || true
  done
  for v in "${volumes[@]}"; do $docker volume rm -f "$v" >/dev/null 2>&1 || true; done
  $docker network rm "$name" >/dev/null 2>&1 || true
  exit $status
}
trap cleanup EXIT

say() { printf '%6.1f s  %s\n' "$(awk -v a="$begin" -v b="$(date +%s.%N)" 'BEGIN {print b-a}')" "$*"; }
begin=$(date +%s.%N)

# wait_for SECONDS WHAT COMMAND… until the command succeeds.
wait_for() {
  local seconds=$1 what=$2 end
  shift 2
  end=$((SECONDS + seconds))
  until "$@" >/dev/null 2>&1; do
    if [ $SECONDS -ge $end ]; then
      echo "not within $seconds s: $what" >&2
      return 1
    fi
    sleep 0.2
  done
  say "$what"
}

on() { $docker exec "$name-$1" /anabranch "${@:2}"; }
healthy() { for i in "$@"; do [ "$($docker inspect -f '{{.State.Health.Status}}' "$name-$i")" = healthy ] || return 1; done; }
converged() {
  for i in 1 2 3; do
    on $i --json sync | jq -e '.converged and (.peers | map(select(.state == "connected")) | length == 2)' || return 1
  done
}
unreachable() { on 1 --json sync | jq -e '.peers | map(select(.state == "unreachable")) | length == 1'; }
same() {
  local first i
  first=$(on 1 export | sha256sum)
  for i in 2 3; do [ "$(on $i export | sha256sum)" = "$first" ] || return 1; done
}
agree() { converged && same; }

if [ -z "${IMAGE:-}" ]; then
  $docker build -q -t "$image" "$source" >/dev/null
  say "built $image: $($docker image inspect -f '{{.Size}}' "$image") bytes"
fi
$docker network create "$name" >/dev/null
key=$($docker run --rm "$image" key new)
for i in 1 2 3; do
  v=$($docker volume create "$name-$i")
  volumes+=("$v")
  $docker run -d --name "$name-$i" --network "$name" -v "$v:/data" -e ANABRANCH_CLUSTER_KEY="$key" "$image" >/dev/null
done
say "started three containers"
wait_for 20 "connected by mDNS, converged" converged
wait_for 40 "all healthy" healthy 1 2 3

for i in 1 2 3; do on $i counter inc visits $i >/dev/null; on $i set add from "$i" >/dev/null; done
wait_for 10 "writes on all: exports are the same bytes" agree
[ "$(on 2 counter get visits)" = 6 ]

$docker network disconnect "$name" "$name-3"
on 1 counter inc visits 10 >/dev/null
on 3 counter inc visits 100 >/dev/null
wait_for 20 "3 is cut off and seen as unreachable, and goes on" unreachable
[ "$(on 3 counter get visits)" = 106 ]
$docker network connect "$name" "$name-3"
wait_for 40 "3 is back: exports are the same bytes" agree
[ "$(on 1 counter get visits)" = 116 ]

$docker stop -t 10 "$name-2" >/dev/null
code=$($docker inspect -f '{{.State.ExitCode}}' "$name-2")
say "2 stopped with code $code"
[ "$code" = 0 ]
on 1 counter inc visits 1000 >/dev/null
$docker start "$name-2" >/dev/null
wait_for 40 "2 is started again: exports are the same bytes" agree
[ "$(on 2 counter get visits)" = 1116 ]

$docker kill "$name-1" >/dev/null # as the kernel does when memory is short
$docker start "$name-1" >/dev/null
wait_for 40 "1 was killed and started again: exports are the same bytes" agree
[ "$(on 1 counter get visits)" = 1116 ]
wait_for 40 "all healthy" healthy 1 2 3
$docker stats --no-stream --format '{{.Name}}: {{.MemUsage}}, {{.CPUPerc}} CPU' "$name-1" "$name-2" "$name-3"
