"""A real Redis in a folder of its own, on a free loopback port, and a proxy in front of it that can be told to misbehave."""
import configparser
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from .broker import free_ports, wait_until

REDIS = os.environ.get("GUARD_REDIS") or shutil.which("redis-server") or shutil.which("valkey-server") or "redis-server"


class RedisError(Exception):
    """An error reply."""


class Connection:
    """The few lines of RESP2 that a test needs: call(), and pipeline() for millions of keys."""

    def __init__(self, port, timeout=30):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = self.socket.makefile("rb")

    @staticmethod
    def pack(*words):
        out = [b"*%d\r\n" % len(words)]
        for word in words:
            word = word if isinstance(word, bytes) else str(word).encode()
            out.append(b"$%d\r\n%s\r\n" % (len(word), word))
        return b"".join(out)

    def read(self):
        line = self.stream.readline()
        if not line:
            raise ConnectionError("Redis hung up")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RedisError(rest.decode())
        if kind == b"+":
            return rest.decode()
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.stream.read(int(rest) + 2)[:-2].decode()
        return None if rest == b"-1" else [self.read() for _ in range(int(rest))]

    def call(self, *words):
        self.socket.sendall(self.pack(*words))
        return self.read()

    def pipeline(self, commands):
        """Sends commands in blocks and reads their replies; returns how many there were."""
        count, block = 0, []
        for command in commands:
            block.append(self.pack(*command))
            if len(block) == 2000:
                count += self._flush(block)
                block = []
        return count + self._flush(block)

    def _flush(self, block):
        self.socket.sendall(b"".join(block))
        for _ in block:
            self.read()
        return len(block)

    def close(self):
        self.stream.close()
        self.socket.close()


def policy_commands(text, prefix="guard:"):
    """The commands that write a policy in the file's form as keys, the new version last."""
    parser = configparser.RawConfigParser(delimiters=("=",), comment_prefixes=("#",), strict=True)
    parser.optionxform = str
    parser.read_string(text)
    commands = []
    for section in parser.sections():
        kind, _, name = section.partition(" ")
        pairs = [word for pair in parser.items(section) for word in pair]
        commands.append(("HSET", f"{prefix}{kind}{':' if name else ''}{name}", *pairs))
    return [*commands, ("INCR", f"{prefix}version")]


class Redis:
    """options: lines of redis.conf."""

    def __init__(self, folder, options=()):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.options, self.port, self.process, self._connection = list(options), None, None, None

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def start(self, wait=True):
        for _ in range(5):
            self.port = self.port or free_ports(1)[0]
            conf = self.folder / "redis.conf"
            conf.write_text("\n".join([f"port {self.port}", "bind 127.0.0.1", f"dir {self.folder}", 'save ""',
                                       "daemonize no", *self.options]) + "\n")
            log = open(self.folder / "redis.log", "ab")
            with log:
                self.process = subprocess.Popen([REDIS, str(conf)], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
            if not wait:
                return self
            try:
                wait_until(self._answers, 10, "Redis to start")
                return self
            except ChildProcessError:
                self.port = None  # somebody took it meanwhile
        raise AssertionError(f"Redis does not start:\n{(self.folder / 'redis.log').read_text()[-2000:]}")

    def take_port(self, port):
        """Listens on another port from now on."""
        self("CONFIG", "SET", "port", port)
        self.port, self._connection = port, None

    def _answers(self):
        if self.process.poll() is not None:
            raise ChildProcessError
        try:
            connection = Connection(self.port, 1)
        except OSError:
            return False
        try:
            connection.call("PING")
        except RedisError as error:
            return not str(error).startswith("LOADING")
        except OSError:
            return False
        finally:
            connection.close()
        return True

    @property
    def connection(self):
        if self._connection is None:
            self._connection = Connection(self.port)
        return self._connection

    def __call__(self, *words):
        return self.connection.call(*words)

    def multi(self, *commands):
        """All commands as one transaction."""
        connection = self.connection
        connection.socket.sendall(b"".join(connection.pack(*c) for c in (("MULTI",), *commands, ("EXEC",))))
        replies = [connection.read() for _ in range(len(commands) + 2)]
        return replies[-1]

    def cli(self, *words):
        """redis-cli, as an administrator uses it; what it prints."""
        done = subprocess.run(["redis-cli", "-p", str(self.port), *map(str, words)], capture_output=True, text=True,
                              check=True, timeout=20)
        return done.stdout.strip()

    def load(self, text, prefix="guard:"):
        """Writes a policy in the file's form as keys, in one MULTI with a new version."""
        self.multi(*policy_commands(text, prefix))

    def signal(self, number):
        self.process.send_signal(number)

    def hang(self):
        self.signal(signal.SIGSTOP)

    def go_on(self):
        self.signal(signal.SIGCONT)

    def stop(self):
        """Ends it as a power cut would: what it holds is gone."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


class Proxy:
    """
    Stands between broker and Redis. .mode says what happens to a connection's traffic, also to those that exist:
      "pass"      nothing
      ("delay", seconds)     every block from the server waits
      "garbage"   the server's answers are replaced by random-looking bytes
      ("error", text)        every command is answered by that error line
      "refuse"    connections are closed at once
      "cut"       as refuse, and the ones that exist are closed
      "swallow"   nothing is passed on, connections stay open
    .connections counts those that were accepted.
    """

    def __init__(self, port):
        self.to_port, self.mode, self.connections, self._pairs = port, "pass", 0, []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self._stopped = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def _accept(self):
        while not self._stopped:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            self.connections += 1
            if self.mode in ("refuse", "cut"):
                client.close()
                continue
            try:
                upstream = socket.create_connection(("127.0.0.1", self.to_port), 5)
            except OSError:
                client.close()
                continue
            for end in (client, upstream):
                end.settimeout(None)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pairs.append((client, upstream))
            threading.Thread(target=self._pump, args=(client, upstream, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(upstream, client, False), daemon=True).start()

    def _pump(self, source, target, to_server):
        try:
            while True:
                octets = source.recv(65536)
                if not octets:
                    break
                kind, value = self.mode if isinstance(self.mode, tuple) else (self.mode, None)
                if kind == "swallow":
                    continue
                if kind == "error" and to_server:
                    commands = sum(line.startswith(b"*") for line in octets.split(b"\r\n"))
                    source.sendall(f"-{value}\r\n".encode() * max(1, commands))
                    continue
                if kind == "garbage" and not to_server:
                    octets = bytes((n * 73 + 41) % 256 for n in range(64)) + b"\r\n"
                if kind == "delay" and not to_server:
                    time.sleep(value)
                target.sendall(octets)
        except OSError:
            pass
        finally:
            for end in (source, target):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def set(self, mode):
        self.mode = mode
        if mode == "cut":
            self.cut()

    def cut(self):
        """Closes every connection there is."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                end.close()

    def stop(self):
        self._stopped = True
        self.server.close()
        self.cut()
