"""Redis as the policy's home: edits by hand are live on every broker, whoever lost his rights feels it at once."""
import time

import pytest

from support import passwords
from support.broker import SLOWNESS, wait_until
from support.client import V5
from test_rules import EVERYONE, users

LIVE = 2.0 * SLOWNESS  # generous: the figures are tests/bench/redis/edits.py
POLICY = users("a", "b", "w", roles={"w": "w"}) + EVERYONE + "[role w]\nw = allow publish #\nr = allow subscribe #\n"


def options(server, **more):
    """Plugin options of a broker whose whole policy is in Redis."""
    return {"policy_file": None, "redis_url": server.url, **more}


def becomes(client, topic, code, timeout=LIVE):
    """Publishes until the answer is code; the seconds it took."""
    began = time.monotonic()
    wait_until(lambda: client.publish(topic) == code, timeout, f"a publish to {topic} to be answered by {code:#x}")
    return time.monotonic() - began


@pytest.fixture
def make_fleet(make_broker, redis):
    """make_fleet(count, **options): brokers that have taken POLICY from Redis."""
    def make(count=1, policy=POLICY, **more):
        if policy:
            redis.load(policy)
        brokers = [make_broker(None, options=options(redis, **more)) for _ in range(count)]
        for broker in brokers:
            broker.trail.wait("policy-reload", event__outcome="success", mosquitto__policy__source="redis")
        return brokers
    return make


# --- edits

def test_plain_edits_are_live_on_three_brokers(make_fleet, redis):
    brokers = make_fleet(3)
    clients = [b.client(f"a{n}", "a", "pw", version=V5).open() for n, b in enumerate(brokers)]
    assert [c.publish("news/1") for c in clients] == [0x87] * 3
    assert redis.cli("HSET", "guard:role:device", "news", "allow publish news/#") == "1"
    for client in clients:
        becomes(client, "news/1", 0)
    redis.cli("HDEL", "guard:role:device", "news")
    for client in clients:
        becomes(client, "news/1", 0x87)
