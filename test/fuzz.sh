#!/usr/bin/env bash
# Runs every fuzz target of the module, one after the other.
#
#   test/fuzz.sh             each for 20s
#   test/fuzz.sh 5m          each for that long
#
# An input that a target fails on is a failure here, and is kept in the target's testdata/fuzz as a
# test from then on. So is a module without targets.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-20s}
go=${GO:-go}

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# The names of the targets of a package stand before the line with the package.
if ! "$go" test -list '^Fuzz' ./... >"$log" 2>&1; then
  cat "$log" >&2
  exit 1
fi
targets=$(awk '/^Fuzz/ { names[n++] = $1 } /^ok/ { for (i = 0; i < n; i++) print $2, names[i]; n = 0 }' "$log")
if [ -z "$targets" ]; then
  echo "fuzz: there is no target" >&2
  exit 1
fi

# late reports whether the run failed only at its end, without an input: before Go 1.27 the fuzzer
# may report its own deadline (go.dev/issue/75804).
late() {
  grep -q '^    context deadline exceeded$' "$log" && ! grep -q 'Failing input written' "$log"
}

failed=
# Making an interesting input smaller is bounded by tries: by default it may take a minute each time.
while read -r package name; do
  echo "== $package $name"
  if ! "$go" test -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 100x "$package" </dev/null 2>&1 | tee "$log"; then
    late || failed+=" $package:$name"
  fi
done <<<"$targets"
if [ -n "$failed" ]; then
  echo "fuzz: look at$failed" >&2
  exit 1
fi
echo "fuzz: nothing found"
