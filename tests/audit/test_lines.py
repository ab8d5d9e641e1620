"""Every line is valid against the schema, whatever a client or a credential puts into it."""
import collections
import json
import re
import time
from datetime import datetime

import jsonschema
import pytest

from conftest import EXAMPLES, SCHEMA, events, read_lines, segments

LINE_MAX = 16384
FORBIDDEN = re.compile("[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff"
                       "\ufdd0-\ufdef\ufffe\uffff]")


@pytest.fixture(scope="module")
def schema():
    definition = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(definition)
    checker = jsonschema.FormatChecker()

    @checker.checks("date-time", ValueError)  # Debian's jsonschema knows it only with a package that Debian lacks
    def is_date_time(value):
        return re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", value) and datetime.fromisoformat(value[:-1])

    for name in ("date-time", "ipv4", "ipv6"):
        assert name in checker.checkers, f"the format checker does not know {name}: the check would be empty"
    return jsonschema.Draft202012Validator(definition, format_checker=checker)


def assert_valid(schema, line):
    event = json.loads(line)
    errors = [f"{error.json_path}: {error.message[:200]}" for error in schema.iter_errors(event)]
    assert not errors, f"{errors}\n{line[:2000]}"
    assert len(line) + 1 <= LINE_MAX
    assert not FORBIDDEN.search(line.decode("utf-8")), line
    assert not FORBIDDEN.search(json.dumps(event, ensure_ascii=False)), line


def test_examples_are_valid_and_a_broken_one_is_not(schema):
    lines = EXAMPLES.read_bytes().splitlines()
    assert len(lines) == 28
    for line in lines:
        assert_valid(schema, line)
    broken = json.loads(lines[3])
    broken["password"] = "x"
    assert list(schema.iter_errors(broken))
    broken = json.loads(lines[3])
    broken["@timestamp"] = "2026-13-01T12:34:56.790149Z"
    assert list(schema.iter_errors(broken)), "formats are not checked"


def test_every_kind_with_every_reason(driver, schema):
    driver.run("--events", 300, "--kinds", "--threads", 1, "--deliver", "all")
    lines = read_lines(driver.folder)
    for line in lines:
        assert_valid(schema, line)
    actions = {json.loads(line)["event"]["action"] for line in lines}
    declared = set(json.loads(SCHEMA.read_text())["properties"]["event"]["properties"]["action"]["enum"])
    assert declared - actions == {"mqtt-publish-summary", "audit-rotate", "audit-recovered", "audit-gap"}


def test_hostile_strings(driver, schema):
    driver.run("--events", 4000, "--hostile")
    found = events(driver.folder)
    for line in read_lines(driver.folder):
        assert_valid(schema, line)
    marked = [event for event in found if "sanitized" in event.get("mosquitto", {}).get("audit", {})]
    assert len(marked) > 1000
    assert not any(event["event"]["action"] == "audit-stop" for event in found[:-2]), "a forged action"
    assert json.dumps(found, ensure_ascii=False).count('"},{\\"event\\":{\\"action') > 0  # as text it stays


def test_summary_rotation_gap_and_recovery_lines(driver, schema):
    driver.run("--events", 60000, "--ring", 65536, "--rotate", 65536)
    before = len(segments(driver.folder))
    process = driver.start("--rate", 2000)
    while len(segments(driver.folder)) == before and process.poll() is None:
        time.sleep(0.05)
    process.kill()
    process.communicate()
    driver.run("--events", 3000, "--rate", 2000, "--publish", "summary", "--summary", 1)
    seen = collections.Counter()
    for line in read_lines(driver.folder):
        action = json.loads(line)["event"]["action"] if line.endswith(b"}}") else None
        seen[action] += 1
        if action and seen[action] < 30:
            assert_valid(schema, line)
    assert {"mqtt-publish-summary", "audit-rotate", "audit-recovered", "audit-gap"} <= set(seen)


