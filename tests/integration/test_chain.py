"""Beside others: password_file, acl_file and the dynamic-security plugin on the same broker."""
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from support import passwords
from support.broker import BROKER
from support.client import V5
from test_rules import EVERYONE, users

POLICY = users("ours") + EVERYONE


def with_broker_files(make_broker, mode, conf="", policy=POLICY, acl="user theirs\ntopic readwrite theirs/#\n\nuser ours\ntopic readwrite #\n"):
    """A broker with a password_file and an acl_file for "theirs", and our policy for "ours"."""
    broker = make_broker(policy, start=False, options={"mode": mode})
    password_file, acl_file = broker.folder / "passwd", broker.folder / "acl"
    password_file.write_text(f"theirs:{passwords.mosquitto_7('pw')}\nours:{passwords.mosquitto_7('other')}\n")
    acl_file.write_text(acl)
    for path in (password_file, acl_file):
        path.chmod(0o600)
    broker.conf = f"password_file {password_file}\nacl_file {acl_file}\n{conf}"
    return broker.start()


def test_strict_is_alone(make_broker):
    """`mode strict`: what the plugin does not know is refused, whatever the broker's own files say."""
    broker = with_broker_files(make_broker, "strict")
    assert broker.client("c1", "theirs", "pw", version=V5).connect() == 0x87
    ours = broker.client("c2", "ours", "pw", version=V5).open()
    assert ours.publish("devices/ours/data") == 0
    assert ours.publish("anything") == 0x87, "the acl_file must not widen what the policy allows"


def test_coexist_leaves_strangers_to_the_files(make_broker):
    broker = with_broker_files(make_broker, "coexist")
    theirs = broker.client("c1", "theirs", "pw", version=V5).open()
    assert theirs.subscribe("theirs/#") == 1
    assert theirs.publish("theirs/x") == 0
    assert theirs.publish("devices/theirs/data") == 0x87
    assert broker.client("c3", "theirs", "wrong", version=V5).connect() == 0x87
    ours = broker.client("c2", "ours", "pw", version=V5).open()
    assert ours.publish("devices/ours/data") == 0
    assert ours.publish("anything") == 0x87, "a known identity is ours alone"
    assert broker.client("c4", "ours", "other", version=V5).connect() == 0x87, "so is its password"


def test_coexist_judges_what_its_own_retained(make_broker):
    """check_retain_source: who published a retained message is asked about without a session, and need not be there any more."""
    broker = with_broker_files(make_broker, "coexist", "check_retain_source true\n", POLICY + "[role device]\nkept = allow all kept/#\n",
                               "user theirs\ntopic readwrite theirs/#\n")
    for number in range(2):
        ours = broker.client("c2", "ours", "pw", version=V5).open()
        assert ours.publish("kept/1", retain=True) == 0
        if number == 0:
            reader = broker.client("c3", "ours", "pw", version=V5).open()
            reader.subscribe("kept/#")
            assert reader.receive().topic == "kept/1"
            reader.close()
        ours.close()
    reader = broker.client("c4", "ours", "pw", version=V5).open()
    reader.subscribe("kept/#")
    assert reader.receive().topic == "kept/1", "its publisher has gone"
    theirs = broker.client("c1", "theirs", "pw", version=V5).open()
    theirs.publish("theirs/x", retain=True)
    theirs.subscribe("theirs/#")
    assert theirs.receive().topic == "theirs/x", "their files answer for theirs"


def test_coexist_leaves_a_bare_name(make_broker):
    """A name that is not ours, and nothing else: not refused here but behind us, and so not in our trail."""
    broker = with_broker_files(make_broker, "coexist")
    assert broker.client("c1", "theirs", None, version=V5).connect() == 0x87
    assert broker.client("c2", "ours", None, version=V5).connect() == 0x87
    connect = broker.trail.wait("mqtt-connect", 1)
    assert connect[0]["mqtt"]["client_id"] == "c2"


def test_coexist_survives_sighup(make_broker):
    broker = with_broker_files(make_broker, "coexist")
    theirs = broker.client("c1", "theirs", "pw", version=V5).open()
    ours = broker.client("c2", "ours", "pw", version=V5).open()
    broker.hang_up()
    assert theirs.connected and ours.connected
    assert theirs.publish("theirs/x") == 0 and ours.publish("devices/ours/data") == 0


def test_coexist_forgets_who_is_no_longer_ours(make_broker):
    """A user moves from the policy to the files; the broker gives his next connection the memory of the one before."""
    broker = with_broker_files(make_broker, "coexist")
    for _ in range(3):
        broker.hang_up(users("ours", "theirs") + EVERYONE)
        client = broker.client("c1", "theirs", "pw", version=V5).open()
        assert client.publish("devices/theirs/data") == 0
        client.close()
        broker.hang_up(POLICY)
        client = broker.client("c1", "theirs", "pw", version=V5).open()
        assert client.publish("theirs/x") == 0
        client.close()


