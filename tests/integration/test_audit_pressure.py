"""A live broker whose trail cannot be written, or not fast enough: what clients notice of it, what is declared, how it ends."""
import contextlib
import json
import os
import time
from pathlib import Path

import pytest

from support.broker import UNDER
from support.client import V5
from support.raw import RawClient, packet, text
from test_audit import POLICY
from test_rules import users


def fill(folder):
    """Takes what is free, and the reserve as soon as the writer gives it back."""
    with open(folder / "filler", "ab", buffering=0) as filler:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    filler.write(b"\0" * size)
            except OSError:
                pass


def burst(broker, count, client_id="a-id"):
    """That many publishes, as fast as one socket gives them. Returns when the broker has worked them off."""
    with RawClient(broker.ports["plain"]) as raw:
        assert raw.connect(client_id, "a", "pw") == 0
        raw.send(b"".join(packet(0x30, text("devices/a/data") + b"%08d" % n) for n in range(count)))
        raw.send(packet(0xC0, b""))
        assert raw.read() == (0xD0, b"")


@contextlib.contextmanager
def starved_writer(broker):
    """The audit writer gets what the broker's thread leaves of one processor: next to nothing, as long as that is busy."""
    tasks = Path(f"/proc/{broker.process.pid}/task")
    writer = next(int(task.name) for task in tasks.iterdir() if (task / "comm").read_text() == "guard-audit\n")
    all_processors = os.sched_getaffinity(broker.process.pid)
    for thread in (broker.process.pid, writer):
        os.sched_setaffinity(thread, {min(all_processors)})
    os.sched_setscheduler(writer, os.SCHED_IDLE, os.sched_param(0))
    yield
    with contextlib.suppress(PermissionError):  # nobody but root may take that back
        os.sched_setscheduler(writer, os.SCHED_OTHER, os.sched_param(0))
    for thread in (broker.process.pid, writer):
        os.sched_setaffinity(thread, all_processors)


def declared(broker):
    """(publishes in the trail, lost as its gaps say, reasons of the gaps)."""
    events = [json.loads(line) for line in broker.trail.lines()]
    gaps = [e for e in events if e["event"]["action"] == "audit-gap"]
    lost = sum(e["mosquitto"]["audit"]["lost_by_action"].get("mqtt-publish", 0) for e in gaps)
    written = sum(e["event"]["action"] == "mqtt-publish" for e in events)
    return written, lost, {e["event"]["reason"] for e in gaps}


@pytest.fixture
def full(make_broker, small_disk, eventually):
    """full(on_full): a broker whose audit disk is full, and which knows it; a client that is connected; free() ends it."""
    def make(on_full, **options):
        folder = small_disk / "audit"
        broker = make_broker(POLICY, options={"audit_dir": folder, "audit_on_full": on_full, "audit_ring_size": "64K", **options},
                             start=False)
        broker.audit_dir = broker.trail.folder = folder
        folder.mkdir()
        broker.start()
        a = broker.client("a-id", "a", "pw", version=V5).open()
        sent = 0
        for _ in range(40):
            fill(small_disk)
            a.publish("devices/a/data", qos=0)
            sent += 1
            time.sleep(0.02)
        fill(small_disk)
        broker.free = lambda: (small_disk / "filler").unlink()
        return broker, a, sent
    return make


@pytest.mark.timing
def test_disk_full_and_clients_notice_nothing(full, eventually):
    broker, a, sent = full("drop")
    for _ in range(2000):
        a.publish("devices/a/data", qos=0)
    assert all(a.publish("devices/a/data") == 0 for _ in range(20))
    assert broker.client("w-id", "w", "pw").connect() == 0
    assert a.publish("devices/b/data") == 0x87, "what is forbidden stays so"
    broker.free()
    time.sleep(2.5)  # the writer looks once a second
    assert a.publish("devices/a/data", b"afterwards") == 0
    broker.stop()
    written, lost, reasons = declared(broker)
    assert written + lost == sent + 2000 + 20 + 1 + 1 and lost > 0
    assert reasons == {"disk_full"}


