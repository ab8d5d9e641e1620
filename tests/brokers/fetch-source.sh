#!/bin/sh
# Unpacks the source package of Mosquitto of a Debian release into DIR and prints the folder of its sources.
#   fetch-source.sh SUITE DIR       e.g. forky (2.1.x), trixie (2.0.21), bookworm (2.0.11)
# Uses the mirror and the keys that apt is set up with, without touching apt's own lists. Leaves with 3 if it cannot be had.
set -eu
suite=${1:?usage: fetch-source.sh SUITE DIR} dir=${2:?usage: fetch-source.sh SUITE DIR}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
[ -n "$mirror" ] || { echo "fetch-source.sh: apt knows no mirror" >&2; exit 3; }
mkdir -p "$work/lists/partial" "$dir"
printf 'deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$mirror" "$suite" >"$work/sources.list"
# a mirror may be frozen: then its Release file calls itself expired
apt="apt-get -qq -o Dir::Etc::sourcelist=$work/sources.list -o Dir::Etc::sourceparts=- -o Dir::State::lists=$work/lists
  -o Acquire::Check-Valid-Until=false -o Acquire::Retries=2 -o APT::Sandbox::User=root"
if ! $apt update >"$work/log" 2>&1 || ! (cd "$dir" && $apt source --download-only mosquitto >"$work/log" 2>&1); then
  echo "fetch-source.sh: the source package of mosquitto in $suite could not be fetched:" >&2
  tail -n 3 "$work/log" >&2
  exit 3
fi
tar --no-same-owner -xf "$dir"/mosquitto_*.orig.tar.* -C "$dir"
find "$dir" -maxdepth 1 -type d -name '*mosquitto*' | head -n 1
