"""Where Redis can be: a socket, TLS, behind an ACL user, replicas, Sentinel, Cluster."""
import subprocess
import time

import pytest

from support.pki import Authority
from support.places import cluster_url, sentinel_url, start_cluster, start_pair, start_sentinels
from support.probe import PROBE, guardctl, lines_of, rules_of_the_manual
from support.servers import REDIS, wait_until

FAST = {"connect_timeout_ms": 1000, "command_timeout_ms": 1000}


def secret_file(tmp_path, text):
    path = tmp_path / "password"
    path.write_text(text + "\n")
    path.chmod(0o600)
    return path


def test_unix_socket(make_server, make_probe):
    server = make_server(unix=True)
    server("HSET", "guard:role:device", "a", "allow publish x")
    probe = make_probe(server.url)
    assert lines_of(probe.update(), "device")
    since = probe.mark()
    server("HSET", "guard:role:device", "a", "allow publish y")
    probe.update(since=since)
    assert "version 0" in guardctl("status", url=server.url)


# ---- TLS

@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "ca")


def test_tls_with_client_certificate(make_server, make_probe, authority):
    server = make_server(tls={**authority.issue("redis"), "clients": "yes"})
    server("HSET", "guard:role:device", "a", "allow publish x")
    client = authority.issue("broker")
    options = {"tls_ca": client["ca"], "tls_cert": client["cert"], "tls_key": client["key"]}
    probe = make_probe(server.url, **options, **FAST)
    assert lines_of(probe.update(), "device")
    since = probe.mark()
    server("HSET", "guard:role:device", "a", "allow publish " + "x" * 200000)  # more than one TLS record
    assert len(lines_of(probe.update(since=since), "device")["a"]) > 200000
    arguments = ["--redis-tls-ca", client["ca"], "--redis-tls-cert", client["cert"], "--redis-tls-key", client["key"]]
    assert "1  device" in guardctl("role", "list", *arguments, url=server.url)


@pytest.mark.parametrize("case", ["other ca", "other host", "no client certificate", "plain server", "plain client"])
def test_tls_refused(make_server, make_probe, authority, tmp_path, case):
    tls = {**authority.issue("redis", address="127.0.0.2" if case == "other host" else "127.0.0.1",
                             host="elsewhere"), "clients": "yes" if case == "no client certificate" else "no"}
    server = make_server(tls=None if case == "plain server" else tls, start=case != "other host")
    if case == "other host":  # the test's own client looks at the name as well
        (server.folder / "redis.conf").write_text(server.config())
        server.process = subprocess.Popen([REDIS, str(server.folder / "redis.conf")])
        time.sleep(0.5)
    other = Authority(tmp_path / "other")
    url = f"redis{'' if case == 'plain client' else 's'}://127.0.0.1:{server.port}"
    probe = make_probe(url, tls_ca=other.ca if case == "other ca" else authority.ca, **FAST)
    state = probe.state(up=False, since=1)
    if case == "plain client":
        assert state["reason"] in ("store_unavailable", "store_protocol_error")
    elif case == "no client certificate":  # with TLS 1.3 the server says so only after the handshake
        assert state["reason"] in ("store_tls_failed", "store_unavailable")
    elif case == "plain server":  # which waits for the end of what it takes for a command
        assert state["reason"] in ("store_timeout", "store_tls_failed")
    else:
        assert state["reason"] == "store_tls_failed", state
    assert not probe.updates()


def test_tls_files_are_checked_at_the_start(authority, tmp_path):
    client = authority.issue("broker")
    for options, says in [({"tls_ca": tmp_path / "none"}, "none"),
                          ({"tls_cert": client["cert"]}, "without redis_tls_key"),
                          ({"tls_cert": client["cert"], "tls_key": authority.issue("x")["key"]}, "does not belong")]:
        arguments = [f"{name}={value}" for name, value in options.items()]
        done = subprocess.run([PROBE, "url=rediss://127.0.0.1:1", *arguments], capture_output=True, text=True, input="")
        assert done.returncode == 1 and says in done.stderr
    client["key"].chmod(0o644)
    done = subprocess.run([PROBE, "url=rediss://127.0.0.1:1", f"tls_cert={client['cert']}", f"tls_key={client['key']}"],
                          capture_output=True, text=True, input="")
    assert done.returncode == 1 and "0640 or 0600" in done.stderr