def test_summaries_add_up(driver):
    account = driver.run("--events", 3000, "--rate", 1500, "--publish", "summary", "--summary", 1)
    found = events(driver.folder)
    allowed = sum(1 for n in range(3000) if n % 50 != 3 and n % 100 not in (7, 57, 77))
    summaries = [event for event in found if event["event"]["action"] == "mqtt-publish-summary"]
    assert sum(event["mqtt"]["count"] for event in summaries) == allowed == account["not_written"]
    assert all(event["event"]["start"] <= event["event"]["end"] for event in summaries)
    assert len(summaries) > 16, "none was written before the end"
    denied = [event for event in found if event["event"]["action"] == "mqtt-publish"]
    assert len(denied) == sum(1 for n in range(3000) if n % 50 == 3), "denied publishes are always single events"


def test_giants_are_cut_and_stay_distinguishable(driver):
    driver.run("--events", 1, "--kinds")
    cut = [event for event in events(driver.folder) if event.get("mqtt", {}).get("topic_bytes") == 65000]
    assert len(cut) == 2
    assert len({event["mqtt"]["topic_sha256"] for event in cut}) == 2
    for event in cut:
        assert len(event["mqtt"]["topic"].encode()) <= 1024
        assert "mqtt.topic" in event["mosquitto"]["audit"]["truncated"]
        assert event["mqtt"]["client_id_bytes"] == 65000
    filters = [event for event in events(driver.folder) if event.get("mqtt", {}).get("topic_filter_bytes") == 1030]
    assert len(filters) == 1 and len(filters[0]["mqtt"]["topic_filter"].encode()) <= 1024


def test_start_states_what_may_be_missing(driver):
    driver.run("--events", 1, "--publish", "denied", "--full", "deny")
    message = events(driver.folder)[0]["message"]
    for setting in ("publish=denied", "deliver=denied", "on_full=deny", "fsync=interval", "privacy=none"):
        assert setting in message


def test_policy_version_is_on_the_events(driver):
    driver.run("--events", 10)
    publish = [event for event in events(driver.folder) if event["event"]["action"] == "mqtt-publish"]
    assert all(event["rule"]["ruleset"] == "tenant-a" and event["rule"]["version"] == "42" for event in publish)


@pytest.mark.parametrize("mode, shown", [("full", "PLANTED-SECRET"), ("hash", None), ("none", None)])
def test_user_name_of_a_failed_connect(driver, mode, shown):
    driver.run("--events", 1, "--secrets", "--failed-user", mode)
    failed = [event for event in events(driver.folder) if event["event"].get("reason") == "unknown_user"][0]
    text = json.dumps(failed)
    assert ("PLANTED-SECRET" in text) == (shown is not None)
    if mode == "hash":
        assert re.fullmatch("[0-9a-f]{16}", failed["user"]["name"])
    if mode == "none":
        assert "user" not in failed


def test_pseudonyms_join_and_hide(driver, tmp_path, schema):
    secret = tmp_path / "privacy.key"
    secret.write_bytes(b"k" * 32)
    secret.chmod(0o600)
    driver.run("--events", 500, "--kinds", "--privacy", "hmac", "--privacy-key", secret)
    lines = read_lines(driver.folder)
    for line in lines:
        assert_valid(schema, line)
    text = b"\n".join(lines)
    for known in (b"dev-3", b"client-3", b"203.0.113", b"2001:db8", b"198.51.100.23", b"dev-42", b"client-42"):
        assert known not in text, known
    users = {event["user"]["name"] for event in map(json.loads, lines) if event["event"]["action"] == "mqtt-publish"}
    assert len(users) == 17  # sixteen clients and the one with the giant name


def test_addresses_can_be_truncated(driver):
    driver.run("--events", 100, "--privacy", "truncate")
    addresses = {event["source"]["ip"] for event in events(driver.folder) if "ip" in event.get("source", {})}
    assert addresses == {"203.0.113.0", "2001:db8::"}
