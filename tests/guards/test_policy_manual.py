"""docs/policy.md keeps its word: its rules parse, its recipes load, are clean, and decide as the manual says."""
import re
import shlex
import subprocess

import pytest

from repository import TOP

MANUAL = (TOP / "docs/policy.md").read_text(encoding="utf-8")
RECIPES = MANUAL.split("\n## Recipes\n")[1].split("\n## ")[0]
POLICIES = {
    re.match(r"; (\S+)", block).group(1): block for block in re.findall(r"^```ini\n(.*?)^```", RECIPES, re.S | re.M)
}
PROMISES = re.findall(r"^\$ (guardctl explain .*?)\s+# (allow|deny)$", RECIPES, re.M)
RULES = re.findall(r"`((?:allow|deny) [^`]+)`", MANUAL)


def guardctl(build, folder, *arguments):
    command = [build / "guardctl", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def recipes(tmp_path):
    for name, text in POLICIES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_there_are_recipes_for_what_people_build():
    titles = re.findall(r"^### (.*)$", RECIPES, re.M)
    assert titles == [
        "Device fleet",
        "Tenant isolation",
        "Operator",
        "Gateway",
        "Read-only dashboard",
        "Firmware updates",
        "Rules in the token",
    ]
    assert len(POLICIES) == len(titles)
    assert RECIPES.count("$ guardctl") == len(PROMISES)


@pytest.mark.parametrize("name", POLICIES)
def test_a_recipe_loads_and_is_clean(build, recipes, name):
    checked = guardctl(build, recipes, "check", name)
    assert checked.returncode == 0 and checked.stderr == "", checked.stderr
    linted = guardctl(build, recipes, "lint", name)
    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize(("command", "verdict"), PROMISES)
def test_a_recipe_keeps_its_promise(build, recipes, command, verdict):
    told = guardctl(build, recipes, *shlex.split(command)[1:])
    assert told.returncode == {"allow": 0, "deny": 1}[verdict], told.stdout + told.stderr
    assert told.stdout.startswith(verdict)
    if verdict == "allow":  # else this client could not even connect
        assert "refused at CONNECT" not in told.stdout


@pytest.mark.parametrize("name", POLICIES)
def test_a_recipe_promises_both_ways(name):
    verdicts = {verdict for command, verdict in PROMISES if f"--policy {name} " in command}
    assert verdicts == {"allow", "deny"}


def test_every_rule_of_the_manual_parses(build, tmp_path):
    assert len(RULES) > 25
    lines = [f"rule{i} = {rule}" for i, rule in enumerate(RULES)]
    (tmp_path / "rules.conf").write_text("[role manual]\n" + "\n".join(lines) + "\n", encoding="utf-8")
    checked = guardctl(build, tmp_path, "check", "rules.conf")
    assert checked.returncode == 0, checked.stderr


def test_the_table_of_subscriptions(build, tmp_path):
    """Each row of "How to think about subscriptions": rules, a filter, its coverage."""
    section = MANUAL.split("\n## How to think about subscriptions\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`(?:allow|deny) .*?`) \| `([^`]+)` \| (full|partial|none)", section, re.M)
    assert len(rows) >= 5
    for rules, wanted, coverage in rows:
        lines = [f"r{i} = {rule}" for i, rule in enumerate(re.findall(r"`([^`]+)`", rules))]
        (tmp_path / "table.conf").write_text("[role r]\n" + "\n".join(lines) + "\n", encoding="utf-8")
        told = guardctl(build, tmp_path, "explain", "--policy", "table.conf", "--role", "r", "subscribe", wanted)
        assert re.search(rf"^coverage +{coverage}$", told.stdout, re.M), (rules, wanted, told.stdout, told.stderr)


WHY = MANUAL.split("\n## Finding out why\n")[1]


def test_the_shown_explanation_is_what_is_said(build, recipes):
    command, output = re.search(r"^```console\n\$ (guardctl explain .*?)\n(.*?)^```", WHY, re.S | re.M).groups()
    assert guardctl(build, recipes, *shlex.split(command)[1:]).stdout == output


def test_the_shown_batch_is_what_is_answered(build, tmp_path):
    """With the policy of the section on policy files."""
    policy = re.search(r"^```ini\n(.*?)^```", MANUAL, re.S | re.M).group(1)
    (tmp_path / "policy.conf").write_text(re.sub(r"^password.*\n", "", policy, flags=re.M), encoding="utf-8")
    lines = re.findall(r"^\{.*\}$", WHY, re.M)
    assert len(lines) >= 4
    told = subprocess.run(
        [build / "guardctl", "explain", "--policy", "policy.conf", "--batch"],
        input="".join(line + "\n" for line in lines[::2]),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert told.stdout.splitlines() == lines[1::2]


def test_the_kinds_of_lint_are_in_the_manual(build, tmp_path):
    told = guardctl(build, tmp_path, "lint", "--help").stdout
    in_command = set(re.findall(r"^  ([a-z-]+)$", told, re.M))
    assert in_command == set(re.findall(r"^\| `([a-z-]+)` \|", WHY, re.M)) and len(in_command) > 5
