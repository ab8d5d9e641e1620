"""
Fixtures of the integration tests. Every test has its own broker, folder and ports. Environment:
  GUARD_BROKER   path of the Mosquitto under test (default: the installed one)
  GUARD_BUILD    build folder with mosquitto_guard.so and guardctl (default: build/release; asan: build/asan, tsan: build/tsan)
  GUARD_UNDER    "asan", "tsan" or "valgrind": run the broker under that checker
"""
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from support import broker as broker_module  # noqa: E402
from support.audit import Trail  # noqa: E402
from support.broker import Broker, wait_until  # noqa: E402
from support.client import V311, V5, Client  # noqa: E402
from support.pki import Authority  # noqa: E402
from support.redis import Proxy, Redis  # noqa: E402
from support.tokens import Issuer  # noqa: E402


def pytest_report_header():
    version = ".".join(map(str, broker_module.version()))
    return f"broker: {broker_module.BROKER} {version}; plugin: {broker_module.PLUGIN}; under: {broker_module.UNDER or '-'}"


def pytest_collection_modifyitems(config, items):
    if broker_module.SLOWNESS > 1:
        for item in items:
            item.add_marker(pytest.mark.timeout(120 * broker_module.SLOWNESS))
    if broker_module.UNDER == "valgrind":  # slow, and the protocol version changes nothing for the plugin's memory
        twice = [item for item in items if "[v311" in item.name]
        config.hook.pytest_deselected(items=twice)
        items[:] = [item for item in items if item not in twice]


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    setattr(item, f"report_{report.when}", report)


def pytest_sessionstart():
    assert broker_module.PLUGIN.is_file(), f"build it first: {broker_module.PLUGIN} does not exist"
    os.environ.pop("SSLKEYLOGFILE", None)


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def issuer(tmp_path_factory):
    return Issuer(tmp_path_factory.mktemp("issuer"))


@pytest.fixture(params=[V311, V5], ids=["v311", "v5"])
def version(request):
    """Runs the test with MQTT 3.1.1 and with MQTT 5."""
    return request.param


@pytest.fixture(scope="session")
def broker_version():
    return broker_module.version()


@pytest.fixture
def make_broker(request, tmp_path):
    """
    make_broker(policy, **as Broker): a running broker; start=False leaves the start to the test. At the end each is stopped in
    order, its audit trail checked as a whole, and its log shown if the test failed.
    """
    brokers, clients = [], []

    def make(policy, start=True, **named):
        broker = Broker(tmp_path / f"broker{len(brokers) + 1}", policy, **named)
        broker.trail = Trail(broker.audit_dir)
        broker.client = lambda *a, **n: clients.append(Client(broker, *a, **n)) or clients[-1]
        brokers.append(broker)
        return broker.start() if start else broker

    yield make
    for client in clients:
        client.release()
    problems = []
    failed = any(getattr(request.node, f"report_{when}", None) is not None
                 and getattr(request.node, f"report_{when}").failed for when in ("setup", "call"))
    for broker in brokers:
        try:
            broker.stop()
            if broker.trail.files() and not getattr(broker, "trail_unchecked", False):
                broker.trail.validate()
        except AssertionError as error:
            problems.append(str(error))
        if failed or problems:
            print(f"--- {broker.folder.name}: log\n{broker.log()[-8000:]}")
            print(f"--- {broker.folder.name}: audit\n{broker.trail.brief()[-6000:]}")
    assert not problems, "\n".join(problems)


@pytest.fixture
def make_redis(request, tmp_path):
    """make_redis(*lines of redis.conf): a running Redis with an empty database; its log is shown if the test failed."""
    servers = []

    def make(*options):
        servers.append(Redis(tmp_path / f"redis{len(servers) + 1}", options))
        return servers[-1].start()

    yield make
    for server in servers:
        if getattr(getattr(request.node, "report_call", None), "failed", False):
            print(f"--- {server.folder.name}: log\n{(server.folder / 'redis.log').read_text()[-2000:]}")
        server.stop()


@pytest.fixture
def redis(make_redis):
    return make_redis()


@pytest.fixture
def make_proxy():
    """make_proxy(redis): a proxy in front of it (support/redis.py)."""
    proxies = []

    def make(server):
        proxies.append(Proxy(server.port))
        return proxies[-1]

    yield make
    for proxy in proxies:
        proxy.stop()


@pytest.fixture
def guardctl():
    """guardctl(*arguments, input=None): the finished process with .stdout and .stderr as text."""
    def run(*arguments, **named):
        return subprocess.run([broker_module.GUARDCTL, *map(str, arguments)], capture_output=True, text=True, check=False,
                              timeout=60 * broker_module.SLOWNESS, **named)
    return run


@pytest.fixture
def eventually():
    return wait_until
