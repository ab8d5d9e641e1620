"""The recipes of docs/authentication.md: each block as it stands there, with a token of that provider's shape, or a key in hardware."""
import json
import re
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from support.broker import GUARDCTL, TOP
from support.raw import RawClient, connect_packet
from support.tls import TlsClient
from support.tokens import number
from test_enhanced import publish

MANUAL = (TOP / "docs/authentication.md").read_text()
POLICY = """\
[role device]
data = allow publish devices/${username}/data
[role operator]
all = allow publish plant/#
[default]
roles = device
"""
NOW = int(time.time())


def blocks(heading):
    """The indented or fenced blocks below a heading of the manual, up to the next heading."""
    section = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", MANUAL, re.S | re.M)
    assert section, f"the manual has no heading '{heading}'"
    return re.findall(r"^```\n(.*?)^```", section[1], re.S | re.M)


def plugin_options(block):
    return dict(re.match(r"plugin_opt_(\w+)\s+(.*)", line).groups() for line in block.splitlines() if line.startswith("plugin_opt_"))


class Provider:
    """An RSA key pair, the way the big providers have it, published among keys that are not for signatures."""

    def __init__(self, folder, **members):
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        numbers = self.key.public_key().public_numbers()
        mine = {"kty": "RSA", "use": "sig", "kid": "the-kid", "n": number(numbers.n), "e": number(numbers.e), **members}
        other = {**mine, "kid": "for-encryption", "use": "enc", "alg": "RSA-OAEP"}
        self.jwks = folder / "keys.jwks"
        self.jwks.write_text(json.dumps({"keys": [other, mine]}))

    def token(self, claims, **header):
        pem = self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return jwt.encode({"iat": NOW - 5, "exp": NOW + 3600, **claims}, pem, algorithm="RS256", headers={"kid": "the-kid", **header})


KEYCLOAK = {"iss": "https://HOST/realms/REALM", "aud": ["mqtt", "account"], "sub": "0f9c8a52-6a0e-4c53-9d7a-2a6d6a6b9f10", "typ": "Bearer",
            "azp": "pump-7", "jti": "trrtcc:3e1b", "acr": "1", "allowed-origins": ["/*"], "scope": "email profile", "email_verified": False,
            "realm_access": {"roles": ["offline_access", "operator"]}, "resource_access": {"account": {"roles": ["view-profile"]}},
            "clientHost": "192.0.2.7", "preferred_username": "service-account-pump-7", "clientAddress": "192.0.2.7", "client_id": "pump-7"}
AUTH0 = {"iss": "https://TENANT.auth0.com/", "sub": "pump-7@clients", "aud": "https://mqtt.example.com", "scope": "operator",
         "gty": "client-credentials", "azp": "pump-7", "permissions": ["operator"]}
ENTRA = {"iss": "https://login.microsoftonline.com/TENANT-ID/v2.0", "aud": "API-CLIENT-ID", "nbf": NOW - 5, "aio": "E2ZgYLhv", "azp": "pump-7",
         "azpacr": "1", "oid": "9c8e8f9d-2d3b", "rh": "0.AAAA", "roles": ["operator"], "sub": "9c8e8f9d-2d3b", "tid": "TENANT-ID", "uti": "abc", "ver": "2.0"}
COGNITO = {"iss": "https://cognito-idp.REGION.amazonaws.com/POOL-ID", "sub": "a1b2-c3", "cognito:groups": ["operator"], "version": 2,
           "client_id": "APP-CLIENT-ID", "origin_jti": "o", "token_use": "access", "scope": "openid", "auth_time": NOW - 5, "jti": "j", "username": "pump-7"}
COGNITO_ID = {"iss": COGNITO["iss"], "sub": "a1b2-c3", "aud": "APP-CLIENT-ID", "cognito:groups": ["operator"], "event_id": "e", "token_use": "id",
              "auth_time": NOW - 5, "cognito:username": "pump-7", "email": "a@example.com", "email_verified": True}
