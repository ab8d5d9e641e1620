#!/bin/sh
# Runs this project's tests inside a Debian root of another release: its compiler, its OpenSSL, libjwt, hiredis, Redis and broker.
#   in-root.sh SUITE [RUN.SH-OPTION...]     e.g. in-root.sh trixie --quick --only unit,integration
# As root. The root is made once (root.sh) and kept in ~/.cache/mosquitto-guard/roots/SUITE. What is committed and what is changed in
# tracked files is copied into it; the results come back to build/test-results/SUITE. The last line is that of tests/run.sh.
# Environment: GUARD_REDIS names another server, e.g. valkey-server.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
suite=${1:?usage: in-root.sh SUITE [RUN.SH-OPTION...]}
shift
[ "$(id -u)" = 0 ] || { echo "in-root.sh: needs root (debootstrap, chroot)" >&2; exit 3; }
roots=${XDG_CACHE_HOME:-$HOME/.cache}/mosquitto-guard/roots
root=$roots/$suite
if [ ! -e "$root/.complete" ]; then
  rm -rf "$root"
  mkdir -p "$roots"
  "$here/root.sh" "$suite" "$root" build run test
  touch "$root/.complete"
fi

inside=$root/var/tmp/guard
mkdir -p "$inside"
# only what belongs to the project; the build folder of an earlier run is of use, a file that is no longer there is not
find "$inside" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
(cd "$top" && git ls-files -z | tar --null --ignore-failed-read -T - -cf - 2>/dev/null) | tar -C "$inside" -xf -
mkdir -p "$inside/.git" # a project of its own, without its history
code=0
# the mounts are this process's own and go with it
unshare --mount sh -c '
  mount --make-rprivate /
  mount --rbind /dev "$1/dev" && mount -t proc proc "$1/proc" && mount -t tmpfs -o mode=1777 tmp "$1/tmp" || exit 3
  root=$1
  shift
  exec chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 ${CI:+CI=$CI} \
    ${GUARD_REDIS:+GUARD_REDIS=$GUARD_REDIS} /var/tmp/guard/tests/run.sh "$@"
' in-root "$root" "$@" || code=$?
mkdir -p "$top/build/test-results"
rm -rf "$top/build/test-results/$suite"
cp -r "$inside/build/test-results" "$top/build/test-results/$suite" 2>/dev/null || true
exit "$code"
