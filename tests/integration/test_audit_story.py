"""
What clients did, and what the trail tells of it: the whole list of events of each story, one by one and in order. An event
too many (a re-check taken for a publish, a disconnect told twice) fails as much as one that is missing.
"""
import time

import pytest

from support.client import V5
from support.raw import RawClient, connect_packet, packet, text
from test_rules import users

ROLES = """\
[default]
roles = device
[role device]
data = allow publish devices/${username}/data
will = allow publish wills/${username}
commands = allow subscribe devices/${username}/commands
[role w]
write = allow publish devices/#
control = allow publish $CONTROL/#
retained = allow publish kept/#
[role r]
read = allow subscribe kept/#
"""
POLICY = users("a", "b", "w", "r", roles={"w": "w", "r": "r"}) + ROLES


def told(broker, skip=("audit-start", "audit-stop", "audit-checkpoint", "audit-rotate")):
    """Each event as one line: action, client id, what it was about; and why, where it was refused or ended."""
    lines = []
    for event in broker.trail.events():
        mqtt, facts = event.get("mqtt", {}), event["event"]
        if facts["action"] in skip:
            continue
        about = mqtt.get("topic", mqtt.get("topic_filter", ""))
        packet_ = "will" if mqtt.get("packet") == "will" else f"qos {mqtt['qos']}" if "qos" in mqtt else ""
        outcome = "refused" if facts.get("outcome") == "failure" else ""
        lines.append(" ".join(w for w in (facts["action"], mqtt.get("client_id", ""), about, packet_, outcome,
                                          facts.get("reason", "")) if w))
    return lines


def wait_told(broker, expected):
    """The broker is stopped when it has told as much; then the list is whole."""
    deadline = time.monotonic() + 8
    while len(told(broker)) < len(expected) and time.monotonic() < deadline:
        time.sleep(0.02)
    broker.stop()
    assert told(broker) == expected


@pytest.fixture
def end(broker_version):
    """end("connection_lost"): the reason as this broker tells it: 2.0 does not."""
    return lambda reason: reason if broker_version >= (2, 1) else "unknown"


def test_one_life(make_broker, version, end):
    broker = make_broker(POLICY, options={"auth_throttle": "no"})
    for user, password in (("a", "wrong"), ("nobody", "pw"), (None, None)):
        broker.client("x", user, password, version=version).connect()
    a = broker.client("a-id", "a", "pw", version=version).open()
    a.subscribe("devices/a/commands", qos=1)
    a.subscribe("devices/b/commands", qos=1)
    a.subscribe("#", qos=0)
    for qos in (0, 1, 2):
        a.publish("devices/a/data", qos=qos)
        a.publish("devices/b/data", qos=qos)
    w = broker.client("w-id", "w", "pw", version=version).open()
    w.publish("devices/a/commands", qos=1)
    assert a.receive().topic == "devices/a/commands"  # an allowed delivery is no event
    w.publish("$CONTROL/dynamic-security/v1", b"{}", qos=1)
    w.publish("$SYS/broker/x", qos=0)  # the broker does not ask
    a.unsubscribe("devices/a/commands")
    a.unsubscribe("never/was")
    a.close()
    w.close()
    wait_told(broker, [
        "policy-reload",
        "mqtt-connect x refused bad_credentials",
        "mqtt-connect x refused unknown_user",
        "mqtt-connect x refused anonymous_denied",
        "mqtt-connect a-id",
        "mqtt-subscribe a-id devices/a/commands qos 1",
        "mqtt-subscribe a-id devices/b/commands qos 1 refused acl_no_match",
        "mqtt-subscribe a-id # qos 0 refused wildcard_denied",
        "mqtt-publish a-id devices/a/data qos 0",
        "mqtt-publish a-id devices/b/data qos 0 refused acl_no_match",
        "mqtt-publish a-id devices/a/data qos 1",
        "mqtt-publish a-id devices/b/data qos 1 refused acl_no_match",
        "mqtt-publish a-id devices/a/data qos 2",
        "mqtt-publish a-id devices/b/data qos 2 refused acl_no_match",
        "mqtt-connect w-id",
        "mqtt-publish w-id devices/a/commands qos 1",
        "mqtt-publish w-id $CONTROL/dynamic-security/v1 qos 1",
        "mqtt-unsubscribe a-id devices/a/commands",
        "mqtt-unsubscribe a-id never/was",
        f"mqtt-disconnect a-id {end('client_disconnect')}",
        f"mqtt-disconnect w-id {end('client_disconnect')}",
    ])


