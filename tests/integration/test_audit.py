"""The audit trail of a live broker: one true event for everything that happened, valid, chained, and of nothing else."""
import contextlib
import json

import pytest

from support.broker import GUARDCTL
from support.client import V5
from support.raw import RawClient, connect_packet, packet, text
from test_rules import EVERYONE, users

POLICY = users("a", "w", roles={"w": "w"}) + EVERYONE + "[role w]\nw = allow publish #\nr = allow subscribe #\n"


@pytest.mark.memory
def test_exactly_one_event_each(make_broker, version):
    """A whole life, counted: a missing event and an invented one are both failures."""
    broker = make_broker(POLICY, options={"auth_throttle": "no"})  # under valgrind one wrong password is costly enough
    assert broker.client("x", "a", "wrong", version=version).connect() != 0  # 1 connect failure
    a = broker.client("a-id", "a", "pw", version=version).open()  # 2 connect
    w = broker.client("w-id", "w", "pw", version=version).open()  # 3 connect
    a.subscribe("devices/a-id/commands")  # 1 subscribe
    a.subscribe("devices/b/commands")  # 2 subscribe, denied
    a.publish("devices/a/data", qos=0)  # 1 publish
    a.publish("devices/a/data", qos=1)  # 2
    a.publish("devices/a/data", qos=2)  # 3
    a.publish("devices/b/data", qos=1)  # 4 denied
    w.publish("devices/a-id/commands", b"12345")  # 5, and a delivery that is allowed: no event
    assert a.receive().payload == b"12345"
    a.unsubscribe("devices/a-id/commands")  # 1 unsubscribe
    a.close()  # 1 disconnect
    w.close()  # 2 disconnect
    broker.trail.wait("mqtt-disconnect", 2)
    broker.stop()
    counts = {}
    for event in broker.trail.events():
        key = (event["event"]["action"], event["event"].get("outcome"))
        counts[key] = counts.get(key, 0) + 1
    mqtt = {key: count for key, count in counts.items() if key[0].startswith("mqtt-")}
    assert mqtt == {("mqtt-connect", "failure"): 1, ("mqtt-connect", "success"): 2, ("mqtt-subscribe", "success"): 1,
                    ("mqtt-subscribe", "failure"): 1, ("mqtt-publish", "success"): 4, ("mqtt-publish", "failure"): 1,
                    ("mqtt-unsubscribe", "success"): 1, ("mqtt-disconnect", "success"): 2}, broker.trail.brief()
    others = {key[0] for key in counts} - {key[0] for key in mqtt}
    assert others == {"audit-start", "audit-stop", "audit-checkpoint", "policy-reload"}


def test_what_a_publish_event_says(make_broker):
    broker = make_broker(POLICY)
    a = broker.client("a-id", "a", "pw", version=V5).open()
    a.publish("devices/a/data", b"12345", qos=1, retain=True)
    event = broker.trail.one("mqtt-publish")
    assert event["user"]["name"] == "a"
    assert event["mqtt"]["client_id"] == "a-id" and event["mqtt"]["topic"] == "devices/a/data"
    assert event["mqtt"]["qos"] == 1 and event["mqtt"]["retained"] is True
    assert event["mqtt"]["payload"] == {"bytes": 5}, "sizes, never contents"
    assert event["rule"]["id"] == "device/data" or "device/data" in str(event["rule"])
    assert event["source"]["ip"] == "127.0.0.1"
    connect = broker.trail.one("mqtt-connect")
    assert connect["mqtt"]["connection_id"] == event["mqtt"]["connection_id"]
    assert connect["service"]["node"]["name"] == "broker-under-test"


def test_what_a_connect_event_says(make_broker, version):
    broker = make_broker(POLICY)
    broker.client("a-id", "a", "pw", version=version).open()
    event = broker.trail.one("mqtt-connect")
    assert event["mqtt"]["version"] == ("5.0" if version == V5 else "3.1.1")
    assert event["event"]["category"] == ["authentication", "network"]


def test_connections_that_never_were(make_broker):
    """Port scans and broken packets are no clients: no event, least of all a disconnect."""
    broker = make_broker(POLICY)
    for octets in (b"", b"GET / HTTP/1.0\r\n\r\n", b"\x10\x02\x00", packet(0xC0, b""), connect_packet("x", version=9)):
        with RawClient(broker.ports["plain"]) as raw:
            with contextlib.suppress(OSError):  # the broker may be quicker to hang up
                raw.send(octets)
                raw.socket.shutdown(1)
                raw.read()
    broker.client("a-id", "a", "pw").open().close()
    broker.trail.one("mqtt-disconnect")
    assert len([e for e in broker.trail.events() if e["event"]["action"].startswith("mqtt-")]) == 2


@pytest.mark.parametrize("word", ["\u202edne", "\ufeffbom", "line\u2028separator", "\u200fmark", "\"quoted\\\"", "</script>",
                                  "%s%n", "\U0001f511", "x" * 5000, "a" * 1023 + "é"])
def test_hostile_text(make_broker, word):
    """Whatever a client writes stays inside its field, bounded, and cannot deceive who reads the file (the schema forbids it)."""
    broker = make_broker(POLICY)
    a = broker.client("a-id", "a", "pw", version=V5).open()
    assert a.publish(f"devices/{word}/data") == 0x87
    assert a.subscribe(f"devices/{word}/#") == 0x87
    assert broker.client(f"id {word}", f"name {word}", f"secret {word}").connect() != 0
    broker.trail.wait("mqtt-publish", 1)
    broker.trail.wait("mqtt-connect", 1, event__outcome="failure")
    assert f"secret {word}".encode() not in b"".join(broker.trail.lines())
    broker.trail.validate()


