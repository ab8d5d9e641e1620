#!/usr/bin/env bash
# Tokens of a small issuer: log in, end with the token or renew it in place, change the issuer's key, do without the issuer.
#   examples/jwt-issuer/run.sh            plays it, then everything stays up for you to try
#   examples/jwt-issuer/run.sh --test     plays it and ends; exit code 1 if anything was not as it should be
. "$(dirname "$0")/../lib.sh"
options "$@"

# token NAME: from the issuer
token() {
  curl -fsS "$issuer/token" -d "client_id=$1" -d "client_secret=a-secret-of-$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["access_token"])'
}
# as NAME TOKEN: the options of a client that shows it
as() { echo "-p ${port[8883]} --cafile $dir/etc/ca.pem -i $1 -u $1 -P $2"; }
fetch() { "$here/fetch-keys.sh" "$issuer/jwks" "$dir/etc/issuer-keys.json"; }
device() { start "$1" "$here/device.py" "$issuer" "$2" "a-secret-of-$2" "${port[8883]}" "$dir/etc/ca.pem" "${@:3}"; }
start_issuer() {
  start issuer "$here/issuer.py" "$dir/lib/issuer" "${port[8081]}" "$1"
  soon curl -fsS "$issuer/jwks" || stop "The issuer did not start." "$(cat "$dir/issuer.out")"
}
make_keys() { "$examples/mtls-fleet/ca.sh" init "Token CA" && "$examples/mtls-fleet/ca.sh" server server localhost IP:127.0.0.1; }

# shellcheck disable=SC2046 # words on purpose, here and below
logins() {
  policy
  heading "A token of the issuer"
  old=$(token thermo-1)
  echo "$old" >"$dir/etc/thermo-1.jwt"
  shell "guardctl token verify --jwks issuer-keys.json --issuer https://issuer.fleet.example/ --audience mqtt - <thermo-1.jwt"
  try allowed "thermo-1 logs in with it and publishes" pub $(as thermo-1 "$old") -t devices/thermo-1/data -m 21.5
  try refused "thermo-1 publishes as if it were pump-2" pub $(as thermo-1 "$old") -t devices/pump-2/data -m 99
  try refused "a notice for Berlin is not for thermo-1 to write" pub $(as thermo-1 "$old") -t sites/berlin/notices -m hello
  try allowed "it is for Olga: her token has the role" pub $(as olga "$(token olga)") -t sites/berlin/notices -m hello
  try "not let in" "pump-2 shows the token of thermo-1" pub $(as pump-2 "$old") -t devices/pump-2/data -m 7bar
  heading "A token that somebody else signed, with the issuer's name and its key's name"
  openssl ecparam -name prime256v1 -genkey -noout -out "$dir/lib/forger.pem" 2>/dev/null
  local kid
  kid=$(basename "$dir"/lib/issuer/*.pem .pem)
  try "not let in" "the forger" pub $(as olga "$(guardctl token issue --key "$dir/lib/forger.pem" --kid "$kid" --subject olga \
    --issuer https://issuer.fleet.example/ --audience mqtt --expires-in 5m --claim 'roles=["operator"]')") -t devices/pump-2/commands -m open
}

renewal() {
  heading "Tokens that live for four seconds: one device renews its token in the running session, one does not"
  end issuer
  start_issuer 4
  device renews thermo-1
  device forgets pump-2 --no-renewal
  must "both log in" eval 'said renews ^connected && said forgets ^connected'
  must "pump-2's session ends with its token" gone forgets
  must "thermo-1 has renewed its token" said renews ^renewed
  must "thermo-1 is still there, on the same connection" alive renews
  echo "    $dim$(guardctl audit tail -n 500 "$trail" | grep -E ' disconnect pump-2| disconnect .*pump-2' | tail -n 1 | cut -c12-)$plain"
  end renews
}

# shellcheck disable=SC2046
rotation() {
  heading "The issuer changes its key"
  end issuer
  start_issuer 300
  old=$(token thermo-1)
  shell "curl -fsS -X POST $issuer/rotate; echo"
  try "not let in" "a token of the new key, before the broker has the key" pub $(as pump-2 "$(token pump-2)") -t devices/pump-2/data -m 7bar
  shell "$here/fetch-keys.sh $issuer/jwks issuer-keys.json"
  new=$(token pump-2)
  must "the broker sees the file by itself" logged "token keys were renewed"
  try allowed "the new key is good" pub $(as pump-2 "$new") -t devices/pump-2/data -m 7bar
  try allowed "so is the old one: tokens of it are still about" pub $(as thermo-1 "$old") -t devices/thermo-1/data -m 21.5
  shell "curl -fsS -X POST $issuer/retire; echo"
  fetch
  must "the broker has seen that, too" logged "token keys were renewed" 2
  try "not let in" "the old key is no longer good" pub $(as thermo-1 "$old") -t devices/thermo-1/data -m 21.5
}

# shellcheck disable=SC2046
without() {
  heading "The issuer is gone, and its address gives rubbish"
  end issuer
  cp "$dir/etc/issuer-keys.json" "$dir/lib/before"
  shell "$here/fetch-keys.sh $issuer/jwks issuer-keys.json" 7 # curl: no connection
  start rubbish python3 -c "
import http.server
class Rubbish(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'{\"keys\": []}')
http.server.HTTPServer(('127.0.0.1', ${port[8081]}), Rubbish).serve_forever()"
  soon curl -fsS "$issuer/jwks" || true
  shell "$here/fetch-keys.sh $issuer/jwks issuer-keys.json" 1
  end rubbish
  must "the key set is as it was" cmp -s "$dir/lib/before" "$dir/etc/issuer-keys.json"
  try allowed "the broker does not care: who has a token logs in" pub $(as pump-2 "$new") -t devices/pump-2/data -m 7bar
}

to_try() {
  start_issuer 60
  cat <<TEXT
  token() { curl -fsS $issuer/token -d client_id=\$1 -d client_secret=a-secret-of-\$1 | python3 -c 'import json, sys; print(json.load(sys.stdin)["access_token"])'; }
  mosquitto_sub -p ${port[8883]} --cafile ca.pem -i olga -u olga -P "\$(token olga)" -t 'devices/+/data' -v    # until the token ends: a minute
  $here/device.py $issuer thermo-1 a-secret-of-thermo-1 ${port[8883]} ca.pem
  curl -X POST $issuer/rotate; $here/fetch-keys.sh $issuer/jwks issuer-keys.json
  guardctl audit tail -f $trail
TEXT
}

begin "tokens of a small issuer" example-issuer
listen 8883 8081
issuer=http://127.0.0.1:${port[8081]}
# clocks are one clock here, and nobody wants to wait for ten seconds
places+=(-e 's/^(plugin_opt_jwt_leeway +).*/\10/')
keys make_keys
put mosquitto.conf policy.conf
step issuer
start_issuer 300
fetch
echo "on 127.0.0.1:${port[8081]}, its public keys in issuer-keys.json"
step broker
broker broker mosquitto.conf
echo "Mosquitto $(version) on 127.0.0.1:${port[8883]}, TLS, tokens only"
logins
renewal
rotation
without
finish
