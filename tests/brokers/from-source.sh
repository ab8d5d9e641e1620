#!/bin/sh
# Builds the Mosquitto of another Debian release, from its source package, on this system.
#   from-source.sh SUITE DIR        e.g. forky (2.1.x), trixie (2.0.21)
# Leaves DIR/sbin/mosquitto, DIR/include and DIR/lib; DIR appears only when all is done. Leaves with 3 if packages or the source
# cannot be had.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
suite=${1:?usage: from-source.sh SUITE DIR} dir=${2:?usage: from-source.sh SUITE DIR}
"$here/../setup/install.sh" broker
mkdir -p "$(dirname "$dir")"
dir=$(cd "$(dirname "$dir")" && pwd)/$(basename "$dir")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

source=$("$here/fetch-source.sh" "$suite" "$work/source")

step() { "$@" >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; exit 1; }; }
step cmake -S "$source" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DDOCUMENTATION=OFF -DWITH_DOCS=OFF \
  -DWITH_TESTS=OFF -DWITH_CTRL_SHELL=OFF -DWITH_LTO=OFF -DWITH_WEBSOCKETS=ON -DCMAKE_INSTALL_PREFIX="$dir" \
  -DCMAKE_INSTALL_RPATH="$dir/lib"
step cmake --build "$work/build"
step env DESTDIR="$work/stage" cmake --install "$work/build"
rm -rf "$dir"
mv "$work/stage$dir" "$dir"
"$dir/sbin/mosquitto" -h 2>/dev/null | sed -n '1s/^mosquitto version/Built Mosquitto/p'
