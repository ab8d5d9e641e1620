#!/usr/bin/env bash
# User instructions that one check costs in the plugin, counted by callgrind: the same on any machine for one binary.
#   instructions.sh [BUILD]        default build/release
# Prints a row per policy size: a WRITE, the same audited (with its MESSAGE), a READ of another topic, and a READ for each
# further subscriber of one publish.
set -eu
top=$(cd "$(dirname "$0")/../../.." && pwd)
build=$(cd "${1:-$top/build/release}" && pwd)
host=$build/tests/bench/plugin/plugin_host
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
hash=$(echo -n secret | "$build/guardctl" passwd --format pbkdf2 --iterations 1000 -)

# policy ROLES: 20 templates that every client has, and ROLES private roles of 5 rules beside them
policy() {
  echo '[default]'; echo 'roles = device'
  echo '[role device]'
  echo 'data = allow publish devices/${username}/data'
  echo 'read = allow receive devices/${username}/data'
  echo 'fleet = allow publish,receive fleet/all'
  for i in $(seq 1 17); do echo "t$i = allow publish,subscribe devices/\${username}/topic$i/#"; done
  awk -v n="$1" 'BEGIN { for (r = 0; r < n; r++) { printf "[role p%d]\n", r; for (i = 0; i < 5; i++) printf "r%d = allow publish site/%d/line/%d/#\n", i, r, i } }'
  for i in $(seq 0 99); do printf '[client u%d]\npassword = %s\n' "$i" "$hash"; done
}

count() { # KIND ITERATIONS
  valgrind --tool=callgrind --callgrind-out-file="$dir/out" --toggle-collect=measured "$host" "$build/mosquitto_guard.so" "$2" "$1" 100 \
    policy_file="$dir/policy" auth_throttle=no ${options:-} >"$dir/said" 2>"$dir/log" || { cat "$dir/log" >&2; exit 1; }
  grep -q "^$2 allowed" "$dir/said" || { echo "not all were allowed: $(cat "$dir/said")" >&2; exit 1; }
  sed -n 's/.*Collected : \([0-9]*\).*/\1/p' "$dir/log"
}

per_check() { # KIND: the difference of two lengths, so that what happens once does not count
  local a b
  a=$(count "$1" 2000)
  b=$(count "$1" 4000)
  echo $(((b - a + 1000) / 2000))
}

printf '%-10s %8s %8s %8s %8s\n' rules write audited read fan-out
for roles in ${SIZES:-0 200 20000}; do
  policy "$roles" >"$dir/policy"
  chmod 640 "$dir/policy"
  printf '%-10s %8s %8s %8s %8s\n' $((20 + roles * 5)) "$(per_check write)" "$(options=audit_dir=$dir/trail per_check publish)" \
    "$(per_check read)" "$(per_check fanout)"
done
