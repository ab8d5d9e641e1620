"""Who may come in how: TLS required, bindings, client ids, takeover, names that mean something in topics, secrets kept."""
import base64
import http.client
import json
import os
import signal
import socket
import statistics
import time

import pytest

from support import passwords
from support.broker import BrokerFailed, free_ports
from support.client import REFUSED, V5, V311
from support.raw import RawClient, connect_packet
from support.tls import TlsClient
from support.tokens import damaged
from test_enhanced import connect as enhanced
from test_enhanced import properties, publish, variable
from test_rules import EVERYONE, users
from test_ways_in import RULES


def reasons(broker, count):
    return [e["event"]["reason"] for e in broker.trail.wait("mqtt-connect", count, event__outcome="failure")]


# --- require_tls

def test_require_tls_by_port(make_broker, issuer, pki, broker_version):
    """2.1 tells the listener's port: the same password is good over TLS and refused without."""
    if broker_version < (2, 1):
        pytest.skip("2.0 does not tell ports")
    broker = make_broker(users("a") + EVERYONE, listeners=("plain", "tls", "ws", "wss"), pki=pki, require_certificate=False, start=False)
    broker.ports = dict(zip(broker.listeners, free_ports(4)))
    broker.options.update(issuer.options(require_tls="yes", tls_ports=f"{broker.ports['tls']},{broker.ports['wss']}",
                                         jwt_in_username="yes", auth_throttle="no"))
    broker.start()
    for listener, code in (("tls", 0), ("wss", 0), ("plain", 0x87), ("ws", 0x87)):
        assert broker.client("c", "a", "pw", version=V5, listener=listener).connect() == code, listener
        assert broker.client("c", "a", issuer.token("a"), version=V5, listener=listener).connect() == code, listener
    with RawClient(broker.ports["plain"]) as raw:
        assert raw.connect("c", issuer.token("a"), version=5) == 0x87, "a token in the user name is a credential, too"
    with RawClient(broker.ports["plain"]) as raw:
        assert enhanced(raw, issuer.token("a")) == 0x87, "a token as authentication data as well"
    assert reasons(broker, 6) == ["protocol_version_denied"] * 6


def test_require_tls_by_listener(make_broker, pki, broker_version):
    """2.0: one instance of the plugin a listener, and the one on the TLS listener says so."""
    from support.broker import PLUGIN
    broker = make_broker(users("a") + EVERYONE, listeners=("plain", "tls"), pki=pki, require_certificate=False,
                         conf="per_listener_settings true", plugin_lines=[], start=False)

    def block(folder, *more):
        (broker.folder / folder).mkdir()
        return "\n".join([f"plugin {PLUGIN}", f"plugin_opt_policy_file {broker.policy_file}", "plugin_opt_auth_methods password",
                          "plugin_opt_require_tls yes", f"plugin_opt_audit_dir {broker.folder / folder}", *more])
    broker.listener_conf = {"plain": block("audit-plain"), "tls": block("audit-tls", "plugin_opt_tls_ports all")}
    broker.start()
    assert broker.client("c1", "a", "pw", listener="tls").connect() == 0
    assert broker.client("c2", "a", "pw", listener="plain").connect() == 5


def test_client_certificate_proves_tls(make_broker, issuer, pki):
    """On every version: who shows a certificate has TLS."""
    options = issuer.options(auth_methods="certificate+token", require_tls="yes")
    broker = make_broker(EVERYONE, options=options, listeners=("tls", "plain"), pki=pki)
    with TlsClient(broker.ports["tls"], pki, pki.client("gate")) as client:
        assert client.connect("c", None, issuer.token("gate"), version=5) == 0
    with RawClient(broker.ports["plain"]) as client:
        assert client.connect("c", None, issuer.token("gate"), version=5) == 0x87


@pytest.mark.parametrize("ports", ["x", "1883;8883", "0", "70000", "8883,"])
def test_tls_ports_that_are_none(make_broker, ports):
    broker = make_broker(EVERYONE, options={"require_tls": "yes", "tls_ports": ports}, start=False)
    with pytest.raises(BrokerFailed) as failed:
        broker.start()
    assert "tls_ports" in failed.value.log


# --- tokens elsewhere, bindings

