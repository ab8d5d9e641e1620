#!/usr/bin/env bash
# Mosquitto Guard in two minutes: builds it, starts a real broker with it, and lets three devices try what they may and may not do.
#   examples/quickstart/run.sh            shows it and ends; leaves nothing behind but build/
#   examples/quickstart/run.sh --stay     keeps the broker up afterwards, and says how to connect
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
build=$top/build/release
PATH=$PATH:/usr/sbin

stay=no
case ${1:-} in
  "") ;;
  --stay) stay=yes ;;
  *) sed -n '2,4s/^# //p' "$0"; exit 2 ;;
esac

bold= dim= green= red= plain=
if [ -t 1 ] && [ "${TERM:-dumb}" != dumb ] && [ -z "${NO_COLOR:-}" ]; then
  bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
fi

dir=$(mktemp -d)
broker=
unexpected=0
cleanup() {
  [ -z "$broker" ] || { kill "$broker" 2>/dev/null && wait "$broker" 2>/dev/null; } || true
  rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

stop() { printf '%s\n' "$@" >&2; exit 1; }
heading() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
# progress NUMBER WHAT: the beginning of a line; `done_ TEXT` is its end
progress() { printf '[%s/4] %-10s ' "$1" "$2"; }

prepare() {
  printf '%sMosquitto Guard, quick start%s\n\n' "$bold" "$plain"
  progress 1 packages
  local missing
  missing=$("$top/tests/setup/install.sh" --list build run example | tr '\n' ' ')
  [ -z "$missing" ] || printf 'installing: %s\n                 ' "$missing"
  "$top/tests/setup/install.sh" build run example >"$dir/log" || exit 3
  echo "all here"

  progress 2 build
  local start=$SECONDS
  { cd "$top" && cmake --preset release && cmake --build build/release --target mosquitto_guard guardctl; } >"$dir/log" 2>&1 ||
    { tail -n 30 "$dir/log"; stop "The build failed."; }
  echo "mosquitto_guard.so and guardctl in build/release ($((SECONDS - start)) s)"

  progress 3 keys
  make_keys >"$dir/log" 2>&1 || { tail -n 5 "$dir/log"; stop "Making keys failed."; }
  echo "a certificate authority, a token issuer's key, an audit key, a password: made for this run"

  progress 4 broker
  start_broker
  echo "Mosquitto $(mosquitto -h | sed -n '1s/^mosquitto version //p') on 127.0.0.1: port $port_plain plain, $port_tls TLS, $port_web websockets"
}

make_keys() {
  cd "$dir"
  umask 077
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=Quick start CA" -keyout ca.key -out ca.pem
  certificate server localhost "subjectAltName=DNS:localhost,IP:127.0.0.1"
  certificate gate-3 gate-3 "extendedKeyUsage=clientAuth"
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out issuer.key
  openssl pkey -in issuer.key -pubout -out issuer.pub
  openssl genpkey -algorithm ed25519 -out audit.key
  mkdir audit
  cp "$here/policy.conf" policy.conf
  printf '\n; thermo-1 has a password (made by guardctl passwd)\n' >>policy.conf
  echo open-sesame | "$build/guardctl" passwd thermo-1 - >>policy.conf
}

# certificate FILE COMMON-NAME EXTENSION
certificate() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$2" -keyout "$1.key" -out "$1.csr"
  openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -days 2 -out "$1.pem" \
    -extfile <(printf 'basicConstraints=CA:FALSE\n%s\n' "$3")
}

start_broker() {
  read -r port_plain port_tls port_web < <(python3 -c '
import socket
s = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*[x.getsockname()[1] for x in s])')
  sed -e "s|@USER@|$(id -un)|; s|@DIR@|$dir|; s|@BUILD@|$build|" \
    -e "s|@PLAIN@|$port_plain|; s|@TLS@|$port_tls|; s|@WEB@|$port_web|" "$here/mosquitto.conf.in" >"$dir/mosquitto.conf"
  mosquitto -c "$dir/mosquitto.conf" >"$dir/broker.out" 2>&1 &
  broker=$!
  for _ in $(seq 100); do
    grep -qs 'mosquitto version .* running' "$dir/broker.log" && return
    kill -0 "$broker" 2>/dev/null || break
    sleep 0.05
  done
  tail -n 20 "$dir/broker.log" "$dir/broker.out" 2>/dev/null
  stop "The broker did not start."
}

# token NAME [OPTION…]: what the issuer would give the device
token() {
  local name=$1
  shift
  "$build/guardctl" token issue --key "$dir/issuer.key" --issuer quickstart --audience mqtt --subject "$name" --expires-in 10m "$@"
}

# --- one attempt: what happens, and what the audit trail says about it

# outcome COMMAND…: allowed, refused or "not let in", by what an MQTT client said
outcome() {
  local said
  said=$("$@" 2>&1 </dev/null) || true
  case $said in
    *"Connection error"* | *"Connection Refused"* | *"not let in"*) echo "not let in" ;;
    *[Nn]"ot authori"* | *denied* | refused) echo refused ;;
    *) echo allowed ;;
  esac
}

# try EXPECTED WHAT COMMAND…: runs it, says how it ended, shows the audit line that belongs to it
try() {
  local expected=$1 what=$2 came mark colour=$green
  shift 2
  audit_mark
  came=$(outcome "$@")
  mark='✓'
  [ "$came" = allowed ] || { mark='✗'; colour=$red; }
  printf '  %s%s%s %-46s %s%s%s\n' "$colour" "$mark" "$plain" "$what" "$colour" "$came" "$plain"
  audit_show "$came"
  [ "$came" = "$expected" ] || { echo "    ! expected: $expected"; unexpected=1; }
}

