"""guardctl audit keygen, verify and tail as their users run them; and the chain as an independent reader computes it."""
import base64
import hashlib
import json
import subprocess
import time

import pytest
from cryptography.hazmat.primitives import serialization

from conftest import EXAMPLES, GUARDCTL, audit_of, events, guardctl, read_lines, segments, start_hash, stop, verify


def test_keygen(tmp_path):
    path = tmp_path / "k"
    done = guardctl("audit", "keygen", path, check=0)
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    private = serialization.load_pem_private_key(path.read_bytes(), None)
    public = serialization.load_pem_public_key((tmp_path / "k.pub").read_bytes())
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    assert private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw) == raw
    assert hashlib.sha256(raw).hexdigest()[:16] in done.stdout
    before = path.read_bytes()
    assert guardctl("audit", "keygen", path).returncode == 2, "an existing key is never replaced"
    assert path.read_bytes() == before
    assert guardctl("audit", "keygen").returncode == 2


@pytest.mark.parametrize("mode", [0o644, 0o666])
def test_a_key_that_others_can_read_is_refused(driver, tmp_path, key, mode):
    loose = tmp_path / "loose.key"
    loose.write_bytes(key.read_bytes())
    loose.chmod(mode)
    driver.key = loose
    done = driver.run("--events", 1, check=False)
    assert done.returncode == 2 and "mode" in done.stderr


def test_raw_key_and_wrong_kinds(driver, tmp_path, key):
    raw = tmp_path / "raw.key"
    raw.write_bytes(serialization.load_pem_private_key(key.read_bytes(), None).private_bytes(
        serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()))
    raw.chmod(0o600)
    driver.key = raw
    driver.run("--events", 5)
    assert verify(driver.folder, "--key", f"{key}.pub")[0] == 0
    rsa = tmp_path / "rsa.key"
    subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-out", rsa], check=True, capture_output=True)
    rsa.chmod(0o600)
    driver.key, driver.folder = rsa, tmp_path / "other"
    done = driver.run("--events", 1, check=False)
    assert done.returncode == 2 and "Ed25519" in done.stderr


def test_an_independent_reader_comes_to_the_same_hashes_and_signatures(driver, key):
    driver.run("--events", 2500, "--rate", 50000)
    public = serialization.load_pem_public_key(open(f"{key}.pub", "rb").read())
    chain = audit_of(events(driver.folder)[0])["chain"]
    head, previous, checkpoints, last = start_hash(chain), "0" * 64, 0, None
    for line in read_lines(driver.folder):
        event = json.loads(line)
        before, head = head, hashlib.sha256(head + line[:-76]).digest()
        assert event["event"]["hash"] == head.hex()
        if event["event"]["action"] == "audit-checkpoint":
            facts = audit_of(event)
            text = "".join(f"{part}\n" for part in ("mosquitto-audit-v1", chain, facts["checkpoint"],
                                                    facts["last_sequence"], before.hex(), previous, facts["time"]))
            signature = base64.b64decode(facts["signature"])
            public.verify(signature, text.encode())
            previous = hashlib.sha256(text.encode() + signature).hexdigest()
            assert facts["last_sequence"] - (last or 0) <= 2500  # 1,000, and what came while the writer was away
            last, checkpoints = facts["last_sequence"], checkpoints + 1
    assert checkpoints >= 3


def test_checkpoints_come_each_second_and_when_idle_too(driver):
    process = driver.start("--rate", 50)
    time.sleep(3.5)
    stop(process)
    times = [event["@timestamp"] for event in events(driver.folder) if event["event"]["action"] == "audit-checkpoint"]
    assert 3 <= len(times) <= 6


def test_examples_of_the_design_verify():
    done = guardctl("audit", "verify", "--require-final", EXAMPLES, check=0)
    assert "1872 declared lost" in done.stdout and "2 checkpoints" in done.stdout
    assert "which is not here" in done.stdout


def test_verify_reports_ranges(driver, public):
    driver.run("--events", 2000, "--rate", 50000)
    code, result = verify(driver.folder, "--key", public, "--require-final")
    run = result["runs"][0]
    assert code == 0 and run["closed"] and run["unsealed"] == 0
    assert run["first_sequence"] == 1 and run["sealed_to"] == run["last_sequence"] - 1 == run["lines"] - 1


def test_a_trail_can_be_verified_while_it_is_written(driver, public):
    process = driver.start("--rate", 20000, "--rotate", 1 << 22)
    time.sleep(1.2)
    try:
        for _ in range(10):
            code, result = verify(driver.folder, "--key", public)
            assert code == 0, result
            assert result["runs"][0]["sealed_to"] > 0
    finally:
        stop(process)


