#!/bin/sh
# Makes a minimal Debian root of another release, to build and test in with its libjwt, hiredis, OpenSSL and broker.
#   root.sh SUITE DIR [GROUP...]    e.g. root.sh trixie /var/tmp/trixie build run test    (groups of tests/setup/packages.txt)
# As root: half a minute to two minutes, 220 MB and more. Then: mount --bind /proc DIR/proc; chroot DIR ... Uses apt's mirror.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
suite=${1:?usage: root.sh SUITE DIR [GROUP...]} dir=${2:?usage: root.sh SUITE DIR [GROUP...]}
shift 2
[ "$(id -u)" = 0 ] || { echo "root.sh: needs root (debootstrap)" >&2; exit 3; }
"$here/../setup/install.sh" root
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
[ -n "$mirror" ] || { echo "root.sh: apt knows no mirror" >&2; exit 3; }
script=/usr/share/debootstrap/scripts/$suite
[ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid # newer releases than this debootstrap knows
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
debootstrap --variant=minbase "$suite" "$dir" "$mirror" "$script" >"$log" 2>&1 || { tail -n 5 "$log" >&2; exit 3; }
# a frozen mirror's Release file calls itself expired
echo 'Acquire::Check-Valid-Until "false";' >"$dir/etc/apt/apt.conf.d/99no-valid-until"
printf '#!/bin/sh\nexit 101\n' >"$dir/usr/sbin/policy-rc.d"
chmod 755 "$dir/usr/sbin/policy-rc.d"
if [ $# -gt 0 ]; then
  mkdir -p "$dir/var/tmp/setup"
  cp "$here/../setup/install.sh" "$here/../setup/packages.txt" "$dir/var/tmp/setup/"
  # some packages of newer releases want /proc to be configured; the mount is this process's own and goes with it
  unshare --mount sh -c 'mount --make-rprivate / && mount -t proc proc "$1/proc" && exec chroot "$@"' in-root \
    "$dir" /var/tmp/setup/install.sh "$@"
fi
rm -rf "$dir"/var/cache/apt/*.bin "$dir"/var/cache/apt/archives/*.deb
du -sh "$dir"
