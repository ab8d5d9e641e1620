#!/bin/sh
# Shows the alerts of a trail as they arrive at the SIEM; a stand-in for its rules. Needs jq.
#   alerts.sh FILE              follows it
#   alerts.sh --once FILE       those that are there
set -eu
once=no
[ "${1:-}" = --once ] && { once=yes; shift; }
[ $# = 1 ] || { sed -n '2,4s/^# \{0,1\}//p' "$0" >&2; exit 2; }
if [ "$once" = yes ]; then cat -- "$1"; else tail -n +1 -F -- "$1"; fi |
  jq --unbuffered -r 'select(.event.action | startswith("alert-")) |
    [.["@timestamp"][11:19], "severity \(.event.severity)", .event.action, .rule.id, .source.ip // "-", .user.name // .mqtt.client_id // "-",
     (.threat.technique.id // ["-"] | if type == "array" then .[0] else . end)] | join("  ")'
