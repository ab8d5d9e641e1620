"""The set-ups and the backups of docs/redis.md, as they stand there: only addresses and folders are others."""
import os
import re
import shutil
import subprocess

import pytest

from support.broker import GUARDCTL, SLOWNESS, TOP, wait_until
from support.client import V5
from support.redis import REDIS
from test_redis import POLICY, becomes, options
from test_redis_places import borrowed, servers

FAIL_OVER = 60 * SLOWNESS


def block(name, places=None):
    """The example of the manual whose first line is "# name", with 192.0.2.N:PORT and folders replaced."""
    found = re.findall(rf"```\n# {re.escape(name)}\n(.*?)```", (TOP / "docs/redis.md").read_text(), re.S)
    assert len(found) == 1, f"the manual has {len(found)} examples called '{name}'"
    text = found[0]
    for old, new in (places or {}).items():
        text = text.replace(old, str(new))
    assert "192.0.2." not in text and " /etc/" not in text, text
    return text


class Machines:
    """192.0.2.1, .2 …: each a folder and ports of its own on this machine. Redis or Sentinel started from lines of the manual."""

    def __init__(self, folder):
        self.folder, self.ports, self.processes = folder, {}, []

    def port(self, number, usual=6379):
        return self.ports.setdefault((number, usual), servers.free_port(10000))

    def places(self, count, usual=6379):
        """Addresses of the manual and what they are here; in redis.conf port and host are two words."""
        found = {}
        for number in range(1, count + 1):
            found[f"192.0.2.{number}:{usual}"] = f"127.0.0.1:{self.port(number, usual)}"
            found[f"192.0.2.{number} {usual}"] = f"127.0.0.1 {self.port(number, usual)}"
        return found

    def start(self, number, lines="", usual=6379):
        folder = self.folder / f"machine{number}-{usual}"
        folder.mkdir()
        port = self.port(number, usual)
        lines = re.sub(rf"^(tls-port|port) {usual}$", rf"\1 {port}", lines, flags=re.M)
        mine = [f"bind 127.0.0.1\ndir {folder}\nlogfile {folder}/log\n"]
        if not re.search(r"^port ", lines, re.M):
            mine.append(f"port {port}\n")
        if usual == 6379:
            mine.append('save ""\n')
        (folder / "redis.conf").write_text("".join(mine) + lines)
        command = [REDIS, folder / "redis.conf"] + (["--sentinel"] if usual == 26379 else [])
        self.processes.append(subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        return self.processes[-1]

    def cli(self, number, *words, usual=6379):
        done = subprocess.run(["redis-cli", "-p", str(self.port(number, usual)), *map(str, words)], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def stop(self):
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def machines(tmp_path):
    machines = Machines(tmp_path)
    yield machines
    machines.stop()


def options_of(text):
    """{name: value} of the plugin_opt_ lines."""
    return dict(line.removeprefix("plugin_opt_").split(" ", 1) for line in text.splitlines())


@pytest.fixture
def guarded(make_broker, tmp_path, guardctl):
    """guarded(name, places): pushes POLICY with guardctl and starts a broker, both with the manual's lines of mosquitto.conf."""
    def make(name, places):
        lines = block(f"{name}: mosquitto.conf", places)
        (tmp_path / "guard.conf").write_text(lines.replace("plugin_opt_", ""))
        (tmp_path / "policy.conf").write_text(POLICY)
        pushed = guardctl("push", "--yes", "--config", tmp_path / "guard.conf", tmp_path / "policy.conf")
        assert pushed.returncode == 0, pushed.stdout + pushed.stderr
        broker = make_broker(None, options={"policy_file": None, **options_of(lines)})
        broker.trail.wait("policy-reload", event__outcome="success", mosquitto__policy__source="redis")
        return broker, broker.client("a-id", "a", "pw", version=V5).open()
    return make


def edit_by_guardctl(guardctl, tmp_path, client, patience=10):
    """A rule comes by the same configuration, and is live."""
    def done():
        return guardctl("role", "set", "device", "news", "allow publish news/#", "--config", tmp_path / "guard.conf").returncode == 0
    wait_until(done, patience, "guardctl to reach the master")
    becomes(client, "news/1", 0, patience)


def test_tls(machines, guarded, guardctl, tmp_path):
    mine = borrowed("pki").Authority(tmp_path / "ca").issue("redis")
    (tmp_path / "etc").mkdir()
    for old, new in ("cert", "redis.crt"), ("key", "redis.key"), ("ca", "ca.crt"), ("ca", "redis-ca.crt"):
        shutil.copy(mine[old], tmp_path / "etc" / new)
    places = {**machines.places(1), "/etc/redis": tmp_path / "etc", "/etc/mosquitto": tmp_path / "etc"}
    machines.start(1, block("tls: redis.conf", places))
    log = tmp_path / "machine1-6379/log"
    wait_until(lambda: log.exists() and "Ready to accept" in log.read_text(), 10, "Redis")
    _, client = guarded("tls", places)
    edit_by_guardctl(guardctl, tmp_path, client)


@pytest.mark.slow
def test_sentinel(machines, guarded, guardctl, tmp_path):
    """The master dies: brokers and guardctl follow to the replica."""
    places = {**machines.places(2), **machines.places(3, 26379)}
    master = machines.start(1)
    machines.start(2, block("sentinel: redis.conf of the replica", places))
    wait_until(lambda: "master_link_status:up" in machines.cli(2, "INFO", "replication"), 20, "the replica")
    for number in range(1, 4):
        machines.start(number, block("sentinel: sentinel.conf of each", places), usual=26379)
    for number in range(1, 4):
        wait_until(lambda n=number: "num-other-sentinels\n2" in machines.cli(n, "SENTINEL", "MASTER", "guard", usual=26379), 30, "the Sentinels")
        wait_until(lambda n=number: "num-slaves\n1" in machines.cli(n, "SENTINEL", "MASTER", "guard", usual=26379), 30, "their replica")
    _, client = guarded("sentinel", places)
    wait_until(lambda: machines.cli(2, "EXISTS", "guard:client:a") == "1", 10, "the replica to have it")
    master.kill()
    master.wait()
    edit_by_guardctl(guardctl, tmp_path, client, FAIL_OVER)
    assert client.connected


@pytest.mark.slow
def test_cluster(machines, guarded, guardctl, tmp_path):
    places = machines.places(6)
    for number in range(1, 7):
        machines.start(number, block("cluster: redis.conf of each", places))
    wait_until(lambda: all(machines.cli(n, "PING") == "PONG" for n in range(1, 7)), 20, "the nodes")
    made = subprocess.run(block("cluster: shell", places), shell=True, input="yes\n", capture_output=True, text=True, check=True)
    assert "All 16384 slots covered" in made.stdout, made.stdout
    wait_until(lambda: all("cluster_state:ok" in machines.cli(n, "CLUSTER", "INFO") for n in range(1, 7)), 30, "the Cluster")
    _, client = guarded("cluster", places)
    edit_by_guardctl(guardctl, tmp_path, client)
    assert client.connected


@pytest.fixture
def shell(tmp_path, redis):
    """shell(name): runs that example of the manual."""
    def run(name, server=redis):
        environment = {**os.environ, "PATH": f"{GUARDCTL.parent}:{os.environ['PATH']}", "GUARD_REDIS_URL": server.url}
        done = subprocess.run(block(name).replace("redis-cli", f"redis-cli -p {server.port}"), shell=True, cwd=tmp_path, env=environment,
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
    return run


def test_backup_and_restore_as_a_policy_file(make_broker, redis, shell):
    """Roles, assignments and clients come back, to a Redis that lost everything."""
    redis.load(POLICY)
    broker = make_broker(None, options=options(redis))
    broker.trail.wait("policy-reload", event__outcome="success", mosquitto__policy__source="redis")
    shell("backup: shell")
    a = broker.client("a-id", "a", "pw", version=V5).open()
    redis("FLUSHALL")
    broker.trail.wait("policy-reload", event__outcome="failure", event__reason="policy_rollback")
    assert a.publish("devices/a/data") == 0
    shell("restore: shell")
    redis("HSET", "guard:role:device", "news", "allow publish news/#")
    becomes(a, "news/1", 0)
    assert broker.client("b-id", "b", "pw", version=V5).open().publish("devices/b/data") == 0


def test_backup_and_restore_of_everything(make_broker, redis, shell, guardctl, tmp_path):
    """Bans too. What is older than what is in force waits for a person."""
    redis.load(POLICY)
    redis("SET", "guard:ban:client:b-id", "in the backup")
    shell("backup of everything: shell")
    broker = make_broker(None, options=options(redis))
    broker.trail.wait("policy-reload", event__outcome="success", mosquitto__policy__source="redis")
    redis.multi(("HSET", "guard:role:device", "news", "allow publish news/#"), ("INCR", "guard:version"), ("DEL", "guard:ban:client:b-id"))
    a = broker.client("a-id", "a", "pw", version=V5).open()
    becomes(a, "news/1", 0)
    redis.stop()
    shutil.copy(tmp_path / "guard.rdb", redis.folder / "dump.rdb")
    redis.start()
    broker.trail.wait("policy-reload", 1, 20, event__outcome="failure", event__reason="policy_rollback")
    assert a.publish("news/1") == 0
    assert guardctl("confirm", "--redis", redis.url).returncode == 0
    becomes(a, "news/1", 0x87)
    assert broker.client("b-id", "b", "pw", version=V5).connect() != 0
