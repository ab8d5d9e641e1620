"""
Tests of the audit trail without a broker: `driver` (driver.c) writes a trail like a broker would, and is killed, starved
and read. Environment: GUARD_BUILD, the build folder with guardctl and tests/audit_driver (default: build/release).
"""
import hashlib
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("GUARD_BUILD", ROOT / "build" / "release"))
if not BUILD.is_absolute():
    BUILD = ROOT / BUILD
DRIVER = BUILD / "tests" / "audit_driver"
GUARDCTL = BUILD / "guardctl"
SCHEMA = ROOT / "audit" / "schema" / "audit-event.schema.json"
EXAMPLES = ROOT / "tests" / "data" / "audit" / "examples.ndjson"


def pytest_sessionstart():
    for program in (DRIVER, GUARDCTL):
        assert program.is_file(), f"build it first: {program} does not exist"


def segments(folder):
    """The files of a trail in the order of their numbers."""
    return sorted(Path(folder).glob("audit-*.ndjson"), key=lambda path: int(path.stem.rsplit("-", 1)[1]))


def read_lines(folder):
    return [line for path in segments(folder) for line in path.read_bytes().split(b"\n")[:-1]]


def events(folder):
    return [json.loads(line) for line in read_lines(folder)]


def audit_of(event):
    return event["mosquitto"]["audit"]


def start_hash(chain):
    return hashlib.sha256(b"mosquitto-audit-v1\n" + chain.encode()).digest()


def account(folder):
    """Walks the numbers: returns (lines, declared lost, last number) of the last run; fails on any hole not declared."""
    expected, lines, lost, chain = 1, 0, 0, None
    for event in events(folder):
        sequence = event["event"]["sequence"]
        if event["event"]["action"] == "audit-start":
            expected, lines, lost, chain = 1, 0, 0, audit_of(event)["chain"]
        assert event["event"]["id"] == f"{chain}-{sequence}"
        if event["event"]["action"] == "audit-gap" and event["event"]["reason"] != "sink_trimmed":
            gap = audit_of(event)
            assert (gap["first_sequence"], gap["last_sequence"]) == (expected, sequence - 1)
            assert gap["lost"] == sequence - expected == sum(gap["lost_by_action"].values())
            lost += gap["lost"]
            expected = sequence
        assert sequence == expected, f"number {sequence} where {expected} belongs"
        expected, lines = sequence + 1, lines + 1
    return lines, lost, expected - 1


class Driver:
    """Runs the driver in a folder of its own."""

    def __init__(self, folder, key):
        self.folder, self.key = folder, key

    def command(self, *options, folder=None, key=True):
        command = [str(DRIVER), "--dir", str(folder or self.folder)]
        if key:
            command += ["--key", str(self.key)]
        return command + [str(option) for option in options]

    def run(self, *options, check=True, **keywords):
        done = subprocess.run(self.command(*options, **keywords), capture_output=True, text=True, timeout=110)
        if check:
            assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1]) if done.stdout else done

    def start(self, *options, **keywords):
        return subprocess.Popen(self.command(*options, **keywords), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True)


def stop(process):
    """SIGTERM, and the account the driver prints."""
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1])


def guardctl(*arguments, check=None):
    done = subprocess.run([str(GUARDCTL), *map(str, arguments)], capture_output=True, text=True, timeout=110)
    if check is not None:
        assert done.returncode == check, done.stdout + done.stderr
    return done


def verify(folder, *options):
    """(exit code, result) of `guardctl audit verify --json`."""
    paths = folder if isinstance(folder, list) else [folder]
    done = guardctl("audit", "verify", "--json", *options, *paths)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.fixture(scope="session")
def key(tmp_path_factory):
    path = tmp_path_factory.mktemp("key") / "audit.key"
    guardctl("audit", "keygen", path, check=0)
    return path


@pytest.fixture
def public(key):
    return f"{key}.pub"


@pytest.fixture
def driver(tmp_path, key):
    return Driver(tmp_path / "audit", key)
