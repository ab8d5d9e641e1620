"""Never half a policy, never an emptied one, never none by accident: what the plugin keeps when Redis does not deliver."""
import time

import pytest

from support import passwords
from support.broker import wait_until
from support.client import V5
from test_redis import LIVE, POLICY, becomes, make_fleet, options  # noqa: F401
from test_rules import EVERYONE, users


def not_taken(broker, reason, text, count=1):
    """The failure events with that reason and text; there must be exactly count."""
    return broker.trail.wait("policy-reload", count, event__outcome="failure", event__reason=reason,
                             error__message=lambda m: m and text in m)


# --- bad lines

@pytest.mark.memory
def test_bad_line_keeps_the_last_good_role(make_fleet, redis):
    """The line before it in the same MULTI is not taken either; other roles are, and mending it is enough."""
    broker, = make_fleet()
    a = broker.client("a", "a", "pw", version=V5).open()
    redis.multi(("HSET", "guard:role:device", "new", "allow publish new/#", "bad", "alow publish x"),
                ("HSET", "guard:role:w", "extra", "deny publish extra/#"))
    w = broker.client("w", "w", "pw", version=V5).open()
    becomes(w, "extra/1", 0x87)
    assert a.publish("new/1") == 0x87, "half a role"
    assert a.publish("devices/a/data") == 0, "the last good version of the role stays"
    not_taken(broker, "policy_parse_error", "guard:role:device", 1)
    redis("HSET", "guard:role:device", "bad", "allow publish x")
    becomes(a, "new/1", 0)
    assert a.publish("x") == 0


BAD = {"role": ("HSET", "guard:role:device", "r", "allow publish a/#/b"),
       "wrong type": [("DEL", "guard:role:device"), ("SET", "guard:role:device", "allow publish #")],
       "control character": ("HSET", "guard:role:device", "r", "allow publish a\nallow publish #"),
       "assignment": ("HSET", "guard:assign", "x", "w when"),
       "default": ("HSET", "guard:default", "mode", "of"),
       "client": ("HSET", "guard:client:a", "password", "not a hash"),
       "unknown field": ("HSET", "guard:client:a", "pasword", "x")}


@pytest.mark.parametrize("what", BAD)
def test_bad_keys_change_nothing(make_fleet, redis, what):
    broker, = make_fleet()
    a = broker.client("a", "a", "pw", version=V5).open()
    commands = BAD[what] if isinstance(BAD[what], list) else [BAD[what]]
    redis.multi(*commands)
    key = commands[-1][1]
    not_taken(broker, "policy_parse_error", key)
    assert a.connected and a.publish("devices/a/data") == 0 and a.publish("devices/b/data") == 0x87
    broker.client("a2", "a", "pw").open()
    redis("HSET", "guard:role:more", "r", "allow publish more/#")
    redis("HSET", "guard:client:b", "roles", "more")
    becomes(broker.client("b", "b", "pw", version=V5).open(), "more/1", 0)


# --- an emptied store

@pytest.mark.parametrize("how", ["FLUSHALL", "FLUSHDB", "DEL of each key"])
def test_emptied(make_fleet, redis, how):
    broker, = make_fleet()
    a = broker.client("a", "a", "pw", version=V5).open()
    redis(*([how] if "FLUSH" in how else ["DEL", *redis("KEYS", "*")]))
    not_taken(broker, "policy_rollback", "127.0.0.1")
    assert a.connected and a.publish("devices/a/data") == 0 and a.publish("devices/b/data") == 0x87
    broker.client("b", "b", "pw").open()
    redis.load(POLICY.replace("alarms/#", "alerts/#"))
    redis("SET", "guard:version", 2)
    becomes(a, "alerts/1", 0)


def test_emptied_and_written_by_hand(make_fleet, redis):
    """After a FLUSHALL the first HSET of an admin must not be taken for the whole new policy."""
    broker, = make_fleet()
    a = broker.client("a", "a", "pw", version=V5).open()
    redis("FLUSHALL")
    redis("HSET", "guard:role:device", "r", "allow publish other/#")
    time.sleep(0.3)
    assert a.connected and a.publish("devices/a/data") == 0


