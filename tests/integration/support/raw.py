"""MQTT packets written by hand, for what no well-behaved client library sends."""
import socket
import struct

from .broker import SLOWNESS


def text(value):
    octets = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(octets)) + octets


def packet(first_byte, body):
    length, out = len(body), bytearray([first_byte])
    while True:
        length, digit = divmod(length, 128)
        out.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(out) + body


def connect_packet(client_id, username=None, password=None, version=4, keepalive=60, clean=True, will=None, properties=b""):
    """will: (topic, payload). Any combination is written as asked for, allowed or not."""
    flags = (0x02 if clean else 0) | (0x80 if username is not None else 0) | (0x40 if password is not None else 0)
    flags |= 0x04 if will else 0
    body = text("MQTT") + bytes([version, flags]) + struct.pack("!H", keepalive)
    if version == 5:
        body += bytes([len(properties)]) + properties
    body += text(client_id)
    if will:
        body += (b"\0" if version == 5 else b"") + text(will[0]) + text(will[1])
    body += text(username) if username is not None else b""
    body += text(password) if password is not None else b""
    return packet(0x10, body)


class RawClient:
    """A socket that speaks in packets."""

    def __init__(self, port, source="127.0.0.1"):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20 * SLOWNESS, source_address=(source, 0))

    def send(self, octets):
        self.socket.sendall(octets)

    def read(self):
        """The next packet as (first byte, body); None when the broker has hung up."""
        try:
            head = self._exactly(1)
            length, shift = 0, 0
            while True:
                digit = self._exactly(1)[0]
                length |= (digit & 0x7F) << shift
                shift += 7
                if not digit & 0x80:
                    return head[0], self._exactly(length)
        except (EOFError, ConnectionError):
            return None

    def _exactly(self, count):
        out = b""
        while len(out) < count:
            more = self.socket.recv(count - len(out))
            if not more:
                raise EOFError
            out += more
        return out

    def connect(self, *arguments, **named):
        """Sends CONNECT; the CONNACK code, or None."""
        self.send(connect_packet(*arguments, **named))
        answer = self.read()
        return answer[1][1] if answer and answer[0] == 0x20 else None

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
