#!/usr/bin/python3
"""
A small token issuer, to see how the parts fit; a real one is Keycloak, Auth0, Entra ID, or a service of yours like this one.
    issuer.py FOLDER PORT [LIFETIME]      keys are kept in FOLDER; tokens live LIFETIME seconds (300)
  POST /token    client_id=…&client_secret=…   a token for that device (OAuth 2.0, RFC 6749 section 4.4)
  GET  /jwks     the public keys, the next and the old one included (RFC 7517)
  POST /rotate   sign with a new key from now on, keep publishing the old one;  POST /retire: stop publishing old ones
It listens on 127.0.0.1 and speaks plain HTTP: put a TLS proxy in front, and let nobody but it have /rotate and /retire.
"""
import base64
import hmac
import json
import secrets
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

NAME, AUDIENCE = "https://issuer.fleet.example/", "mqtt"


def coordinate(number):
    return base64.urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode()


class Keys:
    """One file a key, its name the kid; the newest signs, all are published."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        if not self.all():
            self.rotate()

    def all(self):
        return sorted(self.folder.glob("*.pem"))

    def rotate(self):
        pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path = self.folder / f"{time.time_ns()}.pem"
        path.touch(mode=0o600)
        path.write_bytes(pem)

    def retire(self):
        for path in self.all()[:-1]:
            path.unlink()

    def public(self):
        keys = []
        for path in self.all():
            numbers = load_pem_private_key(path.read_bytes(), None).public_key().public_numbers()
            keys.append({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": path.stem,
                         "x": coordinate(numbers.x), "y": coordinate(numbers.y)})
        return {"keys": keys}

    def token(self, device, lifetime):
        newest, now = self.all()[-1], int(time.time())
        claims = {"iss": NAME, "aud": AUDIENCE, "sub": device["id"], "site": device["site"], "roles": device["roles"],
                  "iat": now, "exp": now + lifetime, "jti": secrets.token_urlsafe(12)}
        return jwt.encode(claims, newest.read_text(), algorithm="ES256", headers={"kid": newest.stem})


class Handler(BaseHTTPRequestHandler):
    keys = devices = lifetime = None

    def do_GET(self):
        self.answer(200, self.keys.public()) if self.path == "/jwks" else self.answer(404, {"error": "not_found"})

    def do_POST(self):
        form = parse_qs(self.rfile.read(min(int(self.headers.get("Content-Length") or 0), 4096)).decode())
        if self.path == "/token":
            self.give_token(form)
        elif self.path in ("/rotate", "/retire"):
            getattr(self.keys, self.path[1:])()
            self.answer(200, {"kids": [p.stem for p in self.keys.all()]})
        else:
            self.answer(404, {"error": "not_found"})

    def give_token(self, form):
        name, secret = (form.get(field, [""])[0] for field in ("client_id", "client_secret"))
        device = self.devices.get(name)
        if not device or not hmac.compare_digest(device["secret"].encode(), secret.encode()):
            self.answer(401, {"error": "invalid_client"})
            return
        token = self.keys.token({"id": name, **device}, self.lifetime)
        self.answer(200, {"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime})

    def answer(self, code, what):
        body = json.dumps(what).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main(folder, port, lifetime="300"):
    Handler.keys, Handler.lifetime = Keys(folder), int(lifetime)
    Handler.devices = json.loads((Path(__file__).parent / "devices.json").read_text())
    ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:4])
