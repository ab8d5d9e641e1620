"""guardctl import: what every kind does, shown with mosquitto-files."""
import json
import os
import shutil
import stat
import subprocess

import pytest

HASH = "$6$GeBDSJSUydK4t8E7$" + "A" * 86 + "=="
ACL = "topic read public/#\nuser bob\ntopic readwrite home/+\ntopic deny home/x\npattern write dev/%c/up\n"


@pytest.fixture
def files(tmp_path):
    """files(passwords, acl) -> the options that name them"""

    def write(passwords=None, acl=None):
        options = []
        for name, text in (("password", passwords), ("acl", acl)):
            if text is not None:
                (tmp_path / name).write_text(text, encoding="utf-8")
                options += [f"--{name}-file", name]
        return options

    return write


def imported(guardctl, *options):
    return guardctl("import", "mosquitto-files", *options)


def test_exact(guardctl, files, tmp_path):
    result = imported(guardctl, *files("bob:$7$101$GeBDSJSUydK4t8E7$" + "A" * 86 + "==\n", ACL), "--anonymous", "-o", "policy.conf")
    assert (result.returncode, result.stderr, result.stdout) == (0, "", "")
    assert stat.S_IMODE((tmp_path / "policy.conf").stat().st_mode) == 0o600
    assert guardctl("check", "policy.conf").returncode == 0
    for client, action, topic, allowed in (
        (["--user", "bob"], "publish", "home/a", True),
        (["--user", "bob"], "publish", "home/x", False),
        (["--user", "bob"], "receive", "public/a", False),
        (["--user", "eve"], "publish", "home/a", False),
        (["--user", "eve"], "publish", "dev/c/up", True),
        (["--user", "eve"], "subscribe", "anything/#", True),
        ([], "receive", "public/a", True),
        ([], "receive", "home/a", False),
    ):
        answer = guardctl("explain", "--policy", "policy.conf", *client, "--client-id", "c", action, topic)
        assert answer.returncode == (0 if allowed else 1), (client, action, topic, answer.stdout)


def test_to_standard_output(guardctl, files):
    result = imported(guardctl, *files(None, "user bob\ntopic a\n"))
    assert result.returncode == 0
    assert result.stdout.startswith("# made by `guardctl import mosquitto-files`: 1 clients, 1 roles, 1 rules; 0 notes\n")


def test_what_differs_is_told_line_by_line(guardctl, files, tmp_path):
    options = files(f"bob:{HASH}\nal:plain\n", "topic a\nuser bob\ntopic **\npattern deny x/%c%u\n")
    result = imported(guardctl, *options, "-o", "policy.conf", "--report", "report.ndjson")
    assert result.returncode == 1
    told = [line.split(": ")[:2] for line in result.stderr.splitlines()]
    assert told == [["password:2", "left out"], ["acl:3", "left out"], ["acl:4", "stricter"], ["acl:1", "stricter"]]
    report = [json.loads(line) for line in (tmp_path / "report.ndjson").read_text(encoding="utf-8").splitlines()]
    assert [[f"{note['place']}:{note['line']}", note["kind"]] for note in report] == told
    assert guardctl("check", "policy.conf").returncode == 0


def test_a_fault_writes_nothing(guardctl, files, tmp_path):
    (tmp_path / "policy.conf").write_text("old\n", encoding="utf-8")
    result = imported(guardctl, *files(None, "topic a\nnonsense\ntopic b+\n"), "-o", "policy.conf")
    assert result.returncode == 2
    assert "acl:2: error: expected user, topic, pattern or a comment" in result.stderr
    assert "acl:3: error: 'b+' is not a topic filter" in result.stderr
    assert (tmp_path / "policy.conf").read_text(encoding="utf-8") == "old\n"


def test_broker_decides_how_it_is_read(guardctl, files):
    options = files("al:plain\n", "pattern read a/x-%u\n")
    assert imported(guardctl, *options, "--broker", "2.0").returncode == 1
    assert "a/x-${username}" in imported(guardctl, *options, "--broker", "2.0").stdout
    assert imported(guardctl, *options, "--broker", "2.1").returncode == 2
    options = options[2:]
    assert "a/x-%u" in imported(guardctl, *options, "--broker", "2.1").stdout


@pytest.mark.parametrize(
    "options, says",
    [
        ([], "which files?"),
        (["--acl-file", "gone"], "gone: cannot open"),
        (["--acl-file", "acl", "--broker", "3"], "--broker takes 2.0 or 2.1"),
        (["--acl-file", "acl", "--verify", "0"], "--verify takes a number"),
        (["--acl-file", "acl", "--push", "-o", "x"], "exclude each other"),
        (["acl"], "what is acl?"),
        (["--acl-fil", "acl"], "did you mean --acl-file?"),
        (["--acl-file", "acl", "--push"], "which Redis?"),
    ],
)
def test_usage(guardctl, files, options, says):
    files(None, "topic a\n")
    result = imported(guardctl, *options)
    assert result.returncode == 2
    assert says in result.stderr
    assert not result.stdout