def test_token_in_the_user_name(make_broker, issuer, version):
    """Only if asked for; the session's name is the token's subject, not the token."""
    broker = make_broker(EVERYONE, options=issuer.options(jwt_in_username="yes"))
    client = broker.client("c", issuer.token("a"), "", version=version).open()
    assert client.publish("devices/a/data") == 0
    off = make_broker(EVERYONE, options=issuer.options())
    assert off.client("c", issuer.token("a"), "", version=version).connect() == REFUSED[version]
    token = issuer.token("b")
    off.client("c", token, "", version=version).connect()
    assert token.encode() not in b"".join(off.trail.lines()), "a token stands in the trail"


@pytest.mark.parametrize("binding", ["required", "optional"])
def test_bound_names(make_broker, issuer, binding):
    broker = make_broker(EVERYONE, options=issuer.options(jwt_bind_client_id=binding, jwt_bind_username=binding, auth_throttle="no"))

    def answer(client_id, username):
        with RawClient(broker.ports["plain"]) as raw:
            return raw.connect(client_id, username, issuer.token("a"), version=5)
    assert answer("a", "a") == 0
    assert answer("b", "a") == 0x87
    assert answer("a", "b") == 0x87
    assert answer("a", None) == (0x87 if binding == "required" else 0)
    assert set(reasons(broker, 3 if binding == "required" else 2)) == {"client_id_mismatch"}


# --- client ids, takeover

def test_client_ids_of_a_record(make_broker, version):
    policy = f"[client a]\npassword = {passwords.mosquitto_7('pw')}\nclient_id = one, \"two 2\"\n" + EVERYONE
    broker = make_broker(policy)
    for client_id, good in (("one", True), ("two 2", True), ("three", False), ("one-more", False), ("two", False), ("", False)):
        code = broker.client(client_id, "a", "pw", version=version).connect()
        assert (code == 0) == good, client_id


@pytest.mark.parametrize("takeover", ["same-user", "any"])
def test_takeover(make_broker, version, takeover):
    broker = make_broker(users("a", "b") + EVERYONE, options={"client_takeover": takeover})
    first = broker.client("id", "a", "pw", version=version).open()
    code = broker.client("id", "b", "pw", version=version).connect()
    if takeover == "any":
        assert code == 0 and first.wait_gone(2)
    else:
        assert code == REFUSED[version] and first.publish("devices/a/data") == 0
        broker.client("id", "a", "pw", version=version).open()
        assert first.wait_gone(2), "the same user may, for instance after a drop"
        assert reasons(broker, 1) == ["client_id_mismatch"]


NAMES = ["a+b", "#", "a/b", "+", "a#"]


@pytest.mark.parametrize("check", ["reject", "log"])
def test_names_with_a_meaning_in_topics(make_broker, version, check):
    """Such a name must never widen a rule it is put into."""
    policy = "".join(f'[client "{n}"]\npassword = {passwords.mosquitto_7("pw")}\n' for n in NAMES)
    broker = make_broker(policy + EVERYONE, options={"identity_check": check})
    for number, name in enumerate(NAMES):
        client = broker.client(f"c{number}", name, "pw", version=version)
        code = client.connect()
        if check == "reject":
            assert code == REFUSED[version], name
            continue
        assert code == 0
        assert client.subscribe("devices/other/commands") >= 0x80
        assert client.subscribe("devices/+/commands") >= 0x80
        assert client.subscribe("devices/#") >= 0x80
    for number, client_id in enumerate(["x/y", "x+", "#"]):
        client = broker.client(client_id, version=version)
        assert client.connect() == REFUSED[version]


# --- how long a refusal takes

@pytest.mark.timing
def test_unknown_users_take_as_long_as_known_ones(make_broker):
    """Interleaved, so that what else this machine does hits both alike; compared by medians."""
    stored = {f"user-{n}": passwords.mosquitto_7("pw", 30_000) for n in range(4)}
    policy = "".join(f"[client {name}]\npassword = {hash}\n" for name, hash in stored.items())
    broker = make_broker(policy + "[client no-password]\nroles = device\n" + EVERYONE, options={"auth_throttle": "no"})
    times = {"user-1": [], "stranger": [], "no-password": []}
    for number in range(120):
        for name, taken in times.items():
            with RawClient(broker.ports["plain"]) as raw:
                packet = connect_packet(f"c{number}", name, f"guess-{number}", version=5)
                began = time.perf_counter()
                raw.send(packet)
                assert raw.read()[1][1] == 0x87
                taken.append(time.perf_counter() - began)
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    for name in ("stranger", "no-password"):
        assert 0.75 < medians[name] / medians["user-1"] < 1.33, medians


