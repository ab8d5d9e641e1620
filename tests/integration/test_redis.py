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
    """Plugin options of a broker whose whole policy is in Redis; tests that try until they are let in must not be throttled."""
    return {"policy_file": None, "redis_url": server.url, "auth_throttle_failures": "1000", **more}


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


@pytest.mark.memory
def test_a_transaction_is_one_change(make_fleet, redis):
    """Two roles swap a right in one MULTI: nobody ever has both or neither, and the trail tells of one change."""
    broker, = make_fleet(policy=users("a", "b", roles={"a": "one", "b": "two"}) +
                         "[role one]\nr = allow publish the/right\n[role two]\nx = allow publish else\n")
    a, b = (broker.client(n, n, "pw", version=V5).open() for n in "ab")
    assert (a.publish("the/right"), b.publish("the/right")) == (0, 0x87)
    for number in range(20):
        give, take = ("two", "one") if number % 2 == 0 else ("one", "two")
        redis.multi(("HDEL", f"guard:role:{take}", "r"), ("HSET", f"guard:role:{take}", "x", "allow publish else"),
                    ("HSET", f"guard:role:{give}", "r", "allow publish the/right"), ("INCR", "guard:version"))
        becomes(b if give == "two" else a, "the/right", 0)
        assert (a if give == "two" else b).publish("the/right") == 0x87
    events = broker.trail.wait("policy-reload", 21, event__outcome="success", mosquitto__policy__source="redis")
    assert [e["rule"]["version"] for e in events] == [str(n) for n in range(1, 22)]


def test_a_new_role_and_its_holder(make_fleet, redis):
    """A role that nobody knew and the record that is given it, by hand, in any order."""
    broker, = make_fleet()
    a = broker.client("a", "a", "pw", version=V5).open()
    redis("HSET", "guard:client:a", "roles", "later")
    time.sleep(0.1)
    assert a.connected and a.publish("later/1") == 0x87
    redis("HSET", "guard:role:later", "r", "allow publish later/#")
    becomes(a, "later/1", 0)
    redis("DEL", "guard:role:later")
    becomes(a, "later/1", 0x87)
    redis("HSET", "guard:assign", "x", 'w when client_id = "a"')
    redis("HSET", "guard:default", "publish", "allow")
    becomes(a, "anything", 0)


def test_expiry_of_a_role(make_fleet, redis):
    broker, = make_fleet()
    a = broker.client("a", "a", "pw", version=V5).open()
    redis.multi(("HSET", "guard:role:guest", "r", "allow publish guest/#"), ("HSET", "guard:client:a", "roles", "guest"))
    becomes(a, "guest/1", 0)
    redis("PEXPIRE", "guard:role:guest", 600)
    time.sleep(0.3)
    assert a.publish("guest/1") == 0
    becomes(a, "guest/1", 0x87, 0.3 + LIVE)


def test_lost_rights_bite_at_delivery(make_fleet, redis):
    """A live subscriber that loses the right gets nothing any more, without an UNSUBSCRIBE, and everything after it is back."""
    broker, = make_fleet()
    reader = broker.client("r", "w", "pw", version=V5).open()
    writer = broker.client("x", "w", "pw", version=V5).open()
    assert reader.subscribe("news/#") == 1
    writer.publish("news/1", b"before")
    assert reader.receive().payload == b"before"
    redis("HSET", "guard:role:w", "n", "deny receive news/#")
    broker.trail.wait("policy-reload", event__outcome="success", rule__version="1+1")
    for _ in range(10):
        writer.publish("news/1", b"meanwhile")
    assert reader.receives_nothing()
    redis("HDEL", "guard:role:w", "n")
    broker.trail.wait("policy-reload", event__outcome="success", rule__version="1+2")
    writer.publish("news/1", b"after")
    assert reader.receive().payload == b"after"


# --- whom an edit throws out

def test_removed_and_disabled_clients(make_fleet, redis):
    brokers = make_fleet(3)
    sessions = [b.client("a", "a", "pw", version=V5).open() for b in brokers]
    others = [b.client("b", "b", "pw", version=V5).open() for b in brokers]
    redis.cli("DEL", "guard:client:a")
    assert all(s.wait_gone(LIVE) for s in sessions)
    redis.cli("HSET", "guard:client:b", "disabled", "yes")
    assert all(o.wait_gone(LIVE) for o in others)
    assert brokers[0].client("b", "b", "pw").connect() == 5
    for broker in brokers:
        reasons = {e["user"]["name"]: e["event"]["reason"] for e in broker.trail.wait("mqtt-disconnect", 2)}
        assert reasons == {"a": "user_disabled", "b": "user_disabled"}
    redis.cli("HDEL", "guard:client:b", "disabled")
    wait_until(lambda: brokers[0].client("b", "b", "pw").connect() == 0, LIVE, "the client to be let in again")


@pytest.mark.parametrize("key,reason", [("ban:ip:127.0.0.1", "ip_blocked"), ("ban:ip:127.0.0.0/8", "ip_blocked"), ("ban:client:a-id", "user_disabled"),
                                        ("ban:user:a", "user_disabled")])
