#!/usr/bin/env bash
# A fleet with client certificates of an own CA: who is who by a pattern, and a stolen device shut out while it is connected.
#   examples/mtls-fleet/run.sh            plays it, then everything stays up for you to try
#   examples/mtls-fleet/run.sh --test     plays it and ends; exit code 1 if anything was not as it should be
. "$(dirname "$0")/../lib.sh"
options "$@"

make_keys() {
  local ca=$here/ca.sh
  "$ca" init "Fleet CA"
  "$ca" server server localhost IP:127.0.0.1
  "$ca" client gate-3 /OU=devices/CN=gate-3 DNS:gate-3.berlin.fleet.example
  "$ca" client pump-1 /OU=devices/CN=pump-1 DNS:pump-1.oslo.fleet.example
  "$ca" client olga /OU=staff/CN=Olga email:olga@fleet.example
  "$ca" client printer /OU=devices/CN=printer DNS:printer.other.example
  mkdir foreign
  (cd foreign && "$ca" init "Fleet CA" && "$ca" client gate-3 /OU=devices/CN=gate-3 DNS:gate-3.berlin.fleet.example)
}

make_key_again() { (cd "$dir/etc" && "$here/ca.sh" client gate-3b /OU=devices/CN=gate-3 DNS:gate-3.berlin.fleet.example); }

# tls NAME: the options of a client that shows that certificate
tls() { echo "-p ${port[8883]} --cafile $dir/etc/ca.pem --cert $dir/etc/$1.pem --key $dir/etc/$1.key -i $(basename "$1")"; }

who_is_who() {
  policy
  heading "Who is who: the pattern says it"
  shell "guardctl certificate --identity \"\$(sed -n 's/^plugin_opt_cert_identity //p' mosquitto.conf)\" gate-3.pem"
  # shellcheck disable=SC2046 # words on purpose, here and below
  {
    try allowed "gate-3 in Berlin publishes its data" pub $(tls gate-3) -t sites/berlin/gate-3/data -m closed
    try refused "gate-3 publishes as if it were in Oslo" pub $(tls gate-3) -t sites/oslo/gate-3/data -m closed
    try refused "gate-3 reads commands for pump-1" sub $(tls gate-3) -t sites/oslo/pump-1/commands
    try allowed "Olga reads what all devices send" sub $(tls olga) -t 'sites/#'
    heading "Who is nobody"
    try "not let in" "a certificate of the same CA that fits no pattern" pub $(tls printer) -t sites/berlin/printer/data -m 1
  }
  # shellcheck disable=SC2046
  must "one that another CA of the same name signed: TLS ends" is "not let in" pub $(tls foreign/gate-3) -t sites/berlin/gate-3/data -m 1
  must "none at all: TLS ends" is "not let in" pub -p "${port[8883]}" --cafile "$dir/etc/ca.pem" -i x -t sites/berlin/gate-3/data -m 1
}

stolen() {
  heading "gate-3 is stolen while it is connected"
  audit_from_here
  # shellcheck disable=SC2046
  start gate mosquitto_sub -V 5 -q 1 -h 127.0.0.1 $(tls gate-3) -t sites/berlin/gate-3/commands
  must "it listens" audited '"action":"mqtt-subscribe"'
  # shellcheck disable=SC2046
  try allowed "Olga sends it a command" pub $(tls olga) -t sites/berlin/gate-3/commands -m open
  must "gate-3 has it" said gate open
  shell "guardctl revoke certificate gate-3.pem --reason 'stolen from hall 2'"
  must "its session ended, and it does not come back" gone gate
  # shellcheck disable=SC2046
  {
    try "not let in" "gate-3 tries again" pub $(tls gate-3) -t sites/berlin/gate-3/data -m closed
    try allowed "pump-1 notices nothing" pub $(tls pump-1) -t sites/oslo/pump-1/data -m 7bar
    heading "A new certificate for the device that replaces it"
    make_key_again >"$dir/keys.out" 2>&1
    try allowed "the new gate-3 publishes" pub $(tls gate-3b) -t sites/berlin/gate-3/data -m closed
  }
}

to_try() {
  cat <<TEXT
  mosquitto_sub $(tls olga) -t 'sites/#' -v
  mosquitto_pub $(tls pump-1) -t sites/oslo/pump-1/data -m 7bar
  $here/ca.sh client pump-2 /OU=devices/CN=pump-2 DNS:pump-2.oslo.fleet.example      # one more device: no policy changes
  guardctl --help; export GUARD_REDIS_URL=$GUARD_REDIS_URL; guardctl revoke client oslo-pump-1
  guardctl audit tail -f $trail
TEXT
}

begin "a fleet with client certificates" example-redis
listen 8883
redis
keys make_keys
put mosquitto.conf policy.conf
step broker
broker broker mosquitto.conf
echo "Mosquitto $(version) on 127.0.0.1:${port[8883]}, TLS with client certificates"
who_is_who
stolen
finish
