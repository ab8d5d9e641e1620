"""A whole broker with its policy behind a socket, TLS, an ACL user, Sentinel and Cluster: edits, kicks, and a server that goes."""
import importlib.util
import sys
import time

import pytest

from support.broker import SLOWNESS, TOP
from support.client import V5
from support.redis import policy_commands
from test_redis import LIVE, POLICY, becomes, options

FAST = {"redis_connect_timeout": "1000", "redis_command_timeout": "1000"}
FAIL_OVER = 40 * SLOWNESS  # seconds: Sentinel's and Cluster's own elections are the most of it


def borrowed(name):
    """A module of tests/redis/support, which starts servers of every kind; both folders call their package "support"."""
    package = "redis_support"
    if package not in sys.modules:
        folder = TOP / "tests/redis/support"
        spec = importlib.util.spec_from_file_location(package, folder / "__init__.py", submodule_search_locations=[str(folder)])
        sys.modules[package] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[package])
    return importlib.import_module(f"{package}.{name}")


places, servers, pki = borrowed("places"), borrowed("servers"), borrowed("pki")
rules_of_the_manual = borrowed("probe").rules_of_the_manual


@pytest.fixture
def make_server(tmp_path):
    started = []

    def make(**named):
        started.append(servers.Server(tmp_path / f"server{len(started) + 1}", **named))
        return started[-1].start()

    yield make
    for server in started:
        server.stop()


@pytest.fixture
def guarded_by(make_broker):
    """guarded_by(server, url=…, prefix=…, **options): a broker that has taken POLICY from server."""
    def make(server, url=None, prefix="guard:", **more):
        for command in policy_commands(POLICY, prefix):
            server(*command)
        broker = make_broker(None, options=options(server, redis_url=url or server.url, redis_prefix=prefix, **FAST, **more))
        broker.trail.wait("policy-reload", event__outcome="success", mosquitto__policy__source="redis")
        return broker
    return make


def edits_and_bans_are_live(broker, server, prefix="guard:"):
    """A rule comes and goes by hand, and a ban ends a session; the other session feels nothing of it."""
    a, b = broker.client("a-id", "a", "pw", version=V5).open(), broker.client("b-id", "b", "pw", version=V5).open()
    assert a.publish("news/1") == 0x87
    server("HSET", f"{prefix}role:device", "news", "allow publish news/#")
    becomes(a, "news/1", 0)
    server("HDEL", f"{prefix}role:device", "news")
    becomes(a, "news/1", 0x87)
    server("SET", f"{prefix}ban:client:a-id", "test", "EX", 60)
    assert a.wait_gone(LIVE)
    assert b.connected and b.publish("devices/b/data") == 0
    server("DEL", f"{prefix}ban:client:a-id")
    b.close()


def outage_changes_nothing(broker, end, seconds=1.0):
    """Runs end() and asks the broker all the while: every publish is answered as before. Returns the session that asked."""
    client = broker.client("steady", "b", "pw", version=V5).open()
    end()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert client.publish("devices/b/data") == 0 and client.publish("alarms-not/1") == 0x87
        time.sleep(0.02)
    return client


def test_unix_socket(make_server, guarded_by):
    server = make_server(unix=True)
    edits_and_bans_are_live(guarded_by(server), server)


def test_tls_with_client_certificate(make_server, guarded_by, tmp_path):
    authority = pki.Authority(tmp_path / "ca")
    server = make_server(tls={**authority.issue("redis"), "clients": "yes"})
    mine = authority.issue("broker")
    broker = guarded_by(server, redis_tls_ca=mine["ca"], redis_tls_cert=mine["cert"], redis_tls_key=mine["key"])
    edits_and_bans_are_live(broker, server)
    steady = outage_changes_nothing(broker, server.stop)
    broker.trail.wait("store-down")
    server.start()  # empty: the last good policy stays, and the alarm is told
    for command in policy_commands(POLICY + "[role late]\nx = allow publish late/#\n"):
        server(*command)
    server("HSET", "guard:role:device", "news", "allow publish news/#")
    becomes(steady, "news/1", 0, 20 * SLOWNESS)
    broker.trail.wait("store-up")


