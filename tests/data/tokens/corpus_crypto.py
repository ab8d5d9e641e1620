"""Cases about algorithms and signatures."""
import hashlib

from cryptography.hazmat.primitives import hashes, serialization

from corpus_tools import (ED_L, ORDERS, SIZES, b64, compact, join, public_jwk, sign, signing_input, spki_pem, token)

BAD = "jwt_bad_signature"
NOT_ALLOWED = "jwt_alg_not_allowed"
ASYMMETRIC = (("RS256", "rsa"), ("RS384", "rsa"), ("RS512", "rsa"), ("PS256", "rsa"), ("PS384", "rsa"), ("PS512", "rsa"),
              ("ES256", "p256"), ("ES384", "p384"), ("ES512", "p521"), ("EdDSA", "ed"), ("Ed25519", "ed"))
DEFAULT = ("RS256", "PS256", "ES256", "EdDSA", "Ed25519")


def add(c):
    good(c)
    none(c)
    confusion(c)
    flips(c)
    ecdsa(c)
    eddsa(c)
    pss(c)
    rsa_pkcs1(c)
    hmac_tags(c)


def head(alg, kid):
    return {"alg": alg, "kid": kid}


def good(c):
    c.klass = "alg"
    for alg, key in ASYMMETRIC:
        tok = token(alg, c.keys[key], head(alg, key), c.claims())
        c.add("default-" + alg, tok, "" if alg in DEFAULT else NOT_ALLOWED)
        c.add("listed-" + alg, tok, config="all")
        if alg != "RS256":
            c.add("unlisted-" + alg, tok, NOT_ALLOWED, config="rs-only")
    for alg, kid in (("HS256", "hs256"), ("HS512", "hs512")):
        tok = token(alg, c.secrets[kid], head(alg, kid), c.claims())
        c.add("default-" + alg, tok, NOT_ALLOWED)
        c.add("secret-default-" + alg, tok, "" if alg == "HS256" else NOT_ALLOWED, config="secret-default")
        c.add("listed-" + alg, tok, config="all")
        c.add("listed-without-secret-" + alg, tok, NOT_ALLOWED, config="hs-listed")
    c.add("pinned-PS256", token("PS256", c.keys["rsa"], head("PS256", "rsa-ps256"), c.claims()))
    c.add("pinned-PS256-says-RS256", token("RS256", c.keys["rsa"], head("RS256", "rsa-ps256"), c.claims()), NOT_ALLOWED)
    c.add("pinned-PS256-says-PS512", token("PS512", c.keys["rsa"], head("PS512", "rsa-ps256"), c.claims()), NOT_ALLOWED, config="all")
    c.add("hs-key-too-short-for-HS384", token("HS384", c.secrets["hs256"], head("HS384", "hs256"), c.claims()), NOT_ALLOWED, config="all")
    for name, config, alg, key in (("pem", "key-pem", "ES256", "p256"), ("rsa-pem", "key-rsa-pem", "PS256", "rsa"),
                                   ("certificate", "key-cert", "ES256", "p256")):
        c.add("file-" + name, token(alg, c.keys[key], {"alg": alg}, c.claims()), config=config)
        c.add("file-%s-kid" % name, token(alg, c.keys[key], head(alg, "any"), c.claims()), "jwt_unknown_key", config=config)
    c.add("file-secret", token("HS256", c.secrets["hs256"], {"alg": "HS256"}, c.claims()), config="key-secret")
    text = b"a secret of forty octets, printable text"
    c.add("file-secret-text", token("HS256", text, {"alg": "HS256"}, c.claims()), config="key-secret-text")
    c.add("file-secret-text-newline", token("HS256", text + b"\n", {"alg": "HS256"}, c.claims()), BAD, config="key-secret-text")


