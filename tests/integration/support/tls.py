"""MQTT over TLS and over websockets in it, with a hand on what libraries hide: versions, and sessions that are resumed."""
import base64
import hashlib
import os
import socket
import ssl
import struct

from .broker import SLOWNESS
from .raw import RawClient


class HandshakeFailed(Exception):
    """The server did not want this certificate, or hung up."""


class WebSocket:
    """Sends and receives octets as binary frames (RFC 6455) over an open socket."""

    def __init__(self, pipe):
        self.pipe, self.buffer = pipe, b""
        key = base64.b64encode(os.urandom(16)).decode()
        pipe.sendall((f"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
        head = b""
        while b"\r\n\r\n" not in head:
            more = pipe.recv(1)
            if not more:
                raise HandshakeFailed("no answer to the upgrade")
            head += more
        accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        assert head.startswith(b"HTTP/1.1 101") and accept in head, head

    def sendall(self, octets):
        mask = os.urandom(4)
        head = b"\x82" + (struct.pack("!B", 0x80 | len(octets)) if len(octets) < 126 else
                          struct.pack("!BH", 0x80 | 126, len(octets)))
        self.pipe.sendall(head + mask + bytes(o ^ mask[i % 4] for i, o in enumerate(octets)))

    def _exactly(self, count):
        out = b""
        while len(out) < count:
            more = self.pipe.recv(count - len(out))
            if not more:
                raise EOFError
            out += more
        return out

    def recv(self, count):
        while not self.buffer:
            try:
                first, length = self._exactly(2)
                if length == 126:
                    length = struct.unpack("!H", self._exactly(2))[0]
                payload = self._exactly(length)
            except EOFError:
                return b""
            if first & 0x0F == 8:
                return b""
            if first & 0x0F in (0, 2):
                self.buffer = payload
        out, self.buffer = self.buffer[:count], self.buffer[count:]
        return out

    def close(self):
        self.pipe.close()


class TlsClient(RawClient):
    """
    A RawClient over TLS. version: an ssl.TLSVersion that it insists on. session: of an earlier TlsClient made with the same
    context, to be resumed; .resumed says whether it was. .session is to be taken after the first answer was read (tickets).
    """

    def __init__(self, port, authority, leaf=None, version=None, web=False, resume=None):  # pylint: disable=super-init-not-called
        self.context = resume.context if resume else self._context(authority, leaf, version)
        plain = socket.create_connection(("127.0.0.1", port), timeout=20 * SLOWNESS)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.tls = self.context.wrap_socket(plain, session=resume.session if resume else None)
            self.resumed = self.tls.session_reused
            self.socket = WebSocket(self.tls) if web else self.tls
        except (ssl.SSLError, ConnectionError) as error:
            plain.close()
            raise HandshakeFailed(str(error)) from error
        self._session = None

    @staticmethod
    def _context(authority, leaf, version):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(str(authority.ca_file))
        context.check_hostname = False  # the certificate is checked, its name is "localhost"
        if version is not None:
            context.minimum_version = context.maximum_version = version
        if leaf is not None:
            context.load_cert_chain(leaf.certificate, leaf.key)
        return context

    @property
    def session(self):
        return self._session or self.tls.session

    def connect(self, *arguments, **named):
        """As RawClient; with TLS 1.3 a refused certificate shows only here, as None."""
        try:
            code = super().connect(*arguments, **named)
        except (ssl.SSLError, ConnectionError):
            return None
        self._session = self.tls.session
        return code

    def gone(self, seconds):
        """Whether the broker ends this connection within so many seconds. What it sends before that is thrown away."""
        self.tls.settimeout(seconds * SLOWNESS)
        try:
            while self.socket.recv(4096):
                pass
            return True
        except (TimeoutError, socket.timeout):
            return False
        except (ssl.SSLError, ConnectionError):
            return True
