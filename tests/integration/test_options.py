"""Options: a mistake stops the start and says what would have been right; where the plugin may stand in mosquitto.conf."""
import signal

import pytest

from support.broker import PLUGIN, BrokerFailed, wait_until
from support.client import V5
from test_rules import EVERYONE, users

POLICY = users("a") + EVERYONE

MISTAKES = {
    # option: (value, words the log must hold)
    "polcy_file": ("x", ["polcy_file", "policy_file"]),
    "jwt_isuer": ("x", ["jwt_isuer", "jwt_issuer"]),
    "auth_method": ("password", ["auth_method", "auth_methods"]),
    "auth_methods": ("password,tokn", ["auth_methods", "tokn", "token"]),
    "jwt_leeway": ("-1", ["jwt_leeway", "-1"]),
    "jwt_leeway ": ("ten", ["jwt_leeway", "ten"]),
    "identity_check": ("maybe", ["identity_check", "maybe", "reject", "log"]),
    "cert_identity": ("shoe_size", ["cert_identity", "expected", "san.dns"]),
    "audit_publish": ("sometimes", ["audit_publish", "sometimes"]),
    "jwt_algorithms": ("RS256,none", ["none"]),
}


@pytest.mark.parametrize("option", MISTAKES)
def test_mistake_stops_the_start(make_broker, option):
    value, words = MISTAKES[option]
    options = {"auth_methods": "password"} if option not in ("jwt_algorithms", "jwt_leeway", "jwt_leeway ") else {}
    broker = make_broker(POLICY, start=False, options={**options, option.strip(): value})
    with pytest.raises(BrokerFailed) as failed:
        broker.start()
    assert failed.value.code not in (0, None) and failed.value.code > 0, "it must end in order, not by a signal"
    for word in words:
        assert word in failed.value.log, f"'{word}' is missing in:\n{failed.value.log}"


@pytest.mark.parametrize("option,content", [
    ("policy_file", None), ("jwt_jwks_file", None), ("jwt_jwks_file", "{}"), ("jwt_jwks_file", '{"keys":[]}'),
    ("audit_signing_key_file", None), ("config", None), ("config", "no_such_option 1\n")])
def test_bad_file_stops_the_start(make_broker, tmp_path, option, content):
    path = tmp_path / "the-file"
    if content is not None:
        path.write_text(content)
        path.chmod(0o600)
    broker = make_broker(POLICY, start=False, options={option: path})
    with pytest.raises(BrokerFailed) as failed:
        broker.start()
    assert "the-file" in failed.value.log or option in failed.value.log, failed.value.log
    assert failed.value.code > 0


def test_bad_policy_stops_the_start(make_broker):
    broker = make_broker(POLICY + "[role x]\ny = permit publish z\n", start=False)
    with pytest.raises(BrokerFailed) as failed:
        broker.start()
    line = len(broker.policy_file.read_text().splitlines())
    assert f"policy.conf:{line}" in failed.value.log, failed.value.log


def test_no_policy_at_all(make_broker):
    """Without any home for the policy nothing could ever be allowed: that is a mistake, and said."""
    broker = make_broker(None, start=False, options={"policy_file": None})
    try:
        broker.start()
    except BrokerFailed as failed:
        assert "policy_file" in failed.log
        return
    assert broker.client("c", "a", "pw").connect() == 5
    assert "policy_file" in broker.log()


def test_password_file_is_no_policy(make_broker, tmp_path):
    """The broker lets everybody do everything then. Whoever changes one line of the configuration is told what is missing."""
    passwords_file = tmp_path / "passwords"
    passwords_file.write_text("", encoding="utf-8")
    broker = make_broker(None, start=False, options={"policy_file": None, "password_file": passwords_file})
    with pytest.raises(BrokerFailed) as failed:
        broker.start()
    assert "policy_file, acl_file or redis_url (password_file says who may come, not what they may do)" in failed.value.log


def test_option_given_twice(make_broker):
    broker = make_broker(POLICY, start=False, options={"jwt_leeway": ["1", "2"]})
    with pytest.raises(BrokerFailed) as failed:
        broker.start()
    assert "jwt_leeway" in failed.value.log and "twice" in failed.value.log


