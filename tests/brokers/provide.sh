#!/bin/sh
# Prints the path of a Mosquitto of the wanted version, and builds it from Debian's source package where it is not here yet.
#   provide.sh VERSION        system | 2.0.21 | 2.1.2
# "system" is the installed broker. The others come from the Debian release that ships them (versions.sh), are built once
# (about half a minute on two cores) and kept in $GUARD_BROKER_CACHE, by default ~/.cache/mosquitto-guard/brokers.
# As root it installs what the build needs; else it says what is missing. Progress goes to stderr. Leaves with 3 if it cannot.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
version=${1:?usage: provide.sh system|2.0.21|2.1.2}
. "$here/versions.sh"

if [ "$version" = system ]; then
  PATH=$PATH:/usr/sbin command -v mosquitto && exit 0
  echo "provide.sh: no mosquitto is installed (package mosquitto)" >&2
  exit 3
fi
suite_of "$version"
binary=$cache/$version/sbin/mosquitto
[ -x "$binary" ] || "$here/from-source.sh" "$suite" "$cache/$version" >&2
have=$("$binary" -h 2>/dev/null | sed -n '1s/^mosquitto version //p')
# a release moves on: the tests run all the same, but nobody should believe it was the version asked for
[ "$have" = "$version" ] || echo "provide.sh: note: Debian $suite now ships Mosquitto $have, not $version" >&2
echo "$binary"
