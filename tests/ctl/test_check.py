"""guardctl check."""
import json
import re

GOOD = """[role device]
data = allow publish devices/${username}/data
commands = allow subscribe devices/${client_id}/commands
[role watcher]
all = allow subscribe #
[client ann]
roles = watcher
"""


def test_a_good_file(guardctl, policy):
    told = guardctl("check", policy(GOOD))
    assert told.returncode == 0 and told.stderr == ""
    assert told.stdout == "policy.conf: ok, 2 roles, 3 rules, 1 client\n"


def test_an_empty_policy_is_valid(guardctl, policy):
    told = guardctl("check", policy("; nothing yet\n"))
    assert told.returncode == 0 and told.stdout.startswith("policy.conf: ok, 0 roles, 0 rules")


BAD = """[role device]
one = allow publish a/#/b
two = alow publish a
three = allow publish,write a
four = allow publish ${user}/a
five = allow publish a qos<=7
six = allow publish "a b
[assign]
seven = device if anonymous
[default]
mode = strickt
[client ann]
roles = "device
"""


def test_every_error_has_line_column_and_text(guardctl, policy):
    told = guardctl("check", policy(BAD))
    assert told.returncode == 1 and told.stdout == ""
    lines = told.stderr.splitlines()
    places = [re.match(r"policy\.conf:(\d+):(\d+): error: (.{10,})", line) for line in lines]
    assert all(places), told.stderr
    found = [(int(m.group(1)), int(m.group(2))) for m in places]
    assert [line for line, _ in found] == sorted(line for line, _ in found)
    assert {line for line, _ in found} == {2, 3, 4, 5, 6, 7, 9, 11, 13}
    columns = dict(found)
    rows = BAD.splitlines()
    assert columns[3] == rows[2].index("alow") + 1
    assert rows[3].index("publish,write") < columns[4] <= rows[3].index("write") + 1
    assert rows[5].index("qos") < columns[6] <= rows[5].index("7") + 1


def test_several_files_and_json(guardctl, policy):
    names = [policy(GOOD, "good.conf"), policy(BAD, "bad.conf")]
    told = guardctl("check", "--json", *names)
    assert told.returncode == 1
    good, bad = json.loads(told.stdout)
    assert good == {
        "file": "good.conf",
        "ok": True,
        "roles": 2,
        "rules": 3,
        "clients": 1,
        "errors": 0,
        "warnings": 0,
        "problems": [],
    }
    assert bad["ok"] is False and bad["errors"] >= 9 and len(bad["problems"]) == bad["errors"]
    assert all(p["severity"] == "error" and p["line"] and p["text"] for p in bad["problems"])
    assert guardctl("check", *names).stdout == "good.conf: ok, 2 roles, 3 rules, 1 client\n"


def test_usage(guardctl, policy):
    assert guardctl("check").returncode == 2
    assert guardctl("check", "--jsn", policy(GOOD)).returncode == 2
    missing = guardctl("check", "nowhere.conf")
    assert missing.returncode == 2 and "nowhere.conf" in missing.stderr
    assert "usage:" in guardctl("check", "--help").stdout
