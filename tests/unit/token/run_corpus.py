#!/usr/bin/env python3
"""Runs the token corpus and the key sets through `guardctl token verify`, as its users would.

    run_corpus.py GUARDCTL [FOLDER OF THE CORPUS]

Every case must come out as the corpus says, with its reason; a key set must load with its number of keys, or exit 2.
"""
import collections
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
FLAGS = {"bind_client_id": "--bind-client-id", "bind_username": "--bind-username",
         "require_certificate_binding": "--require-certificate-binding"}
VALUES = {"jwks": "--jwks", "key": "--key", "issuer": "--issuer", "algorithms": "--algorithms", "identity_claim": "--identity-claim",
          "roles_claim": "--roles-claim", "leeway": "--leeway", "max_lifetime": "--max-lifetime"}
LISTS = {"audience": "--audience", "revoked_jti": "--revoked-jti"}


def arguments(config):
    out = []
    for name, value in config.items():
        if name in FLAGS:
            out += [FLAGS[name]] if value else []
        elif name in LISTS:
            for one in value:
                out += [LISTS[name], one]
        else:
            out += [VALUES[name], str(value)]
    return out


def line(case):
    """The question of a case. Octets that are no UTF-8 go into the line as they are."""
    question = {k: case[k] for k in ("client_id", "username", "certificate", "now") if k in case}
    if "token" in case:
        return json.dumps(dict(question, token=case["token"])).encode()
    rest = json.dumps(question)[1:].encode()
    octets = b"".join(b"\\u%04x" % o if o < 0x20 or o in b'"\\' else bytes([o]) for o in bytes.fromhex(case["token_hex"]))
    return b'{"token":"' + octets + b'"' + (b"," if rest != b"}" else b"") + rest


def run_config(guardctl, folder, config, cases):
    command = [guardctl, "token", "verify", "--batch"] + arguments(config)
    done = subprocess.run(command, cwd=folder, input=b"\n".join(map(line, cases)) + b"\n", stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=120)
    answers = [json.loads(a) for a in done.stdout.splitlines()]
    wrong = []
    if done.returncode != 0 or len(answers) != len(cases):
        wrong.append("exit %d, %d answers for %d cases: %s" % (done.returncode, len(answers), len(cases), done.stderr.decode()[-2000:]))
    for case, answer in zip(cases, answers):
        expected = {k: case[k] for k in ("valid", "reason", "identity", "expires") if k in case}
        if answer != expected:
            wrong.append("%s: expected %s, got %s" % (case["name"], expected, answer))
        if case.get("token", "")[-20:] and len(case.get("token", "")) > 60 and case["token"][-20:].encode() in done.stderr:
            wrong.append(case["name"] + ": the token is on standard error")
    return wrong


def run_key_sets(guardctl, folder):
    wrong, count = [], 0
    with open(os.path.join(folder, "keysets.ndjson"), encoding="utf-8") as f:
        for case in map(json.loads, f):
            count += 1
            with tempfile.NamedTemporaryFile(suffix=".jwks") as jwks:
                jwks.write(case["content"].encode())
                jwks.flush()
                for option in ("--key", "--jwks"):
                    done = subprocess.run([guardctl, "token", "verify", option, jwks.name, "a.b.c"], stdout=subprocess.PIPE,
                                          stderr=subprocess.PIPE, timeout=60)
                    expected = 1 if case["keys"] and (option == "--key" or not case["secret"]) else 2
                    if done.returncode != expected or (expected == 2 and b"keys are refused" not in done.stderr):
                        wrong.append("key set %s, %s: exit %d, expected %d: %s" % (
                            case["name"], option, done.returncode, expected, done.stderr.decode().strip()))
    return wrong, count


def main():
    guardctl = os.path.abspath(sys.argv[1])
    folder = os.path.abspath(sys.argv[2] if len(sys.argv) > 2 else os.path.join(HERE, "../../data/tokens"))
    with open(os.path.join(folder, "configs.json"), encoding="utf-8") as f:
        configs = json.load(f)
    by_config = collections.defaultdict(list)
    with open(os.path.join(folder, "corpus.ndjson"), encoding="utf-8") as f:
        for case in map(json.loads, f):
            by_config[case["config"]].append(case)
    wrong, count = run_key_sets(guardctl, folder)
    for name, cases in by_config.items():
        wrong += run_config(guardctl, folder, configs[name], cases)
        count += len(cases)
    for text in wrong:
        print(text)
    print("%d cases, %d wrong" % (count, len(wrong)))
    return 1 if wrong or count < 300 else 0


if __name__ == "__main__":
    sys.exit(main())