def test_wrong_database(make_fleet, redis, make_broker):
    """SIGHUP cannot change it, a restart with a snapshot can: the other database is empty, the snapshot's policy stays."""
    broker, = make_fleet(snapshot_file=str(redis.folder / "snapshot"))
    wait_until((redis.folder / "snapshot").exists, 5, "the snapshot")
    broker.stop()
    broker.options["redis_url"] = f"{redis.url}/3"
    broker.start()
    not_taken(broker, "policy_rollback", "is another store")
    assert broker.client("a", "a", "pw", version=V5).open().publish("devices/a/data") == 0


def test_version_goes_backwards(make_fleet, redis):
    """Somebody restores an old backup: not taken until its version is newer, or an admin says so."""
    broker, = make_fleet()
    a = broker.client("a", "a", "pw", version=V5).open()
    redis.multi(("HSET", "guard:role:device", "n", "allow publish n"), ("SET", "guard:version", "7"))
    becomes(a, "n", 0)
    redis.multi(("HDEL", "guard:role:device", "n"), ("SET", "guard:version", "5"))
    not_taken(broker, "policy_rollback", "backwards")
    assert a.publish("n") == 0
    redis("SET", "guard:ban:user:b", "a ban bites all the same")
    time.sleep(0.2)
    assert broker.client("b", "b", "pw").connect() == 5
    redis("SET", "guard:version", "8")
    becomes(a, "n", 0x87)


def test_empty_replica(make_fleet, make_redis, redis, make_proxy):
    """A fail-over to a replica that has nothing: the proxy stands for the address that moves."""
    proxy, empty = make_proxy(redis), make_redis()
    broker, = make_fleet(redis_url=proxy.url)
    a = broker.client("a", "a", "pw", version=V5).open()
    proxy.to_port = empty.port
    proxy.cut()
    not_taken(broker, "policy_rollback", "")
    assert a.publish("devices/a/data") == 0
    proxy.to_port = redis.port
    proxy.cut()
    redis("HSET", "guard:role:device", "n", "allow publish n")
    becomes(a, "n", 0, 5)


# --- starting without Redis

@pytest.mark.memory
def test_snapshot(make_fleet, redis):
    """A broker that starts without Redis uses the policy it had; the trail says how old that is."""
    snapshot = redis.folder / "snapshot"
    broker, = make_fleet(snapshot_file=str(snapshot))
    redis.multi(("HSET", "guard:role:device", "n", "allow publish n"), ("SET", "guard:ban:user:b", "x"),
                ("INCR", "guard:version"))
    broker.trail.wait("policy-reload", event__outcome="success", rule__version="2")
    broker.stop()
    assert snapshot.stat().st_mode & 0o777 == 0o600
    redis.stop()
    time.sleep(1.1)
    broker.start()
    a = broker.client("a", "a", "pw", version=V5).open()
    assert a.publish("n") == 0 and a.publish("m") == 0x87
    assert broker.client("b", "b", "pw").connect() == 5, "bans are in it too"
    started = broker.trail.wait("policy-reload", 2, event__outcome="success", mosquitto__policy__trigger="startup",
                                rule__version=lambda v: v in ("1", "2"))[-1]
    assert started["rule"]["version"] == "2" and started["mosquitto"]["policy"]["source"] == "redis"
    down = broker.trail.one("store-down", error__message=lambda m: m and "snapshot" in m)
    assert down["event"]["reason"] == "store_refused" and down["mosquitto"]["store"]["fail_mode"] == "cache"
    assert "is from the snapshot" in broker.log() and "saved" in broker.log()