# --- guessing locks nobody out

def from_address(broker, address, client_id, username, password):
    raw = RawClient.__new__(RawClient)
    raw.socket = socket.create_connection(("127.0.0.1", broker.ports["plain"]), timeout=20, source_address=(address, 0))
    with raw:
        return raw.connect(client_id, username, password, version=5)


@pytest.mark.memory
def test_a_guesser_locks_out_no_device(make_broker):
    """Behind the guesser's address: who was here before comes in, who is new has to wait. From elsewhere: everybody comes in."""
    broker = make_broker(users("old", "new") + EVERYONE, options={"auth_throttle_failures": "5"})
    assert from_address(broker, "127.0.0.3", "old-id", "old", "pw") == 0
    for number in range(40):
        assert from_address(broker, "127.0.0.3", f"g{number}", ("old", "new", f"user-{number}")[number % 3], "guess") == 0x87
    assert from_address(broker, "127.0.0.3", "old-id", "old", "pw") == 0, "a known device is locked out by its neighbour"
    assert from_address(broker, "127.0.0.3", "new-id", "new", "pw") == 0x87
    assert from_address(broker, "127.0.0.4", "new-id", "new", "pw") == 0, "a user name is blocked everywhere"
    assert from_address(broker, "127.0.0.4", "old-2", "old", "pw") == 0


# --- enhanced authentication is no way around

def test_enhanced_without_tokens(make_broker, issuer):
    """Where tokens are no way in, the method does not exist, whatever keys are configured."""
    broker = make_broker(EVERYONE, options=issuer.options(auth_methods="certificate,password"))
    with RawClient(broker.ports["plain"]) as raw:
        assert enhanced(raw, issuer.token("a")) == 0x8C


@pytest.mark.memory
def test_enhanced_with_certificate(make_broker, issuer, pki):
    """certificate+token asks for both, also of a token that is authentication data."""
    options = issuer.options(auth_methods="certificate+token", auth_throttle="no")
    broker = make_broker(EVERYONE, options=options, listeners=("plain", "tls"), pki=pki)
    with RawClient(broker.ports["plain"]) as raw:
        assert enhanced(raw, issuer.token("gate")) == 0x87
    with TlsClient(broker.ports["tls"], pki, pki.client("other")) as client:
        assert enhanced(client, issuer.token("gate")) == 0x87
    with TlsClient(broker.ports["tls"], pki, pki.client("gate")) as client:
        assert enhanced(client, issuer.token("gate")) == 0
        assert publish(client, "devices/gate/data") in (0, 0x10)
    assert reasons(broker, 2) == ["cert_missing", "cert_identity_mismatch"]


def reauthenticate(raw, token):
    raw.send(b"\xf0" + variable(b"\x19" + variable(properties(token))))
    answer = raw.read()
    return answer is not None and answer[0] == 0xF0 and answer[1][0] == 0


def test_renewal_is_judged_like_a_login(make_broker, redis, issuer, eventually):
    """A renewal with a revoked token, or of a user that was disabled meanwhile, is refused and changes nothing for the better."""
    redis.load(EVERYONE)
    broker = make_broker(EVERYONE, options={**issuer.options(auth_throttle="no"), "redis_url": redis.url})
    time.sleep(0.5)
    with RawClient(broker.ports["plain"]) as raw:
        assert enhanced(raw, issuer.token("a", jti="one")) == 0
        assert reauthenticate(raw, issuer.token("a", jti="two"))
        redis("SET", "guard:revoked:jti:three", "stolen")
        redis("INCR", "guard:version")
        time.sleep(0.6)
        assert not reauthenticate(raw, issuer.token("a", jti="three"))
    with RawClient(broker.ports["plain"]) as raw:
        assert enhanced(raw, issuer.token("b", jti="four")) == 0
        redis("HSET", "guard:client:b", "disabled", "true")
        redis("INCR", "guard:version")
        eventually(lambda: raw.read() is None or True, 1, "the kick")
    with RawClient(broker.ports["plain"]) as raw:
        assert enhanced(raw, issuer.token("b", jti="five")) == 0x87


