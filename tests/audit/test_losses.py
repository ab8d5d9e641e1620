"""Nothing is lost silently: written + declared lost = offered, whatever happens to ring, disk and process."""
import collections
import contextlib
import json
import os
import subprocess
import time

import pytest

from conftest import account, audit_of, events, read_lines, segments, stop, verify


def assert_complete(driver, report, public, *options):
    """The trail on the disk against the driver's own account; the last run must be the whole folder."""
    lines, lost, last = account(driver.folder)
    assert lines + lost == last
    # report was read before the end of the trail; what came behind are the gap, audit-stop and checkpoints
    assert report["offered"] <= last <= report["offered"] + 64 + report["offered"] // 500
    code, result = verify(driver.folder, "--key", public, *options)
    assert code == 0, result
    return lines, lost


def test_without_pressure_nothing_is_lost(driver, public):
    report = driver.run("--events", 50000, "--rate", 50000, "--threads", 2)
    lines, lost = assert_complete(driver, report, public, "--require-final")
    assert lost == report["lost"] == 0
    assert lines >= report["pushed"] + report["others"]


@pytest.mark.parametrize("ring", [65536, 262144])
@pytest.mark.parametrize("full", ["drop", "deny"])
def test_overload_is_declared(driver, public, ring, full):
    report = driver.run("--events", 200000, "--ring", ring, "--threads", 2, "--full", full)
    lines, lost = assert_complete(driver, report, public, "--require-final")
    assert lost >= report["lost"] > 0
    gaps = [event for event in events(driver.folder) if event["event"]["action"] == "audit-gap"]
    assert {event["event"]["reason"] for event in gaps} == {"ring_full"}
    assert audit_of(gaps[-1])["lost_total"] == lost
    assert all(event["event"]["start"] <= event["event"]["end"] for event in gaps)


def test_important_events_survive_overload(driver, public):
    # 4 % of these matter; in the last quarter of this ring there is room for all of them, each with a gap before it, even if the
    # writer gets no time at all; all of them are more than the ring holds
    driver.run("--events", 500000, "--ring", 1 << 25, "--threads", 1)
    lost = collections.Counter()
    for line in read_lines(driver.folder):
        if b'"action":"audit-gap"' in line:
            lost.update(audit_of(json.loads(line))["lost_by_action"])
    assert lost["mqtt-publish"] > 0, "there was no overload"
    assert not set(lost) - {"mqtt-publish", "mqtt-deliver", "mqtt-unsubscribe"}, lost


def test_block_loses_nothing_while_the_writer_is_only_behind(driver, public):
    report = driver.run("--events", 100000, "--ring", 1 << 19, "--full", "block", "--fsync", "off")
    lines, lost = assert_complete(driver, report, public, "--require-final")
    assert lost == 0


def test_rotation_under_load(driver, public):
    report = driver.run("--events", 40000, "--rate", 30000, "--rotate", 1 << 20, "--threads", 1, "--reload", 200)
    assert_complete(driver, report, public, "--require-final")
    files = segments(driver.folder)
    assert len(files) > 20
    for path in files:
        first = path.open().readline()
        assert '"action":"audit-start"' in first or f'"next_file":"{path.name}"' in first
        assert oct(path.stat().st_mode & 0o777) == "0o640"
    for path in files[:-1]:
        assert '"action":"audit-checkpoint"' in path.read_text().splitlines()[-1], "a closed file ends sealed"


# ---- kill -9 ----


@pytest.mark.parametrize("delay", [0.05, 0.3, 1.2])
def test_kill_in_mid_load_is_recovered_and_declared(driver, public, delay):
    process = driver.start("--rate", 30000, "--rotate", 1 << 22, "--threads", 1)
    while not segments(driver.folder) and process.poll() is None:
        time.sleep(0.01)
    time.sleep(delay)
    process.kill()
    process.communicate()
    report = driver.run("--events", 1000)
    start = [event for event in parsed(driver.folder) if event["event"]["action"] == "audit-start"][-1]
    recovered = [event for event in parsed(driver.folder) if event["event"]["action"] == "audit-recovered"]
    assert audit_of(start)["clean_shutdown"] is False
    assert len(recovered) == 1
    assert audit_of(recovered[0])["previous_chain"] != report["chain"]
    code, result = verify(driver.folder, "--key", public, "--require-final")
    assert code == 0, result
    assert [run["closed"] for run in result["runs"]] == [False, True]
    assert result["runs"][0]["sealed_by_next"]


def parsed(folder):
    """Events without torn lines."""
    return [json.loads(line) for line in read_lines(folder) if line.endswith(b'"}}')]