@pytest.mark.parametrize("case", ["another authority", "no certificate of ours"])
def test_tls_that_does_not_fit(make_server, make_broker, tmp_path, case):
    """The broker runs and refuses everybody, and the trail says why the policy could not be had."""
    authority = pki.Authority(tmp_path / "ca")
    server = make_server(tls={**authority.issue("redis"), "clients": "yes"})
    for command in policy_commands(POLICY):
        server(*command)
    mine = authority.issue("broker")
    more = {"redis_tls_ca": pki.Authority(tmp_path / "other").ca, "redis_tls_cert": mine["cert"], "redis_tls_key": mine["key"]}
    if case == "no certificate of ours":
        more = {"redis_tls_ca": mine["ca"]}
    broker = make_broker(None, options=options(server, **FAST, **more))
    event = broker.trail.wait("store-down")[0]
    assert event["event"]["reason"] in ("store_tls_failed", "store_refused", "store_unavailable")  # TLS 1.3 tells late
    assert broker.client("a", "a", "pw").connect() == 5


def test_the_user_of_the_manual_over_tls(make_server, guarded_by, tmp_path):
    authority = pki.Authority(tmp_path / "ca")
    server = make_server(tls={**authority.issue("redis"), "clients": "no"})
    server(*[word.replace("SECRET", "geheim") for word in rules_of_the_manual("broker1")])
    secret = tmp_path / "secret"
    secret.write_text("geheim\n")
    secret.chmod(0o600)
    broker = guarded_by(server, broker_id="broker1", redis_username="broker1", redis_password_file=secret, redis_tls_ca=authority.ca)
    edits_and_bans_are_live(broker, server)
    assert not broker.trail.events("store-down")


@pytest.mark.slow
def test_sentinel(make_server, guarded_by):
    """The master dies under load: no client notices, and the next edit and the next ban go to the replica that took over."""
    master, replica = places.start_pair(make_server)
    sentinels = places.start_sentinels(master)
    try:
        broker = guarded_by(master, url=places.sentinel_url(sentinels))
        edits_and_bans_are_live(broker, master)
        servers.wait_until(lambda: replica("EXISTS", "guard:client:a"))
        steady = outage_changes_nothing(broker, master.stop, 3.0)
        servers.wait_until(lambda: servers.role_of(replica)[0] == "master", FAIL_OVER)
        replica("HSET", "guard:role:device", "news", "allow publish news/#")
        becomes(steady, "news/1", 0, FAIL_OVER)
        replica("HDEL", "guard:role:device", "news")
        becomes(steady, "news/1", 0x87)
        edits_and_bans_are_live(broker, replica)
        assert steady.connected
    finally:
        for sentinel in sentinels:
            sentinel.stop()


@pytest.mark.slow
def test_cluster(make_server, guarded_by):
    """The node that has the keys dies under load: its replica takes over, the broker finds it, no client notices."""
    nodes, owner, replica = places.start_cluster(make_server)
    broker = guarded_by(owner, url=places.cluster_url(nodes[:3]), prefix=places.PREFIX)
    edits_and_bans_are_live(broker, owner, places.PREFIX)
    servers.wait_until(lambda: f"{places.PREFIX}client:a" in replica("KEYS", "*"))
    steady = outage_changes_nothing(broker, owner.stop, 3.0)
    servers.wait_until(lambda: servers.role_of(replica)[0] == "master", FAIL_OVER)
    replica("HSET", f"{places.PREFIX}role:device", "news", "allow publish news/#")
    becomes(steady, "news/1", 0, FAIL_OVER)
    replica("HDEL", f"{places.PREFIX}role:device", "news")
    becomes(steady, "news/1", 0x87)
    edits_and_bans_are_live(broker, replica, places.PREFIX)
    assert steady.connected
