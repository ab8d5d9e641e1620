#!/usr/bin/env python3
"""Makes the token corpus: corpus.ndjson (one case a line), configs.json, keysets.ndjson and the key files in keys/.

Keys and signatures come from python3-cryptography and from hand-made octets, never from the code under test. The private
keys are kept in keys/private.json, so that a new run changes only what is random by nature (ECDSA, PSS).

    /usr/bin/python3 tests/data/tokens/make_corpus.py
"""
import datetime
import json
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

import corpus_claims
import corpus_crypto
import corpus_keysets
import corpus_shape
from corpus_tools import HERE, Keys, b64, compact, public_jwk, spki_pem, token
from rfc_vectors import VECTORS

NOW = 1800000000
SECRETS = {"hs256": bytes(range(32)), "hs512": bytes(range(100, 164))}
ALL = "RS256,RS384,RS512,PS256,PS384,PS512,ES256,ES384,ES512,EdDSA,HS256,HS384,HS512"


class Corpus:
    """Collects cases. reason "" = valid."""

    def __init__(self):
        self.keys = Keys()
        self.secrets = SECRETS
        self.cases = []
        self.names = set()
        self.klass = ""

    def claims(self, **more):
        claims = {"iss": "https://issuer.example", "aud": "mqtt", "sub": "sensor-7", "exp": NOW + 600, "iat": NOW - 60}
        claims.update(more)
        return {k: v for k, v in claims.items() if v is not ...}

    def add(self, name, tok, reason="", config="main", identity="sensor-7", expires=NOW + 600, **request):
        name = self.klass + "/" + name
        assert name not in self.names, name
        self.names.add(name)
        case = {"name": name, "config": config}
        if isinstance(tok, bytes):
            try:
                case["token"] = tok.decode()
                if "\0" in case["token"]:
                    raise UnicodeError
            except UnicodeError:
                case.pop("token", None)
                case["token_hex"] = tok.hex()
        else:
            case["token"] = tok
        case.update(request)
        case.setdefault("now", NOW)
        case["valid"] = not reason
        if reason:
            case["reason"] = reason
        else:
            case["identity"] = identity
            case["expires"] = expires
        self.cases.append(case)

    def es(self, claims=None, header=None, **more):
        """A token of the P-256 key, which is what most cases about shape and claims use."""
        base = {"alg": "ES256", "typ": "JWT", "kid": "p256"}
        base.update(header or {})
        base = {k: v for k, v in base.items() if v is not ...}
        return token("ES256", self.keys["p256"], base, claims if claims is not None else self.claims(**more))


def write(path, text):
    with open(os.path.join(HERE, path), "w", encoding="utf-8", newline="\n") as f:
        f.write(text)


def key_files(keys):
    """The key sets of the configurations."""
    secret = {"kty": "oct", "kid": "hs256", "k": b64(SECRETS["hs256"])}
    main = [public_jwk(keys["rsa"], kid="rsa", use="sig"),
            public_jwk(keys["rsa"], kid="rsa-ps256", alg="PS256"),
            public_jwk(keys["rsa_e3"], kid="rsa-e3"),
            public_jwk(keys["p256"], kid="p256", key_ops=["verify"]),
            public_jwk(keys["p384"], kid="p384"), public_jwk(keys["p521"], kid="p521"),
            public_jwk(keys["ed"], kid="ed"),
            public_jwk(keys["rsa_other"], kid="enc", use="enc"),
            {"kty": "OKP", "crv": "Ed448", "kid": "ed448", "x": b64(b"\1" * 57)}]
    write("keys/main.jwks", compact({"keys": main}) + "\n")
    more = main + [secret, {"kty": "oct", "kid": "hs512", "alg": "HS512", "k": b64(SECRETS["hs512"])}]
    write("keys/all.jwks", compact({"keys": more}) + "\n")
    one_each = [public_jwk(keys["rsa"]), public_jwk(keys["p256"]), public_jwk(keys["ed"])]
    write("keys/no-kid.jwks", compact({"keys": one_each}) + "\n")
    write("keys/two-p256.jwks", compact({"keys": [public_jwk(keys["p256"]), public_jwk(keys["p256_other"], kid="b")]}) + "\n")
    write("keys/p256.pem", spki_pem(keys["p256"]).decode())
    write("keys/rsa.pem", spki_pem(keys["rsa"]).decode())
    with open(os.path.join(HERE, "keys/secret.bin"), "wb") as f:
        f.write(SECRETS["hs256"])
    write("keys/secret.txt", "a secret of forty octets, printable text\n")
    for i, (jwk, _) in enumerate(vector_sets()):
        write("keys/rfc-%d.jwks" % i, compact({"keys": [jwk]}) + "\n")


