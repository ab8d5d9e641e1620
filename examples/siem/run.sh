#!/usr/bin/env bash
# The trail in a SIEM: rsyslog takes it over TLS, attacks raise alerts there, an outage loses nothing, a forged copy is noticed.
#   examples/siem/run.sh            plays it, then everything stays up for you to try
#   examples/siem/run.sh --test     plays it and ends; exit code 1 if anything was not as it should be
. "$(dirname "$0")/../lib.sh"
options "$@"

make_keys() {
  local ca=$examples/mtls-fleet/ca.sh name
  "$ca" init "Plant CA"
  "$ca" server server localhost IP:127.0.0.1
  "$ca" client broker-1 /CN=broker-1
  mkdir tls
  "$ca" server tls/receiver siem.example IP:127.0.0.1
  cp ca.pem tls/
  guardctl audit keygen audit.key
  for name in ann pump-1; do # each stands at the end of a section: [client ann], [client pump-1]
    sed -i "/^\[client $name\]/a $(echo "secret-of-$name" | guardctl passwd "$name" - | sed -n '/^password/p')" policy.conf
  done
}

start_siem() {
  start siem rsyslogd -n -f "$dir/etc/rsyslog-receive.conf" -i "$dir/lib/rsyslogd.pid"
  soon eval "exec 3<>/dev/tcp/127.0.0.1/${port[6514]}" || stop "rsyslog did not start." "$(cat "$dir/siem.out")"
}

as() { echo "-h 127.0.0.1 -p ${port[8883]} --cafile $dir/etc/ca.pem -i $1 -u $1"; }
# there [PATTERN]: the SIEM's copy has that (no pattern: as many lines as the broker's trail)
there() { grep -qE -- "$1" "$copy"; }
complete() { [ "$(audit_lines | grep -v audit-checkpoint | wc -l)" -le "$(grep -cv audit-checkpoint "$copy")" ]; }

# shellcheck disable=SC2046 # words on purpose, here and below
ordinary() {
  heading "An ordinary day: every event is at the SIEM, octet by octet"
  try allowed "pump-1 publishes" pub $(as pump-1) -P secret-of-pump-1 -t devices/pump-1/data -m 7bar
  must "the SIEM has it" there '"action":"mqtt-publish".*devices/pump-1/data|devices/pump-1/data.*"action":"mqtt-publish"'
}

attacks() {
  heading "Three attacks, seen from the SIEM (alerts.sh)"
  local n filters=()
  for n in $(seq 12); do outcome pub $(as ann) -A 127.0.0.2 -P "guess-$n" -t x -m x >/dev/null; done
  must "one address guesses the password of ann" there '"action":"alert-brute-force"'
  for n in $(seq 8); do outcome pub -h 127.0.0.1 -p "${port[8883]}" --cafile "$dir/etc/ca.pem" -A 127.0.0.3 -i "x$n" -u "user-$n" -P summer -t x -m x >/dev/null; done
  must "another one tries a password with many users" there '"action":"alert-password-spray"'
  for n in $(seq 25); do filters+=(-t "plant/valve-$n/set"); done
  outcome sub $(as pump-1) -P secret-of-pump-1 "${filters[@]}" >/dev/null
  must "pump-1, taken over, looks for what it may read" there '"action":"alert-topic-scan"'
  shell "$here/alerts.sh --once $copy"
  must "each alert is shown" [ "$("$here/alerts.sh" --once "$copy" | grep -cE 'alert-(brute-force|password-spray|topic-scan)')" -ge 3 ]
}

outage() {
  heading "The SIEM is gone for a while"
  end siem
  try allowed "pump-1 publishes meanwhile" pub $(as pump-1) -P secret-of-pump-1 -t devices/pump-1/data -m meanwhile-8bar
  must "it is not at the SIEM" eval '! complete'
  start_siem
  must "the SIEM is back and has everything" complete
}

proof() {
  heading "Is the copy what the broker wrote?"
  end broker
  must "the last line has arrived, too" there '"action":"audit-stop"'
  shell "guardctl audit verify --key audit.key.pub $copy"
  echo "  Somebody changes one line of the copy:"
  sed '0,/devices\/pump-1\/data/s//devices\/pump-9\/data/' "$copy" >"$dir/log/forged.ndjson"
  shell "guardctl audit verify --key audit.key.pub $dir/log/forged.ndjson" 1
}

to_try() {
  broker broker mosquitto.conf
  cat <<TEXT
  $here/alerts.sh $copy
  mosquitto_pub $(as ann) -P wrong -t x -m x          # ten times: an alert
  tail -f $copy | jq -c '[.event.action, .event.outcome, .user.name, .mqtt.topic]'
  guardctl audit verify --key audit.key.pub $trail $copy
TEXT
}

begin "the trail in a SIEM" example-siem
listen 8883 6514 6601
places=(-e "s|/var/log/mosquitto-audit|$dir/log/siem|; s|/var/spool/rsyslog|$dir/lib/spool|; s|/etc/rsyslog.d/tls|$dir/etc/tls|"
  -e "s|siem\.example:6514|127.0.0.1:${port[6514]}|; s/port=\"6514\"/port=\"${port[6514]}\" address=\"127.0.0.1\"/"
  -e "s/port=\"6601\"/port=\"${port[6601]}\" address=\"127.0.0.1\"/" "${places[@]}")
mkdir "$dir/log/siem" "$dir/lib/spool"
copy=$dir/log/siem/broker.ndjson
: >"$copy"
put mosquitto.conf policy.conf rsyslog-receive.conf
keys make_keys
step siem
start_siem
echo "rsyslog on 127.0.0.1:${port[6514]}, TLS with client certificates"
step broker
broker broker mosquitto.conf
echo "Mosquitto $(version) on 127.0.0.1:${port[8883]}"
ordinary
attacks
outage
proof
finish