def test_wills(make_broker, version, end):
    broker = make_broker(POLICY)
    broker.client("a-id", "a", "pw", version=version, will=("wills/a", b"gone", 1)).open().drop()
    broker.trail.wait("mqtt-publish", 1)
    broker.client("b-id", "b", "pw", version=version, will=("wills/a", b"not mine", 0)).open().drop()
    broker.trail.wait("mqtt-publish", 2)
    broker.client("a-id", "a", "pw", version=version, will=("wills/a", b"never", 1)).open().close()
    wait_told(broker, [
        "policy-reload",
        "mqtt-connect a-id",
        f"mqtt-disconnect a-id {end('connection_lost')}",
        "mqtt-publish a-id wills/a will",
        "mqtt-connect b-id",
        f"mqtt-disconnect b-id {end('connection_lost')}",
        "mqtt-publish b-id wills/a will refused acl_no_match",
        "mqtt-connect a-id",
        f"mqtt-disconnect a-id {end('client_disconnect')}",
    ])


def test_takeover_with_a_will(make_broker, version, broker_version):
    """2.0: the newcomer is told at its verdict; 2.1 at the broker's CONNECT. The will is the old connection's."""
    broker = make_broker(POLICY)
    first = broker.client("a-id", "a", "pw", version=version, will=("wills/a", b"gone", 0)).open()
    second = broker.client("a-id", "a", "pw", version=version).open()
    assert first.wait_gone()
    second.publish("devices/a/data", qos=0)
    broker.trail.wait("mqtt-publish", 2)
    connections = [e["mqtt"]["connection_id"] for e in broker.trail.events("mqtt-connect")]
    by = {e["event"]["action"] + e["mqtt"]["packet"]: e["mqtt"]["connection_id"] for e in broker.trail.events()
          if e["event"]["action"] in ("mqtt-publish", "mqtt-disconnect")}
    assert by == {"mqtt-publishwill": connections[0], "mqtt-disconnectdisconnect": connections[0],
                  "mqtt-publishpublish": connections[1]}
    old = ["mqtt-publish a-id wills/a will", "mqtt-disconnect a-id session_taken_over"]
    new = ["mqtt-connect a-id"]
    wait_told(broker, ["policy-reload", "mqtt-connect a-id", *(old + new if broker_version >= (2, 1) else new + old),
                       "mqtt-publish a-id devices/a/data qos 0", "mqtt-disconnect a-id broker_shutdown"])


def test_persistent_session(make_broker, end):
    """Queued messages are judged again when the client comes back, and an unfinished QoS 2 publish too: no new events."""
    broker = make_broker(POLICY, conf="max_queued_messages 100")
    with RawClient(broker.ports["plain"]) as raw:
        assert raw.connect("a-id", "a", "pw", clean=False) == 0
        raw.send(packet(0x82, b"\0\1" + text("devices/a/commands") + b"\1"))
        assert raw.read()[0] == 0x90
        raw.send(packet(0x34, text("devices/a/data") + b"\0\2" + b"x"))  # QoS 2, and no PUBREL
        assert raw.read()[0] == 0x50
    broker.trail.wait("mqtt-disconnect", 1)
    w = broker.client("w-id", "w", "pw").open()
    for qos in (1, 2):
        w.publish("devices/a/commands", qos=qos)
    with RawClient(broker.ports["plain"]) as raw:
        assert raw.connect("a-id", "a", "pw", clean=False) == 0
        raw.send(packet(0x62, b"\0\2") + packet(0xE0, b""))  # PUBREL, DISCONNECT
        while raw.read():
            pass
    broker.trail.wait("mqtt-disconnect", 2)
    wait_told(broker, [
        "policy-reload",
        "mqtt-connect a-id",
        "mqtt-subscribe a-id devices/a/commands qos 1",
        "mqtt-publish a-id devices/a/data qos 2",
        f"mqtt-disconnect a-id {end('connection_lost')}",
        "mqtt-connect w-id",
        "mqtt-publish w-id devices/a/commands qos 1",
        "mqtt-publish w-id devices/a/commands qos 2",
        "mqtt-connect a-id",
        f"mqtt-disconnect a-id {end('client_disconnect')}",
        "mqtt-disconnect w-id broker_shutdown",
    ])