def vector_sets():
    """The distinct keys of the vectors, each with the names of its vectors."""
    sets = []
    for name, jwk, _, _ in VECTORS:
        for known, names in sets:
            if known is jwk:
                names.append(name)
                break
        else:
            sets.append((jwk, [name]))
    return sets


def certificates(keys):
    """Two self-signed certificates and their thumbprints."""
    prints = {}
    for name, key in (("device", keys["p256"]), ("other", keys["p384"])):
        path = os.path.join(HERE, "keys", name + ".crt")
        if os.path.exists(path):
            with open(path, "rb") as f:
                certificate = x509.load_pem_x509_certificate(f.read())
        else:
            subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
            certificate = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
                           .public_key(key.public_key()).serial_number(x509.random_serial_number())
                           .not_valid_before(datetime.datetime(2026, 1, 1))
                           .not_valid_after(datetime.datetime(2099, 1, 1)).sign(key, hashes.SHA256()))
            with open(path, "wb") as f:
                f.write(certificate.public_bytes(serialization.Encoding.PEM))
        prints[name] = b64(certificate.fingerprint(hashes.SHA256()))
    return prints


def configs():
    main = {"jwks": "keys/main.jwks", "issuer": "https://issuer.example", "audience": ["mqtt"]}
    every = dict(main, jwks="keys/all.jwks", algorithms=ALL)
    out = {
        "main": main,
        "all": every,
        "secret-default": dict(main, jwks="keys/all.jwks"),
        "hs-listed": dict(main, algorithms="RS256,ES256,HS256"),
        "rs-only": dict(main, algorithms="RS256"),
        "no-kid": dict(main, jwks="keys/no-kid.jwks"),
        "two-p256": dict(main, jwks="keys/two-p256.jwks"),
        "open": {"jwks": "keys/main.jwks"},
        "two-audiences": dict(main, audience=["mqtt", "https://broker.example"]),
        "leeway": dict(main, leeway=30),
        "lifetime": dict(main, max_lifetime=3600),
        "azp": dict(main, identity_claim="azp"),
        "nested": dict(main, identity_claim="device.id", roles_claim="realm_access.roles"),
        "uri-claim": dict(main, identity_claim="https://example.com/user.name"),
        "scope": dict(main, roles_claim="scope"),
        "bind-client": dict(main, bind_client_id=True),
        "bind-user": dict(main, bind_username=True),
        "bind-cert": dict(main, require_certificate_binding=True),
        "revoked": dict(main, revoked_jti=["stolen-1", ""]),
        "key-pem": {"key": "keys/p256.pem"},
        "key-rsa-pem": {"key": "keys/rsa.pem"},
        "key-cert": {"key": "keys/device.crt"},
        "key-secret": {"key": "keys/secret.bin"},
        "key-secret-text": {"key": "keys/secret.txt"},
    }
    for i, (_, names) in enumerate(vector_sets()):
        for name in names:
            out[name] = {"jwks": "keys/rfc-%d.jwks" % i, "identity_claim": "iss", "algorithms": ALL}
    return out


def vectors(corpus):
    corpus.klass = "rfc"
    for name, _, tok, reason in VECTORS:
        corpus.add(name, tok, reason, config=name, identity="joe", expires=1300819380, now=1300819379)
        if not reason:
            corpus.add(name + "-expired", tok, "jwt_expired", config=name, now=1300819380)
        if tok.split(".")[2] and not name.endswith(("detached", "none")):
            head, payload, signature = tok.split(".")
            changed = ("A" if signature[0] != "A" else "B") + signature[1:]
            known = reason if "7797-4.2" in name else "jwt_bad_signature"
            corpus.add(name + "-changed", ".".join((head, payload, changed)), known, config=name, now=1300819379)


def main():
    corpus = Corpus()
    key_files(corpus.keys)
    prints = certificates(corpus.keys)
    corpus_shape.add(corpus)
    corpus_crypto.add(corpus)
    corpus_claims.add(corpus, prints)
    vectors(corpus)
    write("corpus.ndjson", "".join(json.dumps(c, ensure_ascii=True) + "\n" for c in corpus.cases))
    write("configs.json", json.dumps(configs(), indent=1) + "\n")
    write("keysets.ndjson", "".join(json.dumps(k, ensure_ascii=True) + "\n" for k in corpus_keysets.cases(corpus.keys)))
    print("%d cases, %d valid" % (len(corpus.cases), sum(c["valid"] for c in corpus.cases)))


if __name__ == "__main__":
    main()
