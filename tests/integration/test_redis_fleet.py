"""Brokers, an administrator and Redis together: guardctl's push, drafts, SIGHUP, and the Redis user of the manual."""
import json
import re
import time

import pytest

from support.broker import TOP, wait_until
from support.client import V5
from test_redis import POLICY, becomes, make_fleet, options  # noqa: F401


def test_push_is_live_on_all(make_fleet, redis, guardctl, tmp_path):
    brokers = [make_fleet(policy=None if number else POLICY, broker_id=f"broker-{number}")[0] for number in range(3)]
    clients = [b.client("a", "a", "pw", version=V5).open() for b in brokers]
    policy = tmp_path / "new.conf"
    policy.write_text(POLICY.replace("alarms/#", "alerts/#"))
    done = guardctl("push", policy, "--redis", redis.url, "--yes")
    assert done.returncode == 0, done.stderr
    for client in clients:
        becomes(client, "alerts/1", 0)
    policy.write_text(POLICY.replace("alarms/#", "alerts/#/x"))
    assert guardctl("push", policy, "--redis", redis.url, "--yes").returncode != 0
    assert all(c.publish("alerts/1") == 0 for c in clients)
    version = redis("GET", "guard:version")

    def statuses():
        found = [json.loads(redis("GET", key)) for key in redis("KEYS", "guard:status:*")]
        return len(found) == 3 and all(str(s["policy_version"]) == version and s["up"] for s in found)
    wait_until(statuses, 12, "all brokers to tell the new version")
    shown = guardctl("status", "--redis", redis.url).stdout
    assert all(f"broker-{number}" in shown for number in range(3)) and version in shown


def test_drafts_count_when_they_are_published(make_fleet, redis):
    broker, = make_fleet()
    a = broker.client("a", "a", "pw", version=V5).open()
    redis("HSET", "guard:draft:role:device", "only", "allow publish drafted/#")
    time.sleep(0.3)
    assert a.publish("drafted/1") == 0x87 and a.publish("devices/a/data") == 0
    redis.multi(("RENAME", "guard:draft:role:device", "guard:role:device"), ("INCR", "guard:version"),
                ("XADD", "guard:log", "*", "who", "tester", "what", "publish"))
    becomes(a, "drafted/1", 0)
    assert a.publish("devices/a/data") == 0x87
    broker.trail.one("policy-reload", rule__version="2")


def test_sighup_changes_nothing(make_fleet):
    """All is read anew at SIGHUP: no session goes, nothing is told."""
    broker, = make_fleet()
    a = broker.client("a", "a", "pw", version=V5).open()
    before = len(broker.trail.events("policy-reload"))
    for _ in range(5):
        broker.hang_up()
        assert a.publish("devices/a/data") == 0
    assert len(broker.trail.events("policy-reload")) == before
    assert not broker.trail.events("store-down") and not broker.trail.events("mqtt-disconnect")


def test_the_redis_user_of_the_manual(make_fleet, redis, tmp_path):
    """docs/redis.md: exactly that user, and a password that changes under the running broker."""
    rule = re.search(r"ACL SETUSER broker1 (on .*?)```", (TOP / "docs/redis.md").read_text(), re.S).group(1)
    words = [w.strip("'") for w in rule.replace("\\\n", " ").split()]
    redis("ACL", "SETUSER", "broker1", *(w.replace(">SECRET", ">first") for w in words))
    secret = tmp_path / "secret"
    secret.write_text("first\n")
    secret.chmod(0o600)
    broker, = make_fleet(redis_username="broker1", redis_password_file=secret, broker_id="broker1")
    a = broker.client("a", "a", "pw", version=V5).open()
    redis("HSET", "guard:role:device", "n", "allow publish n")
    becomes(a, "n", 0)
    wait_until(lambda: redis("EXISTS", "guard:status:broker1"), 12, "the status")
    redis("ACL", "SETUSER", "broker1", "resetpass", ">second")
    redis("CLIENT", "KILL", "USER", "broker1")
    wait_until(lambda: broker.trail.events("store-down"), 5, "the outage")
    secret.write_text("second\n")
    redis("HDEL", "guard:role:device", "n")
    becomes(a, "n", 0x87, 10)
    broker.trail.one("store-up")
    assert "second" not in broker.log() and "first" not in broker.log()


@pytest.mark.timing
def test_a_flood_of_edits(make_fleet, redis):
    """Ten thousand edits as fast as Redis takes them: the broker serves on and ends with the last one."""
    broker, = make_fleet()
    a = broker.client("a", "a", "pw", version=V5).open()
    redis.connection.pipeline(("HSET", "guard:role:device", f"r{n % 50}", f"allow publish flood/{n}") for n in range(10000))
    becomes(a, "flood/9999", 0, 10)
    assert a.publish("flood/9000") == 0x87 and a.publish("devices/a/data") == 0
    assert broker.running