# ---- the least-privilege user, exactly as the manual has it

def test_least_privilege_user_of_the_manual(redis, make_probe, tmp_path):
    words = rules_of_the_manual("broker1")
    redis(*[w.replace("SECRET", "geheim") for w in words])
    redis("HSET", "guard:role:device", "a", "allow publish x")
    redis("SET", "guard:ban:ip:10.0.0.1", "x")
    probe = make_probe(redis.url, username="broker1", password_file=secret_file(tmp_path, "geheim"), broker_id="broker1")
    probe.state(up=True)
    assert probe.updates()[0]["revocations"] == 1
    since = probe.mark()
    redis("HSET", "guard:role:device", "b", "allow publish y")
    probe.update(since=since)
    wait_until(lambda: redis("EXISTS", "guard:status:broker1"))
    time.sleep(1.5)  # the check that comes every second
    assert probe.last_state()["up"] and not [e for e in probe.events if e["event"] == "problem"]
    limited = redis.connect()
    limited("AUTH", "broker1", "geheim")
    for command in [("SET", "guard:role:x", "1"), ("HSET", "guard:role:device", "a", "allow publish **"), ("FLUSHALL",),
                    ("GET", "other"), ("SET", "guard:status:broker2", "x"), ("KEYS", "*"), ("CONFIG", "GET", "*"),
                    ("DEL", "guard:role:device"), ("PUBLISH", "__redis__:invalidate", "x")]:
        with pytest.raises(Exception, match="NOPERM"):
            limited(*command)


def test_user_of_the_design_without_status(redis, make_probe, tmp_path):
    """Only what the design grants, and +scan: everything works but the status, which is said once."""
    redis("ACL", "SETUSER", "plain", "on", ">geheim", "resetkeys", "%R~guard:*", "resetchannels", "&__redis__:invalidate", "-@all",
          *("+auth +hello +ping +client|id +client|setname +client|tracking +client|trackinginfo +get +mget +hgetall +hscan "
            "+smembers +scard +exists +type +subscribe +unsubscribe +multi +exec +discard +xread +xrange +role +scan").split())
    redis("HSET", "guard:role:device", "a", "allow publish x")
    probe = make_probe(redis.url, username="plain", password_file=secret_file(tmp_path, "geheim"), broker_id="b")
    probe.state(up=True)
    probe.problem("does not take this broker's status")
    since = probe.mark()
    redis("HSET", "guard:role:device", "b", "allow publish y")
    probe.update(since=since)
    time.sleep(1.5)
    assert probe.last_state()["up"]
    assert len([e for e in probe.events if e["event"] == "problem"]) == 1


# ---- replicas and Sentinel

@pytest.fixture
def pair(make_server):
    return start_pair(make_server)


def test_replica_may_be_read(pair, make_probe):
    master, replica = pair
    probe = make_probe(replica.url, **FAST)
    probe.state(up=True)
    since = probe.mark()
    master("HSET", "guard:role:device", "a", "allow publish x")
    assert lines_of(probe.update(since=since), "device")


def test_replica_without_its_master_is_an_alarm(pair, make_probe):
    master, replica = pair
    master("HSET", "guard:role:device", "a", "allow publish x")
    probe = make_probe(replica.url, **FAST)
    probe.state(up=True, roles=1)
    since = probe.mark()
    master.stop()
    state = probe.state(up=False, since=since)
    assert "replica" in state["text"] and state["roles"] == 1
    time.sleep(1)
    assert not probe.updates(since)


@pytest.fixture
def guarded(pair):
    """The pair with three Sentinels."""
    sentinels = start_sentinels(pair[0])
    yield *pair, sentinels
    for sentinel in sentinels:
        sentinel.stop()


