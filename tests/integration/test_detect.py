"""Attacks on a live broker, and the alerts in its trail: the right ones, once, and none for ordinary life."""
import contextlib
import time

import pytest

from support.broker import BrokerFailed
from support.client import V5
from support.prometheus import Figures
from test_audit import POLICY

NO_HASHING = {"auth_throttle": "no"}  # else ten wrong passwords of one user would be refused from the eleventh on


def guess(broker, count, user="a"):
    before = sum(e["event"]["outcome"] == "failure" for e in broker.trail.events("mqtt-connect"))
    for n in range(count):
        broker.client(f"guesser-{n}", user.format(n), "wrong").connect()
    broker.trail.wait("mqtt-connect", before + count, event__outcome="failure")


def alerts(broker):
    return [e for e in broker.trail.events() if e["event"]["kind"] == "alert"]


@pytest.mark.memory
@pytest.mark.timing
def test_ten_wrong_passwords(make_broker):
    broker = make_broker(POLICY)
    guess(broker, 10)
    alert = broker.trail.one("alert-brute-force")
    assert alert["source"]["ip"] == "127.0.0.1" and alert["rule"]["id"] == "bf-ip"
    facts = alert["mosquitto"]["alert"]
    assert facts["key"] == "source.ip" and facts["action"] == "alert" and facts["observed"] == facts["threshold"] == 10
    assert facts["window_s"] == 60 and facts["suppressed"] == 0 and facts["distinct_users"] == 1
    assert alert["event"]["reason"] == "threshold" and alert["event"]["severity"] == 4
    assert alert["event"]["start"] <= alert["event"]["end"] == alert["@timestamp"]
    assert "user" not in alert and "mqtt" not in alert, "what the key is not made of may be another's"
    guess(broker, 5)
    broker.stop()
    assert len(alerts(broker)) == 1, "the next one only after five minutes"


def test_nine_are_none(make_broker):
    broker = make_broker(POLICY)
    guess(broker, 9)
    broker.stop()
    assert not alerts(broker)


def test_off(make_broker):
    broker = make_broker(POLICY, options={"audit_detect": "off", **NO_HASHING})
    guess(broker, 12)
    broker.stop()
    assert not alerts(broker)


def test_an_address_that_is_left_alone(make_broker):
    broker = make_broker(POLICY, options={"audit_detect_allow": "192.0.2.1,127.0.0.0/8", **NO_HASHING})
    guess(broker, 12)
    broker.stop()
    assert not alerts(broker)


def test_a_bad_list(make_broker):
    with pytest.raises(BrokerFailed) as failed:
        make_broker(POLICY, options={"audit_detect_allow": "127.0.0.1,everybody"})
    assert "'everybody'" in failed.value.log


def test_block_by_the_throttle(make_broker, tmp_path, eventually):
    path = tmp_path / "guard.prom"
    broker = make_broker(POLICY, options={"auth_throttle_failures": 4, "auth_throttle_block": 90, "metrics_file": path,
                                          "metrics_interval": 1})
    guess(broker, 8, user="user-{}")
    block = [a for a in alerts(broker) if a["mosquitto"]["alert"]["action"] == "block"]
    assert len(block) == 1 and block[0]["event"]["action"] == "alert-brute-force"
    assert block[0]["source"]["ip"] == "127.0.0.1" and block[0]["mosquitto"]["alert"]["block_s"] == 90
    assert block[0]["event"]["type"] == ["denied"]
    eventually(lambda: path.exists() and Figures(path.read_text()).total("mosquitto_alerts_total", action="block"), 5, "the count")
    assert Figures(path.read_text()).total("mosquitto_alerts_total", rule="bf-ip", action="block") == 1


@pytest.mark.timing
def test_password_spray(make_broker):
    broker = make_broker(POLICY, options=NO_HASHING)
    guess(broker, 6, user="user-{}")
    alert = broker.trail.one("alert-password-spray")
    assert alert["mosquitto"]["alert"]["distinct_users"] == 5 and alert["rule"]["id"] == "spray"


