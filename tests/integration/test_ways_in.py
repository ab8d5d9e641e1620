"""The three ways in, each with MQTT 3.1.1 and 5: who is admitted, who is refused, and what the audit trail says about it."""
import time

import pytest

from support import passwords
from support.client import REFUSED, V5
from support.raw import RawClient
from support.tokens import ALGORITHMS, Issuer, damaged

RULES = """\
[role device]
data     = allow publish devices/${username}/data
commands = allow subscribe devices/${username}/commands
[default]
roles = device
"""


def policy_with_password(stored, name="sensor-7"):
    return f"[client {name}]\npassword = {stored}\n{RULES}"


def works(client, name):
    """The connection is not only there, but is this user's: its own topic is allowed and another's is not."""
    assert client.subscribe(f"devices/{name}/commands") == 1
    assert client.subscribe("devices/other/commands") >= 0x80
    return True


# --- passwords

@pytest.mark.parametrize("kind", passwords.KINDS)
def test_password(make_broker, version, kind):
    broker = make_broker(policy_with_password(passwords.KINDS[kind]("open sesame")))
    client = broker.client("c1", "sensor-7", "open sesame", version=version).open()
    assert works(client, "sensor-7")
    event = broker.trail.one("mqtt-connect", event__outcome="success")
    assert event["user"]["name"] == "sensor-7" and event["mqtt"]["client_id"] == "c1"
    assert event["mqtt"]["auth"]["method"] == "password"
    assert event["source"]["ip"] == "127.0.0.1"


@pytest.mark.parametrize("kind", passwords.KINDS)
def test_wrong_password(make_broker, version, kind):
    broker = make_broker(policy_with_password(passwords.KINDS[kind]("open sesame")))
    assert broker.client("c1", "sensor-7", "open sesam", version=version).connect() == REFUSED[version]
    event = broker.trail.one("mqtt-connect", event__outcome="failure")
    assert event["event"]["reason"] == "bad_credentials"
    assert event["user"]["name"] == "sensor-7"
    assert "sesam" not in broker.log() and b"sesam" not in b"".join(broker.trail.lines())


def test_unknown_user(make_broker, version):
    broker = make_broker(policy_with_password(passwords.mosquitto_7("x")))
    assert broker.client("c1", "nobody", "x", version=version).connect() == REFUSED[version]
    assert broker.trail.one("mqtt-connect", event__outcome="failure")["event"]["reason"] == "unknown_user"


def test_user_without_password(make_broker, version):
    """A client record without a password admits nobody by password, an empty one least of all."""
    broker = make_broker(f"[client sensor-7]\nroles = device\n{RULES}")
    for password in (None, "", "x"):
        assert broker.client("c1", "sensor-7", password, version=version).connect() == REFUSED[version]
    broker.trail.wait("mqtt-connect", 3, event__outcome="failure")


def test_password_of_another_user(make_broker):
    broker = make_broker(f"[client a]\npassword = {passwords.mosquitto_7('secret-a')}\n"
                         f"[client b]\npassword = {passwords.mosquitto_7('secret-b')}\n{RULES}")
    assert broker.client("c", "a", "secret-b").connect() == 5
    assert broker.client("c", "a", "secret-a").connect() == 0


# --- tokens

@pytest.mark.memory
@pytest.mark.parametrize("alg", ALGORITHMS)
def test_token(make_broker, issuer, version, alg):
    broker = make_broker(RULES, options=issuer.options())
    client = broker.client("c1", "sensor-7", issuer.token("sensor-7", alg), version=version).open()
    assert works(client, "sensor-7")
    event = broker.trail.one("mqtt-connect", event__outcome="success")
    assert event["user"]["name"] == "sensor-7"
    assert event["mqtt"]["auth"]["method"] == "jwt" and event["mqtt"]["auth"]["kid"] == alg.lower()


