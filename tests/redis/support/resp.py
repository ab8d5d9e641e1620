"""A small RESP2 client: enough to talk to Redis in tests, with nothing in between that could hide an error."""
import socket


class RedisError(Exception):
    pass


class Resp:
    def __init__(self, address, timeout=10, wrap=None):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.socket.connect(address)
        if wrap:
            self.socket = wrap(self.socket)
        self.buffer = b""

    def close(self):
        self.socket.close()

    @staticmethod
    def encode(*words):
        out = b"*%d\r\n" % len(words)
        for word in words:
            word = word if isinstance(word, bytes) else str(word).encode()
            out += b"$%d\r\n%s\r\n" % (len(word), word)
        return out

    def line(self):
        while b"\r\n" not in self.buffer:
            self.more()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def more(self):
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("closed")
        self.buffer += data

    def read(self):
        line = self.line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            return RedisError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            if rest == b"-1":
                return None
            length = int(rest)
            while len(self.buffer) < length + 2:
                self.more()
            value, self.buffer = self.buffer[:length], self.buffer[length + 2:]
            return value.decode(errors="surrogateescape")
        if kind == b"*":
            return None if rest == b"-1" else [self.read() for _ in range(int(rest))]
        raise ValueError(line)

    def __call__(self, *words):
        self.socket.sendall(self.encode(*words))
        reply = self.read()
        if isinstance(reply, RedisError):
            raise reply
        return reply

    def pipeline(self, commands):
        """Sends many commands, some at a time, and returns the replies."""
        replies = []
        for start in range(0, len(commands), 500):
            some = commands[start:start + 500]
            self.socket.sendall(b"".join(self.encode(*c) for c in some))
            replies += [self.read() for _ in some]
        return replies

    def multi(self, *commands):
        replies = self.pipeline([("MULTI",), *commands, ("EXEC",)])
        assert isinstance(replies[-1], list), replies
        return replies[-1]