def none(c):
    c.klass = "none"
    for alg in ("none", "None", "NONE", "nOnE", "none ", "", "null", "plain"):
        for name, kid in (("", {}), ("-kid", {"kid": "p256"})):
            signed = signing_input(dict({"alg": alg}, **kid), c.claims())
            c.add("%r%s-empty-signature" % (alg, name), signed.decode() + ".", "jwt_malformed")
            c.add("%r%s" % (alg, name), join(signed, b"\0"), NOT_ALLOWED)
    signed = signing_input({"alg": "none", "kid": "p256"}, c.claims())
    c.add("real-signature", join(signed, sign("ES256", c.keys["p256"], signed)), NOT_ALLOWED)
    c.add("everything-on", join(signed, b"\0"), NOT_ALLOWED, config="all")
    stripped = c.es().rsplit(".", 1)[0]
    c.add("signature-stripped", stripped + ".", "jwt_malformed")
    c.add("signature-stripped-no-dot", stripped, "jwt_malformed")


def confusion(c):
    c.klass = "confusion"
    rsa, p256, ed = c.keys["rsa"], c.keys["p256"], c.keys["ed"]
    public = rsa.public_key()
    pem = spki_pem(rsa)
    secrets = {
        "spki-pem": pem, "spki-pem-stripped": pem.strip(), "spki-pem-crlf": pem.replace(b"\n", b"\r\n"),
        "pkcs1-pem": public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.PKCS1),
        "spki-der": public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
        "modulus": public.public_numbers().n.to_bytes(256, "big"), "jwk": compact(public_jwk(rsa)).encode(),
        "n-text": public_jwk(rsa)["n"].encode(), "empty": b"", "kid": b"rsa",
    }
    for name, secret in secrets.items():
        for config in ("main", "all", "hs-listed"):
            c.add("HS256-%s-%s" % (name, config), token("HS256", secret, head("HS256", "rsa"), c.claims()), NOT_ALLOWED, config=config)
    c.add("HS256-pem-no-kid", token("HS256", pem, {"alg": "HS256"}, c.claims()), "jwt_bad_signature", config="secret-default")
    c.add("HS256-pem-key-file", token("HS256", spki_pem(p256), {"alg": "HS256"}, c.claims()), NOT_ALLOWED, config="key-pem")
    c.add("HS256-ec-pem", token("HS256", spki_pem(p256), head("HS256", "p256"), c.claims()), NOT_ALLOWED, config="all")
    raw_ed = ed.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    c.add("HS256-ed-raw", token("HS256", raw_ed, head("HS256", "ed"), c.claims()), NOT_ALLOWED, config="all")
    c.add("RS256-says-HS256", token("RS256", rsa, head("HS256", "rsa"), c.claims()), NOT_ALLOWED, config="all")
    c.add("secret-says-RS256", token("HS256", c.secrets["hs256"], head("RS256", "hs256"), c.claims()), NOT_ALLOWED, config="all")
    c.add("ES256-key-says-ES384", token("ES384", p256, head("ES384", "p256"), c.claims()), NOT_ALLOWED, config="all")
    c.add("P-384-key-says-ES256", token("ES256", c.keys["p384"], head("ES256", "p384"), c.claims()), NOT_ALLOWED, config="all")
    c.add("ed-says-ES256", token("EdDSA", ed, head("ES256", "ed"), c.claims()), NOT_ALLOWED)
    for name, alg in {"lower": "es256", "space": "ES256 ", "space-before": " ES256", "long": "ES2560", "short": "ES25", "k": "ES256K",
                      "ed448": "Ed448", "ed-lower": "ed25519", "eddsa-lower": "eddsa", "ps1": "PS1", "rs1": "RS1", "hs1": "HS1",
                      "rsa-oaep": "RSA-OAEP", "dir": "dir", "a128kw": "A128KW", "sha": "SHA256", "oid": "1.2.840.10045.4.3.2",
                      "unicode": "\uff25\uff33256", "many": "ES256,RS256", "huge": "E" * 3000}.items():
        c.add("name-" + name, token("ES256", p256, head(alg, "p256"), c.claims()), NOT_ALLOWED, config="all")
    for name, alg in {"number": 256, "null": None, "list": ["ES256"], "object": {"ES256": 1}, "true": True}.items():
        c.add("type-" + name, token("ES256", p256, head(alg, "p256"), c.claims()), "jwt_malformed")


