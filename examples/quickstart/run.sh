#!/usr/bin/env bash
# Mosquitto Guard in two minutes: builds it, starts a real broker with it, and lets three devices try what they may and may not do.
#   examples/quickstart/run.sh            shows it and ends; leaves nothing behind but build/ (--test is the same)
#   examples/quickstart/run.sh --stay     keeps the broker up afterwards, and says how to connect
. "$(dirname "$0")/../lib.sh"
case ${1:-} in
  "" | --test) mode=test ;;
  --stay) mode=play ;;
  *) options --help ;;
esac

make_keys() {
  local ca=$examples/mtls-fleet/ca.sh
  "$ca" init "Quick start CA"
  "$ca" server server localhost IP:127.0.0.1
  "$ca" client gate-3 /CN=gate-3
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out issuer.key
  openssl pkey -in issuer.key -pubout -out issuer.pub
  guardctl audit keygen audit.key
  printf '\n; thermo-1 has a password (made by guardctl passwd)\n' >>policy.conf
  echo open-sesame | guardctl passwd thermo-1 - >>policy.conf
}

# token NAME [OPTION…]: what the issuer would give the device
token() {
  local name=$1
  shift
  guardctl token issue --key "$dir/etc/issuer.key" --issuer quickstart --audience mqtt --subject "$name" --expires-in 10m "$@"
}

devices() {
  policy
  heading "thermo-1 has a password"
  local me="-p ${port[1883]} -i thermo-1 -u thermo-1" # shellcheck disable=SC2086: words on purpose
  try allowed "publishes its own telemetry" pub $me -P open-sesame -t devices/thermo-1/data -m 21.5
  try refused "publishes as if it were pump-2" pub $me -P open-sesame -t devices/pump-2/data -m 99
  try refused "subscribes to everything (#)" sub $me -P open-sesame -t '#'
  try "not let in" "tries a wrong password" pub $me -P open-barley -t devices/thermo-1/data -m 21.5

  heading "pump-2 has a token from the issuer, and speaks websockets"
  local web=("$here/websocket_device.py" "${port[8080]}" pump-2)
  try allowed "publishes its own telemetry" "${web[@]}" "$(token pump-2)" devices/pump-2/data 7bar
  try refused "publishes as if it were gate-3" "${web[@]}" "$(token pump-2)" devices/gate-3/data open
  try "not let in" "comes back with an expired token" "${web[@]}" "$(token pump-2 --now $(($(date +%s) - 3600)))" devices/pump-2/data 7bar

  heading "gate-3 has a client certificate, and speaks TLS"
  local tls="-p ${port[8883]} -i gate-3 --cafile $dir/etc/ca.pem --cert $dir/etc/gate-3.pem --key $dir/etc/gate-3.key"
  try allowed "publishes its own telemetry" pub $tls -t devices/gate-3/data -m closed
  try allowed "subscribes to its commands" sub $tls -t devices/gate-3/commands

  heading "olga is an operator: her token says so"
  local olga="-p ${port[1883]} -i olga -u olga -P $(token olga --claim 'roles=["operator"]')"
  try allowed "watches every device" sub $olga -t 'devices/#'
  audit_from_here
  # shellcheck disable=SC2086
  start listener mosquitto_sub -V 5 -q 1 -h 127.0.0.1 $me -P open-sesame -t devices/thermo-1/commands
  soon audited '"action":"mqtt-subscribe"' || true
  try allowed "sends a command to thermo-1, which listens" pub $olga -t devices/thermo-1/commands -m "report now"
  must "thermo-1 received it" said listener "report now"
  try refused "sends one to gate-3 (a deny rule)" pub $olga -t devices/gate-3/commands -m open

  heading "Somebody without any credential"
  try "not let in" "connects" pub -p "${port[1883]}" -i nobody -t devices/thermo-1/data -m 0
}

why() {
  heading "Why was that refused? Ask the policy itself:"
  shell "guardctl explain --policy policy.conf --username thermo-1 publish devices/pump-2/data" 1 # denied

  heading "Can anybody have changed the audit trail?"
  end broker
  shell "guardctl audit verify --key audit.key.pub $trail"
}

to_try() {
  cat <<TEXT
  mosquitto_pub -V 5 -q 1 -p ${port[1883]} -i thermo-1 -u thermo-1 -P open-sesame -t devices/thermo-1/data -m 21.5
  mosquitto_sub -p ${port[8883]} --cafile ca.pem --cert gate-3.pem --key gate-3.key -i gate-3 -t devices/gate-3/commands
  mosquitto_sub -p ${port[1883]} -i olga -u olga -P "\$(guardctl token issue --key issuer.key --issuer quickstart \\
    --audience mqtt --subject olga --expires-in 1h --claim 'roles=["operator"]')" -t 'devices/#' -v
  guardctl audit tail -f $trail
  edit policy.conf, then: kill -HUP ${child[broker]}
TEXT
}

begin "quick start"
listen 1883 8883 8080
put mosquitto.conf policy.conf
keys make_keys
step broker
broker broker mosquitto.conf
echo "Mosquitto $(version) on 127.0.0.1: port ${port[1883]} plain, ${port[8883]} TLS, ${port[8080]} websockets"
devices
if [ "$mode" = test ]; then
  why
  heading "That was it: one plugin line, one policy, every decision on record."
  echo "Next: README.md, docs/configuration.md, docs/policy.md. To try on: examples/quickstart/run.sh --stay"
fi
finish
