"""
A crowd comes and goes while the policy changes under it; afterwards nothing is lost, leaked or left. GUARD_SOAK_SECONDS and
GUARD_SOAK_CLIENTS make it a real soak (`tests/run.sh --only soak`: 1800 and 2000, under ASan and TSan); by default it is short.
"""
import asyncio
import collections
import json
import os
import random
import resource
import threading
from pathlib import Path

import pytest

from support import passwords
from support.broker import UNDER, wait_until
from support.raw import RawClient, packet, text
from support.swarm import swarm
from test_rules import EVERYONE

SECONDS = float(os.environ.get("GUARD_SOAK_SECONDS", "8"))
CLIENTS = int(os.environ.get("GUARD_SOAK_CLIENTS", "100"))
LONG = SECONDS >= 60
STORED = passwords.mosquitto_7("pw", 1)
RULES = EVERYONE.replace("${client_id}", "${username}").replace("[default]", "news     = allow subscribe news/#\n[default]")
HERALD = f"[client herald]\npassword = {STORED}\nroles = herald\n[role herald]\nx = allow publish news/#\n"


def resident(process):
    """Resident memory of the broker in KiB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def records(names):
    return HERALD + "".join(f"[client {name}]\npassword = {STORED}\n" for name in names)


class FileHome:
    """The policy is a file, whose every change comes with a SIGHUP."""

    def __init__(self, make_broker, make_redis, names, options):
        self.policies = [records(names) + RULES, records(names) + RULES + "[role more]\nx = allow publish more/#\n"]
        self.broker = make_broker(self.policies[0], options=options)

    def disturb(self, number):
        self.broker.write_policy(self.policies[number % 2])
        self.broker.process.send_signal(1)


class RedisHome:
    """The policy is in Redis: edits, now and then a SIGHUP, and Redis itself goes away and comes back."""

    def __init__(self, make_broker, make_redis, names, options):
        self.redis = make_redis()
        self.redis.load(records(names) + RULES)
        self.broker = make_broker(None, options={**options, "policy_file": None, "redis_url": self.redis.url,
                                                 "redis_command_timeout": "2000"}, start=False)
        self.broker.options["snapshot_file"] = self.broker.folder / "snapshot"
        self.broker.start()
        wait_until(lambda: self.broker.trail.events("policy-reload", mosquitto__policy__source="redis", event__outcome="success"), 30,
                   "the policy")

    def disturb(self, number):
        self.redis(*(("HSET", "guard:role:device", "more", "allow publish more/#") if number % 2 else ("HDEL", "guard:role:device", "more")))
        self.redis("HSET", f"guard:client:extra-{number % 50}", "password", STORED)
        self.redis("SET", f"guard:revoked:jti:{number}", "soak", "EX", 2)
        if number % 4 == 1:
            self.broker.process.send_signal(1)
        if number % 5 == 2:
            self.redis("SAVE")
            self.redis.stop()
            self.redis.start()


class Herald(threading.Thread):
    """Tells everybody something, once a second and more often in a short run."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.client, self.done, self.told, self.ended = RawClient(port), threading.Event(), 0, False
        assert self.client.connect("herald", "herald", "pw", version=5) == 0

    def run(self):
        while not self.done.wait(1.0 if LONG else 0.1):
            self.client.send(packet(0x32, text("news/1") + b"\0\1\0" + b"x" * 40))
            while (got := self.client.read()) is not None and got[0] & 0xF0 != 0x40:
                pass
            self.told += got is not None and (len(got[1]) < 3 or got[1][2] < 0x80)

    def stop(self):
        self.done.set()
        self.join()
        self.client.close()


def count_events(trail):
    """{(action, outcome): how many}, and the reasons of refusals by action; line by line: there may be millions."""
    by, reasons = collections.Counter(), collections.defaultdict(set)
    for path in trail.files():
        with open(path, "rb") as stream:
            for line in stream:
                event = json.loads(line)["event"]
                by[event["action"], event.get("outcome")] += 1
                if event.get("outcome") == "failure":
                    reasons[event["action"]].add(event.get("reason"))
    return by, reasons


