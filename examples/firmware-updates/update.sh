#!/usr/bin/env bash
# A device's side: takes the manifest for its model, checks the signature, fetches the image, checks its hash, reports.
#   update.sh PUBLIC-KEY MODEL DEVICE FOLDER [OPTION-OF-MOSQUITTO_SUB]…
# The signature is the second wall: should the broker be taken over, nothing is installed that the pipeline has not signed.
set -euo pipefail
[ $# -ge 4 ] || { sed -n '2,4s/^# \{0,1\}//p' "$0" >&2; exit 2; }
key=$1 model=$2 device=$3 folder=$4
shift 4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "$device: $*" >&2; exit 1; }
fetch() { mosquitto_sub -V 5 -q 1 -C 1 -W 5 -N -t "$1" "${@:2}"; }
# field NAME: of the manifest, whose form is checked by its signature
field() { sed -E "s/.*\"$1\":\"([^\"]*)\".*/\1/" "$work/manifest"; }

fetch "firmware/$model/manifest" "$@" >"$work/message" || fail "there is no manifest"
cut -d. -f1 <"$work/message" | base64 -d >"$work/manifest"
cut -d. -f2 <"$work/message" | base64 -d >"$work/signature"
openssl pkeyutl -verify -rawin -pubin -inkey "$key" -in "$work/manifest" -sigfile "$work/signature" >/dev/null 2>&1 ||
  fail "the manifest is not signed by the pipeline"
[ "$(field model)" = "$model" ] || fail "the manifest is for another model"
version=$(field version)
installed=$(cat "$folder/version" 2>/dev/null || echo 0)
[ "$(printf '%s\n' "$installed" "$version" | sort -V | tail -n 1)" = "$version" ] || fail "$version is older than what is installed"
fetch "$(field image)" "$@" >"$work/image" || fail "there is no image"
[ "$(sha256sum <"$work/image" | cut -d' ' -f1)" = "$(field sha256)" ] || fail "the image is damaged"
mkdir -p "$folder"
mv "$work/image" "$folder/image"
echo "$version" >"$folder/version"
mosquitto_pub -V 5 -q 1 "$@" -t "firmware-progress/$model/$device" -m "{\"installed\":\"$version\"}"
echo "$device: installed $version"
