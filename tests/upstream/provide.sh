#!/bin/sh
# Prints the folder of Mosquitto's sources of the wanted version, built with its own tests, and makes it where it is not here yet.
#   provide.sh system|2.0.21|2.1.2
# They come from the Debian release that ships them ("system": this one) and stay in $GUARD_BROKER_CACHE, by default
# ~/.cache/mosquitto-guard/brokers. The broker that the tests start (src/mosquitto) is whatever $UPSTREAM_BROKER names, else
# src/mosquitto.real. Progress goes to stderr. Leaves with 3 if packages or the source cannot be had.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
version=${1:?usage: provide.sh system|2.0.21|2.1.2}
. "$here/../brokers/versions.sh"
suite_of "$version"
dir=$cache/tests-of-$suite
if [ ! -x "$dir/src/mosquitto" ]; then
  "$here/../setup/install.sh" broker >&2
  mkdir -p "$cache"
  work=$(mktemp -d -p "$cache")
  trap 'rm -rf "$work"' EXIT
  trap 'exit 130' INT TERM
  source=$("$here/../brokers/fetch-source.sh" "$suite" "$work")
  step() { "$@" >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; exit 1; }; }
  step make -C "$source" -j "$(nproc)" WITH_DOCS=no WITH_TESTS=no WITH_CTRL_SHELL=no WITH_EDITLINE=no binary
  step make -C "$source/test/broker/c" -j "$(nproc)"
  # an old release's certificates are over
  if ! openssl x509 -checkend 86400 -noout -in "$source/test/ssl/client.crt" >/dev/null; then
    step sh -c 'cd "$1" && sh gen.sh && chmod a+r ./*.key' gen "$source/test/ssl"
  fi
  mv "$source/src/mosquitto" "$source/src/mosquitto.real"
  printf '#!/bin/sh\nexec "${UPSTREAM_BROKER:-${0%%/*}/mosquitto.real}" "$@"\n' >"$source/src/mosquitto"
  chmod +x "$source/src/mosquitto"
  rm -rf "$dir"
  mv "$source" "$dir"
fi
echo "$dir"
