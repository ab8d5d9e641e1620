"""guardctl explain: one question."""
import json

import pytest

POLICY = """[role device]
telemetry = allow publish devices/${username}/data qos<=1
commands = allow subscribe devices/${client_id}/commands
[role floor]
lights = allow publish lights/+/set
no-cellar = deny publish lights/cellar/set
[role boss]
everything = allow all **
[role half]
only-packet = allow subscribe-only half/#
[client ann]
roles = device, floor
attr.zone = north
[client bob]
roles = floor, boss:5
disabled = yes
client_id = b1
[role zone]
own = allow publish zones/${attr.zone}
[assign]
zone = zone when attr.zone = "north"
guests = half when anonymous
"""


@pytest.fixture
def explain(guardctl, policy):
    name = policy(POLICY)
    return lambda *arguments: guardctl("explain", "--policy", name, *arguments)


def shown(told, word):
    """The lines of the rule shown with that standing, joined."""
    lines = told.stdout.splitlines()
    at = next((i for i, line in enumerate(lines) if line.startswith(word + " ")), None)
    assert at is not None, told.stdout
    end = at + 1
    while end < len(lines) and lines[end].startswith("  "):
        end += 1
    return "\n".join(lines[at:end])


def test_allow_names_rule_and_place(explain):
    told = explain("--username", "ann", "publish", "devices/ann/data")
    assert told.returncode == 0 and told.stdout.startswith("allow")
    assert "device/telemetry  (policy.conf:2)" in shown(told, "decides")
    assert "allow publish devices/${username}/data" in shown(told, "decides")


def test_deny_names_the_nearest_rule_and_why(explain):
    told = explain("--username", "ann", "publish", "devices/eve/data")
    assert told.returncode == 1 and told.stdout.startswith("deny")
    assert "acl_no_match" in told.stdout
    nearest = shown(told, "nearest")
    assert "device/telemetry" in nearest and "level 2" in nearest


def test_losers_are_shown(explain):
    told = explain("--username", "ann", "publish", "lights/cellar/set")
    assert told.returncode == 1 and "acl_deny_rule" in told.stdout
    assert "floor/no-cellar" in shown(told, "decides")
    assert "floor/lights" in shown(told, "outvoted")
    told = explain("--username", "bob", "publish", "lights/cellar/set")
    assert told.returncode == 0
    assert "boss/everything" in shown(told, "decides") and "rank 5,0" in shown(told, "decides")
    assert "floor/no-cellar" in shown(told, "outranked")


def test_a_condition_that_fails_is_told(explain):
    told = explain("--username", "ann", "--qos", "2", "publish", "devices/ann/data")
    assert told.returncode == 1 and "qos_denied" in told.stdout
    assert "qos" in shown(told, "condition")


def test_unbindable(explain):
    told = explain("--username", "a/b", "--role", "device", "publish", "devices/x/data")
    assert told.returncode == 1
    assert "device/telemetry" in shown(told, "unbindable")
    assert "${username}" in told.stdout.split("note")[1]


def test_roles_come_from_record_assignment_and_query(explain):
    assert explain("--username", "ann", "publish", "zones/north").returncode == 0
    assert explain("--username", "ann", "--attribute", "zone=south", "publish", "zones/south").returncode == 1
    assert explain("--username", "ann", "--role", "floor", "publish", "devices/ann/data").returncode == 1
    assert explain("--username", "x", "--role", "boss", "--role", "floor:1", "publish", "lights/cellar/set").returncode == 1
    assert explain("--username", "x", "--role", "boss:2", "--role", "floor:1", "publish", "lights/cellar/set").returncode == 0
    assert explain("subscribe-only", "half/x").returncode == 0
    assert explain("--username", "x", "subscribe-only", "half/x").returncode == 1


def test_notes(explain):
    told = explain("--username", "bob", "--client-id", "other", "publish", "a")
    assert "disabled" in told.stdout and "client id" in told.stdout.split("note", 1)[1]
    told = explain("--role", "nobody", "publish", "a")
    assert "no role nobody" in told.stdout
    told = explain("subscribe", "half/x")
    assert told.returncode == 0 and "no message would be delivered" in told.stdout


