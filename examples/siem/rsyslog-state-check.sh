#!/bin/sh
# Run before rsyslog starts, so that a kill (-9, out of memory, power) loses no line and doubles none. systemd:
#   ExecStartPre=+/usr/local/sbin/rsyslog-state-check.sh /var/spool/rsyslog /var/log/mosquitto/audit /var/log/mosquitto-audit/broker.ndjson
#
#   rsyslog-state-check.sh [WORKDIRECTORY [TRAIL COPY]]
#
# rsyslog 8.2302 writes its places in files (imfile-state:…) over the old ones. A kill may leave one half written: then rsyslog
# would go on at the END of that file and lose what it had not read. And a kill between a line's way out and its place repeats
# the line. With TRAIL (the audit folder) and COPY (the file that rsyslog-tail.conf writes) the places of the newest files and
# of damaged ones are made anew from what is in COPY. Without them a damaged place is removed: the file is read again from its
# start, and event.id tells which lines came twice.
set -eu
spool=${1:-/var/spool/rsyslog} trail=${2:-} copy=${3:-}

# place FILE: bytes of it that are in COPY already. Lines of one run arrive in the order of their numbers.
place() {
  first=$(sed -n '1s/.*,"id":"\([0-9a-f]*-[0-9]*\)","hash":"[0-9a-f]*"}}$/\1/p' "$1")
  last=$(tail -n 1 "$1" | sed -n 's/.*,"id":"[0-9a-f]*-\([0-9]*\)","hash":"[0-9a-f]*"}}$/\1/p')
  [ -n "$first" ] && [ -n "$last" ] || return 1
  chain=${first%-*}
  number=$(tail -c 200M "$copy" | grep -o ",\"id\":\"$chain-[0-9]*\",\"hash\":\"" | sed 's/.*-\([0-9]*\)".*/\1/' |
    awk -v from="${first#*-}" -v to="$last" '$1 >= from && $1 <= to && $1 > most { most = $1 } END { print most + 0 }')
  [ "$number" -gt 0 ] || { echo 0; return; }
  found=$(grep -bF ",\"id\":\"$chain-$number\",\"hash\":\"" "$1") || return 1
  text=${found#*:}
  echo $((${found%%:*} + $(printf '%s' "$text" | wc -c) + 1))
}

# renew STATE: writes the place that COPY gives. Fails if that cannot be told.
renew() {
  inode=${1##*/imfile-state:}
  file=$(find "$trail" -maxdepth 1 -inum "${inode%%:*}" -name 'audit-*.ndjson' 2>/dev/null)
  [ -n "$file" ] && [ -f "$copy" ] && offset=$(place "$file") || return 1
  if ! grep -qsF "\"curr_offs\": $offset," "$1"; then
    printf '{ "filename": "%s", "prev_was_nl": 0, "curr_offs": %s, "strt_offs": %s }' "$file" "$offset" "$offset" >"$1.new"
    mv "$1.new" "$1"
    echo "rsyslog-state-check: $1 is now at $offset, as in $copy" >&2
  fi
}

is_whole() {
  case $(tr -d '[:space:]' <"$1") in '{'*'"curr_offs":'[0-9]*'}') return 0 ;; esac
  return 1
}

for state in "$spool"/imfile-state:*; do
  if [ ! -e "$state" ] || is_whole "$state"; then continue; fi
  renew "$state" || { echo "rsyslog-state-check: $state is damaged: removed" >&2; rm -f -- "$state"; }
done
[ -n "$copy" ] || exit 0
find "$spool" -maxdepth 1 -name 'imfile-state:*' ! -name '*.new' -printf '%T@ %p\n' | sort -rn | head -n 3 |
  while read -r _ state; do renew "$state" || true; done
