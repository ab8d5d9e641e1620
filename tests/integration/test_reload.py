"""SIGHUP: a good policy is taken, a bad one is not, and no session is lost that may stay."""
import time
from pathlib import Path

import pytest

from support import passwords
from support.client import V5
from test_rules import EVERYONE, users

OLD = users("a", "b") + EVERYONE
WITHOUT_A = OLD[OLD.index("[client b]"):]
NEW = OLD.replace("alarms/#", "alerts/#")


@pytest.mark.memory
def test_good_policy_is_taken(make_broker, version):
    broker = make_broker(OLD)
    a = broker.client("a-id", "a", "pw", version=version).open()
    probe = broker.client("b-id", "b", "pw", version=V5).open()
    assert probe.publish("alerts/1") == 0x87
    broker.hang_up(NEW)
    assert probe.publish("alerts/1") == 0
    assert probe.publish("alarms/1") == 0x87
    assert a.connected and a.publish("devices/a/data") == 0, "the session survives the reload"
    start, reload = broker.trail.wait("policy-reload", 2, event__outcome="success")
    assert start["mosquitto"]["policy"]["trigger"] == "startup"
    assert reload["mosquitto"]["policy"]["trigger"] == "sighup"
    assert reload["mosquitto"]["policy"]["source"] == "file"
    assert reload["rule"]["version"] != start["rule"]["version"]
    assert reload["mosquitto"]["policy"]["sha256"] != start["mosquitto"]["policy"]["sha256"]


BAD_POLICIES = {
    "unknown effect": OLD.replace("allow publish alarms/#", "alow publish alarms/#"),
    "unknown action": OLD.replace("allow publish alarms/#", "allow publsh alarms/#"),
    "bad filter": OLD.replace("alarms/#", "alarms/#/more"),
    "unclosed placeholder": OLD.replace("${username}", "${username"),
    "unknown placeholder": OLD.replace("${username}", "${usrname}"),
    "unknown section": OLD + "[rolle x]\ny = allow publish z\n",
    "no section": "x = allow publish y\n" + OLD,
    "half a line": OLD + "[role half]\nrule",
    "empty file": "",
}


@pytest.mark.parametrize("what", BAD_POLICIES)
def test_bad_policy_is_not_taken(make_broker, what):
    broker = make_broker(OLD)
    a = broker.client("a-id", "a", "pw", version=V5).open()
    log = broker.hang_up(BAD_POLICIES[what])
    assert broker.running and a.connected
    assert a.publish("alarms/1") == 0, "the old policy stays"
    broker.client("b-id", "b", "pw").open()
    if what == "empty file":
        return_reason = broker.trail.one("policy-reload", event__outcome="failure")["event"]["reason"]
        assert return_reason.startswith("policy_")
        return
    event = broker.trail.one("policy-reload", event__outcome="failure")
    assert event["event"]["reason"] == "policy_parse_error"
    bad_line = next(n for n, (old, new) in enumerate(zip(OLD.splitlines() + [None] * 9, BAD_POLICIES[what].splitlines()), 1)
                    if old != new) if what != "half a line" else len(BAD_POLICIES[what].splitlines())
    place = f"policy.conf:{bad_line}"
    assert place in event["error"]["message"], event["error"]
    assert place in log, f"the log does not say where the error stands:\n{log}"


def test_missing_policy_file(make_broker):
    broker = make_broker(OLD)
    a = broker.client("a-id", "a", "pw", version=V5).open()
    broker.policy_file.unlink()
    broker.hang_up()
    assert a.publish("alarms/1") == 0
    assert broker.trail.one("policy-reload", event__outcome="failure")["event"]["reason"] == "policy_read_error"
    broker.hang_up(NEW)
    assert a.publish("alerts/1") == 0


def test_bad_then_good(make_broker):
    broker = make_broker(OLD)
    broker.hang_up(BAD_POLICIES["unknown action"])
    broker.hang_up(NEW)
    assert broker.client("a-id", "a", "pw", version=V5).open().publish("alerts/1") == 0