def test_token_names_the_user(make_broker, issuer, version):
    """The session's user is the token's subject, whatever user name the client typed."""
    broker = make_broker(RULES, options=issuer.options())
    client = broker.client("c1", "typed-name", issuer.token("sensor-7"), version=version)
    if client.connect() == 0:  # a binding of the typed name to the subject would refuse; never may the typed name win
        assert works(client, "sensor-7")
    else:
        broker.trail.one("mqtt-connect", event__outcome="failure")


def test_token_without_user_name(make_broker, issuer):
    """MQTT 5 lets a client send a password alone, which suits tokens (MQTT 5.0 §3.1.2.9)."""
    broker = make_broker(RULES, options=issuer.options())
    with RawClient(broker.ports["plain"]) as raw:
        assert raw.connect("c1", None, issuer.token("sensor-7"), version=5) == 0
        assert broker.trail.one("mqtt-connect", event__outcome="success")["user"]["name"] == "sensor-7"


def test_token_over_websockets(make_broker, issuer, version):
    broker = make_broker(RULES, options=issuer.options(), listeners=("ws",))
    client = broker.client("c1", "sensor-7", issuer.token("sensor-7"), version=version, listener="ws").open()
    assert works(client, "sensor-7")
    event = broker.trail.one("mqtt-connect", event__outcome="success")
    assert event["source"]["ip"] == "127.0.0.1"


BAD_TOKENS = {
    "jwt_bad_signature": lambda i: damaged(i.token("sensor-7")),
    "jwt_expired": lambda i: i.token("sensor-7", lifetime=-10),
    "jwt_not_yet_valid": lambda i: i.token("sensor-7", nbf=int(time.time()) + 600),
    "jwt_wrong_issuer": lambda i: i.token("sensor-7", iss="https://elsewhere.test"),
    "jwt_wrong_audience": lambda i: i.token("sensor-7", aud="somebody else"),
    "jwt_unknown_key": lambda i: i.token("sensor-7", kid="no-such-key"),
    "jwt_missing_claim": lambda i: i.token("sensor-7", exp=None),
    "jwt_malformed": lambda i: i.token("sensor-7").replace(".", "..", 1),
}


@pytest.mark.memory
@pytest.mark.parametrize("reason", BAD_TOKENS)
def test_bad_token(make_broker, issuer, version, reason):
    broker = make_broker(RULES, options=issuer.options(auth_methods="token"))
    token = BAD_TOKENS[reason](issuer)
    assert broker.client("c1", "sensor-7", token, version=version).connect() == REFUSED[version]
    event = broker.trail.one("mqtt-connect", event__outcome="failure")
    assert event["event"]["reason"] == reason
    written = b"".join(broker.trail.lines()) + broker.log().encode()
    assert token.split(".")[-1].encode() not in written, "a signature stands in the log or in the audit trail"


def test_token_alg_none(make_broker, issuer, version):
    head, payload, _ = issuer.token("sensor-7").split(".")
    import base64
    none = base64.urlsafe_b64encode(b'{"alg":"none","kid":"es256"}').rstrip(b"=").decode()
    broker = make_broker(RULES, options=issuer.options(auth_methods="token"))
    for token in (f"{none}.{payload}.", f"{none}.{payload}.AAAA", f"{head}.{payload}."):
        assert broker.client("c1", "sensor-7", token, version=version).connect() == REFUSED[version]
    for event in broker.trail.wait("mqtt-connect", 3, event__outcome="failure"):
        assert event["event"]["reason"] in ("jwt_alg_not_allowed", "jwt_malformed", "jwt_bad_signature")


def test_public_key_is_no_hmac_secret(make_broker, issuer):
    """The confusion of RFC 8725 §2.1: a token signed HS256 with the bytes of a public key."""
    from cryptography.hazmat.primitives import serialization
    import hashlib
    import hmac
    from support.tokens import b64
    pem = issuer.keys["RS256"].public_key().public_bytes(serialization.Encoding.PEM,
                                                         serialization.PublicFormat.SubjectPublicKeyInfo)
    signed = b64(b'{"alg":"HS256","kid":"rs256"}') + "." + issuer.token("sensor-7").split(".")[1]
    forged = signed + "." + b64(hmac.new(pem, signed.encode(), hashlib.sha256).digest())
    broker = make_broker(RULES, options=issuer.options(auth_methods="token"))
    assert broker.client("c1", "sensor-7", forged).connect() == 5
    assert broker.trail.one("mqtt-connect", event__outcome="failure")["event"]["reason"] == "jwt_alg_not_allowed"


