"""Sessions that outlive, change hands or end: expiry, takeover, persistence, restarts."""
import time

import pytest

from support import passwords
from support.broker import SLOWNESS
from support.client import V311, V5
from support.raw import RawClient
from test_rules import EVERYONE, users

PEERS = users("a", "b", "w", roles={"w": "w"}) + EVERYONE + "[role w]\nw = allow publish #\nr = allow subscribe #\n"


# --- the end of a token is the end of its session

@pytest.mark.timing
def test_token_expiry_ends_the_session(make_broker, issuer, version):
    broker = make_broker(EVERYONE, options=issuer.options())
    client = broker.client("c1", "a", issuer.token("a", lifetime=3), version=version)
    end = int(time.time()) + 3  # exp, in whole seconds
    client.open()
    assert client.publish("devices/a/data") == 0
    assert not client.wait_gone(max(0.0, end - time.time() - 0.4)), "ended before its time"
    assert client.wait_gone(1.4 + max(0.0, end - time.time())), "the session outlives its token"
    assert time.time() < end + 1.2
    event = broker.trail.one("mqtt-disconnect")
    assert (event["event"]["reason"], event["mqtt"]["initiator"]) == ("token_expired", "server")


@pytest.mark.timing
def test_expiry_is_told_to_mqtt_5(make_broker, issuer):
    """A DISCONNECT packet comes first: 0x98, administrative action (the broker's API knows no other)."""
    broker = make_broker(EVERYONE, options=issuer.options())
    with RawClient(broker.ports["plain"]) as raw:
        assert raw.connect("c1", "a", issuer.token("a", lifetime=2), version=5) == 0
        assert raw.read() == (0xE0, b"\x98")
        assert raw.read() is None


@pytest.mark.timing
def test_nothing_is_allowed_after_expiry(make_broker, issuer):
    """From the very second of exp every decision is no, whether or not the kick has come."""
    broker = make_broker(EVERYONE, options=issuer.options())
    a = broker.client("c1", "a", issuer.token("a", lifetime=2), version=V5)
    end = int(time.time()) + 2
    a.open()
    allowed_until, answers = 0.0, []
    while a.connected and time.time() < end + 2:
        sent = time.time()
        code = a.publish("devices/a/data")
        answers.append(code)
        if code == 0:
            allowed_until = sent
        time.sleep(0.005)
    assert 0 in answers and allowed_until < end + 0.02, f"allowed {allowed_until - end:+.3f} s after exp"


@pytest.mark.timing
def test_expired_session_gets_no_deliveries(make_broker, issuer):
    """A persistent session of an expired token collects nothing for whoever comes next."""
    broker = make_broker("[role r]\nr = allow subscribe news/#\n[role w]\nw = allow publish #\n[default]\nroles = r\n"
                         f"[client w]\npassword = {passwords.mosquitto_7('pw', 1)}\nroles = w\n", options=issuer.options())
    client = broker.client("c1", "a", issuer.token("a", lifetime=2), version=V5, clean=False, expiry=300).open()
    assert client.subscribe("news/#") == 1
    assert client.wait_gone(4)
    broker.client("w", "w", "pw").open().publish("news/1", b"after")
    again = broker.client("c1", "a", issuer.token("a"), version=V5, clean=False, expiry=300).open()
    assert again.session_present
    assert again.receives_nothing()


# --- one client id, two connections

def test_takeover_by_the_same_user(make_broker, version):
    broker = make_broker(PEERS)
    first = broker.client("one-id", "a", "pw", version=version).open()
    second = broker.client("one-id", "a", "pw", version=version).open()
    assert first.wait_gone()
    assert second.publish("devices/a/data") == 0, "the old connection's end must not take the new one's rights"
    assert second.connected
    broker.trail.wait("mqtt-connect", 2, event__outcome="success")
    event = broker.trail.one("mqtt-disconnect")
    assert event["event"]["reason"] in ("session_taken_over", "unknown")
    connections = [e["mqtt"]["connection_id"] for e in broker.trail.events("mqtt-connect")]
    assert event["mqtt"]["connection_id"] == connections[0] != connections[1]


@pytest.mark.memory
def test_takeover_by_another_user_is_refused(make_broker, version):
    """The broker lets any user take any session over (and read what waits in it); the plugin does not."""
    broker = make_broker(PEERS)
    owner = broker.client("one-id", "a", "pw", version=version).open()
    assert broker.client("one-id", "b", "pw", version=version).connect() != 0
    assert owner.publish("devices/a/data") == 0 and owner.connected
    assert broker.trail.one("mqtt-connect", event__outcome="failure")["event"]["reason"] == "client_id_mismatch"
    owner.close()
    broker.client("one-id", "b", "pw", version=version).open()


