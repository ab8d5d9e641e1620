#!/usr/bin/python3
"""
A device that asks the issuer for a token, logs in with it (MQTT 5 enhanced authentication), publishes, and renews the token in
the running session at half of its life, as MQTT 5 (section 4.12.1) allows. Python's standard library is all it needs.
    device.py ISSUER-URL NAME SECRET BROKER-PORT CA-FILE [--no-renewal]
Says what happens, one line each: connected, renewed, refused, ended.
"""
import json
import select
import socket
import ssl
import struct
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

CONNECT, CONNACK, PUBLISH, PUBACK, PING, DISCONNECT, AUTH = 0x10, 0x20, 0x32, 0x40, 0xC0, 0xE0, 0xF0


def say(*words):
    print(*words, flush=True)


def fetch_token(issuer, name, secret):
    form = urllib.parse.urlencode({"grant_type": "client_credentials", "client_id": name, "client_secret": secret}).encode()
    with urllib.request.urlopen(issuer + "/token", form, timeout=10) as answer:
        got = json.load(answer)
    return got["access_token"], got["expires_in"]


def text(value):
    return struct.pack("!H", len(value)) + value.encode()


def counted(octets):
    """With its length in front, as a variable byte integer."""
    length, head = len(octets), b""
    while True:
        length, digit = divmod(length, 128)
        head += bytes([digit | (128 if length else 0)])
        if not length:
            return head + octets


def token_properties(token):
    """Authentication Method and Authentication Data."""
    return counted(b"\x15" + text("JWT") + b"\x16" + text(token))


class Session:
    def __init__(self, name, port, ca_file):
        context = ssl.create_default_context(cafile=ca_file)
        self.name, self.number = name, 0
        self.socket = context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=10), server_hostname="localhost")

    def send(self, kind, body):
        self.socket.sendall(bytes([kind]) + counted(body))

    def exactly(self, count):
        octets = b""
        while len(octets) < count:
            more = self.socket.recv(count - len(octets))
            if not more:
                raise EOFError
            octets += more
        return octets

    def read(self):
        """One packet: (kind, body)."""
        kind, length, shift = self.exactly(1)[0], 0, 0
        while True:
            digit = self.exactly(1)[0]
            length |= (digit & 127) << shift
            shift += 7
            if digit < 128:
                return kind, self.exactly(length)

    def login(self, token):
        """The CONNACK's reason code."""
        self.send(CONNECT, text("MQTT") + bytes([5, 2, 0, 60]) + token_properties(token) + text(self.name))
        return self.read()[1][1]

    def renew(self, token):
        self.send(AUTH, b"\x19" + token_properties(token))  # 0x19: re-authenticate

    def publish(self, topic, message):
        self.number = self.number % 65535 + 1
        self.send(PUBLISH, text(topic) + struct.pack("!H", self.number) + b"\0" + message.encode())

    def readable(self, seconds):
        return self.socket.pending() or select.select([self.socket], [], [], seconds)[0]


def handle(kind, body):
    """Says what the broker answered. False: the session is over."""
    if kind == AUTH and body[:1] in (b"", b"\0"):
        say("renewed")
    elif kind == PUBACK and len(body) > 2 and body[2] >= 128:
        say("refused: publish", hex(body[2]))
    elif kind in (DISCONNECT, CONNACK, AUTH):
        say("ended by the broker", hex(max(body[:2], default=0)))
        return False
    return True


def main(issuer, name, secret, port, ca_file, *options):
    token, life = fetch_token(issuer, name, secret)
    session = Session(name, int(port), ca_file)
    code = session.login(token)
    if code:
        sys.exit(f"refused: connect {code:#x}")
    say("connected")
    next_message, next_renewal = time.monotonic(), time.monotonic() + life / 2
    while True:
        now = time.monotonic()
        if now >= next_message:
            session.publish(f"devices/{name}/data", "21.5")
            next_message = now + 1
        if now >= next_renewal and "--no-renewal" not in options:
            try:
                token, life = fetch_token(issuer, name, secret)
                session.renew(token)
            except urllib.error.URLError as error:  # try again: the token in use is good for as long again
                say("no new token:", error)
            next_renewal = now + max(life / 2, 1)
        if session.readable(0.2) and not handle(*session.read()):
            return


if __name__ == "__main__":
    if len(sys.argv) < 6:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except (EOFError, ConnectionError):
        say("ended: the connection is closed")
