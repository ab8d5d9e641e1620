"""guardctl import dynamic-security: what was made of it against the real plugin in a real broker."""
import base64
import hashlib
import json
import random
import subprocess
from pathlib import Path

import pytest

from support import broker as broker_module
from support.broker import free_ports, wait_until
from support.client import V5, Client

PLUGINS = [Path(broker_module.BROKER).parent.parent / "lib/mosquitto_dynamic_security.so",
           Path("/usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so")]


def client(name, password, **more):
    salt = b"0123456789ab"
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101, 64)
    return {"username": name, "salt": base64.b64encode(salt).decode(), "iterations": 101,
            "password": base64.b64encode(key).decode()} | more


def acl(kind, topic, allow=True, priority=0):
    return {"acltype": kind, "topic": topic, "allow": allow, "priority": priority}


def document():
    send, receive, literal, pattern = "publishClientSend", "publishClientReceive", "subscribeLiteral", "subscribePattern"
    return {
        "defaultACLAccess": {send: False, receive: True, "subscribe": False, "unsubscribe": True},
        "clients": [
            client("ann", "apple", roles=[{"rolename": "device", "priority": 1}, {"rolename": "guest"}]),
            client("bob", "berry", roles=[{"rolename": "guest", "priority": 5}], clientid="bob-1"),
            client("eve", "elder", disabled=True, roles=[{"rolename": "all"}]),
            client("gus", "grape"),
            client("root", "secret", roles=[{"rolename": "all"}]),
        ],
        "groups": [
            {"groupname": "wide", "roles": [{"rolename": "all", "priority": 3}, {"rolename": "device"}],
             "clients": [{"username": "gus", "priority": 2}]},
            {"groupname": "narrow", "roles": [{"rolename": "locked"}], "clients": [{"username": "gus", "priority": 7},
                                                                                   {"username": "bob"}]},
            {"groupname": "nobody", "roles": [{"rolename": "guest"}], "clients": []},
        ],
        "anonymousGroup": "nobody",
        "roles": [
            {"rolename": "device", "acls": [acl(send, "a/#"), acl(send, "a/secret", False, 5), acl(send, "a/+/x", False, 2),
                                            acl(send, "a/1/x", True, 3), acl(literal, "a/#"), acl(pattern, "b/+/c"),
                                            acl(literal, "b/1/c", False, -5)]},
            {"rolename": "guest", "acls": [acl(send, "a/secret"), acl(send, "g/${username}"), acl(pattern, "g/#"),
                                           acl(send, "b/1", False), acl(send, "b/+")]},
            {"rolename": "locked", "acls": [acl(send, "a/1/#", False), acl(receive, "a/#", False)]},
            {"rolename": "all", "acls": [acl(send, "#"), acl(pattern, "b/#"), acl(pattern, "a/+")]},
        ],
    }


@pytest.fixture
def dynsec(tmp_path):
    """A broker with the plugin and the document; what a Client needs of it."""
    plugin = next((p for p in PLUGINS if p.is_file()), None)
    assert plugin, "the broker has no dynamic-security plugin"
    port = free_ports(1)[0]
    (tmp_path / "dynsec.json").write_text(json.dumps(document()))
    (tmp_path / "mosquitto.conf").write_text(f"user root\nlistener {port} 127.0.0.1\nallow_anonymous false\nplugin {plugin}\n"
                                             f"plugin_opt_config_file {tmp_path}/dynsec.json\n")
    with open(tmp_path / "log", "w", encoding="utf-8") as log:
        process = subprocess.Popen([broker_module.BROKER, "-c", tmp_path / "mosquitto.conf"], stdout=log, stderr=log)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(10)


def imported(guardctl, tmp_path, *options):
    made = guardctl("import", "dynamic-security", "--file", tmp_path / "dynsec.json", "-o", tmp_path / "policy.conf", *options)
    assert guardctl("check", tmp_path / "policy.conf").returncode == 0
    return made


class Place:
    """What a Client wants to know of a broker."""

    def __init__(self, port):
        self.port = port
        self.ports = {"plain": port}


WORDS = ["a", "b", "g", "1", "2", "x", "c", "secret", "${username}"]
NEAR = ["a/1/x", "a/secret", "a/1", "b/1", "a/2/x", "b/1/c", "g/1", "a/1/2"]  # where the order of the roles decides


def decisions(rng, count):
    for _ in range(count):
        levels = [rng.choice(WORDS) for _ in range(rng.randint(1, 3))] if rng.random() < 0.5 else rng.choice(NEAR).split("/")
        if rng.random() < 0.5:
            yield "publish", "/".join(levels)
        else:
            levels = [level if rng.random() < 0.7 else "+" for level in levels]
            yield "subscribe-only", "/".join(levels + ["#"] * (rng.random() < 0.4))


