"""Templated rules on a live broker: publish, subscribe, receive, default deny, shared subscriptions, wills, retained messages."""
import time

import pytest

from support import passwords
from support.client import DENIED, V311, V5
from support.raw import RawClient, packet, text


def users(*names, roles=None):
    """Client records with the password "pw"; roles: {name: "a, b"}."""
    records = ""
    for name in names:
        records += f"[client {name}]\npassword = {passwords.mosquitto_7('pw', 1)}\n"
        if roles and name in roles:
            records += f"roles = {roles[name]}\n"
    return records


EVERYONE = """\
[role device]
data     = allow publish devices/${username}/data
commands = allow subscribe devices/${client_id}/commands
alarms   = allow publish alarms/#
no-fire  = deny publish alarms/fire
[default]
roles = device
"""


@pytest.mark.memory
def test_publish(make_broker, version):
    broker = make_broker(users("a", "b") + EVERYONE + "[role all]\nr = allow subscribe #\n[client watcher]\n"
                         f"password = {passwords.mosquitto_7('pw', 1)}\nroles = all\n")
    watcher = broker.client("w", "watcher", "pw", version=V5).open()
    assert watcher.subscribe("#") == 1
    a = broker.client("a-id", "a", "pw", version=version).open()
    allowed, refused = 0, (0x87 if version == V5 else 0)  # MQTT 3.1.1 has no way to say no to a PUBLISH
    assert a.publish("devices/a/data", b"mine") == allowed
    assert a.publish("devices/b/data", b"not mine") == refused
    assert a.publish("devices/a-id/data", b"the id is not the name") == refused
    assert a.publish("devices/a/data/more") == refused
    assert a.publish("alarms/water", b"rule", qos=2) == allowed
    assert a.publish("alarms/fire", b"deny rule") == refused
    a.publish("devices/a/data", b"qos 0", qos=0)
    a.publish("nowhere", b"default", qos=0)
    assert a.publish("alarms/end") == allowed
    assert a.connected, "a denied publish must not cost the connection"
    got = [watcher.receive().payload for _ in range(4)]
    assert got == [b"mine", b"rule", b"qos 0", b"x"]
    assert watcher.receives_nothing()
    events = broker.trail.wait("mqtt-publish", 9)
    assert [(e["mqtt"]["topic"], e["event"]["outcome"], e["event"].get("reason")) for e in events] == [
        ("devices/a/data", "success", None),
        ("devices/b/data", "failure", "acl_no_match"),
        ("devices/a-id/data", "failure", "acl_no_match"),
        ("devices/a/data/more", "failure", "acl_no_match"),
        ("alarms/water", "success", None),
        ("alarms/fire", "failure", "acl_deny_rule"),
        ("devices/a/data", "success", None),
        ("nowhere", "failure", "acl_no_match"),
        ("alarms/end", "success", None)]
    assert "device/no-fire" in str(events[5]["rule"]), events[5]["rule"]


def test_a_long_record(make_broker):
    """However many roles and attributes a client has: the last ones count as well, and one of those roles denies."""
    many = range(700)
    roles = ", ".join(["all", *(f"r{n}" for n in many), "last"])
    longest = "n" * 58  # with attr. as long as a name in a rule may be
    broker = make_broker(users("a", roles={"a": roles}) + "".join(f"attr.a{n} = site-{n}\n" for n in many) +
                         f"attr.{longest}-not = elsewhere\nattr.{longest} = here\n"
                         "[role all]\nx = allow publish alarms/#\n" + "".join(f"[role r{n}]\nx = allow publish r/{n}\n" for n in many) +
                         "[role last]\nfire = deny publish alarms/fire\nsite = allow publish sites/${attr.a699}\n"
                         f"long = allow publish long/${{attr.{longest}}}\n")
    a = broker.client("a-id", "a", "pw", version=V5).open()
    assert [a.publish(topic) for topic in ("alarms/water", "r/699", "sites/site-699", "long/here")] == [0] * 4
    assert [a.publish(topic) for topic in ("alarms/fire", "sites/site-1", "long/elsewhere")] == [0x87] * 3


