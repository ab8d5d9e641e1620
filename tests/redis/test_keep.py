"""What is kept when the store was emptied, lost data, is away, or was never there: the last good policy, and an alarm."""
import os
import time

import pytest

from support.probe import guardctl, lines_of
from support.servers import wait_until


def fill(redis, version=None):
    redis("HSET", "guard:role:device", "a", "allow publish x")
    redis("HSET", "guard:client:c", "roles", "device")
    redis("SET", "guard:ban:ip:10.0.0.1", "old")
    if version:
        redis("SET", "guard:version", version)


@pytest.fixture
def followed(redis, make_probe):
    fill(redis)
    probe = make_probe(redis.url)
    probe.state(up=True)
    return redis, probe


def test_flushall_keeps_the_policy_until_confirmed(followed):
    redis, probe = followed
    since = probe.mark()
    redis("FLUSHALL")
    state = probe.state(unconfirmed=True, since=since)
    assert not state["up"] and state["reason"] == "policy_unavailable" and "emptied" in state["text"]
    assert state["roles"] == 1 and state["clients"] == 1 and state["revocations"] == 1
    assert not probe.updates(since)
    guardctl("confirm", url=redis.url)
    update = probe.update(since=since)
    assert lines_of(update, "device") == {} and update["changed_clients"] == {"c": None}
    probe.state(up=True, unconfirmed=False, since=since)


def test_policy_coming_back_piece_by_piece_waits(followed):
    """After a FLUSHALL a single role is not the policy: it takes a push, a new version or a confirmation."""
    redis, probe = followed
    since = probe.mark()
    redis("FLUSHALL")
    probe.state(unconfirmed=True, since=since)
    redis("HSET", "guard:role:device", "a", "allow publish other")
    time.sleep(0.5)
    assert not probe.updates(since) and probe.last_state()["unconfirmed"]
    redis("INCR", "guard:version")
    assert lines_of(probe.update(since=since), "device") == {"a": "allow publish other"}
    probe.state(up=True, since=since)


def test_the_same_policy_restored_needs_no_confirmation(followed):
    redis, probe = followed
    since = probe.mark()
    redis("FLUSHALL")
    probe.state(unconfirmed=True, since=since)
    redis.connect().multi(("HSET", "guard:role:device", "a", "allow publish x"), ("HSET", "guard:client:c", "roles", "device"))
    probe.state(up=True, unconfirmed=False, since=since)


def test_new_bans_bite_while_unconfirmed_and_none_is_lifted(followed):
    redis, probe = followed
    since = probe.mark()
    redis("FLUSHALL")
    probe.state(unconfirmed=True, since=since)
    redis("SET", "guard:ban:user:eve", "now")
    update = probe.update(since=since)
    assert update["changed_revocations"] == [[5, "eve", "now"]] and update["section_count"] == 0
    assert update["revocations"] == 2, "the old ban is still there"


def test_push_after_flushall_is_a_confirmation(redis, make_probe, tmp_path):
    fill(redis, version=41)
    probe = make_probe(redis.url, broker_id="b1")
    probe.state(up=True)
    wait_until(lambda: redis("EXISTS", "guard:status:b1"))
    since = probe.mark()
    redis("FLUSHALL")
    probe.state(unconfirmed=True, since=since)
    wait_until(lambda: redis("EXISTS", "guard:status:b1"), timeout=15)  # brokers say which version they have seen
    policy = tmp_path / "policy.conf"
    policy.write_text("[role device]\na = allow publish pushed\n")
    guardctl("push", policy, url=redis.url)
    update = probe.update(since=since)
    assert update["version"] == 42 and lines_of(update, "device") == {"a": "allow publish pushed"}


def test_version_going_backwards_is_an_alarm(redis, make_probe):
    fill(redis, version=7)
    probe = make_probe(redis.url)
    probe.state(up=True, version=7)
    since = probe.mark()
    redis.connect().multi(("SET", "guard:version", "6"), ("HSET", "guard:role:device", "a", "allow publish older"))
    state = probe.state(unconfirmed=True, since=since)
    assert state["reason"] == "policy_rollback" and not probe.updates(since)
    redis("SET", "guard:version", "8")
    assert lines_of(probe.update(since=since), "device") == {"a": "allow publish older"}
    probe.state(up=True, unconfirmed=False, since=since)