def test_roles_change_with_the_renewed_token(make_broker, issuer):
    """Rights are swapped in place: the connection stays, what it may do is what the new token says."""
    policy = "[role reader]\nr = allow publish reader/x\n[role writer]\nw = allow publish writer/x\n"
    broker = make_broker(policy, options=issuer.options(jwt_roles_claim="roles"))
    with RawClient(broker.ports["plain"]) as raw:
        assert enhanced(raw, issuer.token("a", roles=["reader"])) == 0
        assert publish(raw, "reader/x") in (0, 0x10) and publish(raw, "writer/x") == 0x87
        assert reauthenticate(raw, issuer.token("a", roles=["writer"]))
        assert publish(raw, "reader/x") == 0x87 and publish(raw, "writer/x") in (0, 0x10)


def test_rules_in_the_token(make_broker, issuer):
    """docs/policy.md, "Rules in the token": what they add, what a bound role still forbids, and that a claim with one bad rule is none."""
    policy = "[role device]\nown = allow publish devices/${username}\nno = deny publish x/no\n" \
             "[role fence]\nconfig = deny publish x/config/#\n[default]\nroles = device, fence:1\n"
    broker = make_broker(policy, options=issuer.options())
    with RawClient(broker.ports["plain"]) as raw:
        rules = ["allow publish x/#", "allow publish x/config/a priority=7", "allow subscribe answers/${client_id}"]
        assert enhanced(raw, issuer.token("a", acl=rules)) == 0
        assert [publish(raw, topic) for topic in ("devices/a", "x/1")] == [0x10] * 2  # taken, nobody has subscribed
        assert [publish(raw, topic) for topic in ("x/no", "x/config/a", "y")] == [0x87] * 3
        assert reauthenticate(raw, issuer.token("a", acl={"pub": ["y"], "sub": ["answers/#"]}))
        assert publish(raw, "y") == 0x10 and publish(raw, "x/1") == 0x87
        assert not reauthenticate(raw, issuer.token("a", acl=["allow publish z", "allow publish z/#/z"]))
    named = [e["rule"]["id"] for e in broker.trail.wait("mqtt-publish", 3, event__outcome="success")]
    assert named == ["device/own", "token/acl.1", "token/acl.1"]
    fenced = broker.trail.events("mqtt-publish", event__outcome="failure")[1]
    assert fenced["rule"]["id"] == "fence/config"
    for claim in ("readers", [{"permission": "allow", "action": "publish", "topic": "z", "qos": [1, 2]}], ["allow publish z"] * 257):
        assert broker.client("b-id", "b", issuer.token("b", acl=claim)).connect() == 5
    assert reasons(broker, 4) == ["jwt_missing_claim"] * 4
    assert "rule 2" in broker.log() and "more than 256 rules" in broker.log()


# --- SIGHUP

def test_reload_drops_no_good_session(make_broker, issuer, pki):
    """All kinds of sessions, and an expired one: it goes, they stay, none is verified again."""
    slow = passwords.mosquitto_7("pw", 100_000)
    policy = f"[client slow]\npassword = {slow}\n" + users("quick") + EVERYONE + "[assign]\nguests = device when anonymous\n"
    broker = make_broker(policy, options=issuer.options(), listeners=("plain", "tls"), pki=pki)
    stay = [broker.client("c1", "slow", "pw", version=V5).open(), broker.client("c2", "quick", "pw", version=V311).open(),
            broker.client("c3", "t", issuer.token("t"), version=V5).open(), broker.client("c4", version=V311).open()]
    stay.append(broker.client("c5", version=V5, listener="tls", certificate=pki.client("gate")).open())
    raw = RawClient(broker.ports["plain"])
    assert enhanced(raw, issuer.token("e"), client_id="c6") == 0
    with_password = RawClient(broker.ports["plain"])  # a method, and a password that nobody has looked at
    from support.raw import packet, text
    with_password.send(packet(0x10, text("MQTT") + bytes([5, 0xC2, 0, 60]) + variable(properties(issuer.token("e"))) +
                              text("c7") + text("e") + text("whatever")))
    assert with_password.read()[1][1] == 0
    before = broker.cpu_seconds()
    for _ in range(5):
        broker.hang_up()
    assert broker.cpu_seconds() - before < 1.0
    for client in stay:
        assert client.connected and client.publish("devices/x/data", qos=0) == 0 and client.connected
    assert publish(raw, "devices/e/data") in (0, 0x10) and publish(with_password, "devices/e/data") in (0, 0x10)
    raw.close()
    with_password.close()
    assert len(broker.trail.events("mqtt-connect")) == 7, "a re-check is no log-in"


