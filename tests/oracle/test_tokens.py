"""
Random tokens on which guardctl (the plugin's own verifier) and an independent judge must agree. GUARD_TOKEN_CASES and GUARD_TOKEN_SEED:
how many (3,000) and from where.
"""
import base64
import json
import os

import pytest
from cryptography.hazmat.primitives import serialization

from guardctl import ROOT, build_folder, run
from token_judge import Bad, judge
from token_mutations import AUDIENCE, ISSUER, NOW, case

KEYS = ROOT / "tests/data/tokens/keys"
COUNT = int(os.environ.get("GUARD_TOKEN_CASES", "3000"))
SEED = int(os.environ.get("GUARD_TOKEN_SEED", "1"))
LISTED = "RS256,RS384,RS512,PS256,PS384,PS512,ES256,ES384,ES512,EdDSA,HS256,HS384,HS512"


@pytest.fixture(scope="module")
def public():
    return json.loads((KEYS / "all.jwks").read_text())["keys"]


@pytest.fixture(scope="module")
def private(public):
    keys = {name: serialization.load_pem_private_key(pem.encode(), None) for name, pem in json.loads((KEYS / "private.json").read_text()).items()}
    secrets = {jwk["kid"]: base64.urlsafe_b64decode(jwk["k"] + "==") for jwk in public if jwk["kty"] == "oct"}
    return {**keys, **secrets}


def opinion(token, public):
    try:
        return {"valid": True, "identity": judge(token, public, ISSUER, AUDIENCE, NOW)}
    except Bad as bad:
        return {"valid": False, "why": str(bad)}


def answers(tokens):
    lines = "".join(json.dumps({"token": token, "now": NOW}) + "\n" for token in tokens)
    done = run("token", "verify", "--jwks", KEYS / "all.jwks", "--issuer", ISSUER, "--audience", AUDIENCE, "--algorithms", LISTED, "--batch", stdin=lines)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_both_say_the_same(public, private):
    build_folder()
    cases = [case(seed, private) for seed in range(SEED, SEED + COUNT)]
    given = answers([token for token, _ in cases])
    assert len(given) == COUNT
    wrong, good = [], 0
    for (token, made), answer in zip(cases, given):
        mine = opinion(token, public)
        good += mine["valid"]
        if (answer["valid"], answer.get("identity")) != (mine["valid"], mine.get("identity")):
            wrong.append(f"{made}\n  guardctl: {answer}\n  judge: {mine}\n  {token[:600]}")
    assert not wrong, f"{len(wrong)} of {COUNT}:\n" + "\n".join(wrong[:10])
    assert COUNT // 10 < good < COUNT // 2, f"{good} good ones among {COUNT}: the cases have lost their edge"