@pytest.mark.parametrize("damage", ["bit", "half", "empty", "mode", "other prefix"])
def test_damaged_snapshot(make_fleet, redis, damage):
    snapshot = redis.folder / "snapshot"
    broker, = make_fleet(snapshot_file=str(snapshot))
    wait_until(snapshot.exists, 5, "the snapshot")
    broker.stop()
    redis.stop()
    octets = bytearray(snapshot.read_bytes())
    if damage == "bit":
        octets[len(octets) // 2] ^= 4
    snapshot.write_bytes({"half": octets[:len(octets) // 2], "empty": b""}.get(damage, octets))
    if damage == "mode":
        snapshot.chmod(0o666)
    if damage == "other prefix":
        broker.options["redis_prefix"] = "other:"
    broker.start()
    assert broker.client("a", "a", "pw").connect() == 5
    event = not_taken(broker, "policy_read_error", str(snapshot))[0]
    assert event["mosquitto"]["policy"]["trigger"] == "startup"
    assert str(snapshot) in broker.log()
    if damage == "other prefix":
        broker.stop()
        return
    redis.start()
    redis.load(POLICY)
    wait_until(lambda: broker.client("a", "a", "pw").connect() == 0, 8, "the policy to come")


def test_no_redis_and_no_snapshot(make_broker, redis):
    """Everything is denied, with the reason; and as soon as Redis is there, all is well."""
    redis.stop()
    broker = make_broker(None, options=options(redis))
    a = broker.client("a", "a", "pw")
    assert a.connect() == 5
    assert broker.trail.one("mqtt-connect")["event"]["reason"] == "policy_unavailable"
    down = broker.trail.one("store-down")
    assert (down["event"]["reason"], down["mosquitto"]["store"]["fail_mode"]) == ("store_refused", "deny")
    redis.start()
    redis.load(POLICY)
    wait_until(lambda: a.connect() == 0, 8, "the policy to come")
    broker.trail.one("store-up")
    broker.trail.one("store-down")


def test_an_empty_redis_denies(make_broker, redis):
    """The first policy ever is empty: that opens nothing, and the first HSETs count."""
    broker = make_broker(None, options=options(redis))
    broker.trail.wait("policy-reload", event__outcome="success", mosquitto__policy__source="redis")
    assert broker.client("a", "a", "pw").connect() == 5
    redis.load(POLICY)
    wait_until(lambda: broker.client("a", "a", "pw").connect() == 0, LIVE, "the policy to come")


@pytest.mark.timing
@pytest.mark.parametrize("action", ["deny", "keep"])
def test_max_stale(make_fleet, redis, action):
    broker, = make_fleet(max_stale="2", max_stale_action=action)
    a = broker.client("a", "a", "pw", version=V5).open()
    redis.hang()
    time.sleep(1)
    assert a.publish("devices/a/data") == 0
    not_taken(broker, "policy_read_error", "max_stale")
    if action == "keep":
        time.sleep(1)
        assert a.publish("devices/a/data") == 0
        redis.go_on()
    else:
        becomes(a, "devices/a/data", 0x87)
        assert broker.client("b", "b", "pw").connect() == 5
        broker.trail.one("mqtt-connect", event__reason="policy_unavailable")
        redis.go_on()
        becomes(a, "devices/a/data", 0, 10)
    broker.trail.one("store-down", event__reason="store_timeout")
    broker.trail.one("store-up")


def test_max_stale_of_a_snapshot(make_fleet, redis):
    """The age counts from when Redis last confirmed the policy, not from the start of the broker."""
    snapshot = redis.folder / "snapshot"
    broker, = make_fleet(snapshot_file=str(snapshot), max_stale="2", max_stale_action="deny")
    wait_until(snapshot.exists, 5, "the snapshot")
    broker.stop()
    redis.stop()
    time.sleep(3.2)
    broker.start()
    wait_until(lambda: "max_stale" in broker.log(), 3, "the alarm")
    assert broker.client("a", "a", "pw").connect() == 5
    broker.trail.one("mqtt-connect", event__reason="policy_unavailable")


# --- the file and Redis together

FILE = users("admin", "a", roles={"admin": "w"}) + """\
[role w]
w = allow publish #
[role fixed]
f = allow publish fixed/${username}
[default]
roles = fixed
"""


@pytest.fixture
def both(make_broker, redis):
    redis.load(users("a", "b", roles={"b": "more"}).replace("[client a]\n", "[client a]\ndisabled = yes\n") + """\
[role fixed]
f = allow publish #
[role more]
m = allow publish more/#
[default]
roles = more
mode = off
""")
    broker = make_broker(FILE, options={"redis_url": redis.url})
    broker.trail.wait("policy-reload", event__outcome="success", mosquitto__policy__source="redis")
    return broker


def test_file_is_fixed_and_redis_adds(both, redis):
    a, b = both.client("a", "a", "pw", version=V5).open(), both.client("b", "b", "pw", version=V5).open()
    assert a.publish("fixed/a") == 0, "the record of the file counts, not the one that disables it in Redis"
    assert a.publish("other") == 0x87, "the role of the file counts, not the one of that name in Redis"
    assert a.publish("more/1") == 0x87, "the default roles are the file's"
    assert b.publish("more/1") == 0 and b.publish("fixed/b") == 0, "a client and a role that only Redis has"
    redis.cli("HSET", "guard:role:fixed", "g", "allow publish gift/#")
    redis.cli("HSET", "guard:client:admin", "disabled", "yes")
    redis.cli("HSET", "guard:role:more", "n", "allow publish more2/#")
    becomes(b, "more2/1", 0)
    assert b.publish("gift/1") == 0x87
    both.client("admin", "admin", "pw").open()
    assert "the policy file fixes it" in both.log()


def test_the_file_works_without_redis(make_broker, redis):
    redis.stop()
    broker = make_broker(FILE, options={"redis_url": redis.url})
    assert broker.client("a", "a", "pw", version=V5).open().publish("fixed/a") == 0
    assert broker.trail.one("store-down")["mosquitto"]["store"]["fail_mode"] == "cache"


@pytest.mark.memory
def test_reload_of_the_file_beside_redis(both, redis):
    a, b = both.client("a", "a", "pw", version=V5).open(), both.client("b", "b", "pw", version=V5).open()
    first = both.trail.one("policy-reload", mosquitto__policy__source="redis")["rule"]["version"]
    both.hang_up(FILE.replace("fixed/${username}", "changed/${username}"))
    becomes(a, "changed/a", 0)
    assert a.publish("fixed/a") == 0x87
    assert b.publish("more/1") == 0, "what Redis added is still there"
    second = both.trail.one("policy-reload", mosquitto__policy__trigger="sighup")["rule"]["version"]
    assert first.startswith("1/") and second.startswith("1/") and first != second
    redis("HSET", "guard:role:more", "n", "allow publish more2/#")
    becomes(b, "more2/1", 0)
    both.trail.one("policy-reload", rule__version=lambda v: v == second.replace("1/", "1+1/"))
    both.hang_up(FILE.replace("[role fixed]\nf = allow publish fixed/${username}\n", "").replace("roles = fixed\n", "roles = w\n"))
    becomes(b, "anything", 0)
    assert b.publish("more2/1") == 0
    both.hang_up(FILE.replace("[role w]", "[role more]"))
    becomes(b, "more2/1", 0)  # "more" is the file's now: allow publish #


def test_a_bad_file_beside_redis(both):
    """A bad line of the file's spoils the file, as without Redis; Redis' part goes on."""
    a, b = both.client("a", "a", "pw", version=V5).open(), both.client("b", "b", "pw", version=V5).open()
    both.hang_up(FILE.replace("allow publish #", "allow publish #/x").replace("fixed/", "changed/"))
    not_taken(both, "policy_parse_error", "policy.conf")
    assert a.publish("fixed/a") == 0 and b.publish("more/1") == 0


def test_a_bad_role_in_redis_beside_the_file(both, redis):
    a, b = both.client("a", "a", "pw", version=V5).open(), both.client("b", "b", "pw", version=V5).open()
    redis("HSET", "guard:role:more", "bad", "allow nothing")
    not_taken(both, "policy_parse_error", "guard:role:more")
    both.hang_up(FILE.replace("fixed/", "changed/"))
    becomes(a, "changed/a", 0)
    assert b.publish("more/1") == 0