def test_exit_codes_and_usage(tmp_path, public):
    assert guardctl("audit", "verify").returncode == 2
    assert guardctl("audit", "verify", tmp_path / "missing").returncode == 2
    assert guardctl("audit", "verify", tmp_path).returncode == 2  # a folder without a trail
    assert guardctl("audit", "verify", "--key", tmp_path / "no.pub", EXAMPLES).returncode == 2
    assert guardctl("audit", "verify", "--nonsense", EXAMPLES).returncode == 2
    empty = tmp_path / "empty.ndjson"
    empty.write_bytes(b"")
    assert guardctl("audit", "verify", empty).returncode == 1
    for command in ("verify", "tail", "keygen"):
        assert "usage: guardctl audit " + command in guardctl("audit", command, "--help", check=0).stdout


def test_compressed_files_are_mentioned(driver, public):
    driver.run("--events", 3000, "--rotate", 1 << 20)
    subprocess.run(["gzip", segments(driver.folder)[0]], check=True)
    done = guardctl("audit", "verify", "--from-rotation", "--key", public, driver.folder)
    assert "1 compressed files were not read" in done.stdout


# ---- tail ----


def test_tail_is_readable(driver):
    driver.run("--events", 200)
    lines = guardctl("audit", "tail", driver.folder, check=0).stdout.splitlines()
    assert len(lines) == 20 and lines[-1].endswith("audit trail stopped")
    assert not any("\x1b" in line for line in lines), "no colour without a terminal"
    lines = guardctl("audit", "tail", "-n", 100000, driver.folder, check=0).stdout.splitlines()
    assert any("connect" in line and "jwt as device,sensor" in line for line in lines)
    assert not any("checkpoint" in line for line in lines)
    assert any("checkpoint" in line for line in guardctl("audit", "tail", "--checkpoints", driver.folder).stdout.splitlines())


def test_tail_filters(driver):
    driver.run("--events", 1000)
    denied = guardctl("audit", "tail", "--denied", "-n", 5000, driver.folder, check=0).stdout.splitlines()
    assert len(denied) == 30 and all("DENIED acl_" in line for line in denied)
    one = guardctl("audit", "tail", "--client", "client-3", "-n", 5000, driver.folder, check=0).stdout.splitlines()
    assert one and all(" client-3 (dev-3) " in line for line in one)
    assert len(guardctl("audit", "tail", "--user", "dev-3", "-n", 5000, driver.folder).stdout.splitlines()) == len(one)
    assert not guardctl("audit", "tail", "--since", "2099-01-01T00:00:00Z", driver.folder, check=0).stdout
    recent = guardctl("audit", "tail", "--since", "10m", driver.folder, check=0).stdout.splitlines()
    assert len(recent) > 1000
    raw = guardctl("audit", "tail", "--raw", "-n", 3, driver.folder, check=0).stdout.splitlines()
    assert [json.loads(line)["event"]["action"] for line in raw][-1] == "audit-stop"
    assert guardctl("audit", "tail", "--since", "yesterday", driver.folder).returncode == 2
    assert guardctl("audit", "tail", driver.folder / "missing").returncode == 2


def test_tail_shows_no_control_characters_of_a_forged_line(tmp_path):
    line = EXAMPLES.read_bytes().splitlines()[3].replace(b"tenant-a/dev-42/up/temp", b"\\u001b[2J\\u202eup")
    (tmp_path / "audit-5f3c9a1be07d-000001.ndjson").write_bytes(line + b"\n\x1b[31mraw\n")
    out = guardctl("audit", "tail", tmp_path, check=0).stdout
    assert "\x1b" not in out and "\u202e" not in out and "no line of the trail" in out


def test_tail_follows_across_rotation(driver):
    driver.run("--events", 10)
    follower = subprocess.Popen([GUARDCTL, "audit", "tail", "-f", "-n", "0", "--raw", "--checkpoints", driver.folder],
                                stdout=subprocess.PIPE, text=True)
    time.sleep(0.5)
    driver.run("--events", 3000, "--rate", 3000, "--rotate", 1 << 18)
    seen = []
    for line in follower.stdout:
        seen.append(json.loads(line))
        if len(seen) > 1 and seen[-2]["event"]["action"] == "audit-stop":
            break
    follower.kill()
    follower.communicate()
    assert [event["event"]["sequence"] for event in seen] == list(range(1, len(seen) + 1))
    assert seen[-2]["event"]["action"] == "audit-stop", seen[-1]
    assert sum(event["event"]["action"] == "audit-rotate" for event in seen) >= 3
