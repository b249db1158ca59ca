#!/usr/bin/env bash
# A small network for daemons: N network namespaces on a bridge that has a namespace of its own.
# Host I is 10.77.0.I in namespace PREFIX-I. Nothing outside of PREFIX-* is touched.
#
#   test/netns.sh PREFIX up N          make it
#   test/netns.sh PREFIX down          remove it; the processes in it have ended before
#   test/netns.sh PREFIX cut I         the bridge silently drops what comes from and goes to host I
#   test/netns.sh PREFIX mend I        it no longer does
#   test/netns.sh PREFIX unplug|plug I the bridge's port to host I goes down, up
#   test/netns.sh PREFIX link I down|up        host I's own interface goes down, up
#   test/netns.sh PREFIX address I ADDRESS     host I changes its address to ADDRESS (of 10.77.0.0/24)
#
# By hand:  test/netns.sh try up 3; ip netns exec try-1 dist/anabranch serve …
# Needs root, iproute2 and nftables.
set -euo pipefail

usage() {
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
  exit 2
}
[ $# -ge 2 ] || usage
prefix=$1 verb=$2
shift 2

bridge() { ip -n "$prefix-br" "$@"; }
host() { ip -n "$prefix-$1" "${@:2}"; }

# Daemons find each other by multicast, which needs a route.
multicast() { host "$1" route replace 224.0.0.0/4 dev eth0; }

case $verb in
up)
  ip netns add "$prefix-br"
  bridge link add name br0 type bridge
  bridge link set br0 type bridge mcast_snooping 0
  bridge link set br0 up
  for i in $(seq 1 "$1"); do
    ip netns add "$prefix-$i"
    bridge link add name "p$i" type veth peer name eth0 netns "$prefix-$i"
    bridge link set "p$i" master br0 up
    host "$i" addr add "10.77.0.$i/24" dev eth0
    host "$i" link set lo up
    host "$i" link set eth0 up
    multicast "$i"
  done
  ;;
down)
  for ns in $(ip netns list | awk -v p="$prefix-" 'index($1, p) == 1 {print $1}'); do
    ip netns del "$ns"
  done
  ;;
cut)
  ip netns exec "$prefix-br" nft -f - <<X
table bridge cut$1 {
  chain forward {
    type filter hook forward priority 0; policy accept;
    iifname "p$1" drop
    oifname "p$1" drop
  }
}
X
  ;;
mend) ip netns exec "$prefix-br" nft delete table bridge "cut$1" ;;
unplug) bridge link set "p$1" down ;;
plug) bridge link set "p$1" up ;;
link)
  host "$1" link set eth0 "$2"
  if [ "$2" = up ]; then multicast "$1"; fi
  ;;
address)
  host "$1" addr flush dev eth0
  host "$1" addr add "$2/24" dev eth0
  multicast "$1"
  ;;
*) usage ;;
esac
