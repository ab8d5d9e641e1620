"""MQTT 5 enhanced authentication: the token as authentication data, renewed in place (MQTT 5.0 §4.12)."""
import time

import pytest

from support.raw import RawClient, packet, text
from test_rules import EVERYONE

METHOD, DATA = b"\x15", b"\x16"


def properties(token, method="JWT"):
    return METHOD + text(method) + DATA + text(token)


def variable(octets):
    """MQTT 5 properties with their length in front (one or two digits are enough here)."""
    length = len(octets)
    return (bytes([length]) if length < 128 else bytes([length & 127 | 128, length >> 7])) + octets


def connect(raw, token, method="JWT", client_id="c1"):
    body = text("MQTT") + bytes([5, 2, 0, 60]) + variable(properties(token, method)) + text(client_id)
    raw.send(packet(0x10, body))
    answer = raw.read()
    return answer[1][1] if answer else None


def publish(raw, topic, number=1):
    raw.send(packet(0x32, text(topic) + bytes([0, number, 0]) + b"x"))
    kind, body = raw.read()
    assert kind == 0x40
    return body[2] if len(body) > 2 else 0


@pytest.mark.memory
def test_token_as_authentication_data(make_broker, issuer):
    broker = make_broker(EVERYONE, options=issuer.options())
    with RawClient(broker.ports["plain"]) as raw:
        assert connect(raw, issuer.token("a")) == 0
        assert publish(raw, "devices/a/data") in (0, 0x10)
        assert publish(raw, "devices/b/data") == 0x87
    event = broker.trail.one("mqtt-connect", event__outcome="success")
    assert event["user"]["name"] == "a" and event["mqtt"]["auth"]["method"] in ("jwt", "enhanced")


def test_bad_token_and_unknown_method(make_broker, issuer):
    broker = make_broker(EVERYONE, options=issuer.options())
    with RawClient(broker.ports["plain"]) as raw:
        assert connect(raw, issuer.token("a", lifetime=-5)) == 0x87
    with RawClient(broker.ports["plain"]) as raw:
        assert connect(raw, issuer.token("a"), method="SCRAM-SHA-1") == 0x8C
    assert broker.trail.one("mqtt-connect", event__outcome="failure")["event"]["reason"] == "jwt_expired"


@pytest.mark.timing
def test_renewed_in_place(make_broker, issuer):
    """Re-authentication with a fresh token keeps the session alive past the end of the first, without a reconnect."""
    broker = make_broker(EVERYONE, options=issuer.options())
    with RawClient(broker.ports["plain"]) as raw:
        assert connect(raw, issuer.token("a", lifetime=2)) == 0
        raw.send(packet(0xF0, b"\x19" + variable(properties(issuer.token("a", lifetime=600)))))
        kind, body = raw.read()
        assert (kind, body[0]) == (0xF0, 0)
        time.sleep(2.5)
        assert publish(raw, "devices/a/data") in (0, 0x10)
    first, renewal = broker.trail.wait("mqtt-connect", 2, event__outcome="success")
    assert first["mqtt"]["connection_id"] == renewal["mqtt"]["connection_id"], "a renewal belongs to its connection"
    assert first["mqtt"]["auth"]["jti"] != renewal["mqtt"]["auth"]["jti"]


def test_renewal_for_somebody_else_is_refused(make_broker, issuer):
    """A session does not change hands: a token of another identity ends it."""
    broker = make_broker(EVERYONE, options=issuer.options())
    with RawClient(broker.ports["plain"]) as raw:
        assert connect(raw, issuer.token("a")) == 0
        raw.send(packet(0xF0, b"\x19" + variable(properties(issuer.token("b")))))
        answer = raw.read()
        assert answer is None or answer[0] == 0xE0 or max(answer[1][:2]) >= 0x80  # 2.0 answers with a CONNACK