def test_one_confirmation_is_for_one_time(followed):
    redis, probe = followed
    redis("FLUSHALL")
    probe.state(unconfirmed=True)
    redis("SET", "guard:confirm-empty", "first")
    since = probe.mark()
    probe.state(up=True, since=since - 1)
    redis("HSET", "guard:role:again", "a", "allow publish x")
    probe.update(lambda u: lines_of(u, "again"), since=since)
    since = probe.mark()
    redis("DEL", "guard:role:again")  # empty again, and the old confirmation still lies there
    probe.state(unconfirmed=True, since=since)


def test_last_role_removed_by_a_new_version_is_meant(redis, make_probe):
    redis("HSET", "guard:role:only", "a", "allow publish x")
    redis("SET", "guard:version", "1")
    probe = make_probe(redis.url)
    probe.state(up=True)
    since = probe.mark()
    guardctl("role", "remove", "only", url=redis.url)
    assert lines_of(probe.update(since=since), "only") == {}
    assert not probe.last_state()["unconfirmed"]


def test_empty_store_at_the_first_start(redis, make_probe):
    probe = make_probe(redis.url)
    update = probe.update()
    assert update["full"] and update["section_count"] == 0
    probe.state(up=True, have_policy=True)


def test_snapshot_serves_a_start_without_redis(redis, make_probe, tmp_path):
    fill(redis, version=5)
    snapshot = tmp_path / "snapshot"
    probe = make_probe(redis.url, snapshot_file=snapshot)
    probe.state(up=True)
    wait_until(snapshot.exists)
    assert os.stat(snapshot).st_mode & 0o7777 == 0o600
    since = probe.mark()
    redis("HSET", "guard:role:late", "a", "allow publish y")
    probe.update(since=since)
    probe.stop()  # what is not saved yet is saved now
    redis.stop()

    offline = make_probe(redis.url, snapshot_file=snapshot)
    first = offline.update()
    assert first["from_snapshot"] and first["full"] and first["version"] == 5
    assert lines_of(first, "device") == {"a": "allow publish x"} and lines_of(first, "late") == {"a": "allow publish y"}
    assert first["clients"] == 1 and first["revocations"] == 1
    state = offline.state(up=False, from_snapshot=True)
    assert abs(state["fresh_at"] - time.time()) < 60

    since = offline.mark()
    redis.start()  # empty: nothing was saved by Redis
    offline.state(unconfirmed=True, since=since, timeout=20)
    redis("HSET", "guard:role:late", "a", "allow publish y")
    fill(redis, version=5)  # the version last: before it, what is there counts as an older store and is not taken
    offline.state(up=True, from_snapshot=False, since=since)
    assert not [u for u in offline.updates(since) if u["section_count"]], "the same policy: nothing to change"


def test_age_of_a_snapshot_counts_from_when_redis_last_confirmed_it(redis, make_probe, tmp_path):
    """A policy that has not changed for weeks is not weeks old, if the store confirmed it until a moment ago."""
    fill(redis)
    snapshot = tmp_path / "snapshot"
    probe = make_probe(redis.url, snapshot_file=snapshot)
    probe.state(up=True)
    wait_until(snapshot.exists)
    probe.stop()
    saved = snapshot.stat().st_ino
    time.sleep(2.5)
    probe = make_probe(redis.url, snapshot_file=snapshot)
    probe.state(up=True)
    confirmed = time.time()
    time.sleep(1.5)
    probe.stop()
    assert snapshot.stat().st_ino == saved, "the file was not written anew"
    redis.stop()
    offline = make_probe(redis.url, snapshot_file=snapshot)
    assert offline.state(from_snapshot=True)["fresh_at"] >= int(confirmed)


def resized(snapshot, before):
    wait_until(lambda: snapshot.stat().st_size != before)
    time.sleep(0.05)  # it is written in one piece
    return snapshot.stat().st_size


