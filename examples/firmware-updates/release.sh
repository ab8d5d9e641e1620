#!/usr/bin/env bash
# The pipeline's last step: signs a manifest, publishes the image, then the manifest, both retained.
#   release.sh SIGNING-KEY MODEL VERSION IMAGE [OPTION-OF-MOSQUITTO_PUB]…
# What devices get is BASE64(manifest).BASE64(signature): one message, so that no device ever sees half of a release.
set -euo pipefail
[ $# -ge 4 ] || { sed -n '2,4s/^# \{0,1\}//p' "$0" >&2; exit 2; }
key=$1 model=$2 version=$3 image=$4
shift 4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '{"model":"%s","version":"%s","sha256":"%s","image":"firmware/%s/image/%s"}' \
  "$model" "$version" "$(sha256sum <"$image" | cut -d' ' -f1)" "$model" "$version" >"$work/manifest"
openssl pkeyutl -sign -rawin -inkey "$key" -in "$work/manifest" -out "$work/signature"
printf '%s.%s' "$(base64 -w0 <"$work/manifest")" "$(base64 -w0 <"$work/signature")" >"$work/message"
publish() {
  local said # mosquitto_pub ends with 0 when the broker refuses
  said=$(mosquitto_pub -V 5 -q 1 -r "$@" 2>&1) && [ -z "$said" ] || { echo "release.sh: $said" >&2; exit 1; }
}
publish "$@" -t "firmware/$model/image/$version" -f "$image"
publish "$@" -t "firmware/$model/manifest" -f "$work/message"
echo "released $model $version"
