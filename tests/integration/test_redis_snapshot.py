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


FILE = users("file") + """\
[role file]
f = allow publish file/1
[role w]
fixed = allow publish file/${username}
[assign]
mine = file when username = "file"
"""


@pytest.fixture
def beside_a_file(make_broker, redis):
    """As saved, with a policy file whose part is fixed beside Redis."""
    snapshot = redis.folder / "snapshot"
    redis.load(RULES)
    broker = make_broker(FILE, options={"redis_url": redis.url, "snapshot_file": str(snapshot), "auth_throttle_failures": "1000"})
    broker.trail.wait("policy-reload", event__outcome="success", mosquitto__policy__source="redis")
    wait_until(snapshot.exists, 10, "the snapshot")
    return broker, snapshot


def with_file(broker, name):
    """What a client may do by the rules of both."""
    known = decisions(broker, name)
    client = broker.client(name, name, "pw", version=V5).open()
    return {**known, **{topic: client.publish(topic) for topic in ("file/1", "file/2", f"file/{name}")}}


@pytest.mark.memory
def test_beside_the_same_policy_file_compiled_rules_are_used(beside_a_file, redis):
    """With what changed since; and a reload of the file meets all roles of Redis, also those that were not compiled again."""
    broker, snapshot = beside_a_file
    size = snapshot.stat().st_size
    a = broker.client("a", "a", "pw", version=V5).open()
    redis("HSET", "guard:role:device", "new", "allow publish new/#")
    redis("HSET", "guard:role:w", "new", "allow publish new/#")  # the file's alone
    becomes(a, "new/1", 0)
    wait_until(lambda: snapshot.stat().st_size > size, 10, "the changes")
    before = {name: with_file(broker, name) for name in ("a", "w", "c", "file")}
    assert before["file"]["file/1"] == 0 and before["w"]["file/w"] == 0 and before["w"]["new/1"] == before["a"]["new/1"] == 0
    without_redis(broker, redis)
    assert {name: with_file(broker, name) for name in ("a", "w", "c", "file")} == before
    assert ANEW not in broker.log()
    broker.hang_up(FILE.replace("file/1", "file/2"))
    wait_until(lambda: with_file(broker, "file")["file/2"] == 0, 10, "the file's new rule")
    after = {name: with_file(broker, name) for name in ("a", "w", "c")}
    assert after == {name: before[name] for name in ("a", "w", "c")}


def test_beside_another_policy_file_rules_are_compiled_anew(beside_a_file, redis):
    """What was compiled was compiled with the file as it was: a file edited while the broker was down counts."""
    broker, snapshot = beside_a_file
    broker.stop()
    redis.stop()
    broker.policy_file.write_text("# a remark\n" + FILE)  # rules know their lines
    broker.start()
    wait_until(lambda: ANEW in broker.log(), 10, "the rules to be compiled anew")
    broker.stop()
    broker.policy_file.write_text(FILE.replace("file/1", "file/2"))
    inode = snapshot.stat().st_ino
    broker.start()
    may = with_file(broker, "file")
    assert may["file/2"] == 0 and may["file/1"] == 0x87 and with_file(broker, "w")["file/w"] == 0
    said = broker.log().count(ANEW)
    assert said == 2
    wait_until(lambda: snapshot.stat().st_ino != inode, 10, "the snapshot to be written anew")
    broker.restart()
    assert with_file(broker, "file") == may and broker.log().count(ANEW) == said


def test_without_the_policy_file_rules_are_compiled_anew(beside_a_file, redis):
    """What the file gave is gone with it."""
    broker, _ = beside_a_file
    broker.stop()
    redis.stop()
    broker.options["policy_file"] = None
    broker.start()
    assert broker.client("a", "a", "pw", version=V5).open().publish("devices/a/data") == 0
    assert broker.client("file", "file", "pw", version=V5).connect() == 0x87
    assert ANEW in broker.log()
