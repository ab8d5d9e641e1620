#!/bin/sh
# Makes what is released: mosquitto-guard-VERSION.tar.gz, the Debian package built from just that archive, and SHA256SUMS.
#   release.sh FOLDER [REVISION]        REVISION: a tag or commit, by default HEAD; what is not committed is left out
# The same revision gives the same octets, wherever and whenever it is run with the same compiler and libraries.
set -eu
umask 022
export LC_ALL=C TZ=UTC0
out=${1:?usage: release.sh FOLDER [REVISION]} revision=${2:-HEAD}
here=$(cd "$(dirname "$0")" && pwd)
top=$(git -C "$here" rev-parse --show-toplevel) || exit 2
revision=$(git -C "$top" rev-parse --verify "$revision^{commit}") || exit 2
mkdir -p "$out"
out=$(cd "$out" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

version=$(git -C "$top" show "$revision:CMakeLists.txt" | sed -nE 's/^project\(mosquitto-guard VERSION ([0-9.]+).*/\1/p')
[ -n "$version" ] || { echo "release.sh: CMakeLists.txt of $revision names no version" >&2; exit 2; }
name=mosquitto-guard-$version
SOURCE_DATE_EPOCH=$(git -C "$top" log -1 --format=%ct "$revision")
export SOURCE_DATE_EPOCH

# git sorts the files, and dates them by the commit
git -C "$top" -c tar.umask=0022 archive --format=tar --prefix="$name/" "$revision" | gzip -9n >"$work/$name.tar.gz"
tar -xzf "$work/$name.tar.gz" -C "$work"

step() { "$@" >"$work/log" 2>&1 || { tail -n 30 "$work/log" >&2; exit 1; }; }
cd "$work/$name"
# where it was built must not show: not in __FILE__, not in the build id
step cmake --preset release -DGUARD_TESTS=OFF "-DCMAKE_C_FLAGS=-ffile-prefix-map=$PWD=."
step cmake --build --preset release
cd build/release
step cpack -G DEB -B "$work/package"

cd "$work"
mv "$name.tar.gz" package/*.deb "$out/"
cd "$out"
sha256sum "$name.tar.gz" "mosquitto-guard_${version}"_*.deb >SHA256SUMS
cat SHA256SUMS
