"""
What somebody without the key does to a trail while the broker is down, or under its hands: the next start finds it by
the writer's own note (.head), the verifier by signatures and anchors. The attacks on a trail at rest: test_tamper.py.
"""
import hashlib
import json
import shutil
import signal
import subprocess
import time

import pytest

from conftest import Driver, account, audit_of, events, guardctl, read_lines, segments, start_hash, verify

TAIL = 76  # ,"hash":"<64 hex>"}}


def chained(lines, head):
    """Lines with their hashes computed anew from a head on."""
    result = []
    for line in lines:
        head = hashlib.sha256(head + line[:-TAIL]).digest()
        result.append(line[:-TAIL] + b',"hash":"' + head.hex().encode() + b'"}}')
    return result


def hash_of(line):
    return bytes.fromhex(line[-67:-3].decode())


def rewrite(path, lines):
    path.write_bytes(b"".join(line + b"\n" for line in lines))


def lines_of(path):
    return path.read_bytes().split(b"\n")[:-1]


def crash(driver, *options, after=0.7):
    """A run that ends with kill -9."""
    process = driver.start("--rate", 3000, *options)
    time.sleep(after)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def declared(folder):
    """The audit-recovered records of the last run that are no crash's."""
    chain = json.loads(read_lines(folder)[-1])["event"]["id"].split("-")[0]
    return [event for event in events(folder) if event["event"]["action"] == "audit-recovered"
            and event["event"]["id"].startswith(chain) and event["event"]["reason"] not in
            ("crash_unknown", "crash_torn_tail")]


def assert_damage(driver, public, words):
    """The next run says it, and the verifier never again says that all is well."""
    driver.run("--events", 10)
    record, = declared(driver.folder)
    assert words in record["message"]
    assert (record["event"]["outcome"], record["event"]["severity"], record["log.level"]) == ("failure", 5, "error")
    code, result = verify(driver.folder, "--key", public)
    assert code == 1
    return result


# ---- before a restart ----


def test_a_tail_cut_before_a_restart_is_found_by_the_next_run(driver, public):
    driver.run("--events", 3000)
    path, = segments(driver.folder)
    lines = lines_of(path)
    rewrite(path, lines[:-40])
    code, result = verify(driver.folder, "--key", public)
    assert code == 0, "at rest the files alone cannot tell"
    result = assert_damage(driver, public, "cut, changed or removed")
    assert "read its audit-recovered" in result["first_bad"]["reason"]
    assert [run["damage_declared"] for run in result["runs"]] == [False, True]
    record, = declared(driver.folder)
    assert audit_of(record)["last_sequence"] == json.loads(lines[-1])["event"]["sequence"]
    assert audit_of(record)["head"] == hash_of(lines[-1]).hex()
    assert audit_of(record)["file"] == path.name


def test_a_tail_cut_behind_a_checkpoint_is_found_too(driver, public):
    """Where even `audit-stop` of an earlier time would fit."""
    driver.run("--events", 3000)
    path, = segments(driver.folder)
    lines = lines_of(path)
    last = [i for i, line in enumerate(lines) if b'"action":"audit-checkpoint"' in line][-2]
    rewrite(path, lines[:last + 1])
    assert verify(driver.folder, "--key", public)[0] == 0
    assert_damage(driver, public, "cut, changed or removed")


def test_a_last_run_removed_whole_is_found_by_the_next_run(driver, public):
    driver.run("--events", 100)
    driver.run("--events", 100)
    segments(driver.folder)[-1].unlink()
    assert verify(driver.folder, "--key", public, "--require-final")[0] == 0
    assert_damage(driver, public, "cut, changed or removed")


def test_a_whole_trail_removed_is_found_by_the_next_run(driver, public):
    driver.run("--events", 100)
    segments(driver.folder)[0].unlink()
    assert_damage(driver, public, "cut, changed or removed")


def test_unsealed_lines_edited_after_a_crash_are_found_by_the_next_run(driver, public):
    """The crash leaves lines that no checkpoint covers; the note covers them up to the last sync."""
    for tries in range(8):  # where between two checkpoints the crash comes is a matter of chance
        shutil.rmtree(driver.folder, ignore_errors=True)
        crash(driver, "--fsync", "batch", after=0.7 + 0.07 * tries)
        path, = segments(driver.folder)
        lines = lines_of(path)
        edited = 1 + max(i for i, line in enumerate(lines) if b'"action":"audit-checkpoint"' in line)
        noted = int((driver.folder / ".head").read_text().split("\n")[2])
        if edited < len(lines) and json.loads(lines[edited])["event"]["sequence"] < noted:
            break
    else:
        pytest.fail("the note was never ahead of the last checkpoint")
    assert b"tenant-a" in lines[edited]
    changed = lines[edited].replace(b"tenant-a", b"tenant-b")
    rewrite(path, lines[:edited] + chained([changed, *lines[edited + 1:]], hash_of(lines[edited - 1])))
    code, result = verify(driver.folder, "--key", public)
    assert code == 0, "nothing signed was touched"
    run, = result["runs"]
    assert run["unsealed_from"] == json.loads(lines[edited])["event"]["sequence"], "but it is named"
    assert_damage(driver, public, "cut, changed or removed")


