"""Everything Redis can do wrong: each is a closed reason and a retry, nothing of the policy is lost, and stopping stays quick."""
import random
import threading
import time

import pytest

from support.fake import Fake, well_behaved
from support.probe import lines_of
from support.servers import free_port, slow_factor

FAST = {"connect_timeout_ms": 500, "command_timeout_ms": 500}


@pytest.fixture
def followed(redis, make_probe):
    redis("HSET", "guard:role:device", "a", "allow publish x")
    probe = make_probe(redis.url, **FAST)
    probe.state(up=True)
    return redis, probe


def test_gone_and_back(followed):
    redis, probe = followed
    since = probe.mark()
    redis.stop()
    state = probe.state(up=False, since=since)
    assert state["reason"] in ("store_unavailable", "store_refused") and state["roles"] == 1
    probe.state(reason="store_refused", since=since)
    redis.start()
    redis("HSET", "guard:role:device", "a", "allow publish y")
    assert lines_of(probe.update(since=since, timeout=20), "device") == {"a": "allow publish y"}
    assert not probe.updates(since)[0]["full"], "only what differs is handed on"
    probe.state(up=True, since=since)


def test_hung(followed):
    redis, probe = followed
    since = probe.mark()
    redis.suspend()
    state = probe.state(up=False, since=since)
    assert state["reason"] == "store_timeout" and "500 ms" in state["text"]
    redis.resume()
    probe.state(up=True, since=since, timeout=20)


