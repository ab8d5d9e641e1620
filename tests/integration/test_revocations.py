"""What ends sessions and shuts doors at once: keys, users' log-ins, certificates by each of their names, and what does not."""
import json
import signal
import threading
import time

import pytest

from cryptography.hazmat.primitives import hashes, serialization
from support import passwords
from support.broker import wait_until
from support.client import V5
from support.raw import RawClient
from support.tls import TlsClient
from test_enhanced import connect as enhanced
from test_redis import LIVE, options
from test_rules import EVERYONE, users

CERTIFICATE = {"auth_methods": "certificate", "cert_identity": "cn"}


@pytest.fixture
def start(make_broker, redis):
    """start(policy, listeners=…, pki=…, **options): a broker that has taken policy from Redis."""
    def make(policy=EVERYONE, listeners=("plain",), pki=None, **more):
        redis.load(policy)
        broker = make_broker(None, options=options(redis, **more), listeners=listeners, pki=pki)
        broker.trail.wait("policy-reload", event__outcome="success", mosquitto__policy__source="redis")
        return broker
    return make


def code(broker, client_id, token):
    return broker.client(client_id, "x", token, version=V5).connect()


def last_failure(broker, count):
    return broker.trail.wait("mqtt-connect", count, event__outcome="failure")[-1]["event"]["reason"]


# --- keys

@pytest.mark.memory
def test_revoked_key(start, redis, issuer, guardctl):
    """What a key has signed is void: its sessions end, however they came in, its tokens are refused; other keys' are not."""
    broker = start(**issuer.options())
    lost = [broker.client("c1", "x", issuer.token("a", "ES256"), version=V5).open(),
            broker.client("c2", "x", issuer.token("b", "ES256", lifetime=9e8), version=V5).open()]
    kept = broker.client("c3", "x", issuer.token("c", "EdDSA"), version=V5).open()
    with RawClient(broker.ports["plain"]) as raw:
        assert enhanced(raw, issuer.token("d", "ES256"), client_id="c4") == 0
        done = guardctl("revoke", "key", "es256", "--redis", redis.url, "--reason", "leaked")
        assert done.returncode == 0, done.stderr
        assert redis("GET", "guard:revoked:kid:es256") == "leaked"
        assert all(client.wait_gone(LIVE) for client in lost)
        wait_until(lambda: len(broker.trail.events("mqtt-disconnect")) == 3, LIVE, "the third session's end")
    assert {e["event"]["reason"] for e in broker.trail.events("mqtt-disconnect")} == {"token_revoked"}
    assert kept.connected and kept.publish("devices/c/data") == 0
    assert code(broker, "c1", issuer.token("a", "ES256")) == 0x87 and last_failure(broker, 1) == "jwt_revoked"
    with RawClient(broker.ports["plain"]) as raw:
        assert enhanced(raw, issuer.token("d", "ES256"), client_id="c4") == 0x87
    assert guardctl("revoke", "key", "es256", "--redis", redis.url, "--lift").returncode == 0
    wait_until(lambda: code(broker, "c5", issuer.token("a", "ES256")) == 0, LIVE, "the revocation to be lifted")


def test_a_key_that_is_the_only_one_has_a_name_as_well(start, redis, issuer, tmp_path):
    """A token without kid is revoked by the kid of the key that fitted."""
    keys = tmp_path / "one.jwks"
    keys.write_text(json.dumps({"keys": [{**issuer.public_jwk("ES256"), "kid": "the only one"}]}))
    broker = start(**issuer.options(jwt_jwks_file=keys))
    import jwt
    client = broker.client("c", "x", jwt.encode(issuer.claims("a"), issuer.keys["ES256"], algorithm="ES256"), version=V5).open()
    redis("SET", "guard:revoked:kid:the only one", "1")
    assert client.wait_gone(LIVE)


def rotate(broker, issuer, algorithms):
    before = broker.log().count("token keys were renewed")
    issuer.write_jwks([issuer.public_jwk(alg) for alg in algorithms])
    wait_until(lambda: broker.log().count("token keys were renewed") > before, 4, "the new keys")


