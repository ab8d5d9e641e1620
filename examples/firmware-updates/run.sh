#!/usr/bin/env bash
# Firmware by MQTT: only the release pipeline publishes it, devices fetch what is theirs; a device that was taken over tries everything.
#   examples/firmware-updates/run.sh            plays it, then everything stays up for you to try
#   examples/firmware-updates/run.sh --test     plays it and ends; exit code 1 if anything was not as it should be
. "$(dirname "$0")/../lib.sh"
options "$@"

make_keys() {
  local ca=$examples/mtls-fleet/ca.sh
  "$ca" init "Fleet CA"
  "$ca" server server localhost IP:127.0.0.1
  "$ca" client pipeline /OU=release/CN=pipeline email:ci@releases.example
  "$ca" client pump-1 /OU=devices/CN=pump-1 URI:urn:example:p100:pump-1
  "$ca" client gate-3 /OU=devices/CN=gate-3 URI:urn:example:g7:gate-3
  openssl genpkey -algorithm ed25519 -out release.key
  openssl pkey -in release.key -pubout -out release.pub
}

# tls NAME: the options of a client that shows that certificate; the client id is chosen by the tool
tls() { echo "-h 127.0.0.1 -p ${port[8883]} --cafile $dir/etc/ca.pem --cert $dir/etc/$1.pem --key $dir/etc/$1.key"; }
# release MODEL VERSION
# shellcheck disable=SC2046,SC2086 # words on purpose, here and below
release() {
  head -c 100000 /dev/urandom >"$dir/lib/$1-$2.bin"
  "$here/release.sh" "$dir/etc/release.key" "$1" "$2" "$dir/lib/$1-$2.bin" $(tls pipeline)
}
# update DEVICE MODEL
update() { "$here/update.sh" "$dir/etc/release.pub" "$2" "$1" "$dir/lib/$1" $(tls "$1"); }
# has DEVICE VERSION: it runs that
has() { [ "$(cat "$dir/lib/$1/version")" = "$2" ] && cmp -s "$dir/lib/$1/image" "$dir/lib/$3-$2.bin"; }

good_days() {
  policy
  heading "The pipeline releases; devices fetch what is for their model"
  start progress mosquitto_sub -V 5 -q 1 $(tls pipeline) -t 'firmware-progress/#' -v
  seen=0
  must "it listens for what devices report" audited '"action":"mqtt-subscribe"'
  must "release 1.0 for the pumps" release p100 1.0
  must "release 4.2 for the gates" release g7 4.2
  must "pump-1 updates itself" update pump-1 p100
  must "it runs 1.0, octet by octet" has pump-1 1.0 p100
  must "gate-3 updates itself" update gate-3 g7
  must "the pipeline reads of it" said progress 'firmware-progress/g7/gate-3 .*4\.2'
}

bad_day() {
  heading "pump-1 was taken over. It has a good certificate, and tries"
  local me
  me="$(tls pump-1) -i pump-1"
  printf 'evil' >"$dir/lib/evil"
  try refused "to release for its own model" pub $me -r -t firmware/p100/manifest -f "$dir/lib/evil"
  try refused "to release for another" pub $me -r -t firmware/g7/manifest -f "$dir/lib/evil"
  try refused "to remove the manifest (an empty retained message)" pub $me -r -n -t firmware/p100/manifest
  try refused "to put another image in the place of the good one" pub $me -r -t firmware/p100/image/1.0 -f "$dir/lib/evil"
  try refused "to read what is for the gates" sub $me -t 'firmware/g7/#'
  try refused "to read everything" sub $me -t 'firmware/#'
  try refused "to take updates away from others (a shared subscription)" sub $me -t '$share/pumps/firmware/p100/#'
  try refused "to report that gate-3 has failed" pub $me -t firmware-progress/g7/gate-3 -m '{"failed":true}'
  try refused "to leave a report that stays (retained)" pub $me -r -t firmware-progress/p100/pump-1 -m '{"installed":"9.9"}'
  by_will "$me"
  by_client_id
  heading "Nothing of it has arrived"
  try allowed "what it may, it still may: report" pub $me -t firmware-progress/p100/pump-1 -m '{"installed":"1.0"}'
  rm -r "$dir/lib/pump-1"
  must "a pump that begins anew gets 1.0, octet by octet" eval 'update pump-1 p100 && has pump-1 1.0 p100'
  must "the next release arrives" eval 'release p100 1.1 && update pump-1 p100 && has pump-1 1.1 p100'
}

# by_will OPTIONS: a will is published when its client is gone, which is the moment to refuse it
by_will() {
  audit_from_here
  start will mosquitto_sub -V 5 -q 1 $1 -t firmware/p100/manifest --will-topic firmware/p100/manifest --will-payload evil --will-retain
  must "it leaves a will for the manifest, and loses its connection" audited '"action":"mqtt-connect"' '"outcome":"success"'
  kill -KILL "${child[will]}"
  must "the will is refused" audited 'firmware/p100/manifest' '"outcome":"failure"'
  end will
}

by_client_id() {
  start ci mosquitto_sub -V 5 -q 1 $(tls pipeline) -i ci -t 'firmware-progress/#'
  must "the pipeline is connected" logged ' as ci '
  try "not let in" "to take over the session of the pipeline (its client id)" pub $(tls pump-1) -i ci -t firmware-progress/p100/pump-1 -m '{}'
  must "the pipeline notices nothing" alive ci
}

second_wall() {
  heading "The second wall: a manifest that the pipeline's certificate has published, with a signature that is not its own"
  openssl genpkey -algorithm ed25519 -out "$dir/lib/other.key"
  "$here/release.sh" "$dir/lib/other.key" p100 9.9 "$dir/lib/evil" $(tls pipeline) | sed 's/^/    /'
  must "pump-1 does not install it: not signed by the pipeline" eval '{ update pump-1 p100 2>&1 || true; } | grep "not signed"'
  must "it runs what it ran" has pump-1 1.1 p100
  must "the pipeline mends it: release 1.2" eval 'release p100 1.2 && update pump-1 p100 && has pump-1 1.2 p100'
}

to_try() {
  cat <<TEXT
  head -c 100000 /dev/urandom >image; $here/release.sh release.key p100 2.0 image $(tls pipeline)
  $here/update.sh release.pub p100 pump-1 $dir/lib/pump-1 $(tls pump-1)
  mosquitto_pub -V 5 -q 1 $(tls pump-1) -r -t firmware/p100/manifest -m evil
  guardctl audit tail --denied $trail
TEXT
}

begin "firmware updates"
listen 8883
keys make_keys
put mosquitto.conf policy.conf
step broker
broker broker mosquitto.conf
echo "Mosquitto $(version) on 127.0.0.1:${port[8883]}, TLS with client certificates"
good_days
bad_day
second_wall
finish
