"""The file for Prometheus: its form, and that its numbers are those of the audit trail."""
import re
import shutil
import subprocess

import pytest

from support.broker import TOP, BrokerFailed
from support.client import V5
from support.prometheus import Figures
from test_audit import POLICY

CLIENT_WORDS = ("a-id", "w-id", "devices/", "127.0.0.1", "somebody")


@pytest.fixture
def measured(make_broker, tmp_path, eventually):
    """measured(**as make_broker): (broker, read), where read() waits for a file that is newer than the call."""
    def make(policy=POLICY, options=None, **named):
        path = tmp_path / "guard.prom"
        broker = make_broker(policy, options={"metrics_file": path, "metrics_interval": 1, **(options or {})}, **named)

        def read():
            for _ in range(2):  # the first new one may have been under way
                before = path.stat().st_mtime_ns if path.exists() else 0
                eventually(lambda: path.exists() and path.stat().st_mtime_ns > before, 10, "new metrics")
            return Figures(path.read_text())
        broker.metrics_file = path
        return broker, read
    return make


def trail_counts(broker):
    """{(action, outcome): number} of the trail, and {(method, outcome, reason): number} of its connects."""
    counts, attempts = {}, {}
    for event in broker.trail.events():
        outcome = event["event"].get("outcome", "")
        counts[event["event"]["action"], outcome] = counts.get((event["event"]["action"], outcome), 0) + 1
        if event["event"]["action"] == "mqtt-connect":
            key = event["mqtt"]["auth"]["method"], outcome, event["event"].get("reason", "")
            attempts[key] = attempts.get(key, 0) + 1
    return counts, attempts


@pytest.mark.memory
def test_the_figures_are_those_of_the_trail(measured, version):
    broker, read = measured()
    broker.client("x", "a", "wrong", version=version).connect()
    broker.client("x", "somebody", "wrong", version=version).connect()
    broker.client("x", version=version).connect()
    a = broker.client("a-id", "a", "pw", version=version).open()
    w = broker.client("w-id", "w", "pw", version=version).open()
    a.subscribe("devices/a-id/commands")
    a.subscribe("devices/b/commands")
    for topic in ("devices/a/data", "devices/a/data", "devices/b/data"):
        a.publish(topic, qos=1)
    w.publish("devices/a-id/commands", b"12345")
    a.receive()
    a.unsubscribe("devices/a-id/commands")
    w.close()
    broker.trail.one("mqtt-disconnect")
    figures = read()
    counts, attempts = trail_counts(broker)
    told = {(m["method"], m["outcome"], m["reason"]): value for (name, labels), value in figures.samples.items()
            if name == "mosquitto_auth_attempts_total" and value for m in [dict(labels)]}
    assert told == attempts and sum(attempts.values()) == 5
    for access, action in (("publish", "mqtt-publish"), ("subscribe", "mqtt-subscribe"), ("unsubscribe", "mqtt-unsubscribe")):
        for outcome, name in (("success", "allowed"), ("failure", "denied")):
            number = counts.get((action, outcome), 0)
            assert figures("mosquitto_acl_checks_total", access=access, outcome=name) == number
            assert figures("mosquitto_audit_events_total", action=action, outcome=outcome) == number
    assert figures("mosquitto_acl_checks_total", access="deliver", outcome="allowed") == 1
    assert figures("mosquitto_auth_sessions", method="password") == 1
    assert figures.total("mosquitto_auth_sessions") == 1
    assert figures("mosquitto_policy_reloads_total", outcome="success") == counts["policy-reload", "success"]
    assert figures.total("mosquitto_audit_events_lost_total") == 0
    assert figures("mosquitto_audit_sink_up", sink="file") == 1
    assert figures.total("mosquitto_auth_duration_seconds_count") == 5


def test_names_of_clients_are_nowhere(measured):
    broker, read = measured()
    a = broker.client("a-id", "a", "pw", version=V5).open()
    a.publish("devices/a/data")
    broker.client("a-id", "somebody", "x").connect()
    read()
    text = broker.metrics_file.read_text()
    assert not [word for word in CLIENT_WORDS if word in text]


