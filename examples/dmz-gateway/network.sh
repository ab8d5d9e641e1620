#!/bin/sh
# Three networks on one machine: the plant, the OT machine between both, and the DMZ, as network namespaces PREFIX-plant, -ot, -dmz.
#   network.sh up PREFIX | down PREFIX          as root
#     plant 10.10.0.7 ── 10.10.0.1 ot 10.99.0.1 ── 10.99.0.2 dmz
set -eu
[ $# = 2 ] || { sed -n '2,4s/^# \{0,1\}//p' "$0" >&2; exit 2; }
plant=$2-plant ot=$2-ot dmz=$2-dmz

if [ "$1" = down ]; then
  for name in "$plant" "$ot" "$dmz"; do ip netns del "$name" 2>/dev/null || true; done
  exit
fi

for name in "$plant" "$ot" "$dmz"; do
  ip netns add "$name"
  ip -n "$name" link set lo up
done
# cable NAMESPACE INTERFACE ADDRESS NAMESPACE INTERFACE ADDRESS
cable() {
  ip link add "$2" netns "$1" type veth peer name "$5" netns "$4"
  ip -n "$1" addr add "$3" dev "$2"
  ip -n "$4" addr add "$6" dev "$5"
  ip -n "$1" link set "$2" up
  ip -n "$4" link set "$5" up
}
cable "$plant" plant0 10.10.0.7/24 "$ot" inside0 10.10.0.1/24
cable "$ot" outside0 10.99.0.1/30 "$dmz" dmz0 10.99.0.2/30

# The OT machine: what comes in from outside may be for 10.99.0.1 and for nothing else, neither its other addresses (Linux would
# answer for them on every interface) nor the plant behind it. On a real machine a firewall does this, and drops new connections too.
ip -n "$ot" rule add pref 10 iif outside0 to 10.99.0.1/32 lookup local
ip -n "$ot" rule add pref 20 iif outside0 prohibit
ip -n "$ot" rule add pref 100 lookup local
ip -n "$ot" rule del pref 0
# An attacker in the DMZ knows the way to the plant's addresses.
ip -n "$dmz" route add 10.10.0.0/24 via 10.99.0.1
# whatever the machine does: this one does not forward
ip netns exec "$ot" sh -c 'echo 0 >/proc/sys/net/ipv4/ip_forward' 2>/dev/null || true
