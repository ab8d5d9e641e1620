"""Tokens by an attacker's eye: a good one, changed in its structure and signed anew, or in its octets afterwards."""
import base64
import json
import random

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

import hashlib
import hmac

NOW = 1800000000
ISSUER, AUDIENCE = "https://issuer.example", "mqtt"
SIZES = {"ES256": 32, "ES384": 48, "ES512": 66}
ORDERS = {"ES256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
          "ES384": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
          "ES512": int("01" + "FF" * 32 + "FA51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409", 16)}
ED_ORDER = 2**252 + 27742317777372353535851937790883648493
# algorithm, name of the private key, kid
SIGNERS = [("RS256", "rsa", "rsa"), ("RS512", "rsa", "rsa"), ("PS256", "rsa", "rsa-ps256"), ("PS384", "rsa", "rsa"), ("ES256", "p256", "p256"),
           ("ES384", "p384", "p384"), ("ES512", "p521", "p521"), ("EdDSA", "ed", "ed"), ("Ed25519", "ed", "ed"), ("HS256", "hs256", "hs256"),
           ("HS512", "hs512", "hs512")]


def b64(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def sign(alg, key, text, salt=None):
    if alg[:2] == "HS":
        return hmac.new(key, text, getattr(hashlib, "sha" + alg[2:])).digest()
    if alg in ("EdDSA", "Ed25519"):
        return key.sign(text)
    digest = getattr(hashes, "SHA" + alg[2:])()
    if alg[:2] == "RS":
        return key.sign(text, padding.PKCS1v15(), digest)
    if alg[:2] == "PS":
        return key.sign(text, padding.PSS(padding.MGF1(digest), digest.digest_size if salt is None else salt), digest)
    r, s = decode_dss_signature(key.sign(text, ec.ECDSA(digest)))
    return r.to_bytes(SIZES[alg], "big") + s.to_bytes(SIZES[alg], "big")


# --- values that stand where another was expected

def nested(depth):
    value = "x"
    for _ in range(depth):
        value = [value] if depth % 2 else {"a": value}
    return value


def odd_values(dice):
    return dice.choice([None, True, False, 0, -1, 1, 1.5, "", "x", "none", "None", [], {}, [[]], ["mqtt"], {"mqtt": 1}, nested(dice.choice([3, 14, 15, 16, 40])),
                        "\u0000", "a\u202eb", "\ufeffx", "é", "\U0001f600", " x", "x ", "x" * dice.choice([255, 256, 5000]), 10**400, 2**63, 2**64, 1e308, -0.0,
                        NOW * 1000, "1800000600", [NOW + 600], AUDIENCE, [AUDIENCE, 1], ["other", AUDIENCE], ISSUER, [ISSUER], ISSUER + "/", ISSUER.upper()])


TIMES = [0, -1, 1, 0.5, NOW, NOW + 1, NOW - 1, NOW + 0.5, NOW - 0.5, NOW + 600, 1e10, 253402300799, 253402300800, 253402300799.5, 2**53, 2**53 + 1, -2**63, 1e300,
         NOW + 1e-7, "%d" % (NOW + 600), NOW * 1000]
NUMBERS = ["1e10", "1.8000006e9", "18000006e2", "1E+10", "1800000600.0", "01800000600", "+1800000600", ".5", "1.", "1e", "0x7fffffff", "1e400", "-1e400", "1e-400",
           "NaN", "Infinity", "-Infinity", "-0", "18000006000000000000000000000e-19", "1" + "0" * 310, "1800000600" + "." + "0" * 300 + "1", "1_800_000_600",
           "1800000600 ", "\t1800000600\n", "\u0661"]


# --- changes of header and payload (dicts), in place

def header_value(dice, header, payload):
    header[dice.choice(["alg", "kid", "typ", "cty", "crit", "b64", "enc", "zip", "x", "x5t", "jku"])] = odd_values(dice)


def header_known(dice, header, payload):
    name, value = dice.choice([("typ", "jwt"), ("typ", "application/jwt"), ("typ", "APPLICATION/AT+JWT"), ("typ", "JOSE"), ("typ", "at+jwt "), ("typ", "at-jwt"),
                               ("crit", ["exp"]), ("crit", []), ("b64", True), ("b64", False), ("enc", "A128GCM"), ("zip", "DEF"), ("cty", "JWT"),
                               ("alg", "none"), ("alg", "NONE"), ("alg", "rs256"), ("alg", "HS256"), ("alg", "ES256K"), ("alg", "RS256 "), ("alg", "RS1"),
                               ("kid", "rsa"), ("kid", "RSA"), ("kid", "hs256"), ("kid", ""), ("kid", "../../dev/null"), ("kid", "p256\u0000"), ("kid", "enc"),
                               ("kid", "ed448"), ("kid", "k" * 10000), ("kid", "k" * 3000), ("kid", "' OR 1=1"), ("jwk", {"kty": "oct", "k": "AAAA"}),
                               ("jku", "http://127.0.0.1/keys"), ("x5u", "file:///etc/passwd"), ("x5c", ["MIIB"]), ("iss", "x"), ("exp", 1), ("Alg", "none")])
    header[name] = value


def header_gone(dice, header, payload):
    header.pop(dice.choice(["alg", "kid", "typ"]), None)


def header_deep(dice, header, payload):
    header["x"] = nested(dice.choice([14, 15, 16, 17, 200]))


def claim_value(dice, header, payload):
    payload[dice.choice(["iss", "aud", "sub", "exp", "nbf", "iat", "jti", "acl2", "scope", "x"])] = odd_values(dice)


def claim_time(dice, header, payload):
    payload[dice.choice(["exp", "nbf", "iat"])] = dice.choice(TIMES)


def claim_gone(dice, header, payload):
    payload.pop(dice.choice(["iss", "aud", "sub", "exp", "iat", "jti"]), None)


def claim_name(dice, header, payload):
    name = dice.choice(["exp", "iss", "aud", "sub"])
    payload[dice.choice([name.upper(), name + " ", name + "\u200b", " " + name, name[::-1]])] = payload.pop(name, 1)


def claim_sub(dice, header, payload):
    payload["sub"] = dice.choice(["a/b", "a+b", "a#", "$SYS", "a$", "sensor 7", " a", "a ", "a\u00a0", "\u00a0a", "a\nb", "a\u007fb", "a\u0085b", "\u200fa", "\u2066a", "a\ufeff",
                                  "a" * 255, "a" * 256, "é" * 127, "é" * 128, "\U0001f600", "..", ".", "a:b", "a@b", "a|b", "A", "ａ", "a\u0301", "0", "*", "%00", "a\\b"])


def claims_many(dice, header, payload):
    payload.update({f"claim-{n}": n for n in range(dice.choice([100, 120, 121, 122, 123, 130]))})


MUTATIONS = [header_value, header_known, header_gone, header_deep, claim_value, claim_time, claim_gone, claim_name, claim_sub, claims_many]


# --- changes of the JSON text

def text_of(dice, value, odd):
    text = json.dumps(value, separators=dice.choice([(",", ":"), (", ", ": "), (" ,\n", "\t:\r")]), ensure_ascii=dice.random() < 0.5)
    if not odd:
        return text.encode("utf-8", "surrogatepass")
    name = dice.choice(list(value) or ["x"])
    shown = json.dumps(name)
    change = dice.choice([
        lambda: text[:-1] + f",{shown}:1}}", lambda: text[:-1] + f",{shown[:-1]}\\u0061\":1}}", lambda: "{" + shown + ":1," + text[1:],
        lambda: text + " ", lambda: text + "\0", lambda: text + "{}", lambda: text + ",", lambda: "\ufeff" + text, lambda: " \n" + text, lambda: text[:-1],
        lambda: text[:-1] + ",}", lambda: "[" + text + "]", lambda: text.replace('"', "'"), lambda: text.replace(":", "=", 1), lambda: text + "//x",
        lambda: text[:-1] + ',"\\ud800":1}', lambda: text[:-1] + ',"\\ud83d\\ude00":1}', lambda: text[:-1] + ',"x":"\\x41"}', lambda: text[:-1] + ',"x":"\\u0000"}',
        lambda: text[:-1] + ',"x":"\t"}', lambda: text[:-1] + ',"x":TRUE}', lambda: text[:-1] + ',"x":nul}', lambda: text[:-1] + ',"x":{"y":1,"y":2}}',
        lambda: text.replace('"sub"', '"\\u0073ub"', 1), lambda: text[:-1] + ',"x":' + dice.choice(NUMBERS) + "}",
        lambda: text.replace(str(NOW + 600), dice.choice(NUMBERS), 1)])()
    octets = change.encode("utf-8", "surrogatepass")
    if dice.random() < 0.1:
        octets = octets[:-1] + dice.choice([b',"x":"\xff"}', b',"x":"\xc0\xaf"}', b',"x":"\xed\xa0\x80"}', b',"x":"\xf4\x90\x80\x80"}', b',"x":"\xe2\x82"}'])
    return octets


# --- changes of the signature, and of the token's text

def other_signature(dice, alg, key, keys, text, signature):
    size = SIZES.get(alg)
    if size:
        r, s, n = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big"), ORDERS[alg]
        r, s = dice.choice([(r, n - s), (0, s), (r, 0), (n, s), (r, n), (0, 0), (1, 1), (n - 1, n - 1), (s, r), (r, min(s + n, 256**size - 1)), (r + 1, s)])
        raw = r.to_bytes(size, "big") + s.to_bytes(size, "big")
        return dice.choice([raw, raw, raw, encode_dss_signature(r, s), b"\0" + raw, raw + b"\0", raw[:-1]])
    if alg in ("EdDSA", "Ed25519"):
        s = int.from_bytes(signature[32:], "little")
        small = [bytes(32), bytes([1]) + bytes(31), bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")]
        return dice.choice([signature[:32] + (s + ED_ORDER).to_bytes(32, "little"), dice.choice(small) + bytes(32), signature[:32] + bytes(32),
                            dice.choice(small) + signature[32:], signature[32:] + signature[:32], signature + b"\0", signature[:63]])
    if alg[:2] == "PS":
        salt = dice.choice([0, 1, int(alg[2:]) // 8 - 1, int(alg[2:]) // 8, int(alg[2:]) // 8 + 1])
        return dice.choice([sign(alg, key, text, salt), sign("RS" + alg[2:], key, text)])
    if alg[:2] == "RS":
        return dice.choice([sign("PS" + alg[2:], key, text), sign("RS384" if alg != "RS384" else "RS256", key, text), b"\0" + signature, signature[1:], bytes(256),
                            (int.from_bytes(signature, "big") + keys["rsa"].public_key().public_numbers().n).to_bytes(257, "big")])
    pem = keys["rsa"].public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    der = keys["rsa"].public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    secret = dice.choice([pem, pem.rstrip(), pem.replace(b"\n", b"\r\n"), der, base64.b64encode(der), b"", b"secret", key + b"\n", key[:-1]])
    return dice.choice([sign(alg, secret, text), signature[:16], signature + b"\0", b"\0" * len(signature)])


def flip(dice, octets):
    at, changed = dice.randrange(len(octets)), bytearray(octets)
    changed[at] ^= 1 << dice.randrange(8)
    return bytes(changed)


def other_text(dice, token):
    head, payload, signature = token.split(".")
    stray = signature[:-1] + chr(ord(signature[-1]) + 1) if signature[-1] not in "Zz9-_" else signature[:-1] + "A"
    return dice.choice([token + "=", token + "==", head + "=." + payload + "." + signature, token + ".", "." + token, token + "." + signature, head + ".." + signature,
                        head + "." + payload, head + "." + payload + ".", token.replace("-", "+").replace("_", "/"), token + "\n", " " + token, token[:-1], stray,
                        "Bearer " + token, token + "A", payload + "." + head + "." + signature, token.lower(), head + "." + payload + "." + "A" * 9000, token.replace(".", "%2E"),
                        token + "\u0410", head + "\u200b." + payload + "." + signature, token.replace(".", "\uff0e", 1)])


def case(seed, keys):
    """One token, and a line that says how it was made."""
    dice = random.Random(seed)
    alg, name, kid = dice.choice(SIGNERS)
    header = {"alg": alg, "typ": "JWT", "kid": kid}
    payload = {"iss": ISSUER, "aud": AUDIENCE, "sub": f"sensor-{seed}", "exp": NOW + 600, "iat": NOW - 60, "jti": str(seed)}
    done = dice.sample(MUTATIONS, dice.choice([0, 0, 1, 1, 1, 2, 3]))
    for change in done:
        change(dice, header, payload)
    odd = dice.choice([None, None, None, "header", "payload"])
    parts = [b64(text_of(dice, header, odd == "header")), b64(text_of(dice, payload, odd == "payload"))]
    text = ".".join(parts).encode()
    signer = header["alg"] if dice.random() < 0.3 and isinstance(header.get("alg"), str) and (header["alg"], name) in {(a, n) for a, n, _ in SIGNERS} else alg
    signature = sign(signer, keys[name], text)
    last = dice.choice([None, None, None, None, "signature", "flip", "text"])
    if last == "signature":
        signature = other_signature(dice, signer, keys[name], keys, text, signature)
    elif last == "flip":
        signature = flip(dice, signature)
    token = text.decode() + "." + b64(signature)
    if last == "text":
        token = other_text(dice, token)
    return token, f"{alg} {[c.__name__ for c in done]} {odd} {last}"