def test_subscribe(make_broker, version):
    broker = make_broker(users("a") + EVERYONE)
    a = broker.client("a-id", "a", "pw", version=version).open()
    assert a.subscribe("devices/a-id/commands") == 1
    for topic_filter in ("devices/a/commands", "devices/+/commands", "devices/#", "#", "+", "devices/a-id/commands/#",
                         "devices/a-id/+", "/devices/a-id/commands", "devices/a-id/commands/"):
        assert a.subscribe(topic_filter) == DENIED[version], topic_filter
    assert a.connected
    denied = broker.trail.wait("mqtt-subscribe", 9, event__outcome="failure")
    assert {e["mqtt"]["topic_filter"] for e in denied} >= {"#", "devices/#"}
    assert {e["event"]["reason"] for e in denied} <= {"acl_no_match", "wildcard_denied"}
    broker.trail.one("mqtt-subscribe", event__outcome="success")


def test_several_filters_in_one_subscribe(make_broker):
    """Each filter of a SUBSCRIBE has its own answer, and its own event."""
    broker = make_broker(users("a") + EVERYONE)
    with RawClient(broker.ports["plain"]) as raw:
        assert raw.connect("a-id", "a", "pw") == 0
        raw.send(packet(0x82, b"\0\1" + text("x") + b"\0" + text("devices/a-id/commands") + b"\1" + text("#") + b"\2"))
        assert raw.read() == (0x90, b"\0\1" + bytes([0x80, 1, 0x80]))
        broker.trail.wait("mqtt-subscribe", 3)


def test_receive_is_checked_for_each_message(make_broker):
    """`subscribe-only` lets a wide filter in; what comes through it is what `receive` allows."""
    broker = make_broker(users("r", "p", roles={"r": "reader", "p": "writer"}) + """\
[role reader]
wide = allow subscribe-only plant/#
some = allow receive plant/public/#
not  = deny receive plant/public/secret
[role writer]
all = allow publish plant/#
""")
    reader = broker.client("r", "r", "pw").open()
    writer = broker.client("p", "p", "pw").open()
    assert reader.subscribe("plant/#") == 1
    for topic in ("plant/private", "plant/public/secret", "plant/public/a"):
        assert writer.publish(topic) == 0
    assert reader.receive().topic == "plant/public/a"
    assert reader.receives_nothing()
    denied = broker.trail.wait("mqtt-deliver", 2, event__outcome="failure")
    assert [(e["mqtt"]["topic"], e["event"]["reason"], e["user"]["name"]) for e in denied] == [
        ("plant/private", "acl_no_match", "r"), ("plant/public/secret", "acl_deny_rule", "r")]


def test_nothing_is_allowed_by_default(make_broker, version):
    broker = make_broker(users("a"))
    a = broker.client("a", "a", "pw", version=version).open()
    assert a.subscribe("x") == DENIED[version]
    assert a.publish("x") == (0x87 if version == V5 else 0)
    assert broker.trail.one("mqtt-publish")["event"]["reason"] == "acl_no_match"


def test_deny_rule_cannot_be_stepped_round(make_broker):
    """What `deny secret/#` forbids, no wider filter gives; in strict mode such a filter is refused as a whole."""
    broker = make_broker(users("a", roles={"a": "r"}) + "[role r]\nall = allow subscribe #\nnot = deny subscribe secret/#\n")
    a = broker.client("a", "a", "pw").open()
    for topic_filter in ("#", "+/x", "secret/#", "secret", "+/+", "$share/g/#"):
        assert a.subscribe(topic_filter) == 0x80, topic_filter
    assert a.subscribe("open/#") == 1
    assert a.subscribe("secrets/#") == 1


def test_lenient_mode(make_broker):
    broker = make_broker(users("a", "w", roles={"a": "r", "w": "w"}) + "[role r]\nall = allow subscribe #\nnot = deny subscribe,receive "
                         "secret/#\n[role w]\nw = allow publish #\n[default]\nmode = lenient\n")
    a, w = broker.client("a", "a", "pw").open(), broker.client("w", "w", "pw").open()
    assert a.subscribe("#") == 1
    w.publish("secret/1")
    w.publish("open/1")
    assert a.receive().topic == "open/1"
    assert a.receives_nothing()


# --- $ topics and shared subscriptions

