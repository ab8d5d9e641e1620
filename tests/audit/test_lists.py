"""Actions and reasons: code, schema and manual hold the same closed lists."""
import json
import re

import pytest

from conftest import ROOT, SCHEMA

DEFINITION = json.loads(SCHEMA.read_text())
EVENT = DEFINITION["properties"]["event"]["properties"]
MANUAL = ROOT / "docs" / "audit.md"


def quoted(path, macro):
    """The names of an X macro list."""
    text = (ROOT / path).read_text()
    body = text.split(f"#define {macro}(X)")[1].split("\n\n")[0]
    return set(re.findall(r'X\(\w+,\s*"([a-z_.-]+)"\)', body))


def table(heading):
    """First cells of the table below a heading of the manual."""
    section = re.split(r"^#+ ", MANUAL.read_text().split(heading)[1], flags=re.M)[0]
    return {name for row in re.findall(r"^\| (`[^|]+?) \|", section, flags=re.M) for name in re.findall(r"`([a-z_.-]+)`", row)}


def test_actions():
    assert len(EVENT["action"]["enum"]) == 25
    assert quoted("audit/action.h", "AUDIT_ACTIONS") == set(EVENT["action"]["enum"])
    assert table("## Actions") == set(EVENT["action"]["enum"])


def test_reasons():
    assert len(EVENT["reason"]["enum"]) == 73
    assert quoted("core/reason.h", "GUARD_REASONS") == set(EVENT["reason"]["enum"])
    assert table("## Reasons") == set(EVENT["reason"]["enum"])


@pytest.mark.parametrize("heading, columns", [("## Actions", 4), ("## Reasons", 3)])
def test_each_says_what_an_operator_should_do(heading, columns):
    section = re.split(r"^## ", MANUAL.read_text().split(heading + "\n")[1], flags=re.M)[0]
    rows = [[cell.strip() for cell in row.strip("| \n").split(" | ")] for row in re.findall(r"^\| `.*", section, flags=re.M)]
    assert len(rows) >= 25
    assert not [row[0] for row in rows if len(row) != columns or not all(row)]


def leaves(definition, prefix=""):
    for name, inner in definition.get("properties", {}).items():
        path = f"{prefix}.{name}" if prefix else name
        if inner.get("type") == "object" and inner.get("properties"):
            yield from leaves(inner, path)
        else:
            yield path


def test_every_field_of_the_schema_is_in_the_manual():
    text = MANUAL.read_text()
    section = text.split("## Fields")[1].split("\n## ")[0]
    documented = set(re.findall(r"`([a-z@][a-z0-9_@.]*)`", section))
    missing = [path for path in leaves(DEFINITION) if path not in documented]
    assert not missing


def test_reasons_of_each_action_are_those_of_the_schema():
    """The C tables are checked from outside: tests/audit/test_lines.py pushes every reason into every action. Here: the
    lists of the schema name only reasons that exist, so that no table can go beyond them."""
    for rule in DEFINITION["allOf"]:
        listed = rule["then"].get("properties", {}).get("event", {}).get("properties", {}).get("reason", {}).get("enum", [])
        assert set(listed) <= set(EVENT["reason"]["enum"])


def test_the_schema_lets_nothing_through_that_it_does_not_know():
    def closed(definition, path):
        if definition.get("type") == "object" and "properties" in definition:
            assert definition.get("additionalProperties") is False, path
            for name, inner in definition["properties"].items():
                closed(inner, f"{path}.{name}")
    closed(DEFINITION, "event")
