"""guardctl lint: each kind of finding with a policy that has it and one that has not."""
import json

import pytest

# argon2id as guardctl passwd writes it
STRONG = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$" + "A" * 43

# kind, policy that has it, line it stands in, words of the message, the same policy mended
CASES = [
    (
        "dead-rule",
        "[role r]\na = allow publish a/#\nb = allow publish a/b\n[default]\nroles = r\n",
        3,
        "already allows",
        "[role r]\na = allow publish a/#\nb = allow publish b/b\n[default]\nroles = r\n",
    ),
    (
        "dead-rule",
        "[role r]\na = allow publish a/${username}\nb = deny publish a/#\n[default]\nroles = r\n",
        2,
        "never allows",
        "[role r]\na = allow publish a/${username} priority=1\nb = deny publish a/#\n[default]\nroles = r\n",
    ),
    (
        "dead-rule",
        "[role r]\na = allow publish a/b\nb = allow publish a/b\n[default]\nroles = r\n",
        3,
        "already allows",
        "[role r]\na = allow publish a/b\nb = allow subscribe a/b\n[default]\nroles = r\n",
    ),
    (
        "dead-rule",
        "[role r]\na = allow publish a/b\n[role base]\nb = deny publish **\n[client c]\nroles = r\n[default]\nroles = base\n",
        2,
        "never allows",
        "[role r]\na = allow publish a/b\n[role base]\nb = deny publish **\n[client c]\nroles = r:1\n[default]\nroles = base\n",
    ),
    (
        "shadowed-deny",
        "[role r]\na = allow all # priority=3\nb = deny publish secret/#\n[default]\nroles = r\n",
        3,
        "never denies",
        "[role r]\na = allow publish # priority=3\nb = deny publish secret/# priority=3\n[default]\nroles = r\n",
    ),
    (
        "weak-password",
        "[client c]\npassword = $6$c2FsdHNhbHQ=$" + "A" * 86 + "==\n",
        2,
        "client c is weaker than",
        "[client c]\npassword = " + STRONG + "\n",
    ),
    (
        "weak-password",
        "[client c]\npassword = $7$101$c2FsdHNhbHRzYWw=$" + "A" * 86 + "==\n",
        2,
        "guesses cheaply",
        "[client c]\npassword = " + STRONG + "\n",
    ),
    (
        "expired",
        "[role r]\na = allow publish a until=2020-01-01T00:00:00Z\n[default]\nroles = r\n",
        2,
        "2020-01-01",
        "[role r]\na = allow publish a until=2120-01-01T00:00:00Z\n[default]\nroles = r\n",
    ),
    (
        "hash",
        "[role r]\na = allow publish $SYS/x\nb = deny publish # priority=1\n[default]\nroles = r\n",
        3,
        "$SYS",
        "[role r]\na = allow publish plant/x\nb = deny subscribe # priority=1\n[default]\nroles = r\n",
    ),
    (
        "hash",
        "[role r]\na = allow all #\n[default]\nroles = r\n",
        2,
        "**",
        "[role r]\na = allow all **\n[default]\nroles = r\n",
    ),
    (
        "unbindable",
        "[role r]\na = allow publish ${attr.zone}/x\n[client c]\nroles = r\n",
        2,
        "no client of this file",
        "[role r]\na = allow publish ${attr.zone}/x\n[client c]\nroles = r\nattr.zone = n\n",
    ),
    (
        "unbindable",
        "[role r]\na = allow publish ${attr.zone}/x\n[client c]\nroles = r\n[client d]\nroles = r\nattr.zone = n\n",
        2,
        "(c)",
        "[role r]\na = allow publish ${attr.zone}/x\n[client c]\nclient_id = c\n[client d]\nroles = r\nattr.zone = n\n",
    ),
    (
        "unbindable",
        "[role r]\na = allow publish ${attr.zone}/x\n[client c]\nroles = r\nattr.zone = a/b\n",
        2,
        "|path",
        "[role r]\na = allow publish ${attr.zone|path}/x\n[client c]\nroles = r\nattr.zone = a/b\n",
    ),
    (
        "unbindable",
        "[role r]\na = allow publish x/${username}\n[client a/b]\nroles = r\n",
        2,
        "(a/b)",
        "[role r]\na = allow publish x/${username}\n[client ab]\nroles = r\n",
    ),
    (
        "unbindable",
        "[role r]\na = allow publish x/${cert.commonname}\n[default]\nroles = r\n",
        2,
        "cert.cn",
        "[role r]\na = allow publish x/${cert.cn}\n[default]\nroles = r\n",
    ),
    (
        "ambiguous",
        "[role r]\na = allow publish x/${cert.san.dns}\n[default]\nroles = r\n",
        2,
        "${cert.san.dns|any}",
        "[role r]\na = allow publish x/${cert.san.dns|any}\n[default]\nroles = r\n",
    ),
    (
        "ambiguous",
        "[role r]\na = allow publish x/${jwt.scope}\n[default]\nroles = r\n",
        2,
        "has",
        "[role r]\na = allow publish x\n[assign]\ns = r when jwt.scope has w\n",
    ),
    (
        "unused-role",
        "[role r]\na = allow publish a\n",
        2,
        "nobody",
        "[role r]\na = allow publish a\n[assign]\ng = r when anonymous\n",
    ),
    (
        "undefined-role",
        "[role r]\na = allow publish a\n[client c]\nroles = r, s\n",
        4,
        "[role s]",
        "[role r]\na = allow publish a\n[client c]\nroles = r\n",
    ),
    (
        "undefined-role",
        "[role r]\na = allow publish a\n[default]\nroles = r\n[assign]\nx = s:3 when anonymous\n",
        6,
        "[role s]",
        "[role r]\na = allow publish a\n[default]\nroles = r\n[assign]\nx = r:3 when anonymous\n",
    ),
]


