"""
Alerts about what an identity is not used to: countries, hours, two places at once. What takes weeks to learn is written into the
state that the broker keeps (audit/detect_state.c) while it is stopped.
"""
import ctypes.util
import struct
import time

import pytest

from support import mmdb
from support.broker import BrokerFailed
from support.raw import RawClient
from test_audit import POLICY
from test_rules import EVERYONE, users

DAY_NS = 86400 * 10**9
HEAD = struct.Struct("16s16sqqqQ")  # magic, key, began, turned, countries began, octets of hours
PAIRS = 2 * 2**21
HOURS = struct.Struct("QIIII24H")

needs_library = pytest.mark.skipif(not ctypes.util.find_library("maxminddb"), reason="libmaxminddb is not installed")


def change_state(broker, head=None, hours=None):
    """Stops the broker and changes what it has learned: head(dictionary), hours(list of entries)."""
    broker.stop()
    path = broker.audit_dir / ".detect"
    octets = bytearray(path.read_bytes())
    names = ("magic", "key", "began", "turned", "countries", "hours")
    fields = dict(zip(names, HEAD.unpack_from(octets)))
    if head:
        head(fields)
        HEAD.pack_into(octets, 0, *(fields[n] for n in names))
    for at in range(HEAD.size + PAIRS, len(octets) if hours else 0, HOURS.size):
        entry = list(HOURS.unpack_from(octets, at))
        if entry[0]:
            hours(entry)
            HOURS.pack_into(octets, at, *entry)
    path.write_bytes(octets)
    broker.start()


def earlier(fields):
    for name in ("began", "turned", "countries"):
        fields[name] -= 8 * DAY_NS


@needs_library
def test_new_country(make_broker, tmp_path):
    database = tmp_path / "countries.mmdb"
    mmdb.write(database, {"127.0.0.0/8": "DE", "2001:db8::/32": "JP"})
    broker = make_broker(POLICY, options={"audit_detect_country_file": database})
    broker.client("a-id", "a", "pw").open()
    change_state(broker, earlier)
    broker.client("a-id", "a", "pw").open().close()
    broker.trail.wait("mqtt-connect", 2)
    mmdb.write(tmp_path / "new", {"127.0.0.0/8": "KP"})
    (tmp_path / "new").replace(database)
    broker.hang_up()
    broker.client("a-id", "a", "pw").open()
    alert = broker.trail.one("alert-new-country")
    assert alert["source"]["geo"] == {"country_iso_code": "KP"} and alert["source"]["ip"] == "127.0.0.1"
    assert alert["user"]["name"] == "a" and alert["mqtt"]["client_id"] == "a-id" and alert["rule"]["id"] == "new-country"
    assert alert["event"]["reason"] == "never_seen" and alert["event"]["severity"] == 4
    assert not broker.trail.events("alert-new-ip")


@needs_library
def test_a_new_address_in_a_known_country(make_broker, tmp_path):
    database = tmp_path / "countries.mmdb"
    mmdb.write(database, {"127.0.0.0/8": "DE"})
    broker = make_broker(POLICY, options={"audit_detect_country_file": database})
    broker.client("a-id", "a", "pw").open()
    change_state(broker, earlier)
    with RawClient(broker.ports["plain"], "127.0.0.2") as raw:
        assert raw.connect("a-id", "a", "pw") == 0
    alert = broker.trail.one("alert-new-ip")
    assert alert["source"] == {"ip": "127.0.0.2", "geo": {"country_iso_code": "DE"}}
    assert not broker.trail.events("alert-new-country")


@needs_library
def test_a_damaged_database_that_comes_later_changes_nothing(make_broker, tmp_path):
    database = tmp_path / "countries.mmdb"
    mmdb.write(database, {"127.0.0.0/8": "DE"})
    broker = make_broker(POLICY, options={"audit_detect_country_file": database})
    (tmp_path / "new").write_bytes(b"no database")
    (tmp_path / "new").replace(database)
    broker.hang_up()
    broker.client("a-id", "a", "pw").open()
    broker.trail.wait("mqtt-connect", 1)