def test_leeway(make_broker, issuer):
    broker = make_broker(RULES, options=issuer.options(jwt_leeway="30"))
    broker.client("c1", "sensor-7", issuer.token("sensor-7", lifetime=-10)).open()
    assert broker.client("c2", "sensor-8", issuer.token("sensor-8", lifetime=-60)).connect() == 5


def test_identity_and_roles_from_claims(make_broker, issuer):
    policy = "[role writer]\nw = allow publish plant/${username}/#\n[role reader]\nr = allow subscribe plant/#\n"
    broker = make_broker(policy, options=issuer.options(jwt_identity_claim="device", jwt_roles_claim="realm_access.roles"))
    token = issuer.token("ignored", device="pump-1", realm_access={"roles": ["reader"]})
    client = broker.client("c1", "pump-1", token, version=V5).open()
    assert client.subscribe("plant/#") == 1
    assert client.publish("plant/pump-1/x") == 0x87
    token = issuer.token("ignored", device="pump-2", realm_access={"roles": ["writer", "reader", "unknown"]})
    both = broker.client("c2", "pump-2", token, version=V5).open()
    assert both.publish("plant/pump-2/x") == 0
    assert client.receive().topic == "plant/pump-2/x"


@pytest.mark.parametrize("subject", ["a+b", "a/b", "#", "a\u0001b", "$SYS", " a", "x" * 300])
def test_identity_that_cannot_be_a_user_name(make_broker, issuer, subject):
    """Such a subject would be read as part of a topic somewhere."""
    broker = make_broker(RULES, options=issuer.options(auth_methods="token"))
    assert broker.client("c1", "x", issuer.token(subject), version=V5).connect() == 0x87
    broker.trail.one("mqtt-connect", event__outcome="failure")


def test_keys_are_replaced_without_restart(make_broker, tmp_path, eventually):
    mine = Issuer(tmp_path / "rotating")
    broker = make_broker(RULES, options=mine.options(auth_methods="token"))
    broker.client("c1", "a", mine.token("a", "ES256")).open()
    mine.write_jwks([mine.public_jwk("EdDSA")])
    broker.hang_up()
    eventually(lambda: "keys were renewed" in broker.log(), 3, "the new keys")
    assert broker.client("c2", "b", mine.token("b", "ES256")).connect() == 5
    broker.client("c3", "b", mine.token("b", "EdDSA")).open()
    mine.jwks_file.write_text("{ this is not a key set")
    broker.hang_up()
    broker.client("c4", "d", mine.token("d", "EdDSA")).open()  # a bad file keeps the old keys
    assert broker.running


# --- certificates

@pytest.mark.parametrize("listener", ["tls", "wss"])
def test_certificate_by_common_name(make_broker, pki, version, listener):
    broker = make_broker(RULES, listeners=(listener,), pki=pki, options={"cert_identity": "cn"})
    leaf = pki.client("gate-3")
    client = broker.client("c1", version=version, listener=listener, certificate=leaf).open()
    assert works(client, "gate-3")
    event = broker.trail.one("mqtt-connect", event__outcome="success")
    assert event["user"]["name"] == "gate-3" and event["mqtt"]["auth"]["method"] == "x509"
    assert event["tls"]["client"]["hash"]["sha256"] == leaf.sha256
    assert event["source"]["ip"] == "127.0.0.1"


SAN = {
    "san.dns": (dict(dns=["gate-3.example"]), "gate-3.example"),
    "san.email": (dict(email=["gate-3@example.org"]), "gate-3@example.org"),
}


