#!/bin/sh
# A certificate authority of your own, with openssl alone. Keys are P-256, files are the caller's alone (0600).
#   ca.sh init NAME                     makes ca.key and ca.pem in this folder. ca.key belongs on a machine that is no broker.
#   ca.sh server FILE DNS-NAME…         the broker's certificate: FILE.key and FILE.pem; an address is written IP:192.0.2.7
#   ca.sh client FILE SUBJECT [SAN]     a client's: ca.sh client gate-3 /OU=devices/CN=gate-3 DNS:gate-3.berlin.fleet.example
# DAYS=365 for another life than 90 days (the CA: ten years).
set -eu
umask 077
key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
usage() { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }

# sign FILE SUBJECT EXTENSIONS
sign() {
  openssl req $key -subj "$2" -keyout "$1.key" -out "$1.csr"
  printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n%s\n' "$3" >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -days "${DAYS:-90}" -extfile "$1.ext" -out "$1.pem"
  rm -f "$1.csr" "$1.ext"
}

what=${1:-} file=${2:-}
[ $# -ge 2 ] || usage
shift 2
case $what in
  init)
    openssl req -x509 $key -days 3650 -subj "/CN=$file" -keyout ca.key -out ca.pem -addext keyUsage=critical,keyCertSign,cRLSign
    ;;
  server)
    [ $# -ge 1 ] || usage
    names=
    for name in "$@"; do
      case $name in IP:*) names=$names,$name ;; *) names=$names,DNS:$name ;; esac
    done
    sign "$file" "/CN=$1" "extendedKeyUsage=serverAuth
subjectAltName=${names#,}"
    ;;
  client)
    [ $# -ge 1 ] || usage
    sign "$file" "$1" "extendedKeyUsage=clientAuth${2:+
subjectAltName=$2}"
    ;;
  *) usage ;;
esac