def test_ban(make_fleet, redis, key, reason):
    """A ban with a time ends the session, keeps the door shut, and ends by itself."""
    broker, = make_fleet()
    a, b = broker.client("a-id", "a", "pw").open(), broker.client("b-id", "b", "pw").open()
    redis.cli("SET", f"guard:{key}", "by the test", "PX", 1500)
    assert a.wait_gone(LIVE)
    assert broker.client("a-id", "a", "pw").connect() == 5
    time.sleep(0.1)
    assert b.connected == ("ip" not in key)
    events = broker.trail.wait("mqtt-disconnect", 2 if "ip" in key else 1)
    assert {e["event"]["reason"] for e in events} == {reason}
    wait_until(lambda: broker.client("a-id", "a", "pw").connect() == 0, 2 + LIVE, "the ban to end")


@pytest.mark.memory
def test_revoked_tokens(make_broker, redis, issuer):
    redis.load(EVERYONE)
    broker = make_broker(None, options=options(redis, **issuer.options()))
    broker.trail.wait("policy-reload", event__outcome="success", mosquitto__policy__source="redis")
    one, two = (broker.client(f"c{n}", "t", issuer.token("t", jti=f"jti-{n}"), version=V5).open() for n in (1, 2))
    redis.cli("SET", "guard:revoked:jti:jti-1", "1", "EX", "3600")
    assert one.wait_gone(LIVE) and two.connected
    assert broker.trail.one("mqtt-disconnect")["event"]["reason"] == "token_revoked"
    assert broker.client("c1", "t", issuer.token("t", jti="jti-1"), version=V5).connect() == 0x87
    redis.cli("SET", "guard:revoked:before:t", int(time.time()) + 3)
    assert two.wait_gone(LIVE)
    assert broker.client("c2", "t", issuer.token("t"), version=V5).connect() == 0x87
    time.sleep(4.1)
    broker.client("c2", "t", issuer.token("t"), version=V5).open()


def test_revoked_certificate(make_broker, redis, pki):
    from cryptography.hazmat.primitives import hashes
    redis.load(EVERYONE)
    broker = make_broker(None, options=options(redis), listeners=("tls",), pki=pki)
    broker.trail.wait("policy-reload", event__outcome="success", mosquitto__policy__source="redis")
    good, bad = pki.client("good"), pki.client("bad")
    kept = broker.client("good", listener="tls", certificate=good).open()
    lost = broker.client("bad", listener="tls", certificate=bad).open()
    redis.cli("SET", f"guard:revoked:cert:{bad.x509.fingerprint(hashes.SHA256()).hex()}", "stolen")
    assert lost.wait_gone(LIVE) and kept.connected
    assert broker.client("bad", listener="tls", certificate=bad).connect() == 5


def test_changed_password_ends_the_session(make_fleet, redis):
    broker, = make_fleet()
    a = broker.client("a", "a", "pw").open()
    redis.cli("HSET", "guard:client:a", "password", passwords.mosquitto_7("new", 1))
    assert a.wait_gone(LIVE)
    assert broker.client("a", "a", "pw").connect() == 5
    broker.client("a", "a", "new").open()


def test_token_keys_come_from_redis(make_broker, redis, issuer):
    """guard:jwks:<issuer>: keys are set, changed and taken away without a restart."""
    import json
    redis.load(EVERYONE)
    named = {k: v for k, v in issuer.options().items() if k != "jwt_jwks_file"}
    broker = make_broker(None, options=options(redis, **named))
    broker.trail.wait("policy-reload", event__outcome="success", mosquitto__policy__source="redis")

    def answer(alg):
        return broker.client("c", "t", issuer.token("t", alg), version=V5).connect()
    assert answer("ES256") == 0x87
    key = f"guard:jwks:{named['jwt_issuer']}"
    redis("SET", key, json.dumps({"keys": [issuer.public_jwk("ES256")]}))
    wait_until(lambda: answer("ES256") == 0, LIVE, "the key to be in use")
    redis("SET", key, "{not json")
    time.sleep(0.3)
    assert answer("ES256") == 0, "the last good keys stay"
    redis("SET", key, json.dumps({"keys": [issuer.public_jwk("EdDSA")]}))
    wait_until(lambda: answer("EdDSA") == 0, LIVE, "the new key to be in use")
    assert answer("ES256") == 0x87
    redis("DEL", key)
    wait_until(lambda: answer("EdDSA") == 0x87, LIVE, "the keys to be gone")


# --- what the trail calls the policy

def test_versions(make_fleet, redis):
    """guard:version counts published versions; what was edited by hand since then is counted behind it."""
    broker, = make_fleet()
    a = broker.client("a", "a", "pw", version=V5).open()

    def version_after(*words):
        before = len(broker.trail.events("policy-reload"))
        redis(*words)
        wait_until(lambda: len(broker.trail.events("policy-reload")) > before, LIVE, f"{words} to be taken")
        event = broker.trail.events("policy-reload")[-1]
        return event["rule"]["version"], event["mosquitto"]["policy"]["previous_version"]
    assert version_after("HSET", "guard:role:device", "n", "allow publish n") == ("1+1", "1")
    assert version_after("HDEL", "guard:role:device", "n") == ("1+2", "1+1")
    assert version_after("INCR", "guard:version") == ("2", "1+2")
    assert version_after("HSET", "guard:client:c", "disabled", "yes") == ("2+1", "2")
    assert a.publish("devices/a/data") == 0
    assert broker.trail.one("mqtt-publish")["rule"]["version"] == "2+1"