def test_resumed_and_gone_at_once(make_broker, end):
    """The broker judges the unfinished publish anew and then learns of the end, with nothing in between: it was no will."""
    broker = make_broker(POLICY)
    with RawClient(broker.ports["plain"]) as raw:
        assert raw.connect("a-id", "a", "pw", clean=False) == 0
        raw.send(packet(0x34, text("devices/a/data") + b"\0\2" + b"x"))
        assert raw.read()[0] == 0x50
    broker.trail.wait("mqtt-disconnect", 1)
    with RawClient(broker.ports["plain"]) as raw:
        raw.send(connect_packet("a-id", "a", "pw", clean=False) + packet(0xE0, b""))
        while raw.read():
            pass
    broker.trail.wait("mqtt-disconnect", 2)
    wait_told(broker, ["policy-reload", "mqtt-connect a-id", "mqtt-publish a-id devices/a/data qos 2",
                       f"mqtt-disconnect a-id {end('connection_lost')}", "mqtt-connect a-id",
                       f"mqtt-disconnect a-id {end('client_disconnect')}"])


@pytest.mark.parametrize("check", ["true", "false"])
def test_retained_messages_are_published_once(make_broker, check, end):
    """check_retain_source: the broker asks again whether the publisher might, for each new subscriber."""
    broker = make_broker(POLICY, conf=f"check_retain_source {check}")
    w = broker.client("w-id", "w", "pw").open()
    w.publish("kept/1", retain=True, qos=0)
    w.publish("kept/2", retain=True, qos=1)
    w.close()
    broker.trail.wait("mqtt-disconnect", 1)
    r = broker.client("r-id", "r", "pw", version=V5).open()
    r.subscribe("kept/#")
    assert sorted(r.receive().topic for _ in range(2)) == ["kept/1", "kept/2"]
    wait_told(broker, [
        "policy-reload",
        "mqtt-connect w-id",
        "mqtt-publish w-id kept/1 qos 0",
        "mqtt-publish w-id kept/2 qos 1",
        f"mqtt-disconnect w-id {end('client_disconnect')}",
        "mqtt-connect r-id",
        "mqtt-subscribe r-id kept/# qos 1",
        "mqtt-disconnect r-id broker_shutdown",
    ])


def test_policy_change(make_broker, version):
    """A kick (of a persistent session: the broker then asks for its subscriptions again), a delivery that is no longer allowed."""
    broker = make_broker(POLICY)
    a = broker.client("a-id", "a", "pw", version=version, clean=version == V5, expiry=300 if version == V5 else None).open()
    r = broker.client("r-id", "r", "pw", version=version).open()
    w = broker.client("w-id", "w", "pw", version=version).open()
    a.subscribe("devices/a/commands")
    r.subscribe("kept/#")
    broker.hang_up(POLICY.replace("[client a]", "[client z]").replace("read = allow subscribe", "read = allow publish"))
    assert a.wait_gone()
    w.publish("kept/1", qos=1)
    broker.hang_up("[role")
    wait_told(broker, [
        "policy-reload",
        "mqtt-connect a-id",
        "mqtt-connect r-id",
        "mqtt-connect w-id",
        "mqtt-subscribe a-id devices/a/commands qos 1",
        "mqtt-subscribe r-id kept/# qos 1",
        "policy-reload",
        "mqtt-disconnect a-id user_disabled",
        "mqtt-publish w-id kept/1 qos 1",
        "mqtt-deliver r-id kept/1 qos 1 refused acl_no_match",
        "policy-reload refused policy_parse_error",
        "mqtt-disconnect w-id broker_shutdown",
        "mqtt-disconnect r-id broker_shutdown",
    ])