def test_rotation_and_withdrawal(make_broker, tmp_path):
    """
    New beside old: nobody notices. Old taken out: its tokens are refused, also for renewal and after SIGHUP, its sessions go on,
    and the log says so.
    """
    from support.tokens import Issuer
    issuer = Issuer(tmp_path / "own")
    issuer.write_jwks([issuer.public_jwk("ES256")])
    broker = make_broker(EVERYONE, options=issuer.options())
    old = broker.client("c1", "x", issuer.token("a", "ES256"), version=V5).open()
    rotate(broker, issuer, ["ES256", "EdDSA"])
    new = broker.client("c2", "x", issuer.token("b", "EdDSA"), version=V5).open()
    assert code(broker, "c3", issuer.token("c", "ES256")) == 0
    assert "no longer in use" not in broker.log()
    with RawClient(broker.ports["plain"]) as raw:
        assert enhanced(raw, issuer.token("d", "ES256"), client_id="c4") == 0
        rotate(broker, issuer, ["EdDSA"])
        assert '1 token keys are no longer in use: "es256"' in broker.log()
        broker.hang_up()
        from test_auth_rules import reauthenticate
        assert not reauthenticate(raw, issuer.token("d", "ES256"))
    assert code(broker, "c5", issuer.token("a", "ES256")) == 0x87
    assert last_failure(broker, 2) == "jwt_unknown_key"
    for client, user in ((old, "a"), (new, "b")):
        assert client.connected and client.publish(f"devices/{user}/data") == 0


# --- log-ins of a user

@pytest.mark.memory
@pytest.mark.parametrize("way", ["password", "slow password", "certificate+password", "certificate+token", "certificate"])
def test_revoked_before_reaches_every_way_in(start, redis, issuer, pki, guardctl, way):
    """`revoke client` ends whoever logged in before; who may still log in is let in again."""
    stored = passwords.mosquitto_7("pw", 60_000) if way.startswith("slow") else passwords.mosquitto_7("pw")
    broker = start(f"[client gate]\npassword = {stored}\n" + users("other") + EVERYONE, listeners=("tls", "plain"), pki=pki,
                   **issuer.options(auth_methods=f"{way},password" if "certificate" in way else "password"))
    named = {"listener": "tls" if "certificate" in way else "plain"}
    if "certificate" in way:
        named["certificate"] = pki.client("gate", starts=-1)
    secret = {"certificate+token": issuer.token("gate"), "certificate": None}.get(way, "pw")
    client = broker.client("c1", None if way == "certificate" else "gate", secret, version=V5, **named).open()
    stays = broker.client("c2", "other", "pw", version=V5).open()
    done = guardctl("revoke", "client", "gate", "--redis", redis.url)
    assert done.returncode == 0, done.stderr
    assert client.wait_gone(LIVE) and stays.connected
    assert broker.trail.one("mqtt-disconnect")["event"]["reason"] == "token_revoked"
    time.sleep(1.1)
    again = broker.client("c1", None if way == "certificate" else "gate", secret, version=V5, **named).connect()
    assert again == (0x87 if "certificate" in way else 0), "a certificate of that time is as void as a token"


def test_revoked_before_while_the_password_is_checked(start, redis, broker_version):
    """The password was given before, although its hash is done after."""
    if broker_version < (2, 1):
        pytest.skip("2.0 has no delayed authentication")
    broker = start(f"[client gate]\npassword = {passwords.mosquitto_7('pw', 1_500_000)}\n" + EVERYONE, auth_timeout="30")
    answers = []
    client = broker.client("c1", "gate", "pw", version=V5)
    waiting = threading.Thread(target=lambda: answers.append(client.connect()))
    waiting.start()
    time.sleep(0.2)
    redis("SET", "guard:revoked:before:gate", str(int(time.time()) + 1))
    waiting.join()
    assert answers == [0x87] and last_failure(broker, 1) == "user_disabled"


def test_revoked_before_a_time_to_come(start, redis):
    """Until then the user's passwords are refused, and said why; then they are good."""
    broker = start(users("gate") + EVERYONE, auth_throttle="no")
    redis("SET", "guard:revoked:before:gate", str(int(time.time()) + 3))
    wait_until(lambda: broker.client("c", "gate", "pw", version=V5).connect() == 0x87, LIVE, "the revocation")
    assert last_failure(broker, 1) == "user_disabled"
    wait_until(lambda: broker.client("c", "gate", "pw", version=V5).connect() == 0, 5, "the time to come")


# --- certificates

def spki(leaf):
    digest = hashes.Hash(hashes.SHA256())
    digest.update(leaf.x509.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))
    return digest.finalize().hex()


