"""
Sessions that outlive the broker: messages that wait for a client survive a restart, whoever the client is and wherever the policy
lives, and nobody gets what is not his.
"""
import time

import pytest

from support import passwords
from support.broker import wait_until
from support.client import V311, V5
from support.raw import RawClient
from test_enhanced import publish
from test_rules import users

POLICY = users("w", "pass", "other", roles={"w": "w", "pass": "reader"}) + """\
[role w]
w = allow publish #
[role reader]
own = allow subscribe to/${username}/#
[role site]
site = allow subscribe site/${jwt.site}/#
[role unit]
unit = allow subscribe unit/${cert.ou}/#
[assign]
units = unit when cert.ou = "sensors"
"""


class Kind:
    """How a client of the test proves who it is, and a topic that only this gives it."""

    def __init__(self, topic, **client):
        self.topic, self.client = topic, client


@pytest.fixture
def kinds(issuer, pki):
    def token():
        return issuer.token("tok", roles=["site"], site="berlin", lifetime=600)
    certificate = pki.client("gate", unit=["sensors"])
    return {"password": lambda: Kind("to/pass/x", username="pass", password="pw"),
            "token": lambda: Kind("site/berlin/x", username="tok", password=token()),
            "certificate": lambda: Kind("unit/sensors/x", listener="tls", certificate=certificate)}


@pytest.fixture
def make_home(make_broker, redis, issuer, pki):
    """make_home("file" | "redis" | "snapshot"): a persistent broker; restart() of a "snapshot" one finds no Redis."""
    def make(home):
        options = {**issuer.options(), "jwt_roles_claim": "roles"}
        if home != "file":
            redis.load(POLICY)
            options.update(policy_file=None, redis_url=redis.url, snapshot_file=redis.folder / "snapshot")
        broker = make_broker(POLICY if home == "file" else None, start=False, options=options, listeners=("plain", "tls"), pki=pki)
        broker.conf = f"persistence true\npersistence_location {broker.folder}/\n"
        broker.start()
        ready(broker, home)
        plain_restart = broker.restart

        def restart():
            if home == "snapshot":
                wait_until((redis.folder / "snapshot").exists, 5, "the snapshot")
                broker.stop()
                redis.stop()
                broker.start()
            else:
                plain_restart()
        broker.restart = restart
        return broker
    return make


def ready(broker, home):
    if home != "file":
        broker.trail.wait("policy-reload", event__outcome="success", mosquitto__policy__source="redis")


def connect(broker, kind, version):
    return broker.client("the-id", version=version, clean=False, **({"expiry": 600} if version == V5 else {}), **kind.client)


def send(broker, topic, payload):
    writer = broker.client("w", "w", "pw", version=V5)
    wait_until(lambda: writer.connect() == 0, 5, "the policy after a restart")
    assert writer.publish(topic, payload) == 0
    writer.close()


@pytest.mark.memory
@pytest.mark.parametrize("home", ["file", "redis", "snapshot"])
@pytest.mark.parametrize("way", ["password", "token", "certificate"])
def test_queued_messages_survive(make_home, kinds, way, home, version):
    broker, kind = make_home(home), kinds[way]()
    client = connect(broker, kind, version).open()
    assert client.subscribe(kind.topic.replace("/x", "/#")) == 1
    client.close()
    send(broker, kind.topic, b"before the restart")
    broker.restart()
    send(broker, kind.topic, b"after it")
    send(broker, "to/somebody/x", b"not his")
    again = connect(broker, kinds[way](), version)
    wait_until(lambda: again.connect() == 0, 5, "the client to be let in")
    assert again.session_present
    assert [again.receive().payload for _ in range(2)] == [b"before the restart", b"after it"]
    assert again.receives_nothing()
    send(broker, kind.topic, b"live")
    assert again.receive().payload == b"live"


@pytest.mark.parametrize("home", ["file", "redis"])
@pytest.mark.parametrize("way", ["token", "certificate"])
def test_another_user_gets_nothing_of_it(make_home, kinds, way, home):
    """Somebody else comes with the client id of a restored session: what waits is judged by his rights, which are none."""
    broker, kind = make_home(home), kinds[way]()
    client = connect(broker, kind, V5).open()
    assert client.subscribe(kind.topic.replace("/x", "/#")) == 1
    client.close()
    send(broker, kind.topic, b"before the restart")
    broker.restart()
    send(broker, kind.topic, b"after it")
    thief = connect(broker, Kind("", username="other", password="pw"), V5)
    wait_until(lambda: thief.connect() == 0, 5, "the client to be let in")
    assert thief.receives_nothing()
    send(broker, kind.topic, b"live")
    assert thief.receives_nothing()


