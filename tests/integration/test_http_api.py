"""Mosquitto 2.1's HTTP API asks the plugin from a thread of its own, with a client that lives on that thread's stack."""
import base64
import http.client
import threading

import pytest

from support import passwords
from support.broker import free_ports
from support.client import V5
from test_rules import EVERYONE, users

POLICY = users("ops", "a", roles={"ops": "api"}) + EVERYONE + "[role api]\nread = allow receive /api/#\n"


@pytest.fixture
def options():
    return {}


@pytest.fixture
def api(make_broker, broker_version, options):
    if broker_version < (2, 1):
        pytest.skip("the HTTP API came with Mosquitto 2.1")
    broker = make_broker(POLICY, start=False, options=options)
    port = free_ports(1)[0]
    plain = broker.configuration
    broker.configuration = lambda: plain() + f"listener {port} 127.0.0.1\nprotocol http_api\n"
    if options.get("mode") == "coexist":
        for name, content in (("passwd", f"theirs:{passwords.mosquitto_7('pw')}\n"), ("acl", "user theirs\ntopic read /api/#\n")):
            (broker.folder / name).write_text(content)
            (broker.folder / name).chmod(0o600)
        broker.conf = f"password_file {broker.folder}/passwd\nacl_file {broker.folder}/acl\n"
    broker.start()

    def get(path, user=None, password=""):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        headers = {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()} if user else {}
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    return broker, get


def test_access(api):
    _, get = api
    assert get("/api/v1/version", "ops", "pw") == 200
    assert get("/api/v1/version", "ops", "wrong") == 401
    assert get("/api/v1/version") == 401
    assert get("/api/v1/version", "a", "pw") in (401, 403)


@pytest.mark.parametrize("options", [{"mode": "coexist"}])
def test_coexist_leaves_strangers_to_the_broker(api):
    """Who is ours is judged here, who is not by what comes behind."""
    _, get = api
    assert get("/api/v1/version", "ops", "pw") == 200
    assert get("/api/v1/version", "ops", "wrong") == 401
    assert get("/api/v1/version", "a", "pw") in (401, 403)
    assert get("/api/v1/version", "theirs", "pw") == 200, "the broker's own files answer for theirs"
    assert get("/api/v1/version", "theirs", "wrong") == 401


@pytest.mark.parametrize("options", [{"auth_methods": "certificate"}, {"auth_methods": "certificate+password"},
                                     {"require_tls": "yes", "tls_ports": "8883"}], ids=["no password", "not alone", "no TLS"])
def test_a_password_is_no_way_in(api):
    _, get = api
    assert get("/api/v1/version", "ops", "pw") == 401


def test_beside_a_busy_broker(api):
    """Both threads at once, with policy reloads: no crash (valgrind and the sanitizers run this too)."""
    broker, get = api
    a = broker.client("a-id", "a", "pw", version=V5).open()
    statuses = []
    threads = [threading.Thread(target=lambda: statuses.extend(get("/api/v1/version", "ops", "pw") for _ in range(20)))
               for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(40):
        assert a.publish("devices/a/data") == 0
        if number % 10 == 0:
            broker.process.send_signal(1)
    for thread in threads:
        thread.join()
    assert statuses.count(200) == 80