@pytest.mark.parametrize("source", SAN)
@pytest.mark.parametrize("listener", ["tls", "wss"])
def test_certificate_by_alternative_name(make_broker, pki, version, listener, source):
    shape, name = SAN[source]
    broker = make_broker(RULES, listeners=(listener,), pki=pki, options={"cert_identity": source})
    client = broker.client("c1", version=version, listener=listener, certificate=pki.client("not this", **shape)).open()
    assert works(client, name)


@pytest.mark.memory
def test_certificate_without_the_name(make_broker, pki, version):
    broker = make_broker(RULES, listeners=("tls",), pki=pki, options={"cert_identity": "san.dns", "auth_methods": "certificate"})
    client = broker.client("c1", version=version, listener="tls", certificate=pki.client("only-a-common-name"))
    assert client.connect() == REFUSED[version]
    assert broker.trail.one("mqtt-connect", event__outcome="failure")["event"]["reason"] == "cert_identity_mismatch"


def test_certificate_with_two_names(make_broker, pki):
    """Exactly one is meant: which of two would win is not for the attacker's CSR to decide."""
    broker = make_broker(RULES, listeners=("tls",), pki=pki, options={"cert_identity": "san.dns", "auth_methods": "certificate"})
    leaf = pki.client("x", dns=["a.example", "b.example"])
    assert broker.client("c1", listener="tls", certificate=leaf).connect() == 5
    assert broker.trail.one("mqtt-connect", event__outcome="failure")["event"]["reason"] == "cert_identity_mismatch"


@pytest.mark.parametrize("name", ["a/b", "a+b", "#", "$SYS"])
def test_certificate_name_that_cannot_be_a_user_name(make_broker, pki, name):
    broker = make_broker(RULES, listeners=("tls",), pki=pki, options={"cert_identity": "cn", "auth_methods": "certificate"})
    assert broker.client("c1", listener="tls", certificate=pki.client(name)).connect() == 5
    broker.trail.one("mqtt-connect", event__outcome="failure")


def test_no_certificate_where_one_is_wanted(make_broker, version):
    broker = make_broker(RULES, options={"auth_methods": "certificate"})
    assert broker.client("c1", version=version).connect() == REFUSED[version]
    event = broker.trail.one("mqtt-connect", event__outcome="failure")
    assert event["event"]["reason"] in ("cert_missing", "anonymous_denied")


# --- without any credential

def test_anonymous_is_refused(make_broker, version):
    broker = make_broker(RULES)
    assert broker.client("c1", version=version).connect() == REFUSED[version]
    assert broker.trail.one("mqtt-connect", event__outcome="failure")["event"]["reason"] == "anonymous_denied"


def test_anonymous_is_admitted_by_an_assignment(make_broker, version):
    broker = make_broker("[role public]\nnews = allow subscribe news/#\n[assign]\nguests = public when anonymous\n")
    client = broker.client("c1", version=version).open()
    assert client.subscribe("news/#") == 1
    assert client.subscribe("internal") >= 0x80
    event = broker.trail.one("mqtt-connect", event__outcome="success")
    assert event["mqtt"]["auth"]["method"] == "anonymous"


def test_methods_that_are_off(make_broker, issuer):
    """A method that is not listed does not exist."""
    broker = make_broker(policy_with_password(passwords.mosquitto_7("pw")), options=issuer.options(auth_methods="password"))
    assert broker.client("c1", "sensor-7", issuer.token("sensor-7")).connect() == 5
    broker.client("c2", "sensor-7", "pw").open()


def test_methods_in_turn(make_broker, issuer, pki):
    """One broker, all three: each client by what it brings."""
    broker = make_broker(policy_with_password(passwords.mosquitto_7("pw")), listeners=("plain", "tls"), pki=pki,
                         options=issuer.options(cert_identity="cn"))
    assert works(broker.client("c1", "sensor-7", "pw").open(), "sensor-7")
    assert works(broker.client("c2", "pump", issuer.token("pump")).open(), "pump")
    assert works(broker.client("c3", listener="tls", certificate=pki.client("gate")).open(), "gate")
    methods = [e["mqtt"]["auth"]["method"] for e in broker.trail.wait("mqtt-connect", 3, event__outcome="success")]
    assert methods == ["password", "jwt", "x509"]