def test_expiry_with_a_will(make_broker, issuer, version):
    broker = make_broker(POLICY, options=issuer.options())
    token = issuer.token("a", lifetime=2)
    a = broker.client("a-id", "a", token, version=version, will=("wills/a", b"gone", 0)).open()
    assert a.wait_gone()
    broker.trail.wait("mqtt-publish", 1)
    wait_told(broker, ["policy-reload", "mqtt-connect a-id", "mqtt-disconnect a-id token_expired", "mqtt-publish a-id wills/a will"])


def test_store_outage(make_broker, make_redis, eventually):
    redis = make_redis()
    broker = make_broker(POLICY, options={"redis_url": redis.url})
    a = broker.client("a-id", "a", "pw", version=V5).open()
    redis.stop()
    broker.trail.wait("store-down", 1, timeout=15)
    a.publish("devices/a/data")
    redis.start()
    broker.trail.wait("store-up", 1, timeout=15)
    a.close()
    broker.trail.wait("mqtt-disconnect", 1)
    broker.stop()
    actions = [line.split()[0] for line in told(broker) if not line.startswith("policy-reload")]
    assert actions == ["mqtt-connect", "store-down", "mqtt-publish", "store-up", "mqtt-disconnect"]


def test_broken_protocol_and_silence(make_broker, end):
    broker = make_broker(POLICY)
    with RawClient(broker.ports["plain"]) as raw:
        assert raw.connect("a-id", "a", "pw", keepalive=1) == 0
        while raw.read():
            pass
    broker.trail.wait("mqtt-disconnect", 1)
    with RawClient(broker.ports["plain"]) as raw:
        raw.send(connect_packet("b-id", "b", "pw"))
        assert raw.read()[0] == 0x20
        raw.send(connect_packet("b-id", "b", "pw"))  # a second CONNECT
        while raw.read():
            pass
    wait_told(broker, ["policy-reload", "mqtt-connect a-id", f"mqtt-disconnect a-id {end('keepalive_timeout')}",
                       "mqtt-connect b-id", f"mqtt-disconnect b-id {end('protocol_error')}"])


def test_clients_that_the_broker_lets_in_by_itself(make_broker, pki, broker_version):
    """use_identity_as_username: 2.1 tells of the connection, 2.0 only of what the client does. A will is one on both."""
    broker = make_broker(POLICY, listeners=("tls",), pki=pki, listener_conf={"tls": "use_identity_as_username true"})
    for _ in range(2):
        a = broker.client("a-id", listener="tls", certificate=pki.client("a"), version=V5, will=("wills/a", b"x", 1)).open()
        a.publish("devices/a/data")
        a.publish("devices/b/data")
        a.subscribe("devices/a/commands")
        a.drop()
        broker.trail.wait("mqtt-publish", 3 * (_ + 1))
    did = ["mqtt-publish a-id devices/a/data qos 1", "mqtt-publish a-id devices/b/data qos 1 refused acl_no_match",
           "mqtt-subscribe a-id devices/a/commands qos 1"]
    will = ["mqtt-publish a-id wills/a will"]
    if broker_version >= (2, 1):
        life = ["mqtt-connect a-id", *did, "mqtt-disconnect a-id connection_lost", *will]
        assert {e["mqtt"]["auth"]["method"] for e in broker.trail.events("mqtt-connect")} == {"x509"}
    else:
        life = did + will
    wait_told(broker, ["policy-reload", *life, *life])