def names(leaf):
    """Each name of a certificate on the deny list: what guardctl takes, and another way to write the key by hand."""
    serial, issuer = leaf.x509.serial_number, leaf.x509.issuer.rfc4514_string()
    octets = serial.to_bytes((serial.bit_length() + 7) // 8, "big").hex()
    colons = ":".join(octets[i:i + 2] for i in range(0, len(octets), 2))
    return {"certificate": f"cert:{leaf.sha256.lower()}", "key": f"cert:{spki(leaf)}", "serial": f"serial:00:{colons}/{issuer}"}


@pytest.mark.memory
@pytest.mark.parametrize("by", ["certificate", "key", "serial"])
def test_deny_list(start, redis, pki, guardctl, by):
    """By fingerprint, by key, by issuer and serial number; by guardctl from the file, or by hand; other certificates stay good."""
    broker = start(listeners=("tls",), pki=pki, **CERTIFICATE)
    leaf, other = pki.client("gate"), pki.client("other")
    with TlsClient(broker.ports["tls"], pki, leaf) as live, TlsClient(broker.ports["tls"], pki, other) as stays:
        assert live.connect("c1", version=5) == 0 and stays.connect("c2", version=5) == 0
        done = guardctl("revoke", "certificate", leaf.certificate, "--match", by, "--redis", redis.url)
        assert done.returncode == 0, done.stderr
        assert live.gone(LIVE) and not stays.gone(0.2)
        for resume in (live, None):
            with TlsClient(broker.ports["tls"], pki, leaf, resume=resume) as again:
                assert again.connect("c3", version=5) == 0x87
        assert last_failure(broker, 2) == "cert_revoked"
        assert guardctl("revoke", "certificate", leaf.certificate, "--match", by, "--redis", redis.url, "--lift").returncode == 0

        def session():
            client = TlsClient(broker.ports["tls"], pki, leaf)
            return client if client.connect("c4", version=5) == 0 else client.close()
        live = wait_until(session, LIVE, "the revocation to be lifted")
        redis("SET", f"guard:revoked:{names(leaf)[by]}", "by hand")
        assert live.gone(LIVE) and not stays.gone(0.2)
        live.close()


@pytest.mark.memory
@pytest.mark.parametrize("way", ["token", "password"])
def test_a_denied_certificate_is_no_good_beside_something_else(start, redis, pki, issuer, way):
    """The connection was made with the key that is lost, whatever is shown over it; a bound token with it even proves that."""
    broker = start(users("gate") + EVERYONE, listeners=("tls", "plain"), pki=pki, **issuer.options(auth_methods="token,password"))
    leaf = pki.client("gate")
    secret = issuer.token("gate") if way == "token" else "pw"
    tls = broker.client("c1", "gate", secret, version=V5, listener="tls", certificate=leaf).open()
    plain = broker.client("c2", "gate", secret, version=V5).open()
    redis("SET", f"guard:revoked:cert:{leaf.sha256}", "stolen")
    assert tls.wait_gone(LIVE) and plain.connected
    assert broker.client("c1", "gate", secret, version=V5, listener="tls", certificate=leaf).connect() == 0x87
    assert last_failure(broker, 1) == "cert_revoked"
    assert broker.client("c3", "gate", secret, version=V5).connect() == 0


def test_reload_and_restart_keep_revocations(start, redis, pki, issuer, tmp_path):
    """SIGHUP brings nobody back, and a broker that starts without Redis has the list from its snapshot."""
    broker = start(listeners=("tls", "plain"), pki=pki, snapshot_file=tmp_path / "snapshot",
                   **issuer.options(auth_methods="certificate,token"))
    leaf = pki.client("gate")
    redis("SET", f"guard:revoked:{names(leaf)['serial']}", "x")
    redis("SET", "guard:revoked:kid:es256", "x")
    wait_until(lambda: code(broker, "c1", issuer.token("a")) == 0x87, LIVE, "the revocation")
    time.sleep(1.2)  # the snapshot is written
    broker.process.send_signal(signal.SIGHUP)
    redis.stop()
    broker.restart()
    assert code(broker, "c1", issuer.token("a")) == 0x87
    assert code(broker, "c1", issuer.token("a", "EdDSA")) == 0
    assert broker.client("c2", version=V5, listener="tls", certificate=leaf).connect() == 0x87
    assert broker.client("c3", version=V5, listener="tls", certificate=pki.client("other")).connect() == 0
