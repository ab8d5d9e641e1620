#!/usr/bin/env bash
# What the examples share: packages, build, keys, brokers, attempts with their audit lines, the end. Sourced by each run.sh,
# which calls `begin`, plays its story, and calls `finish`. While it runs, everything it makes is in $dir:
#   etc/ lib/ log/   what would be /etc/mosquitto, /var/lib/mosquitto and /var/log/mosquitto; removed at the end
# GUARD_BUILD (build folder) and GUARD_BROKER (a Mosquitto's path) are for tests: with GUARD_BUILD nothing is built.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
examples=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$examples/.." && pwd)
build=${GUARD_BUILD:-$top/build/release}
broker_program=${GUARD_BROKER:-mosquitto}
PATH=$build:$PATH:/usr/sbin:/sbin

bold="" dim="" green="" red="" plain=""
if [ -t 1 ] && [ "${TERM:-dumb}" != dumb ] && [ -z "${NO_COLOR:-}" ]; then
  bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
fi

# --- the frame of an example

# options ARGUMENT…: sets $mode to play (the story, then everything stays up) or test (the story, judged by the exit code)
options() {
  case ${1:-} in
    "") mode=play ;;
    --test) mode=test ;;
    *) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 2 ;;
  esac
}

# begin TITLE [GROUP…]: packages (those groups of tests/setup/packages.txt besides the usual ones), build, an empty $dir
begin() {
  local title=$1
  shift
  dir=$(mktemp -d)
  mkdir "$dir/etc" "$dir/lib" "$dir/log"
  trail=$dir/log/audit
  unexpected=0
  declare -gA child=() port=()
  places=(-e "s|/etc/mosquitto|$dir/etc|g" -e "s|/var/lib/mosquitto|$dir/lib|g" -e "s|/var/log/mosquitto|$dir/log|g"
    -e "s|^(plugin) .*/mosquitto_guard\.so|\1 $build/mosquitto_guard.so|")
  trap cleanup EXIT
  trap 'exit 130' INT TERM
  printf '%sMosquitto Guard: %s%s\n\n' "$bold" "$title" "$plain"
  packages build run example "$@"
  build_it
}

cleanup() {
  local name
  for name in "${!child[@]}"; do end "$name"; done
  if declare -F at_end >/dev/null; then at_end || true; fi
  rm -rf "$dir"
}

stop() { printf '%s\n' "$@" >&2; exit 1; }

# skip WHY: this machine cannot run the example
skip() { printf 'skipped: %s\n' "$*" >&2; exit 77; }

heading() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
# step NAME: the beginning of a line; `echo TEXT` is its end
step() { printf '%-10s ' "$1"; }

packages() {
  local missing
  step packages
  missing=$("$top/tests/setup/install.sh" --list "$@" | tr '\n' ' ')
  [ -z "$missing" ] || printf 'installing: %s\n           ' "$missing"
  "$top/tests/setup/install.sh" "$@" >"$dir/packages.out" || exit 3
  echo "all here"
}

build_it() {
  local start=$SECONDS
  step build
  if [ -z "${GUARD_BUILD:-}" ]; then
    mkdir -p "$top/build"
    (
      flock 9 # two examples may be started at once
      cd "$top" && cmake --preset release && cmake --build build/release --target mosquitto_guard guardctl
    ) >"$dir/build.out" 2>&1 9>"$top/build/.examples.lock" || { tail -n 30 "$dir/build.out"; stop "The build failed."; }
  fi
  echo "mosquitto_guard.so and guardctl in ${build#"$top"/} ($((SECONDS - start)) s)"
}

# keys COMMAND: runs it in $dir/etc; what it says is shown only if it fails. Files it makes are the user's alone.
keys() {
  step keys
  (umask 077 && cd "$dir/etc" && "$@") >"$dir/keys.out" 2>&1 || { tail -n 5 "$dir/keys.out"; stop "Making keys failed."; }
  echo "made for this run"
}