@pytest.mark.parametrize(("kind", "bad", "line", "words", "good"), CASES)
def test_a_finding_and_its_cure(guardctl, policy, kind, bad, line, words, good):
    told = guardctl("lint", policy(bad))
    assert told.returncode == 1, told.stdout + told.stderr
    [finding] = [row for row in told.stdout.splitlines() if f": {kind}: " in row]
    assert finding.startswith(f"policy.conf:{line}: {kind}: ") and words in finding
    mended = guardctl("lint", policy(good, "good.conf"))
    assert (mended.returncode, mended.stdout) == (0, "good.conf: nothing found\n")


def test_what_only_looks_dead_is_left_alone(guardctl, policy):
    """An enclosing rule with a condition, one that is bound for other clients only, a higher priority."""
    text = """[role r]
a = allow publish a/# qos<=1
b = allow publish a/b
c = allow publish b/${username}/#
d = deny publish b/${username}/x
e = deny publish c/# priority=1
f = allow publish c/d priority=2
g = allow publish d/# exact
h = allow publish d/e
i = allow publish e/+
j = allow publish e/#  priority=-1
[role other]
k = allow publish a/b
[default]
roles = r
[client c]
roles = other
"""
    told = guardctl("lint", policy(text))
    assert [row for row in told.stdout.splitlines() if ": dead-rule: " in row and ":13:" not in row] == [], told.stdout
    assert "shadowed" not in told.stdout


def test_a_slow_set(guardctl, policy):
    """Rules that mix + and names in every level make one topic match down all of 2^n paths."""
    rules = []
    for bits in range(1 << 10):
        rules.append(f"r{bits} = allow publish " + "/".join("+" if bits >> i & 1 else "a" for i in range(10)) + "/x")
    told = guardctl("lint", policy("[role r]\n" + "\n".join(rules) + "\n[default]\nroles = r\n"))
    assert told.returncode == 1
    assert ": slow: role r: " in told.stdout


def test_ignore_and_json(guardctl, policy):
    name = policy(CASES[0][1] + "[role idle]\nx = allow publish x\n")
    kinds = [f["kind"] for f in json.loads(guardctl("lint", "--json", name).stdout)]
    assert sorted(kinds) == ["dead-rule", "unused-role"]
    told = guardctl("lint", "--ignore", "dead-rule,unused-role", name)
    assert told.returncode == 0
    wrong = guardctl("lint", "--ignore", "dead-rules", name)
    assert wrong.returncode == 2 and "dead-rule" in wrong.stderr


def test_usage(guardctl, policy):
    assert guardctl("lint").returncode == 2
    assert guardctl("lint", "missing.conf").returncode == 2
    bad = guardctl("lint", policy("[role r]\nx = allow\n"))
    assert bad.returncode == 2 and "policy.conf:2" in bad.stderr


def test_a_flood_is_cut(guardctl, policy):
    """The same slip in very many places: the first ones are shown, the others counted."""
    clients = "".join(f"[client c{i}]\nroles = missing{i}\n" for i in range(300))
    told = guardctl("lint", policy(clients))
    assert told.returncode == 1
    assert told.stdout.splitlines()[-1] == "policy.conf: undefined-role: 100 more are not shown"
    assert len(told.stdout.splitlines()) == 201