audit_mark() { seen=$(audit_lines | wc -l); }
audit_lines() { cat "$dir"/audit/audit-*.ndjson 2>/dev/null; }

# audit_show OUTCOME: the newest event that tells of it, as `guardctl audit tail` shows it (without the date)
audit_show() {
  local action='(publish|subscribe)'
  [ "$1" != "not let in" ] || action=connect
  for _ in $(seq 100); do
    audit_lines | tail -n "+$((seen + 1))" | grep -qE "\"action\":\"mqtt-$action\"" && break
    sleep 0.02
  done
  "$build/guardctl" audit tail -n 20 "$dir/audit" | grep -E "^[-0-9]+ [:.0-9]+ $action " | tail -n 1 |
    sed -E "s/^[-0-9]+ //; s/ +/ /g; s/^/    $dim/; s/\$/$plain/"
}

pub() { mosquitto_pub -V 5 -q 1 -h 127.0.0.1 "$@"; }
sub() { mosquitto_sub -V 5 -q 1 -h 127.0.0.1 -E "$@"; }
sub_wait() { mosquitto_sub -V 5 -q 1 -h 127.0.0.1 -C 1 -W 5 -F '    thermo-1 received: %p' "$@"; }

devices() {
  heading "The whole policy"
  grep -v '^;' "$here/policy.conf" | sed "/^$/d; s/^/    /"

  heading "thermo-1 has a password"
  local me="-p $port_plain -i thermo-1 -u thermo-1" # shellcheck disable=SC2086: words on purpose
  try allowed "publishes its own telemetry" pub $me -P open-sesame -t devices/thermo-1/data -m 21.5
  try refused "publishes as if it were pump-2" pub $me -P open-sesame -t devices/pump-2/data -m 99
  try refused "subscribes to everything (#)" sub $me -P open-sesame -t '#'
  try "not let in" "tries a wrong password" pub $me -P open-barley -t devices/thermo-1/data -m 21.5

  heading "pump-2 has a token from the issuer, and speaks websockets"
  local web=("$here/websocket_device.py" "$port_web" pump-2)
  try allowed "publishes its own telemetry" "${web[@]}" "$(token pump-2)" devices/pump-2/data 7bar
  try refused "publishes as if it were gate-3" "${web[@]}" "$(token pump-2)" devices/gate-3/data open
  try "not let in" "comes back with an expired token" "${web[@]}" "$(token pump-2 --now $(($(date +%s) - 3600)))" devices/pump-2/data 7bar

  heading "gate-3 has a client certificate, and speaks TLS"
  local tls="-p $port_tls -i gate-3 --cafile $dir/ca.pem --cert $dir/gate-3.pem --key $dir/gate-3.key"
  try allowed "publishes its own telemetry" pub $tls -t devices/gate-3/data -m closed
  try allowed "subscribes to its commands" sub $tls -t devices/gate-3/commands

  heading "olga is an operator: her token says so"
  local olga="-p $port_plain -i olga -u olga -P $(token olga --claim 'roles=["operator"]')"
  try allowed "watches every device" sub $olga -t 'devices/#'
  # shellcheck disable=SC2086
  sub_wait $me -P open-sesame -t devices/thermo-1/commands >"$dir/received" &
  local listener=$!
  sleep 0.3
  try allowed "sends a command to thermo-1, which listens" pub $olga -t devices/thermo-1/commands -m "report now"
  wait "$listener" && cat "$dir/received" || { echo "    ! thermo-1 got nothing"; unexpected=1; }
  try refused "sends one to gate-3 (a deny rule)" pub $olga -t devices/gate-3/commands -m open

  heading "Somebody without any credential"
  try "not let in" "connects" pub -p "$port_plain" -i nobody -t devices/thermo-1/data -m 0
}

why() {
  heading "Why was that refused? Ask the policy itself:"
  local question=(explain --policy policy.conf --username thermo-1 publish devices/pump-2/data)
  echo "  \$ guardctl ${question[*]}"
  local answer=0
  (cd "$dir" && "$build/guardctl" "${question[@]}" >answer 2>&1) || answer=$?
  sed 's/^/    /' "$dir/answer"
  [ "$answer" = 1 ] || unexpected=1 # 1 is "denied"

  heading "Can anybody have changed the audit trail?"
  kill "$broker" && wait "$broker" || true
  broker=
  openssl pkey -in "$dir/audit.key" -pubout -out "$dir/audit.pub"
  echo "  \$ guardctl audit verify --key audit.pub audit/"
  (cd "$dir" && "$build/guardctl" audit verify --key audit.pub audit) | sed 's/^/    /' || unexpected=1
}

how_to_connect() {
  heading "The broker stays up. Ctrl-C ends it and removes $dir"
  cat <<TEXT
  mosquitto_pub -V 5 -q 1 -p $port_plain -i thermo-1 -u thermo-1 -P open-sesame -t devices/thermo-1/data -m 21.5
  mosquitto_sub -p $port_tls --cafile $dir/ca.pem --cert $dir/gate-3.pem --key $dir/gate-3.key -i gate-3 -t devices/gate-3/commands
  mosquitto_sub -p $port_plain -i olga -u olga -P "\$($build/guardctl token issue --key $dir/issuer.key --issuer quickstart \\
    --audience mqtt --subject olga --expires-in 1h --claim 'roles=["operator"]')" -t 'devices/#' -v
  $build/guardctl audit tail $dir/audit
  edit $dir/policy.conf, then: kill -HUP $broker
TEXT
  wait "$broker"
}

prepare
devices
if [ "$stay" = yes ]; then
  how_to_connect
else
  why
  heading "That was it: one plugin line, one policy, every decision on record."
  echo "Next: README.md, docs/configuration.md, docs/policy.md. To try on: examples/quickstart/run.sh --stay"
fi
exit "$unexpected"
