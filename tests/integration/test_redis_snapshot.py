"""A start without Redis: with the rules as they were compiled before, and what changed since; of another engine, compiled anew."""
import hashlib
import struct
import time

import pytest

from support.broker import wait_until
from support.client import V5
from test_redis import POLICY, becomes, make_fleet  # noqa: F401
from test_rules import users

RULES = users("c", roles={"c": "conditions"}) + "attr.site = berlin\n" + POLICY + """\
[role conditions]
small = allow publish small/+ qos<=1 size<=4
deny  = deny publish small/not
long  = allow publish a-level-of-more-than-thirty-six-octets-in-the-filter/${username}
[assign]
berlin = w when attr.site = "berlin"
"""
ANEW = "its rules were compiled anew"


def decisions(broker, name):
    """What a client may do, by the rules above."""
    client = broker.client(name, name, "pw", version=V5).open()
    return {topic: client.publish(topic) for topic in (
        f"devices/{name}/data", "devices/x/data", "small/1", "small/not", "new/1", "gone/1",
        f"a-level-of-more-than-thirty-six-octets-in-the-filter/{name}", "anything/else")}


@pytest.fixture
def saved(make_fleet, redis):
    """A broker whose snapshot is written, and the file."""
    snapshot = redis.folder / "snapshot"
    broker, = make_fleet(policy=RULES, snapshot_file=str(snapshot))
    wait_until(snapshot.exists, 10, "the snapshot")
    return broker, snapshot


def without_redis(broker, redis):
    broker.stop()
    redis.stop()
    return broker.start()


@pytest.mark.memory
def test_compiled_rules_are_used_as_they_are(saved, redis):
    broker, snapshot = saved
    before = {name: decisions(broker, name) for name in "abwc"}
    assert {0, 0x87} <= set(before["c"].values()) and before["a"] != before["w"] != before["c"]
    without_redis(broker, redis)
    assert {name: decisions(broker, name) for name in "abwc"} == before
    assert "the policy is from the snapshot" in broker.log() and ANEW not in broker.log()
    redis.start()  # empty: the policy stays, and takes edits when it is published anew
    a = broker.client("a", "a", "pw", version=V5).open()
    redis.load(RULES)
    redis.multi(("HSET", "guard:role:device", "new", "allow publish new/#"), ("SET", "guard:version", "9"))
    becomes(a, "new/1", 0, 10)
    assert decisions(broker, "w") == {**before["w"], "new/1": before["w"]["new/1"]}


@pytest.mark.memory
def test_changes_since_are_in_it(saved, redis):
    """Also when the broker was not ended in order."""
    broker, snapshot = saved
    inode, size = snapshot.stat().st_ino, snapshot.stat().st_size
    a = broker.client("a", "a", "pw", version=V5).open()
    redis("HSET", "guard:role:device", "new", "allow publish new/#")
    redis("HSET", "guard:role:added", "gone", "allow publish gone/#")
    redis("HSET", "guard:client:b", "roles", "added")
    redis("DEL", "guard:role:conditions")
    becomes(a, "new/1", 0)
    wait_until(lambda: snapshot.stat().st_size > size, 10, "the changes")
    time.sleep(1.2)  # of four edits the last may be in a change of its own
    before = {name: decisions(broker, name) for name in "abwc"}
    assert before["b"]["gone/1"] == 0 and before["c"]["small/1"] == 0 and before["a"]["gone/1"] == 0x87
    broker.kill()
    redis.stop()
    broker.start()
    assert {name: decisions(broker, name) for name in "abwc"} == before
    assert ANEW not in broker.log() and snapshot.stat().st_ino == inode


def patch_engine(snapshot):
    """As if another build of the engine had compiled the rules: its digest is another one, and the checksum fits."""
    octets = bytearray(snapshot.read_bytes())
    header = struct.Struct("=10s2xIqQ4QI128s4x")
    lengths = header.unpack_from(octets)[4:8]
    padded = [(n + 63) // 64 * 64 for n in lengths]
    image, end = header.size + sum(padded[:3]), header.size + sum(padded)
    assert octets[image:image + 8] == b"GUARDACL"
    octets[image + 8] ^= 1
    octets[end:end + 32] = hashlib.sha256(octets[header.size:end] + octets[:header.size]).digest()
    snapshot.write_bytes(octets[:end + 48])


def test_rules_of_another_engine_are_compiled_anew(saved, redis):
    """An update of the plugin must not be the end of the snapshot; and the start after the next one is quick again."""
    broker, snapshot = saved
    before = {name: decisions(broker, name) for name in "aw"}
    broker.stop()
    redis.stop()
    patch_engine(snapshot)
    inode = snapshot.stat().st_ino
    broker.start()
    assert {name: decisions(broker, name) for name in "aw"} == before
    assert ANEW in broker.log()
    wait_until(lambda: snapshot.stat().st_ino != inode, 10, "the snapshot to be written anew")
    said = broker.log().count(ANEW)
    broker.restart()
    assert {name: decisions(broker, name) for name in "aw"} == before
    assert broker.log().count(ANEW) == said


def test_beside_a_policy_file_rules_are_compiled_anew(make_broker, redis, tmp_path):
    """What was compiled was compiled with the file as it was: a file edited while the broker was down counts."""
    snapshot = redis.folder / "snapshot"
    redis.load(POLICY)
    broker = make_broker("[role file]\nf = allow publish file/1\n[default]\nroles = file\n",
                         options={"redis_url": redis.url, "snapshot_file": str(snapshot), "auth_throttle_failures": "1000"})
    broker.trail.wait("policy-reload", event__outcome="success", mosquitto__policy__source="redis")
    wait_until(snapshot.exists, 10, "the snapshot")
    broker.stop()
    redis.stop()
    broker.policy_file.write_text("[role file]\nf = allow publish file/2\n[default]\nroles = file\n")
    broker.start()
    w = broker.client("w", "w", "pw", version=V5).open()
    a = broker.client("a", "a", "pw", version=V5).open()
    assert a.publish("file/2") == 0 and a.publish("file/1") == 0x87 and w.publish("file/1") == 0
    assert ANEW in broker.log()