def test_shared_subscription(make_broker, version):
    broker = make_broker(users("a", "p", roles={"a": "r", "p": "w"}) + "[role r]\njobs = allow subscribe jobs/#\n"
                         "mine = allow subscribe private/# share=no\n[role w]\nw = allow publish #\n")
    a = broker.client("a", "a", "pw", version=version).open()
    assert a.subscribe("$share/workers/jobs/#") == 1
    assert a.subscribe("$share/workers/other/#") == DENIED[version]
    assert a.subscribe("private/#") == 1
    assert a.subscribe("$share/workers/private/#") == DENIED[version]
    broker.client("p", "p", "pw").open().publish("jobs/1", b"to one of the group")
    assert a.receive().payload == b"to one of the group"
    ok = broker.trail.events("mqtt-subscribe", event__outcome="success")
    assert [e["mqtt"]["topic_filter"] for e in ok] == ["$share/workers/jobs/#", "private/#"]


def test_wildcards_do_not_reach_dollar_topics(make_broker, version):
    broker = make_broker(users("a", "ops", roles={"a": "all", "ops": "ops"}) + "[role all]\na = allow all #\n"
                         "[role ops]\ns = allow subscribe $SYS/#\nw = allow publish $CONTROL/guard-test/v1\n")
    a = broker.client("a", "a", "pw", version=version).open()
    ops = broker.client("ops", "ops", "pw", version=version).open()
    assert a.subscribe("$SYS/#") == DENIED[version]
    assert a.subscribe("$SYS/broker/version") == DENIED[version]
    assert a.publish("$CONTROL/guard-test/v1", b"{}") == (0x87 if version == V5 else 0)
    assert ops.subscribe("$SYS/broker/version") == 1
    assert ops.receive().topic == "$SYS/broker/version"
    assert ops.publish("$CONTROL/guard-test/v1", b"{}") == 0
    denied = broker.trail.events("mqtt-publish", event__outcome="failure", mqtt__topic="$CONTROL/guard-test/v1")
    assert len(denied) == 1
    allowed = broker.trail.wait("mqtt-publish", 1, event__outcome="success", mqtt__topic="$CONTROL/guard-test/v1")
    assert allowed[0]["user"]["name"] == "ops"


# --- wills and retained messages

@pytest.mark.memory
def test_will(make_broker, version):
    """A will is checked when it is published, after the connection and its DISCONNECT event are gone."""
    broker = make_broker(users("a", "w", roles={"w": "w"}) + EVERYONE + "[role w]\nall = allow subscribe #\n")
    watcher = broker.client("w", "w", "pw").open()
    watcher.subscribe("#")
    for number, topic in enumerate(("devices/a/data", "devices/b/data")):
        a = broker.client(f"a-{number}", "a", "pw", version=version, will=(topic, b"gone", 1, False)).open()
        a.drop()
    assert watcher.receive().topic == "devices/a/data"
    assert watcher.receives_nothing()
    good, bad = broker.trail.wait("mqtt-publish", 2)
    assert (good["event"]["outcome"], good["mqtt"]["packet"], good["mqtt"]["topic"]) == ("success", "will", "devices/a/data")
    assert (bad["event"]["outcome"], bad["mqtt"]["packet"], bad["user"]["name"]) == ("failure", "will", "a")
    assert bad["mqtt"]["client_id"] == "a-1"


def test_will_of_a_client_that_leaves_properly(make_broker, version):
    broker = make_broker(users("a") + EVERYONE)
    broker.client("a", "a", "pw", version=version, will=("devices/a/data", b"gone", 1, False)).open().close()
    broker.trail.one("mqtt-disconnect")
    assert broker.trail.events("mqtt-publish") == []


def test_retained(make_broker, version):
    broker = make_broker(users("p", "r", "n", roles={"p": "w", "r": "r", "n": "n"}) + "[role w]\nw = allow publish #\n"
                         "[role r]\nr = allow subscribe state/#\n[role n]\nn = allow subscribe-only state/#\n")
    p = broker.client("p", "p", "pw").open()
    p.publish("state/1", b"kept", retain=True)
    r = broker.client("r", "r", "pw", version=version).open()
    r.subscribe("state/#")
    message = r.receive()
    assert (message.payload, message.retain) == (b"kept", True)
    n = broker.client("n", "n", "pw", version=version).open()
    assert n.subscribe("state/#") == 1
    assert n.receives_nothing()
    event = broker.trail.one("mqtt-deliver")
    assert (event["user"]["name"], event["mqtt"]["topic"], event["mqtt"]["retained"]) == ("n", "state/1", True)


