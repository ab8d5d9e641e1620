#!/bin/sh
# Installs the Debian packages of one or more groups of packages.txt that are missing here. Quick and silent when none is.
#   install.sh GROUP...            e.g. install.sh build run test
#   install.sh --list GROUP...     only prints what is missing, one a line
# Starts no services. Leaves with 3, and says what to type, where it may not install (not root) or cannot (no mirror).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
list_only=no
[ "${1:-}" = --list ] && { list_only=yes; shift; }
[ $# -gt 0 ] || { sed -n '2,5s/^# //p' "$0" >&2; exit 2; }

# the names of the given groups
wanted() {
  for group in "$@"; do
    names=$(sed -n "/^\[$group\]/,/^\[/p" "$here/packages.txt" | sed -e '/^\[/d' -e '/^#/d' -e '/^$/d')
    [ -n "$names" ] || { echo "install.sh: packages.txt has no group '$group'" >&2; exit 2; }
    echo "$names"
  done | sort -u
}

# of the names on stdin, those that are not installed; one that another package provides counts as installed
missing() {
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package},${Provides}\n' 2>/dev/null |
    sed -n 's/^installed //p' | tr ',' '\n' | sed 's/^ *//; s/ .*//' | sort -u)
  while read -r name; do
    printf '%s\n' "$installed" | grep -qxF "$name" || echo "$name"
  done
}

names=$(wanted "$@")
lacking=$(printf '%s\n' "$names" | grep -v '?$' | missing)
# optional ones: only those that this release has
for name in $(printf '%s\n' "$names" | sed -n 's/?$//p' | missing); do
  apt-cache show --no-all-versions "$name" >/dev/null 2>&1 && lacking="$lacking
$name"
done
lacking=$(printf '%s\n' "$lacking" | sed '/^$/d')
if [ "$list_only" = yes ]; then
  [ -z "$lacking" ] || echo "$lacking"
  exit 0
fi
[ -n "$lacking" ] || exit 0

one_line=$(echo $lacking) # unquoted on purpose: joins the lines
if [ "$(id -u)" != 0 ]; then
  echo "These packages are missing, and installing them needs root. Please run:" >&2
  echo "  sudo apt-get install --no-install-recommends $one_line" >&2
  exit 3
fi

# Debian starts a service as soon as its package is unpacked (a broker on port 1883, a Redis): not for a test.
policy=/usr/sbin/policy-rc.d
log=$(mktemp)
ours=no
cleanup() {
  rm -f "$log"
  [ "$ours" = no ] || rm -f "$policy"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  ours=yes
fi

echo "Installing packages: $one_line"
apt="apt-get -qq -o DPkg::Lock::Timeout=120 -o Acquire::Retries=2"
export DEBIAN_FRONTEND=noninteractive
install() { $apt install -y --no-install-recommends $lacking >"$log" 2>&1 </dev/null; }
# the lists may be missing or older than the mirror
if ! install && ! { $apt update >"$log" 2>&1 && install; }; then
  echo "apt could not install them:" >&2
  grep -E '^(E|Err|W):?' "$log" | head -n 8 >&2 || tail -n 8 "$log" >&2
  echo "Is there a network, and a Debian mirror in /etc/apt? What is needed: $one_line" >&2
  exit 3
fi
if [ -d /run/systemd/system ]; then
  for service in mosquitto redis-server rsyslog; do
    printf '%s\n' "$lacking" | grep -qx "$service" || continue
    echo "Note: $service.service is installed, was not started, and will start at the next boot (systemctl disable $service)."
  done
fi
