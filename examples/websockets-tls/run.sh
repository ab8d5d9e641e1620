#!/usr/bin/env bash
# A page in the browser that speaks MQTT over wss with a token: without a library, and told what it may not.
#   examples/websockets-tls/run.sh            plays it, then everything stays up for you to try in a browser
#   examples/websockets-tls/run.sh --test     plays it and ends; exit code 1 if anything was not as it should be
. "$(dirname "$0")/../lib.sh"
options "$@"

make_keys() {
  "$examples/mtls-fleet/ca.sh" init "Web CA"
  "$examples/mtls-fleet/ca.sh" server server localhost IP:127.0.0.1
  guardctl keys generate --out issuer.jwk --jwks issuer-keys.json
  cp -r "$here/www" .
  sed -i "s/data-broker-port=\"8443\"/data-broker-port=\"${port[8443]}\"/" www/index.html
}

# token NAME ROLE LIFE: what people's single sign-on would give the page
token() {
  guardctl token issue --key "$dir/etc/issuer.jwk" --issuer https://login.example.com/ --audience mqtt --subject "$1" \
    --claim "roles=[\"$2\"]" --expires-in "$3" "${@:4}"
}
# page NAME TOKEN WHAT…: the page's own client
page() { node "$here/headless.js" "wss://127.0.0.1:${port[8443]}/mqtt" "$@"; }
web() { curl -sS --cacert "$dir/etc/ca.pem" "$@"; }
device() { pub -p "${port[8883]}" --cafile "$dir/etc/ca.pem" -i pump-1 -u pump-1 -P "$(token pump-1 device 5m)" -t devices/pump-1/data -m "$1"; }

files() {
  heading "The page comes over TLS, and is all there is"
  local url=https://127.0.0.1:${port[443]} file
  for file in index.html page.js mqtt.js page.css; do
    must "$file is served" eval "web $url/$file | cmp - $dir/etc/www/$file"
  done
  must "it asks no other server for anything" eval "! grep -hE '(src|href)=\"[a-z]*:?//' $dir/etc/www/index.html"
  must "what is beside its folder is not served" eval "! web --path-as-is $url/../issuer.jwk $url/%2e%2e/issuer.jwk | grep kty"
}

people() {
  policy
  heading "Vera may look"
  try allowed "the page watches the devices" page_watches vera "$(token vera viewer 5m)"
  device 7bar || unexpected=1
  must "pump-1 publishes, the page shows it" said vera 'message devices/pump-1/data 7bar'
  try refused "she gives an order" page vera "$(token vera viewer 5m)" publish devices/pump-1/commands open
  heading "Olga may give orders"
  try allowed "she gives one" page olga "$(token olga operator 5m)" publish devices/pump-1/commands open
  heading "Nobody else gets in"
  try "not let in" "a token of last week" page vera "$(token vera viewer 5m --now $(($(date +%s) - 600000)))" watch devices/+/data
  try "not let in" "no token" page vera "" watch devices/+/data
  must "without TLS there is nothing to speak to" eval "! node $here/headless.js ws://127.0.0.1:${port[8443]}/mqtt vera x watch x"
}

# page_watches NAME TOKEN: in the background; says what the broker answered
page_watches() {
  start "$1" node "$here/headless.js" "wss://127.0.0.1:${port[8443]}/mqtt" "$1" "$2" watch devices/+/data
  soon said "$1" 'allowed|refused|not let in'
  head -n 1 "$dir/$1.out"
}

expiry() {
  heading "A token ends while the page is open"
  start paul node "$here/headless.js" "wss://127.0.0.1:${port[8443]}/mqtt" paul "$(token paul viewer 6)" watch devices/+/data
  must "Paul watches with a token for six seconds" said paul allowed
  must "the page is told that its session has ended" said paul closed
  must "the trail says why" audited '"action":"mqtt-disconnect"' token_expired
}

to_try() {
  cat <<TEXT
  a browser that trusts $dir/etc/ca.pem; or go to https://localhost:${port[8443]}/ and to the page, and accept what it warns of: https://localhost:${port[443]}/
  guardctl token issue --key issuer.jwk --issuer https://login.example.com/ --audience mqtt --subject olga --claim 'roles=["operator"]' --expires-in 10m
  mosquitto_pub -p ${port[8883]} --cafile ca.pem -i pump-1 -u pump-1 -P "$(token pump-1 device 1h)" -t devices/pump-1/data -m 7bar
  guardctl audit tail -f $trail
TEXT
}

begin "websockets over TLS" example-websockets
listen 8883 8443 443
# clocks are one clock here, and nobody wants to wait for ten seconds
places+=(-e 's/^(plugin_opt_jwt_leeway +).*/\10/')
keys make_keys
export NODE_EXTRA_CA_CERTS=$dir/etc/ca.pem NODE_PATH=/usr/share/nodejs
put mosquitto.conf policy.conf
step broker
broker broker mosquitto.conf
start page "$here/serve.py" "$dir/etc/www" "${port[443]}" "$dir/etc/server.pem" "$dir/etc/server.key"
soon web "https://127.0.0.1:${port[443]}/" || stop "The page's server did not start." "$(cat "$dir/page.out")"
echo "Mosquitto $(version) on 127.0.0.1: port ${port[8443]} websockets, ${port[8883]} MQTT, both TLS; the page on ${port[443]}"
files
people
expiry
finish