def test_conditions(make_broker):
    """qos, retain, size, payload and share conditions see the real packet."""
    broker = make_broker(users("a", roles={"a": "r"}) + """\
[role r]
small = allow publish small size<=10
once  = allow publish once qos<=0
plain = allow publish plain retain=no
json  = allow publish json payload=json
near  = allow publish near from=127.0.0.0/8
far   = allow publish far from=10.0.0.0/8
past  = allow publish past until=2020-01-01T00:00:00Z
""")
    a = broker.client("a", "a", "pw", version=V5).open()
    assert a.publish("small", b"0123456789") == 0
    assert a.publish("small", b"0123456789a") == 0x87
    assert a.publish("once", qos=1) == 0x87
    assert a.publish("once", qos=0) == 0
    assert a.publish("plain", retain=True) == 0x87
    assert a.publish("plain") == 0
    assert a.publish("json", b'{"t":21.5}') == 0
    assert a.publish("json", b'{"t":21.5') == 0x87
    assert a.publish("near") == 0
    assert a.publish("far") == 0x87
    assert a.publish("past") == 0x87
    broker.trail.wait("mqtt-publish", 6, event__outcome="failure")


# --- names that could be mistaken for topics

HOSTILE_NAMES = ["+", "#", "a/b", "a+", "a#", "$SYS", "%u", "${username}", "a\u202eb"]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_user_name(make_broker, name):
    """Wildcards and separators in a user name widen nothing: the client is refused, or its rules match only itself."""
    broker = make_broker(f'[client "{name}"]\npassword = {passwords.mosquitto_7("pw", 1)}\n' if name not in ("#",) else
                         f'[client "#"]\npassword = {passwords.mosquitto_7("pw", 1)}\n', start=False)
    broker.write_policy(broker.policy_file.read_text() + "[role d]\nw = allow publish devices/${username}/data\n"
                        "s = allow subscribe devices/${username}/data\n[default]\nroles = d\n")
    broker.start()
    client = broker.client("c1", name, "pw", version=V5)
    if client.connect() == 0:
        for topic in ("devices/x/data", "devices/a/b/data", "devices/data", "devices/#"):
            assert client.subscribe(topic) >= 0x80, topic
        assert client.publish("devices/x/data") == 0x87
    else:
        assert broker.trail.one("mqtt-connect")["event"]["reason"] in (
            "client_id_invalid", "bad_credentials", "unknown_user", "cert_identity_mismatch")


@pytest.mark.parametrize("client_id", ["+", "#", "a/b", "a+b", "$SYS"])
def test_hostile_client_id(make_broker, client_id):
    broker = make_broker(users("a") + EVERYONE)
    client = broker.client(client_id, "a", "pw", version=V5)
    if client.connect() == 0:
        own = [] if client_id == "$SYS" else [f"devices/{client_id}/commands"]  # `$` is special in the first level only
        for topic in ("devices/x/commands", "devices/+/commands", *own):
            assert client.subscribe(topic) >= 0x80, topic
    else:
        assert broker.trail.one("mqtt-connect")["event"]["reason"] == "client_id_invalid"


def test_identity_check_log(make_broker):
    """`identity_check log` admits such a client; its rules still match nothing."""
    broker = make_broker(users("a") + EVERYONE, options={"identity_check": "log"})
    client = broker.client("x/y", "a", "pw", version=V5).open()
    assert client.subscribe("devices/x/y/commands") == 0x87
    assert client.publish("devices/a/data") == 0


def test_no_level_is_pasted(make_broker):
    """A topic level that is spelled like a placeholder is only a word."""
    broker = make_broker(users("a") + EVERYONE)
    a = broker.client("a-id", "a", "pw", version=V5).open()
    for topic in ("devices/${username}/data", "devices/%u/data"):
        assert a.publish(topic) == 0x87


def test_many_decisions_on_one_connection(make_broker):
    """Hundreds of decisions in a row, allowed and denied mixed, each with its event, in order."""
    broker = make_broker(users("a") + EVERYONE)
    a = broker.client("a-id", "a", "pw", version=V311).open()
    for number in range(300):
        a.publish("devices/a/data" if number % 3 else f"devices/b{number}/data", b"%d" % number, qos=0)
    assert a.publish("devices/a/data") == 0
    time.sleep(0.1)
    events = broker.trail.wait("mqtt-publish", 301)
    assert [e["event"]["outcome"] for e in events[:300]] == [
        "success" if n % 3 else "failure" for n in range(300)]