# --- the HTTP API

@pytest.mark.timing
def test_http_api_takes_its_time(make_broker, redis, broker_version, eventually):
    """Unknown users cost what known ones cost, failures are slow, bans hold; the broker thread's throttle is left alone."""
    if broker_version < (2, 1):
        pytest.skip("the HTTP API came with Mosquitto 2.1")
    policy = f"[client ops]\npassword = {passwords.mosquitto_7('pw', 30_000)}\nroles = api\n[role api]\nr = allow receive /api/#\n"
    redis.load(policy)
    broker = make_broker("", options={"redis_url": redis.url, "policy_file": None, "auth_throttle_failures": "2"}, start=False)
    port = free_ports(1)[0]
    plain = broker.configuration
    broker.configuration = lambda: plain() + f"listener {port} 127.0.0.1\nprotocol http_api\n"
    broker.start()

    def get(user, password):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        connection.request("GET", "/api/v1/version", headers={"Authorization": f"Basic {token}"})
        return connection.getresponse().status
    eventually(lambda: get("ops", "pw") == 200, 5, "the policy")
    taken = {}
    for user in ("ops", "stranger"):
        each = []
        for _ in range(7):
            began = time.perf_counter()
            assert get(user, "wrong") == 401
            each.append(time.perf_counter() - began)
        taken[user] = statistics.median(each)
    assert taken["ops"] > 0.2 and 0.8 < taken["stranger"] / taken["ops"] < 1.25, taken
    assert get("ops", "pw") == 200
    assert broker.client("c", "ops", "pw", version=V5).connect() == 0, "guesses at the API are not counted for MQTT"
    redis("SET", "guard:ban:user:ops", "left")
    redis("INCR", "guard:version")
    eventually(lambda: get("ops", "pw") == 401, 3, "the ban")


# --- secrets

@pytest.mark.memory
def test_no_secret_is_written_anywhere(make_broker, issuer, pki):
    """Passwords, tokens and hashes are planted everywhere a client can put them; log, audit and folder are searched."""
    good, wrong = "Plant-good-" + os.urandom(6).hex(), "Plant-wrong-" + os.urandom(6).hex()
    stored = passwords.mosquitto_7(good, 30_000)
    broker = make_broker(f"[client a]\npassword = {stored}\n" + EVERYONE, listeners=("plain", "tls"), pki=pki,
                         options=issuer.options(auth_throttle="no", audit_failed_user="full"))
    tokens = [issuer.token("t"), damaged(issuer.token("u")), issuer.token("v", lifetime=-5), issuer.token("w", kid="nobody")]
    for secret in (good, wrong):
        broker.client("c1", "a", secret, version=V5).connect()
        broker.client("c1", "nobody", secret, version=V311).connect()
        broker.client("c1", "a", secret, listener="tls", certificate=pki.client("a"), version=V5).connect()
    for token in tokens:
        broker.client("c2", "t", token, version=V5).connect()
        with RawClient(broker.ports["plain"]) as raw:
            raw.connect("c2", None, token, version=5)
        with RawClient(broker.ports["plain"]) as raw:
            raw.connect("c2", token, "whatever", version=5)
        with RawClient(broker.ports["plain"]) as raw:
            enhanced(raw, token)
    broker.process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    broker.stop()
    secrets = [good, wrong, stored, stored.rsplit("$", 1)[1]] + [part for t in tokens for part in t.split(".")[1:]]
    written = {path: path.read_bytes() for path in broker.folder.rglob("*")
               if path.is_file() and path not in (broker.policy_file,)}
    assert any("audit" in str(path) for path in written) and broker.log_file in written
    for path, content in written.items():
        for secret in secrets:
            assert secret.encode() not in content, f"{path} holds a secret"
    lines = [json.loads(line) for line in broker.trail.lines()]
    assert len([e for e in lines if e["event"]["action"] == "mqtt-connect"]) >= 16
