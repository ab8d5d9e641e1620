"""TLS neighbours: what one client does to OpenSSL's state must not reach another client."""
import pytest

from support.client import V5
from support.tokens import damaged
from test_rules import EVERYONE


@pytest.mark.memory
def test_bad_token_does_not_disconnect_a_neighbour(make_broker, issuer, pki, version):
    """
    OpenSSL's error queue belongs to the thread. A failed verification that leaves its error there makes the broker's next
    SSL_read of an unrelated client look failed: measured on 2.0.11, one stranger's bad token ended a TLS client's session.
    """
    broker = make_broker(EVERYONE, options=issuer.options(auth_throttle="no"), listeners=("plain", "tls", "wss"), pki=pki)
    neighbours = [broker.client(f"n-{name}", version=version, listener=name, certificate=pki.client(f"gate-{name}")).open()
                  for name in ("tls", "wss")]
    bad = [damaged(issuer.token("x", alg)) for alg in ("RS256", "PS256", "ES256", "EdDSA", "HS256")]
    bad += ["not.a.token", "a.b", issuer.token("x", kid="?"), issuer.token("x", lifetime=-9)]
    for number, token in enumerate(bad * 2):
        assert broker.client(f"s-{number}", "x", token, version=version).connect() != 0
        for client in neighbours:
            assert client.connected, f"token {number} disconnected {client.client_id}"
            assert client.publish(f"devices/gate-{client.client_id[2:]}/data") == 0, f"after token {number}"


def test_bad_certificates_do_not_either(make_broker, issuer, pki):
    broker = make_broker(EVERYONE, options=issuer.options(auth_methods="certificate", cert_identity="cn"), listeners=("tls",), pki=pki)
    neighbour = broker.client("n", version=V5, listener="tls", certificate=pki.client("gate")).open()
    for name in ("a/b", "#", "", "x" * 64):
        broker.client("s", version=V5, listener="tls", certificate=pki.client(name or None)).connect()
        assert neighbour.publish("devices/gate/data") == 0


def test_expired_certificate_ends_the_session(make_broker, pki):
    """The handshake accepted it; its notAfter ends the session all the same."""
    broker = make_broker(EVERYONE, listeners=("tls",), pki=pki)
    leaf = pki.client("gate", ends=4 / 86400)
    client = broker.client("c1", version=V5, listener="tls", certificate=leaf).open()
    assert client.publish("devices/gate/data") == 0
    assert client.wait_gone(8)
    assert broker.trail.one("mqtt-disconnect")["event"]["reason"] in ("token_expired", "policy_changed", "admin_kick")


def test_certificate_bound_token(make_broker, issuer, pki):
    """RFC 8705: a token with cnf.x5t#S256 is good only over the connection of that certificate."""
    from support.tokens import b64
    owner, thief = pki.client("owner"), pki.client("thief")
    bound = issuer.token("a", cnf={"x5t#S256": b64(bytes.fromhex(owner.sha256))})
    broker = make_broker(EVERYONE, options=issuer.options(auth_methods="token"), listeners=("tls", "plain"), pki=pki)
    broker.client("c1", "a", bound, listener="tls", certificate=owner).open()
    assert broker.client("c2", "a", bound, listener="tls", certificate=thief).connect() == 5
    assert broker.client("c3", "a", bound).connect() == 5
    reasons = [e["event"]["reason"] for e in broker.trail.wait("mqtt-connect", 2, event__outcome="failure")]
    assert set(reasons) <= {"cert_identity_mismatch", "cert_missing"}


def test_identity_as_username_is_warned_about(make_broker, pki):
    """use_identity_as_username skips the plugin's check of the client (the broker does not ask it); somebody must say so."""
    broker = make_broker(EVERYONE, listeners=("tls",), pki=pki, listener_conf={"tls": "use_identity_as_username true"})
    client = broker.client("c1", version=V5, listener="tls", certificate=pki.client("gate"))
    if client.connect() == 0:
        client.publish("devices/other/data")
        assert client.publish("devices/other/data") in (0x87, None)
        assert "use_identity_as_username" in broker.log()


def test_bypassing_identity_that_is_disabled(make_broker, pki, eventually):
    """It is let in by the broker, but the policy's word on its name counts: off, and on again."""
    enabled = "[client gate]\nroles = device\n"
    disabled = enabled + "disabled = yes\n"
    broker = make_broker(disabled + EVERYONE, listeners=("tls",), pki=pki,
                         listener_conf={"tls": "use_identity_as_username true"})
    client = broker.client("c1", version=V5, listener="tls", certificate=pki.client("gate")).open()
    assert client.publish("devices/gate/data") == 0x87
    broker.hang_up(enabled + EVERYONE)
    eventually(lambda: client.publish("devices/gate/data") == 0, 5, "its rights back")
    broker.hang_up(disabled + EVERYONE)
    eventually(lambda: client.publish("devices/gate/data") == 0x87, 5, "its rights gone")