def check_memory(sizes):
    """Freed memory that a sanitizer keeps aside is little (ASAN_OPTIONS below); the thread sanitizer's shadow is none of ours."""
    if len(sizes) < 12 or UNDER in ("valgrind", "tsan") or (UNDER and not LONG):
        return
    early, late = max(sizes[len(sizes) // 4:len(sizes) // 2]), max(sizes[-len(sizes) // 4:])
    assert late < early * 1.15 + 4096, f"memory grows: {early} -> {late} KiB ({sizes[::max(1, len(sizes) // 10)]})"


@pytest.fixture(autouse=True)
def room(monkeypatch):
    monkeypatch.setenv("ASAN_OPTIONS", "quarantine_size_mb=16")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, CLIENTS * 3 + 500)), hard))


@pytest.mark.slow
@pytest.mark.timeout(SECONDS * 3 + 600)
@pytest.mark.parametrize("home", [FileHome, RedisHome], ids=["file", "redis"])
def test_crowd(make_broker, make_redis, issuer, guardctl, home):
    names = [f"dev-{n}" for n in range(CLIENTS)]
    home = home(make_broker, make_redis, names[::2], issuer.options(audit_rotate_size="64M" if LONG else "4M"))
    broker, trail = home.broker, home.broker.trail

    def password(number, name):
        # a session of a long run takes some ten seconds: a quarter of the tokens end before it does
        return (lambda: "pw") if number % 2 == 0 else \
            (lambda: issuer.token(name, "EdDSA", lifetime=random.randint(4, 40) if LONG else 3))

    stop, sizes, disturbed, failures = threading.Event(), [], [0], []

    def disturb():
        while not stop.wait(max(0.5, min(SECONDS / 100, 5))):
            disturbed[0] += 1
            try:
                home.disturb(disturbed[0])
            except Exception as error:  # pylint: disable=broad-except
                failures.append(error)
                return
            sizes.append(resident(broker.process))

    herald, thread = Herald(broker.ports["plain"]), threading.Thread(target=disturb)
    herald.start()
    thread.start()
    try:
        counts = asyncio.run(swarm(broker.ports["plain"], [(n, password(i, n)) for i, n in enumerate(names)], SECONDS,
                                   pause=max(0.05, CLIENTS / 1000), also="news/#"))
    finally:
        stop.set()
        thread.join()
        herald.stop()
    print(f"{dict(counts)}, {herald.told} told, {disturbed[0]} disturbances, memory {sizes[::max(1, len(sizes) // 10)]} KiB")
    assert not failures, failures
    assert counts["accepted"] > CLIENTS and counts["published"] > CLIENTS and counts["denied"], counts
    assert LONG or not (counts["refused"] or counts["not subscribed"]), counts
    assert herald.told and counts["delivered"] > CLIENTS, counts
    broker.stop()
    if LONG or isinstance(home, RedisHome):  # guardctl has the same to say of many lines, sooner; once, the fixture says it
        broker.trail_unchecked = True
        checked = guardctl("audit", "verify", broker.audit_dir)
        assert checked.returncode == 0, checked.stdout + checked.stderr
    by, reasons = count_events(trail)
    # of many clients on a slow broker some come too late with their tokens
    assert reasons["mqtt-connect"] <= {"jwt_expired"} and reasons["mqtt-subscribe"] <= {"token_expired"}, reasons
    assert by["mqtt-connect", "failure"] == counts["refused"], (by, counts)
    assert by["mqtt-connect", "success"] == counts["accepted"] + 1 == by["mqtt-disconnect", "success"], (by, counts)
    # a client that was cut off (its token ended) may have missed the answer to its last publish
    slack = counts["hung up"]
    assert 0 <= by["mqtt-subscribe", "success"] - counts["subscribed"] <= 2 * slack, (by, counts)
    assert 0 <= by["mqtt-subscribe", "failure"] - counts["not subscribed"] <= 2 * slack, (by, counts)
    assert 0 <= by["mqtt-publish", "success"] - counts["published"] - herald.told <= slack, (by, counts)
    assert 0 <= by["mqtt-publish", "failure"] - counts["denied"] <= slack, (by, counts)
    assert by["policy-reload", "success"] >= disturbed[0] / 2
    check_memory(sizes)
