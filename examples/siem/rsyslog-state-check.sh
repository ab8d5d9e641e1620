#!/bin/sh
# Run before rsyslog starts (systemd: ExecStartPre=+/usr/local/sbin/rsyslog-state-check.sh): removes places in files that a
# kill has left half written. rsyslog 8.2302 would go on at the END of such a file and lose what it had not read; without
# the place it reads the file again from its start, and event.id tells which lines came twice.
#   rsyslog-state-check.sh [WORKDIRECTORY]
set -eu
for state in "${1:-/var/spool/rsyslog}"/imfile-state:*; do
  [ -e "$state" ] || continue
  case $(tr -d '[:space:]' <"$state") in
    '{'*'"curr_offs":'[0-9]*'}') ;;
    *) echo "rsyslog-state-check: $state is damaged: removed" >&2; rm -f -- "$state" ;;
  esac
done
