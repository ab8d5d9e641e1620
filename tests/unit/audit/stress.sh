#!/bin/sh
# stress.sh DRIVER GUARDCTL: overload from four threads, rotation, all kinds; then the trail must verify.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$2" audit keygen "$folder/key" >/dev/null
for mode in "--full drop --ring 65536 --detect" "--full block --ring 262144" "--full deny --publish summary --summary 1 --detect"; do
  # shellcheck disable=SC2086
  "$1" --dir "$folder/audit" --key "$folder/key" --events 60000 --kinds --hostile --threads 3 --rotate 1048576 --reload 20 $mode
done
"$2" audit verify --key "$folder/key.pub" --require-final "$folder/audit" | tail -n 1
