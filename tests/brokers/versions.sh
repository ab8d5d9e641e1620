#!/bin/sh
# For the scripts that provide a Mosquitto, to be read with `.`: where they keep what they built, and which release ships a version.
cache=${GUARD_BROKER_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/mosquitto-guard/brokers}

# suite_of VERSION: sets $suite; "system" is this release's
suite_of() {
  case $1 in
    system) suite=$(. /etc/os-release && echo "$VERSION_CODENAME") ;;
    2.0.21) suite=trixie ;;
    2.1.2) suite=forky ;;
    *) echo "provide.sh: unknown version '$1'; there are: system, 2.0.21, 2.1.2" >&2; exit 2 ;;
  esac
}