def test_secret_that_others_may_read(make_broker, issuer, tmp_path):
    """A key file with an HMAC secret in it, readable by the world: the log names it and says what to do."""
    keys = tmp_path / "keys.json"
    keys.write_text(issuer.jwks_file.read_text())
    keys.chmod(0o644)
    broker = make_broker(POLICY, options=issuer.options(jwt_jwks_file=keys))
    broker.client("c", "a", "pw").open()
    assert "keys.json holds a secret" in broker.log() and "chmod 640" in broker.log()


# --- where the plugin stands

@pytest.mark.memory
def test_loaded_twice(make_broker, broker_version):
    """
    The same file on two `plugin` lines: two instances that share nothing but their code. 2.0 takes a callback only once for the
    same listeners, so there it is a mistake, and said.
    """
    broker = make_broker(POLICY, start=False)
    second_audit = broker.folder / "audit2"
    second_audit.mkdir()
    first = broker.plugin_block()
    second = [line.replace(str(broker.audit_dir), str(second_audit)) for line in first]
    broker.plugin_lines = first + second
    if broker_version < (2, 1):
        with pytest.raises(BrokerFailed) as failed:
            broker.start()
        assert "twice" in failed.value.log and failed.value.code > 0, failed.value.log
        return
    broker.start()
    a = broker.client("a-id", "a", "pw", version=V5).open()
    assert a.publish("devices/a/data") == 0
    assert a.publish("devices/b/data") == 0x87
    broker.hang_up(POLICY.replace("alarms/#", "alerts/#"))
    assert a.publish("alarms/1") == 0x87, "the first instance has the new policy"
    a.close()
    broker.trail.one("mqtt-connect")
    from support.audit import Trail
    broker.stop()
    Trail(second_audit).validate()


def test_per_listener_settings(make_broker):
    """Two listeners, two policies: each client lives under the one of its own listener."""
    broker = make_broker(None, start=False, listeners=("plain", "plain2"), conf="per_listener_settings true", plugin_lines=[])
    policies = {"plain": POLICY, "plain2": POLICY.replace("alarms/#", "alerts/#")}
    trails = {}
    for name, policy in policies.items():
        path, audit = broker.folder / f"{name}.conf", broker.folder / f"audit-{name}"
        audit.mkdir()
        path.write_text(policy)
        trails[name] = audit
        lines = [line.replace(str(broker.policy_file), str(path)).replace(str(broker.audit_dir), str(audit))
                 for line in broker.plugin_block()]
        broker.listener_conf[name] = "allow_anonymous false\n" + "\n".join(lines)
    broker.start()
    one = broker.client("c1", "a", "pw", version=V5, listener="plain").open()
    two = broker.client("c2", "a", "pw", version=V5, listener="plain2").open()
    assert [one.publish("alarms/1"), one.publish("alerts/1")] == [0, 0x87]
    assert [two.publish("alarms/1"), two.publish("alerts/1")] == [0x87, 0]
    one.close()
    two.close()
    broker.stop()
    from support.audit import Trail
    for audit in trails.values():
        trail = Trail(audit)
        trail.validate()
        assert len(trail.events("mqtt-connect")) == len(trail.events("mqtt-disconnect")) == 1


@pytest.mark.timing
def test_token_expiry_with_per_listener_settings(make_broker, issuer):
    """2.0.11 raises no TICK with per_listener_settings: what the plugin does by time must not depend on it alone."""
    broker = make_broker(EVERYONE, start=False, listeners=("plain",), conf="per_listener_settings true", plugin_lines=[],
                         options=issuer.options())
    broker.listener_conf["plain"] = "allow_anonymous false\n" + "\n".join(broker.plugin_block())
    broker.start()
    a = broker.client("c1", "a", issuer.token("a", lifetime=2), version=V5).open()
    assert a.publish("devices/a/data") == 0
    import time
    time.sleep(2.2)
    assert a.publish("devices/a/data") in (0x87, None), "allowed after exp"


def test_an_edit_with_per_listener_settings(make_broker):
    """Without TICK (2.0.11) an edit is taken in by the next publish, though nobody logs in or leaves."""
    broker = make_broker(POLICY, start=False, listeners=("plain",), conf="per_listener_settings true", plugin_lines=[])
    broker.listener_conf["plain"] = "allow_anonymous false\n" + "\n".join(broker.plugin_block())
    broker.start()
    a = broker.client("c1", "a", "pw", version=V5).open()
    assert [a.publish("devices/a/data") for _ in range(20)] == [0] * 20
    broker.write_policy(POLICY.replace("devices/${", "things/${"))
    broker.process.send_signal(signal.SIGHUP)
    wait_until(lambda: a.publish("devices/a/data") == 0x87, 5, "the edit")
    assert a.publish("things/a/data") == 0


