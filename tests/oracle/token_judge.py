"""
A second opinion on JSON Web Tokens, written from docs/authentication.md and the RFCs, with Python's cryptography: whether a
token is good, and for whom. It knows one issuer, one audience and a JWK Set, and shares nothing with auth/.
"""
import base64
import hashlib
import hmac
import json
import math
import re
import unicodedata

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
CURVES = {"P-256": (ec.SECP256R1(), 32, "ES256"), "P-384": (ec.SECP384R1(), 48, "ES384"), "P-521": (ec.SECP521R1(), 66, "ES512")}
ALGORITHMS = {f"{kind}{size}" for kind in ("RS", "PS", "ES", "HS") for size in ("256", "384", "512")} | {"EdDSA", "Ed25519"}
LATEST = 253402300799
DECEPTIVE = set("\u061c\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff")


class Bad(Exception):
    """The token is not good; the text is for whoever reads a failed test."""


def need(condition, why):
    if not condition:
        raise Bad(why)


def unb64(text):
    need(re.fullmatch(r"[A-Za-z0-9_-]+", text), "not base64url")
    need(len(text) % 4 != 1, "a length no base64url has")
    octets = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    need(base64.urlsafe_b64encode(octets).rstrip(b"=").decode() == text, "stray bits at the end")
    return octets


def _members(pairs):
    need(len({name for name, _ in pairs}) == len(pairs), "a name twice")
    return dict(pairs)


def _depth(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0) if isinstance(value, (dict, list)) else 0


def _texts(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, dict):
        for name, one in value.items():
            yield name
            yield from _texts(one)


def _number(text):
    value = float(text)
    need(math.isfinite(value), "a number beyond all bounds")
    return value


def _constant(name):
    raise Bad(name)


def strict_object(octets):
    """RFC 8259 without its tolerances: no name twice, no NUL, no lone surrogate, depth 16, numbers a double can hold."""
    try:
        value = json.loads(octets.decode("utf-8"), object_pairs_hook=_members, parse_int=_number, parse_float=_number, parse_constant=_constant)
        need(all("\0" not in text and text.encode("utf-8") is not None for text in _texts(value)), "NUL")
    except (ValueError, RecursionError) as error:
        raise Bad(f"no JSON: {error}") from None
    need(isinstance(value, dict) and _depth(value) <= 16, "no object, or too deep")
    return value


def key_algorithms(jwk):
    kind = jwk["kty"]
    if kind == "RSA":
        fits = {alg for alg in ALGORITHMS if alg[:2] in ("RS", "PS")}
    elif kind == "EC":
        fits = {CURVES[jwk["crv"]][2]}
    elif kind == "OKP":
        fits = {"EdDSA", "Ed25519"} if jwk["crv"] == "Ed25519" else set()
    else:
        size = len(unb64(jwk["k"]))
        fits = {alg for alg in ALGORITHMS if alg[:2] == "HS" and size >= int(alg[2:]) // 8}
    return fits & {jwk["alg"]} if "alg" in jwk else fits


def verify(jwk, alg, text, signature):
    number = lambda name: int.from_bytes(unb64(jwk[name]), "big")  # noqa: E731
    try:
        if alg[:2] == "HS":
            wanted = hmac.new(unb64(jwk["k"]), text, getattr(hashlib, "sha" + alg[2:])).digest()
            need(hmac.compare_digest(wanted, signature), "HMAC")
        elif jwk["kty"] == "RSA":
            key, digest = rsa.RSAPublicNumbers(number("e"), number("n")).public_key(), HASHES[alg[2:]]
            need(len(signature) == (key.key_size + 7) // 8, "length")
            key.verify(signature, text, padding.PKCS1v15() if alg[0] == "R" else padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
        elif jwk["kty"] == "EC":
            curve, size, _ = CURVES[jwk["crv"]]
            need(len(signature) == 2 * size, "length")
            key = ec.EllipticCurvePublicNumbers(number("x"), number("y"), curve).public_key()
            halves = (int.from_bytes(half, "big") for half in (signature[:size], signature[size:]))
            key.verify(encode_dss_signature(*halves), text, ec.ECDSA(HASHES[alg[2:]]))
        else:
            need(len(signature) == 64, "length")
            order = 2**252 + 27742317777372353535851937790883648493
            need(int.from_bytes(signature[32:], "little") < order, "malleable")
            ed25519.Ed25519PublicKey.from_public_bytes(unb64(jwk["x"])).verify(signature, text)
    except (InvalidSignature, ValueError) as error:
        raise Bad(f"signature: {error}") from None


def check_header(header):
    need(isinstance(header.get("alg"), str) and header["alg"] in ALGORITHMS, "alg")
    need(not {"crit", "enc"} & header.keys() and header.get("b64", True) is True, "crit, enc, b64")
    if "typ" in header:
        need(isinstance(header["typ"], str) and re.fullmatch(r"(?i:(application/)?(at\+)?jwt)", header["typ"]), "typ")
    need(isinstance(header.get("kid", ""), str), "kid")


def find_key(header, keys):
    fits = [jwk for jwk in keys if header["alg"] in key_algorithms(jwk) and jwk.get("use", "sig") == "sig"]
    if "kid" in header:
        fits = [jwk for jwk in fits if jwk.get("kid") == header["kid"]]
    need(len(fits) == 1, "key")
    return fits[0]


def check_times(claims, now, leeway):
    for name in ("exp", "nbf", "iat"):
        need(name not in claims or isinstance(claims[name], float), f"{name} is no number")
    need("exp" in claims and 0 < claims["exp"] <= LATEST and now < math.floor(claims["exp"]) + leeway, "exp")
    need(all(math.ceil(claims[name]) - leeway <= now for name in ("nbf", "iat") if name in claims), "too early")


def check_identity(name):
    need(isinstance(name, str) and 1 <= len(name.encode()) <= 255, "no name")
    need(name[0] != "$" and not set(name) & set("+#/") and not set(name) & DECEPTIVE, "characters of a name")
    need(not any(unicodedata.category(c) == "Cc" for c in name) and name.strip() == name, "characters of a name")


def judge(token, keys, issuer, audience, now, leeway=0):
    """The identity of a good token. Bad otherwise."""
    need(len(token.encode()) <= 8192 and token.isascii() and token.count(".") == 2, "parts")
    head, payload, signature = (unb64(part) for part in token.split("."))
    need(len(head) <= 4096, "a long header")
    header = strict_object(head)
    check_header(header)
    verify(find_key(header, keys), header["alg"], token.rpartition(".")[0].encode(), signature)
    claims = strict_object(payload)
    need(claims.get("iss") == issuer and isinstance(claims.get("iss"), str), "iss")
    check_times(claims, now, leeway)
    aud = claims.get("aud")
    aud = aud if isinstance(aud, list) else [aud]
    need(aud and all(isinstance(one, str) for one in aud) and audience in aud, "aud")
    need(all(isinstance(claims.get(name, ""), str) for name in ("sub", "jti")), "sub, jti")
    check_identity(claims.get("sub"))
    need(len(claims) <= 128, "too many claims")
    return claims["sub"]