def test_password_and_payload_are_nowhere(make_broker):
    broker = make_broker(POLICY)
    a = broker.client("a-id", "a", "pw", version=V5).open()
    a.publish("devices/a/data", b"the-payload-itself")
    broker.client("b-id", "a", "a-guessed-password").connect()
    broker.trail.wait("mqtt-connect", 2)
    everything = b"".join(broker.trail.lines())
    assert b"the-payload-itself" not in everything and b"a-guessed-password" not in everything
    assert "a-guessed-password" not in broker.log()


def test_two_runs_are_two_chains(make_broker):
    broker = make_broker(POLICY)
    broker.client("a-id", "a", "pw").open()
    broker.restart()
    broker.client("a-id", "a", "pw").open()
    broker.stop()
    first, second = broker.trail.events("audit-start")
    assert second["mosquitto"]["audit"]["previous_chain"] == first["mosquitto"]["audit"]["chain"]
    assert second["mosquitto"]["audit"]["clean_shutdown"] is True


def test_after_a_crash(make_broker):
    broker = make_broker(POLICY)
    a = broker.client("a-id", "a", "pw", version=V5).open()
    a.publish("devices/a/data")
    broker.trail.wait("mqtt-publish", 1)
    broker.kill()
    broker.start()
    broker.client("a-id", "a", "pw").open()
    start = broker.trail.events("audit-start")[-1]
    assert start["mosquitto"]["audit"]["clean_shutdown"] is False


@pytest.mark.parametrize("mode,expected", [("denied", ["failure"]), ("all", ["success", "failure"])])
def test_audit_publish(make_broker, mode, expected):
    broker = make_broker(POLICY, options={"audit_publish": mode})
    a = broker.client("a-id", "a", "pw", version=V5).open()
    a.publish("devices/a/data")
    a.publish("devices/b/data")
    a.close()
    broker.trail.one("mqtt-disconnect")
    assert [e["event"]["outcome"] for e in broker.trail.events("mqtt-publish")] == expected


def test_signed_trail_verifies(make_broker, guardctl, tmp_path):
    """What an auditor does: a key from openssl, and guardctl's verdict on the folder, before and after a forgery."""
    import subprocess
    key, public = tmp_path / "audit.key", tmp_path / "audit.pub"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True, capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True, capture_output=True)
    key.chmod(0o600)
    broker = make_broker(POLICY, options={"audit_signing_key_file": key})
    broker.client("a-id", "a", "pw").open()
    broker.client("b-id", "a", "wrong").connect()
    broker.stop()
    checkpoints = broker.trail.events("audit-checkpoint")
    assert checkpoints and checkpoints[-1]["mosquitto"]["audit"]["algorithm"] == "ed25519"
    assert "audit verify" in guardctl("help").stdout, f"{GUARDCTL} has no command 'audit verify'"
    good = guardctl("audit", "verify", "--key", public, broker.audit_dir)
    assert good.returncode == 0, good.stdout + good.stderr
    victim = broker.trail.files()[-1]
    victim.write_bytes(victim.read_bytes().replace(b'"bad_credentials"', b'"unknown_user"'))
    forged = guardctl("audit", "verify", "--key", public, broker.audit_dir)
    assert forged.returncode == 1, forged.stdout + forged.stderr
    broker.trail_unchecked = True


@pytest.mark.memory
def test_burst_is_complete(make_broker):
    """Ten thousand publishes as fast as one socket gives them: ten thousand events, in order."""
    count = 500 if __import__("support.broker").broker.UNDER else 10_000
    broker = make_broker(POLICY)
    with RawClient(broker.ports["plain"]) as raw:
        assert raw.connect("a-id", "a", "pw") == 0
        raw.send(b"".join(packet(0x30, text("devices/a/data") + b"%08d" % n) for n in range(count)))
        raw.send(packet(0xC0, b""))
        assert raw.read() == (0xD0, b"")
    broker.stop()
    events = [json.loads(line) for line in broker.trail.lines()]
    assert sum(e["event"]["action"] == "mqtt-publish" for e in events) == count
    assert not [e for e in events if e["event"]["action"] == "audit-gap"]


def test_segments_follow_sighup(make_broker):
    broker = make_broker(POLICY)
    broker.client("a-id", "a", "pw").open()
    broker.hang_up()
    broker.client("b-id", "a", "pw").open()
    broker.trail.wait("mqtt-connect", 2)
    assert len(broker.trail.files()) == 2
    assert len(broker.trail.events("audit-rotate")) == 1


def test_a_file_taken_away_from_a_running_broker_is_told_everywhere(make_broker, eventually, tmp_path):
    """In the broker's log, in the figures, and in a new file of the trail, which goes on."""
    figures = tmp_path / "guard.prom"
    broker = make_broker(POLICY, options={"metrics_file": figures, "metrics_interval": 1})
    a = broker.client("a-id", "a", "pw").open()
    a.publish("devices/a/data", qos=1)
    broker.trail_unchecked = True  # it begins in the middle
    first, = sorted(broker.trail.folder.glob("audit-*.ndjson"))
    first.unlink()
    eventually(lambda: "audit trail: " in broker.log() and first.name in broker.log(), 15, "a line in the broker's log")
    eventually(lambda: "mosquitto_audit_damage_total 1" in figures.read_text(), 15, "the figure")
    a.publish("devices/a/data", qos=1)
    actions = lambda: [e["event"]["action"] for e in broker.trail.events()]  # noqa: E731
    eventually(lambda: actions()[0] == "audit-rotate" and "audit-recovered" in actions() and "mqtt-publish" in actions(), 15,
               "the trail goes on")