@pytest.mark.parametrize("way", ["password", "token", "certificate"])
def test_rights_that_went_while_the_broker_was_down(make_home, redis, kinds, way, version):
    """The right is taken away in Redis while the broker is down: nothing that waited is delivered."""
    broker, kind = make_home("redis"), kinds[way]()
    client = connect(broker, kind, version).open()
    assert client.subscribe(kind.topic.replace("/x", "/#")) == 1
    client.close()
    send(broker, kind.topic, b"before the restart")
    broker.stop()
    redis.multi(*(("DEL", f"guard:role:{role}") for role in ("reader", "site", "unit")), ("INCR", "guard:version"))
    broker.start()
    broker.trail.wait("policy-reload", event__outcome="success", rule__version="2")
    send(broker, kind.topic, b"after it")
    again = connect(broker, kinds[way](), version)
    wait_until(lambda: again.connect() == 0, 5, "the client to be let in")
    assert again.receives_nothing()


def test_a_power_cut_loses_no_rights(make_home, redis, kinds):
    """After SIGKILL the broker has its last autosaved state; sessions in it are treated as after an orderly end."""
    broker = make_home("redis")
    broker.stop()
    broker.conf += "autosave_interval 1\nautosave_on_changes true\n"
    broker.start()
    ready_again = broker.client("w0", "w", "pw")
    wait_until(lambda: ready_again.connect() == 0, 5, "the policy")
    kind = kinds["token"]()
    client = connect(broker, kind, V311).open()
    assert client.subscribe("site/berlin/#") == 1
    client.close()
    send(broker, kind.topic, b"before the cut")
    time.sleep(1)
    broker.trail_unchecked = True  # the last line may be torn
    broker.kill()
    broker.start()
    send(broker, kind.topic, b"after it")
    again = connect(broker, kinds["token"](), V311)
    wait_until(lambda: again.connect() == 0, 5, "the client to be let in")
    assert [again.receive().payload for _ in range(2)] == [b"before the cut", b"after it"]


# --- roles of a record, while its sessions live

def fleet_of_records(redis, make_broker, count):
    """A broker of count users, device-<n>, all of role writer."""
    redis.load("[role writer]\nw = allow publish data/#\n" +
               "".join(f"[client device-{n}]\npassword = {passwords.mosquitto_7('pw', 1)}\nroles = writer\n" for n in range(count)))
    broker = make_broker(None, options={"policy_file": None, "redis_url": redis.url})
    ready(broker, "redis")
    return broker


def test_many_records_at_once(make_broker, redis, eventually):
    """An edit of more records than are looked up one by one: every session of them gets its new roles."""
    count = 1200
    broker = fleet_of_records(redis, make_broker, count)
    clients = [broker.client(f"id-{n}", f"device-{n}", "pw", version=V5).open() for n in (0, count - 1)]
    assert [c.publish("data/x") for c in clients] == [0, 0]
    redis.multi(*(("HSET", f"guard:client:device-{n}", "roles", "none") for n in range(count)), ("INCR", "guard:version"))
    for client in clients:
        eventually(lambda c=client: c.publish("data/x") == 0x87, 5, "the roles to be gone")
        assert client.connected


def test_a_record_of_many_sessions(make_broker, redis, eventually):
    """A whole fleet under one user name: one edit of its record counts for all of them."""
    broker = fleet_of_records(redis, make_broker, 1)
    clients = [RawClient(broker.ports["plain"]) for _ in range(100)]
    assert [c.connect(f"id-{n}", "device-0", "pw", version=5) for n, c in enumerate(clients)] == [0] * 100
    assert all(publish(c, "data/x") in (0, 0x10) for c in clients)
    redis("HSET", "guard:client:device-0", "roles", "none")
    eventually(lambda: publish(clients[0], "data/x") == 0x87, 5, "the roles to be gone")
    assert all(publish(c, "data/x") == 0x87 for c in clients)
    redis("HSET", "guard:client:device-0", "disabled", "yes")
    assert all(c.read() == (0xE0, b"\x98") and c.read() is None for c in clients)
    for client in clients:
        client.close()
