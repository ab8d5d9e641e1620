#!/bin/sh
# Builds the Mosquitto of another Debian release, from its source package, on this system.
#   from-source.sh SUITE DIR        e.g. forky (2.1.x), trixie (2.0.21)
# Leaves DIR/sbin/mosquitto, DIR/include and DIR/lib; DIR appears only when all is done. Uses the mirror and the keys that apt is
# set up with, without touching apt's own lists. Leaves with 3 if packages or the source cannot be had.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
suite=${1:?usage: from-source.sh SUITE DIR} dir=${2:?usage: from-source.sh SUITE DIR}
"$here/../setup/install.sh" broker
mkdir -p "$(dirname "$dir")"
dir=$(cd "$(dirname "$dir")" && pwd)/$(basename "$dir")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
[ -n "$mirror" ] || { echo "from-source.sh: apt knows no mirror" >&2; exit 3; }
mkdir -p "$work/lists/partial" "$work/source"
printf 'deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$mirror" "$suite" >"$work/sources.list"
# a mirror may be frozen: then its Release file calls itself expired
apt="apt-get -qq -o Dir::Etc::sourcelist=$work/sources.list -o Dir::Etc::sourceparts=- -o Dir::State::lists=$work/lists
  -o Acquire::Check-Valid-Until=false -o Acquire::Retries=2 -o APT::Sandbox::User=root"
if ! $apt update >"$work/log" 2>&1 ||
   ! (cd "$work/source" && $apt source --download-only mosquitto >"$work/log" 2>&1); then
  echo "from-source.sh: the source package of mosquitto in $suite could not be fetched:" >&2
  tail -n 3 "$work/log" >&2
  exit 3
fi
tar -xf "$work"/source/mosquitto_*.orig.tar.* -C "$work/source"
source=$(find "$work/source" -maxdepth 1 -type d -name '*mosquitto*' | head -n 1)

step() { "$@" >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; exit 1; }; }
step cmake -S "$source" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DDOCUMENTATION=OFF -DWITH_DOCS=OFF \
  -DWITH_TESTS=OFF -DWITH_CTRL_SHELL=OFF -DWITH_LTO=OFF -DWITH_WEBSOCKETS=ON -DCMAKE_INSTALL_PREFIX="$dir" \
  -DCMAKE_INSTALL_RPATH="$dir/lib"
step cmake --build "$work/build"
step env DESTDIR="$work/stage" cmake --install "$work/build"
rm -rf "$dir"
mv "$work/stage$dir" "$dir"
"$dir/sbin/mosquitto" -h 2>/dev/null | sed -n '1s/^mosquitto version/Built Mosquitto/p'
