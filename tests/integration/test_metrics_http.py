"""Figures over HTTP and below $SYS: the same as in the file, for well-behaved scrapers, while everybody else hurts nobody."""
import contextlib
import socket
import stat
import time

import pytest

from support.broker import BrokerFailed, free_ports
from support.client import V5
from support.prometheus import Figures
from test_audit import POLICY
from test_rules import users


def ask(where, request, timeout=10):
    """(status, headers, body) of one request, octets as they are; None when it was hung up on."""
    with socket.socket(socket.AF_UNIX if isinstance(where, str) else socket.AF_INET) as client:
        client.settimeout(timeout)
        client.connect(where)
        client.sendall(request)
        octets = b""
        while chunk := client.recv(65536):
            octets += chunk
    if not octets:
        return None
    head, _, body = octets.decode().partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    assert int(headers["content-length"]) == len(body.encode()) and headers["connection"] == "close"
    return int(first.split()[1]), headers, body


SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nUser-Agent: Prometheus/2.42.0\r\nAccept: */*\r\n\r\n"


@pytest.fixture
def served(make_broker, eventually):
    """served(**options): (broker, where), and the figures are there already."""
    def make(listen=None, **options):
        port = free_ports(1)[0]
        broker = make_broker(POLICY, options={"metrics_listen": listen or f"127.0.0.1:{port}", **options})
        where = listen[5:] if listen else ("127.0.0.1", port)
        eventually(lambda: ask(where, SCRAPE)[0] == 200, 5, "the first figures")
        return broker, where
    return make


@pytest.mark.memory
def test_scrape(served, eventually, version):
    broker, where = served()
    a = broker.client("a-id", "a", "pw", version=version).open()
    broker.client("b-id", "a", "wrong", version=version).connect()
    for topic in ("devices/a/data", "devices/b/data"):
        a.publish(topic)
    broker.trail.wait("mqtt-publish", 2)
    status, headers, _ = ask(where, SCRAPE)
    assert status == 200 and headers["content-type"].startswith("text/plain; version=0.0.4")
    eventually(lambda: Figures(ask(where, SCRAPE)[2])("mosquitto_acl_checks_total", access="publish", outcome="denied") == 1,
               5, "the refused publish")
    figures = Figures(ask(where, SCRAPE)[2])
    assert figures("mosquitto_auth_sessions", method="password") == 1
    assert figures("mosquitto_auth_attempts_total", method="password", outcome="failure", reason="bad_credentials") == 1
    assert figures("mosquitto_audit_events_total", action="mqtt-publish", outcome="success") == 1
    assert figures.total("mosquitto_audit_events_lost_total") == 0


@pytest.mark.parametrize("request_, status", [
    (b"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 405), (b"GET / HTTP/1.1\r\n\r\n", 404),
    (b"nonsense\r\n\r\n", 400), (b"\x16\x03\x01\n\n", 400), (b"GET /metrics HTTP/3.0\r\n\r\n", 505),
    (b"GET /metrics HTTP/1.1\r\nA: " + b"a" * 5000, 431)])
def test_what_is_not_served(served, request_, status):
    _, where = served()
    got, headers, body = ask(where, request_)
    assert got == status and "mosquitto" not in body
    assert (headers.get("allow") == "GET") == (status == 405)
    assert ask(where, SCRAPE)[0] == 200


def test_slow_clients_hold_nobody_up_for_long(served):
    """One connection at a time: who says nothing is hung up on after two seconds, and the next one is served."""
    broker, where = served()
    with contextlib.ExitStack() as stack:
        for octets in (b"", b"GET /metrics HTTP/1.1\r\n"):
            client = stack.enter_context(socket.create_connection(where))
            client.sendall(octets)
        a = broker.client("a-id", "a", "pw", version=V5).open()
        assert a.publish("devices/a/data") == 0, "the broker does not wait for any of this"
        assert ask(where, SCRAPE, timeout=20)[0] == 200


def test_many_scrapes_and_aborts(served):
    broker, where = served()
    a = broker.client("a-id", "a", "pw", version=V5).open()
    for n in range(200):
        client = socket.create_connection(where)
        client.sendall(SCRAPE[:n])
        if n % 2:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset
        client.close()
    assert ask(where, SCRAPE)[0] == 200
    assert a.publish("devices/a/data") == 0


def test_unix_socket(served, tmp_path):
    path = tmp_path / "metrics.sock"
    broker, where = served(f"unix:{path}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert Figures(ask(where, SCRAPE)[2]).types
    broker.kill()
    assert path.exists()
    broker.start()  # what a killed broker leaves is no obstacle
    broker.stop()
    assert not path.exists()


def test_it_ends_with_the_broker_although_somebody_is_connected(served):
    broker, where = served()
    with socket.create_connection(where) as client:
        client.sendall(b"GET")
        start = time.monotonic()
        broker.stop()
        assert time.monotonic() - start < 10
    with pytest.raises(OSError):
        socket.create_connection(where)


@pytest.mark.parametrize("where", ["0.0.0.0:9883", "192.0.2.1:9883", "[::]:9883", "localhost:9883", "127.0.0.1", "127.0.0.1:0",
                                   "127.0.0.1:99999", "unix:relative", "9883", "unix:/" + "x" * 200])
def test_bad_addresses(make_broker, where):
    with pytest.raises(BrokerFailed) as failed:
        make_broker(POLICY, options={"metrics_listen": where})
    assert "metrics_listen: expected" in failed.value.log


def test_a_port_that_is_taken(make_broker):
    with socket.create_server(("127.0.0.1", 0)) as other:
        where = f"127.0.0.1:{other.getsockname()[1]}"
        broker = make_broker(POLICY, options={"metrics_listen": where}, start=False)
        with pytest.raises(AssertionError):
            broker.start()
        assert f"metrics_listen: '{where}' cannot be used: Address already in use" in broker.log()


def test_nobody_listens_unless_asked(make_broker):
    broker = make_broker(POLICY)
    broker.client("a-id", "a", "pw").open()
    tasks = [(path / "comm").read_text().strip() for path in __import__("pathlib").Path(f"/proc/{broker.process.pid}/task").iterdir()]
    assert "guard-metrics" not in tasks


def test_every_kind_of_check_is_timed(served, eventually):
    """Deliveries on their short way are not counted for time; now and then one is sent the long way."""
    broker, where = served()
    w = broker.client("w-id", "w", "pw", version=V5).open()
    w.subscribe("devices/#")

    def counts():
        figures = Figures(ask(where, SCRAPE)[2])
        return [figures("mosquitto_acl_check_duration_seconds_count"),
                *(figures("mosquitto_plugin_callback_duration_seconds_count", callback=name)
                  for name in ("acl_check", "basic_auth", "tick", "reload"))]
    broker.hang_up()
    before = counts()
    for _ in range(5):
        w.publish("devices/x")
        w.receive()
        time.sleep(0.1)
    eventually(lambda: counts()[0] >= before[0] + 3, 10, "timed decisions")
    after = counts()
    assert all(number > 0 for number in after) and after[1] >= before[1] + 3


def test_below_sys(make_broker, eventually):
    policy = POLICY + users("dash", roles={"dash": "dash"}) + "[role dash]\nsys = allow subscribe $SYS/broker/guard/#\n"
    broker = make_broker(policy, options={"metrics_sys": "yes"})
    broker.client("b-id", "a", "wrong").connect()
    dash = broker.client("dash-id", "dash", "pw").open()
    dash.subscribe("$SYS/broker/guard/#")
    found = {}

    def all_there():
        while message := dash.receive(0.1):
            found[message.topic.removeprefix("$SYS/broker/guard/")] = int(message.payload)
        return found.get("logins/refused") == 1 and found.get("sessions") == 1
    eventually(all_there, 25, f"the figures: {found}")
    assert set(found) == {"sessions", "logins/accepted", "logins/refused", "checks/denied", "kicks", "policy/rules",
                          "audit/events", "audit/lost", "alerts"}
    assert found["logins/accepted"] == 1 and found["audit/lost"] == 0 and found["policy/rules"] == policy.count("= allow ") + policy.count("= deny ")


def test_nothing_below_sys_unless_asked(make_broker):
    policy = POLICY + users("dash", roles={"dash": "dash"}) + "[role dash]\nsys = allow subscribe $SYS/#\n"
    broker = make_broker(policy)
    dash = broker.client("dash-id", "dash", "pw").open()
    dash.subscribe("$SYS/broker/guard/#")
    assert dash.receives_nothing(1)
