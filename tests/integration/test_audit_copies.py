"""Copies of the trail and pseudonyms, as a broker's options ask for them: Redis stream, syslog with a client certificate, privacy."""
import json
import re
import socket
import ssl
import threading
from types import SimpleNamespace

import pytest

from support.client import V5
from test_audit import POLICY


def wait_lines(eventually, broker, taken):
    """The trail's lines, once taken() has as many; the checkpoints go on meanwhile."""
    def all_there():
        lines = broker.trail.lines()
        return lines if len(taken()) >= len(lines) else None
    return eventually(all_there, 10, "the copy to be complete")


def test_redis_stream(make_broker, make_redis, eventually, tmp_path):
    redis = make_redis("requirepass stream-secret")
    (tmp_path / "password").write_text("stream-secret\n")
    (tmp_path / "password").chmod(0o600)
    redis("AUTH", "stream-secret")
    broker = make_broker(POLICY, options={"audit_redis": f"redis://127.0.0.1:{redis.port}/3", "audit_redis_stream": "trail",
                                          "redis_password_file": tmp_path / "password"})
    a = broker.client("a-id", "a", "pw", version=V5).open()
    a.publish("devices/a/data")
    a.publish("devices/b/data")
    a.close()
    broker.trail.one("mqtt-disconnect")
    redis("SELECT", "3")
    wait_lines(eventually, broker, lambda: redis("XRANGE", "trail", "-", "+"))
    broker.stop()
    entries = redis("XRANGE", "trail", "-", "+")
    assert [fields[1].encode() for _, fields in entries] == broker.trail.lines()
    assert [int(key.split("-")[1]) for key, _ in entries] == list(range(1, len(entries) + 1))
    assert "stream-secret" not in broker.log()


@pytest.mark.parametrize("url", ["127.0.0.1", "redis://", "redis://user:secret@h:1", "redis://h/x", "unix://relative",
                                 "redis+sentinel://h/m", "redis://h:99999"])
def test_bad_redis_urls(make_broker, url):
    from support.broker import BrokerFailed
    with pytest.raises(BrokerFailed) as failed:
        make_broker(POLICY, options={"audit_redis": url})
    assert "audit_redis: expected" in failed.value.log or "audit sink" in failed.value.log
    assert "secret" not in failed.value.log


def syslog_over_tls(authority):
    """A receiver that asks for a client certificate: octet-counted frames."""
    server = authority.server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.certificate, server.key)
    context.load_verify_locations(authority.ca_file)
    context.verify_mode = ssl.CERT_REQUIRED
    listener = socket.create_server(("127.0.0.1", 0))
    receiver = SimpleNamespace(port=listener.getsockname()[1], received=b"", peers=[], listener=listener)

    def serve():
        try:
            with context.wrap_socket(listener.accept()[0], server_side=True) as stream:
                receiver.peers.append(dict(x[0] for x in stream.getpeercert()["subject"])["commonName"])
                while chunk := stream.recv(65536):
                    receiver.received += chunk
        except OSError as error:
            receiver.peers.append(error)

    threading.Thread(target=serve, daemon=True).start()
    return receiver


def frames(octets):
    found = []
    while match := re.match(rb"(\d+) ", octets):
        length, start = int(match.group(1)), match.end()
        if len(octets) < start + length:
            break
        found.append(octets[start:start + length])
        octets = octets[start + length:]
    return found


def test_syslog_with_a_client_certificate(make_broker, pki, eventually):
    receiver = syslog_over_tls(pki)
    sender = pki.client("log-sender")
    broker = make_broker(POLICY, options={"audit_syslog": f"tls://127.0.0.1:{receiver.port}", "audit_syslog_ca": pki.ca_file,
                                          "audit_syslog_cert": sender.certificate, "audit_syslog_key": sender.key})
    broker.client("a-id", "a", "pw").open()
    broker.trail.one("mqtt-connect")
    wait_lines(eventually, broker, lambda: frames(receiver.received))
    assert receiver.peers == ["log-sender"]
    for frame, line in zip(frames(receiver.received), broker.trail.lines()):
        assert frame.endswith(line)
    receiver.listener.close()


def test_a_certificate_needs_its_key(make_broker, pki):
    from support.broker import BrokerFailed
    with pytest.raises(BrokerFailed) as failed:
        make_broker(POLICY, options={"audit_syslog": "tls://127.0.0.1:1", "audit_syslog_cert": pki.ca_file})
    assert "audit_syslog_key" in failed.value.log


def life(broker):
    a = broker.client("a-very-own-id", "a", "pw", version=V5).open()
    a.publish("devices/a/data")
    a.close()
    broker.client("a-very-own-id", "somebody-else", "wrong").connect()
    broker.trail.wait("mqtt-connect", 2)
    return [e for e in broker.trail.events() if e["event"]["action"].startswith("mqtt-")]


def test_pseudonyms(make_broker, tmp_path):
    key = tmp_path / "pseudonyms"
    key.write_bytes(bytes(range(32)))
    key.chmod(0o600)
    options = {"audit_privacy": "hmac", "audit_privacy_key_file": key}
    first, second = (life(make_broker(POLICY, options=options)) for _ in range(2))
    text = json.dumps(first)
    assert "a-very-own-id" not in text and "somebody-else" not in text and "127.0.0.1" not in text
    assert len({e["mqtt"]["client_id"] for e in first}) == 1, "who did several things can still be followed"
    assert {e["mqtt"]["client_id"] for e in first} == {e["mqtt"]["client_id"] for e in second}, "and over runs"
    assert re.fullmatch("[0-9a-f]{16}", first[0]["source"]["address"])
    assert len({e["user"]["name"] for e in first}) == 2


def test_pseudonyms_need_a_key(make_broker):
    from support.broker import BrokerFailed
    with pytest.raises(BrokerFailed) as failed:
        make_broker(POLICY, options={"audit_privacy": "hmac"})
    assert "audit_privacy" in failed.value.log


def test_truncated_addresses(make_broker):
    events = life(make_broker(POLICY, options={"audit_privacy": "truncate"}))
    assert {e["source"]["ip"] for e in events} == {"127.0.0.0"}
    assert events[0]["mqtt"]["client_id"] == "a-very-own-id"
