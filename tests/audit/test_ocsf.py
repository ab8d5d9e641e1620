"""
audit_format ocsf: every line against a schema made from the OCSF 1.8 classes (tests/data/audit/ocsf.schema.json: required
members, enumerations and constraints as the classes Authentication, API Activity, Entity Management, Application Error,
Application Lifecycle, Detection Finding and Event Log Activity have them), and the chain like that of any other trail.
"""
import json

import jsonschema
import pytest

from conftest import ROOT, read_lines, verify

SCHEMA = ROOT / "tests" / "data" / "audit" / "ocsf.schema.json"


@pytest.fixture(scope="module")
def schema():
    definition = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(definition)
    return jsonschema.Draft202012Validator(definition)


@pytest.fixture(scope="module")
def lines(tmp_path_factory, request):
    from conftest import Driver
    driver = Driver(tmp_path_factory.mktemp("ocsf") / "audit", request.getfixturevalue("key"))
    driver.run("--events", 400, "--kinds", "--hostile", "--deliver", "all", "--format", "ocsf")
    return read_lines(driver.folder), driver.folder


def test_every_line_is_valid(lines, schema):
    classes = set()
    for line in lines[0]:
        event = json.loads(line)
        errors = [f"{error.json_path}: {error.message[:200]}" for error in schema.iter_errors(event)]
        assert not errors, f"{errors}\n{line[:2000]}"
        assert len(line) < 16384
        assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
        classes.add(event["type_uid"])
    assert classes >= {300201, 300202, 600301, 600302, 600399, 300403, 600801, 600203, 200401, 100806, 100807, 100899}


def test_the_schema_refuses_what_the_classes_refuse(lines, schema):
    publish = next(event for event in map(json.loads, lines[0]) if event["class_uid"] == 6003)
    for member in ("actor", "api", "src_endpoint", "metadata", "time"):
        broken = {name: value for name, value in publish.items() if name != member}
        assert list(schema.iter_errors(broken)), member
    assert list(schema.iter_errors({**publish, "type_uid": 1}))
    assert list(schema.iter_errors({**publish, "password": "x"}))


def test_denials_are_denials(lines):
    for event in map(json.loads, lines[0]):
        if event["class_uid"] == 6003:
            failed = event["unmapped"]["outcome"] == "failure"
            assert (event["status_id"], event["action_id"]) == ((2, 2) if failed else (1, 1))
            assert ("status_detail" in event) == failed


def test_an_ocsf_trail_verifies(lines, public):
    code, result = verify(lines[1], "--key", public, "--require-final")
    assert code == 0, result


def test_losses_and_rotation_verify_in_ocsf_too(driver, public):
    driver.run("--events", 30000, "--ring", 65536, "--rotate", 1 << 20, "--format", "ocsf")
    code, result = verify(driver.folder, "--key", public, "--require-final")
    assert code == 0 and result["runs"][0]["lost"] > 0 and result["files"] > 1, result


def test_the_format_may_change_between_runs(driver, public):
    driver.run("--events", 100)
    driver.run("--events", 100, "--format", "ocsf")
    driver.run("--events", 100)
    assert verify(driver.folder, "--key", public, "--require-final")[0] == 0
