#!/bin/sh
# Compresses closed files of the trail and removes old ones; for a daily cron job. The broker turns to a new number by
# itself: logrotate must not rename or truncate its files. Tested: tests/audit/test_sinks.py.
#   retention.sh [FOLDER [DAYS]]
set -eu
folder=${1:-/var/log/mosquitto/audit}
days=${2:-400}
last=$(find "$folder" -maxdepth 1 -name 'audit-*.ndjson' | sed 's/.*-\([0-9]*\)\.ndjson$/\1 &/' | sort -n | tail -n 1 | cut -d' ' -f2-)
find "$folder" -maxdepth 1 -name 'audit-*.ndjson' ! -path "$last" -mmin +60 -exec gzip -q {} \;
find "$folder" -maxdepth 1 -name 'audit-*.ndjson.gz' -mtime "+$days" -delete
