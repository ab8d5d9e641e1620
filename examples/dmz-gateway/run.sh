#!/usr/bin/env bash
# A plant behind a gateway: values go out to a DMZ, nothing comes in. Three real networks; the DMZ tries hard. Needs root.
#   examples/dmz-gateway/run.sh            plays it, then everything stays up for you to try
#   examples/dmz-gateway/run.sh --test     plays it and ends; exit code 1 if anything was not as it should be
. "$(dirname "$0")/../lib.sh"
options "$@"
prefix=guard-$$

make_keys() {
  local ca=$examples/mtls-fleet/ca.sh
  mkdir ot dmz
  (cd ot && "$ca" init "OT CA" && "$ca" server server ot.example IP:10.10.0.1 && "$ca" client press-1 /CN=press-1 && "$ca" client ann /CN=ann)
  (cd dmz && "$ca" init "DMZ CA" && "$ca" server server dmz.example IP:10.99.0.2 && "$ca" client ot-gateway /CN=ot-gateway &&
    "$ca" client dashboard /CN=dashboard)
  openssl rand -hex 16 >export.secret
  sed -i "s/SECRET-OF-EXPORT/$(cat export.secret)/" gateway.conf
  guardctl passwd export - <export.secret | sed -n '/^password/p' >>policy-ot.conf # the file ends with [client export]
}

at_end() { "$here/network.sh" down "$prefix"; }
# within NETWORK COMMAND…
within() { ip netns exec "$prefix-$1" "${@:2}"; }
# ot NAME, dmz NAME: the options of a client of that broker
ot() { echo "-h 10.10.0.1 -p 8883 --cafile $dir/etc/ot/ca.pem --cert $dir/etc/ot/$1.pem --key $dir/etc/ot/$1.key -i $1"; }
dmz() { echo "-h 10.99.0.2 -p 8883 --cafile $dir/etc/dmz/ca.pem --cert $dir/etc/dmz/$1.pem --key $dir/etc/dmz/$1.key -i $1"; }
on() { trail=$dir/log/$1/audit; }
publishes() { within "$1" mosquitto_pub -V 5 -q 1 "${@:2}"; }

start_brokers() {
  mkdir "$dir/log/ot" "$dir/log/gateway" "$dir/log/dmz"
  step brokers
  broker dmz dmz.conf ip netns exec "$prefix-dmz"
  broker ot ot.conf ip netns exec "$prefix-ot"
  sed -i '1i log_type all' "$dir/etc/gateway.conf" # to see below what reaches it
  broker gateway gateway.conf ip netns exec "$prefix-ot"
  echo "Mosquitto $(version): ot in the plant, gateway beside it, dmz in the DMZ"
}

# shellcheck disable=SC2046 # words on purpose, here and below
outward() {
  heading "Outward: a machine's value reaches a dashboard in the DMZ"
  on dmz
  audit_from_here
  start dashboard ip netns exec "$prefix-dmz" mosquitto_sub -V 5 -q 1 $(dmz dashboard) -t 'plant/#' -v
  must "the dashboard listens at the DMZ's broker" audited '"action":"mqtt-subscribe"' '"dashboard"'
  must "the gateway is connected to the DMZ's broker" logged "as ot-gateway"
  on ot
  seen=0
  must "the gateway reads at the OT broker" audited '"action":"mqtt-subscribe"' '"export"'
  start press ip netns exec "$prefix-plant" mosquitto_sub -V 5 -q 1 $(ot press-1) -t plant/hall1/press-1/set -v
  must "press-1 listens for orders at the OT broker" audited '"action":"mqtt-subscribe"' '"press-1"'
  try allowed "press-1 publishes its value in the plant" publishes plant $(ot press-1 | sed 's/-i .*/-i press-1-out/') \
    -t plant/hall1/press-1/value -m "80 bar"
  must "the dashboard in the DMZ shows it" said dashboard "press-1/value 80 bar"
}

# scan NETWORK ADDRESS LAST EXPECTED WHAT
scan() {
  local found
  found=$(within "$1" "$here/scan.py" "$2" 1 "$3")
  must "$5: $found" [ "$found" = "$4" ]
}

# shellcheck disable=SC2046
inward() {
  heading "Inward, by the network: from the DMZ, every port of the OT machine's outer address, and those of the plant's"
  scan ot 10.99.0.2 65535 8883 "(so the scan sees what is open: from OT, ports of the DMZ's broker)"
  scan dmz 10.99.0.1 65535 none "10.99.0.1, the OT machine outside, open ports"
  scan dmz 10.10.0.1 10000 none "10.10.0.1, the OT machine inside, open ports"
  scan dmz 10.10.0.7 10000 none "10.10.0.7, press-1, open ports"

  heading "Inward, by the brokers"
  on dmz
  try refused "a dashboard gives press-1 an order, at the DMZ's broker" publishes dmz $(dmz dashboard | sed 's/-i .*/-i dashboard-2/') \
    -t plant/hall1/press-1/set -m "200 bar"
  try refused "somebody has the gateway's key: an order" publishes dmz $(dmz ot-gateway | sed 's/-i .*/-i thief/') \
    -t plant/hall1/press-1/set -m "200 bar"
  on ot
  try refused "somebody has the gateway's password at the OT broker: an order" publishes ot -h 127.0.0.1 -p 1883 -i thief -u export \
    -P "$(cat "$dir/etc/export.secret")" -t plant/hall1/press-1/set -m "200 bar"
}

# shellcheck disable=SC2046
taken_over() {
  heading "The DMZ's broker itself is taken over, and sends an order down the gateway's connection"
  end dmz
  start dmz ip netns exec "$prefix-dmz" "$here/taken_over.py" 10.99.0.2 "$dir/etc/dmz/server.pem" "$dir/etc/dmz/server.key" \
    plant/hall1/press-1/set "200 bar"
  must "the gateway has connected to it, and the order was sent" said dmz '^sent'
  trail=$dir/log/gateway/audit
  must "it has reached the gateway" logged 'Received PUBLISH from .*plant/hall1/press-1/set'
  on ot
  try allowed "then Ann, in the plant, gives an order of her own" publishes plant $(ot ann) -t plant/hall1/press-1/set -m "90 bar"
  must "press-1 has Ann's order" said press "90 bar"
  must "and no other, ever" eval "! said press '200 bar'"
  must "the OT broker has never seen it: of the user export its trail has the thief's order alone" \
    [ "$(audit_lines | grep '"action":"mqtt-publish"' | grep -c '"name":"export"')" = 1 ]
}

to_try() {
  end dmz
  broker dmz dmz.conf ip netns exec "$prefix-dmz"
  cat <<TEXT
  ip netns exec $prefix-dmz mosquitto_sub $(dmz dashboard | sed 's/-i .*/-i me/') -t 'plant/#' -v
  ip netns exec $prefix-plant mosquitto_pub $(ot press-1 | sed 's/-i .*/-i me/') -t plant/hall1/press-1/value -m "81 bar"
  ip netns exec $prefix-dmz $here/scan.py 10.99.0.1 1 65535
  ip netns exec $prefix-dmz bash          # you are in the DMZ: try to get in
  guardctl audit tail -f $dir/log/ot/audit
TEXT
}

begin "a plant behind a gateway" example-network
[ "$(id -u)" = 0 ] || skip "network namespaces need root"
why=$({ "$here/network.sh" up "$prefix" && within dmz true; } 2>&1) || skip "this machine does not permit network namespaces: ${why%%$'\n'*}"
put ot.conf policy-ot.conf gateway.conf dmz.conf policy-dmz.conf
keys make_keys
start_brokers
outward
inward
taken_over
finish