@pytest.mark.timing
def test_disk_full_and_nothing_may_happen_unseen(full, eventually):
    broker, a, _ = full("deny")
    eventually(lambda: a.publish("devices/a/data") == 0x87, 10, "publishes to be refused")
    assert broker.client("w-id", "w", "pw").connect() in (5, 0x87)
    assert a.connected, "who is connected stays so"
    broker.free()
    eventually(lambda: a.publish("devices/a/data") == 0, 10, "publishes to be taken again, without a restart")
    assert broker.client("w-id", "w", "pw").connect() == 0
    broker.stop()
    refused = broker.trail.events("mqtt-publish", event__outcome="failure")
    assert {e["event"]["reason"] for e in refused} == {"rate_limited"} and {e["mqtt"]["reason_code"] for e in refused} == {151}
    assert {e["event"]["reason"] for e in broker.trail.events("mqtt-connect", event__outcome="failure")} == {"quota_exceeded"}


@pytest.mark.timing
def test_disk_full_does_not_block_the_broker(full):
    """audit_on_full block waits for a writer that is behind, not for one that cannot write."""
    broker, a, _ = full("block:1000")
    start = time.monotonic()
    for _ in range(300):
        a.publish("devices/a/data", qos=1)
    assert time.monotonic() - start < 30
    broker.free()
    time.sleep(2.5)
    broker.stop()


def test_overload_is_declared(make_broker):
    """A ring that is far too small: what does not fit is counted, and everything adds up."""
    count = 1000 if UNDER else 30_000
    broker = make_broker(POLICY, options={"audit_ring_size": "64K"})
    with starved_writer(broker):
        burst(broker, count)
    broker.client("b-id", "a", "wrong").connect()
    broker.stop()
    written, lost, reasons = declared(broker)
    assert written + lost == count and lost > 0 and reasons == {"ring_full"}
    assert len(broker.trail.events("mqtt-connect")) == 2, "what matters is not left out"


def test_block_waits_and_loses_nothing(make_broker):
    count = 500 if UNDER else 10_000
    broker = make_broker(POLICY, options={"audit_ring_size": "64K", "audit_on_full": "block:1000"})
    burst(broker, count)
    broker.stop()
    assert declared(broker)[:2] == (count, 0)


def test_deny_refuses_while_the_ring_is_full(make_broker, eventually):
    count = 1000 if UNDER else 30_000
    broker = make_broker(POLICY, options={"audit_ring_size": "64K", "audit_on_full": "deny"})
    with starved_writer(broker):
        burst(broker, count)
    eventually(lambda: broker.client("b-id", "a", "pw").connect() == 0, 10, "connects to be taken again")
    broker.stop()
    written, lost, _ = declared(broker)
    refused = len(broker.trail.events("mqtt-publish", event__outcome="failure"))
    assert written + lost == count and refused > 0
    assert {e["event"]["reason"] for e in broker.trail.events("mqtt-publish", event__outcome="failure")} == {"rate_limited"}


# --- what goes out over MQTT


AUDITOR = POLICY + users("auditor", roles={"auditor": "auditor"}) + "[role auditor]\naudit = allow subscribe $AUDIT/#\n"


