"""
What an attacker who can edit the files, but has no key, can do unnoticed: each attack of docs/audit.md, and what catches
it. `recompute` means that all hashes behind the edit are computed anew, as such an attacker would.
"""
import base64
import hashlib
import json
import shutil

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from conftest import audit_of, guardctl, segments, start_hash, verify

TAIL = 76  # ,"hash":"<64 hex>"}}


@pytest.fixture(scope="module")
def original(tmp_path_factory, request):
    """A trail of two runs: the first crashed into none, both closed, with several checkpoints and files."""
    from conftest import Driver
    key = request.getfixturevalue("key")
    driver = Driver(tmp_path_factory.mktemp("original") / "audit", key)
    driver.run("--events", 2600, "--rate", 20000)
    driver.run("--events", 2600, "--rate", 20000, "--rotate", 1 << 20)
    assert verify(driver.folder, "--key", f"{key}.pub", "--require-final")[0] == 0
    return driver.folder


class Trail:
    """A copy of a trail that can be edited; it stays one file a run for simplicity."""

    def __init__(self, folder):
        self.folder = folder
        self.paths = segments(folder)
        self.lines = [path.read_bytes().split(b"\n")[:-1] for path in self.paths]

    def save(self):
        for path, lines in zip(self.paths, self.lines):
            path.write_bytes(b"".join(line + b"\n" for line in lines))

    def recompute(self, file=0):
        """New hashes for a whole run's file, and for those that continue it."""
        chain = json.loads(self.lines[file][0])["event"]["id"].split("-")[0]
        head = start_hash(chain)
        for lines in self.lines[file:]:
            if json.loads(lines[0])["event"]["id"].split("-")[0] != chain:
                break
            for i, line in enumerate(lines):
                head = hashlib.sha256(head + line[:-TAIL]).digest()
                lines[i] = line[:-TAIL] + b',"hash":"' + head.hex().encode() + b'"}}'

    def renumber(self, file=0):
        """New numbers without a hole, as far as they stand in event.sequence and event.id."""
        chain = json.loads(self.lines[file][0])["event"]["id"].split("-")[0]
        for i, line in enumerate(self.lines[file]):
            old = json.loads(line)["event"]["sequence"]
            self.lines[file][i] = line.replace(f'"sequence":{old},"id":"{chain}-{old}"'.encode(),
                                               f'"sequence":{i + 1},"id":"{chain}-{i + 1}"'.encode())

    def find(self, action, file=0, nth=0):
        return [i for i, line in enumerate(self.lines[file]) if f'"action":"{action}"'.encode() in line][nth]


def edit(trail):
    i = trail.find("mqtt-publish", nth=50)
    trail.lines[0][i] = trail.lines[0][i].replace(b"tenant-a", b"tenant-b")


def delete(trail):
    del trail.lines[0][trail.find("mqtt-publish", nth=50)]


def insert(trail):
    i = trail.find("mqtt-publish", nth=50)
    trail.lines[0].insert(i, trail.lines[0][i - 1].replace(b"tenant-a", b"tenant-b"))


def swap(trail):
    i = trail.find("mqtt-publish", nth=50)
    lines = trail.lines[0]
    lines[i], lines[i + 1] = lines[i + 1], lines[i]


def duplicate(trail):
    i = trail.find("mqtt-publish", nth=50)
    trail.lines[0].insert(i, trail.lines[0][i])


def replay_sealed_block(trail):
    first, second = trail.find("audit-checkpoint", nth=0), trail.find("audit-checkpoint", nth=1)
    trail.lines[0][second + 1:second + 1] = trail.lines[0][first + 1:second + 1]


def forged_gap(trail):
    """Ten lines give way to a record that says they were lost."""
    i = trail.find("mqtt-publish", nth=50)
    lines = trail.lines[0]
    first = json.loads(lines[i])["event"]["sequence"]
    victim = lines[i + 10]
    sequence = json.loads(victim)["event"]["sequence"]
    chain = json.loads(victim)["event"]["id"].split("-")[0]
    now = json.loads(victim)["@timestamp"]
    gap = {"@timestamp": now, "log.level": "error", "message": f"{sequence - first} audit events were dropped",
           "ecs.version": "8.11.0", "service": {"type": "mosquitto", "node": {"name": "broker-1"}},
           "mosquitto": {"audit": {"lost": sequence - first, "first_sequence": first, "last_sequence": sequence - 1,
                                   "lost_by_action": {"mqtt-publish": sequence - first},
                                   "lost_total": sequence - first}},
           "event": {"kind": "pipeline_error", "dataset": "mosquitto.audit", "type": ["error"], "action": "audit-gap",
                     "outcome": "failure", "reason": "ring_full", "start": now, "end": now, "severity": 5,
                     "sequence": sequence, "id": f"{chain}-{sequence}", "hash": "0" * 64}}
    lines[i:i + 11] = [json.dumps(gap, separators=(",", ":")).encode()]


def remove_checkpoint(trail):
    del trail.lines[0][trail.find("audit-checkpoint", nth=1)]