def test_the_same_decisions(guardctl, tmp_path, dynsec):
    made = imported(guardctl, tmp_path)
    assert made.returncode == 1 and "anonymousGroup 'nobody': clients without a user name" in made.stderr, made.stderr
    rng, asked, answers = random.Random(7), [], []
    for name, password in (("ann", "apple"), ("bob", "berry"), ("gus", "grape"), ("root", "secret")):
        who = Client(Place(dynsec), f"{name}-1", username=name, password=password, version=V5)
        wait_until(lambda who=who: who.connect() == 0)
        for action, topic in decisions(rng, 250):
            code = who.publish(topic) if action == "publish" else who.subscribe(topic)
            if action != "publish" and code < 128:
                who.unsubscribe(topic)
            asked.append({"username": name, "client_id": f"{name}-1", "action": action, "topic": topic})
            answers.append(code < 128)
        who.release()
    batch = "\n".join(map(json.dumps, asked)) + "\n"
    told = guardctl("explain", "--policy", tmp_path / "policy.conf", "--batch", input=batch)
    ours = [json.loads(line)["verdict"] == "allow" for line in told.stdout.splitlines()]
    assert len(ours) == len(answers), told.stderr
    differences = [(q, a) for q, a, o in zip(asked, answers, ours) if a != o]
    assert not differences, differences[:10]
    assert 100 < sum(answers) < 900


def verified(guardctl, tmp_path, *options):
    version = subprocess.run([broker_module.BROKER, "-h"], capture_output=True, text=True, check=False).stdout.split()[2][:3]
    return guardctl("import", "dynamic-security", "--file", tmp_path / "dynsec.json", "-o", tmp_path / "policy.conf",
                    "--broker", version, "--mosquitto", broker_module.BROKER, *options)


def test_verify_asks_the_real_plugin(guardctl, tmp_path):
    (tmp_path / "dynsec.json").write_text(json.dumps(document()))
    made = verified(guardctl, tmp_path, "--verify", "3000")
    assert "3000 decisions by seed 1, 0 stricter, 0 wider" in made.stderr, made.stderr
    assert (tmp_path / "policy.conf").exists()


def test_verify_needs_the_version_it_is_told_about(guardctl, tmp_path):
    (tmp_path / "dynsec.json").write_text(json.dumps(document()))
    made = verified(guardctl, tmp_path, "--verify", "10", "--mosquitto", "/nowhere/mosquitto")
    assert made.returncode == 2 and not (tmp_path / "policy.conf").exists()
    assert "--mosquitto PATH" in made.stderr


def test_verify_with_nobody_to_ask(guardctl, tmp_path):
    (tmp_path / "dynsec.json").write_text(json.dumps(document() | {"clients": []}))
    made = verified(guardctl, tmp_path, "--verify", "10")
    assert made.returncode == 2 and "nothing to verify" in made.stderr


def test_the_same_clients_get_in(guardctl, tmp_path, make_broker):
    (tmp_path / "dynsec.json").write_text(json.dumps(document()))
    imported(guardctl, tmp_path)
    broker = make_broker((tmp_path / "policy.conf").read_text())
    for client_id, name, password, fine in (("a-1", "ann", "apple", True), ("a-1", "ann", "apples", False),
                                            ("bob-1", "bob", "berry", True), ("bob-2", "bob", "berry", False),
                                            ("e-1", "eve", "elder", False), ("g-1", "gus", "grape", True)):
        assert (broker.client(client_id, username=name, password=password, version=V5).connect() == 0) == fine, (client_id, name)
    assert broker.client("anon", version=V5).connect() != 0


@pytest.mark.parametrize("role, told", [
    ({"acls": [acl("subscribePattern", "s/#", False)]}, "stricter: deny subscribePattern in role 'r'"),
    ({"acls": [acl("publishClientSend", "a/#/b")]}, "left out: role 'r': allow a/#/b: it is no valid topic filter"),
    ({"acls": [acl("unsubscribePattern", "a", False)]}, "wider: deny unsubscribe in role 'r'"),
    ({"acls": [acl("subscribeLiteral", "$share/g/a")]}, "left out: role 'r': allow $share/g/a"),
    ({"acls": [acl("subscribePattern", "+/x")]}, "stricter: subscribePattern in role 'r': its first +"),
    ({"allowwildcardsubs": False, "acls": [acl("subscribePattern", "a/#")]}, "wider: allowwildcardsubs of role 'r'"),
    ({"acls": [acl("publishClientSend", "a/x%u")]}, "left out: role 'r': allow a/x%u: it has %u or %c in a part"),
])
def test_what_differs_is_named(guardctl, tmp_path, role, told):
    (tmp_path / "dynsec.json").write_text(json.dumps({"roles": [{"rolename": "r"} | role]}))
    newer = "allowwildcardsubs" in role or "%u" in json.dumps(role)
    made = imported(guardctl, tmp_path, *(["--broker", "2.1"] if newer else []))
    assert made.returncode == 1 and told in made.stderr, made.stderr


def test_anonymous_and_placeholders(guardctl, tmp_path):
    source = document()
    source["roles"][1]["acls"].append(acl("publishClientSend", "u/%u/%c"))
    source["clients"].append({"username": "new", "encoded_password": "$7$101$MDEyMzQ1Njc4OWFi$" + "A" * 86 + "=="})
    (tmp_path / "dynsec.json").write_text(json.dumps(source))
    imported(guardctl, tmp_path, "--broker", "2.1", "--anonymous")
    text = (tmp_path / "policy.conf").read_text()
    assert "guest when anonymous" in text and "u/${username}/${client_id}" in text and "$7$101$" in text


@pytest.mark.parametrize("text", ["", "[]", "{", '{"roles": 1, "roles": 2}'])
def test_files_it_cannot_use(guardctl, tmp_path, text):
    (tmp_path / "dynsec.json").write_text(text)
    failed = guardctl("import", "dynamic-security", "--file", tmp_path / "dynsec.json", "-o", tmp_path / "p")
    assert failed.returncode == 2 and not (tmp_path / "p").exists()
