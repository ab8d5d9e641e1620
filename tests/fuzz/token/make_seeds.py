#!/usr/bin/env python3
"""Makes the seeds of the token, key set and JSON fuzz targets from the corpora of tests/data/tokens."""
import base64
import collections
import json
import os

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, "../../data/tokens")


MOST = 16  # seeds of one class in one folder; the corpus itself is run elsewhere
counts = collections.Counter()


def write(folder, name, octets):
    kind = folder, octets[:1], name.split("/")[0]
    counts[kind] += 1
    if counts[kind] > MOST:
        return
    path = os.path.join(HERE, "seeds", folder)
    os.makedirs(path, exist_ok=True)
    with open(os.path.join(path, name.replace("/", "-").replace("'", "").replace(" ", "_")), "wb") as f:
        f.write(octets)


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def main():
    with open(os.path.join(DATA, "corpus.ndjson"), encoding="utf-8") as f:
        cases = [json.loads(line) for line in f]
    for case in cases:
        kind, token = case["name"].split("/")[0], case.get("token", "")
        if len(token) > 2000:
            continue
        if kind in ("parts", "rfc", "none") or kind == "ecdsa" and "ES256" in case["name"]:
            write("token", case["name"], b"t" + token.encode())
        parts = token.split(".")
        try:
            if kind in ("payload-json", "exp", "times", "claims", "identity", "aud"):
                write("token", case["name"], b"p" + unb64(parts[1]))
            elif kind in ("header-json", "header", "kid", "embedded"):
                write("token", case["name"], b"h" + unb64(parts[0]).replace(b"ES256", b"HS256").replace(b'"p256"', b'"h"'))
            if kind in ("payload-json", "header-json"):
                write("json", case["name"], unb64(parts[1 if kind[0] == "p" else 0]))
        except (ValueError, IndexError):
            pass
    with open(os.path.join(DATA, "keysets.ndjson"), encoding="utf-8") as f:
        for case in map(json.loads, f):
            if "beside" not in case["name"] and len(case["content"]) < 4000:
                write("jwks", case["name"].split("-")[0] + "/" + case["name"], case["content"].encode())


if __name__ == "__main__":
    main()