def remove_all_checkpoints(trail):
    trail.lines[0] = [line for line in trail.lines[0] if b'"action":"audit-checkpoint"' not in line]


def forge_checkpoint(trail):
    """An edit, and then all later checkpoints made to fit it; only their signatures cannot be made."""
    edit(trail)
    refit(trail, None)


def refit(trail, private):
    """Rewrites every checkpoint of the first run with new heads, signed by private if there is one."""
    previous, head = "0" * 64, start_hash(json.loads(trail.lines[0][0])["event"]["id"].split("-")[0])
    for i, line in enumerate(trail.lines[0]):
        if b'"action":"audit-checkpoint"' in line:
            event = json.loads(line)
            facts = audit_of(event)
            facts["head"], facts["previous_checkpoint"] = head.hex(), previous
            text = "".join(f"{part}\n" for part in ("mosquitto-audit-v1", facts["chain"], facts["checkpoint"],
                                                    facts["last_sequence"], facts["head"], previous, facts["time"]))
            signature = base64.b64decode(facts["signature"])
            if private:
                signature = private.sign(text.encode())
                facts["signature"] = base64.b64encode(signature).decode()
                facts["key_id"] = key_id(private.public_key())
            previous = hashlib.sha256(text.encode() + signature).hexdigest()
            line = json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()
        head = hashlib.sha256(head + line[:-TAIL]).digest()
        trail.lines[0][i] = line[:-TAIL] + b',"hash":"' + head.hex().encode() + b'"}}'


def key_id(public):
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]


def foreign_key(trail):
    edit(trail)
    refit(trail, Ed25519PrivateKey.generate())


def claim_unsigned(trail):
    """Signatures stripped: the checkpoints say that nobody signs here."""
    for i, line in enumerate(trail.lines[0]):
        if b'"action":"audit-checkpoint"' in line:
            event = json.loads(line)
            facts = audit_of(event)
            facts["algorithm"] = "none"
            del facts["signature"], facts["key_id"]
            trail.lines[0][i] = json.dumps(event, separators=(",", ":")).encode()


def splice(trail):
    """The tail of the first run is replaced by lines of the second."""
    trail.lines[0][-20:] = trail.lines[1][-20:]


def head_cut(trail):
    del trail.lines[0][:100]


def torn_end(trail):
    trail.lines[-1][-1] = trail.lines[-1][-1][:100]


def append_garbage(trail):
    trail.lines[-1].append(b"no line of the trail")


ATTACKS = [  # attack, also tried with recomputed hashes, words of the finding without and with
    (edit, "hash", "not about the line before"),
    (delete, "missing and not declared", "missing and not declared"),
    (insert, "again or out of order", "again or out of order"),
    (swap, "missing and not declared", "missing and not declared"),
    (duplicate, "again or out of order", "again or out of order"),
    (replay_sealed_block, "again or out of order", "again or out of order"),
    (forged_gap, "hash", "not about the line before"),
    (remove_checkpoint, "missing and not declared", "missing and not declared"),
    (remove_all_checkpoints, "missing and not declared", "missing and not declared"),
    (claim_unsigned, "hash", "not signed"),
    (splice, "chain", "chain"),
    (head_cut, "head of chain", None),
    (torn_end, "torn", None),
    (append_garbage, "torn or foreign", None),
]


@pytest.fixture
def trail(original, tmp_path):
    shutil.copytree(original, tmp_path / "trail")
    return Trail(tmp_path / "trail")


def findings(trail, public):
    trail.save()
    code, result = verify(trail.folder, "--key", public)
    assert code == (0 if result["valid"] else 1)
    return None if result["valid"] else result["first_bad"]


@pytest.mark.parametrize("attack, words, _", ATTACKS, ids=lambda value: getattr(value, "__name__", None))
def test_attack_is_found(trail, public, attack, words, _):
    attack(trail)
    bad = findings(trail, public)
    assert bad and words in bad["reason"], bad


@pytest.mark.parametrize("attack, words", [(a, w) for a, _, w in ATTACKS if w],
                         ids=lambda value: getattr(value, "__name__", None))
def test_attack_with_recomputed_hashes_is_found(trail, public, attack, words):
    attack(trail)
    if attack is not splice:
        trail.recompute()
    bad = findings(trail, public)
    assert bad and words in bad["reason"], bad


@pytest.mark.parametrize("attack", [delete, insert, duplicate, replay_sealed_block, remove_checkpoint,
                                    remove_all_checkpoints], ids=lambda value: value.__name__)
def test_attack_with_new_numbers_and_hashes_is_found(trail, public, attack):
    attack(trail)
    trail.renumber()
    trail.recompute()
    bad = findings(trail, public)
    assert bad, "renumbered"
    assert any(word in bad["reason"] for word in ("checkpoint", "its tail was cut or changed")), bad


def test_a_forged_checkpoint_has_no_signature(trail, public):
    forge_checkpoint(trail)
    assert "signature is wrong" in findings(trail, public)["reason"]