@pytest.mark.parametrize("keep", [1, 76, 200, 0])
def test_torn_tail_is_kept_terminated_and_declared(driver, public, keep):
    process = driver.start("--rate", 1000)
    time.sleep(1.5)  # time for a checkpoint
    process.kill()
    process.communicate()
    path = segments(driver.folder)[-1]
    whole = path.read_bytes()
    line = whole.rstrip(b"\n").rsplit(b"\n", 1)[1]
    torn = whole[:-len(line) - 1] + line[:keep] if keep else whole
    path.write_bytes(torn)
    code, result = verify(driver.folder, "--key", public)
    assert code == (1 if keep else 0), "undeclared torn bytes must be found"
    driver.run("--events", 10)
    assert path.read_bytes() == torn + (b"\n" if keep else b""), "the torn bytes stay as they are"
    recovered = [event for event in parsed(driver.folder) if event["event"]["action"] == "audit-recovered"][0]
    assert audit_of(recovered)["torn_bytes"] == keep
    assert recovered["event"]["reason"] == ("crash_torn_tail" if keep else "crash_unknown")
    if keep:
        assert audit_of(recovered)["file"] == path.name
    code, result = verify(driver.folder, "--key", public, "--require-final")
    assert code == 0, result


def test_crash_between_file_and_first_line(driver, public):
    driver.run("--events", 10)
    (driver.folder / "audit-0123456789ab-000002.ndjson").write_bytes(b"")
    (driver.folder / "audit-1123456789ab-000003.ndjson").write_bytes(b'{"@timestamp":"2026-')
    driver.run("--events", 10)
    code, result = verify(driver.folder, "--key", public, "--require-final")
    assert code == 0, result
    start = [event for event in parsed(driver.folder) if event["event"]["action"] == "audit-start"][-1]
    assert audit_of(start)["previous_chain"] == result["runs"][0]["chain"]


def test_clean_restarts_continue_each_other(driver, public):
    for _ in range(3):
        driver.run("--events", 100)
    starts = [event for event in events(driver.folder) if event["event"]["action"] == "audit-start"]
    assert [audit_of(start)["clean_shutdown"] for start in starts] == [True, True, True]
    assert audit_of(starts[2])["previous_chain"] == audit_of(starts[1])["chain"]
    assert not [event for event in events(driver.folder) if event["event"]["action"] == "audit-recovered"]
    assert verify(driver.folder, "--key", public, "--require-final")[0] == 0


def test_a_folder_has_one_writer(driver):
    process = driver.start("--rate", 100, "--reserve", 1 << 20)
    wait_for(lambda: (driver.folder / ".reserve").exists())
    second = subprocess.run(driver.command("--events", 1), capture_output=True, text=True)
    assert (driver.folder / ".reserve").stat().st_size == 1 << 20, "the one that was refused gave away what the writer holds"
    stop(process)
    assert second.returncode == 2 and "in use" in second.stderr


# ---- disk full ----


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def free(folder):
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


@pytest.mark.parametrize("reserve", [1 << 20, 1])
def test_disk_full_is_declared_and_ends_without_restart(driver, public, small_disk, reserve):
    driver.folder = small_disk / "audit"
    filler = small_disk / "filler"
    process = driver.start("--rate", 2000, "--ring", 65536, "--reserve", reserve)
    wait_for(lambda: driver.folder.is_dir() and segments(driver.folder))
    with open(filler, "wb") as file:
        file.write(b"\0" * (free(small_disk) - (1 << 20)))
    wait_for(lambda: free(small_disk) < 4096 or not (driver.folder / ".reserve").exists() and reserve > 4096)
    time.sleep(1.5)  # the ring overflows
    filler.unlink()
    time.sleep(2.2)  # the writer tries again each second
    assert process.poll() is None, "the process went on all the time"
    report = stop(process)
    lines, lost = assert_complete(driver, report, public, "--require-final")
    assert report["lost"] > 0
    gaps = [event for event in events(driver.folder) if event["event"]["action"] == "audit-gap"]
    assert "disk_full" in {event["event"]["reason"] for event in gaps}


def test_stop_on_a_full_disk_still_closes_the_trail(driver, public, small_disk):
    driver.folder = small_disk / "audit"
    process = driver.start("--rate", 50000, "--ring", 8 << 20, "--reserve", 1 << 20)
    wait_for(lambda: driver.folder.is_dir() and free(small_disk) < (1 << 19) or not (driver.folder / ".reserve").exists()
             and len(segments(driver.folder)) > 0 and free(small_disk) < (2 << 20))
    time.sleep(1.0)
    report = stop(process)
    lines, lost = assert_complete(driver, report, public, "--require-final")
    assert lost > 0, "the ring held more than the reserve can take"


def test_deny_refuses_while_the_disk_is_full(driver, small_disk):
    driver.folder = small_disk / "audit"
    process = driver.start("--rate", 50000, "--ring", 1 << 20, "--full", "deny", "--reserve", 1 << 18)
    wait_for(lambda: driver.folder.is_dir() and segments(driver.folder) and free(small_disk) < 1 << 18)
    time.sleep(0.5)
    assert stop(process)["accepting"] is False


def test_a_full_disk_at_start_is_an_error(driver, small_disk):
    with open(small_disk / "filler", "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    done = driver.run("--events", 1, folder=small_disk, check=False)
    assert done.returncode == 2 and "full" in done.stderr
