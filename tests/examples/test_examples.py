"""Every example plays its story on real brokers, cleans up, and says of its files what is true. GUARD_BUILD, GUARD_BROKER."""
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
EXAMPLES = TOP / "examples"
STORIES = sorted(p.parent.name for p in EXAMPLES.glob("*/run.sh"))
NOT_PERMITTED = 77


@pytest.fixture
def surroundings(tmp_path):
    """The example's temporary files stand in a folder of this test."""
    build = Path(os.environ.get("GUARD_BUILD") or TOP / "build" / "release").resolve()
    assert (build / "mosquitto_guard.so").is_file(), f"build it first: cmake --preset release ({build})"
    return {**os.environ, "GUARD_BUILD": str(build), "TMPDIR": str(tmp_path), "NO_COLOR": "1"}


def test_there_are_stories():
    assert len(STORIES) >= 2


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", STORIES)
def test_the_story_of(name, surroundings, tmp_path):
    told = subprocess.run([EXAMPLES / name / "run.sh", "--test"], env=surroundings, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if told.returncode == NOT_PERMITTED:
        pytest.skip(re.search(r"^skipped: (.*)$", told.stdout, re.M).group(1))
    assert told.returncode == 0, told.stdout
    assert told.stdout.count("✓") + told.stdout.count("✗") >= 5, told.stdout
    assert not list(tmp_path.iterdir()), "it left something behind"


@pytest.mark.timeout(120)
def test_it_stays_up_until_ctrl_c(surroundings, tmp_path):
    """Without --test; Ctrl-C then ends every process that it started, and removes its folder."""
    log = tmp_path / "said"
    with log.open("w") as said:
        process = subprocess.Popen([EXAMPLES / "mtls-fleet" / "run.sh"], env=surroundings, stdin=subprocess.DEVNULL,
                                   stdout=said, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        while "audit tail -f" not in log.read_text():
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        assert "In another terminal" in log.read_text()
        time.sleep(0.2)  # it would end by itself now, if it did
        assert process.poll() is None
    finally:
        os.killpg(process.pid, signal.SIGINT)
        code = process.wait(30)
    assert code == 130, log.read_text()
    assert not subprocess.run(["pgrep", "-g", str(process.pid)], capture_output=True, text=True, check=False).stdout
    assert [p.name for p in tmp_path.iterdir()] == ["said"]


@pytest.mark.parametrize("name", STORIES)
def test_unknown_options_are_refused(name, surroundings):
    told = subprocess.run([EXAMPLES / name / "run.sh", "--tset"], env=surroundings, capture_output=True, text=True, check=False)
    assert told.returncode == 2 and "--test" in told.stdout


@pytest.mark.parametrize("name", STORIES)
def test_files_and_readme_agree(name):
    """The table of an example's README names every file of its folder, and none that is not there."""
    folder = EXAMPLES / name
    named = set(re.findall(r"^\| `([\w.-]+)`", (folder / "README.md").read_text(), re.M))
    there = {p.name for p in folder.iterdir() if p.is_file() and p.name != "README.md"}
    assert named == there


def test_the_index_names_every_example():
    index = set(re.findall(r"^\| \[([\w-]+)\]", (EXAMPLES / "README.md").read_text(), re.M))
    assert index == {p.name for p in EXAMPLES.iterdir() if p.is_dir()}


def sample_states():
    """(file, state) of the SIEM's table."""
    return re.findall(r"^\| `([\w.-]+)` \| [^|]* \| (tested|untested)", (EXAMPLES / "siem" / "README.md").read_text(), re.M)


def test_there_are_samples_of_both_states():
    assert {state for _, state in sample_states()} == {"tested", "untested"} and len(sample_states()) >= 7


@pytest.mark.parametrize(("name", "state"), sample_states())
def test_a_sample_is_marked_truthfully(name, state):
    """What a test or a story runs is "tested", and says by which; nothing else is, and says UNTESTED in its head."""
    users = [p for p in (*TOP.glob("tests/**/test_*.py"), *EXAMPLES.glob("*/run.sh"))
             if p != Path(__file__) and p.name != name and re.search(rf"(?<![\w-]){re.escape(name)}", p.read_text())]
    assert bool(users) == (state == "tested"), f"{name}: {[str(u) for u in users] or 'nothing runs it'}"
    head = "".join((EXAMPLES / "siem" / name).read_text().splitlines(keepends=True)[:12])
    assert ("UNTESTED" in head) == (state == "untested"), head


POLICIES = sorted(str(p.relative_to(EXAMPLES)) for p in EXAMPLES.glob("*/policy*.conf"))


@pytest.mark.parametrize("name", POLICIES)
def test_policies_are_clean(name, surroundings):
    """What is there to be copied has no error, and nothing that lint would point at, but what tokens and cert_identity give."""
    for command in (["check"], ["lint", "--ignore", "unused-role", "--ignore", "unbindable"]):
        told = subprocess.run([Path(surroundings["GUARD_BUILD"]) / "guardctl", *command, EXAMPLES / name],
                              capture_output=True, text=True, check=False)
        assert told.returncode == 0, f"{command}: {told.stdout}{told.stderr}"
