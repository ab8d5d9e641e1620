"""Sinks and shippers against real receivers: rsyslog over TCP, TLS and a unix socket, rsyslog tailing, Redis Streams."""
import collections
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from conftest import ROOT, events, read_lines, segments, stop, verify
from ports import free_port

sys.path.insert(0, str(ROOT / "tests" / "integration"))
from support.pki import Authority  # noqa: E402
from support.redis import Connection  # noqa: E402

SIEM = ROOT / "examples" / "siem"
RSYSLOG = shutil.which("rsyslogd") or "/usr/sbin/rsyslogd"
REDIS = shutil.which("redis-server")
TLS_DRIVER = list(Path("/usr/lib").glob("*/rsyslog/lmnsd_ossl.so"))


def wait_until(condition, seconds=30, what="it"):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} did not happen"
        time.sleep(0.05)


def accepts(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Rsyslog:
    """One of the example configurations, with the places of this test in it."""

    def __init__(self, folder, example, audit=None, tls=None):
        self.folder = Path(folder)
        self.folder.mkdir()
        (self.folder / "spool").mkdir()
        self.out = self.folder / "broker.ndjson"
        self.tcp, self.tls = free_port(), free_port()
        text = (SIEM / example).read_text()
        text = text.replace("/var/log/mosquitto-audit/broker.ndjson", str(self.out))
        text = text.replace("/var/spool/rsyslog", str(self.folder / "spool")).replace("/var/log/mosquitto/audit", str(audit))
        text = text.replace('port="6601"', f'port="{self.tcp}" address="127.0.0.1"')
        text = text.replace('port="6514" ruleset', f'port="{self.tls}" address="127.0.0.1" ruleset')
        if tls:
            text = text.replace("/etc/rsyslog.d/tls", str(tls))
        elif example == "rsyslog-receive.conf":
            text = re.sub(r"\ninput\(type=\"imtcp\" port=\"%d\".*?\)\n" % self.tls, "\n", text, flags=re.S)
            text = re.sub(r"\n  defaultNetstream.*", "", text)
        self.config = self.folder / "rsyslog.conf"
        self.config.write_text(text)
        self.process = None

    def start(self, port=None):
        self.process = subprocess.Popen([RSYSLOG, "-n", "-f", str(self.config), "-i", str(self.folder / "pid")],
                                        stdout=subprocess.DEVNULL, stderr=open(self.folder / "errors", "a"))
        if port:
            wait_until(lambda: accepts(port), what=f"rsyslog listening: {(self.folder / 'errors').read_text()}")
        return self

    def end(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(20)

    def lines(self):
        return self.out.read_bytes().split(b"\n")[:-1] if self.out.exists() else []


@pytest.fixture
def rsyslog(tmp_path):
    made = []

    def make(example, **keywords):
        made.append(Rsyslog(tmp_path / f"rsyslog-{len(made)}", example, **keywords))
        return made[-1]
    yield make
    for one in made:
        one.end(signal.SIGKILL)


def same_copy(copy, driver, public):
    """The lines that arrived are those of the files, byte for byte, and verify alone."""
    assert copy.lines() == read_lines(driver.folder)
    code, result = verify([copy.out], "--key", public, "--require-final")
    assert code == 0, result


# ---- the syslog sink ----


def test_syslog_over_tcp(driver, public, rsyslog):
    receiver = rsyslog("rsyslog-receive.conf").start()
    wait_until(lambda: accepts(receiver.tcp))
    driver.run("--events", 5000, "--rate", 10000, "--kinds", "--hostile", "--sink", f"syslog,tcp:127.0.0.1:{receiver.tcp}")
    wait_until(lambda: len(receiver.lines()) >= len(read_lines(driver.folder)))
    same_copy(receiver, driver, public)


def test_syslog_over_tcp_survives_an_absent_receiver_and_rotation(driver, public, rsyslog):
    receiver = rsyslog("rsyslog-receive.conf")
    sink = ("--sink", f"syslog,tcp:127.0.0.1:{receiver.tcp}")
    driver.run("--events", 2000, "--rate", 10000, "--rotate", 1 << 18, *sink)  # nobody listens
    assert not receiver.lines()
    receiver.start(receiver.tcp)
    process = driver.start("--events", 3000, "--rate", 3000, "--rotate", 1 << 18, "--stay", *sink)
    wait_until(lambda: len(receiver.lines()) >= 5000)
    stop(process)
    wait_until(lambda: len(receiver.lines()) >= len(read_lines(driver.folder)))
    same_copy(receiver, driver, public)
    assert len(segments(driver.folder)) > 10


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_syslog_receiver_restarts(driver, rsyslog, how):
    receiver = rsyslog("rsyslog-receive.conf").start()
    wait_until(lambda: accepts(receiver.tcp))
    process = driver.start("--rate", 3000, "--sink", f"syslog,tcp:127.0.0.1:{receiver.tcp}")
    time.sleep(1)
    receiver.end(how)
    time.sleep(1.2)
    receiver.start(receiver.tcp)
    time.sleep(2.5)
    report = stop(process)
    assert report["up"] == [True, True]
    written = {json.loads(line)["event"]["id"] for line in read_lines(driver.folder)}
    wait_until(lambda: len({json.loads(line)["event"]["id"] for line in receiver.lines()}) >= len(written) * 0.99)
    arrived = collections.Counter(json.loads(line)["event"]["id"] for line in receiver.lines())
    missing = written - set(arrived)
    # TCP has no acknowledgement: what a killed receiver's system had taken and it had not read is gone. Orderly: nothing.
    assert len(missing) <= (0 if how == signal.SIGTERM else 600), len(missing)


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "ca")


def tls_files(authority, folder):
    folder.mkdir()
    server, client = authority.server(), authority.client("broker-1")
    shutil.copy(authority.ca_file, folder / "ca.pem")
    shutil.copy(server.certificate, folder / "receiver.pem")
    shutil.copy(server.key, folder / "receiver.key")
    return client


needs_tls_driver = pytest.mark.skipif(not TLS_DRIVER, reason="rsyslog-openssl is not installed")


@needs_tls_driver
def test_syslog_over_tls(driver, public, rsyslog, authority, tmp_path):
    client = tls_files(authority, tmp_path / "tls")
    receiver = rsyslog("rsyslog-receive.conf", tls=tmp_path / "tls").start()
    wait_until(lambda: accepts(receiver.tls))
    driver.run("--events", 4000, "--rate", 10000, "--sink",
               f"syslog,tls:127.0.0.1:{receiver.tls},ca={authority.ca_file},cert={client.certificate},key={client.key}")
    wait_until(lambda: len(receiver.lines()) >= len(read_lines(driver.folder)))
    same_copy(receiver, driver, public)


@needs_tls_driver
def test_a_receiver_that_cannot_be_verified_gets_nothing(driver, rsyslog, authority, tmp_path):
    tls_files(authority, tmp_path / "tls")
    other = Authority(tmp_path / "other-ca")
    receiver = rsyslog("rsyslog-receive.conf", tls=tmp_path / "tls").start()
    wait_until(lambda: accepts(receiver.tls))
    process = driver.start("--rate", 500, "--sink", f"syslog,tls:127.0.0.1:{receiver.tls},ca={other.ca_file}")
    time.sleep(2)
    report = stop(process)
    assert report["up"] == [True, False]
    assert not receiver.lines()


def test_bad_sinks_stop_the_start(driver, tmp_path):
    for bad in ("udp:127.0.0.1:514", "tcp:127.0.0.1", "tcp:::1:514", "tls:x:99999999", "unix:" + "x" * 200):
        done = driver.run("--events", 1, "--sink", f"syslog,{bad}", check=False)
        assert done.returncode == 2 and "audit sink" in done.stderr, bad
    missing = driver.run("--events", 1, "--sink", "syslog,tls:127.0.0.1:1,ca=/nonexistent.pem", check=False)
    assert missing.returncode == 2


def test_syslog_datagrams(driver, tmp_path):
    path = str(tmp_path / "log")
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind(path)
    got, ended = [], threading.Event()

    def read():
        receiver.settimeout(0.2)
        while not ended.is_set() or got and got[-1] is None:
            try:
                got.append(receiver.recv(65536))
            except TimeoutError:
                continue
    reader = threading.Thread(target=read)
    reader.start()
    driver.run("--events", 3000, "--rate", 5000, "--sink", f"syslog,unix:{path}")
    wait_until(lambda: len(got) >= len(read_lines(driver.folder)))
    ended.set()
    reader.join()
    receiver.close()
    header = re.compile(rb"<(\d+)>1 (\S+) (\S+) mosquitto-guard (\d+) (\S+) - ")
    for message, line in zip(got, read_lines(driver.folder), strict=True):
        matched = header.match(message)
        assert message[matched.end():] == line
        event = json.loads(line)
        severity = {"info": 6, "warning": 4, "error": 3}[event["log.level"]]
        assert int(matched[1]) == 13 * 8 + severity
        assert matched[2].decode() == event["@timestamp"] and matched[5].decode() == event["event"]["action"]


def test_a_receiver_that_never_reads_hurts_nobody(driver, public, rsyslog):
    """One sink hangs; the files and the other sink go on, and the end comes in time."""
    stuck = socket.socket()
    stuck.bind(("127.0.0.1", 0))
    stuck.listen()
    receiver = rsyslog("rsyslog-receive.conf").start()
    wait_until(lambda: accepts(receiver.tcp))
    process = driver.start("--events", 20000, "--rate", 20000, "--stay", "--sink",
                           f"syslog,tcp:127.0.0.1:{stuck.getsockname()[1]}", "--sink", f"syslog,tcp:127.0.0.1:{receiver.tcp}")
    wait_until(lambda: len(receiver.lines()) >= 20000)
    before = time.monotonic()
    stop(process)
    assert time.monotonic() - before < 5
    same_copy(receiver, driver, public)
    stuck.close()


# ---- a shipper that follows the files ----


def check_state(tail, driver):
    """What the service does before its start. Returns what it had to say."""
    done = subprocess.run([SIEM / "rsyslog-state-check.sh", tail.folder / "spool", driver.folder, tail.out], check=True,
                          capture_output=True, text=True)
    return done.stderr


def arrived_once(tail, driver):
    written = read_lines(driver.folder)
    wait_until(lambda: len(set(tail.lines())) >= len(written), seconds=60, what=f"{len(written)} lines")
    time.sleep(0.5)
    arrived = collections.Counter(tail.lines())
    assert set(arrived) == set(written), "nothing is lost, nothing is changed"
    assert not [line for line, count in arrived.items() if count > 1], "nothing is doubled"


@pytest.mark.parametrize("how", [None, signal.SIGTERM, signal.SIGKILL])
def test_rsyslog_tails_under_rotation_and_kill(driver, public, rsyslog, how):
    driver.folder.mkdir(mode=0o750)
    tail = rsyslog("rsyslog-tail.conf", audit=driver.folder).start()
    time.sleep(0.5)
    process = driver.start("--rate", 1000, "--rotate", 1 << 17)
    for _ in range(3 if how else 1):
        time.sleep(1.2)
        if how:
            tail.end(how)
            time.sleep(0.4)
            check_state(tail, driver)
            tail.start()
    time.sleep(1)
    stop(process)
    arrived_once(tail, driver)
    assert len(segments(driver.folder)) > 10


@pytest.mark.parametrize("damage", [b"", b'{ "filename": "/var/l', None], ids=["empty", "half", "gone back"])
def test_a_state_file_that_a_kill_has_damaged(driver, rsyslog, damage):
    """rsyslog alone would skip the rest of the file, or read it again from its start."""
    driver.folder.mkdir(mode=0o750)
    tail = rsyslog("rsyslog-tail.conf", audit=driver.folder).start()
    time.sleep(0.5)
    driver.run("--events", 300, "--rate", 1000)
    wait_until(lambda: len(tail.lines()) >= 300)
    tail.end(signal.SIGKILL)
    state = next((tail.folder / "spool").glob("imfile-state:*"))
    state.write_bytes(damage if damage is not None else re.sub(rb"(_offs.:) \d+", rb"\1 0", state.read_bytes()))
    driver.run("--events", 300, "--rate", 1000)
    assert "is now at" in check_state(tail, driver)
    tail.start()
    arrived_once(tail, driver)


def test_a_damaged_state_file_without_a_copy(driver, rsyslog):
    """Forwarded lines cannot be counted here: the file is read again, none is lost."""
    driver.folder.mkdir(mode=0o750)
    tail = rsyslog("rsyslog-tail.conf", audit=driver.folder).start()
    time.sleep(0.5)
    driver.run("--events", 300, "--rate", 1000)
    wait_until(lambda: len(tail.lines()) >= 300)
    tail.end(signal.SIGKILL)
    next((tail.folder / "spool").glob("imfile-state:*")).write_bytes(b"")
    done = subprocess.run([SIEM / "rsyslog-state-check.sh", tail.folder / "spool"], check=True, capture_output=True, text=True)
    assert "damaged: removed" in done.stderr
    tail.start()
    wait_until(lambda: set(tail.lines()) == set(read_lines(driver.folder)))


def test_retention_leaves_the_live_file_alone(driver):
    driver.run("--events", 3000, "--rotate", 1 << 18)
    files = segments(driver.folder)
    for path in files:
        os.utime(path, (time.time() - 7200,) * 2)
    subprocess.run([SIEM / "retention.sh", driver.folder], check=True)
    assert segments(driver.folder) == files[-1:]
    assert len(list(driver.folder.glob("*.gz"))) == len(files) - 1
    os.utime(next(driver.folder.glob("*.gz")), (time.time() - 500 * 86400,) * 2)
    subprocess.run([SIEM / "retention.sh", driver.folder, "400"], check=True)
    assert len(list(driver.folder.glob("*.gz"))) == len(files) - 2


# ---- Redis Streams ----


class Redis:
    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        folder.mkdir()
        self.process = None

    def start(self, *options):
        self.process = subprocess.Popen([REDIS, "--port", str(self.port), "--dir", str(self.folder), "--save", "",
                                         "--appendonly", "yes", "--appendfsync", "always", *options],
                                        stdout=subprocess.DEVNULL)
        wait_until(lambda: accepts(self.port))
        return self

    def client(self):
        return Connection(self.port)

    def end(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(20)


@pytest.fixture
def redis(tmp_path):
    server = Redis(tmp_path / "redis")
    yield server
    server.end(signal.SIGKILL)


def entries(client, stream="audit:broker-1"):
    return [entry[1][1].encode() for entry in client.call("XRANGE", stream, "-", "+")]


def test_redis_holds_every_line_once_over_restarts(driver, redis):
    redis.start()
    sink = ("--sink", f"redis,tcp:127.0.0.1:{redis.port}")
    driver.run("--events", 2000, "--rate", 5000, *sink)
    process = driver.start("--rate", 3000, *sink)
    for how in (signal.SIGTERM, signal.SIGKILL):
        time.sleep(0.8)
        redis.end(how)
        time.sleep(0.8)
        redis.start()
    time.sleep(2.5)
    stop(process)
    client = redis.client()
    wait_until(lambda: client.call("XLEN", "audit:broker-1") >= len(read_lines(driver.folder)))
    assert entries(client) == read_lines(driver.folder)
    ids = [entry[0] for entry in client.call("XRANGE", "audit:broker-1", "-", "+")]
    assert all(id_.split("-")[1] == str(json.loads(line)["event"]["sequence"])
               for id_, line in zip(ids, read_lines(driver.folder)))


def test_redis_writer_killed_in_between_sends_nothing_twice(driver, redis):
    redis.start()
    sink = ("--sink", f"redis,tcp:127.0.0.1:{redis.port}")
    for _ in range(3):
        process = driver.start("--rate", 3000, *sink)
        time.sleep(0.9)
        process.kill()
        process.communicate()
    driver.run("--events", 500, "--rate", 5000, "--kinds", *sink)
    client = redis.client()
    good = [line for line in read_lines(driver.folder) if line.endswith(b'"}}')]
    wait_until(lambda: client.call("XLEN", "audit:broker-1") >= len(good))
    assert entries(client) == good


def test_redis_group_survives_the_death_of_a_consumer(driver, redis):
    redis.start()
    client = redis.client()
    client.call("XGROUP", "CREATE", "audit:broker-1", "siem", "0", "MKSTREAM")
    driver.run("--events", 2000, "--rate", 10000, "--sink", f"redis,tcp:127.0.0.1:{redis.port}")
    seen = collections.Counter()
    dead = client.call("XREADGROUP", "GROUP", "siem", "dies", "COUNT", "500", "STREAMS", "audit:broker-1", ">")
    assert len(dead[0][1]) == 500  # read, never acknowledged

    def take(batch):
        for id_, fields in batch:
            seen[json.loads(fields[1])["event"]["id"]] += 1
            client.call("XACK", "audit:broker-1", "siem", id_)
    while (got := client.call("XREADGROUP", "GROUP", "siem", "lives", "COUNT", "500", "STREAMS", "audit:broker-1", ">")):
        take(got[0][1])
    start = "0-0"
    while True:
        start, claimed, *_ = client.call("XAUTOCLAIM", "audit:broker-1", "siem", "lives", "0", start, "COUNT", "200")
        take(claimed)
        if start == "0-0":
            break
    assert set(seen) == {event["event"]["id"] for event in events(driver.folder)}
    assert set(seen.values()) == {1}
    assert client.call("XPENDING", "audit:broker-1", "siem")[0] == 0


def test_redis_trimming_of_unread_lines_is_declared(driver, redis, public):
    redis.start()
    client = redis.client()
    client.call("XGROUP", "CREATE", "audit:broker-1", "slow", "0", "MKSTREAM")
    process = driver.start("--rate", 2000, "--sink", f"redis,tcp:127.0.0.1:{redis.port},max=500")
    time.sleep(4)
    stop(process)
    gaps = [event for event in events(driver.folder) if event["event"].get("reason") == "sink_trimmed"]
    assert gaps and all(event["event"]["action"] == "audit-gap" for event in gaps)
    ranges = [(gap["mosquitto"]["audit"]["first_sequence"], gap["mosquitto"]["audit"]["last_sequence"]) for gap in gaps]
    assert all(a[1] < b[0] for a, b in zip(ranges, ranges[1:])), "each loss is declared once"
    code, result = verify(driver.folder, "--key", public, "--require-final")
    assert code == 0 and result["runs"][0]["lost"] == 0, "the files have them all"


def test_redis_with_a_password(driver, redis, tmp_path):
    redis.start("--requirepass", "stream-secret")
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text("stream-secret\n")
    bad.write_text("wrong\n")
    for path in (good, bad):
        path.chmod(0o600)
    assert stop_after(driver, f"redis,tcp:127.0.0.1:{redis.port},password={bad}")["up"] == [True, False]
    assert stop_after(driver, f"redis,tcp:127.0.0.1:{redis.port},password={good},stream=trail")["up"] == [True, True]
    client = redis.client()
    client.call("AUTH", "stream-secret")
    assert client.call("EXISTS", "trail") == 1
    for path in driver.folder.rglob("*"):
        assert b"stream-secret" not in path.read_bytes()


def stop_after(driver, sink):
    process = driver.start("--rate", 500, "--sink", sink)
    time.sleep(1.2)
    return stop(process)
