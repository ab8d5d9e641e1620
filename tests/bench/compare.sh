#!/bin/sh
# Compares brokers with and without authorization, side by side in one run: prints the tables of docs/performance.md.
#   tests/bench/compare.sh                       about six minutes on two cores; wants them to itself
#   tests/bench/compare.sh --write               … and renews docs/comparison.md and docs/comparison.svg
#   tests/bench/compare.sh --rounds 1 …          further options: compare/compare.py --help
# Installs the packages that are missing, and builds the release preset, first.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"
write=no
count=$#
while [ "$count" -gt 0 ]; do # takes --write out, wherever it stands
  option=$1
  shift
  if [ "$option" = --write ]; then write=yes; else set -- "$@" "$option"; fi
  count=$((count - 1))
done
tests/setup/install.sh build run test >&2
[ -f build/release/CMakeCache.txt ] || cmake --preset release >&2
cmake --build build/release --target mosquitto_guard guardctl mqload >&2
compare="/usr/bin/python3 tests/bench/compare/compare.py"
if [ "$write" = no ]; then
  exec $compare "$@"
fi
new=$(mktemp)
trap 'rm -f "$new"' EXIT
$compare --chart docs/comparison.svg "$@" >"$new"
{
  printf '# Side by side\n\nWritten by `tests/bench/compare.sh --write` on %s, Mosquitto %s, %s cores. How to read it: [performance](performance.md).\n\n' \
    "$(date +%Y-%m-%d)" "$(mosquitto -h | sed -n 's/^mosquitto version //p')" "$(nproc)"
  printf '![The tables as bars](comparison.svg)\n'
  cat "$new"
} >docs/comparison.md