def dynamic_security():
    """The plugin that belongs to the broker under test, or None."""
    beside = list(Path(BROKER).parent.parent.glob("lib/**/mosquitto_dynamic_security.so"))
    system = list(Path("/usr/lib").glob("*/mosquitto_dynamic_security.so"))
    found = beside or (system if BROKER == shutil.which("mosquitto", path="/usr/sbin") else [])
    return found[0] if found else None


@pytest.mark.parametrize("order", ["before", "after"])
def test_dynamic_security(make_broker, order):
    """Ours before or after dynamic-security, in coexist mode: each decides for its own clients."""
    library = dynamic_security()
    if not library:
        pytest.skip("this broker has no dynamic-security plugin")
    ctrl = next((p for p in (Path(BROKER).parent.parent / "bin/mosquitto_ctrl", Path("/usr/bin/mosquitto_ctrl")) if p.exists()), None)
    broker = make_broker(POLICY, start=False, options={"mode": "coexist"})
    config = broker.folder / "dynsec.json"
    subprocess.run([ctrl, "dynsec", "init", config, "admin", "adminpw"], check=True, capture_output=True)
    data = json.loads(config.read_text())
    data["clients"].append({**data["clients"][0], "username": "theirs", "roles": [{"rolename": "r"}]})
    data["roles"].append({"rolename": "r", "acls": [{"acltype": "publishClientSend", "topic": "theirs/#", "priority": 0, "allow": True}]})
    config.write_text(json.dumps(data))
    dynsec = [f"plugin {library}", f"plugin_opt_config_file {config}"]
    broker.plugin_lines = broker.plugin_block() + dynsec if order == "before" else dynsec + broker.plugin_block()
    broker.start()
    theirs = broker.client("c1", "theirs", "adminpw", version=V5).open()
    ours = broker.client("c2", "ours", "pw", version=V5).open()
    assert theirs.publish("theirs/x") == 0
    assert theirs.publish("devices/theirs/data") == 0x87
    assert ours.publish("devices/ours/data") == 0
    assert ours.publish("theirs/x") == 0x87
    broker.hang_up()
    assert theirs.connected and ours.connected and broker.running




def broker_plugins(broker):
    """2.1's own plugins for password_file and acl_file, as plugin lines."""
    folder = next(iter(Path(BROKER).parent.parent.glob("lib/**/mosquitto_password_file.so")), None)
    if not folder:
        pytest.skip("password_file and acl_file are plugins since Mosquitto 2.1")
    password_file, acl_file = broker.folder / "passwd", broker.folder / "acl"
    password_file.write_text(f"theirs:{passwords.mosquitto_7('pw')}\n")
    acl_file.write_text("user theirs\ntopic readwrite theirs/#\n")
    for path in (password_file, acl_file):
        path.chmod(0o600)
    return [f"plugin {folder}", f"plugin_opt_password_file {password_file}",
            f"plugin {folder.with_name('mosquitto_acl_file.so')}", f"plugin_opt_acl_file {acl_file}"]


@pytest.mark.parametrize("order", ["before", "after"])
def test_the_brokers_file_plugins(make_broker, order):
    """
    Ours before them: each decides for its own clients. Ours behind them: the broker's password_file plugin refuses whom it does not
    know at once, so that ours is never asked for a client of its own.
    """
    broker = make_broker(POLICY, start=False, options={"mode": "coexist"})
    theirs = broker_plugins(broker)
    broker.plugin_lines = broker.plugin_block() + theirs if order == "before" else theirs + broker.plugin_block()
    broker.start()
    client = broker.client("c1", "theirs", "pw", version=V5).open()
    assert client.publish("theirs/x") == 0 and client.publish("devices/theirs/data") == 0x87
    assert broker.client("c3", "theirs", "wrong", version=V5).connect() == 0x87
    if order == "after":
        assert broker.client("c2", "ours", "pw", version=V5).connect() == 0x87
        return
    ours = broker.client("c2", "ours", "pw", version=V5).open()
    assert ours.publish("devices/ours/data") == 0 and ours.publish("theirs/x") == 0x87
    broker.hang_up()
    assert client.connected and ours.connected
    assert client.publish("theirs/x") == 0 and ours.publish("devices/ours/data") == 0


@pytest.mark.parametrize("order", ["before", "after"])
def test_strict_beside_the_brokers_file_plugins(make_broker, order):
    """
    Strict before them is alone. Behind them it is asked only about what they did not allow: for the broker the first yes counts,
    which is why the manual wants it first.
    """
    broker = make_broker(POLICY, start=False, options={"mode": "strict"})
    theirs = broker_plugins(broker)
    broker.plugin_lines = broker.plugin_block() + theirs if order == "before" else theirs + broker.plugin_block()
    broker.start()
    client = broker.client("c1", "theirs", "pw", version=V5)
    assert client.connect() == (0x87 if order == "before" else 0)
    if order == "after":
        assert client.publish("theirs/x") == 0 and client.publish("devices/theirs/data") == 0x87
        return
    ours = broker.client("c2", "ours", "pw", version=V5).open()
    assert ours.publish("devices/ours/data") == 0 and ours.publish("theirs/x") == 0x87