def test_a_foreign_key_is_named(trail, public):
    foreign_key(trail)
    assert "none of those given" in findings(trail, public)["reason"]


def test_without_a_key_recomputed_hashes_pass_and_the_tool_says_that_it_did_not_check(trail):
    edit(trail)
    refit(trail, None)
    trail.lines, trail.paths = trail.lines[:1], trail.paths[:1]
    trail.save()
    code, result = verify([trail.paths[0]])
    assert code == 0
    assert any("signatures were not checked" in warning for warning in result["warnings"])
    assert result["runs"][0]["sealed_to"] == 0


def test_bad_line_is_named(trail, public):
    i = trail.find("mqtt-publish", nth=50)
    edit(trail)
    bad = findings(trail, public)
    assert (bad["file"], bad["line"]) == (trail.paths[0].name, i + 1)


# ---- cutting the tail: what one file cannot show ----


def cut_tail(trail, file):
    del trail.lines[file][-30:]


def test_tail_cut_is_found_by_the_next_run(trail, public):
    cut_tail(trail, 0)
    assert "tail was cut" in findings(trail, public)["reason"]


def test_tail_cut_of_the_last_run_needs_require_final(trail, public):
    cut_tail(trail, -1)
    trail.save()
    assert verify(trail.folder, "--key", public)[0] == 0, "a boundary of lines: the files alone cannot tell"
    code, result = verify(trail.folder, "--key", public, "--require-final")
    assert code == 1 and "tail may be missing" in result["first_bad"]["reason"]


def test_tail_cut_of_a_closed_file_is_found(tmp_path, key, public):
    from conftest import Driver
    driver = Driver(tmp_path / "audit", key)
    driver.run("--events", 6000, "--rate", 20000, "--rotate", 1 << 20)
    trail = Trail(driver.folder)
    assert len(trail.paths) > 2
    cut_tail(trail, 1)
    assert findings(trail, public)


def test_a_removed_first_run_leaves_a_note_and_a_removed_middle_one_is_found(original, tmp_path, key, public):
    from conftest import Driver
    shutil.copytree(original, tmp_path / "trail")
    driver = Driver(tmp_path / "trail", key)
    driver.run("--events", 10)
    chains = sorted({path.name.split("-")[1] for path in segments(driver.folder)})
    assert len(chains) == 3
    files = segments(driver.folder)
    files[0].unlink()
    code, result = verify(driver.folder, "--key", public)
    assert code == 0 and any("which is not here" in warning for warning in result["warnings"])
    shutil.copy(next(original.glob("*000001.ndjson")), driver.folder)
    middle = files[1].name.split("-")[1]
    for path in files:
        if middle in path.name:
            path.unlink()
    code, result = verify(driver.folder, "--key", public)
    assert code == 1 and "says that it continues" in result["first_bad"]["reason"]


def test_an_anchor_shows_what_even_the_key_could_rewrite(trail, key, public):
    """With the key everything can be rewritten; a checkpoint kept elsewhere still tells."""
    anchor = audit_of(json.loads(trail.lines[0][trail.find("audit-checkpoint", nth=1)]))
    edit(trail)
    refit(trail, serialization.load_pem_private_key(open(key, "rb").read(), None))
    rewritten = audit_of(json.loads(trail.lines[0][trail.find("audit-checkpoint", nth=1)]))
    trail.lines, trail.paths = trail.lines[:1], trail.paths[:1]
    trail.save()
    assert verify([trail.paths[0]], "--key", public)[0] == 0
    assert rewritten["head"] != anchor["head"], "the same place, another head"


def test_retention_can_remove_whole_files(tmp_path, key, public):
    from conftest import Driver
    driver = Driver(tmp_path / "audit", key)
    driver.run("--events", 6000, "--rate", 20000, "--rotate", 1 << 20)
    segments(driver.folder)[0].unlink()
    code, result = verify(driver.folder, "--key", public)
    assert code == 1 and "head of chain" in result["first_bad"]["reason"]
    code, result = verify(driver.folder, "--key", public, "--from-rotation", "--require-final")
    assert code == 0, result


def test_key_change_takes_both_keys(original, tmp_path, key, public):
    from conftest import Driver
    shutil.copytree(original, tmp_path / "trail")
    new = tmp_path / "new.key"
    guardctl("audit", "keygen", new, check=0)
    Driver(tmp_path / "trail", new).run("--events", 10)
    assert verify(tmp_path / "trail", "--key", public)[0] == 1
    assert verify(tmp_path / "trail", "--key", public, "--key", f"{new}.pub", "--require-final")[0] == 0


def test_unsigned_trail(tmp_path, key, public):
    from conftest import Driver
    driver = Driver(tmp_path / "audit", key)
    driver.run("--events", 2000, key=False)
    code, result = verify(driver.folder, "--require-final")
    assert code == 0
    code, result = verify(driver.folder, "--key", public)
    assert code == 1 and "not signed" in result["first_bad"]["reason"]