CASES = {
    "Keycloak": ("Keycloak", 0, {"alg": "RS256", "x5c": ["MIIC"], "x5t": "abc"}, KEYCLOAK, {"typ": "JWT"}),
    "Auth0": ("Auth0", 0, {"alg": "RS256", "x5c": ["MIID"], "x5t": "abc"}, AUTH0, {"typ": "at+jwt"}),
    "Entra": ("Microsoft Entra ID", 0, {"x5t": "the-kid", "x5c": ["MIIC"], "issuer": ENTRA["iss"]}, ENTRA, {"typ": "JWT", "x5t": "the-kid"}),
    "Cognito access": ("AWS Cognito", 0, {"alg": "RS256"}, COGNITO, {"typ": None}),
    "Cognito ID": ("AWS Cognito", 1, {"alg": "RS256"}, COGNITO_ID, {"typ": None}),
}


def admitted(broker, token):
    with RawClient(broker.ports["plain"]) as raw:
        if raw.connect("c", None, token, version=5) != 0:
            return False
        assert publish(raw, "devices/pump-7/data", 1) in (0, 0x10), "another identity than the recipe says"
        assert publish(raw, "plant/x", 2) in (0, 0x10), "the role is not there"
        return True


@pytest.mark.parametrize("case", CASES)
def test_provider(make_broker, tmp_path, case):
    heading, at, members, claims, header = CASES[case]
    options = plugin_options(blocks(heading)[at])
    provider = Provider(tmp_path, **members)
    assert options.pop("jwt_jwks_file") == "/etc/mosquitto/guard/keys.jwks"
    broker = make_broker(POLICY, options={**options, "jwt_jwks_file": provider.jwks, "auth_throttle": "no"})
    good = provider.token(claims, **header)
    assert admitted(broker, good)
    wrong = [provider.token({**claims, "iss": claims["iss"].rstrip("/") + "x"}, **header), provider.token({**claims, "exp": NOW - 60}, **header)]
    if "jwt_audience" in options:
        wrong.append(provider.token({**claims, "aud": "another-app"}, **header))
        wrong.append(provider.token({name: value for name, value in claims.items() if name != "aud"}, **header))
    assert not any(admitted(broker, token) for token in wrong)
    command = [GUARDCTL, "token", "verify", "--jwks", provider.jwks, "--issuer", options["jwt_issuer"],
               "--identity-claim", options["jwt_identity_claim"], "--roles-claim", options["jwt_roles_claim"],
               *(["--audience", options["jwt_audience"]] if "jwt_audience" in options else []), "-"]
    for token, code in [(good, 0)] + [(token, 1) for token in wrong]:
        done = subprocess.run(command, input=token, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr


def test_an_issuer_of_your_own(make_broker, tmp_path):
    """The commands of "In five minutes", and the options of the recipe."""
    commands = blocks("In five minutes: an issuer of your own")[0]
    script = "\n".join(line for line in commands.splitlines() if not line.startswith("mosquitto_pub"))
    script = script.replace("guardctl", shlex.quote(str(GUARDCTL)))
    subprocess.run(["sh", "-ec", script], cwd=tmp_path, check=True, capture_output=True)
    options = {**plugin_options(blocks("An issuer of your own")[0]), "jwt_jwks_file": tmp_path / "keys.jwks"}
    broker = make_broker(POLICY, options=options)
    with RawClient(broker.ports["plain"]) as raw:
        assert raw.connect("sensor-7", "sensor-7", (tmp_path / "sensor-7.jwt").read_text().strip(), version=4) == 0
        broker.trail.one("mqtt-connect", event__outcome="success", user__name="sensor-7")


def test_an_own_ca(make_broker, pki, tmp_path):
    """The commands of the manual make a certificate that the plugin takes, and guardctl shows."""
    subprocess.run(["sh", "-ec", blocks("An own CA")[0]], cwd=tmp_path, check=True, capture_output=True)
    (listener,) = [b for b in blocks("The listener") if "cafile" in b]
    conf = listener.replace("listener 8883\n", "").replace("/etc/mosquitto/certs/ca.pem", str(tmp_path / "ca.pem"))
    server = pki.server()
    conf = conf.replace("/etc/mosquitto/certs/server.pem", str(server.certificate)).replace("/etc/mosquitto/certs/server.key", str(server.key))
    lines = [line for line in conf.splitlines() if not line.startswith("plugin_opt_")]
    broker = make_broker(POLICY, options={"auth_methods": "certificate", **plugin_options(conf)}, listeners=("plain2",),
                         listener_conf={"plain2": "\n".join(lines)})

    class Mine:
        certificate, key = tmp_path / "sensor-7.pem", tmp_path / "sensor-7.key"
    with TlsClient(broker.ports["plain2"], pki, Mine) as client:
        assert client.connect("c", version=5) == 0
        assert publish(client, "devices/sensor-7/data") in (0, 0x10)


# --- keys in hardware

def find(name, *places):
    return next((place for pattern in places for place in map(str, Path("/").glob(pattern)) if Path(place).exists()), None) or pytest.skip(f"{name} is not installed")


@pytest.fixture
def hsm(tmp_path, monkeypatch):
    """hsm(token, label, PEM file of a key): the key in a SoftHSM token of that name, with the manual's PIN; the file is removed."""
    if not shutil.which("softhsm2-util"):
        pytest.skip("SoftHSM (package softhsm2) is not installed")
    find("OpenSSL's PKCS#11 engine (package libengine-pkcs11-openssl)", "usr/lib/*/engines-3/pkcs11.so")
    module = find("SoftHSM's module", "usr/lib/softhsm/libsofthsm2.so", "usr/lib/*/softhsm/libsofthsm2.so")
    (tmp_path / "tokens").mkdir()
    conf = tmp_path / "softhsm2.conf"
    conf.write_text(f"directories.tokendir = {tmp_path / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(conf))
    monkeypatch.setenv("PKCS11_MODULE_PATH", module)

    def put(token, label, pem):
        run = ["softhsm2-util", "--module", module]
        plain = tmp_path / "key.pk8"
        subprocess.run(["openssl", "pkcs8", "-topk8", "-nocrypt", "-in", pem, "-out", plain], check=True, capture_output=True)
        subprocess.run([*run, "--init-token", "--free", "--label", token, "--pin", "1234", "--so-pin", "123456"], check=True, capture_output=True)
        subprocess.run([*run, "--import", plain, "--token", token, "--label", label, "--id", "01", "--pin", "1234"], check=True, capture_output=True)
        plain.unlink()
    return put


@pytest.mark.skipif("os.environ.get('GUARD_UNDER')", reason="the engine and its module are not what is checked")
def test_broker_key_in_a_pkcs11_token(make_broker, pki, hsm):
    """The listener of the manual: the broker's handshake is signed by the token, and the plugin sees the client's certificate as ever."""
    (listener,) = [b for b in blocks("Keys in hardware") if "tls_engine" in b]
    server = pki.server()
    hsm("broker", "server", server.key)
    conf = listener.replace("listener 8883\n", "").replace("/etc/mosquitto/certs/ca.pem", str(pki.ca_file))
    conf = conf.replace("/etc/mosquitto/certs/server.pem", str(server.certificate))
    lines = [line for line in conf.splitlines() if not line.startswith("plugin_opt_")]
    assert "pkcs11:" in conf and str(server.key) not in conf
    broker = make_broker(POLICY, options={"auth_methods": "certificate", **plugin_options(conf)}, listeners=("plain2",),
                         listener_conf={"plain2": "\n".join(lines)})
    for number_of_turn in range(3):
        with TlsClient(broker.ports["plain2"], pki, pki.client("sensor-7")) as client:
            assert client.connect(f"c{number_of_turn}", version=5) == 0
            assert publish(client, "devices/sensor-7/data") in (0, 0x10)


@pytest.mark.skipif("os.environ.get('GUARD_UNDER')", reason="the engine and its module are not what is checked")
def test_device_key_in_a_pkcs11_token(make_broker, pki, hsm):
    """openssl s_client as in the manual, with MQTT as its input; the device's key is nowhere but in the token."""
    (command,) = [b for b in blocks("Keys in hardware") if "s_client" in b]
    leaf = pki.client("sensor-7")
    hsm("device", "sensor-7", leaf.key)
    leaf.key.unlink()
    broker = make_broker(POLICY, options={"auth_methods": "certificate", "cert_identity": "cn"}, listeners=("tls",), pki=pki)
    places = {"broker.example.com:8883": f"localhost:{broker.ports['tls']}", "ca.pem": str(pki.ca_file), "sensor-7.pem": str(leaf.certificate)}
    words = [places.get(word, word) for word in shlex.split(command.replace("\\\n", " "))]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as device:
        device.stdin.write(connect_packet("c1"))
        device.stdin.flush()
        answer = device.stdout.read(4)
        device.kill()
        assert answer == b"\x20\x02\x00\x00", device.stderr.read().decode()
    broker.trail.one("mqtt-connect", event__outcome="success", user__name="sensor-7")