def test_reloads_and_sessions(measured):
    broker, read = measured()
    clients = [broker.client(f"c{n}", "a", "pw").open() for n in range(5)]
    before = read()
    assert before.total("mosquitto_auth_sessions") == 5
    assert before("mosquitto_policy_rules") == len(re.findall(r"= (?:allow|deny)", POLICY))
    broker.client("c0", "a", "pw").open()  # takes over
    for client in clients[1:]:
        client.close()
    broker.hang_up("[role")
    broker.hang_up(POLICY)
    after = read()
    assert after.total("mosquitto_auth_sessions") == 1
    assert after("mosquitto_policy_reloads_total", outcome="failure") == 1
    assert after("mosquitto_policy_reloads_total", outcome="success") == 2
    assert after("mosquitto_policy_reload_success_timestamp_seconds") > 1.7e9


def test_kicks(measured):
    broker, read = measured()
    broker.client("a-id", "a", "pw").open()
    broker.hang_up(POLICY.replace("[client a]", "[client other]"))
    broker.trail.one("mqtt-disconnect")
    assert read().total("mosquitto_auth_kicks_total") == 1


def test_the_store(measured, make_redis, eventually):
    redis = make_redis()
    broker, read = measured(options={"redis_url": redis.url})
    eventually(lambda: read()("mosquitto_store_up", store="redis") in (0, 1), 5, "a figure")
    eventually(lambda: read()("mosquitto_store_requests_total", store="redis", outcome="success") > 0, 25, "its requests")
    redis.stop()
    eventually(lambda: read()("mosquitto_store_up", store="redis") == 0, 15, "the outage to show")
    figures = read()
    answered, failed = (figures("mosquitto_store_requests_total", store="redis", outcome=outcome)
                        for outcome in ("success", "failure"))
    assert answered + failed == figures("mosquitto_store_request_duration_seconds_count", store="redis")
    assert figures("mosquitto_store_request_duration_seconds_bucket", store="redis", le="+Inf") == answered + failed


def test_blocked_keys(measured):
    broker, read = measured(options={"auth_throttle_failures": 3, "auth_throttle_block": 60})
    assert read()("mosquitto_blocked_keys", key="source.ip") == 0
    for n in range(12):
        broker.client("x", f"user-{n}", "wrong").connect()
    figures = read()
    assert figures("mosquitto_blocked_keys", key="source.ip") == 1
    assert figures("mosquitto_auth_blocks_total", key="source.ip") == 1


def test_without_a_trail_and_removed_at_the_end(measured):
    broker, read = measured(options={"audit_dir": None})
    broker.client("a-id", "a", "pw").open()
    figures = read()
    assert figures("mosquitto_auth_attempts_total", method="password", outcome="success", reason="") == 1
    assert not [name for name, _ in figures.samples if "audit" in name]
    broker.stop()
    assert not broker.metrics_file.exists(), "old figures would be taken for new ones"
    assert not list(broker.metrics_file.parent.glob("guard.prom*"))


def test_a_folder_that_is_not_there(make_broker, tmp_path, eventually):
    broker = make_broker(POLICY, options={"metrics_file": tmp_path / "nowhere" / "guard.prom", "metrics_interval": 1})
    eventually(lambda: "metrics are not written" in broker.log(), 5, "the complaint")
    (tmp_path / "nowhere").mkdir()
    eventually(lambda: "metrics are written again" in broker.log(), 5, "that it works")
    assert broker.log().count("metrics are not written") == 1


def test_the_alert_rules_name_metrics_that_exist(measured, redis):
    """docs/operations.md and examples/prometheus speak of what is written."""
    broker, read = measured(options={"redis_url": redis.url})
    broker.client("a-id", "a", "pw").connect()
    names = {name for name, _ in read().samples}
    families = {re.sub("_(bucket|sum|count)$", "", name) for name in names} | names
    for path in (TOP / "docs/operations.md", TOP / "examples/prometheus/alerts.yml"):
        found = set(re.findall(r"\bmosquitto_[a-z_]+[a-z]\b(?!\.so)", path.read_text())) - {"mosquitto_guard"}
        assert found and found <= families, found - families


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_the_alert_rules_are_valid():
    subprocess.run(["promtool", "check", "rules", TOP / "examples/prometheus/alerts.yml"], check=True)


def test_bad_interval(make_broker):
    with pytest.raises(BrokerFailed):
        make_broker(POLICY, options={"metrics_interval": 0})