# finish: in a test, the verdict; else the function `to_try` says what can be done now, and everything stays up until Ctrl-C
finish() {
  if [ "$unexpected" != 0 ]; then
    heading "Something was not as expected. The brokers' logs end so:"
    tail -n 15 "$dir"/log/*.log "$dir"/log/*/*.log "$dir"/*.out 2>/dev/null || true
  fi
  if [ "$mode" = play ]; then
    heading "Everything stays up. Ctrl-C ends it and removes $dir. In another terminal:"
    printf '  cd %s; PATH=%s:$PATH\n' "$dir/etc" "$build"
    to_try
    start pause sleep infinity
    wait "${child[pause]}" || true
  fi
  exit "$unexpected"
}

# --- processes

# start NAME COMMAND…: in the background, its output in $dir/NAME.out, ended with the example
start() {
  local name=$1
  shift
  "$@" >"$dir/$name.out" 2>&1 </dev/null &
  child[$name]=$!
}

# end NAME: ends it and waits for that
end() {
  kill "${child[$1]}" 2>/dev/null || true
  wait "${child[$1]}" 2>/dev/null || true
  unset "child[$1]"
}

alive() { kill -0 "${child[$1]}" 2>/dev/null; }
gone() { ! alive "$1"; }
# logged PATTERN [TIMES]: the log of the broker with that trail has it so often
logged() { [ "$(grep -cE -- "$1" "$(dirname "$trail")/mosquitto.log")" -ge "${2:-1}" ]; }
# said NAME PATTERN: its output has that
said() { grep -qE -- "$2" "$dir/$1.out"; }

# soon COMMAND…: tries for ten seconds until it succeeds
soon() {
  local end=$((SECONDS + 10))
  while ! "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.05
  done
}

# listen NUMBER…: ports of the example's configurations; this run uses a free one of 127.0.0.1 instead: ${port[NUMBER]}
listen() {
  local number free
  while read -r number free; do
    port[$number]=$free
    places+=(-e "s/^listener $number( .*)?\$/listener $free 127.0.0.1/" -e "s/127\.0\.0\.1:$number\b/127.0.0.1:$free/g")
  done < <(python3 -c '
import random, socket, sys
held = []  # below the ports that the kernel gives to connections: a server that restarts gets its own back
while len(held) < len(sys.argv) - 1:
    try:
        held.append(socket.create_server(("127.0.0.1", random.randint(10240, 32000))))
    except OSError:
        pass
for number, one in zip(sys.argv[1:], held):
    print(number, one.getsockname()[1])' "$@")
}

# put FILE…: the example's files, with this run's places and ports in them, to $dir/etc
put() {
  local file
  for file in "$@"; do
    sed -E "${places[@]}" "$here/$file" >"$dir/etc/$(basename "$file")"
  done
}

# broker NAME CONFIGURATION [COMMAND…]: a Mosquitto with a file that `put` has put (COMMAND…: what runs it, `ip netns exec …`)
broker() {
  local name=$1 config=$dir/etc/$2 log folder
  shift 2
  grep -q '^user ' "$config" || sed -i "1i user $(id -un)" "$config"
  log=$(sed -n 's/^log_dest file //p' "$config")
  folder=$(sed -nE 's/^plugin_opt_audit_dir +//p' "$config")
  [ -z "$folder" ] || mkdir -p -m 0750 "$folder"
  : >"$log"
  doctor "$name" "$config"
  start "$name" "$@" "$broker_program" -c "$config"
  for _ in $(seq 200); do
    grep -qs 'mosquitto version .* running' "$log" && return
    alive "$name" || break
    sleep 0.05
  done
  tail -n 20 "$log" "$dir/$name.out" 2>/dev/null
  stop "The broker $name did not start."
}

# doctor NAME CONFIGURATION: before its first start; what the doctor finds in a file that is there to be copied is a mistake
doctor() {
  [ ! -e "$dir/doctor-$1.out" ] && grep -q '^plugin ' "$2" || return 0
  guardctl doctor "$2" >"$dir/doctor-$1.out" 2>&1 || true
  # whoever plays this as root is the broker's user here
  if grep -E ': (error|warning): ' "$dir/doctor-$1.out" | grep -v '\[user-root\]'; then unexpected=1; fi
}

# redis: a Redis of this run's own; its port stands for 6379 in the example's files
redis() {
  listen 6379
  export GUARD_REDIS_URL=redis://127.0.0.1:${port[6379]}
  redis_start
}
redis_start() {
  start redis redis-server --port "${port[6379]}" --bind 127.0.0.1 --save "" --appendonly no --dir "$dir/lib"
  soon redis-cli -p "${port[6379]}" ping || stop "Redis did not start." "$(tail -n 5 "$dir/redis.out")"
}

version() { "$broker_program" -h | sed -n '1s/^mosquitto version //p'; }

# --- attempts: what happens, and what the audit trail says about it

pub() { mosquitto_pub -V 5 -q 1 -h 127.0.0.1 "$@"; }
# sub …: only asks whether the broker grants the subscription
sub() { mosquitto_sub -V 5 -q 1 -h 127.0.0.1 -E "$@"; }

# outcome COMMAND…: allowed, refused or "not let in", by what an MQTT client said
outcome() {
  local said code=0
  said=$("$@" 2>&1 </dev/null) || code=$?
  case $said in
    *"Connection error"* | *"Connection Refused"* | *"not let in"* | *"TLS error"* | *"lost"*) echo "not let in" ;;
    *[Nn]"ot authori"* | *denied* | refused) echo refused ;;
    *) if [ $code = 0 ]; then echo allowed; else echo "failed: $said"; fi ;;
  esac
}
is() { [ "$(outcome "${@:2}")" = "$1" ]; }

# mark GOOD: a tick or a cross in its colour
mark() {
  if [ "$1" = yes ]; then printf '%s✓%s' "$green" "$plain"; else printf '%s✗%s' "$red" "$plain"; fi
}

# try EXPECTED WHAT COMMAND…: runs it, says how it ended, shows the audit line that belongs to it
try() {
  local expected=$1 what=$2 came good=yes
  shift 2
  seen=$(audit_lines | wc -l)
  came=$(outcome "$@")
  [ "$came" = allowed ] || good=no
  printf '  %s %-56s %s\n' "$(mark $good)" "$what" "$came"
  audit_show "$came"
  [ "$came" = "$expected" ] || { echo "    ! expected: $expected"; unexpected=1; }
}

# must WHAT COMMAND…: it is as the story says, now or soon
must() {
  local what=$1
  shift
  if soon "$@"; then
    printf '  %s %s\n' "$(mark yes)" "$what"
  else
    printf '  %s %s\n    ! it is not so\n' "$(mark no)" "$what"
    unexpected=1
  fi
}

# audit_lines: of the trail's files in the order of their numbers
audit_lines() { (cd "$trail" 2>/dev/null && find . -name 'audit-*.ndjson' | sort -t- -k3n | xargs -r cat) || true; }

# audited PATTERN [PATTERN]: since the last `try` or `audit_from_here` the trail has a line with both
audited() { audit_lines | tail -n "+$((seen + 1))" | grep -E -- "$1" | grep -qE -- "${2:-}"; }
audit_from_here() { seen=$(audit_lines | wc -l); }

# audit_show OUTCOME: the newest event that tells of it, as `guardctl audit tail` shows it (without the date)
audit_show() {
  local action='(publish|subscribe)' _
  [ "$1" != "not let in" ] || action=connect
  for _ in $(seq 100); do
    audited "\"action\":\"mqtt-$action\"" && break
    sleep 0.02
  done
  guardctl audit tail -n 20 "$trail" | grep -E "^[-0-9]+ [:.0-9]+ $action " | tail -n 1 |
    sed -E "s/^[-0-9]+ //; s/ +/ /g; s/^/    $dim/; s/\$/$plain/" || true
}

# shell COMMAND [CODE]: shows and runs a command line in $dir/etc, as a person would, and indents what it says. It must end with
# that exit code (0).
shell() {
  local code=0
  printf '  $ %s\n' "$1"
  (cd "$dir/etc" && eval "$1") >"$dir/shell.out" 2>&1 || code=$?
  sed "s/^/    $dim/; s/\$/$plain/" "$dir/shell.out"
  [ "$code" = "${2:-0}" ] || { unexpected=1; echo "    ! exit code $code, expected: ${2:-0}"; }
}

# policy FILE: shows it without its comments
policy() {
  heading "The whole policy"
  sed -E '/^[;#]/d; /^$/d; s/^/    /' "$here/${1:-policy.conf}"
}
