"""
Fixtures of the tests with real Redis servers. Every test has its own servers, folders and ports; all is on loopback.
  GUARD_BUILD    build folder with guardctl and tests/store_probe (default: build/release)
"""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from support import probe as probe_module  # noqa: E402
from support import servers as servers_module  # noqa: E402


def pytest_sessionstart():
    assert servers_module.REDIS, "redis-server is not installed"
    for program in (probe_module.PROBE, probe_module.GUARDCTL):
        assert program.is_file(), f"build it first: {program} does not exist"


@pytest.fixture
def make_server(tmp_path):
    """make_server(**as Server): a running server, ended with the test."""
    servers = []

    def make(start=True, **options):
        server = servers_module.Server(tmp_path / f"redis{len(servers) + 1}", **options)
        servers.append(server)
        return server.start() if start else server

    yield make
    for server in servers:
        server.stop()


@pytest.fixture
def redis(make_server):
    return make_server()


@pytest.fixture
def make_probe():
    """make_probe(url, **options of the store): a running store, ended with the test; ending it must not take long."""
    probes = []

    def make(url, **options):
        probes.append(probe_module.Probe(url, **options))
        return probes[-1]

    yield make
    for probe in probes:
        seconds = probe.stop()
        assert seconds < 2 * servers_module.slow_factor(), f"the store took {seconds:.1f} s to stop"