def test_takeover_by_another_user_whose_password_takes_long(make_broker):
    """On 2.1 a worker verifies it; the one who waits is by then the newest client of that id, and still not its owner."""
    slow = passwords.mosquitto_7("pw", 60_000 // SLOWNESS)
    broker = make_broker(PEERS + f"[client slow]\npassword = {slow}\n")
    owner = broker.client("one-id", "a", "pw", version=V5).open()
    assert broker.client("one-id", "slow", "pw", version=V5).connect() != 0
    assert owner.publish("devices/a/data") == 0 and owner.connected
    assert broker.trail.one("mqtt-connect", event__outcome="failure")["event"]["reason"] == "client_id_mismatch"
    broker.client("another-id", "slow", "pw", version=V5).open()


@pytest.mark.memory
@pytest.mark.parametrize("bound", [False, True])
def test_what_is_left_in_an_offline_session_is_not_for_another_user(make_broker, version, bound):
    """Nobody is there to be thrown out, so another user may resume the session: it gets nothing that it may not have."""
    rules = "[role own]\nown = allow subscribe devices/${username}/#\n[default]\nroles = own\n"
    policy = users("b", "w", roles={"w": "w"}) + users("a") + ("client_id = one-id\n" if bound else "") + rules + "[role w]\nw = allow publish #\n"
    if bound:
        policy = policy.replace("[client b]\n", "[client b]\nclient_id = another-id\n")
    broker = make_broker(policy)
    expiry = {"expiry": 300} if version == V5 else {}
    owner = broker.client("one-id", "a", "pw", version=version, clean=False, **expiry).open()
    assert owner.subscribe("devices/a/#") == 1
    owner.close()
    writer = broker.client("w", "w", "pw").open()
    assert writer.publish("devices/a/1", b"while nobody was there") == 0
    other = broker.client("one-id", "b", "pw", version=version, clean=False, **expiry)
    if bound:
        assert other.connect() != 0
        owner = broker.client("one-id", "a", "pw", version=version, clean=False, **expiry).open()
        assert owner.messages.get(timeout=5).payload == b"while nobody was there"
        return
    other.open()
    assert writer.publish("devices/a/2", b"now") == 0
    assert other.receives_nothing()


def test_takeover_by_anybody_where_that_is_wanted(make_broker):
    broker = make_broker(PEERS, options={"client_takeover": "any"})
    first = broker.client("one-id", "a", "pw").open()
    second = broker.client("one-id", "b", "pw", version=V5).open()
    assert first.wait_gone()
    assert second.publish("devices/b/data") == 0
    assert second.publish("devices/a/data") == 0x87, "rights of the old owner"


def test_takeover_keeps_the_wills_apart(make_broker):
    """The old connection's will is published with the old connection's rights, though the new one is already there."""
    broker = make_broker(PEERS, options={"client_takeover": "any"})
    watcher = broker.client("w", "w", "pw").open()
    watcher.subscribe("devices/#")
    broker.client("one-id", "a", "pw", will=("devices/a/data", b"will of a", 1, False)).open()
    broker.client("one-id", "b", "pw").open()
    assert watcher.receive().payload == b"will of a"
    event = broker.trail.one("mqtt-publish", event__outcome="success")
    assert (event["user"]["name"], event["mqtt"]["packet"]) == ("a", "will")


def test_takeover_storm(make_broker):
    """Many reconnects with one id: pointers are re-used by the broker, states must not be."""
    broker = make_broker(PEERS)
    for number in range(40):
        client = broker.client("one-id", "a", "pw", version=V5 if number % 2 else V311).open()
    assert client.publish("devices/a/data") == 0
    client.close()
    broker.trail.wait("mqtt-connect", 40, event__outcome="success")
    broker.trail.wait("mqtt-disconnect", 40)


# --- persistent sessions

@pytest.mark.memory
def test_queued_messages(make_broker, version):
    """Messages wait for an absent client, and only those it may have."""
    broker = make_broker(PEERS)
    named = dict(version=version, clean=False, **({"expiry": 300} if version == V5 else {}))
    a = broker.client("a-id", "a", "pw", **named).open()
    assert a.subscribe("devices/a-id/commands") == 1
    a.close()
    writer = broker.client("w", "w", "pw").open()
    for number in range(3):
        assert writer.publish("devices/a-id/commands", b"%d" % number) == 0
    again = broker.client("a-id", "a", "pw", **named).open()
    assert again.session_present
    assert [again.receive().payload for _ in range(3)] == [b"0", b"1", b"2"]
    broker.trail.wait("mqtt-connect", 3, event__outcome="success")
    broker.trail.wait("mqtt-disconnect", 1)


def test_queued_messages_after_a_restart(make_broker, version):
    broker = make_broker(PEERS, start=False)
    broker.conf = f"persistence true\npersistence_location {broker.folder}/\n"
    broker.start()
    named = dict(version=version, clean=False, **({"expiry": 300} if version == V5 else {}))
    a = broker.client("a-id", "a", "pw", **named).open()
    assert a.subscribe("devices/a-id/commands") == 1
    a.close()
    writer = broker.client("w", "w", "pw").open()
    writer.publish("devices/a-id/commands", b"before the restart")
    writer.close()
    broker.restart()
    writer = broker.client("w", "w", "pw").open()
    assert writer.publish("devices/a-id/commands", b"after the restart") == 0
    again = broker.client("a-id", "a", "pw", **named).open()
    assert again.session_present
    assert [again.receive().payload for _ in range(2)] == [b"before the restart", b"after the restart"]


def test_restart_opens_nothing(make_broker):
    """A session restored from disk gets only what its last user may have, by the policy of now."""
    broker = make_broker(PEERS + "[role news]\nn = allow subscribe news/#\n[client n]\nroles = news\n"
                         f"password = {passwords.mosquitto_7('pw', 1)}\n", start=False)
    broker.conf = f"persistence true\npersistence_location {broker.folder}/\n"
    broker.start()
    n = broker.client("n-id", "n", "pw", version=V5, clean=False, expiry=300).open()
    assert n.subscribe("news/#") == 1
    n.close()
    broker.stop()
    broker.write_policy(broker.policy_file.read_text().replace("n = allow subscribe news/#", "n = allow subscribe old/#"))
    broker.start()
    broker.client("w", "w", "pw").open().publish("news/1", b"no longer yours")
    again = broker.client("n-id", "n", "pw", version=V5, clean=False, expiry=300).open()
    assert again.receives_nothing()


def test_revocation_reaches_live_subscriptions(make_broker):
    """A right that a reload takes away stops deliveries at once, without waiting for an UNSUBSCRIBE."""
    broker = make_broker(PEERS)
    watcher, writer = broker.client("x", "w", "pw").open(), broker.client("w2", "w", "pw").open()
    watcher.subscribe("#")
    writer.publish("t/1", b"seen")
    assert watcher.receive().payload == b"seen"
    broker.hang_up(broker.policy_file.read_text().replace("r = allow subscribe #", "r = allow subscribe other/#"))
    writer.publish("t/2", b"not seen")
    assert watcher.receives_nothing()


# --- the end of a connection, as the trail tells it

def test_disconnect_reasons(make_broker, broker_version):
    broker = make_broker(PEERS)
    broker.client("polite", "a", "pw").open().close()
    rude = broker.client("rude", "a", "pw").open()
    rude.drop()
    events = broker.trail.wait("mqtt-disconnect", 2)
    reasons = {e["mqtt"]["client_id"]: e["event"]["reason"] for e in events}
    if broker_version >= (2, 1):
        assert reasons == {"polite": "client_disconnect", "rude": "connection_lost"}
    else:  # 2.0 tells no reason (the event carries -1)
        assert set(reasons.values()) == {"unknown"}


def test_broker_shutdown(make_broker):
    """Clients that are connected when the broker stops get their disconnect event too (the broker raises none)."""
    broker = make_broker(PEERS)
    for number in range(3):
        broker.client(f"id-{number}", "a", "pw").open()
    broker.stop()
    events = broker.trail.events("mqtt-disconnect")
    assert len(events) == 3 and {e["event"]["reason"] for e in events} == {"broker_shutdown"}
    assert broker.trail.events("audit-stop")


@pytest.mark.timing
def test_keepalive(make_broker, broker_version):
    broker = make_broker(PEERS)
    with RawClient(broker.ports["plain"]) as raw:
        raw.socket.settimeout(10 * SLOWNESS)
        assert raw.connect("silent", "a", "pw", keepalive=1) == 0
        assert raw.read() is None
    event = broker.trail.one("mqtt-disconnect")
    assert event["event"]["reason"] == ("keepalive_timeout" if broker_version >= (2, 1) else "unknown")