@pytest.mark.timing
def test_flapping(make_broker):
    broker = make_broker(POLICY)
    for _ in range(18):
        broker.client("flapper", "a", "pw").open().close()
    broker.trail.wait("mqtt-disconnect", 18)
    alert = broker.trail.one("alert-flapping")
    assert alert["mqtt"]["client_id"] == "flapper" and alert["user"]["name"] == "a"
    assert alert["rule"]["id"] == "flap-client"


def test_topic_scan(make_broker, version):
    broker = make_broker(POLICY)
    a = broker.client('a "quoted" id', "a", "pw", version=version).open()
    for n in range(15):
        with contextlib.suppress(AssertionError):
            a.publish(f"elsewhere/{n}", qos=0)
        a.subscribe(f"elsewhere/{n}/#")
    broker.trail.wait("mqtt-subscribe", 15)
    alert = broker.trail.one("alert-topic-scan")
    assert alert["mqtt"]["client_id"] == 'a "quoted" id' and alert["mosquitto"]["alert"]["observed"] == 20
    assert alert["mqtt"]["connection_id"] == broker.trail.one("mqtt-connect")["mqtt"]["connection_id"]


def test_pseudonyms_stay_pseudonyms(make_broker, tmp_path):
    key = tmp_path / "pseudonyms"
    key.write_bytes(bytes(range(32)))
    key.chmod(0o600)
    broker = make_broker(POLICY, options={"audit_privacy": "hmac", "audit_privacy_key_file": key})
    a = broker.client("the-device", "a", "pw", version=V5).open()
    for n in range(25):
        a.publish(f"elsewhere/{n}")
    alert, connect = broker.trail.one("alert-topic-scan"), broker.trail.one("mqtt-connect")
    for field in ("mqtt.client_id", "user.name", "source.address"):
        group, name = field.split(".")
        assert alert[group][name] == connect[group][name]


def test_an_ordinary_fleet(make_broker):
    broker = make_broker(POLICY)
    for _ in range(3):
        clients = [broker.client(f"c{n}", "a", "pw", version=V5).open() for n in range(15)]
        for n, client in enumerate(clients):
            for _ in range(5):
                client.publish("devices/a/data")
            client.publish(f"devices/{n % 3}/data")
        for client in clients:
            client.close()
    time.sleep(0.2)
    broker.stop()
    assert not alerts(broker)


def test_alerts_over_mqtt(make_broker):
    broker = make_broker(POLICY + "[client auditor]\npassword = " + POLICY.split("password = ", 1)[1].splitlines()[0]
                         + "\nroles = auditor\n[role auditor]\naudit = allow subscribe $AUDIT/#\n",
                         options={"audit_mqtt": "yes", **NO_HASHING})
    auditor = broker.client("auditor-id", "auditor", "pw").open()
    auditor.subscribe("$AUDIT/broker-under-test/alert")
    guess(broker, 12)
    assert b'"alert-brute-force"' in auditor.receive().payload


def test_what_was_learned_survives_a_restart(make_broker):
    """The week in which new addresses are learned does not begin anew."""
    broker = make_broker(POLICY)
    state = broker.audit_dir / ".detect"
    broker.client("a-id", "a", "pw").open()
    broker.restart()
    first = state.read_bytes()
    assert state.stat().st_mode & 0o777 == 0o600
    broker.client("b-id", "w", "pw").open()
    broker.stop()
    second = state.read_bytes()
    assert first[:40] == second[:40], "key and beginning"
    bits = [sum(int.from_bytes(x[48:48 + 2**21], "little").bit_count() for x in [text]) for text in (first, second)]
    assert 0 < bits[0] < bits[1] <= 14, "two users at one address, seven bits each"
    state.write_bytes(b"damaged")
    broker.start()
    broker.client("a-id", "a", "pw").open()
    broker.trail.wait("mqtt-connect", 3)