def test_two_dot_one_placement(make_broker, broker_version):
    """2.1: one instance, defined once and used by two listeners; its events are counted once."""
    if broker_version < (2, 1):
        pytest.skip("plugin_load and plugin_use came with Mosquitto 2.1")
    broker = make_broker(POLICY, start=False, listeners=("plain", "plain2"))
    broker.plugin_lines = [line.replace(f"plugin {PLUGIN}", f"plugin_load guard {PLUGIN}") for line in broker.plugin_block()]
    broker.listener_conf = {"plain": "plugin_use guard", "plain2": "plugin_use guard"}
    broker.start()
    for name in ("plain", "plain2"):
        client = broker.client(name, "a", "pw", version=V5, listener=name).open()
        assert client.publish("devices/a/data") == 0
        assert client.publish("devices/b/data") == 0x87
    broker.hang_up(POLICY.replace("alarms/#", "alerts/#"))
    broker.trail.wait("mqtt-connect", 2)
    broker.trail.wait("mqtt-publish", 4)
    assert broker.client("c3", "a", "pw", version=V5, listener="plain2").open().publish("alerts/1") == 0


@pytest.mark.parametrize("word", ["plugin", "auth_plugin", "global_plugin"])
def test_words_for_a_plugin(make_broker, broker_version, word):
    """The old word means the same; 2.1's global_plugin also where per_listener_settings would want one below each listener."""
    newer = word == "global_plugin"
    if newer and broker_version < (2, 1):
        pytest.skip("global_plugin came with Mosquitto 2.1")
    broker = make_broker(POLICY, start=False, listeners=("plain", "plain2"), conf="per_listener_settings true" if newer else "")
    broker.plugin_lines = [line.replace(f"plugin {PLUGIN}", f"{word} {PLUGIN}") for line in broker.plugin_block()]
    broker.listener_conf = dict.fromkeys(("plain", "plain2"), "allow_anonymous false" if newer else "")
    broker.start()
    for name in ("plain", "plain2"):
        client = broker.client(name, "a", "pw", version=V5, listener=name).open()
        assert client.publish("devices/a/data") == 0 and client.publish("devices/b/data") == 0x87
        assert broker.client("x", "a", "wrong", version=V5, listener=name).connect() == 0x87
        client.close()
    broker.trail.wait("mqtt-connect", 2, event__outcome="success")


def test_two_instances_by_name(make_broker, broker_version):
    """2.1: the same file loaded under two names, each with a policy of its own, without per_listener_settings."""
    if broker_version < (2, 1):
        pytest.skip("plugin_load and plugin_use came with Mosquitto 2.1")
    broker = make_broker(None, start=False, listeners=("plain", "plain2"))
    lines, trails = [], []
    for name, policy in ("plain", POLICY), ("plain2", POLICY.replace("alarms/#", "alerts/#")):
        path, audit = broker.folder / f"{name}.conf", broker.folder / f"audit-{name}"
        audit.mkdir()
        path.write_text(policy)
        trails.append(audit)
        block = "\n".join(broker.plugin_block()).replace(str(broker.policy_file), str(path)).replace(str(broker.audit_dir), str(audit))
        lines += block.replace(f"plugin {PLUGIN}", f"plugin_load {name} {PLUGIN}").splitlines()
        broker.listener_conf[name] = f"plugin_use {name}"
    broker.plugin_lines = lines
    broker.start()
    one = broker.client("c1", "a", "pw", version=V5, listener="plain").open()
    two = broker.client("c2", "a", "pw", version=V5, listener="plain2").open()
    assert [one.publish("alarms/1"), one.publish("alerts/1")] == [0, 0x87]
    assert [two.publish("alarms/1"), two.publish("alerts/1")] == [0x87, 0]
    one.close()
    two.close()
    broker.stop()
    from support.audit import Trail
    for audit in trails:
        trail = Trail(audit)
        trail.validate()
        assert len(trail.events("mqtt-connect")) == len(trail.events("mqtt-disconnect")) == 1