def test_changes_are_added_to_the_snapshot(redis, make_probe, tmp_path):
    """Half a second after the edit it is in the file, which is not written anew; nothing depends on an orderly end."""
    fill(redis, version=5)
    redis("HSET", "guard:client:gone", "roles", "device")
    snapshot = tmp_path / "snapshot"
    probe = make_probe(redis.url, snapshot_file=snapshot)
    probe.state(up=True)
    wait_until(snapshot.exists)
    inode, size = snapshot.stat().st_ino, snapshot.stat().st_size
    redis("HSET", "guard:role:late", "a", "allow publish y")
    size = resized(snapshot, size)
    redis.connect().multi(("DEL", "guard:client:gone"), ("HSET", "guard:client:c", "attr.x", "1"), ("SET", "guard:version", "6"),
                          ("DEL", "guard:ban:ip:10.0.0.1"), ("SET", "guard:ban:user:b", "y"), ("HDEL", "guard:role:device", "a"))
    size = resized(snapshot, size)
    assert snapshot.stat().st_ino == inode
    probe.process.kill()
    probe.process.wait()
    redis.stop()

    offline = make_probe(redis.url, snapshot_file=snapshot)
    first = offline.update()
    assert first["full"] and first["version"] == 6 and first["clients"] == 1 and first["revocations"] == 1
    assert lines_of(first, "device") is None and lines_of(first, "late") == {"a": "allow publish y"}
    offline.stop()

    with open(snapshot, "r+b") as file:
        file.truncate(size - 3)  # the power went while the last change was added
    offline = make_probe(redis.url, snapshot_file=snapshot)
    offline.problem("left out of the snapshot")
    first = offline.update()
    assert first["version"] == 5 and first["clients"] == 2 and lines_of(first, "device") == {"a": "allow publish x"}
    assert lines_of(first, "late") == {"a": "allow publish y"}
    since = offline.mark()
    redis.start()
    fill(redis, version=7)
    offline.state(up=True, from_snapshot=False, since=since, timeout=20)
    assert resized(snapshot, size - 3) and snapshot.stat().st_ino == inode
    offline.process.kill()
    offline.process.wait()
    redis.stop()
    again = make_probe(redis.url, snapshot_file=snapshot).update()
    assert again["version"] == 7 and again["clients"] == 1 and lines_of(again, "late") is None


def test_many_changes_become_a_new_snapshot(redis, make_probe, tmp_path):
    """What lies behind the whole stays small."""
    fill(redis)
    snapshot = tmp_path / "snapshot"
    probe = make_probe(redis.url, snapshot_file=snapshot)
    probe.state(up=True)
    wait_until(snapshot.exists)
    inode = snapshot.stat().st_ino
    redis("HSET", "guard:client:c", *(word for n in range(3000) for word in (f"attr.{n}", "x" * 100)))
    wait_until(lambda: snapshot.stat().st_ino != inode, timeout=15)
    probe.stop()
    redis.stop()
    assert make_probe(redis.url, snapshot_file=snapshot).update()["clients"] == 1


def test_damaged_snapshot_is_refused_and_said(redis, make_probe, tmp_path):
    fill(redis)
    snapshot = tmp_path / "snapshot"
    probe = make_probe(redis.url, snapshot_file=snapshot)
    probe.state(up=True)
    wait_until(snapshot.exists)
    probe.stop()
    damaged = bytearray(snapshot.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    snapshot.write_bytes(damaged)
    again = make_probe(redis.url, snapshot_file=snapshot)
    again.problem("damaged")
    assert not again.update()["from_snapshot"]  # Redis is there
    again.state(up=True)


def test_snapshot_that_cannot_be_written_is_said(redis, make_probe, tmp_path):
    fill(redis)
    probe = make_probe(redis.url, snapshot_file=tmp_path / "nowhere" / "snapshot")
    probe.problem("cannot be written", timeout=15)
    assert probe.last_state()["up"]


def test_max_stale(redis, make_probe):
    fill(redis)
    probe = make_probe(redis.url, max_stale_s=2)
    probe.state(up=True)
    redis.stop()
    since = probe.mark()
    state = probe.state(up=False, expired=True, since=since, timeout=15)
    assert state["roles"] == 1, "what an old policy means is not the store's to decide"
    redis.start()
    fill(redis)
    probe.state(up=True, expired=False, since=since, timeout=20)