VERIFIED = "topic read public/#\nuser bob\ntopic readwrite home/+\ntopic deny home/x\nuser eve\ntopic write $x/+/a\npattern write dev/%c/up\npattern read to-%u/#\n"


@pytest.fixture(scope="module")
def mosquitto():
    found = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
    if not found:
        pytest.skip("no mosquitto is installed")
    return found


def of(mosquitto):
    """The options for the broker that is installed."""
    return ["--mosquitto", mosquitto, "--broker", "2.0" if "2.0" in version_of(mosquitto) else "2.1"]


def test_verify_against_the_broker(guardctl, files, tmp_path, mosquitto):
    """The old semantics are the broker's own: a Mosquitto with the acl_file is asked the same."""
    options = [*files(None, VERIFIED), "--anonymous", "-o", "policy.conf", *of(mosquitto)]
    result = imported(guardctl, *options, "--verify", 3000)
    assert result.returncode == 0, result.stderr
    assert result.stderr == "verify: 3000 decisions by seed 1, 0 stricter, 0 wider\n"
    assert (tmp_path / "policy.conf").is_file()


def test_verify_tells_what_is_stricter(guardctl, files, mosquitto):
    """Announced by the report: told, and written all the same."""
    options = [*files(None, "user bob\ntopic **\n"), "-o", "policy.conf", *of(mosquitto), "--verify", 50, "--seed", 7]
    result = imported(guardctl, *options)
    assert result.returncode == 1
    assert "stricter: user bob, client id" in result.stderr and "publish **: was allowed, would be denied" in result.stderr
    assert ", 0 wider, of what the report names" in result.stderr
    assert imported(guardctl, *options).stderr == result.stderr, "the same seed asks the same"


def test_verify_finds_what_is_not_announced(guardctl, files, tmp_path, mosquitto):
    """The broker is asked with another file than the one that was read: both directions are found, nothing is written."""
    fake = tmp_path / "broker"  # the broker with its own idea of the file
    fake.write_text('#!/bin/sh\n[ "$1" = -h ] || sed -i "s,home,away," "$(dirname "$2")/acl"\nexec ' + mosquitto + ' "$@"\n', encoding="utf-8")
    fake.chmod(0o700)
    result = imported(guardctl, *files(None, "user bob\ntopic home/a\ntopic away/b\n"), "-o", "policy.conf", "--verify", 300,
                      *of(mosquitto)[2:], "--mosquitto", fake)
    assert result.returncode == 1
    assert "wider: user bob" in result.stderr and result.stderr.endswith(" by no note: nothing was written\n")
    assert not (tmp_path / "policy.conf").exists()


def test_a_note_announces_only_what_it_is_about(guardctl, files, tmp_path, mosquitto):
    """The broker allows more than was read: that something else is said to be left out does not make it right."""
    fake = tmp_path / "broker"
    fake.write_text('#!/bin/sh\n[ "$1" = -h ] || sed -i "s,read home,readwrite home," "$(dirname "$2")/acl"\nexec ' + mosquitto + ' "$@"\n',
                    encoding="utf-8")
    fake.chmod(0o700)
    acl = "user bob\ntopic read home/a\ntopic away/**/b\n"
    result = imported(guardctl, *files(None, acl), "-o", "policy.conf", "--verify", 300, *of(mosquitto)[2:], "--mosquitto", fake)
    assert ": left out: 'away/**/b' grants nothing" in result.stderr, result.stderr
    assert "publish home/a: was allowed, would be denied, which no note names" in result.stderr
    assert " 0 wider, " in result.stderr and result.stderr.endswith(" by no note: nothing was written\n")
    assert result.returncode == 1 and not (tmp_path / "policy.conf").exists()
    result = imported(guardctl, *files(None, acl), "-o", "policy.conf", "--verify", 300, *of(mosquitto)[2:], "--mosquitto", mosquitto)
    assert " 0 wider" in result.stderr and "by no note" not in result.stderr and (tmp_path / "policy.conf").exists()


def test_verify_needs_the_right_broker(guardctl, files, mosquitto):
    other = "2.1" if "2.0" in version_of(mosquitto) else "2.0"
    for passwords, acl, options, says in (
        (None, "topic a\n", ["--mosquitto", "/nowhere/mosquitto"], "there is no such program"),
        (None, "topic a\n", ["--mosquitto", "/bin/true"], "does not say which Mosquitto it is"),
        (None, "topic a\n", ["--mosquitto", mosquitto, "--broker", other], "and --broker says"),
        (f"bob:{HASH}\n", None, [], "--verify replays what an acl_file decides"),
        (None, "# nothing\n", [], "there is nothing to verify"),
    ):
        result = imported(guardctl, *files(passwords, acl), *options, "--verify", 10)
        assert result.returncode == 2, options
        assert says in result.stderr
        assert not result.stdout


def version_of(mosquitto):
    return subprocess.run([mosquitto, "-h"], capture_output=True, text=True, check=False).stdout.splitlines()[0]