def flips(c):
    """One bit of each part, at its beginning, middle and end."""
    c.klass = "flip"
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for alg, key in ASYMMETRIC[:-1] + (("HS256", "hs256"),):
        secret = c.secrets["hs256"] if alg == "HS256" else c.keys[key]
        header, payload, signature = token(alg, secret, head(alg, key), c.claims()).split(".")
        for name, at in (("first", 0), ("middle", len(signature) // 2), ("late", len(signature) - 3)):
            changed = alphabet[alphabet.index(signature[at]) ^ 1]
            c.add("%s-signature-%s" % (alg, name), ".".join((header, payload, signature[:at] + changed + signature[at + 1:])), BAD, config="all")
        other = b64(compact(c.claims(sub="admin")))
        c.add(alg + "-payload-replaced", ".".join((header, other, signature)), BAD, config="all")
        at = len(payload) // 2
        changed = alphabet[alphabet.index(payload[at]) ^ 1]
        c.add(alg + "-payload-flip", ".".join((header, payload[:at] + changed + payload[at + 1:], signature)), BAD, config="all")
        c.add(alg + "-header-replaced", ".".join((b64(compact(dict(head(alg, key), x=1))), payload, signature)), BAD, config="all")
        c.add(alg + "-signature-of-another", ".".join((header, payload, token(alg, secret, head(alg, key), c.claims(sub="x")).split(".")[2])), BAD, config="all")
        c.add(alg + "-signature-cut", ".".join((header, payload, signature[: len(signature) // 4 * 4 - 4])), BAD, config="all")
        c.add(alg + "-signature-longer", ".".join((header, payload, signature[: len(signature) // 4 * 4] + "AAAA")), BAD, config="all")
        c.add(alg + "-one-octet", ".".join((header, payload, "AA")), BAD, config="all")


def ecdsa(c):
    c.klass = "ecdsa"
    for alg, key, curve in (("ES256", "p256", "P-256"), ("ES384", "p384", "P-384"), ("ES512", "p521", "P-521")):
        size, n = SIZES[curve], ORDERS[curve]
        signed = signing_input(head(alg, key), c.claims())
        signature = sign(alg, c.keys[key], signed)
        r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")

        def pair(a, b):
            return a.to_bytes(size, "big") + b.to_bytes(size, "big")
        top = (1 << 8 * size) - 1
        wrong = {
            "zero": pair(0, 0), "r-zero": pair(0, s), "s-zero": pair(r, 0), "r-n": pair(n, s), "s-n": pair(r, n), "both-n": pair(n, n),
            "r-one": pair(1, s), "s-one": pair(r, 1), "both-one": pair(1, 1), "swapped": pair(s, r), "top": pair(top, top),
            "r-n-minus-1": pair(n - 1, s), "s-n-minus-1": pair(r, n - 1), "r-negated": pair(n - r, s), "r-n-plus-1": pair(n + 1, s),
            "s-top": pair(r, top), "shifted": b"\0" + signature[:-1], "reversed": signature[::-1],
            "short": signature[:-1], "long": signature + b"\0", "long-before": b"\0" + signature, "empty-like": b"\0",
            "half": signature[:size], "padded-each": b"\0" + signature[:size] + b"\0" + signature[size:],
        }
        if r + n <= top:
            wrong["r-plus-n"] = pair(r + n, s)
        if s + n <= top:
            wrong["s-plus-n"] = pair(r, s + n)
        if size == 66:
            wrong["high-bits"] = pair(r | 1 << 527, s)
            wrong["stripped"] = signature[1:66] + signature[67:]
        from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
        wrong["der"] = encode_dss_signature(r, s)
        wrong["der-zero"] = encode_dss_signature(0, 0)
        for name, octets in wrong.items():
            c.add("%s-%s" % (alg, name), join(signed, octets), BAD, config="all")
        c.add(alg + "-other-form", join(signed, pair(r, n - s)), config="all")  # ECDSA signatures have a second form; both are good
        c.add(alg + "-leading-zero", leading_zero(c, alg, key, size), config="all")
        other_hash = {"256": "384", "384": "512", "512": "256"}[alg[2:]]
        c.add(alg + "-hash-" + other_hash, join(signed, sign("ES" + other_hash, c.keys[key], signed)), BAD, config="all")
        zero_hash = sign(alg, c.keys[key], b"")
        c.add(alg + "-of-nothing", join(signed, zero_hash), BAD, config="all")


def leading_zero(c, alg, key, size):
    """A good signature whose r or s begins with zeros: DER has fewer octets then."""
    for i in range(20000):
        signed = signing_input(head(alg, key), c.claims())
        signature = sign(alg, c.keys[key], signed)
        if signature[0] == 0 and (size != 66 or signature[1] == 0) or signature[size] == 0 and (size != 66 or signature[size + 1] == 0):
            return join(signed, signature)
    raise AssertionError


def eddsa(c):
    c.klass = "eddsa"
    signed = signing_input(head("EdDSA", "ed"), c.claims())
    signature = sign("EdDSA", c.keys["ed"], signed)
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    p = 2**255 - 19

    def le(value):
        return value.to_bytes(32, "little")
    identity, order2, order4 = le(1), le(p - 1), le(0)
    wrong = {
        "zero": bytes(64), "s-plus-l": r + le(s + ED_L), "s-plus-2l": r + le(s + 2 * ED_L), "s-l": r + le(ED_L), "s-zero": r + bytes(32),
        "s-top": r + b"\xff" * 32, "s-high-bit": r + le(s | 1 << 255), "s-bit-253": r + le(s | 1 << 253), "r-identity": identity + le(s),
        "r-identity-s-zero": identity + bytes(32), "r-order-2": order2 + le(s), "r-order-4": order4 + le(s), "r-order-4-s-zero": order4 + bytes(32),
        "r-sign": r[:31] + bytes([r[31] ^ 0x80]) + le(s), "r-not-canonical": le(p + 1) + bytes(32), "r-top": b"\xff" * 32 + le(s),
        "swapped": le(s) + r, "short": signature[:-1], "long": signature + b"\0", "63-and-sign": signature[:63],
        "of-hash": sign("EdDSA", c.keys["ed"], hashlib.sha512(signed).digest()), "of-nothing": sign("EdDSA", c.keys["ed"], b""),
        "other-key": sign("EdDSA", c.keys["ed_other"], signed), "s-negated": r + le((ED_L - s) % ED_L),
    }
    for name, octets in wrong.items():
        c.add(name, join(signed, octets), BAD)
    c.add("good", join(signed, signature))
    c.add("ed25519-name", token("Ed25519", c.keys["ed"], head("Ed25519", "ed"), c.claims()))


def pss(c):
    c.klass = "pss"
    rsa = c.keys["rsa"]
    for alg, size in (("PS256", 32), ("PS384", 48), ("PS512", 64)):
        for salt in (0, 1, 20, size - 1, size, size + 1, 256 - 2 - size):
            c.add("%s-salt-%d" % (alg, salt), token(alg, rsa, head(alg, "rsa"), c.claims(), salt=salt), "" if salt == size else BAD, config="all")
        c.add(alg + "-mgf1-sha1", token(alg, rsa, head(alg, "rsa"), c.claims(), mgf=hashes.SHA1()), BAD, config="all")
        signed = signing_input(head(alg, "rsa"), c.claims())
        c.add(alg + "-is-pkcs1", join(signed, sign("RS" + alg[2:], rsa, signed)), BAD, config="all")
        other = {"PS256": "PS384", "PS384": "PS512", "PS512": "PS256"}[alg]
        c.add(alg + "-is-" + other, join(signed, sign(other, rsa, signed)), BAD, config="all")
    signed = signing_input(head("RS256", "rsa"), c.claims())
    c.add("RS256-is-pss", join(signed, sign("PS256", rsa, signed)), BAD)
    c.add("mgf1-sha512", token("PS256", rsa, head("PS256", "rsa"), c.claims(), mgf=hashes.SHA512()), BAD)


PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")  # DigestInfo of SHA-256
PREFIX_NO_NULL = bytes.fromhex("302f300b0609608648016503040201" + "0420")


def rsa_pkcs1(c):
    c.klass = "rsa"
    key = c.keys["rsa"]
    numbers = key.private_numbers()
    n, d = numbers.public_numbers.n, numbers.d
    signed = signing_input(head("RS256", "rsa"), c.claims())
    digest = hashlib.sha256(signed).digest()
    signature = sign("RS256", key, signed)
    value = int.from_bytes(signature, "big")

    def of(block):
        return pow(int.from_bytes(block, "big"), d, n).to_bytes(256, "big")

    def padded(tail, first=b"\0\1", fill=b"\xff"):
        return first + fill * (256 - len(first) - 1 - len(tail)) + b"\0" + tail
    wrong = {
        "zero": bytes(256), "one": (1).to_bytes(256, "big"), "n": n.to_bytes(256, "big"), "n-minus-1": (n - 1).to_bytes(256, "big"),
        "top": b"\xff" * 256, "short": signature[1:], "long": signature + b"\0", "long-before": b"\0" + signature, "double": signature + signature,
        "negated": (n - value).to_bytes(256, "big"), "no-null": of(padded(PREFIX_NO_NULL + digest)), "no-prefix": of(padded(digest)),
        "type-2": of(padded(PREFIX + digest, first=b"\0\2")), "type-0": of(padded(PREFIX + digest, first=b"\0\0")),
        "fill-not-ff": of(padded(PREFIX + digest, fill=b"\xfe")), "digest-changed": of(padded(PREFIX + bytes([digest[0] ^ 1]) + digest[1:])),
        "garbage-behind": of(b"\0\1" + b"\xff" * 8 + b"\0" + PREFIX + digest + b"\0" * (256 - 11 - len(PREFIX) - 32)),
        "sha1-prefix": of(padded(bytes.fromhex("3021300906052b0e03021a05000414") + digest[:20])),
        "sha512-prefix": of(padded(bytes.fromhex("3051300d060960864801650304020305000440") + digest + digest)),
        "raw-digest": digest.rjust(256, b"\0"),
    }
    if value + n < 1 << 2048:
        wrong["plus-n"] = (value + n).to_bytes(256, "big")
    for name, octets in wrong.items():
        c.add(name, join(signed, octets), BAD)
    c.add("hand-made", join(signed, of(padded(PREFIX + digest))))
    c.add("RS384-is-RS256", join(signed_384 := signing_input(head("RS384", "rsa"), c.claims()), sign("RS256", key, signed_384)), BAD, config="all")
    cube_root(c)


def cube_root(c):
    """Bleichenbacher 2006: with exponent 3 a cube root of a block with garbage behind the hash needs no private key."""
    signed = signing_input(head("RS256", "rsa-e3"), c.claims())
    c.add("e3-good", join(signed, sign("RS256", c.keys["rsa_e3"], signed)))
    block = b"\0\1" + b"\xff" * 8 + b"\0" + PREFIX + hashlib.sha256(signed).digest()
    target = int.from_bytes(block + b"\xff" * (256 - len(block)), "big")
    low, high = 0, 1 << 700
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**3 <= target else (low, middle - 1)
    assert (low**3).to_bytes(256, "big").startswith(block)
    c.add("e3-cube-root", join(signed, low.to_bytes(256, "big")), BAD)


def hmac_tags(c):
    c.klass = "hmac"
    secret = c.secrets["hs256"]
    signed = signing_input(head("HS256", "hs256"), c.claims())
    tag = sign("HS256", secret, signed)
    for name, octets in {"cut-31": tag[:31], "cut-16": tag[:16], "cut-1": tag[:1], "longer": tag + b"\0", "zero": bytes(32), "sha512": sign("HS512", secret, signed),
                         "sha512-cut": sign("HS512", secret, signed)[:32], "hex": tag.hex().encode(), "of-nothing": sign("HS256", secret, b""),
                         "empty-secret": sign("HS256", b"", signed), "secret-b64": sign("HS256", b64(secret).encode(), signed),
                         "hash-only": hashlib.sha256(secret + signed).digest()}.items():
        c.add(name, join(signed, octets), BAD, config="all")
    c.add("good", join(signed, tag), config="all")
    c.add("zero-padded-secret", join(signed, sign("HS256", secret + b"\0", signed)), config="all")  # HMAC pads keys with zeros itself