@pytest.mark.memory
def test_every_kind_of_session_survives(make_broker, issuer, pki, version):
    """The broker asks for every credential again at SIGHUP, and drops a session without a name unasked."""
    policy = OLD + "[role public]\nn = allow subscribe news\n[assign]\nguests = public when anonymous\n"
    broker = make_broker(policy, options=issuer.options(), listeners=("plain", "tls"), pki=pki)
    clients = [broker.client("c1", "a", "pw", version=version).open(),
               broker.client("c2", "t", issuer.token("t"), version=version).open(),
               broker.client("c3", version=version, listener="tls", certificate=pki.client("gate")).open(),
               broker.client("c4", version=version).open()]
    for _ in range(3):
        broker.hang_up()
    time.sleep(0.3)
    assert [c.connected for c in clients] == [True] * 4
    assert clients[1].publish("devices/t/data") == 0
    broker.trail.wait("mqtt-connect", 4)  # the broker's second question is not a second connect


def test_removed_user_is_thrown_out(make_broker):
    broker = make_broker(OLD)
    a, b = broker.client("a-id", "a", "pw").open(), broker.client("b-id", "b", "pw").open()
    broker.hang_up(WITHOUT_A)
    assert a.wait_gone(3) and b.connected
    assert broker.client("a-id", "a", "pw").connect() == 5


def test_changed_password_is_asked_again(make_broker):
    broker = make_broker(OLD)
    a = broker.client("a-id", "a", "pw").open()
    broker.hang_up(f"[client a]\npassword = {passwords.mosquitto_7('new')}\n{EVERYONE}")
    assert a.wait_gone(3), "logged in with a password that is no longer his"
    assert broker.client("a-id", "a", "pw").connect() == 5
    broker.client("a-id", "a", "new").open()


@pytest.mark.timing
def test_reload_does_not_hash_again(make_broker):
    """200 sessions with a slow hash: answering the broker's sweep by hashing would stall it for many seconds."""
    slow = passwords.mosquitto_7("pw", 200_000)  # about 0.1 s each
    broker = make_broker(f"[client a]\npassword = {slow}\n" + EVERYONE)
    clients = [broker.client(f"id-{n}", "a", "pw").open() for n in range(30)]
    before = broker.cpu_seconds()
    broker.hang_up()
    assert clients[-1].publish("devices/a/data") == 0
    assert broker.cpu_seconds() - before < 1.0, "the sweep hashed again"
    assert all(c.connected for c in clients)


@pytest.mark.memory
def test_offline_sessions_at_reload(make_broker):
    """Denying an absent session in the sweep is a use-after-free of the broker's in 2.0 (valgrind sees it in this test)."""
    broker = make_broker(OLD)
    a = broker.client("a-id", "a", "pw", version=V5, clean=False, expiry=2).open()
    a.subscribe("devices/a-id/commands")
    a.close()
    broker.hang_up(WITHOUT_A)
    broker.hang_up()
    time.sleep(2.5)
    assert broker.running
    broker.client("b-id", "b", "pw").open()


def test_many_reloads_under_load(make_broker):
    broker = make_broker(OLD)
    a = broker.client("a-id", "a", "pw", version=V5).open()
    for number in range(10):
        broker.write_policy(NEW if number % 2 else OLD)
        broker.process.send_signal(1)
        for _ in range(20):
            assert a.publish("devices/a/data") == 0
    assert a.connected


def test_config_file_is_read_again(make_broker, tmp_path):
    """Options in the file of plugin_opt_config follow a SIGHUP, as far as they may change at run time."""
    config = tmp_path / "guard.conf"
    config.write_text("# options\nidentity_check reject\n")
    broker = make_broker(OLD, options={"config": config})
    assert broker.client("x/y", "a", "pw").connect() == 5
    config.write_text("identity_check log\n")
    broker.hang_up()
    broker.client("x/y", "a", "pw").open()
    config.write_text("identity_chek log\n")
    log = broker.hang_up()
    assert "identity_chek" in log and "identity_check" in log
    assert broker.running
    broker.client("x/z", "a", "pw").open()


def test_no_thread_without_work(make_broker, broker_version, eventually):
    """Threads cost the broker the C library's locks: with a policy file alone there is none before there is work for one."""
    if broker_version >= (2, 1):
        pytest.skip("there passwords are verified by workers")
    broker = make_broker(OLD, options={"audit_dir": None})
    tasks = Path(f"/proc/{broker.process.pid}/task")
    a = broker.client("a-id", "a", "pw").open()
    a.publish("devices/a/data")
    assert len(list(tasks.iterdir())) == 1
    broker.hang_up(NEW)
    eventually(lambda: "guard-work" in [(t / "comm").read_text().strip() for t in tasks.iterdir()])
    assert broker.client("b-id", "b", "pw", version=V5).open().publish("alerts/1") == 0