def test_what_goes_to_the_audit_topics(make_broker):
    """Alerts and states, never what clients do: each message would cause deliveries, and these the next messages."""
    broker = make_broker(AUDITOR, options={"audit_mqtt": "yes", "audit_deliver": "all", "auth_throttle": "no"})
    auditor = broker.client("auditor-id", "auditor", "pw").open()
    auditor.subscribe("$AUDIT/#")
    a = broker.client("a-id", "a", "pw", version=V5).open()
    for n in range(50):
        a.publish("devices/a/data", qos=0)
        a.publish("devices/b/data", qos=0)
    for n in range(12):
        broker.client(f"g{n}", "a", "wrong").connect()
    broker.hang_up(AUDITOR.replace("[role auditor]", "# changed\n[role auditor]"))
    end = time.monotonic() + 4
    got = []
    while time.monotonic() < end:
        message = auditor.receive(0.2)
        if message:
            got.append((message.topic, json.loads(message.payload)))
    assert {topic for topic, _ in got} == {"$AUDIT/broker-under-test/alert", "$AUDIT/broker-under-test/state"}
    for topic, event in got:
        action = event["event"]["action"]
        assert action.startswith("alert-") if topic.endswith("alert") else action in (
            "policy-reload", "store-down", "store-up", "audit-gap", "audit-checkpoint"), action
    broker.stop()
    lines = {line: True for line in broker.trail.lines()}
    assert all(json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode() in lines for _, event in got)


def test_no_feedback(make_broker):
    """With every delivery audited and everything subscribed, an idle broker's trail stands still but for its checkpoints."""
    broker = make_broker(AUDITOR.replace("allow subscribe $AUDIT/#", "allow subscribe **"),
                         options={"audit_mqtt": "yes", "audit_deliver": "all", "audit_publish": "all"})
    auditor = broker.client("auditor-id", "auditor", "pw").open()
    assert auditor.subscribe("$AUDIT/#") < 3 and auditor.subscribe("#") < 3
    w = broker.client("w-id", "w", "pw").open()
    w.publish("devices/x")
    time.sleep(1.5)
    before = [json.loads(line)["event"]["action"] for line in broker.trail.lines()]
    time.sleep(3)
    after = [json.loads(line)["event"]["action"] for line in broker.trail.lines()]
    assert set(after[len(before):]) <= {"audit-checkpoint"} and len(after) - len(before) <= 4
    assert after.count("mqtt-deliver") == 1


# --- secrets


def test_no_secret_in_copies_and_snapshots(make_broker, make_redis, eventually):
    """Passwords planted by clients and by the configuration: not in the Redis copy of the trail, the snapshot, the log, .detect."""
    redis = make_redis("requirepass store-secret-4711")
    redis("AUTH", "store-secret-4711")
    broker = make_broker(POLICY, start=False)
    password = broker.folder / "redis-password"
    password.write_text("store-secret-4711\n")
    password.chmod(0o600)
    broker.options.update({"redis_url": redis.url, "audit_redis": redis.url, "redis_password_file": password, "auth_throttle": "no",
                           "snapshot_file": broker.folder / "snapshot", "metrics_file": broker.folder / "guard.prom",
                           "metrics_interval": "1"})
    broker.start()
    plain = "Plant-" + os.urandom(8).hex()
    payload = "Payload-" + os.urandom(8).hex()
    redis("HSET", "guard:client:r1", "password", users("r1").split("password = ")[1].strip(), "roles", "w")
    redis("INCR", "guard:version")
    eventually(lambda: broker.client("r-id", "r1", "pw").connect() == 0, 5, "the client from Redis")
    broker.client("c1", "r1", plain).connect()
    broker.client("c2", plain[:0] or "r1", plain + "x").connect()
    w = broker.client("w-id", "w", "pw", version=V5).open()
    w.publish("devices/a/data", payload.encode())
    broker.trail.wait("mqtt-publish", 1)
    eventually((broker.folder / "snapshot").exists, 10, "the snapshot")
    time.sleep(1.2)
    stream = json.dumps(redis("XRANGE", "audit:broker-under-test", "-", "+"))
    broker.stop()
    written = {str(path): path.read_bytes() for path in broker.folder.rglob("*") if path.is_file() and path != password}
    written["the stream"] = stream.encode()
    assert b"mqtt-publish" in written["the stream"]
    for path, content in written.items():
        for secret in (plain, payload, "store-secret-4711"):
            assert secret.encode() not in content, f"{path} holds {secret}"