def fake_run(previous):
    """A run that nobody's writer wrote: it continues the trail, with good hashes and without a checkpoint."""
    last, chain = json.loads(previous[-1]), "00000000abcd"
    start, body = json.loads(previous[0]), []
    audit_of(start).update(chain=chain, previous_chain=last["event"]["id"].split("-")[0],
                           previous_sequence=last["event"]["sequence"], previous_head=last["event"]["hash"])
    publish = json.loads(next(line for line in previous if b'"action":"mqtt-publish"' in line))
    for number, event in enumerate((start, publish), 1):
        event["event"].update(sequence=number, id=f"{chain}-{number}")
        body.append(json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode())
    return chain, chained(body, start_hash(chain))


def test_a_forged_run_without_checkpoints_is_found(driver, public):
    driver.run("--events", 100)
    chain, lines = fake_run(read_lines(driver.folder))
    rewrite(driver.folder / f"audit-{chain}-000002.ndjson", lines)
    assert verify(driver.folder)[0] == 0, "without a key anybody can write a run"
    code, result = verify(driver.folder, "--key", public)
    assert code == 1 and "never sealed" in result["first_bad"]["reason"]
    result = assert_damage(driver, public, "not noted")
    assert "never sealed" in result["first_bad"]["reason"]


@pytest.mark.parametrize("remove", [lambda note: note.unlink(), lambda note: note.write_text("")],
                         ids=["removed", "emptied"])
def test_a_removed_note_is_declared(driver, public, remove):
    """Less than damage: it may have been lost with a backup. But never in silence."""
    driver.run("--events", 100)
    remove(driver.folder / ".head")
    driver.run("--events", 10)
    record, = declared(driver.folder)
    assert "(.head) is missing" in record["message"] and record["event"]["severity"] == 3
    assert verify(driver.folder, "--key", public, "--require-final")[0] == 0


@pytest.mark.parametrize("change", [
    lambda text: text.replace("\n", "\n1", 1), lambda text: text[:-9] + "AAAAAA==\n",
    lambda text: "\n".join(text.split("\n")[:7]) + "\n-\n"],
    ids=["fields", "signature", "unsigned"])
def test_a_forged_note_is_found(driver, public, change):
    driver.run("--events", 100)
    note = driver.folder / ".head"
    note.write_text(change(note.read_text()))
    assert_damage(driver, public, "not what the last run wrote")


def test_after_a_change_of_keys_the_note_is_read_but_not_trusted(driver, tmp_path, public):
    driver.run("--events", 100)
    guardctl("audit", "keygen", tmp_path / "new.key", check=0)
    other = Driver(driver.folder, tmp_path / "new.key")
    other.run("--events", 10)
    record, = declared(driver.folder)
    assert "another key" in record["message"] and record["event"]["severity"] == 3
    other.run("--events", 10)
    assert not declared(driver.folder)
    keys = ("--key", public, "--key", f"{other.key}.pub")
    assert verify(driver.folder, *keys, "--require-final")[0] == 0
    rewrite(segments(driver.folder)[-1], lines_of(segments(driver.folder)[-1])[:-3])
    driver.run("--events", 10)
    assert "cut, changed" in declared(driver.folder)[0]["message"], "a cut shows all the same"


@pytest.mark.parametrize("options", [(), ("--fsync", "off"), ("--fsync", "batch"), ("--rotate", 70000)],
                         ids=["interval", "off", "batch", "rotating"])
def test_an_honest_crash_is_no_damage(driver, public, options):
    for i in range(4):
        crash(driver, *options, after=0.3 + 0.37 * i)
        driver.run("--events", 50)
        assert not declared(driver.folder)
    code, result = verify(driver.folder, "--key", public, "--require-final")
    assert code == 0, result
    assert sum("were not sealed when it ended (a crash)" in text for text in result["warnings"]) == \
        sum(not run["closed"] and run["unsealed"] > 0 for run in result["runs"])


def test_without_a_key_the_note_still_shows_a_cut(tmp_path, key):
    driver = Driver(tmp_path / "audit", key)
    driver.run("--events", 100, key=False)
    path, = segments(driver.folder)
    driver.run("--events", 10, key=False)
    assert not declared(driver.folder)
    rewrite(segments(driver.folder)[-1], lines_of(segments(driver.folder)[-1])[:-2])
    driver.run("--events", 10, key=False)
    assert declared(driver.folder)


