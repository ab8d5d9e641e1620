"""Real servers in folders and on ports of their own: Redis, replicas, Sentinel, Cluster."""
import os
import shutil
import signal
import socket
import subprocess
import time

from ports import free_port

from .resp import RedisError, Resp

REDIS = os.environ.get("GUARD_REDIS") or shutil.which("redis-server") or shutil.which("valkey-server")


class Server:
    """One redis-server. Options as in redis.conf, '_' for '-'."""

    def __init__(self, folder, port=None, sentinel=False, tls=None, unix=False, **options):
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port(10000 if options.get("cluster_enabled") else 0)
        self.sentinel = sentinel
        self.tls = tls
        self.path = str(folder / "redis.sock") if unix else None
        self.options = options
        self.process = None
        self.password = options.get("requirepass")
        self._client = None

    def config(self):
        port = 0 if self.tls or self.path else self.port
        lines = [f"port {port}", "bind 127.0.0.1", f"dir {self.folder}", "protected-mode no", 'save ""',
                 f"logfile {self.folder}/redis.log", "daemonize no"]
        if self.path:
            lines.append(f"unixsocket {self.path}")
        if self.tls:
            lines += [f"tls-port {self.port}", f"tls-cert-file {self.tls['cert']}", f"tls-key-file {self.tls['key']}",
                      f"tls-ca-cert-file {self.tls['ca']}", f"tls-auth-clients {self.tls.get('clients', 'no')}"]
        for name, value in self.options.items():
            for one in value if isinstance(value, list) else [value]:
                lines.append(f"{name.replace('_', '-')} {one}")
        return "\n".join(lines) + "\n"

    def start(self):
        config = self.folder / "redis.conf"
        if not (self.sentinel and config.exists()):  # Sentinel keeps its state in there
            config.write_text(self.config())
        arguments = [REDIS, str(config)] + (["--sentinel"] if self.sentinel else [])
        self.process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            try:
                self.connect()("PING")
                return self
            except (OSError, RedisError):
                assert self.process.poll() is None, (self.folder / "redis.log").read_text()
                assert time.monotonic() < deadline, "redis-server did not start"
                time.sleep(0.02)

    def connect(self, timeout=20):
        if self.tls:
            import ssl
            context = ssl.create_default_context(cafile=self.tls["ca"])
            context.load_cert_chain(self.tls["cert"], self.tls["key"])
            client = Resp(("127.0.0.1", self.port), timeout, lambda s: context.wrap_socket(s, server_hostname="127.0.0.1"))
        else:
            client = Resp(self.path or ("127.0.0.1", self.port), timeout)
        if self.password:
            client("AUTH", self.password)
        return client

    def __call__(self, *words):
        """One command; a connection that a failover or CLIENT KILL closed is opened anew, once."""
        for last in (False, True):
            if self._client is None:
                self._client = self.connect()
            try:
                return self._client(*words)
            except OSError:
                self._client = None
                if last:
                    raise

    @property
    def url(self):
        if self.path:
            return f"unix://{self.path}"
        return f"redis{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    @property
    def log(self):
        return (self.folder / "redis.log").read_text(errors="replace")

    def suspend(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        self._client = None
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
        self.process = None


def wait_until(condition, timeout=10, step=0.02):
    """The first true value of condition(), or a failure."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {timeout} s"
        time.sleep(step)


def role_of(server):
    try:
        return server("ROLE")
    except (OSError, RedisError, ConnectionError):
        return [None]


def slow_factor():
    """Tests measure time; a machine under load gets more of it."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