def test_the_acl_claim_of_a_token(explain, guardctl, policy):
    """Its rules count beside the roles; where --role replaces the roles, they are not asked either."""
    as_ann = ("--username", "ann", "--acl-claim", '["allow publish own/${username}", "allow publish lights/cellar/set priority=1"]')
    assert "token/acl.1" in shown(explain(*as_ann, "publish", "own/ann"), "decides")
    told = explain(*as_ann, "publish", "lights/cellar/set")
    assert told.returncode == 0 and "token/acl.2" in shown(told, "decides") and "no-cellar" in shown(told, "outranked")
    assert explain(*as_ann, "--role", "device", "publish", "own/ann").returncode == 1
    for claim in ('["allow publish a/+/#/b"]', '"text"', "[", '[{"permission":"allow","action":"publish","topic":"a","qos":[1,2]}]'):
        told = explain("--acl-claim", claim, "publish", "a")
        assert told.returncode == 2 and "acl claim" in told.stderr and not told.stdout, claim
    questions = [{"action": "publish", "topic": "a", "acl_claim": claim} for claim in ('{"pub":["a"]}', '{"pub":["b"]}', "[", None)]
    told = guardctl("explain", "--policy", policy(POLICY), "--batch", stdin="".join(json.dumps(q) + "\n" for q in questions))
    answers = [json.loads(line) for line in told.stdout.splitlines()]
    assert [a.get("verdict") for a in answers] == ["allow", "deny", None, "deny"] and "line 3" in answers[2]["error"]


def test_subscribe_shows_coverage(explain):
    told = explain("--username", "x", "--role", "half", "subscribe", "#")
    assert told.returncode == 1 and "coverage    partial" in told.stdout and "wildcard_denied" in told.stdout
    assert "half/only-packet" in shown(told, "touches")


def test_json(explain):
    told = explain("--username", "ann", "--json", "publish", "lights/cellar/set")
    answer = json.loads(told.stdout)
    assert told.returncode == 1
    assert answer["verdict"] == "deny" and answer["by"] == ["floor/no-cellar"] and answer["reason"] == "acl_deny_rule"
    assert {"role": "floor", "priority": 0} in answer["roles"]
    standings = {rule["rule"]: rule["standing"] for rule in answer["rules"]}
    assert standings["floor/no-cellar"] == "decides" and standings["floor/lights"] == "outvoted"
    decides = next(rule for rule in answer["rules"] if rule["standing"] == "decides")
    assert (decides["place"], decides["line"], decides["effect"]) == ("policy.conf", 6, "deny")
    answer = json.loads(explain("--username", "ann", "--client-id", "c", "--json", "subscribe", "#").stdout)
    assert answer["coverage"] == "partial"


def test_until_is_judged_at_now(guardctl, policy):
    name = policy("[role r]\na = allow publish a until=2027-01-01T00:00:00Z\n")
    ask = ("explain", "--policy", name, "--role", "r", "publish", "a")
    assert guardctl(*ask, "--now", "2026-12-31T23:59:59Z").returncode == 0
    assert guardctl(*ask, "--now", "2027-01-01T00:00:00Z").returncode == 1
    assert guardctl(*ask, "--now", "1798761599").returncode == 0
    assert guardctl(*ask, "--now", "1798761600").returncode == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("publish", "a"),
        ("--policy", "policy.conf", "publish"),
        ("--policy", "policy.conf", "write", "a"),
        ("--policy", "policy.conf", "--qos", "3", "publish", "a"),
        ("--policy", "policy.conf", "--attribute", "novalue", "publish", "a"),
        ("--policy", "policy.conf", "--nonsense", "publish", "a"),
        ("--policy", "policy.conf", "--batch", "publish", "a"),
        ("--policy", "missing.conf", "publish", "a"),
        ("--policy", "bad.conf", "publish", "a"),
    ],
)
def test_usage_and_bad_policies_exit_2(guardctl, policy, arguments):
    policy(POLICY)
    policy("[role r]\nx = allow nothing\n", "bad.conf")
    told = guardctl("explain", *arguments)
    assert told.returncode == 2 and told.stdout == "" and told.stderr