def test_missed_changes_are_read_after_the_reconnect(followed):
    redis, probe = followed
    since = probe.mark()
    redis("CLIENT", "KILL", "TYPE", "pubsub")
    redis("HSET", "guard:role:device", "a", "allow publish meanwhile")
    assert lines_of(probe.update(since=since), "device") == {"a": "allow publish meanwhile"}
    probe.wait(lambda e: e["event"] == "state" and e["syncs"] == 2, since=since)
    since = probe.mark()
    redis("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    probe.wait(lambda e: e["event"] == "state" and e["up"] and e["syncs"] == 3, since=since)
    redis("HSET", "guard:role:device", "a", "allow publish again")
    assert lines_of(probe.update(since=since), "device") == {"a": "allow publish again"}


def test_flapping(followed):
    redis, probe = followed
    for _ in range(6):
        redis("CLIENT", "KILL", "TYPE", "pubsub")
        time.sleep(random.uniform(0.05, 0.3))
    since = probe.mark()
    redis("HSET", "guard:role:device", "a", "allow publish settled")
    assert lines_of(probe.update(since=since, timeout=20), "device") == {"a": "allow publish settled"}
    assert all(not u["full"] for u in probe.updates()[1:])


def test_wrong_password(make_server, make_probe, tmp_path):
    server = make_server(requirepass="right")
    secret = tmp_path / "password"
    secret.write_text("wrong\n")
    secret.chmod(0o600)
    probe = make_probe(server.url, password_file=secret, **FAST)
    state = probe.state(up=False, reason="store_auth_failed")
    assert "wrong" not in state["text"].replace("WRONGPASS", "") or "wrong\n" not in state["text"]
    secret.write_text("right\n")  # read at each connect
    probe.state(up=True, timeout=20)


def test_no_password_where_one_is_needed(make_server, make_probe):
    server = make_server(requirepass="right")
    make_probe(server.url, **FAST).state(up=False, reason="store_auth_failed")


def test_too_few_rights(redis, make_probe, tmp_path):
    redis("ACL", "SETUSER", "weak", "on", ">secret", "~guard:*", "&*", "-@all", "+auth", "+ping", "+client", "+subscribe")
    secret = tmp_path / "password"
    secret.write_text("secret")
    secret.chmod(0o600)
    probe = make_probe(redis.url, username="weak", password_file=secret, **FAST)
    state = probe.state(up=False, reason="store_auth_failed")
    assert "NOPERM" in state["text"] and "scan" in state["text"].lower()


def test_nobody_listens(make_probe):
    probe = make_probe(f"redis://127.0.0.1:{free_port()}", **FAST)
    probe.state(up=False, reason="store_refused")


def test_name_that_does_not_exist(make_probe):
    make_probe("redis://no-such-host.invalid", **FAST).state(up=False, reason="store_dns_failed", timeout=20)


def test_maximum_of_clients(make_server, make_probe):
    server = make_server(maxclients=1)
    keep = server.connect()
    make_probe(server.url, **FAST).state(up=False, reason="store_refused")
    keep.close()


@pytest.mark.parametrize("error, reason", [
    ("-LOADING Redis is loading the dataset in memory", "store_loading"),
    ("-MISCONF Redis is configured to save RDB snapshots", "store_readonly"),
    ("-OOM command not allowed when used memory > 'maxmemory'", "store_readonly"),
    ("-READONLY You can't write against a read only replica.", "store_readonly"),
    ("-NOPERM this user has no permissions", "store_auth_failed"),
    ("-NOAUTH Authentication required.", "store_auth_failed"),
    ("-MASTERDOWN Link with MASTER is down", "store_unavailable"),
    ("-BUSY Redis is busy running a script", "store_unavailable"),
    ("-ERR something nobody has heard of\x1b[31m", "store_unavailable"),
])
@pytest.mark.parametrize("command", ["SCAN", "CLIENT TRACKING", "SUBSCRIBE"])
def test_rejecting(make_probe, error, reason, command):
    def answer(words):
        return error.encode() + b"\r\n" if " ".join(words).upper().startswith(command) else well_behaved(words)

    with Fake(answer) as fake:
        state = make_probe(fake.url, **FAST).state(up=False, reason=reason, since=1)
        assert error[1:20] in state["text"] and "\x1b" not in state["text"]


@pytest.mark.parametrize("garbage", [
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"\x00\x01\x02\x03" * 100,
    b"*-7\r\n",
    b"*1000000000\r\n",
    b"$999999999999999999999\r\n",
    b"$-5\r\nx",
    b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
    b":notanumber\r\n",
    b"+OK",
])
@pytest.mark.parametrize("command", ["CLIENT SETNAME", "ROLE", "SCAN", "PING"])
def test_garbage(make_probe, garbage, command):
    def answer(words):
        return garbage if " ".join(words).upper().startswith(command) else well_behaved(words)

    with Fake(answer) as fake:
        probe = make_probe(fake.url, **FAST)
        state = probe.state(up=False, since=1)
        assert state["reason"] in ("store_protocol_error", "store_timeout", "store_unavailable")
        probe.wait(lambda e: e["event"] == "state" and e["reconnects"] >= 1)


def test_answers_of_the_wrong_kind(make_probe):
    kinds = [b"+OK\r\n", b":1\r\n", b"$-1\r\n", b"*-1\r\n", b"*0\r\n", b"*2\r\n:1\r\n:2\r\n", b"$3\r\nabc\r\n",
             b"*2\r\n$1\r\n0\r\n$1\r\nx\r\n", b"*2\r\n*0\r\n*0\r\n"]
    choose = random.Random(5)

    def answer(words):
        return choose.choice(kinds) if choose.random() < 0.4 else well_behaved(words)

    with Fake(answer) as fake:
        probe = make_probe(fake.url, connect_timeout_ms=100, command_timeout_ms=100)
        probe.wait(lambda e: e["event"] == "state" and e["reconnects"] >= 5, timeout=60)


def test_silent_at_every_step(make_probe):
    """A server that accepts and then says nothing, at each command of the way up."""
    for command in ("CLIENT SETNAME", "ROLE", "CLIENT ID", "SUBSCRIBE", "CLIENT TRACKING", "SCAN", "PING"):
        with Fake(lambda words: None if " ".join(words).upper().startswith(command) else well_behaved(words)) as fake:
            probe = make_probe(fake.url, **FAST)
            probe.state(up=False, reason="store_timeout")
            assert probe.stop() < 1 * slow_factor(), command


def test_slow_on_every_reply(make_probe):
    with Fake(well_behaved, delay=0.2) as fake:
        probe = make_probe(fake.url, **FAST)
        probe.state(up=True, timeout=30)
        time.sleep(3)
        assert probe.last_state()["up"]


def test_closed_in_the_middle_of_a_reply(make_probe):
    server = None

    def answer(words):
        if words[0].upper() != "SCAN":
            return well_behaved(words)
        threading.Timer(0.1, lambda: [c.shutdown(2) for c in server.open]).start()
        return b"*2\r\n$1\r\n0\r\n*1000\r\n$12\r\nguard:role:a\r\n"

    with Fake(answer) as server:
        state = make_probe(server.url, **FAST).state(up=False, since=1)
        assert state["reason"] == "store_unavailable"


def test_lost_invalidations_are_noticed(make_probe):
    """A server that stops tracking (broken_redirect) is left and read anew."""
    broken = threading.Event()

    def answer(words):
        if broken.is_set() and " ".join(words).upper() == "CLIENT TRACKINGINFO":
            return b"*2\r\n$5\r\nflags\r\n*2\r\n$2\r\non\r\n$15\r\nbroken_redirect\r\n"
        return well_behaved(words)

    with Fake(answer) as fake:
        probe = make_probe(fake.url, **FAST)
        probe.state(up=True)
        since = probe.mark()
        broken.set()
        state = probe.state(up=False, since=since)
        assert "tracking" in state["text"]


def test_retries_slow_down(make_probe):
    with Fake(lambda words: b"-LOADING not yet\r\n") as fake:
        make_probe(fake.url, **FAST)
        time.sleep(4)
        assert 3 <= fake.connections <= 12, fake.connections


def test_stop_while_redis_hangs(followed):
    redis, probe = followed
    redis.suspend()
    time.sleep(1.2)  # somewhere in the check
    assert probe.stop() < 1 * slow_factor()
    redis.resume()