# ---- what only an anchor shows ----


def anchor(driver, path, public):
    done = guardctl("audit", "anchor", "--key", public, driver.folder, check=0)
    with open(path, "a") as file:
        file.write(done.stdout)
    return json.loads(done.stdout)


def test_a_folder_put_back_to_an_earlier_time_is_only_found_by_an_anchor(driver, tmp_path, public):
    driver.run("--events", 100)
    shutil.copytree(driver.folder, tmp_path / "earlier")
    driver.run("--events", 100)
    anchors = tmp_path / "anchors"
    assert anchor(driver, anchors, public)["event"]["action"] == "audit-checkpoint"
    shutil.rmtree(driver.folder)
    shutil.copytree(tmp_path / "earlier", driver.folder)
    driver.run("--events", 100)
    assert not declared(driver.folder), "note and files fit: docs/audit.md says so"
    assert verify(driver.folder, "--key", public, "--require-final")[0] == 0
    code, result = verify(driver.folder, "--key", public, "--anchor", anchors)
    assert code == 1 and "which is not here" in result["first_bad"]["reason"]


def test_a_trail_begun_anew_is_only_found_by_an_anchor(driver, tmp_path, public):
    driver.run("--events", 100)
    anchor(driver, tmp_path / "anchors", public)
    shutil.rmtree(driver.folder)
    time.sleep(1.1)
    driver.run("--events", 100)
    assert verify(driver.folder, "--key", public, "--require-final")[0] == 0
    code, result = verify(driver.folder, "--key", public, "--anchor", tmp_path / "anchors")
    assert code == 1 and "none of the anchors" in result["first_bad"]["reason"]


def test_anchors_of_a_good_trail_fit_from_wherever_they_come(driver, tmp_path, public):
    anchors = tmp_path / "anchors"
    for _ in range(3):
        driver.run("--events", 1500)
        anchor(driver, anchors, public)
    assert verify(driver.folder, "--key", public, "--anchor", anchors)[0] == 0
    copy = tmp_path / "messages"
    copy.write_bytes(b"".join(b"<110>1 2026-01-01T00:00:00Z h mosquitto-guard - - - " + line + b"\r\n"
                              for line in read_lines(driver.folder)))
    assert verify(driver.folder, "--key", public, "--anchor", copy)[0] == 0
    segments(driver.folder)[0].unlink()
    oldest, first_left = (json.loads(line)["@timestamp"][:19] for line in (anchors.read_bytes().splitlines()[0], read_lines(driver.folder)[0]))
    code, result = verify(driver.folder, "--key", public, "--anchor", anchors)
    assert code == (1 if oldest == first_left else 0), "within a second of each other nobody can tell what was first"
    (tmp_path / "none").write_text("nothing\n")
    assert guardctl("audit", "verify", "--anchor", tmp_path / "none", driver.folder).returncode == 2


def test_an_anchor_shows_what_was_rewritten(driver, tmp_path, public):
    driver.run("--events", 1500)
    line = anchor(driver, tmp_path / "anchors", public)
    text = (tmp_path / "anchors").read_text().replace(line["event"]["hash"], "0" * 64)
    (tmp_path / "anchors").write_text(text)
    code, result = verify(driver.folder, "--key", public, "--anchor", tmp_path / "anchors")
    assert code == 1 and "rewritten" in result["first_bad"]["reason"]


def test_an_anchor_is_not_made_from_a_trail_that_does_not_verify(driver, public):
    driver.run("--events", 100)
    path, = segments(driver.folder)
    lines = lines_of(path)
    rewrite(path, lines[:50] + lines[51:])
    done = guardctl("audit", "anchor", "--key", public, driver.folder, check=1)
    assert not done.stdout and path.name in done.stderr
    guardctl("audit", "anchor", driver.folder / "nothing", check=2)


# ---- whose trail it is ----


def test_a_trail_of_another_broker_is_told_by_its_name(driver, public):
    driver.run("--events", 10)
    assert verify(driver.folder, "--key", public, "--broker", "broker-1")[0] == 0
    code, result = verify(driver.folder, "--key", public, "--broker", "broker-2")
    assert code == 1 and "trail of broker 'broker-1'" in result["first_bad"]["reason"]
    driver.run("--events", 10, "--broker", "broker-2")
    code, result = verify(driver.folder, "--key", public)
    assert code == 1 and "continues the trail of broker 'broker-1'" in result["first_bad"]["reason"]
    assert verify(driver.folder, "--key", public, "--broker", "broker-1", "--broker", "broker-2")[0] == 0


def test_the_name_stands_in_ocsf_too(driver, public):
    driver.run("--events", 10, "--format", "ocsf")
    code, result = verify(driver.folder, "--key", public, "--broker", "broker-1")
    assert code == 0 and result["runs"][0]["broker"] == "broker-1"