@needs_library
@pytest.mark.parametrize("content", [None, b"", b"no database", b"\0" * 4096])
def test_a_database_that_is_none(make_broker, tmp_path, content):
    database = tmp_path / "countries.mmdb"
    if content is not None:
        database.write_bytes(content)
    with pytest.raises(BrokerFailed) as failed:
        make_broker(POLICY, options={"audit_detect_country_file": database})
    assert "countries.mmdb" in failed.value.log and "country database" in failed.value.log


@pytest.mark.timing  # a test that runs over the end of an hour would see another one
def test_out_of_hours(make_broker):
    broker = make_broker(POLICY, options={"audit_detect_hours": "yes"})
    broker.client("a-id", "a", "pw").open()
    now = int(time.time()) // 3600

    def office(entry):
        entry[1:3] = now - 20 * 24, now - 2
        entry[5:] = [4096 if hour == (now + 12) % 24 else 0 for hour in range(24)]
    change_state(broker, hours=office)
    a = broker.client("a-id", "a", "pw").open()
    alert = broker.trail.one("alert-out-of-hours")
    assert alert["user"]["name"] == "a" and alert["mqtt"]["client_id"] == "a-id" and alert["source"]["ip"] == "127.0.0.1"
    assert alert["event"]["reason"] == "out_of_hours" and alert["event"]["severity"] == 2
    assert alert["mosquitto"]["alert"]["threshold"] == 0.5 and alert["mosquitto"]["alert"]["observed"] == 0
    a.publish("devices/a/data")
    broker.client("a2-id", "a", "pw").open()
    broker.stop()
    assert len(broker.trail.events("alert-out-of-hours")) == 1, "once in that hour"


def test_hours_are_not_watched_unless_asked(make_broker):
    broker = make_broker(POLICY)
    broker.client("a-id", "a", "pw").open()
    broker.stop()
    assert (broker.audit_dir / ".detect").stat().st_size == HEAD.size + PAIRS


@pytest.mark.parametrize("most, expected", [("1", 1), ("2", 0)])
def test_two_places_at_once(make_broker, most, expected):
    policy = users("a") + f"attr.max_sessions = {most}\n" + EVERYONE
    broker = make_broker(policy)
    with RawClient(broker.ports["plain"]) as here, RawClient(broker.ports["plain"], "127.0.0.2") as there:
        assert here.connect("one", "a", "pw") == 0
        assert there.connect("two", "a", "pw") == 0
        broker.trail.wait("mqtt-connect", 2)
    broker.trail.wait("mqtt-disconnect", 2)
    broker.stop()
    alerts = broker.trail.events("alert-credential-shared")
    assert len(alerts) == expected
    for alert in alerts:
        assert alert["rule"]["id"] == "cred-twice" and alert["user"]["name"] == "a"
        assert alert["mosquitto"]["alert"]["distinct_ips"] == 2


def test_two_places_by_token(make_broker, issuer):
    broker = make_broker(EVERYONE, options=issuer.options())
    with RawClient(broker.ports["plain"]) as here, RawClient(broker.ports["plain"], "127.0.0.2") as there:
        assert here.connect("one", "a", issuer.token("a", max_sessions=1)) == 0
        assert there.connect("two", "a", issuer.token("a", max_sessions=1)) == 0
        broker.trail.one("alert-credential-shared")


def test_a_device_that_changes_its_network(make_broker):
    policy = users("a") + "attr.max_sessions = 1\n" + EVERYONE
    broker = make_broker(policy)
    with RawClient(broker.ports["plain"]) as here, RawClient(broker.ports["plain"], "127.0.0.2") as there:
        assert here.connect("one", "a", "pw") == 0
        assert there.connect("one", "a", "pw") == 0
        broker.trail.wait("mqtt-connect", 2)
    broker.stop()
    assert not broker.trail.events("alert-credential-shared")
