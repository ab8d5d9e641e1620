"""Building blocks of make_corpus.py: keys, base64url, JWS put together by hand, so that every octet can be wrong."""
import base64
import hashlib
import hmac
import json
import os

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

HERE = os.path.dirname(os.path.abspath(__file__))
HASHES = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}
CURVES = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}
ORDERS = {
    "P-256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "P-384": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    "P-521": int("01" + "FF" * 32 + "FA51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409", 16),
}
SIZES = {"P-256": 32, "P-384": 48, "P-521": 66}
ED_L = 2**252 + 27742317777372353535851937790883648493


def b64(octets):
    """Base64url without padding, as text."""
    if isinstance(octets, str):
        octets = octets.encode()
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def number(n, size=None):
    return b64(n.to_bytes(size or (n.bit_length() + 7) // 8, "big"))


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


class Keys:
    """The private test keys, made once and kept in keys/private.json."""

    PATH = os.path.join(HERE, "keys", "private.json")
    KINDS = {"rsa": "rsa", "rsa_other": "rsa", "rsa_e3": "rsa_e3", "p256": "P-256", "p256_other": "P-256",
             "p384": "P-384", "p521": "P-521", "ed": "ed", "ed_other": "ed"}

    def __init__(self):
        stored = {}
        if os.path.exists(self.PATH):
            with open(self.PATH) as f:
                stored = json.load(f)
        self.keys = {}
        for name, kind in self.KINDS.items():
            if name in stored:
                self.keys[name] = serialization.load_pem_private_key(stored[name].encode(), None)
            else:
                self.keys[name] = self.generate(kind)
        pem = {n: k.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                  serialization.NoEncryption()).decode() for n, k in self.keys.items()}
        with open(self.PATH, "w") as f:
            json.dump(pem, f, indent=1, sort_keys=True)
            f.write("\n")

    @staticmethod
    def generate(kind):
        if kind.startswith("rsa"):
            return rsa.generate_private_key(3 if kind == "rsa_e3" else 65537, 2048)
        return ed25519.Ed25519PrivateKey.generate() if kind == "ed" else ec.generate_private_key(CURVES[kind]())

    def __getitem__(self, name):
        return self.keys[name]


def public_jwk(key, **more):
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        n = public.public_numbers()
        jwk = {"kty": "RSA", "n": number(n.n), "e": number(n.e)}
    elif isinstance(public, ec.EllipticCurvePublicKey):
        n = public.public_numbers()
        name = {256: "P-256", 384: "P-384", 521: "P-521"}[public.curve.key_size]
        jwk = {"kty": "EC", "crv": name, "x": number(n.x, SIZES[name]), "y": number(n.y, SIZES[name])}
    else:
        raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(raw)}
    jwk.update(more)
    return jwk


def spki_pem(key):
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def sign(alg, key, text, salt=None, mgf=None):
    """The raw JWS signature over text (octets)."""
    if alg.startswith("HS"):
        return hmac.new(key, text, getattr(hashlib, "sha" + alg[2:])).digest()
    if alg in ("EdDSA", "Ed25519"):
        return key.sign(text)
    digest = HASHES[alg[2:]]()
    if alg.startswith("RS"):
        return key.sign(text, padding.PKCS1v15(), digest)
    if alg.startswith("PS"):
        length = digest.digest_size if salt is None else salt
        return key.sign(text, padding.PSS(padding.MGF1(mgf or digest), length), digest)
    r, s = decode_dss_signature(key.sign(text, ec.ECDSA(digest)))
    size = (key.curve.key_size + 7) // 8
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def signing_input(header, payload):
    """header and payload: a value (made compact JSON), text, or octets."""
    def octets(part):
        if isinstance(part, bytes):
            return part
        return (part if isinstance(part, str) else compact(part)).encode()
    return (b64(octets(header)) + "." + b64(octets(payload))).encode()


def join(signed, signature):
    return signed.decode() + "." + b64(signature)


def token(alg, key, header, payload, **options):
    signed = signing_input(header, payload)
    return join(signed, sign(alg, key, signed, **options))