@pytest.mark.slow
def test_sentinel_failover(guarded, make_probe):
    master, replica, sentinels = guarded
    master("HSET", "guard:role:device", "a", "allow publish x")
    probe = make_probe(sentinel_url(sentinels), **FAST)
    state = probe.state(up=True)
    assert state["server"].endswith(f":{master.port}")
    wait_until(lambda: replica("EXISTS", "guard:role:device"))
    since = probe.mark()
    master.stop()
    state = probe.state(up=True, since=since, timeout=40)
    assert state["server"].endswith(f":{replica.port}")
    since = probe.mark()
    replica("HSET", "guard:role:device", "a", "allow publish y")
    assert lines_of(probe.update(since=since), "device") == {"a": "allow publish y"}
    assert "holds version" in guardctl("status", url=sentinel_url(sentinels))


@pytest.mark.slow
def test_sentinel_switches_while_the_old_master_still_answers(guarded, make_probe):
    master, replica, sentinels = guarded
    probe = make_probe(sentinel_url(sentinels), **FAST)
    probe.state(up=True)
    since = probe.mark()
    sentinels[0]("SENTINEL", "FAILOVER", "fleet")
    state = probe.wait(lambda e: e["event"] == "state" and e["up"] and e["server"].endswith(f":{replica.port}"), since=since,
                       timeout=40)
    assert state["reconnects"] >= 1


def test_sentinel_that_knows_no_such_master(guarded, make_probe):
    _, _, sentinels = guarded
    url = sentinel_url(sentinels).replace("/fleet", "/other")
    state = make_probe(url, **FAST).state(up=False, since=1)
    assert "other" in state["text"]


def test_first_sentinel_is_away(guarded, make_probe):
    _, _, sentinels = guarded
    sentinels[0].stop()
    make_probe(sentinel_url(sentinels), **FAST).state(up=True, timeout=20)


# ---- Cluster

@pytest.fixture
def cluster(make_server):
    return start_cluster(make_server)


def test_cluster(cluster, make_probe, tmp_path):
    nodes, owner, _ = cluster
    url = cluster_url(nodes[:3])
    probe = make_probe(url, prefix="{guard}:", broker_id="b", **FAST)
    assert probe.state(up=True)["server"].endswith(f":{owner.port}")
    since = probe.mark()
    owner("HSET", "{guard}:role:device", "a", "allow publish x")
    assert lines_of(probe.update(since=since), "device")
    policy = tmp_path / "policy.conf"
    policy.write_text("".join(f"[role r{i}]\na = allow publish x/{i}\n" for i in range(300)))  # staged and renamed
    since = probe.mark()
    guardctl("push", policy, "--redis-prefix", "{guard}:", url=url)
    update = probe.update(since=since)
    assert update["section_count"] == 301 and update["version"] == 1


@pytest.mark.slow
def test_cluster_failover(cluster, make_probe):
    nodes, owner, replica = cluster
    owner("HSET", "{guard}:role:device", "a", "allow publish x")
    wait_until(lambda: "{guard}:role:device" in replica("KEYS", "*"))
    probe = make_probe(cluster_url([owner]), prefix="{guard}:", **FAST)
    probe.state(up=True)
    since = probe.mark()
    owner.stop()  # the only node of the URL: the others were learnt
    state = probe.state(up=True, since=since, timeout=40)
    assert state["server"].endswith(f":{replica.port}")
    since = probe.mark()
    replica("HSET", "{guard}:role:device", "a", "allow publish y")
    probe.update(since=since)


def test_cluster_prefix_needs_a_hash_tag():
    done = subprocess.run([PROBE, "url=redis+cluster://127.0.0.1:1", "prefix=guard:"], capture_output=True, text=True, input="")
    assert done.returncode == 1 and "{guard}:" in done.stderr
    code, _, error = guardctl("status", url="redis+cluster://127.0.0.1:1", code=None)
    assert code == 2 and "{guard}:" in error


@pytest.mark.parametrize("options, says", [
    (["url=http://x"], "scheme is not known"),
    (["url=redis://:secret@host"], "redis_password_file"),
    (["url=redis://x", "username=u"], "needs redis_password_file"),
    (["url=redis://x", "prefix=a b:"], "white space"),
    (["url=redis://x", "prefix=" + "x" * 200], "longer than"),
])
def test_bad_configuration(options, says):
    done = subprocess.run([PROBE, *options], capture_output=True, text=True, input="")
    assert done.returncode == 1 and says in done.stderr and "secret@" not in done.stderr