# ---- under the writer's hands ----


def remove_file(path):
    path.unlink()


def replace_file(path):
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)


def rename_file(path):
    path.rename(path.with_name("moved"))


def cut_file(path):
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size // 2)


def add_to_file(path):
    with open(path, "ab") as file:
        file.write(b"{}\n")


def remove_folder(path):
    shutil.rmtree(path.parent)


def rename_folder(path):
    path.parent.rename(path.parent.with_name("moved"))


@pytest.mark.parametrize("attack, words", [
    (remove_file, "removed, renamed or replaced"), (rename_file, "removed, renamed or replaced"),
    (replace_file, "removed, renamed or replaced"), (cut_file, "it was cut"),
    (add_to_file, "somebody else has written"), (remove_folder, "folder was removed"),
    (rename_folder, "folder was removed")], ids=lambda value: getattr(value, "__name__", None))
def test_what_is_done_to_the_file_that_is_written_is_found_within_seconds(driver, public, attack, words):
    process = driver.start("--rate", 2000)
    deadline = time.monotonic() + 30
    while not segments(driver.folder) or not (driver.folder / ".head").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.3)
    path = segments(driver.folder)[-1]
    attack(path)
    found = []
    while not found:
        assert time.monotonic() < deadline, "nobody noticed"
        time.sleep(0.1)
        found = [event for event in whole_events(driver.folder) if words in event.get("message", "")]
    assert audit_of(found[0])["file"] == path.name
    assert (found[0]["event"]["action"], found[0]["event"]["outcome"]) == ("audit-recovered", "failure")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    report = json.loads(out.splitlines()[-1])
    assert report["damage"] == 1 and report["lost"] == 0, "what comes later is all in the next file"
    files = segments(driver.folder)
    assert lines_of(files[-1])[-2:] and b'"audit-checkpoint"' in lines_of(files[-1])[-1]
    assert verify(driver.folder, "--key", public)[0] == 1
    code, result = verify([files[-1]], "--key", public, "--from-rotation", "--require-final")
    assert code == 1 and "read its audit-recovered" in result["first_bad"]["reason"], "all else in it is good"


def whole_events(folder):
    """Of a trail that is being written, and may have been cut in the middle of a line."""
    result = []
    for path in segments(folder):
        for line in path.read_bytes().split(b"\n")[:-1]:
            try:
                result.append(json.loads(line))
            except ValueError:
                pass
    return [event for event in result if event]


def test_nothing_is_declared_when_nobody_does_anything(driver, public):
    report = driver.run("--events", 9000, "--rate", 3000, "--rotate", 200000, "--reload", 200)
    assert report["damage"] == 0
    lines, lost, _ = account(driver.folder)
    assert lost == 0 and lines > 9000
    assert verify(driver.folder, "--key", public, "--require-final")[0] == 0


CRASH = r"""
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
static void crash_at(const char *place) { if (strcmp(getenv("CRASH_AT"), place) == 0) kill(getpid(), SIGKILL); }
int ftruncate(int fd, off_t size) { int rc = syscall(SYS_ftruncate, fd, size); crash_at("announced"); return rc; }
int fdatasync(int fd) { crash_at("written"); return syscall(SYS_fdatasync, fd); }
"""


def test_two_crashes_in_a_row_are_no_damage(driver, public, tmp_path, monkeypatch):
    """A run that dies with its first lines written and no note of its own, then one that dies before its first line."""
    source, shim = tmp_path / "crash.c", tmp_path / "crash.so"
    source.write_text(CRASH)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, source], check=True)
    driver.run("--events", 10)
    for place in ("written", "announced"):
        with monkeypatch.context() as patch:
            patch.setenv("LD_PRELOAD", str(shim))
            patch.setenv("CRASH_AT", place)
            process = driver.start("--events", 10)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, f"it did not get to where it is '{place}'"
    driver.run("--events", 10)
    assert not [e for e in events(driver.folder) if e["event"]["action"] == "audit-recovered" and e["event"]["reason"] == "unknown"]
    assert verify(driver.folder, "--key", public)[0] == 0


def test_a_crash_in_the_first_moment_is_no_damage(driver, public):
    """Many kills around the first write of a run, each followed by a run that must find nothing."""
    for i in range(60):
        process = driver.start("--rate", 3000)
        time.sleep(0.0005 * i)
        process.kill()
        process.communicate()
    driver.run("--events", 10)
    found = [line for line in read_lines(driver.folder) if b'"audit-recovered"' in line and b'"reason":"unknown"' in line]
    assert not found  # lines that a kill has torn stand between them
    assert verify(driver.folder, "--key", public)[0] == 0
