"""guardctl explain --batch: one JSON line in, one out."""
import json
import subprocess

import pytest

POLICY = """[role device]
data = allow publish devices/${username}/data
commands = allow subscribe devices/${client_id}/commands
gw = allow publish sites/${jwt.sites|any}/x
zone = allow publish zones/${attr.zone}
[role boss]
everything = allow all ** priority=1
no-admin = deny publish admin/# priority=2
[client ann]
roles = device
attr.zone = north
[default]
roles = base
receive = allow
[role base]
hello = allow publish hello
"""


@pytest.fixture
def batch(guardctl, policy):
    """batch([query or raw line …]) -> (answers, exit code)"""

    def ask(queries, text=POLICY):
        lines = [q if isinstance(q, str) else json.dumps(q) for q in queries]
        told = guardctl("explain", "--policy", policy(text), "--batch", stdin="".join(line + "\n" for line in lines))
        return [json.loads(line) for line in told.stdout.splitlines()], told.returncode

    return ask


def publish(topic, **more):
    return {"action": "publish", "topic": topic, **more}


def test_answers_in_order(batch):
    answers, code = batch(
        [
            publish("devices/ann/data", username="ann"),
            publish("devices/bob/data", username="ann"),
            publish("admin/x", roles=["boss"]),
            publish("anything", roles=["boss:5", "device"]),
            {"action": "receive", "topic": "x"},
            {"action": "subscribe", "topic": "devices/c1/commands", "username": "ann", "client_id": "c1"},
            {"action": "subscribe-only", "topic": "devices/+/commands", "username": "ann", "client_id": "c1"},
        ]
    )
    assert code == 0
    assert answers == [
        {"verdict": "allow", "by": ["device/data"], "reason": None},
        {"verdict": "deny", "by": [], "reason": "acl_no_match"},
        {"verdict": "deny", "by": ["boss/no-admin"], "reason": "acl_deny_rule"},
        {"verdict": "allow", "by": ["boss/everything"], "reason": None},
        {"verdict": "allow", "by": ["default/receive"], "reason": None},
        {"verdict": "allow", "by": ["device/commands"], "reason": None, "coverage": "full"},
        {"verdict": "deny", "by": [], "reason": "wildcard_denied", "coverage": "partial"},
    ]


def verdicts(answers):
    return [answer["verdict"] for answer in answers]


def test_where_roles_and_attributes_come_from(batch):
    answers, _ = batch(
        [
            publish("zones/north", username="ann"),
            publish("zones/south", username="ann", attributes={"zone": "south"}),
            publish("zones/south", username="ann", attributes={"attr.zone": "south"}),
            publish("zones/north", username="ann", attributes={"zone": "south"}),
            publish("hello", username="ann"),
            publish("hello"),
            publish("hello", username="ann", roles=["device"]),
            publish("hello", roles=[]),
            publish("sites/b/x", roles=["device"], attributes={"jwt.sites": ["a", "b"]}),
            publish("sites/c/x", roles=["device"], attributes={"jwt.sites": ["a", "b"]}),
            publish("sites/a/x", roles=["device"], attributes={"jwt.sites": "a"}),
            publish("sites/a/x", roles=["device"], attributes={"jwt.sites": []}),
        ]
    )
    expected = "allow allow allow deny allow allow deny deny allow deny allow deny"
    assert verdicts(answers) == expected.split()


def test_members_may_be_null_or_escaped(batch):
    answers, code = batch(
        [
            '{"username":null,"client_id":null,"roles":null,"attributes":null,"address":null,"qos":null,"retain":null,'
            '"size":null,"action":"PUBLISH","topic":"hello"}',
            '  { "topic" : "hel\\u006co" , "action" : "publish" }  \r',
            '{"action":"publish","topic":"devices/\\ud83d\\ude00/data","username":"😀","roles":["device"]}',
        ]
    )
    assert code == 0 and verdicts(answers) == ["allow"] * 3


@pytest.mark.parametrize("topic", ["", "a/+", "a#", "a\0b", "\ud800", "x" * 65536])
def test_invalid_topics_are_denied_and_not_an_error(batch, topic):
    answers, code = batch([publish(topic, roles=["boss"])])
    assert code == 0
    assert answers[0]["verdict"] == "deny" and answers[0]["reason"] in ("topic_invalid", "topic_too_long")


def test_identities_with_nul_bind_to_nothing(batch):
    answers, code = batch(
        [publish("devices/a/data", username="a\0b", roles=["device"]), publish("devices/a#b/data", username="a\0b", roles=["device"])]
    )
    assert code == 0 and verdicts(answers) == ["deny", "deny"]


BROKEN = [
    "",
    "hello",
    "[]",
    '{"action":"publish"}',
    '{"topic":"a"}',
    '{"action":"write","topic":"a"}',
    '{"action":"publish","topic":7}',
    '{"action":"publish","topic":"a","qos":3}',
    '{"action":"publish","topic":"a","qos":1.5}',
    '{"action":"publish","topic":"a","retain":1}',
    '{"action":"publish","topic":"a","size":-1}',
    '{"action":"publish","topic":"a","usernme":"x"}',
    '{"action":"publish","topic":"a","topic":"b"}',
    '{"action":"publish","topic":"a"} x',
    '{"action":"publish","topic":"a",}',
    '{"action":"publish","topic":"a","roles":"r"}',
    '{"action":"publish","topic":"a","attributes":["x"]}',
    '{"action":"publish","topic":"\\x"}',
    '{"action":"publish","topic":"a',
]


def test_a_bad_line_is_told_and_the_rest_goes_on(batch):
    queries = []
    for line in BROKEN:
        queries += [line, publish("hello")]
    answers, code = batch(queries)
    assert code == 2 and len(answers) == len(queries)
    for number, answer in enumerate(answers, 1):
        if number % 2:
            assert list(answer) == ["error"] and answer["error"].startswith(f"line {number}: "), answer
        else:
            assert answer["verdict"] == "allow"


def test_mode_off_still_tells_the_coverage(batch):
    text = "[role r]\na = allow subscribe a/b\n[default]\nmode = off\n"
    ask = [{"action": "subscribe", "topic": topic, "roles": ["r"]} for topic in ("a/b", "a/+", "c", "a#")]
    answers, _ = batch(ask, text)
    assert verdicts(answers) == ["allow", "allow", "allow", "deny"]
    assert [answer["coverage"] for answer in answers] == ["full", "partial", "none", "none"]


def test_an_answer_comes_before_the_next_question(executable, tmp_path):
    """A program may keep the command running and wait for each answer."""
    (tmp_path / "policy.conf").write_text(POLICY)
    command = [executable, "explain", "--policy", tmp_path / "policy.conf", "--batch"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        for topic, verdict in (("hello", "allow"), ("bye", "deny")):
            process.stdin.write(json.dumps(publish(topic)) + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["verdict"] == verdict
        process.stdin.close()
        assert process.wait(timeout=10) == 0


def test_many_clients(batch):
    """More clients than the table of bound clients holds."""
    queries = [publish(f"devices/u{i}/data", username=f"u{i % 40000}", roles=["device"]) for i in range(80000)]
    answers, code = batch(queries)
    assert code == 0
    assert verdicts(answers) == ["allow"] * 40000 + ["deny"] * 40000
