"""Token keys as an issuer holds them: a private key each, the public set as a JWKS file, and tokens signed with them."""
import base64
import json
import time
import uuid
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

ISSUER = "https://issuer.test"
AUDIENCE = "mqtt.test"
ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA", "HS256")
CURVES = {"ES256": ("P-256", 32), "ES384": ("P-384", 48), "ES512": ("P-521", 66)}


def b64(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def number(value, length=None):
    return b64(value.to_bytes(length or (value.bit_length() + 7) // 8, "big"))


class Issuer:
    """One key for each algorithm, with the algorithm's name as its kid ("rs256" …)."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.keys = {"RS256": rsa_key, "PS256": rsa_key, "ES256": ec.generate_private_key(ec.SECP256R1()),
                     "EdDSA": ed25519.Ed25519PrivateKey.generate(), "HS256": b"0123456789abcdef0123456789abcdef-a-test-secret"}
        self.jwks_file = self.folder / "jwks.json"
        self.write_jwks([self.public_jwk(alg) for alg in ALGORITHMS])

    def add_slow(self, alg):
        """A key whose signatures a 2.1 broker's workers check (ES384, ES512, or RSA of 8,192 bits), beside the others."""
        if alg == "RS8192":
            self.keys[alg] = rsa.generate_private_key(public_exponent=65537, key_size=8192)
        else:
            self.keys[alg] = ec.generate_private_key(ec.SECP384R1() if alg == "ES384" else ec.SECP521R1())
        self.write_jwks([self.public_jwk(each) for each in self.keys])

    def write_jwks(self, keys):
        """Replaces the key file. It holds an HMAC secret, so nobody else may read it."""
        new = self.folder / "jwks.new"
        new.write_text(json.dumps({"keys": keys}))
        new.chmod(0o600)
        new.replace(self.jwks_file)

    def public_jwk(self, alg):
        key, jwk = self.keys[alg], {"kid": alg.lower(), "alg": alg, "use": "sig"}
        if alg[:2] in ("RS", "PS"):
            numbers = key.public_key().public_numbers()
            return {**jwk, "alg": "RS256" if alg == "RS8192" else alg, "kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
        if alg in CURVES:
            numbers, (curve, size) = key.public_key().public_numbers(), CURVES[alg]
            return {**jwk, "kty": "EC", "crv": curve, "x": number(numbers.x, size), "y": number(numbers.y, size)}
        if alg == "EdDSA":
            raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            return {**jwk, "kty": "OKP", "crv": "Ed25519", "x": b64(raw)}
        return {**jwk, "kty": "oct", "k": b64(key)}

    def claims(self, subject, lifetime=3600, **more):
        now = time.time()
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "iat": int(now), "exp": int(now + lifetime),
                  "jti": str(uuid.uuid4()), **more}
        return {name: value for name, value in claims.items() if value is not None}  # None takes a claim away

    def token(self, subject, alg="ES256", lifetime=3600, kid=None, headers=None, key=None, **more):
        return jwt.encode(self.claims(subject, lifetime, **more), key or self.keys[alg], algorithm=alg,
                          headers={"kid": kid or alg.lower(), **(headers or {})})

    def options(self, **more):
        """The plugin options that make a broker accept this issuer's tokens."""
        return {"jwt_jwks_file": self.jwks_file, "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE, "jwt_leeway": "0", **more}


def damaged(token):
    """The same token with one bit of its signature changed."""
    head, payload, signature = token.split(".")
    raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
    raw[len(raw) // 2] ^= 1
    return f"{head}.{payload}.{b64(bytes(raw))}"
