#!/usr/bin/env bash
# Three brokers, one Redis: an edit counts on all three at once, a ban ends sessions, and nobody notices that Redis is gone.
#   examples/redis-fleet/run.sh            plays it, then everything stays up for you to try
#   examples/redis-fleet/run.sh --test     plays it and ends; exit code 1 if anything was not as it should be
. "$(dirname "$0")/../lib.sh"
options "$@"

secrets() {
  local who
  "$examples/mtls-fleet/ca.sh" init "Fleet CA"
  "$examples/mtls-fleet/ca.sh" server server localhost IP:127.0.0.1
  for who in broker alice; do openssl rand -hex 24 >"$who.secret"; done
  mv broker.secret redis.secret
  sed -i "s/SECRET-OF-THE-BROKERS/$(cat redis.secret)/; s/SECRET-OF-ALICE/$(cat alice.secret)/" users.acl
}

start_redis() {
  start redis redis-server "$dir/etc/redis.conf"
  soon guardctl history || stop "Redis did not start." "$(tail -n 5 "$dir/redis.out")"
}

# configure N: what differs from broker to broker
configure() {
  mkdir -p "$dir/log/broker$1" "$dir/lib/broker$1"
  sed -e "s|$dir/log/|$dir/log/broker$1/|; s|$dir/lib/|$dir/lib/broker$1/|; s/broker_id .*/broker_id broker$1/" \
    -e "s/^listener .*/listener ${port[$1]} 127.0.0.1/" "$dir/etc/mosquitto.conf" >"$dir/etc/broker$1.conf"
}

# at N NAME: the options of a client of broker N
at() { echo "-p ${port[$1]} --cafile $dir/etc/ca.pem -i $2 -u $2 -P secret-of-$2"; }
# on N: what follows looks at the trail of broker N
on() { trail=$dir/log/broker$1/audit; }
# edit COMMAND: Alice's, and then all brokers have what she wrote
edit() {
  shell "$1"
  newest=$(guardctl log | awk 'END { print $2 }')
  must "all three brokers have version $newest" everywhere logged "policy redis version $newest is in use"
}
everywhere() { local n; for n in 1 2 3; do on "$n"; "$@" || return 1; done; }

begin_with_a_policy() {
  heading "Alice publishes the policy; the brokers have it"
  shell "guardctl push --yes policy.conf"
  shell "echo secret-of-sensor-7 | guardctl client add sensor-7 --roles device --password"
  shell "echo secret-of-wall | guardctl client add wall --roles backend --password"
}

# shellcheck disable=SC2046 # words on purpose, here and below
live() {
  local n
  heading "A dashboard (wall) is connected to each broker"
  for n in 1 2 3; do
    on "$n"
    audit_from_here
    start "wall$n" mosquitto_sub -V 5 -q 1 -h 127.0.0.1 $(at "$n" wall) -t 'devices/+/data' -v
    must "broker$n: it listens" audited '"action":"mqtt-subscribe"'
    try allowed "broker$n: sensor-7 publishes" pub $(at "$n" sensor-7) -t devices/sensor-7/data -m before
    must "broker$n: the dashboard shows it" said "wall$n" before
  done
  heading "Alice takes the dashboards' right away. They stay connected, and see nothing more"
  edit "guardctl role unset backend data"
  for n in 1 2 3; do
    on "$n"
    try allowed "broker$n: sensor-7 publishes" pub $(at "$n" sensor-7) -t devices/sensor-7/data -m hidden
  done
  heading "And gives it back"
  edit "guardctl role set backend data 'allow subscribe devices/+/data'"
  for n in 1 2 3; do
    on "$n"
    try allowed "broker$n: sensor-7 publishes" pub $(at "$n" sensor-7) -t devices/sensor-7/data -m after
    must "broker$n: the dashboard shows it" said "wall$n" after
    must "broker$n: what came in between it has not seen, and it never left" eval "! said wall$n hidden && alive wall$n"
  done
}

# shellcheck disable=SC2046
ban() {
  local n
  heading "sensor-7 has been stolen while it is connected to broker 2"
  on 2
  audit_from_here
  start sensor mosquitto_sub -V 5 -q 1 -h 127.0.0.1 $(at 2 sensor-7) -t devices/sensor-7/commands
  must "it listens" audited '"action":"mqtt-subscribe"'
  edit "guardctl ban user sensor-7 --for 8h --reason 'stolen from hall 2'"
  must "its session ended" gone sensor
  for n in 1 2 3; do
    on "$n"
    try "not let in" "broker$n: it tries to come back" pub $(at "$n" sensor-7) -t devices/sensor-7/data -m 21
  done
  edit "guardctl unban user sensor-7"
}

# shellcheck disable=SC2046
outage() {
  local n
  heading "Redis is gone"
  end redis
  for n in 1 2 3; do
    on "$n"
    try allowed "broker$n: sensor-7 logs in and publishes" pub $(at "$n" sensor-7) -t devices/sensor-7/data -m "without Redis"
    must "broker$n: the dashboard shows it" said "wall$n" "without Redis"
  done
  heading "Worse: broker 3 restarts while Redis is gone. It has its snapshot"
  end broker3
  on 3
  broker broker3 broker3.conf
  must "the dashboard is back" logged "as wall "
  try allowed "broker3: sensor-7 logs in and publishes" pub $(at 3 sensor-7) -t devices/sensor-7/data -m "from the snapshot"
  try refused "broker3: and may not do more than before" pub $(at 3 sensor-7) -t devices/pump-2/data -m 1
  heading "Redis is back: the next edit counts on all three, without a restart"
  start_redis
  edit "guardctl role set device status 'allow publish devices/\${username}/status'"
  for n in 1 2 3; do
    on "$n"
    try allowed "broker$n: sensor-7 publishes its status" pub $(at "$n" sensor-7) -t devices/sensor-7/status -m ok
  done
  shell "guardctl log | tail -n 4"
}

to_try() {
  cat <<TEXT
  export GUARD_REDIS_URL=$GUARD_REDIS_URL GUARD_REDIS_USERNAME=alice GUARD_REDIS_PASSWORD_FILE=$dir/etc/alice.secret
  guardctl status; guardctl role list; guardctl history; guardctl rollback
  mosquitto_sub $(at 1 wall) -t 'devices/+/data' -v
  mosquitto_pub $(at 1 sensor-7) -t devices/sensor-7/data -m 21      # ${port[2]} and ${port[3]} are the other brokers' ports
  guardctl client disable sensor-7
  guardctl audit tail -f $dir/log/broker1/audit
TEXT
}

begin "three brokers, one Redis" example-redis
listen 6379 1 2 3
places+=(-e "s|/etc/redis/|$dir/etc/|; s|/var/lib/redis|$dir/lib|; s/^port 6379/port ${port[6379]}/")
export GUARD_REDIS_URL=redis://127.0.0.1:${port[6379]} GUARD_REDIS_USERNAME=alice GUARD_REDIS_PASSWORD_FILE=$dir/etc/alice.secret
put mosquitto.conf policy.conf redis.conf users.acl
keys secrets
step redis
start_redis
echo "on 127.0.0.1:${port[6379]}, one user for the brokers and one for Alice"
begin_with_a_policy
for n in 1 2 3; do
  configure "$n"
  step "broker$n"
  broker "broker$n" "broker$n.conf"
  echo "Mosquitto $(version) on 127.0.0.1:${port[$n]}"
done
live
ban
outage
finish
